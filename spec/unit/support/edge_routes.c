/* What the server of the edge's tests does for each path. */
#include "edge_world.h"

#include <stdlib.h>

#include "base/clock.h"
#include "worker/timer.h"

typedef struct stream {
    fa_exchange *exchange;
    edge_world *world;
    fa_timer timer;
    unsigned left;
    size_t offset;
    bool empty_end; /* the final send carries nothing */
} stream;

static size_t number(fa_exchange *exchange, const char *name, size_t fallback)
{
    const char *value = fa_exchange_query(exchange, name, NULL);
    return value != NULL ? (size_t)strtoul(value, NULL, 10) : fallback;
}

static stream *new_stream(fa_exchange *exchange, edge_world *world)
{
    stream *s = fa_scope_allocate(exchange->scope, sizeof(*s));
    if (s != NULL) {
        s->exchange = exchange;
        s->world = world;
        exchange->context = s;
    }
    return s;
}

static void note_gone(fa_exchange *exchange, void *context)
{
    edge_world *world = ((stream *)context)->world;
    (void)exchange;
    world->gone_at_ms = fa_now_ms();
    world->gone++;
}

/* ---- /hello /echo /status ---- */

static void echo(fa_exchange *exchange)
{
    char head[512];
    fa_text type = fa_exchange_header(exchange, "content-type"), host = fa_exchange_header(exchange, "host");
    int length = snprintf(head, sizeof(head), "%.*s %.*s q=%.*s type=%.*s host=%.*s from=%.*s body=%zu",
                          (int)exchange->method.length, exchange->method.data, (int)exchange->path.length,
                          exchange->path.data, (int)exchange->query.length, exchange->query.data, (int)type.length,
                          type.data, (int)host.length, host.data, (int)exchange->remote.length, exchange->remote.data,
                          exchange->body != NULL ? fa_buffer_length(exchange->body) : 0);
    fa_exchange_reply_text(exchange, 200, "text/plain", head, (size_t)length);
}

static void same_body(fa_exchange *exchange)
{
    fa_header type = {FA_TEXT("content-type"), FA_TEXT("application/octet-stream")};
    fa_exchange_reply(exchange, 200, &type, 1, exchange->body);
}

/* ---- /stream?pieces=5[&length=N][&status=][&empty_end=1] : "piece 5\n" "piece 4\n" ... ---- */

static void stream_next(fa_exchange *exchange, void *context)
{
    stream *s = context;
    char line[32];
    fa_buffer *buffer;
    if (s->left == 0) {
        fa_exchange_send(exchange, NULL, 0, true);
        return;
    }
    int length = snprintf(line, sizeof(line), "piece %u\n", s->left);
    if (fa_buffer_new(exchange->scope, (size_t)length, "piece", FA_HERE, &buffer) != FA_OK) {
        fa_exchange_abort(exchange);
        return;
    }
    fa_buffer_append(buffer, line, (size_t)length);
    fa_buffer_seal(buffer);
    s->left--;
    fa_piece piece = {buffer, 0, (size_t)length};
    fa_exchange_send(exchange, &piece, 1, s->left == 0 && !s->empty_end);
    fa_buffer_release(buffer); /* the lease holds it */
}

static void start_stream(fa_exchange *exchange, edge_world *world)
{
    fa_header type = {FA_TEXT("content-type"), FA_TEXT("text/plain")};
    stream *s = new_stream(exchange, world);
    if (s == NULL) {
        fa_exchange_fail(exchange, 503, "unavailable", "no memory", NULL);
        return;
    }
    s->left = (unsigned)number(exchange, "pieces", 5);
    s->empty_end = number(exchange, "empty_end", 0) != 0;
    exchange->on_sent = stream_next;
    exchange->on_gone = note_gone;
    size_t length = number(exchange, "length", SIZE_MAX);
    if (fa_exchange_start(exchange, (int)number(exchange, "status", 200), &type, 1,
                          length == SIZE_MAX ? -1 : (int64_t)length) == FA_OK)
        stream_next(exchange, s);
}

/* ---- /big: all at once; /slowly: in pieces of 1 MB ---- */

static void big_next(fa_exchange *exchange, void *context)
{
    stream *s = context;
    size_t step = 1024 * 1024;
    fa_piece piece = {s->world->big, s->offset, step};
    s->offset += step;
    fa_exchange_send(exchange, &piece, 1, s->offset == WORLD_BIG);
}

static void send_big(fa_exchange *exchange, edge_world *world, bool in_pieces)
{
    stream *s = new_stream(exchange, world);
    exchange->on_gone = note_gone;
    exchange->on_sent = big_next;
    if (s == NULL || !in_pieces)
        fa_exchange_reply(exchange, 200, NULL, 0, world->big);
    else if (fa_exchange_start(exchange, 200, NULL, 0, WORLD_BIG) == FA_OK)
        big_next(exchange, s);
}

/* ---- /wait[?started=1][&then=answer|abort|fail&after=ms] ---- */

static void after_waiting(fa_timer *timer)
{
    stream *s = FA_OBJECT(timer, stream, timer);
    fa_exchange *exchange = s->exchange;
    const char *then = fa_exchange_query(exchange, "then", NULL);
    if (then != NULL && strcmp(then, "abort") == 0)
        fa_exchange_abort(exchange);
    else if (then != NULL && strcmp(then, "fail") == 0)
        fa_exchange_fail(exchange, 500, "internal", "after waiting", NULL);
    else if (exchange->status != 0)
        fa_exchange_send(exchange, NULL, 0, true);
    else if (fa_exchange_reply_text(exchange, 200, "text/plain", "waited", 6) != FA_OK)
        fa_exchange_fail(exchange, 503, "unavailable", "no memory", NULL);
}

static void wait_a_while(fa_exchange *exchange, edge_world *world)
{
    stream *s = new_stream(exchange, world);
    if (s == NULL) {
        fa_exchange_fail(exchange, 503, "unavailable", "no memory", NULL);
        return;
    }
    exchange->on_gone = note_gone;
    if (number(exchange, "started", 0) != 0 && fa_exchange_start(exchange, 200, NULL, 0, -1) == FA_OK) {
        fa_piece piece = {world->big, 0, 7};
        fa_exchange_send(exchange, &piece, 1, false);
    }
    if (memmem(exchange->query.data, exchange->query.length, "then=", 5) ==
        NULL) /* fa_exchange_query may lack memory */
        return;
    fa_timer_init(&s->timer, exchange->worker, exchange->scope, after_waiting);
    if (fa_timer_start(&s->timer, number(exchange, "after", 0)) != FA_OK)
        fa_exchange_fail(exchange, 503, "unavailable", "no memory", NULL);
}

/* ---- the table ---- */

void edge_routes(fa_exchange *exchange, void *context)
{
    edge_world *world = context;
    world->handled++;
    if (fa_text_is(exchange->path, "/hello")) {
        if (fa_exchange_reply_text(exchange, 200, "text/plain", "hello", 5) == FA_NO_MEMORY)
            fa_exchange_fail(exchange, 503, "unavailable", "no memory", NULL);
    } else if (fa_text_is(exchange->path, "/echo"))
        echo(exchange);
    else if (fa_text_is(exchange->path, "/same"))
        same_body(exchange);
    else if (fa_text_is(exchange->path, "/status"))
        fa_exchange_reply(exchange, (int)number(exchange, "is", 200), NULL, 0, NULL);
    else if (fa_text_is(exchange->path, "/stream"))
        start_stream(exchange, world);
    else if (fa_text_is(exchange->path, "/big"))
        send_big(exchange, world, false);
    else if (fa_text_is(exchange->path, "/slowly"))
        send_big(exchange, world, true);
    else if (fa_text_is(exchange->path, "/wait"))
        wait_a_while(exchange, world);
    else if (fa_text_is(exchange->path, "/abort"))
        fa_exchange_abort(exchange);
    else if (exchange->path.length == 0)
        fa_exchange_fail(exchange, 400, "bad_path", "the path is malformed", NULL);
    else
        fa_exchange_fail(exchange, 404, "not_found", "nothing here", NULL);
}
