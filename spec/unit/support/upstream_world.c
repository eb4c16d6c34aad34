#include "upstream_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/buffer.h"

static void keep_line(void *context, fa_log_level level, const char *line)
{
    upstream_world *w = context;
    (void)level;
    if (w->used + strlen(line) + 2 < sizeof(w->logged))
        w->used += (size_t)sprintf(w->logged + w->used, "%s\n", line);
}

fa_result upstream_world_set(upstream_world *w, const char *name, const char *setting)
{
    char key[200];
    const char *equals = strchr(setting, '=');
    snprintf(key, sizeof(key), "%.*s", (int)(equals - setting), setting);
    fa_upstream_setting one = {key, equals + 1, NULL, false};
    fa_result result = fa_upstreams_define(w->upstreams, name, &one, 1, &w->error);
    if (result == FA_OK)
        w->it = fa_upstreams_find(w->upstreams, "it");
    return result;
}

static fa_result define(upstream_world *w)
{
    char url[80];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", w->service.port);
    fa_upstream_setting settings[] = {{"url", url, NULL, false},
                                      {"retry_base", "1ms", NULL, false},
                                      {"connect_timeout", "2s", NULL, false},
                                      {"total_timeout", "20s", NULL, false}};
    fa_result result = fa_upstreams_define(w->upstreams, "it", settings, 4, &w->error);
    w->it = fa_upstreams_find(w->upstreams, "it");
    return result;
}

static fa_result make(upstream_world *w)
{
    fa_result result = fa_scope_new(w->ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &w->server);
    if (result == FA_OK && (w->places = fa_turnstiles_new(w->server)) == NULL)
        result = FA_NO_MEMORY;
    if (result == FA_OK)
        result = fa_worker_new(w->ledger, w->server, 0, &w->log, &w->worker, &w->error);
    if (result == FA_OK)
        result =
            fa_scope_new(w->ledger, fa_worker_scope(w->worker), FA_KIND_SCRIPT, 0, "clients", FA_HERE, &w->clients);
    if (result == FA_OK && (w->healths = fa_healths_new(w->server)) == NULL)
        result = FA_NO_MEMORY;
    fa_upstreams_options options = {.worker = w->worker, .turnstiles = w->places, .healths = w->healths, .workers = 1};
    if (result == FA_OK)
        result = fa_upstreams_new(&options, &w->upstreams, &w->error);
    return result == FA_OK ? define(w) : result;
}

bool upstream_world_try(upstream_world *w, fa_ledger *ledger)
{
    w->own_ledger = ledger == NULL;
    w->ledger = ledger != NULL ? ledger : fa_test_ledger(&w->memory);
    w->log = (fa_log){.level = FA_LOG_DEBUG, .fd = -1, .sink = keep_line, .sink_context = w};
    return make(w) == FA_OK;
}

upstream_world *upstream_world_begin_with(const char *const *settings)
{
    upstream_world *w = calloc(1, sizeof(*w));
    origin_begin(&w->service);
    if (!upstream_world_try(w, NULL))
        fail_msg("%s", w->error.text);
    for (; *settings != NULL; ++settings) {
        if (upstream_world_set(w, "it", *settings) != FA_OK)
            fail_msg("%s", w->error.text);
    }
    return w;
}

void upstream_world_close(upstream_world *w)
{
    if (w->clients != NULL)
        fa_scope_end(w->clients, "test", NULL);
    fa_upstreams_free(w->upstreams);
    fa_worker_free(w->worker);
    if (w->server != NULL)
        fa_scope_end(w->server, "test", NULL);
    if (w->own_ledger)
        fa_test_ledger_free(&w->memory, w->ledger);
    w->clients = w->server = NULL;
    w->worker = NULL;
    w->upstreams = NULL;
    w->it = NULL;
}

size_t upstream_transfers(const upstream_world *w)
{
    return fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->count;
}

void upstream_world_end(upstream_world *w)
{
    assert_int_equal(upstream_transfers(w), 0);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes, 0);
    upstream_world_close(w);
    for (unsigned i = 0; w->service.open > 0 && i < 5000; ++i)
        usleep(1000);
    assert_int_equal(w->service.open, 0); /* all connections are closed by us */
    origin_end(&w->service);
    free(w);
}

/* ---- asking ---- */

fa_buffer *upstream_text(upstream_world *w, const char *text, size_t length)
{
    fa_buffer *buffer;
    if (fa_buffer_new(w->clients, length, "request", FA_HERE, &buffer) != FA_OK)
        return NULL;
    fa_buffer_append(buffer, text, length);
    fa_buffer_seal(buffer);
    return buffer;
}

static void copy_body(asked *a, const fa_buffer *buffer)
{
    size_t length = fa_buffer_length(buffer), most = sizeof(a->body) - 1;
    a->length = length;
    memcpy(a->body, fa_buffer_data(buffer), length < most ? length : most);
}

static void on_done(fa_transfer *t, void *context)
{
    asked *a = context;
    const fa_failure *f = fa_transfer_failure(t);
    a->done = true;
    a->kind = f->kind;
    a->which = f->which;
    a->retryable = f->retryable;
    a->status = fa_transfer_status(t);
    a->attempts = fa_transfer_attempts(t);
    snprintf(a->message, sizeof(a->message), "%s", f->message);
    fa_buffer *body = a->request.mode == FA_TRANSFER_WHOLE ? fa_transfer_take(t) : NULL;
    if (body != NULL) {
        copy_body(a, body);
        fa_buffer_release(body);
    } else if (fa_transfer_excerpt(t) != NULL) {
        copy_body(a, fa_transfer_excerpt(t));
    }
    if (!a->keep) {
        a->transfer = NULL;
        fa_transfer_end(t);
    }
}

static const fa_transfer_user user = {.done = on_done};

void upstream_start(upstream_world *w, asked *a)
{
    fa_buffer *body = NULL;
    a->w = w;
    a->request.method = a->method != NULL ? a->method : a->send != NULL ? "POST" : "GET";
    a->request.path = (fa_text){a->path, strlen(a->path)};
    if (a->request.retries == 0)
        a->request.retries = -1;
    if (a->request.idempotent == 0 && !a->once)
        a->request.idempotent = -1;
    if (a->send != NULL)
        a->request.body = body = upstream_text(w, a->send, strlen(a->send));
    a->started = fa_transfer_start(a->upstream != NULL ? a->upstream : w->it, w->clients, &a->request, &user, a,
                                   FA_HERE, &a->transfer, &w->error);
    if (body != NULL)
        fa_buffer_release(body);
    if (a->started != FA_OK)
        a->transfer = NULL;
}

void upstream_await(upstream_world *w, asked *a)
{
    if (a->started == FA_OK)
        UPSTREAM_UNTIL(w, a->done);
}

void upstream_ask(upstream_world *w, asked *a)
{
    upstream_start(w, a);
    upstream_await(w, a);
}
