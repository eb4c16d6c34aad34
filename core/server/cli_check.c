/* `fitnessally check`: whether the configuration and the scripts would do, without running them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/cli_types.h"
#include "server/config_named.h"
#include "server/server.h"

static void print_text(const char *text)
{
    if (text == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; ++text) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_list(const fa_config *config, const char *name)
{
    const char *const *items;
    size_t count = fa_config_list(config, name, &items);
    putchar('[');
    for (size_t i = 0; i < count; ++i) {
        fputs(i > 0 ? "," : "", stdout);
        print_text(items[i]);
    }
    putchar(']');
}

/* Sizes and durations as they were written: what is printed can be given to --set again. */
static void print_value(const fa_config *config, const fa_config_key *key)
{
    if (key->type == FA_CONFIG_NUMBER)
        printf("%.17g", fa_config_number(config, key->name));
    else if (key->type == FA_CONFIG_FLAG)
        fputs(fa_config_flag(config, key->name) ? "true" : "false", stdout);
    else if (key->type == FA_CONFIG_LIST)
        print_list(config, key->name);
    else
        print_text(fa_config_written(config, key->name, NULL));
}

static void print_own(const fa_config *config)
{
    const char *separator = "";
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key, separator = ",") {
        const char *where;
        fa_config_written(config, key->name, &where);
        printf("%s\"%s\":{\"value\":", separator, key->name);
        print_value(config, key);
        fputs(",\"from\":", stdout);
        print_text(where);
        putchar('}');
    }
}

/* Only what was written and where: values of plugins may be secrets. */
static void print_named(const fa_config *config, const char *group)
{
    const char *name, *key, *where;
    for (size_t i = 0; (name = fa_config_named_name(config, group, i)) != NULL; ++i) {
        printf("%s\"%s\":{", i > 0 ? "," : "", name);
        for (size_t j = 0; (key = fa_config_named_key(config, group, name, j, &where)) != NULL; ++j) {
            printf("%s\"%s\":{\"from\":", j > 0 ? "," : "", key);
            print_text(where);
            putchar('}');
        }
        putchar('}');
    }
}

/* types: what is said of them in JSON. */
static void print_json(const char *file, const fa_config *config, const char *types, bool well)
{
    printf("{\"status\":\"%s\",\"types\":%s,\"file\":", well ? "ok" : "wrong", types);
    print_text(file);
    fputs(",\"values\":{", stdout);
    print_own(config);
    for (const char *const *group = fa_named_groups; *group != NULL; ++group) {
        printf("},\"%s\":{", *group);
        print_named(config, *group);
    }
    fputs("}}\n", stdout);
}

static void on_plugin_problem(void *context, const char *name, const char *problem)
{
    int *status = context;
    *status = fa_cli_failed("plugin %s would be left out: %s", name, problem);
}

/* All is well but, perhaps, types. */
static int finish(const fa_cli *cli, const fa_config *config)
{
    bool well = true;
    char *types = cli->no_types ? NULL : fa_cli_types(config, cli->json, &well);
    if (cli->json)
        print_json(fa_cli_file(cli), config, types != NULL ? types : "{\"checked\":false}", well);
    else
        puts("configuration ok");
    if (!cli->json && types != NULL)
        fprintf(well ? stdout : stderr, "%s\n", types);
    free(types);
    return well ? FA_EXIT_DONE : FA_EXIT_FAILED;
}

static int run(const fa_cli *cli)
{
    fa_server *server;
    if (cli->argument_count > 0)
        return fa_cli_misused("check", "check takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    fa_error error = {{0}};
    fa_server_on_plugin_problem(server, on_plugin_problem, &status);
    if (fa_server_check(server, &error) != FA_OK)
        status = fa_cli_failed("%s", error.text);
    else if (status != FA_EXIT_DONE)
        fputs("A server would start without it.\n", stderr);
    else
        status = finish(cli, fa_server_config(server));
    fa_server_destroy(server);
    return status;
}

const fa_command fa_command_check = {
    .name = "check",
    .options = "clwdsjt",
    .summary = "say whether configuration and scripts are right",
    .help =
        "usage: fitnessally check [options]\n"
        "\n"
        "Reads the configuration as `serve` with the same options would, and loads plugins and scripts, without "
        "serving.\n"
        "Exits with 0 and says `configuration ok`, or with 1 and what is wrong, with file and line; a plugin that "
        "would be left "
        "out is wrong, too.\n"
        "Where lua-language-server is on the PATH the types of the scripts are checked as well, against the "
        "annotations "
        "of the\n"
        "server: each finding is told with file and line, and the exit status is 1. Where it is not, that is said.\n"
        "\n"
        "  -c, --config FILE    configuration (default: fitnessally.conf.lua here, else the shipped one)\n"
        "  --listen, --workers, --data, --set   as for serve\n"
        "  --no-types           do not ask lua-language-server\n"
        "  --json               the values and where each comes from\n",
    .run = run,
};
