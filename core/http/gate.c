/* What of a connection's input h2o gets to see.
 *
 * h2o 2.2.5 forgives much that a strict reader must refuse, answers what it cannot parse with a constant text, hides the
 * framing headers from its handlers and buffers bodies of any length before it asks anybody. All of that is mended by
 * standing before it: h2o's read callback is replaced by ours. h2o is called when a head is complete and has been
 * checked, then with each piece of its body, and never sees a byte of the next request: what comes behind a request is
 * put aside (`ahead`) and put back when h2o is ready to read again.
 *
 * When is it? It sets its read callback anew at the end of an answer, from its write callback, so that one is wrapped,
 * too. Hence the rule for the other files: after each call that may make h2o write or go on (h2o_send), `follow`.
 *
 * Both callbacks lie in h2o_socket_t, which is public, above TLS. h2o 2.2.5 reads nothing by itself between its own
 * read_start and the next turn of the loop, and `follow` comes before that. */
#include "http/edge.h"

#include <h2o/http1.h>

static void on_read(h2o_socket_t *socket, const char *error);

static fa_http_connection *connection_of(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

static bool is_closing(const fa_http_connection *connection)
{
    return uv_is_closing((const uv_handle_t *)&connection->tcp);
}

/* error: h2o closes, and frees what is its own; nothing is awaited then. */
static void pass_to_h2o(fa_http_connection *connection, const char *error)
{
    if (error != NULL)
        fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
    connection->http->h2o_read(connection->gate.socket, error);
    fa_http_gate_follow(connection);
}

/* ---- pipelining ---- */

/* The last `length` bytes of the input are not for this request. false: no memory, or no disk. */
static bool put_aside(fa_http_connection *connection, size_t length)
{
    fa_http_gate *gate = &connection->gate;
    h2o_buffer_t *input = gate->socket->input;
    if (length == 0)
        return true;
    h2o_buffer_init(&gate->ahead, &h2o_socket_buffer_prototype);
    h2o_iovec_t room = h2o_buffer_reserve(&gate->ahead, length);
    if (room.base == NULL)
        return false;
    memcpy(room.base, input->bytes + input->size - length, length);
    gate->ahead->size = length;
    input->size -= length;
    return true;
}

static void put_back(fa_http_gate *gate)
{
    h2o_buffer_dispose(&gate->socket->input); /* empty */
    gate->socket->input = gate->ahead;
    gate->ahead = NULL;
}

/* ---- a request ---- */

static fa_text text_at(const fa_http_connection *connection, fa_span span)
{
    return (fa_text){connection->gate.socket->input->bytes + span.at, span.length};
}

static size_t most_body(const fa_http_connection *connection)
{
    const fa_http_options *options = &connection->http->options;
    const fa_head *head = &connection->gate.head;
    if (options->body_limit == NULL)
        return options->max_body;
    fa_route_key key = {text_at(connection, head->method), text_at(connection, head->host),
                        text_at(connection, head->path)};
    return options->body_limit(&key, options->body_limit_context);
}

/* The last `length` bytes of the input are new, and the body's unless it ends before. */
static void take_body(fa_http_connection *connection, size_t length)
{
    fa_http_gate *gate = &connection->gate;
    h2o_buffer_t *input = gate->socket->input;
    size_t taken = fa_body_take(&gate->body, input->bytes + input->size - length, length);
    if (gate->body.status != 0) {
        fa_http_gate_refuse(connection, gate->body.status, gate->body.why);
        return;
    }
    if (gate->body.done && gate->head.upgrade && taken < length) {
        /* Somebody hopes that we take the one for another protocol, or does not wait for the answer. */
        fa_http_gate_refuse(connection, 400, "nothing may follow an Upgrade before its answer");
        return;
    }
    if (!put_aside(connection, length - taken)) {
        fa_http_gate_drop(connection, "no room for what it sends");
        return;
    }
    fa_http_deadline_await(connection, gate->body.done ? FA_AWAITS_NOTHING : FA_AWAITS_BODY);
    pass_to_h2o(connection, NULL);
}

static void begin_request(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    const fa_head *head = &gate->head;
    uint64_t most = 0;
    if (head->chunked || head->body_length != 0)
        most = most_body(connection);
    if (head->body_length > most) {
        fa_http_gate_refuse(connection, 413, "the request body is larger than this server takes");
        return;
    }
    gate->requests++;
    fa_body_begin(&gate->body, head->chunked, head->body_length, most);
    take_body(connection, gate->socket->input->size - head->length);
}

static void take_head(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    h2o_buffer_t *input = gate->socket->input;
    if (gate->awaits != FA_AWAITS_HEAD) {
        fa_http_deadline_await(connection, FA_AWAITS_HEAD);
        gate->began_ms = gate->since_ms;
        gate->began_us = fa_worker_now_us(connection->http->worker);
    }
    switch (fa_head_check(&gate->head, input->bytes, input->size, connection->http->options.max_head)) {
    case FA_HEAD_MORE:
        break;
    case FA_HEAD_REFUSED:
        fa_http_gate_refuse(connection, gate->head.status, gate->head.why);
        break;
    case FA_HEAD_COMPLETE:
        begin_request(connection);
        break;
    }
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    fa_http_connection *connection = connection_of(socket);
    size_t fresh = fa_h2o_new_bytes(socket, &connection->gate.seen_bytes);
    if (error != NULL && fa_http_secure_is_spurious(socket, error))
        return;
    if (error != NULL)
        fa_http_secure_mute(socket);
    if (error != NULL)
        pass_to_h2o(connection, error);
    else if (connection->gate.awaits == FA_AWAITS_BODY)
        take_body(connection, fresh);
    else if (socket->input->size != 0) /* TLS may have read what is no data */
        take_head(connection);
    if (!is_closing(connection))
        fa_http_deadline_arm(connection);
}

/* ---- h2o's callbacks ---- */

static void on_written(h2o_socket_t *socket, const char *error)
{
    fa_http_connection *connection = connection_of(socket);
    h2o_socket_cb written = connection->gate.written;
    connection->gate.written = NULL;
    written(socket, error);
    fa_http_gate_follow(connection);
}

/* h2o waits for another request, and has nothing. */
static void next_request(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    memset(&gate->head, 0, sizeof(gate->head));
    if (gate->bound) /* a stream has ended; the next answer may be a large file, that would wake us for every bit of it */
        fa_http_bound_unsent(fa_http_connection_fd(connection), false);
    gate->bound = false;
    fa_http_deadline_await(connection, gate->requests == 0 ? FA_AWAITS_FIRST : FA_AWAITS_NEXT);
    if (gate->ahead != NULL) {
        put_back(gate);
        take_head(connection);
    }
    if (!is_closing(connection))
        fa_http_deadline_arm(connection);
}

/* What h2o writes under TLS when no request is left is its last word (close_notify), and it waits for the client to take it for as long
 * as that likes. */
static void await_goodbye(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    if (gate->socket->ssl == NULL || connection->request != NULL || gate->awaits != FA_AWAITS_NOTHING)
        return;
    fa_http_deadline_await(connection, FA_AWAITS_GOODBYE);
    fa_http_deadline_arm(connection);
}

void fa_http_gate_follow(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    h2o_socket_t *socket = gate->socket;
    if (socket == NULL || is_closing(connection))
        return;
    if (socket->_cb.write != NULL && gate->written == NULL) {
        gate->written = socket->_cb.write;
        socket->_cb.write = on_written;
        await_goodbye(connection);
    }
    if (socket->_cb.read == NULL && gate->awaits == FA_AWAITS_BODY && !gate->head.expects)
        fa_http_deadline_await(connection, FA_AWAITS_NOTHING); /* it has had enough, for a reason of its own */
    if (socket->_cb.read != connection->http->h2o_read)
        return; /* it does not read, or reads through us, or for another protocol */
    socket->_cb.read = on_read;
    if (gate->awaits == FA_AWAITS_NOTHING || gate->awaits == FA_AWAITS_GOODBYE)
        next_request(connection);
}

/* ---- life ---- */

/* h2o is kept from what has been read already: it would take it for a request on the spot. */
void fa_http_gate_begin(fa_http_connection *connection)
{
    fa_http *http = connection->http;
    fa_http_gate *gate = &connection->gate;
    h2o_socket_t *socket = gate->socket;
    if (http->options.http2 && fa_http2_is_chosen(socket)) {
        fa_http2_begin(connection, socket);
        return;
    }
    if (socket->input->size != 0) {
        gate->ahead = socket->input;
        h2o_buffer_init(&socket->input, &h2o_socket_buffer_prototype);
    }
    gate->awaits = FA_AWAITS_NOTHING;
    h2o_http1_accept(&http->accept, socket, *h2o_get_timestamp(&http->context, NULL, NULL));
    http->h2o_read = socket->_cb.read;
    fa_http_gate_follow(connection);
}

fa_result fa_http_gate_open(fa_http_connection *connection, h2o_socket_t *socket)
{
    fa_result result = fa_http_deadline_open(connection);
    if (result != FA_OK)
        return result;
    connection->gate.socket = socket;
    fa_http_gate_begin(connection);
    return FA_OK;
}

/* Nothing is ahead: what comes behind an Upgrade before its answer has been refused. */
void fa_http_gate_let_go(fa_http_connection *connection)
{
    connection->gate.socket = NULL;
    fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
}

void fa_http_gate_close(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    gate->socket = NULL;
    fa_http_secure_close(connection);
    fa_http2_close(connection);
    fa_timer_stop(&gate->deadline);
    if (gate->ahead != NULL)
        h2o_buffer_dispose(&gate->ahead);
    gate->ahead = NULL;
    if (gate->answer != NULL)
        fa_account_free(connection->account, gate->answer, FA_HTTP_REFUSAL_SIZE);
    gate->answer = NULL;
}
