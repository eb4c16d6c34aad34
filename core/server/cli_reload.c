/* `fitnessally reload`: a running server loads its scripts anew, and says how that went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/control.h"

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH], request[40], *answer;
    fa_error error = {{0}};
    if (cli->argument_count > 0)
        return fa_cli_misused("reload", "reload takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_find_server(cli, path);
    if (status != FA_EXIT_DONE)
        return status;
    fa_cli_name_found(cli, path);
    snprintf(request, sizeof(request), "reload %s%s", cli->status ? "status " : "", cli->json ? "json" : "text");
    if (fa_control_ask(path, request, &answer, &error) != FA_OK)
        return fa_cli_failed("%s", error.text);
    const char *text = strchr(answer, '\n');
    bool well = strncmp(answer, "ok\n", 3) == 0;
    text = text != NULL ? text + 1 : answer;
    fputs(text, well || cli->json ? stdout : stderr);
    if (*text != '\0' && text[strlen(text) - 1] != '\n')
        putchar('\n');
    free(answer);
    return well ? FA_EXIT_DONE : FA_EXIT_FAILED;
}

const fa_command fa_command_reload = {
    .name = "reload",
    .options = "jpuT",
    .summary = "load the scripts of a running server anew",
    .help =
        "usage: fitnessally reload [options]            load the scripts anew\n"
        "       fitnessally reload --status [options]   say what is left on older ones\n"
        "\n"
        "The running server loads its scripts beside those that serve. When all is well they take every request from "
        "then on,\n"
        "on all workers at once; requests and turns that are under way finish on the scripts they began with. When "
        "anything\n"
        "is broken nothing changes: the file, the line and what stands around it are shown, and the exit status is 1.\n"
        "Certificates are read again as well, by themselves: those that cannot be used leave the old ones in place, "
        "are\n"
        "named, and the exit status is 1.\n"
        "\n"
        "  --status             which generations live, and what each still has to finish; nothing is loaded\n"
        "  --json               the same as JSON\n"
        "  --pid PID            the server of that process; without it the only one of this user\n"
        "  --socket PATH        the server that listens on that control socket\n",
    .run = run,
};
