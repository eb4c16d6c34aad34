/* The exchange's back end over h2o: starting, sending, cutting.
 *
 * Two rules keep h2o and us apart. First, while h2o owes `proceed` (a write is under way) it is not called: to end such
 * a request its socket is shut down, the write fails, and h2o closes. Second, an h2o_send that writes nothing ends the
 * request on the spot, in the middle of our caller; so such a one is made later, from the loop (`later`). What follows
 * from both: no call of the exchange's interface ends an exchange before it returns. */
#include "http/edge.h"

/* ---- calls of h2o ---- */

static void start_h2o(fa_http_request *request)
{
    request->http->answering = true;
    h2o_start_response(request->req, &request->generator);
    request->http->answering = false;
}

/* From the loop: the final send, which may end the request. */
static void on_later(fa_h2o_timer *entry)
{
    fa_http_request *request = FA_OBJECT(entry, fa_http_request, later);
    fa_http_connection *connection = request->connection; /* outlives the request, and this call */
    bool cut = request->cut != NULL;
    request->phase = FA_PHASE_LAST;
    if (request->exchange.status == 0)
        start_h2o(request); /* h2o closes only what has begun; the socket is shut down, so nobody sees it */
    h2o_send(request->req, NULL, 0, cut ? H2O_SEND_STATE_ERROR : H2O_SEND_STATE_FINAL);
    fa_http_gate_follow(connection);
}

enum { SECURE_WINDOW = 64 * 1024 };

/* The next of what is in flight: all of it, but under TLS, where h2o enciphers into memory of its own whatever it is given, a window. */
static void send_some(fa_http_request *request)
{
    const fa_exchange *exchange = &request->exchange;
    h2o_iovec_t bytes[FA_MAX_PIECES];
    size_t count = 0, room = request->connection->gate.context != NULL ? SECURE_WINDOW : SIZE_MAX;
    while (request->send.piece < exchange->in_flight_count && room > 0) {
        const fa_piece *piece = &exchange->in_flight[request->send.piece];
        size_t left = piece->length - request->send.offset, length = left < room ? left : room;
        bytes[count++] = h2o_iovec_init(fa_buffer_data(piece->buffer) + piece->offset + request->send.offset, length);
        room -= length;
        request->send.offset = length < left ? request->send.offset + length : 0;
        request->send.piece += length == left;
    }
    bool last = request->send.final && request->send.piece == exchange->in_flight_count;
    request->head_sent = true;
    request->phase = last ? FA_PHASE_LAST : FA_PHASE_OWED;
    h2o_send(request->req, bytes, count, last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void end_later(fa_http_request *request)
{
    request->phase = FA_PHASE_ENDING;
    fa_h2o_timer_soon(&request->http->context, &request->later);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    fa_http_request *request = FA_OBJECT(generator, fa_http_request, generator);
    (void)req;
    fa_timer_pause(&request->stall.timer);
    request->phase = FA_PHASE_READY;
    if (request->cut == NULL && request->send.piece < request->exchange.in_flight_count) {
        send_some(request);
        fa_http_stall_watch(&request->stall);
        return;
    }
    if (request->cut == NULL) {
        fa_exchange_sent(&request->exchange); /* may send again */
        return;
    }
    fa_exchange_gone(&request->exchange); /* the write was done before the cut */
    end_later(request);
}

/* h2o frames a body of unknown length in chunks for HTTP/1.1 and 200; what else has one ends with the connection. h2o
 * knows that for other statuses, but not for an HTTP/1.0 client that asked for keep-alive. */
static bool ends_with_connection(const fa_exchange *exchange, const h2o_req_t *req, int status, int64_t length)
{
    bool has_body = !exchange->head_only && status != 204 && status != 304;
    return length < 0 && has_body && (req->version != 0x101 || status != 200);
}

/* ---- cutting ---- */

/* Its stream is reset, as soon as h2o may be called. */
static void cut_http2(fa_http_request *request)
{
    if (request->phase != FA_PHASE_READY)
        return; /* h2o goes on, or fa_http_stall cuts all */
    request->phase = FA_PHASE_ENDING;
    fa_exchange_gone(&request->exchange);
    end_later(request);
}

/* Of one that takes nothing: with HTTP/2 everybody on that connection pays for it. */
static void cut_stalled(fa_exchange *exchange, const char *why)
{
    fa_http_request *request = fa_http_request_of(exchange);
    if (request->req == NULL || !fa_http_is_http2(request->req)) {
        fa_http_cut_request(request, why);
        return;
    }
    request->cut = why;
    shutdown(fa_http_connection_fd(request->connection), SHUT_RDWR);
}

/* An orderly end of the connection would be that of the answer. Under TLS it is none without a word (close_notify). */
static bool would_look_whole(const fa_http_request *request)
{
    const fa_exchange *exchange = &request->exchange;
    return exchange->status != 0 && request->connection->gate.context == NULL &&
           ends_with_connection(exchange, request->req, exchange->status, exchange->length);
}

void fa_http_cut_request(fa_http_request *request, const char *why)
{
    if (request->cut != NULL || request->req == NULL)
        return;
    request->cut = why;
    if (fa_http_is_http2(request->req)) {
        cut_http2(request);
        return;
    }
    request->req->http1_is_persistent = 0;
    if (would_look_whole(request))
        fa_http_reset_now(fa_http_connection_fd(request->connection));
    else
        shutdown(fa_http_connection_fd(request->connection), SHUT_RDWR);
    if (request->phase != FA_PHASE_READY)
        return; /* the write under way fails, or `later` comes: both end the request and return its leases */
    request->phase = FA_PHASE_ENDING; /* on_gone may try to send */
    fa_exchange_gone(&request->exchange);
    end_later(request);
}

static void back_abort(fa_exchange *exchange)
{
    fa_http_cut_request(fa_http_request_of(exchange), "aborted");
}

static void back_watch(fa_exchange *exchange)
{
    fa_http_watch_start(fa_http_request_of(exchange));
}

/* ---- start and send ---- */

static fa_text copy_to(char **at, fa_text text)
{
    char *copy = *at;
    if (text.length != 0)
        memcpy(copy, text.data, text.length);
    *at += text.length;
    return (fa_text){copy, text.length};
}

void fa_http_copy_headers(h2o_req_t *req, const fa_header *headers, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; ++i)
        length += headers[i].name.length + headers[i].value.length;
    char *at = h2o_mem_alloc_pool(&req->pool, length + 1);
    h2o_vector_reserve(&req->pool, &req->res.headers, req->res.headers.size + count);
    for (size_t i = 0; i < count; ++i) {
        fa_text name = copy_to(&at, headers[i].name), value = copy_to(&at, headers[i].value);
        if (fa_http_is_http2(req))
            h2o_strtolower((char *)name.data, name.length); /* it knows no others */
        h2o_add_header_by_str(&req->pool, &req->res.headers, name.data, name.length, 0, NULL, value.data, value.length);
    }
}

/* Until the next request; with HTTP/2 for good, as other streams may want it. */
static void bound_unsent(fa_http_connection *connection)
{
    fa_http_bound_unsent(fa_http_connection_fd(connection), true);
    connection->gate.bound = true;
}

static fa_result back_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    fa_http_request *request = fa_http_request_of(exchange);
    h2o_req_t *req = request->req;
    if (req == NULL || request->cut != NULL)
        return FA_WRONG_STATE;
    req->res.status = status;
    req->res.reason = fa_status_text(status);
    req->res.content_length = length < 0 ? SIZE_MAX : (size_t)length;
    fa_http_copy_headers(req, headers, count);
    if (length < 0)
        bound_unsent(request->connection);
    if (request->http->draining || fa_http_gate_is_last(request->connection, &request->http->options) ||
        ends_with_connection(exchange, req, status, length))
        req->http1_is_persistent = 0;
    start_h2o(request);
    return FA_OK;
}

static fa_result back_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    fa_http_request *request = fa_http_request_of(exchange);
    (void)pieces; /* they are exchange->in_flight */
    if (request->req == NULL || request->phase != FA_PHASE_READY)
        return FA_WRONG_STATE;
    if (count == 0 && request->head_sent) { /* perhaps nothing to write */
        end_later(request);
        return FA_OK;
    }
    request->send.piece = request->send.offset = 0;
    request->send.final = final;
    send_some(request);
    fa_http_gate_follow(request->connection);
    fa_http_stall_watch(&request->stall);
    return FA_OK;
}

void fa_http_answer_init(fa_http_request *request)
{
    request->generator.proceed = on_proceed; /* no stop: the end of the request says it all */
    request->later.cb = on_later;
    fa_http_stall_init(&request->stall, &request->exchange, request->connection, cut_stalled);
}

void fa_http_answer_end(fa_http_request *request)
{
    fa_h2o_timer_stop(&request->later);
    fa_timer_stop(&request->stall.timer);
}

const fa_exchange_back_end fa_http_back_end = {
    .start = back_start,
    .send = back_send,
    .abort = back_abort,
    .watch = back_watch,
    .move = fa_http_move,
    .upgrade = fa_http_upgrade_begin,
};
