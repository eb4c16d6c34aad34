/* `fitnessally routes`: loads the application as a start would; lua/fitnessally/tools/routes.lua prints what it declares. */
#include "server/cli.h"
#include "server/server.h"

static int run(const fa_cli *cli)
{
    fa_server *server;
    char *argv[] = {"--json"};
    if (cli->argument_count > 0)
        return fa_cli_misused("routes", "routes takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    status = fa_server_run_tool(server, "routes", FA_TOOL_WITH_APP, cli->json ? 1 : 0, argv);
    fa_server_destroy(server);
    return status;
}

const fa_command fa_command_routes = {
    .name = "routes",
    .options = "cdsj",
    .summary = "list the routes of the application",
    .help = "usage: fitnessally routes [options]\n"
            "\n"
            "Loads the application as `serve` with the same options would, and lists its routes in the order of their "
            "declaration:\n"
            "method, host and pattern, file and line, name, limits, and the middleware that stands before it.\n"
            "\n"
            "  -c, --config FILE    configuration (default: fitnessally.conf.lua here, else the shipped one)\n"
            "  --data, --set        as for serve\n"
            "  --json               as JSON\n",
    .run = run,
};
