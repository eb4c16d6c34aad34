/* `fitnessally repl`: Lua that is typed here and runs in a worker of a running server. This end reads lines, sees when a chunk is whole, and
 * shows what comes back; server/repls.h is the other one. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <lauxlib.h>

#include "server/cli.h"
#include "server/control.h"
#include "server/repl_frames.h"

typedef struct session {
    int connection;
    lua_State *parser;                  /* only ever loads: whether a chunk is whole */
    bool terminal;                      /* somebody types */
    bool busy, failed, over;            /* a line runs; the last one has failed; the other end has gone */
    char chunk[FA_REPL_MOST_INPUT + 1]; /* what has been typed and was not sent */
    size_t chunk_used;
    char typed[4096]; /* read, and not yet part of it */
    size_t typed_begin, typed_end;
    bool typed_out; /* nothing more comes */
    bool welcomed;
} session;

static volatile sig_atomic_t interrupted;
static sigset_t while_waiting; /* SIGINT comes while we wait, and at no other time */

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void heed_interrupts(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigprocmask(SIG_BLOCK, &held, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
}

static const char commands[] =
    ".help    this text\n"
    ".quit    leaves; so does the end of the input (Ctrl-D)\n"
    "\n"
    "Anything else is Lua and runs in the worker, in the scripts that serve now. The values of an "
    "expression are shown.\n"
    "`x = 1` keeps x for the next line, `local x` does not. require \"a.b\" gives the module as "
    "the application has it.\n"
    "Buffers, tasks and other handles end with the line that made them. Ctrl-C stops a line that "
    "waits.\n";

/* ---- what comes from the server ---- */

static bool receive(int fd, void *data, size_t length)
{
    for (char *at = data; length > 0;) {
        ssize_t got = recv(fd, at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static void show(session *s, fa_repl_frame type, const char *text, size_t length)
{
    FILE *to = type == FA_REPL_PRINTED || type == FA_REPL_VALUES ? stdout : stderr;
    const char *before = type == FA_REPL_NOTICE || type == FA_REPL_END ? "-- " : "";
    s->busy = s->busy && type != FA_REPL_VALUES && type != FA_REPL_ERROR;
    s->over = type == FA_REPL_END;
    s->failed = s->failed || type == FA_REPL_ERROR;
    fflush(stdout);
    if (length > 0 && (type != FA_REPL_NOTICE || s->terminal || s->welcomed))
        fprintf(to, "%s%.*s%s", before, (int)length, text, type == FA_REPL_PRINTED ? "" : "\n");
    fflush(to);
}

/* One frame. */
static void take_frame(session *s)
{
    unsigned char header[FA_REPL_HEADER];
    uint32_t length = 0;
    char *text = NULL;
    bool well = receive(s->connection, header, sizeof(header));
    if (well)
        well = (length = fa_repl_read_length(header)) <= 2 * FA_REPL_MOST_OUTPUT &&
               (text = malloc(length + 1)) != NULL && receive(s->connection, text, length);
    if (well)
        show(s, (fa_repl_frame)header[0], text, length);
    else
        s->over = true;
    free(text);
}

/* The first thing: a notice, or why not. */
static bool is_welcome(session *s)
{
    char first, line[420] = "";
    size_t used = 0;
    if (recv(s->connection, &first, 1, MSG_PEEK) != 1) {
        fa_cli_failed("the server does not answer");
        return false;
    }
    if (first == FA_REPL_NOTICE) {
        take_frame(s); /* who it is: for somebody who types */
        s->welcomed = true;
        return !s->over;
    }
    while (used < sizeof(line) - 1 && receive(s->connection, line + used, 1) && line[used] != '\n')
        ++used;
    line[used] = '\0';
    fa_cli_failed("%s", strncmp(line, "error: ", 7) == 0 ? line + 7 : line);
    return false;
}

/* ---- what goes to it ---- */

static void send_frame(session *s, fa_repl_frame type, const char *text, size_t length)
{
    char frame[FA_REPL_HEADER + FA_REPL_MOST_INPUT];
    fa_repl_write_header((unsigned char *)frame, type, (uint32_t)length);
    if (length > 0)
        memcpy(frame + FA_REPL_HEADER, text, length);
    for (size_t sent = 0, all = FA_REPL_HEADER + length; sent < all && !s->over;) {
        ssize_t now = send(s->connection, frame + sent, all - sent, MSG_NOSIGNAL);
        if (now < 0 && errno != EINTR)
            s->over = true;
        sent += now > 0 ? (size_t)now : 0;
    }
}

/* Whether more lines must come before it can be Lua. */
static bool is_open(const session *s)
{
    bool open = false;
    const char *text = s->chunk + strspn(s->chunk, " \t\n");
    bool expression = *text == '=';
    for (int as = 0; as < (expression ? 1 : 2); ++as) {
        lua_settop(s->parser, 0);
        lua_pushfstring(s->parser, "%s%s", as == 0 ? "return " : "", expression ? text + 1 : text);
        size_t length;
        const char *source = lua_tolstring(s->parser, 1, &length);
        if (luaL_loadbufferx(s->parser, source, length, "=", "t") == 0)
            return false;
        const char *message = lua_tostring(s->parser, -1);
        size_t end = strlen(message), eof = strlen("'<eof>'");
        open = open || (end >= eof && strcmp(message + end - eof, "'<eof>'") == 0);
    }
    return open;
}

static void send_chunk(session *s)
{
    s->failed = false;
    s->busy = true;
    send_frame(s, FA_REPL_RUN, s->chunk, s->chunk_used);
    s->chunk_used = 0;
}

/* Until the line is over. */
static void wait_for_it(session *s)
{
    while (s->busy && !s->over) {
        struct pollfd ready = {.fd = s->connection, .events = POLLIN};
        int count = ppoll(&ready, 1, NULL, &while_waiting);
        if (interrupted) {
            interrupted = 0;
            send_frame(s, FA_REPL_STOP, NULL, 0);
        }
        if (count > 0)
            take_frame(s);
    }
}

/* ---- lines ---- */

/* ".quit": false. A line that begins with a point is no Lua. */
static bool obey(const session *s)
{
    if (strcmp(s->chunk, ".quit\n") == 0 || strcmp(s->chunk, ".exit\n") == 0)
        return false;
    if (strcmp(s->chunk, ".help\n") == 0)
        fputs(commands, stdout);
    else
        fprintf(stderr, "there is no command %.*s, but .help and .quit\n", (int)strcspn(s->chunk, "\n"), s->chunk);
    return true;
}

static void prompt(const session *s)
{
    if (!s->terminal)
        return;
    fputs(s->chunk_used > 0 ? ">> " : "> ", stdout);
    fflush(stdout);
}

/* Something typed, or the server has gone, or it was interrupted. */
static void wait_for_input(session *s)
{
    struct pollfd ready[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s->connection, .events = POLLIN}};
    if (ppoll(ready, 2, NULL, &while_waiting) < 0)
        return;
    if (ready[1].revents != 0) {
        take_frame(s);
        return;
    }
    ssize_t got = read(STDIN_FILENO, s->typed, sizeof(s->typed));
    s->typed_begin = 0;
    s->typed_end = got > 0 ? (size_t)got : 0;
    s->typed_out = got == 0 || (got < 0 && errno != EINTR);
}

/* Adds what was typed up to the end of a line. True when that is there. */
static bool take_typed(session *s)
{
    while (s->typed_begin < s->typed_end && s->chunk_used < FA_REPL_MOST_INPUT) {
        char c = s->typed[s->typed_begin++];
        s->chunk[s->chunk_used++] = c;
        s->chunk[s->chunk_used] = '\0';
        if (c == '\n')
            return true;
    }
    return false;
}

/* False: at the end of the input, or when the server has gone. */
static bool read_line(session *s)
{
    prompt(s);
    while (!take_typed(s)) {
        if (s->chunk_used == FA_REPL_MOST_INPUT) {
            fa_cli_failed("a chunk has at most %d bytes", FA_REPL_MOST_INPUT);
            s->failed = true;
            return false;
        }
        if (s->typed_out || s->over)
            return false;
        wait_for_input(s);
        if (interrupted) { /* what was typed is forgotten */
            interrupted = 0;
            s->chunk_used = 0;
            putchar('\n');
            prompt(s);
        }
    }
    return true;
}

/* What stdin says until its end, or .quit, or, when nobody types, until something fails. */
static void talk(session *s)
{
    while (!s->over && (s->terminal || !s->failed)) {
        bool more = read_line(s);
        if (s->over || (s->chunk_used == 0 && !more) || (s->failed && !more && s->chunk_used == FA_REPL_MOST_INPUT))
            break;
        if (strspn(s->chunk, " \t\n") == s->chunk_used) {
            s->chunk_used = 0;
        } else if (s->chunk[0] == '.') {
            if (!obey(s))
                break;
            s->chunk_used = 0;
        } else if (!more || !is_open(s)) { /* at the end of the input the server says what is missing */
            send_chunk(s);
            wait_for_it(s);
        }
        if (!more)
            break;
    }
    if (s->terminal && !s->over)
        putchar('\n');
}

/* A file is one chunk. */
static bool read_file(session *s, const char *name)
{
    FILE *file = fopen(name, "r");
    if (file == NULL) {
        fa_cli_failed("%s: %s", name, strerror(errno));
        return false;
    }
    s->chunk_used = fread(s->chunk, 1, sizeof(s->chunk), file);
    fclose(file);
    if (s->chunk_used <= FA_REPL_MOST_INPUT && s->chunk_used > 0)
        return true;
    fa_cli_failed(s->chunk_used > 0 ? "%s: a chunk has at most %d bytes" : "%s: it is empty", name, FA_REPL_MOST_INPUT);
    return false;
}

static int attend(session *s, const char *file)
{
    if (!is_welcome(s))
        return FA_EXIT_FAILED;
    if (s->terminal)
        fputs("-- .help says more\n", stderr);
    if (file == NULL) {
        talk(s);
    } else if (read_file(s, file)) {
        send_chunk(s);
        wait_for_it(s);
    } else {
        return FA_EXIT_FAILED;
    }
    return s->over || (s->failed && !s->terminal) ? FA_EXIT_FAILED : FA_EXIT_DONE;
}

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH], request[40];
    const char *worker = cli->worker != NULL ? cli->worker : "0";
    fa_error error = {{0}};
    if (cli->argument_count > 1)
        return fa_cli_misused("repl", "repl takes one file at most");
    if (*worker == '\0' || strspn(worker, "0123456789") != strlen(worker) || strlen(worker) > 3)
        return fa_cli_misused("repl", "--worker wants the number of a worker, from 0 on, not \"%s\"", worker);
    int status = fa_cli_find_server(cli, path);
    session *s = status == FA_EXIT_DONE ? calloc(1, sizeof(*s)) : NULL;
    if (s == NULL)
        return status != FA_EXIT_DONE ? status : fa_cli_failed("out of memory");
    snprintf(request, sizeof(request), "repl %s", worker);
    s->terminal = cli->argument_count == 0 && isatty(STDIN_FILENO);
    sigprocmask(SIG_SETMASK, NULL, &while_waiting);
    if (s->terminal)
        heed_interrupts();
    if ((s->parser = luaL_newstate()) == NULL)
        status = fa_cli_failed("out of memory");
    else if (fa_control_open(path, request, &s->connection, &error) != FA_OK)
        status = fa_cli_failed("%s", error.text);
    else {
        status = attend(s, cli->argument_count > 0 ? cli->arguments[0] : NULL);
        close(s->connection);
    }
    if (s->parser != NULL)
        lua_close(s->parser);
    free(s);
    return status;
}

const fa_command fa_command_repl = {
    .name = "repl",
    .options = "pun",
    .summary = "run Lua in a running server, line by line",
    .help =
        "usage: fitnessally repl [options]            run what is typed, or comes from a pipe, line by line\n"
        "       fitnessally repl [options] FILE       run a file as one chunk, of at most 64 KB\n"
        "\n"
        "Each chunk of Lua runs in a worker of the running server, beside the requests, in the scripts that serve now: "
        "it "
        "sees what\n"
        "a script sees (fitnessally, settings, stores, topics, upstreams, and by require the modules as the "
        "application has "
        "them).\n"
        "The values of an expression are shown, and what print says; `=EXPRESSION` is the same. Functions that wait "
        "may "
        "wait.\n"
        "A chunk that is not whole waits for more lines. `x = 1` keeps x for the next chunk, `local x` does not; a "
        "reload "
        "forgets\n"
        "it. What a chunk opens and spawns ends with it, or with the connection. It is stopped when it takes more than "
        "script_slice\n"
        "without waiting, as every script is; Ctrl-C stops one that waits. Nothing that is typed is logged, but that "
        "somebody has\n"
        "come and left is.\n"
        "\n"
        "  .help, .quit         in a line of its own; the end of the input (Ctrl-D) leaves, too\n"
        "  --worker N           which worker, from 0 on; without it 0. Each has its own state\n"
        "  --pid PID            the server of that process; without it the only one of this user\n"
        "  --socket PATH        the server that listens on that control socket\n"
        "\n"
        "From a pipe the first chunk that fails is the last one, and the exit status is 1. Only the user of the server "
        "can "
        "open its\n"
        "control socket; `repl = false` in the configuration switches this off. `rlwrap fitnessally repl` edits lines "
        "and has "
        "a history.\n",
    .run = run,
};
