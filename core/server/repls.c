#include "server/repls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "script/repl.h"
#include "server/repl_frames.h"

/* One who has a repl open. Its memory is its account's, because libuv lets go of it a turn of the loop after the end. */
typedef struct client {
    fa_list link; /* in those of its worker */
    fa_repls *repls;
    fa_account *account;
    fa_worker *worker;
    fa_generations *generations;
    fa_message arrival;
    int fd; /* until libuv has it */
    uv_pipe_t pipe;
    fa_scope *scope; /* NULL once it has ended */
    fa_scope_hook at_end;
    fa_repl *repl;
    unsigned number, generation; /* generation: that ran its last line */
    long pid;                    /* of the other end */
    unsigned header_used;
    unsigned char header[FA_REPL_HEADER];
    char *chunk; /* in the making; NULL: none */
    size_t chunk_used, chunk_length;
    size_t lines, left_out; /* left_out: bytes that were printed and not sent */
    char block[4096];
} client;

/* Of one worker. */
typedef struct desk {
    fa_list clients;
    fa_message end;
} desk;

struct fa_repls {
    fa_runtime *runtime;
    const fa_log *log;
    fa_account *account;
    size_t line_budget;
    _Atomic unsigned count;
    unsigned last; /* number; of the control thread */
    desk desks[FA_MAX_WORKERS];
};

/* ---- writing ---- */

typedef struct writing {
    uv_write_t request;
    client *client;
    size_t size;
    char bytes[];
} writing;

static void free_client(client *c)
{
    fa_repls *repls = c->repls;
    fa_account_free(c->account, c, sizeof(*c));
    repls->count--;
}

static void on_written(uv_write_t *request, int status)
{
    writing *w = FA_OBJECT(request, writing, request);
    (void)status; /* when it has failed, reading says so, too */
    fa_account_free(w->client->account, w, w->size);
}

static bool send_frame(client *c, fa_repl_frame type, const char *text, size_t length)
{
    void *memory;
    size_t size = sizeof(writing) + FA_REPL_HEADER + length;
    if (c->scope == NULL || fa_account_allocate(c->account, size, &memory) != FA_OK)
        return false;
    writing *w = memory;
    w->client = c;
    w->size = size;
    fa_repl_write_header((unsigned char *)w->bytes, type, (uint32_t)length);
    memcpy(w->bytes + FA_REPL_HEADER, text, length);
    uv_buf_t buffer = uv_buf_init(w->bytes, (unsigned)(FA_REPL_HEADER + length));
    if (uv_write(&w->request, (uv_stream_t *)&c->pipe, &buffer, 1, on_written) == 0)
        return true;
    fa_account_free(c->account, w, size);
    return false;
}

static void send_text(client *c, fa_repl_frame type, const char *text)
{
    send_frame(c, type, text, strlen(text));
}

static size_t waiting(const client *c)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
}

/* What a slow client has not taken waits, but not without end. */
static void on_printed(void *context, fa_text text)
{
    client *c = context;
    if (c->left_out > 0 || waiting(c) + text.length > FA_REPL_MOST_OUTPUT ||
        !send_frame(c, FA_REPL_PRINTED, text.data, text.length))
        c->left_out += text.length;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    free_client(FA_OBJECT(handle, client, pipe));
}

static void drop_chunk(client *c)
{
    if (c->chunk != NULL)
        fa_account_free(c->account, c->chunk, c->chunk_length);
    c->chunk = NULL;
    c->header_used = 0;
}

/* Whatever ends it: the connection, or the worker. Runs after the line's scope has ended. */
static void on_scope_end(fa_scope_hook *hook)
{
    client *c = FA_OBJECT(hook, client, at_end);
    fa_script *all[FA_MOST_GENERATIONS + 1];
    const char *why = fa_scope_reason(c->scope);
    unsigned char header[FA_REPL_HEADER];
    fa_repl_write_header(header, FA_REPL_END, (uint32_t)strlen(why));
    uv_buf_t last[2] = {uv_buf_init((char *)header, FA_REPL_HEADER), uv_buf_init((char *)why, (unsigned)strlen(why))};
    uv_try_write((uv_stream_t *)&c->pipe, last, 2); /* when it cannot be said, the end of the connection says it */
    c->scope = NULL;
    drop_chunk(c);
    fa_list_remove(&c->link);
    fa_log_write(c->repls->log, FA_LOG_INFO, "repl: process %ld has left after %zu lines: %s", c->pid, c->lines, why);
    fa_generations_all(c->generations, all);
    for (fa_script **script = all; *script != NULL; ++script)
        fa_repl_forget(*script, c->number);
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void end(client *c, const char *why)
{
    if (c->scope != NULL)
        fa_scope_end(c->scope, why, NULL);
}

/* ---- lines ---- */

static void on_line_done(void *context, bool well, fa_text text)
{
    client *c = context;
    char notice[100];
    if (c->scope == NULL || !fa_scope_live(c->scope)) /* that is why */
        return;
    if (c->left_out > 0) {
        snprintf(notice, sizeof(notice), "%zu bytes that were printed are left out: too much to wait for the reader",
                 c->left_out);
        c->left_out = 0;
        send_text(c, FA_REPL_NOTICE, notice);
    }
    if (!send_frame(c, well ? FA_REPL_VALUES : FA_REPL_ERROR, text.data, text.length))
        end(c, "there is no memory for the answer");
}

static void run_chunk(client *c)
{
    char notice[120];
    if (waiting(c) > FA_REPL_MOST_OUTPUT) {
        end(c, "it does not read what it is told");
        return;
    }
    fa_script *script = fa_generations_current(c->generations);
    unsigned generation = fa_script_generation(script);
    if (generation != c->generation) {
        snprintf(notice, sizeof(notice), "generation %u serves now: it knows no globals of this repl", generation);
        send_text(c, FA_REPL_NOTICE, notice);
    }
    c->generation = generation;
    c->lines++;
    fa_result result = fa_repl_run(c->repl, script, (fa_text){c->chunk, c->chunk_length});
    if (result == FA_NO_MEMORY || result == FA_OVER_BUDGET)
        on_line_done(c, false, FA_TEXT("there is no memory to run it"));
    if (result == FA_WRONG_STATE)
        end(c, "a line came before the last one was over");
}

/* A whole header. False: the connection is over. */
static bool begin_frame(client *c)
{
    void *memory;
    uint32_t length = fa_repl_read_length(c->header);
    if (c->header[0] == FA_REPL_STOP && length == 0) {
        c->header_used = 0;
        fa_repl_stop(c->repl, "the operator has stopped it");
        return true;
    }
    if (c->header[0] != FA_REPL_RUN || length == 0 || length > FA_REPL_MOST_INPUT) {
        end(c, "what came is no line, or too long a one");
        return false;
    }
    if (fa_account_allocate(c->account, length, &memory) != FA_OK) {
        end(c, "there is no memory for a line");
        return false;
    }
    c->chunk = memory;
    c->chunk_used = 0;
    c->chunk_length = length;
    return true;
}

/* Takes what it can; returns how much. */
static size_t take(client *c, const char *data, size_t length)
{
    if (c->chunk == NULL) {
        size_t wanted = FA_REPL_HEADER - c->header_used, taken = length < wanted ? length : wanted;
        memcpy(c->header + c->header_used, data, taken);
        c->header_used += (unsigned)taken;
        if (c->header_used == FA_REPL_HEADER)
            begin_frame(c);
        return taken;
    }
    size_t wanted = c->chunk_length - c->chunk_used, taken = length < wanted ? length : wanted;
    memcpy(c->chunk + c->chunk_used, data, taken);
    c->chunk_used += taken;
    if (c->chunk_used == c->chunk_length) {
        run_chunk(c);
        drop_chunk(c);
    }
    return taken;
}

static void give_block(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    client *c = FA_OBJECT(handle, client, pipe);
    (void)suggested;
    *buffer = uv_buf_init(c->block, sizeof(c->block));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    client *c = FA_OBJECT(stream, client, pipe);
    if (got < 0)
        end(c, "it has closed the connection");
    for (size_t used = 0; got > 0 && used < (size_t)got && c->scope != NULL;)
        used += take(c, buffer->base + used, (size_t)got - used);
}

/* ---- the beginning ---- */

static void greet(client *c)
{
    char text[160];
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    c->pid = peer.pid;
    c->generation = fa_script_generation(fa_generations_current(c->generations));
    fa_log_write(c->repls->log, FA_LOG_INFO, "repl: process %ld of user %u is attached to worker %u", c->pid,
                 (unsigned)peer.uid, fa_worker_index(c->worker));
    snprintf(text, sizeof(text), "fitnessally %s, process %ld, worker %u of %u, generation %u", fa_version(),
             (long)getpid(), fa_worker_index(c->worker), fa_runtime_crew(c->repls->runtime)->count, c->generation);
    send_text(c, FA_REPL_NOTICE, text);
}

/* The pipe stands; what fails from here on is cleaned up by the scope's end. */
static void begin(client *c)
{
    const fa_repl_listener listener = {on_printed, on_line_done, c};
    fa_list_append(&c->repls->desks[fa_worker_index(c->worker)].clients, &c->link);
    fa_scope_hook_add(c->scope, &c->at_end, on_scope_end);
    if (fa_repl_new(c->worker, c->scope, c->number, c->repls->line_budget, &listener, &c->repl) != FA_OK)
        end(c, "there is no memory for a repl");
    else if (uv_read_start((uv_stream_t *)&c->pipe, give_block, on_read) != 0)
        end(c, "the connection cannot be read");
    else
        greet(c);
}

/* Writing to a client that has gone must be an error, not the end of an embedder's process: libuv writes without MSG_NOSIGNAL. */
static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void on_arrival(fa_message *message)
{
    client *c = FA_OBJECT(message, client, arrival);
    block_sigpipe();
    fa_scope *parent = fa_worker_scope(c->worker);
    c->generations = fa_runtime_generations(c->repls->runtime, fa_worker_index(c->worker));
    if (fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SCRIPT, 0, "repl", FA_HERE, &c->scope) != FA_OK) {
        close(c->fd);
        free_client(c);
        return;
    }
    uv_pipe_init(fa_worker_loop(c->worker), &c->pipe, 0);
    if (uv_pipe_open(&c->pipe, c->fd) != 0) {
        close(c->fd);
        fa_scope_end(c->scope, "the connection cannot be used", NULL);
        c->scope = NULL;
        uv_close((uv_handle_t *)&c->pipe, on_closed);
        return;
    }
    begin(c);
}

static void on_end(fa_message *message)
{
    desk *d = FA_OBJECT(message, desk, end);
    for (fa_list *node; (node = fa_list_first(&d->clients)) != NULL;)
        end(FA_OBJECT(node, client, link), "the server stops");
}

fa_repls *fa_repls_new(fa_scope *scope, fa_runtime *runtime, const fa_log *log, size_t line_budget)
{
    fa_repls *repls = fa_scope_allocate(scope, sizeof(*repls));
    if (repls == NULL)
        return NULL;
    repls->runtime = runtime;
    repls->log = log;
    repls->account = fa_scope_account(scope);
    repls->line_budget = line_budget;
    for (unsigned i = 0; i < FA_MAX_WORKERS; ++i) {
        fa_list_init(&repls->desks[i].clients);
        fa_message_init(&repls->desks[i].end, on_end);
    }
    return repls;
}

static fa_result find_worker(const fa_repls *repls, const char *text, unsigned *index, fa_error *error)
{
    char *rest;
    unsigned long number = strtoul(text, &rest, 10);
    unsigned count = fa_runtime_crew(repls->runtime)->count;
    if (*text < '0' || *text > '9' || *rest != '\0' || number >= count)
        return fa_fail(error, FA_NOT_FOUND, "there is no worker %.20s: they are numbered from 0 to %u", text,
                       count - 1);
    *index = (unsigned)number;
    return FA_OK;
}

fa_result fa_repls_take(fa_repls *repls, const char *worker, int connection, fa_error *error)
{
    void *memory;
    unsigned index = 0;
    fa_result result = find_worker(repls, worker, &index, error);
    if (result != FA_OK)
        return result;
    if (repls->count >= FA_MOST_REPLS)
        return fa_fail(error, FA_FULL, "%d repls are open, the most there may be", FA_MOST_REPLS);
    result = fa_account_allocate(repls->account, sizeof(client), &memory);
    if (result != FA_OK)
        return fa_fail(error, result, "there is no memory for a repl");
    client *c = memset(memory, 0, sizeof(client));
    c->repls = repls;
    c->account = repls->account;
    c->worker = fa_runtime_crew(repls->runtime)->workers[index];
    c->fd = connection;
    c->number = ++repls->last;
    repls->count++;
    fa_list_init(&c->link);
    fa_message_init(&c->arrival, on_arrival);
    fa_worker_post(c->worker, &c->arrival);
    return FA_OK;
}

void fa_repls_end(fa_repls *repls)
{
    for (unsigned i = 0; repls != NULL && i < fa_runtime_crew(repls->runtime)->count; ++i)
        fa_worker_post(fa_runtime_crew(repls->runtime)->workers[i], &repls->desks[i].end);
}
