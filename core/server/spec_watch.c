#include "server/spec_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/file_watch.h"

enum { QUIET_MS = 100 }; /* what is saved together is run once */

static void run_once(const fa_spec_wish *wish)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* it must not go on when the one that watches has gone */
        int status = fa_spec_run_all(wish);
        fflush(NULL);
        _exit(status);
    }
    if (child < 0) {
        fa_cli_failed("specs cannot be run: no process");
        return;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    fputs("fitnessally: watching for changes; Ctrl-C ends it\n", stderr);
}

static bool has_news(const fa_file_watch *watch, int patience_ms)
{
    struct pollfd file = {.fd = fa_file_watch_fd(watch), .events = POLLIN};
    return poll(&file, 1, patience_ms) > 0;
}

static void wait_for_change(fa_file_watch *watch)
{
    bool changed = false;
    while (!changed) {
        if (has_news(watch, -1))
            changed = fa_file_watch_changed(watch);
    }
    while (has_news(watch, QUIET_MS))
        fa_file_watch_changed(watch);
}

int fa_spec_watch(const fa_spec_wish *wish, const char *const *roots)
{
    fa_error error = {""};
    fa_file_watch *watch;
    fa_scope *scope = NULL;
    const fa_log log = {.level = FA_LOG_WARN, .fd = STDERR_FILENO};
    fa_ledger *ledger = fa_ledger_new(NULL);
    fa_result result =
        ledger == NULL ? FA_NO_MEMORY : fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "watch", FA_HERE, &scope);
    if (result == FA_OK)
        result = fa_file_watch_open(scope, roots, &log, &watch, &error);
    if (result != FA_OK)
        return fa_cli_failed("files cannot be watched: %s",
                             error.text[0] != '\0' ? error.text : fa_result_name(result));
    for (;;) {
        run_once(wish);
        wait_for_change(watch);
    }
}
