/* How long a client may take for a request. libh2o has one timer for head, body and idling together, and closes without
 * a word; here each has its own time and a defined answer (docs/http.md).
 *
 * One timer for each connection, and a lazy one: what a client is waited for changes with every request, but the timer is
 * set anew only when the new deadline is nearer than what it is set for. When it fires too early it is set for the rest.
 * So an ordinary request costs no timer at all.
 *
 * A body has two limits: request_timeout_ms altogether, and its rate. After the first head_timeout_ms it must be ahead of
 * body_rate on the average; each byte puts the deadline off, so this too is one comparison. */
#include "http/edge.h"

enum { GOODBYE_MS = 5000 };

static uint64_t first_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t body_deadline(const fa_http_gate *gate, const fa_http_options *options)
{
    uint64_t whole = gate->began_ms + options->request_timeout_ms;
    if (options->body_rate == 0)
        return whole;
    return first_of(whole, gate->since_ms + options->head_timeout_ms + gate->body.received * 1000 / options->body_rate);
}

/* UINT64_MAX: none. */
static uint64_t deadline(const fa_http_connection *connection)
{
    const fa_http_gate *gate = &connection->gate;
    const fa_http_options *options = &connection->http->options;
    switch (gate->awaits) {
    case FA_AWAITS_HANDSHAKE:
    case FA_AWAITS_FIRST:
    case FA_AWAITS_HEAD:
        return gate->since_ms + options->head_timeout_ms;
    case FA_AWAITS_NEXT:
        return gate->since_ms + options->idle_timeout_ms;
    case FA_AWAITS_BODY:
        return body_deadline(gate, options);
    case FA_AWAITS_REQUESTS:
        return fa_http2_deadline(connection);
    case FA_AWAITS_GOODBYE:
        return gate->since_ms + GOODBYE_MS;
    default:
        return UINT64_MAX;
    }
}

static uint64_t now(const fa_http_connection *connection)
{
    return uv_now(fa_worker_loop(connection->http->worker));
}

static void expire(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    switch (gate->awaits) {
    case FA_AWAITS_HEAD:
        if (gate->head.has_line || gate->head.seen > 2) /* else but the line end that some clients put behind a body */
            fa_http_gate_refuse(connection, 408, "the request head did not come in time");
        else
            fa_http_gate_drop(connection, "idle");
        break;
    case FA_AWAITS_BODY:
        fa_http_gate_refuse(connection, 408, "the request body did not come in time");
        break;
    case FA_AWAITS_REQUESTS:
        fa_http2_expire(connection);
        break;
    case FA_AWAITS_GOODBYE:
        fa_http_connection_cut(connection);
        break;
    default:
        fa_http_gate_drop(connection, "idle");
        break;
    }
}

static void on_deadline(fa_timer *timer)
{
    fa_http_connection *connection = FA_OBJECT(timer, fa_http_connection, gate.deadline);
    connection->gate.wakes_ms = UINT64_MAX;
    if (deadline(connection) <= now(connection))
        expire(connection);
    else
        fa_http_deadline_arm(connection);
}

void fa_http_deadline_await(fa_http_connection *connection, fa_http_awaited what)
{
    fa_http_gate *gate = &connection->gate;
    if (gate->awaits == what)
        return;
    gate->awaits = what;
    gate->since_ms = now(connection);
}

void fa_http_deadline_arm(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    uint64_t due = deadline(connection), at = now(connection);
    if (due >= gate->wakes_ms)
        return;
    gate->wakes_ms = due;
    fa_timer_start(&gate->deadline, due > at ? due - at : 0); /* cannot fail: it has run before */
}

fa_result fa_http_deadline_open(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    fa_worker *worker = connection->http->worker;
    fa_timer_init(&gate->deadline, worker, fa_worker_scope(worker), on_deadline);
    gate->wakes_ms = now(connection) + connection->http->options.head_timeout_ms;
    return fa_timer_start(&gate->deadline, connection->http->options.head_timeout_ms);
}
