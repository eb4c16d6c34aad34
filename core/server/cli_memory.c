/* `fitnessally memory`: asks a running server who holds its memory, and shows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/control.h"

enum { REDRAW_MS = 2000 };

static int show(const char *path, const char *request, bool in_place)
{
    char *answer;
    fa_error error = {{0}};
    if (fa_control_ask(path, request, &answer, &error) != FA_OK)
        return fa_cli_failed("%s", error.text);
    int status = FA_EXIT_DONE;
    if (in_place)
        status = fa_cli_show_page(answer);
    else
        printf("%s%s", answer, answer[strlen(answer) - 1] != '\n' ? "\n" : "");
    free(answer);
    return fflush(stdout) == 0 ? status : FA_EXIT_FAILED;
}

/* Until interrupted, or until the server goes. */
static int watch(const char *path, const char *request)
{
    fa_cli_hold_interrupts();
    for (;;) {
        int status = show(path, request, true);
        if (status != FA_EXIT_DONE || !fa_cli_pause(REDRAW_MS))
            return status;
    }
}

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH];
    bool doctor = cli->argument_count > 0 && strcmp(cli->arguments[0], "doctor") == 0;
    if (cli->argument_count > (doctor ? 1 : 0))
        return fa_cli_misused("memory", "memory knows `doctor`, not \"%s\"", cli->arguments[doctor ? 1 : 0]);
    int status = fa_cli_find_server(cli, path);
    if (status != FA_EXIT_DONE)
        return status;
    const char *request = doctor ? (cli->json ? "memory doctor" : "memory doctor text")
                                 : (cli->json ? "memory report" : "memory report text");
    return cli->watch ? watch(path, request) : show(path, request, false);
}

const fa_command fa_command_memory = {
    .name = "memory",
    .options = "jpuW",
    .summary = "show who holds the memory of a running server",
    .help = "usage: fitnessally memory [options]          who holds what, since when, made where\n"
            "       fitnessally memory doctor [options]   what that means, in plain English\n"
            "\n"
            "Asks a running server of this user; without --pid or --socket the only one there is.\n"
            "\n"
            "  --watch              again every 2 seconds, until interrupted\n"
            "  --json               the report as GET /api/health/memory has it; the doctor's findings\n"
            "  --pid PID            the server of that process\n"
            "  --socket PATH        the server that listens on that control socket\n",
    .run = run,
};
