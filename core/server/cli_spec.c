/* `fitnessally spec`: runs specs in process. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/home.h"
#include "server/server.h"
#include "server/spec_watch.h"

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

/* What there is to run, and where it lies. */
typedef struct found {
    char app[4096], specs[4200]; /* of the configured application */
    const char *roots[MOST_ARGUMENTS + 4];
    size_t root_count;
} found;

static int find_app(const fa_cli *cli, found *f)
{
    fa_server *server;
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    fa_home_resolve(fa_config_text(fa_server_config(server), "app"), f->app, sizeof(f->app));
    fa_server_destroy(server);
    snprintf(f->specs, sizeof(f->specs), "%s/spec", f->app);
    return FA_EXIT_DONE;
}

/* The specs of the application that is configured are in its folder spec/. */
static int check_files(const fa_cli *cli, const found *f)
{
    if (cli->argument_count == 0 && access(f->specs, F_OK) != 0)
        return fa_cli_misused("spec", "there is no folder %s", f->specs);
    if (cli->argument_count > MOST_ARGUMENTS - 16)
        return fa_cli_misused("spec", "at most %d files and folders", MOST_ARGUMENTS - 16);
    for (int i = 0; i < cli->argument_count; ++i) {
        if (access(cli->arguments[i], R_OK) != 0)
            return fa_cli_misused("spec", "there is no file or folder \"%s\"", cli->arguments[i]);
    }
    return FA_EXIT_DONE;
}

static void add_files(const fa_cli *cli, const found *f, arguments *a)
{
    add(a, "--helper=fitnessally.testing.helper");
    if (cli->output != NULL) {
        add(a, "-o");
        add(a, cli->output);
    }
    if (cli->filter != NULL) {
        add(a, "--filter");
        add(a, cli->filter);
    }
    for (int i = 0; i < cli->argument_count; ++i)
        add(a, cli->arguments[i]);
    if (cli->argument_count == 0)
        add(a, f->specs);
}

/* The folder of a file of specs; of a folder named spec the one that it is in, which is the application's. NULL: there is none. */
static const char *root_of(const char *path, char real[PATH_MAX])
{
    struct stat info;
    if (realpath(path, real) == NULL || stat(real, &info) != 0)
        return NULL;
    char *slash = S_ISDIR(info.st_mode) ? NULL : strrchr(real, '/');
    if (slash != NULL)
        *slash = '\0';
    slash = strrchr(real, '/');
    if (slash != NULL && slash != real && strcmp(slash, "/spec") == 0)
        *slash = '\0';
    return real;
}

/* The copies are kept to the end of the process. */
static void add_root(found *f, const char *path)
{
    for (size_t i = 0; path != NULL && i < f->root_count; ++i) {
        if (strcmp(f->roots[i], path) == 0)
            return;
    }
    char *copy = path != NULL ? strdup(path) : NULL;
    if (copy != NULL)
        f->roots[f->root_count++] = copy;
}

static int run(const fa_cli *cli)
{
    found f = {.root_count = 0};
    arguments a = {.count = 0};
    int status = find_app(cli, &f);
    if (status == FA_EXIT_DONE)
        status = check_files(cli, &f);
    if (status != FA_EXIT_DONE)
        return status;
    add_files(cli, &f, &a);
    fa_spec_wish wish = {.file = fa_cli_file(cli),
                         .overrides = (const char *const *)cli->overrides,
                         .override_count = cli->override_count,
                         .coverage = cli->coverage,
                         .arguments = a.list,
                         .argument_count = a.count};
    if (!cli->watch)
        return fa_spec_run_all(&wish);
    char real[PATH_MAX];
    add_root(&f, f.app);
    for (int i = 0; i < cli->argument_count; ++i)
        add_root(&f, root_of(cli->arguments[i], real));
    return fa_spec_watch(&wish, f.roots);
}

const fa_command fa_command_spec = {
    .name = "spec",
    .options = "cdsofCW",
    .summary = "run the specs of an application, in process",
    .help =
        "usage: fitnessally spec [options] [FILE or FOLDER]...\n"
        "\n"
        "Runs specs (files *_spec.lua, written for busted and require \"fitnessally.testing\") against the real core, "
        "without sockets.\n"
        "Without a file: the folder spec/ of the configured application.\n"
        "Exits with 0 when all succeed, 1 when one fails or none has run.\n"
        "\n"
        "  -c, --config FILE    configuration of the apps under test (default: fitnessally.conf.lua here, else the "
        "shipped one)\n"
        "  --data, --set        as for serve\n"
        "  --output HANDLER     busted's output: plainTerminal, utfTerminal, TAP, json, junit\n"
        "  --coverage           write luacov.stats.out and luacov.report.out: which lines of the application have run\n"
        "  --watch              run them again whenever a Lua file is saved\n"
        "  --filter PATTERN     only tests whose name matches the Lua pattern\n",
    .run = run,
};
