#include "move_world.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

/* Goes from exchange to exchange; lives until one ends without a move. */
struct traveller {
    move_world *world;
    fa_exchange *exchange;
    fa_moving *moving;
    fa_message message; /* carries it to the next worker */
    fa_scope_hook at_end;
    bool on_its_way;
    unsigned at, next, events, stop, big, stopped_at;
    bool describe, empty_end;
};

/* Without memory of the exchange's scope: the tests let that fail. */
static unsigned number(const fa_exchange *exchange, const char *name)
{
    char wanted[32], query[256];
    snprintf(query, sizeof(query), "&%.*s", (int)exchange->query.length, exchange->query.data);
    snprintf(wanted, sizeof(wanted), "&%s=", name);
    const char *found = strstr(query, wanted);
    return found != NULL ? (unsigned)strtoul(found + strlen(wanted), NULL, 10) : 0;
}

static void forget(traveller *t)
{
    t->world->travellers--;
    free(t);
}

static void on_scope_end(fa_scope_hook *hook)
{
    traveller *t = FA_OBJECT(hook, traveller, at_end);
    if (!t->on_its_way)
        forget(t);
}

static void on_gone(fa_exchange *exchange, void *context)
{
    traveller *t = context;
    (void)exchange;
    t->world->gone_at_ms = fa_now_ms();
    t->world->gone++;
}

/* ---- sending ---- */

static void send_text(traveller *t, const char *text, size_t length, bool final)
{
    fa_buffer *buffer;
    if (fa_buffer_new(t->exchange->scope, length, "event", FA_HERE, &buffer) != FA_OK) {
        fa_exchange_abort(t->exchange);
        return;
    }
    fa_buffer_append(buffer, text, length);
    fa_buffer_seal(buffer);
    fa_piece piece = {buffer, 0, length};
    fa_result result = fa_exchange_send(t->exchange, &piece, 1, final);
    fa_buffer_release(buffer);
    if (result != FA_OK)
        fa_exchange_abort(t->exchange);
}

static void describe(traveller *t)
{
    char text[512];
    const fa_exchange *e = t->exchange;
    fa_text last = fa_exchange_header(e, "last-event-id"), host = fa_exchange_header(e, "host");
    int length = snprintf(text, sizeof(text), "data: %.*s %.*s ?%.*s from=%.*s id=%s last=%.*s host=%.*s\n\n",
                          (int)e->method.length, e->method.data, (int)e->path.length, e->path.data,
                          (int)e->query.length, e->query.data, (int)e->remote.length, e->remote.data, e->request_id,
                          (int)last.length, last.data, (int)host.length, host.data);
    send_text(t, text, (size_t)length, false);
}

static void move_on(traveller *t, unsigned to);

static void send_next(fa_exchange *exchange, void *context)
{
    traveller *t = context;
    char text[64];
    if (t->describe) {
        t->describe = false;
        describe(t);
    } else if (t->big != 0) {
        fa_piece piece = {t->world->edges[0].big, 0, WORLD_BIG};
        t->big--;
        fa_exchange_send(exchange, &piece, 1, t->big == 0 && !t->empty_end);
    } else if (t->events == 0 && !t->empty_end) {
        return; /* silent */
    } else if (t->next == t->events) {
        fa_exchange_send(exchange, NULL, 0, true);
    } else if (t->stop != 0 && t->next != t->stopped_at && t->next % t->stop == 0) {
        t->stopped_at = t->next;
        move_on(t, (t->at + 1) % t->world->count);
    } else {
        int length = snprintf(text, sizeof(text), "data: event %u\n\n", t->next++);
        send_text(t, text, (size_t)length, t->next == t->events && !t->empty_end);
    }
}

/* ---- travelling ---- */

static void refuse(traveller *t, fa_result result)
{
    t->world->refusal = result;
    t->world->refused++;
}

static void arrive(fa_message *message)
{
    traveller *t = FA_OBJECT(message, traveller, message);
    fa_moving *moving = t->moving;
    t->moving = NULL;
    fa_result result = fa_http_adopt(t->world->edges[t->at].http, moving, &t->exchange);
    if (result != FA_OK) {
        refuse(t, result);
        forget(t);
        return;
    }
    t->on_its_way = false;
    t->exchange->context = t;
    t->exchange->on_sent = send_next;
    t->exchange->on_gone = on_gone;
    fa_scope_hook_add(t->exchange->scope, &t->at_end, on_scope_end);
    t->world->adopted++;
    send_next(t->exchange, t);
}

static void on_moved(fa_moving *moving, void *context)
{
    traveller *t = context;
    move_world *world = t->world;
    if (moving != NULL)
        fa_moving_last_words(moving, world->last_words);
    if (moving == NULL || world->way == DISCARD) {
        if (moving == NULL)
            world->lost++;
        fa_moving_discard(moving);
        forget(t);
        return;
    }
    t->moving = moving;
    if (world->way == HOLD)
        world->held = t;
    else
        fa_worker_post(world->edges[t->at].worker, &t->message);
    world->moved++;
}

static void move_on(traveller *t, unsigned to)
{
    fa_header headers[] = {{FA_TEXT("content-type"), FA_TEXT("text/event-stream")},
                           {FA_TEXT("cache-control"), FA_TEXT("no-store")}};
    fa_exchange *exchange = t->exchange;
    t->on_its_way = true;
    fa_result result = fa_exchange_move(exchange, headers, 2, on_moved, t);
    if (result == FA_OK) {
        t->at = to;
        return;
    }
    refuse(t, result);
    t->on_its_way = false; /* the exchange is as before */
    fa_exchange_fail(exchange, 503, "cannot_move", fa_result_name(result), NULL);
}

void move_release(move_world *world)
{
    traveller *t = world->held;
    world->held = NULL;
    fa_worker_post(world->edges[t->at].worker, &t->message);
}

static void go(fa_exchange *exchange, void *context)
{
    edge_world *edge = context;
    move_world *world = edge->extra;
    if (!fa_text_is(exchange->path, "/go")) {
        edge_routes(exchange, context);
        return;
    }
    edge->handled++;
    traveller *t = calloc(1, sizeof(*t));
    *t = (traveller){.world = world,
                     .exchange = exchange,
                     .events = number(exchange, "events"),
                     .stop = number(exchange, "stop"),
                     .big = number(exchange, "big"),
                     .describe = number(exchange, "describe") != 0,
                     .empty_end = number(exchange, "empty_end") != 0};
    fa_message_init(&t->message, arrive);
    world->travellers++;
    fa_scope_hook_add(exchange->scope, &t->at_end, on_scope_end);
    move_on(t, number(exchange, "to"));
}

/* ---- the world ---- */

void move_init(move_world *world)
{
    memset(world, 0, sizeof(*world));
    for (int i = 0; i < MOVE_EDGES; ++i) {
        world_init(&world->edges[i]);
        world->edges[i].handler = go;
        world->edges[i].extra = world;
    }
}

void move_up(move_world *world)
{
    edge_world *first = &world->edges[0];
    world->count = MOVE_EDGES;
    world_begin(first);
    for (int i = 0; i < MOVE_EDGES; ++i) {
        world->edges[i].ledger = first->ledger;
        world->edges[i].server = first->server;
        assert_ok(world_make(&world->edges[i]));
    }
    for (int i = 0; i < MOVE_EDGES; ++i)
        world_start(&world->edges[i]);
}

static void cut(edge_world *edge)
{
    fa_http_cut(edge->http);
}

void move_down(move_world *world)
{
    for (int round = 0; world->travellers != 0 && round < 100; ++round) { /* some may be on their way */
        for (int i = 0; i < MOVE_EDGES; ++i) {
            if (!world->stopped[i])
                world_order(&world->edges[i], cut);
        }
        usleep(10000);
    }
    assert_int_equal(world->travellers, 0);
    for (int i = 0; i < MOVE_EDGES; ++i) {
        if (!world->stopped[i])
            world_stop(&world->edges[i]);
    }
    world_end_server(&world->edges[0]);
}

void move_alone(move_world *world, fa_ledger *ledger)
{
    move_init(world);
    world->count = 1;
    world->edges[0].ledger = ledger;
}

int move_client(move_world *world, int edge, const char *path)
{
    char request[512];
    int fd = client_connect(&world->edges[edge], 0);
    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nX-Request-Id: trip-7\r\n"
             "Last-Event-ID: 41\r\n\r\n",
             path);
    client_send(fd, request);
    return fd;
}

const client_reply *move_reply(int fd)
{
    static client_reply reply;
    assert_true(client_read(fd, false, &reply));
    return &reply;
}

void move_assert_events(const char *body, unsigned count)
{
    char line[64];
    for (unsigned i = 0; i < count; ++i) {
        int length = snprintf(line, sizeof(line), "data: event %u\n\n", i);
        if (strncmp(body, line, (size_t)length) != 0)
            fail_msg("event %u is not there: %.40s", i, body);
        body += length;
    }
    assert_string_equal(body, "");
}
