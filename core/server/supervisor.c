/* What is a crash? The end of a server that has served, by a signal or with a status, unless somebody asked for it. One that has never served ends
 * the supervisor as well: a wrong configuration does not get better by trying.
 *
 * A server tells its sockets on the leash before it says that it serves; from then on they are kept here. An upgrade is the server's wish
 * (U): the next one is started beside it, and only when that serves is the old one told to go. */
#include "server/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { LONG_LIFE_MS = 10000, FIRST_DELAY_MS = 100, LONGEST_DELAY_MS = 30000 };

typedef struct child {
    pid_t pid; /* 0: there is none */
    int leash;
    bool serves;
    uint64_t since_ms;
} child;

typedef struct supervisor {
    char *const *argv;
    fa_sockets sockets; /* what the last server to serve listens on */
    fa_sockets coming;  /* what the next one has told so far */
    child current, next;
    unsigned retiring; /* those that were current and finish what they have */
    int signals;
    bool asked;    /* current waits to hear of next */
    bool stopping; /* by a signal */
    bool has_served;
    uint64_t delay_ms, start_at_ms; /* start_at_ms: 0: nothing is to be started */
    int status;                     /* of the last one that was current */
} supervisor;

/* A standard error that nobody reads must not stop us. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[800];
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    va_list args;
    va_start(args, format);
    int used = snprintf(line, sizeof(line), "fitnessally supervisor: ");
    vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    size_t length = strlen(line); /* there is room for the end of the line */
    line[length++] = '\n';
    if (poll(&ready, 1, 0) > 0 && write(STDERR_FILENO, line, length) < 0)
        return;
}

/* ---- starting ---- */

static bool start(supervisor *s, child *c, fa_error *error)
{
    memset(c, 0, sizeof(*c));
    fa_sockets_close(&s->coming); /* of one that never came to serve */
    s->coming.given = false;
    if (fa_handover_spawn(s->argv, &s->sockets, true, &c->pid, &c->leash, error) != FA_OK) {
        c->pid = 0;
        return false;
    }
    c->since_ms = fa_now_ms();
    return true;
}

/* Later each time, unless the last one lived long. */
static void start_later(supervisor *s, uint64_t lived_ms)
{
    if (lived_ms >= LONG_LIFE_MS)
        s->delay_ms = 0;
    s->start_at_ms = fa_now_ms() + s->delay_ms + 1;
    s->delay_ms = s->delay_ms == 0 ? FIRST_DELAY_MS : s->delay_ms * 2;
    s->delay_ms = s->delay_ms < LONGEST_DELAY_MS ? s->delay_ms : LONGEST_DELAY_MS;
}

static void start_current(supervisor *s)
{
    fa_error error = {""};
    s->start_at_ms = 0;
    if (start(s, &s->current, &error))
        return;
    say("%s", error.text);
    s->status = 1;
    if (s->has_served)
        start_later(s, 0);
}

static void forget(child *c)
{
    if (c->pid != 0)
        close(c->leash);
    memset(c, 0, sizeof(*c));
}

/* ---- upgrading ---- */

static void answer(supervisor *s, char what, const char *text)
{
    if (s->asked && s->current.pid != 0)
        fa_leash_send(s->current.leash, what, text, NULL);
    s->asked = false;
}

static void start_next(supervisor *s)
{
    fa_error error = {""};
    s->asked = true;
    if (s->next.pid != 0 || s->stopping)
        answer(s, 'N', "another one is being started, or the server stops");
    else if (!start(s, &s->next, &error))
        answer(s, 'N', error.text);
}

/* next serves: current may go. */
static void take_next(supervisor *s)
{
    char pid[24];
    snprintf(pid, sizeof(pid), "%ld", (long)s->next.pid);
    answer(s, 'D', pid);
    s->retiring += s->current.pid != 0;
    forget(&s->current);
    s->current = s->next;
    memset(&s->next, 0, sizeof(s->next));
    say("process %s serves now", pid);
}

static void fail_next(supervisor *s, const char *why)
{
    say("the next server: %s", why);
    answer(s, 'N', why);
    forget(&s->next);
    if (s->current.pid == 0)
        start_later(s, 0); /* current crashed meanwhile */
}

/* ---- what the children say ---- */

static void take_sockets(supervisor *s)
{
    fa_sockets_close(&s->sockets);
    s->sockets = s->coming;
    s->coming.count = 0;
    s->has_served = true;
}

/* False when there was nothing to be heard. */
static bool hear(supervisor *s, child *c)
{
    char text[FA_LEASH_TEXT];
    char what = fa_leash_receive(c->leash, 0, text, &s->coming);
    switch (what) {
    case 'S':
        s->coming.given = strcmp(text, "given") == 0;
        break;
    case 'R':
        c->serves = true;
        take_sockets(s);
        if (c == &s->next)
            take_next(s);
        break;
    case 'F':
        if (c == &s->next) /* its end would say less */
            answer(s, 'N', text);
        break;
    case 'U':
        if (c == &s->current)
            start_next(s);
        break;
    default:
        break;
    }
    return what != '?' && what != '\0';
}

/* ---- their ends ---- */

static void current_ended(supervisor *s, int status)
{
    char story[80];
    child ended = s->current;
    forget(&s->current);
    s->asked = false;
    s->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (s->stopping || !s->has_served || (ended.serves && s->status == 0))
        return; /* nothing is left, and we end */
    if (s->next.pid != 0)
        return; /* it comes anyway */
    start_later(s, ended.serves ? fa_now_ms() - ended.since_ms : 0);
    say("the server (process %ld) %s; it is started again in %llu ms", (long)ended.pid, fa_exit_story(status, story),
        (unsigned long long)(s->start_at_ms - fa_now_ms()));
}

static void reap(supervisor *s)
{
    int status;
    char story[80];
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->current.pid) {
            while (hear(s, &s->current)) /* its last words */
                ;
            current_ended(s, status);
        } else if (pid == s->next.pid) {
            while (pid == s->next.pid && hear(s, &s->next))
                ;
            if (pid == s->next.pid)
                fail_next(s, fa_exit_story(status, story));
            else
                current_ended(s, status); /* it said that it serves, and ended */
        } else if (s->retiring > 0) {
            s->retiring--;
        }
    }
}

/* ---- signals ---- */

static void pass_on(const supervisor *s, int number)
{
    if (s->current.pid != 0)
        kill(s->current.pid, number);
    if (s->next.pid != 0 && (number == SIGTERM || number == SIGINT))
        kill(s->next.pid, SIGTERM);
}

static void heed(supervisor *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGCHLD) {
        reap(s);
        return;
    }
    if (number == SIGTERM || number == SIGINT) {
        s->stopping = true;
        s->start_at_ms = 0;
    }
    pass_on(s, number);
}

/* ---- the loop ---- */

static int patience(const supervisor *s)
{
    uint64_t now_ms = fa_now_ms(), until_ms = s->start_at_ms;
    if (s->next.pid != 0)
        until_ms = s->next.since_ms + FA_SUCCESSOR_PATIENCE_MS;
    if (until_ms == 0)
        return -1;
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void look_at_the_time(supervisor *s)
{
    uint64_t now_ms = fa_now_ms();
    if (s->start_at_ms != 0 && now_ms >= s->start_at_ms)
        start_current(s);
    if (s->next.pid != 0 && now_ms >= s->next.since_ms + FA_SUCCESSOR_PATIENCE_MS)
        kill(s->next.pid, SIGKILL); /* its end is heard of */
}

static void turn(supervisor *s)
{
    struct pollfd ready[3] = {{.fd = s->signals, .events = POLLIN},
                              {.fd = s->current.pid != 0 ? s->current.leash : -1, .events = POLLIN},
                              {.fd = s->next.pid != 0 ? s->next.leash : -1, .events = POLLIN}};
    if (poll(ready, 3, patience(s)) < 0)
        return;
    if (ready[2].revents & POLLIN)
        hear(s, &s->next);
    else if (ready[1].revents & POLLIN)
        hear(s, &s->current);
    if (ready[0].revents != 0)
        heed(s);
    else if (ready[1].revents == POLLHUP || ready[2].revents == POLLHUP)
        poll(ready, 1, 1000); /* it is about to end: SIGCHLD is on its way */
    look_at_the_time(s);
}

int fa_supervise(char *const *argv, fa_inheritance *inheritance)
{
    sigset_t heeded;
    supervisor *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return 1;
    s->argv = argv;
    s->sockets = inheritance->sockets;
    inheritance->sockets.count = 0;
    sigemptyset(&heeded);
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i)
        sigaddset(&heeded, numbers[i]);
    sigprocmask(SIG_BLOCK, &heeded, NULL);
    s->signals = signalfd(-1, &heeded, SFD_CLOEXEC | SFD_NONBLOCK);
    s->status = 1;
    if (s->signals >= 0)
        start_current(s);
    while (s->current.pid != 0 || s->next.pid != 0 || s->retiring > 0 || s->start_at_ms != 0)
        turn(s);
    int status = s->status;
    fa_sockets_close(&s->sockets);
    close(s->signals);
    free(s);
    return status;
}
