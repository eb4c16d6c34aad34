/* An exchange whose connection speaks another protocol from now on: the bytes under a WebSocket.
 *
 * h2o has a WebSocket layer of its own (h2o_upgrade_to_websocket). It is not used: closing inside its callback frees what its loop goes
 * on with, it buffers messages of any length in memory of its own, writes one message at a time and copies it, and checks neither
 * Origin nor version. What is used is what lies beneath it, h2o_http1_upgrade: h2o writes our head, ends its request and hands the
 * socket over. The socket stays an h2o_socket_t, because that hides TLS. Everything above the bytes is exchange/websocket.c, over wslay.
 *
 * The exchange is the one that asked, in the same scope; only its texts, which lay in h2o's request, are copied before that goes.
 *
 * Every end is the same: the socket is closed, and when libuv is through with it (a write under way has let go of its bytes then) on_gone
 * is told and the scope ends. So no call of the exchange's interface, and none made inside on_input, ends it under the caller's feet. A
 * good-bye that was written is kept from being lost by what the client still sends: the connection lingers (connection.c). */
#include "http/edge.h"

#include <h2o/http1.h>

/* Lies in the request scope. */
struct fa_http_upgrade {
    h2o_socket_t *socket; /* ours to close; NULL before h2o has given it, and after */
    fa_h2o_timer later;
    bool held;       /* on_input has left bytes: nothing is read */
    bool delivering; /* on_input is being called: a cut waits for its return */
};

static fa_http_request *request_of(h2o_socket_t *socket)
{
    return ((fa_http_connection *)socket->on_close.data)->upgraded;
}

/* ---- the end ---- */

static void close_socket(fa_http_request *request)
{
    fa_http_upgrade *upgrade = request->upgrade;
    h2o_socket_t *socket = upgrade->socket;
    upgrade->socket = NULL;
    fa_http_watch_stop(request);
    fa_h2o_timer_stop(&upgrade->later);
    fa_timer_stop(&request->stall.timer);
    if (socket->ssl == NULL) {
        h2o_socket_close(socket);
        return;
    }
    /* h2o says good-bye (close_notify), and would wait for a client that does not take it, or has reset the connection. */
    fa_http_secure_mute(socket);
    fa_http_deadline_await(request->connection, FA_AWAITS_GOODBYE);
    fa_http_deadline_arm(request->connection);
    h2o_socket_close(socket);
}

static void end(fa_http_request *request, const char *why)
{
    if (request->cut != NULL)
        return;
    request->cut = why;
    if (!request->upgrade->delivering)
        close_socket(request);
}

static void cut(fa_exchange *exchange, const char *why)
{
    end(fa_http_request_of(exchange), why);
}

void fa_http_upgrade_cut(fa_http_request *request, const char *why)
{
    int fd = fa_http_connection_fd(request->connection);
    if (request->cut != NULL && fd >= 0)
        shutdown(fd, SHUT_RDWR); /* h2o is still saying good-bye: that fails now */
    end(request, why);
}

static void end_exchange(fa_http_request *request)
{
    fa_access_log_exchange(request->http->options.access, &request->exchange, request->cut);
    request->http->request_count--;
    request->http->upgrades_ended++;
    fa_exchange_gone(&request->exchange);
    fa_scope_end(request->exchange.scope, request->cut, NULL); /* and the request lies in it */
}

void fa_http_upgrade_closed(fa_http_request *request)
{
    request->connection->upgraded = NULL;
    end_exchange(request);
}

/* All is written. */
static void say_good_bye(fa_http_request *request)
{
    fa_http_connection_linger_after(request->connection);
    end(request, "closed");
}

/* ---- reading ---- */

/* Its leaving must be noticed all the same. */
static void hold(fa_http_request *request)
{
    request->upgrade->held = true;
    h2o_socket_read_stop(request->upgrade->socket);
    fa_http_watch_start(request);
}

static void deliver(fa_http_request *request)
{
    fa_exchange *exchange = &request->exchange;
    fa_http_upgrade *upgrade = request->upgrade;
    h2o_socket_t *socket = upgrade->socket;
    size_t length = socket->input->size, taken = length;
    if (!exchange->finished) { /* else nobody wants it */
        upgrade->delivering = true;
        taken = exchange->on_input(exchange, (const uint8_t *)socket->input->bytes, length, exchange->input_context);
        upgrade->delivering = false;
    }
    if (request->cut != NULL) {
        close_socket(request);
        return;
    }
    h2o_buffer_consume(&socket->input, taken);
    if (taken < length)
        hold(request);
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    fa_http_request *request = request_of(socket);
    if (error != NULL && fa_http_secure_is_spurious(socket, error))
        return;
    if (error != NULL)
        end(request, "the client vanished");
    else if (socket->input->size != 0) /* TLS may have read what is no data */
        deliver(request);
}

static void on_later(fa_h2o_timer *entry)
{
    fa_http_upgrade *upgrade = FA_OBJECT(entry, fa_http_upgrade, later);
    fa_http_request *request = request_of(upgrade->socket);
    deliver(request);
    if (request->cut == NULL && !upgrade->held)
        h2o_socket_read_start(upgrade->socket, on_read);
}

static void back_read(fa_exchange *exchange)
{
    fa_http_request *request = fa_http_request_of(exchange);
    fa_http_upgrade *upgrade = request->upgrade;
    if (request->cut != NULL || upgrade->socket == NULL || fa_h2o_timer_is_set(&upgrade->later))
        return;
    upgrade->held = false;
    fa_http_watch_stop(request);
    fa_h2o_timer_soon(&request->http->context, &upgrade->later);
}

/* ---- writing ---- */

static void on_written(h2o_socket_t *socket, const char *error)
{
    fa_http_request *request = request_of(socket);
    if (request->cut != NULL)
        return;
    if (error != NULL) {
        end(request, "the client vanished");
        return;
    }
    fa_timer_pause(&request->stall.timer);
    bool last = request->exchange.finished;
    fa_exchange_sent(&request->exchange); /* may send again */
    if (last)
        say_good_bye(request);
}

static fa_result back_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    fa_http_request *request = fa_http_request_of(exchange);
    h2o_iovec_t bytes[FA_MAX_PIECES];
    (void) final; /* fa_exchange.finished */
    if (request->cut != NULL)
        return FA_WRONG_STATE;
    if (count == 0) {
        say_good_bye(request);
        return FA_OK;
    }
    for (size_t i = 0; i < count; ++i)
        bytes[i] = h2o_iovec_init(fa_buffer_data(pieces[i].buffer) + pieces[i].offset, pieces[i].length);
    h2o_socket_write(request->upgrade->socket, bytes, count, on_written);
    fa_http_stall_watch(&request->stall);
    return FA_OK;
}

static fa_result back_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    (void)exchange, (void)status, (void)headers, (void)count, (void)length;
    return FA_WRONG_STATE; /* it has a head */
}

static void back_abort(fa_exchange *exchange)
{
    cut(exchange, "aborted");
}

static void back_watch(fa_exchange *exchange)
{
    (void)exchange; /* it is read from, or watched */
}

static const fa_exchange_back_end upgraded = {
    .start = back_start,
    .send = back_send,
    .abort = back_abort,
    .watch = back_watch,
    .read = back_read,
};

/* ---- beginning ---- */

/* h2o 2.2.5 may leave the socket open when the head could not be written. */
static void lose(fa_http_request *request, h2o_socket_t *socket)
{
    if (request->cut == NULL)
        request->cut = "the client vanished";
    if (!uv_is_closing((uv_handle_t *)&request->connection->tcp))
        h2o_socket_close(socket);
    end_exchange(request);
}

/* From the loop, right after fa_http_upgrade_disposed. */
static void on_head_left(void *context, h2o_socket_t *socket, size_t request_size)
{
    fa_http_request *request = context;
    fa_http_connection *connection = request->connection;
    h2o_socket_t *own = connection->gate.socket;
    fa_http_gate_let_go(connection);
    if (socket == NULL || request->cut != NULL) {
        lose(request, own);
        return;
    }
    connection->upgraded = request;
    request->upgrade->socket = socket;
    h2o_buffer_consume(&socket->input, request_size);
    request->exchange.back_end = &upgraded;
    memset(&request->stall, 0, sizeof(request->stall)); /* its timer has been stopped for good */
    fa_http_stall_init(&request->stall, &request->exchange, connection, cut);
    fa_http_bound_unsent(fa_http_connection_fd(connection), true);
    h2o_socket_read_start(socket, on_read);
    fa_exchange_sent(&request->exchange); /* may send, and may cut */
    if (request->cut == NULL && socket->input->size != 0)
        deliver(request);
}

void fa_http_upgrade_disposed(fa_http_request *request)
{
    fa_http_answer_end(request);
    fa_http_watch_stop(request);
    request->req = NULL;
    request->connection->request = NULL;
}

fa_result fa_http_upgrade_begin(fa_exchange *exchange, const fa_header *headers, size_t count)
{
    fa_http_request *request = fa_http_request_of(exchange);
    h2o_req_t *req = request->req;
    if (req == NULL || request->cut != NULL || request->phase != FA_PHASE_READY)
        return FA_WRONG_STATE;
    if (req->version < 0x101 || req->version >= 0x200)
        return FA_UNSUPPORTED;
    fa_http_upgrade *upgrade = fa_scope_allocate(exchange->scope, sizeof(*upgrade));
    fa_result result = upgrade != NULL ? fa_exchange_keep_request(exchange) : FA_NO_MEMORY;
    if (result != FA_OK) {
        fa_scope_free(exchange->scope, upgrade);
        return result;
    }
    upgrade->later.cb = on_later;
    request->upgrade = upgrade;
    req->res.status = 101;
    req->res.reason = fa_status_text(101);
    req->res.content_length = SIZE_MAX;
    fa_http_copy_headers(req, headers, count);
    request->phase = FA_PHASE_UPGRADING;
    request->http->upgrades++;
    h2o_http1_upgrade(req, NULL, 0, on_head_left, request);
    fa_http_stall_watch(&request->stall);
    return FA_OK;
}
