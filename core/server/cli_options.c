#include "server/cli.h"
#include "server/handover.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "fitnessally.conf.lua"

enum { OPTIONS = 18 };

/* Each option by its letter; only -c and -h can be written short. */
static const struct option known_options[OPTIONS] = {
    {"config", required_argument, NULL, 'c'},  {"listen", required_argument, NULL, 'l'},
    {"workers", required_argument, NULL, 'w'}, {"data", required_argument, NULL, 'd'},
    {"set", required_argument, NULL, 's'},     {"json", no_argument, NULL, 'j'},
    {"pid", required_argument, NULL, 'p'},     {"socket", required_argument, NULL, 'u'},
    {"watch", no_argument, NULL, 'W'},         {"help", no_argument, NULL, 'h'},
    {"supervise", no_argument, NULL, 'S'},     {"status", no_argument, NULL, 'T'},
    {"output", required_argument, NULL, 'o'},  {"filter", required_argument, NULL, 'f'},
    {"coverage", no_argument, NULL, 'C'},      {"dir", required_argument, NULL, 'D'},
    {"worker", required_argument, NULL, 'n'},  {"no-types", no_argument, NULL, 't'},
};

static void say(const char *format, va_list args)
{
    char text[600];
    vsnprintf(text, sizeof(text), format, args);
    fprintf(stderr, "fitnessally: %s\n", text);
}

int fa_cli_misused(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    fprintf(stderr, "Try `fitnessally %s%s--help`.\n", command, *command != '\0' ? " " : "");
    return FA_EXIT_USAGE;
}

int fa_cli_failed(const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "fitnessally: %s\n", text);
    fa_inheritance_failed(text); /* whoever started us may want to know */
    return FA_EXIT_FAILED;
}

/* ---- reading options
 * ------------------------------------------------------------------------------------------------ */

/* Adds "key=value", or "value" when key is NULL. */
static int add_override(fa_cli *cli, const char *key, const char *value)
{
    char *text;
    if (asprintf(&text, "%s%s%s", key != NULL ? key : "", key != NULL ? "=" : "", value) < 0)
        return fa_cli_failed("out of memory");
    cli->overrides[cli->override_count++] = text;
    return FA_EXIT_DONE;
}

/* The addresses of all --listen become one list, which replaces the configured one. */
static int add_listen(fa_cli *cli, char **listen, const char *address)
{
    char *joined;
    if (asprintf(&joined, "%s%s%s", *listen != NULL ? *listen : "listen=", *listen != NULL ? "," : "", address) < 0)
        return fa_cli_failed("out of memory");
    if (*listen == NULL)
        cli->override_count++; /* it stands where the first one stood */
    else
        free(*listen);
    *listen = joined;
    return FA_EXIT_DONE;
}

static int take_option(fa_cli *cli, int letter, char ***listen)
{
    switch (letter) {
    case 'c':
        cli->file = optarg;
        return FA_EXIT_DONE;
    case 'l':
        if (*listen == NULL)
            *listen = &cli->overrides[cli->override_count];
        return add_listen(cli, *listen, optarg);
    case 'w':
        return add_override(cli, "workers", optarg);
    case 'd':
        return add_override(cli, "data", optarg);
    case 's':
        if (strchr(optarg, '=') == NULL)
            return fa_cli_misused(cli->command->name, "--set wants key=value, not \"%s\"", optarg);
        return add_override(cli, NULL, optarg);
    case 'p':
        cli->pid = optarg;
        return FA_EXIT_DONE;
    case 'u':
        cli->socket = optarg;
        return FA_EXIT_DONE;
    case 'o':
        cli->output = optarg;
        return FA_EXIT_DONE;
    case 'C':
        cli->coverage = true;
        return FA_EXIT_DONE;
    case 'f':
        cli->filter = optarg;
        return FA_EXIT_DONE;
    case 'D':
        cli->folder = optarg;
        return FA_EXIT_DONE;
    case 't':
        cli->no_types = true;
        return FA_EXIT_DONE;
    case 'n':
        cli->worker = optarg;
        return FA_EXIT_DONE;
    case 'W':
        cli->watch = true;
        return FA_EXIT_DONE;
    case 'S':
        cli->supervise = true;
        return FA_EXIT_DONE;
    case 'T':
        cli->status = true;
        return FA_EXIT_DONE;
    case 'j':
        cli->json = true;
        return FA_EXIT_DONE;
    default:
        cli->help = true;
        return FA_EXIT_DONE;
    }
}

static int complain(const fa_cli *cli, int what, const char *argument)
{
    const char *name = cli->command->name;
    bool is_long = strncmp(argument, "--", 2) == 0;
    if (what == ':')
        return fa_cli_misused(name, "%s: %s wants a value", name, argument);
    if (is_long || optopt == 0)
        return fa_cli_misused(name, "%s: wrong option %s", name, argument);
    return fa_cli_misused(name, "%s: unknown option -%c", name, optopt);
}

int fa_cli_parse(fa_cli *cli, int argc, char **argv)
{
    struct option options[OPTIONS + 1] = {{0}};
    char **listen = NULL;
    int status = FA_EXIT_DONE, letter;
    for (size_t i = 0, used = 0; i < OPTIONS; ++i) {
        if (known_options[i].val == 'h' || strchr(cli->command->options, known_options[i].val) != NULL)
            options[used++] = known_options[i];
    }
    if ((cli->overrides = calloc((size_t)argc + 1, sizeof(*cli->overrides))) == NULL)
        return fa_cli_failed("out of memory");
    optind = 0; /* getopt starts anew */
    opterr = 0;
    const char *letters = strchr(cli->command->options, 'c') != NULL ? ":hc:" : ":h";
    while (status == FA_EXIT_DONE && (letter = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (letter == '?' || letter == ':')
            status = complain(cli, letter, argv[optind - 1]);
        else
            status = take_option(cli, letter, &listen);
    }
    cli->arguments = argv + optind;
    cli->argument_count = argc - optind;
    return status;
}

void fa_cli_free(fa_cli *cli)
{
    for (size_t i = 0; i < cli->override_count; ++i)
        free(cli->overrides[i]);
    free(cli->overrides);
}

/* ---- the configuration file
 * ------------------------------------------------------------------------------------------ */

static bool runs_from(const char *folder)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    size_t prefix = strlen(folder);
    return length > (ssize_t)prefix && memcmp(self, folder, prefix) == 0 && self[prefix] == '/';
}

const char *fa_cli_file(const fa_cli *cli)
{
    const char *from_environment = getenv("FITNESSALLY_CONFIG");
    const char *shipped = runs_from(FA_SOURCE_HOME) ? FA_SOURCE_HOME "/" FILE_NAME : FA_INSTALL_HOME "/" FILE_NAME;
    if (cli->file != NULL)
        return cli->file;
    if (from_environment != NULL && *from_environment != '\0')
        return from_environment;
    if (access(FILE_NAME, F_OK) == 0)
        return FILE_NAME;
    return access(shipped, F_OK) == 0 ? shipped : NULL;
}

int fa_cli_configure(const fa_cli *cli, fa_server **server)
{
    fa_error error = {{0}};
    *server = NULL;
    fa_result result = fa_server_create(NULL, server, &error);
    if (result == FA_OK)
        result = fa_server_configure(*server, fa_cli_file(cli), (const char *const *)cli->overrides,
                                     cli->override_count, &error);
    if (result == FA_OK)
        return FA_EXIT_DONE;
    fa_server_destroy(*server);
    *server = NULL;
    return fa_cli_failed("%s", error.text[0] != '\0' ? error.text : fa_result_name(result));
}
