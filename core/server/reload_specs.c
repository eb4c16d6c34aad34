#include "server/reload_specs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/handover.h"

enum { PATH_SIZE = 4200, MOST_WORDS = 512, MOST_OUTPUT = 64 * 1024 };

typedef struct specs_run {
    const fa_reload_specs *specs;
    pid_t pid;
    int output, end; /* end: readable when the process has ended */
    size_t used;
    char *words[MOST_WORDS + FA_MOST_RELOAD_SPECS + 1];
    char paths[FA_MOST_RELOAD_SPECS][PATH_SIZE];
    char text[MOST_OUTPUT + 1]; /* the beginning of what they print */
} specs_run;

/* ---- the process ---- */

static void make_words(specs_run *run)
{
    const fa_reload_specs *specs = run->specs;
    size_t count = 0;
    while (count < MOST_WORDS && specs->command[count] != NULL) {
        run->words[count] = specs->command[count];
        ++count;
    }
    for (size_t i = 0; i < specs->count && i < FA_MOST_RELOAD_SPECS; ++i) {
        bool whole = specs->specs[i][0] == '/';
        snprintf(run->paths[i], PATH_SIZE, "%s%s%s", whole ? "" : specs->app, whole ? "" : "/", specs->specs[i]);
        run->words[count++] = run->paths[i];
    }
    run->words[count] = NULL;
}

/* In a group of its own, so that what it has started ends with it. */
static int spawn(specs_run *run, int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int status = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (status == 0)
        status = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (status == 0)
        status = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (status == 0)
        status = posix_spawn(&run->pid, run->specs->program, &actions, &attributes, run->words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

/* With what it may have left behind; its number is its own until it is waited for. Returns its status. */
static int end_group(const specs_run *run)
{
    int status = 0;
    kill(-run->pid, SIGKILL);
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static fa_result start(specs_run *run, fa_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return fa_fail(error, FA_IO, "reload_specs: no pipe: %s", strerror(errno));
    fcntl(ends[1], F_SETFL, 0); /* theirs is as any other */
    int status = spawn(run, ends[1]);
    close(ends[1]);
    run->output = ends[0];
    run->end = status == 0 ? pidfd_open(run->pid, 0) : -1;
    if (run->end >= 0)
        return FA_OK;
    close(ends[0]);
    if (status == 0)
        return end_group(run), fa_fail(error, FA_IO, "reload_specs: %s", strerror(errno));
    return fa_fail(error, FA_IO, "reload_specs: %s cannot be started: %s", run->specs->program, strerror(status));
}

/* All that is there. False: there will be no more. */
static bool read_output(specs_run *run)
{
    for (;;) {
        char rest[4096]; /* what is not kept is read all the same */
        size_t room = MOST_OUTPUT - run->used;
        ssize_t got = read(run->output, room > 0 ? run->text + run->used : rest, room > 0 ? room : sizeof(rest));
        if (got > 0 && room > 0)
            run->used += (size_t)got;
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
}

/* Until it ends. FA_TIMED_OUT, FA_CANCELLED: it goes on. */
static fa_result attend(specs_run *run)
{
    const fa_reload_specs *specs = run->specs;
    uint64_t deadline_ms = fa_now_ms() + specs->limit_ms, news = 0, more;
    fa_result result = FA_TIMED_OUT;
    struct pollfd ready[3] = {{.fd = run->output, .events = POLLIN},
                              {.fd = run->end, .events = POLLIN},
                              {.fd = specs->wake, .events = POLLIN}};
    for (uint64_t now_ms; result == FA_TIMED_OUT && (now_ms = fa_now_ms()) < deadline_ms;) {
        poll(ready, 3, (int)(deadline_ms - now_ms));
        if (ready[2].revents != 0 && read(specs->wake, &more, sizeof(more)) > 0)
            news += more;
        if (ready[0].revents != 0 && !read_output(run))
            ready[0].fd = -1;
        if (specs->stops(specs->context))
            result = FA_CANCELLED;
        else if (ready[1].revents != 0)
            result = FA_OK;
    }
    read_output(run); /* its last words */
    if (news > 0 && write(specs->wake, &news, sizeof(news)) < 0)
        news = 0; /* it is full of them then */
    return result;
}

/* ---- what they say ---- */

/* The lines behind "# Failure message: ", without their mark. */
static void read_message(const char *from, char *out, size_t size)
{
    static const char mark[] = "# Failure message: ";
    const char *at = strstr(from, mark);
    size_t used = 0;
    *out = '\0';
    if (at == NULL)
        return;
    for (at += sizeof(mark) - 1; used < size - 1;) {
        size_t length = strcspn(at, "\n");
        used += (size_t)snprintf(out + used, size - used, "%.*s\n", (int)length, at);
        if (strncmp(at + length, "\n# ", 3) != 0)
            break;
        at += length + 3;
    }
    out[strlen(out) - 1] = '\0'; /* the last end of a line */
}

/* The first one that fails: "not ok 1 - the shop has three", and what it says. */
static void tell_failing(const specs_run *run, const char *from, fa_load_failure *failure)
{
    char text[1200], message[sizeof(failure->message)];
    const char *name = strstr(from, " - ");
    name = name != NULL ? name + 3 : from;
    read_message(from, text, sizeof(text));
    fa_load_failure_read(failure, text, run->specs->app, run->specs->library);
    snprintf(message, sizeof(message), "the spec \"%.*s\" fails: %.300s", (int)(strcspn(name, "\n") % 200), name,
             failure->message);
    memcpy(failure->message, message, sizeof(message));
    snprintf(failure->traceback, sizeof(failure->traceback), "what the specs say:\n%s", from);
}

static void tell_strange(const specs_run *run, const char *message, fa_load_failure *failure)
{
    size_t room = sizeof(failure->traceback) - 30, from = run->used > room ? run->used - room : 0;
    memset(failure, 0, sizeof(*failure));
    snprintf(failure->message, sizeof(failure->message), "%s", message);
    snprintf(failure->traceback, sizeof(failure->traceback), "what they say:\n%s", run->text + from);
}

static fa_result judge(specs_run *run, int status, fa_load_failure *failure, fa_error *error)
{
    char story[80], message[120];
    const char *from = strncmp(run->text, "not ok ", 7) == 0 ? run->text : strstr(run->text, "\nnot ok ");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return FA_OK;
    if (from != NULL) {
        tell_failing(run, from + (*from == '\n'), failure);
    } else {
        snprintf(message, sizeof(message), "the process of the specs %s", fa_exit_story(status, story));
        tell_strange(run, message, failure);
    }
    return fa_fail(error, FA_INVALID, "%.390s", failure->message);
}

static fa_result finish(specs_run *run, fa_result attended, fa_load_failure *failure, fa_error *error)
{
    char message[80];
    int status = end_group(run);
    close(run->end);
    close(run->output);
    run->text[run->used] = '\0';
    if (attended == FA_CANCELLED)
        return fa_fail(error, FA_CANCELLED, "the server stops");
    if (attended == FA_OK)
        return judge(run, status, failure, error);
    snprintf(message, sizeof(message), "the specs took longer than %.1f s (reload_specs_limit)",
             (double)run->specs->limit_ms / 1000);
    tell_strange(run, message, failure);
    return fa_fail(error, FA_INVALID, "%.390s", failure->message);
}

fa_result fa_reload_specs_run(const fa_reload_specs *specs, fa_scope *scope, fa_load_failure *failure, fa_error *error)
{
    specs_run *run = fa_scope_allocate(scope, sizeof(*run));
    if (run == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to run specs");
    run->specs = specs;
    make_words(run);
    fa_result result = start(run, error);
    if (result == FA_OK)
        result = finish(run, attend(run), failure, error);
    fa_scope_free(scope, run);
    return result;
}
