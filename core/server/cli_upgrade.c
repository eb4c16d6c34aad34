/* `fitnessally upgrade`: a running server starts its successor, hands over its sockets, and goes. */
#include <stdio.h>
#include <stdlib.h>

#include "server/cli.h"
#include "server/control.h"

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH], *answer;
    fa_error error = {{0}};
    if (cli->argument_count > 0)
        return fa_cli_misused("upgrade", "upgrade takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_find_server(cli, path);
    if (status != FA_EXIT_DONE)
        return status;
    if (fa_control_ask(path, "upgrade", &answer, &error) != FA_OK)
        return fa_cli_failed("no upgrade, the old server serves on: %s", error.text);
    fputs(answer, stdout);
    free(answer);
    return FA_EXIT_DONE;
}

const fa_command fa_command_upgrade = {
    .name = "upgrade",
    .options = "pu",
    .summary = "let a running server hand over to a new process",
    .help = "usage: fitnessally upgrade [options]\n"
            "\n"
            "Makes a running server of this user start its command line anew (the binary, configuration and scripts "
            "that are there now),\n"
            "with the listening sockets handed over; when the new process serves, the old one finishes what it has and "
            "ends. No request\n"
            "is lost. When the new one does not come to serve, the old one goes on, and this command says why.\n"
            "\n"
            "  --pid PID            the server of that process\n"
            "  --socket PATH        the server that listens on that control socket\n",
    .run = run,
};
