/* `fitnessally spec`: runs specs in process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/home.h"
#include "server/server.h"
#include "server/spec_run.h"

enum { MOST_ARGUMENTS = 512 };

typedef struct arguments {
    char *list[MOST_ARGUMENTS];
    int count;
} arguments;

static void add(arguments *a, const char *word)
{
    if (a->count < MOST_ARGUMENTS)
        a->list[a->count++] = (char *)word;
}

/* The specs of the application that is configured: its folder spec/. */
static int find_specs(const fa_cli *cli, char *out, size_t size)
{
    fa_server *server;
    char app[4096];
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    fa_home_resolve(fa_config_text(fa_server_config(server), "app"), app, sizeof(app));
    fa_server_destroy(server);
    snprintf(out, size, "%s/spec", app);
    if (access(out, F_OK) == 0)
        return FA_EXIT_DONE;
    return fa_cli_misused("spec", "there is no folder %s", out);
}

static int check_files(const fa_cli *cli)
{
    if (cli->argument_count > MOST_ARGUMENTS - 16)
        return fa_cli_misused("spec", "at most %d files and folders", MOST_ARGUMENTS - 16);
    for (int i = 0; i < cli->argument_count; ++i) {
        if (access(cli->arguments[i], R_OK) != 0)
            return fa_cli_misused("spec", "there is no file or folder \"%s\"", cli->arguments[i]);
    }
    return FA_EXIT_DONE;
}

static int run(const fa_cli *cli)
{
    char found[4200];
    arguments a = {.count = 0};
    int status = cli->argument_count > 0 ? check_files(cli) : find_specs(cli, found, sizeof(found));
    if (status != FA_EXIT_DONE)
        return status;
    add(&a, "--helper=fitnessally.testing.helper");
    if (cli->output != NULL) {
        add(&a, "-o");
        add(&a, cli->output);
    }
    if (cli->filter != NULL) {
        add(&a, "--filter");
        add(&a, cli->filter);
    }
    for (int i = 0; i < cli->argument_count; ++i)
        add(&a, cli->arguments[i]);
    if (cli->argument_count == 0)
        add(&a, found);
    fa_spec_wish wish = {.file = fa_cli_file(cli),
                         .overrides = (const char *const *)cli->overrides,
                         .override_count = cli->override_count,
                         .arguments = a.list,
                         .argument_count = a.count};
    return fa_spec_run_all(&wish);
}

const fa_command fa_command_spec = {
    .name = "spec",
    .options = "cdsof",
    .summary = "run the specs of an application, in process",
    .help = "usage: fitnessally spec [options] [FILE or FOLDER]...\n"
            "\n"
            "Runs specs (files *_spec.lua, written for busted and require \"fitnessally.testing\") against the real core, "
            "without sockets.\n"
            "Without a file: the folder spec/ of the configured application.\n"
            "Exits with 0 when all succeed, 1 when one fails.\n"
            "\n"
            "  -c, --config FILE    configuration of the apps under test (default: fitnessally.conf.lua here, else the "
            "shipped one)\n"
            "  --data, --set        as for serve\n"
            "  --output HANDLER     busted's output: plainTerminal, utfTerminal, TAP, json, junit\n"
            "  --filter PATTERN     only tests whose name matches the Lua pattern\n",
    .run = run,
};
