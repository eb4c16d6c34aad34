/* `fitnessally records`: sees to the arguments; lua/fitnessally/tools/records.lua does the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/server.h"

typedef struct action {
    const char *name;
    int minimum, maximum; /* arguments */
    const char *wants;
} action;

static const action actions[] = {
    {"import", 1, 1, "one FILE"},
    {"export", 0, 0, "no arguments (write > FILE)"},
    {"search", 1, 64, "a QUERY"},
    {"stats", 0, 0, "no arguments"},
};

static const action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); ++i) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    }
    return NULL;
}

/* The words of a query as one argument, so that `search push up` needs no quotes. NULL: no memory. */
static char *join(char **words, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; ++i)
        size += strlen(words[i]) + 1;
    char *joined = malloc(size), *end = joined;
    for (int i = 0; i < count && joined != NULL; ++i)
        end = stpcpy(stpcpy(end, i > 0 ? " " : ""), words[i]);
    return joined;
}

/* The script gets: ACTION [ARGUMENT] [--json] */
static int run_script(const fa_cli *cli, const action *wanted, char *argument)
{
    fa_server *server;
    char *argv[4] = {(char *)wanted->name};
    int argc = 1;
    if (argument != NULL)
        argv[argc++] = argument;
    if (cli->json)
        argv[argc++] = "--json";
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    status = fa_server_run_tool(server, "records", FA_TOOL_WITHOUT_APP, argc, argv);
    fa_server_destroy(server);
    return status;
}

static int run(const fa_cli *cli)
{
    if (cli->argument_count == 0)
        return fa_cli_misused("records", "records wants import, export, search or stats");
    const action *wanted = find_action(cli->arguments[0]);
    int count = cli->argument_count - 1;
    if (wanted == NULL)
        return fa_cli_misused("records", "records knows import, export, search and stats, not \"%s\"",
                              cli->arguments[0]);
    if (count < wanted->minimum || count > wanted->maximum)
        return fa_cli_misused("records", "records %s wants %s", wanted->name, wanted->wants);
    if (count == 0)
        return run_script(cli, wanted, NULL);
    char *argument = join(cli->arguments + 1, count);
    if (argument == NULL)
        return fa_cli_failed("out of memory");
    int status = run_script(cli, wanted, argument);
    free(argument);
    return status;
}

const fa_command fa_command_records = {
    .name = "records",
    .options = "cdsj",
    .summary = "import, export, search and count the records",
    .help = "usage: fitnessally records import FILE [options]    read a JSON file of exercises; doing it twice changes "
            "nothing\n"
            "       fitnessally records export [options]         write all records as JSON to standard output\n"
            "       fitnessally records search QUERY [options]   what the coach would find\n"
            "       fitnessally records stats [options]          how many there are\n"
            "\n"
            "  -c, --config FILE    configuration (default: fitnessally.conf.lua here, else the shipped one)\n"
            "  --data DIR           folder with exercises.json and media/\n"
            "  --set KEY=VALUE      any key of the configuration; may be repeated\n"
            "  --json               print JSON\n",
    .run = run,
};
