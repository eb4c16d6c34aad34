/* Which running server a command means. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/control.h"
#include "server/process_hint.h"

/* It may be another than the one that was meant, when that one does not run. */
void fa_cli_name_found(const fa_cli *cli, const char *path)
{
    char hint[100];
    const char *file = strrchr(path, '/');
    long pid = strtol(file != NULL ? file + 1 : path, NULL, 10);
    if (cli->pid != NULL || cli->socket != NULL || cli->json || pid <= 0)
        return;
    fa_process_hint(pid, hint, sizeof(hint));
    fprintf(stderr, "process %ld%s%s\n", pid, hint[0] != '\0' ? " " : "", hint);
}

int fa_cli_find_server(const fa_cli *cli, char *path)
{
    const char *name = cli->command->name;
    fa_error error = {{0}};
    char *end = NULL;
    long pid = 0;
    if (cli->pid != NULL && cli->socket != NULL)
        return fa_cli_misused(name, "%s takes --pid or --socket, not both", name);
    if (cli->socket != NULL) {
        if (strlen(cli->socket) >= FA_CONTROL_PATH)
            return fa_cli_misused(name, "--socket: a socket's path has at most %d bytes", FA_CONTROL_PATH - 1);
        memcpy(path, cli->socket, strlen(cli->socket) + 1);
        return FA_EXIT_DONE;
    }
    if (cli->pid != NULL) {
        errno = 0;
        pid = strtol(cli->pid, &end, 10);
        if (*cli->pid == '\0' || *end != '\0' || pid <= 0 || errno != 0)
            return fa_cli_misused(name, "--pid wants the number of a process, not \"%s\"", cli->pid);
    }
    return fa_control_find(pid, path, &error) == FA_OK ? FA_EXIT_DONE : fa_cli_failed("%s", error.text);
}
