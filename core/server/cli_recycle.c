/* `fitnessally recycle NAME`: fresh pools for an upstream of a running server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/control.h"
#include "upstream/options.h"

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH], request[FA_CONTROL_REQUEST], *answer;
    fa_error error = {{0}};
    if (cli->argument_count != 1)
        return fa_cli_misused("recycle", "recycle takes the name of one upstream");
    if (!fa_upstream_name_is_good(cli->arguments[0], strlen(cli->arguments[0])))
        return fa_cli_misused("recycle", "\"%s\" is no name of an upstream", cli->arguments[0]);
    int status = fa_cli_find_server(cli, path);
    if (status != FA_EXIT_DONE)
        return status;
    fa_cli_name_found(cli, path);
    snprintf(request, sizeof(request), "recycle %s", cli->arguments[0]);
    if (fa_control_ask(path, request, &answer, &error) != FA_OK)
        return fa_cli_failed("nothing was recycled: %s", error.text);
    fputs(answer, stdout);
    free(answer);
    return FA_EXIT_DONE;
}

const fa_command fa_command_recycle = {
    .name = "recycle",
    .options = "pu",
    .summary = "give an upstream of a running server fresh connections",
    .help = "usage: fitnessally recycle NAME [options]\n"
            "\n"
            "Makes a new pool for the upstream NAME (upstreams.NAME of the configuration; fetch: that of "
            "fitnessally.fetch) "
            "on every\n"
            "worker. Transfers that are under way finish on the old one, which closes with the last of them and says "
            "in the "
            "log what\n"
            "that gave back. No request fails.\n"
            "\n"
            "  --pid PID            the server of that process\n"
            "  --socket PATH        the server that listens on that control socket\n",
    .run = run,
};
