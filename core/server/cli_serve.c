/* `fitnessally serve`: runs the server in the foreground until a signal ends it. */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/server.h"
#include "server/supervisor.h"

/* The signals that this thread waits for. Blocked before the server starts, so that its threads never get them. */
static void block_signals(sigset_t *awaited)
{
    sigemptyset(awaited);
    sigaddset(awaited, SIGTERM);
    sigaddset(awaited, SIGINT);
    sigaddset(awaited, SIGHUP);
    sigaddset(awaited, SIGUSR1);
    sigaddset(awaited, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, awaited, NULL);
    signal(SIGPIPE, SIG_IGN); /* a vanished client is a result of write, not a reason to die */
}

static struct timespec first_signal;
static atomic_bool handed_over; /* a successor serves: the signal is our own */

static void stop_at_once(int number)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double waited = (double)(now.tv_sec - first_signal.tv_sec) + (double)(now.tv_nsec - first_signal.tv_nsec) / 1e9;
    if (number != SIGALRM && waited < 0.3) /* the same wish told twice, to the process and to its group */
        return;
    static const char text[] = "fitnessally: stopped at once\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    (void)number;
    _exit(FA_EXIT_FAILED);
}

/* While this thread drains it waits for no signal: a second one comes in as a handler. */
static void heed_second_signal(uint64_t drain_ms)
{
    struct sigaction action = {.sa_handler = stop_at_once};
    sigset_t impatient;
    sigemptyset(&impatient);
    sigaddset(&impatient, SIGTERM);
    sigaddset(&impatient, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    clock_gettime(CLOCK_MONOTONIC, &first_signal);
    alarm((unsigned)(drain_ms / 1000) + 5); /* a script that never gives the thread back must not keep the process */
    pthread_sigmask(SIG_UNBLOCK, &impatient, NULL);
}

static void write_report(fa_server *server)
{
    char path[4096];
    fa_error error = {{0}};
    if (fa_server_write_memory_report(server, path, sizeof(path), &error) == FA_OK)
        fa_log_write(fa_server_log(server), FA_LOG_INFO, "memory report written to %s", path);
    else
        fa_log_write(fa_server_log(server), FA_LOG_ERROR, "no memory report: %s", error.text);
}

static void reload_certificates(fa_server *server)
{
    fa_error error = {{0}};
    if (fa_server_reload_certificates(server, &error) == FA_OK)
        fa_log_write(fa_server_log(server), FA_LOG_INFO, "SIGHUP: certificates reloaded");
    else
        fa_log_write(fa_server_log(server), FA_LOG_ERROR, "SIGHUP: the certificates stay as they were: %s", error.text);
}

/* Returns when it is time to stop. */
static void heed_signals(fa_server *server, const sigset_t *awaited)
{
    const fa_log *log = fa_server_log(server);
    for (int number;;) {
        if (sigwait(awaited, &number) != 0)
            continue;
        switch (number) {
        case SIGHUP:
            reload_certificates(server);
            fa_server_reload_soon(server);
            break;
        case SIGUSR1:
            fa_server_reopen_logs(server);
            break;
        case SIGUSR2:
            write_report(server);
            break;
        default:
            fa_log_write(log, FA_LOG_INFO, "%s: draining; %s signal stops at once",
                         handed_over        ? "another process serves now"
                         : number == SIGINT ? "SIGINT"
                                            : "SIGTERM",
                         handed_over ? "a" : "a second");
            return;
        }
    }
}

/* ---- from one process to the next ---- */

typedef struct succession {
    char *const *argv;
    fa_inheritance inheritance;
} succession;

static fa_result start_by_ourselves(const succession *s, const fa_sockets *sockets, pid_t *pid, fa_error *said)
{
    int leash;
    fa_result result = fa_handover_spawn(s->argv, sockets, false, pid, &leash, said);
    return result == FA_OK ? fa_handover_await(*pid, leash, said) : result;
}

static fa_result ask_supervisor(const succession *s, pid_t *pid, fa_error *said)
{
    char text[FA_LEASH_TEXT] = "the supervisor does not answer";
    char what = 'N';
    if (fa_leash_send(s->inheritance.leash, 'U', "", NULL))
        what = fa_leash_receive(s->inheritance.leash, 2 * FA_SUCCESSOR_PATIENCE_MS, text, NULL);
    if (what != 'D')
        return fa_fail(said, FA_IO, "%s", text);
    *pid = (pid_t)strtol(text, NULL, 10);
    return FA_OK;
}

/* On the control thread. Our own SIGTERM is the main thread's word to drain. */
static fa_result start_successor(void *context, const fa_sockets *sockets, fa_error *said)
{
    pid_t pid = 0;
    const succession *s = context;
    fa_result result =
        s->inheritance.supervised ? ask_supervisor(s, &pid, said) : start_by_ourselves(s, sockets, &pid, said);
    if (result != FA_OK)
        return result;
    snprintf(said->text, sizeof(said->text), "process %ld serves now; process %ld finishes what it has, and ends",
             (long)pid, (long)getpid());
    handed_over = true;
    kill(getpid(), SIGTERM);
    return FA_OK;
}

static void say_ready(succession *s, const fa_server *server)
{
    char state[64];
    const char *address;
    size_t unused = 0;
    for (size_t i = 0; i < s->inheritance.sockets.count; ++i)
        unused += s->inheritance.sockets.fds[i] >= 0;
    if (unused != 0)
        fa_log_write(fa_server_log(server), FA_LOG_WARN,
                     "%zu sockets that were handed over are for no address in `listen`, and are closed", unused);
    fa_sockets_close(&s->inheritance.sockets);
    snprintf(state, sizeof(state), "READY=1\nMAINPID=%ld",
             s->inheritance.supervised ? (long)getppid() : (long)getpid());
    fa_notify_systemd(state);
    fa_inheritance_ready(&s->inheritance, fa_server_sockets(server)); /* whoever hears it may kill the old one */
    /* Last: who reads it may count on it that a supervisor starts this one again. */
    for (size_t i = 0; (address = fa_server_address(server, i)) != NULL; ++i)
        fprintf(stderr, "listening on %s\n", address);
}

/* `fitnessally spec`, with the configuration that is ours. NULL: no memory. */
static char **spec_command(const fa_cli *cli)
{
    size_t count = 0;
    const char *file = fa_cli_file(cli);
    const char **words = calloc(2 * cli->override_count + 8, sizeof(*words));
    if (words == NULL)
        return NULL;
    words[count++] = "fitnessally";
    words[count++] = "spec";
    words[count++] = "--output";
    words[count++] = "TAP";
    if (file != NULL) {
        words[count++] = "--config";
        words[count++] = file;
    }
    for (size_t i = 0; i < cli->override_count; ++i) {
        words[count++] = "--set";
        words[count++] = cli->overrides[i];
    }
    return (char **)words;
}

static int serve(const fa_cli *cli, succession *s, const sigset_t *awaited)
{
    fa_server *server;
    fa_error error = {{0}};
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    char **specs = spec_command(cli);
    if (specs != NULL)
        fa_server_on_specs(server, "/proc/self/exe", specs);
    fa_server_inherit(server, &s->inheritance.sockets);
    fa_server_on_upgrade(server, start_successor, s);
    fa_result result = fa_server_start(server, &error);
    if (result == FA_OK) {
        say_ready(s, server);
        heed_signals(server, awaited);
        heed_second_signal(fa_server_drain_ms(server));
        fa_server_stop(server, fa_server_drain_ms(server));
    } else {
        status = fa_cli_failed("%s", error.text[0] != '\0' ? error.text : fa_result_name(result));
    }
    fa_server_destroy(server);
    free(specs);
    return status;
}

static int run(const fa_cli *cli)
{
    sigset_t awaited;
    succession s = {.argv = cli->argv};
    if (cli->argument_count > 0)
        return fa_cli_misused("serve", "serve takes no argument \"%s\"", cli->arguments[0]);
    block_signals(&awaited);
    fa_inheritance_take(&s.inheritance);
    if (cli->supervise && !s.inheritance.supervised)
        return fa_supervise(cli->argv, &s.inheritance);
    if (s.inheritance.supervised)
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody may be left behind with the sockets */
    return serve(cli, &s, &awaited);
}

const fa_command fa_command_serve = {
    .name = "serve",
    .options = "clwdsS",
    .summary = "run the server in the foreground",
    .help = "usage: fitnessally serve [options]\n"
            "\n"
            "Runs the server in the foreground. When it is ready it says `listening on http://HOST:PORT` on standard "
            "error.\n"
            "\n"
            "  -c, --config FILE    configuration (default: fitnessally.conf.lua here, else the shipped one)\n"
            "  --listen HOST:PORT   listen here instead of where the configuration says; may be repeated; port 0 picks "
            "one; https://HOST:PORT speaks TLS\n"
            "  --workers N          threads that serve\n"
            "  --data DIR           folder with exercises.json and media/\n"
            "  --set KEY=VALUE      any key of the configuration; may be repeated\n"
            "  --supervise          a small process stays above it, holds the sockets and starts it again when it "
            "crashes\n"
            "\n"
            "SIGTERM, SIGINT      finish what runs and exit 0; a second one stops at once\n"
            "SIGHUP               read the certificates again and load the scripts anew; what is under way finishes on "
            "the old ones\n"
            "SIGUSR1              open log files anew\n"
            "SIGUSR2              write a memory report into state_dir and go on\n",
    .run = run,
};
