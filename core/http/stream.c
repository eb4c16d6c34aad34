/* The back end of an exchange that came from another worker: a bare socket, since after its head an answer that ends
 * with its connection needs no HTTP.
 *
 * The socket is always read from: what comes is thrown away (there is nothing more to ask on this connection, and not
 * much is tolerated), and its end is how a client's leaving is noticed. A half-close counts as gone, as in watch.c.
 *
 * Every end is the same: the handle is closed, and when libuv is through with it (a write under way has been called
 * back by then) on_gone is told and the request scope ends. So no call of the exchange's interface ends it before it
 * returns.
 *
 * After the last byte our side is shut down and the client given a moment to close: closing with input unread would
 * make the kernel reset the connection, and the client might lose what it has not read yet. */
#include "http/edge.h"

#include "exchange/moving.h"

enum { MOST_INPUT_BYTES = 64 * 1024, LAST_MOMENT_MS = 1000 };

static fa_http_stream *stream_of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, fa_http_stream, exchange);
}

static uv_stream_t *socket_of(fa_http_stream *stream)
{
    return (uv_stream_t *)&stream->connection->tcp;
}

/* ---- the end ---- */

static void end(fa_http_stream *stream, const char *why)
{
    if (stream->end != NULL)
        return;
    stream->end = why;
    if (stream->moving == NULL && !stream->exchange.finished && stream->exchange.body_sent == 0)
        fa_http_reset_at_close(fa_http_connection_fd(stream->connection)); /* else it would look like a whole answer */
    fa_timer_stop(&stream->stall.timer);
    fa_timer_stop(&stream->last_moment);
    fa_http_connection_close(stream->connection);
}

static void cut(fa_exchange *exchange, const char *why)
{
    end(stream_of(exchange), why);
}

void fa_http_stream_cut(fa_http_stream *stream, const char *why)
{
    end(stream, why);
}

void fa_http_stream_closed(fa_http_stream *stream)
{
    fa_moving *moving = stream->moving;
    const char *why = stream->end;
    stream->connection->stream = NULL;
    stream->connection->http->request_count--;
    BIO_free(stream->sealed);
    SSL_free(stream->ssl);
    if (moving == NULL)
        fa_access_log_exchange(stream->connection->http->options.access, &stream->exchange, why);
    fa_exchange_gone(&stream->exchange);
    fa_scope_end(stream->exchange.scope, why, NULL); /* and the stream lies in it */
    if (moving != NULL)
        fa_moving_deliver(moving);
}

static void on_last_moment(fa_timer *timer)
{
    end(FA_OBJECT(timer, fa_http_stream, last_moment), "answered");
}

static void on_shut(uv_shutdown_t *shut, int status)
{
    fa_http_stream *stream = FA_OBJECT(shut, fa_http_stream, under_way.shut);
    if (stream->end != NULL)
        return;
    fa_exchange_sent(&stream->exchange);
    fa_timer_init(&stream->last_moment, stream->exchange.worker, stream->exchange.scope, on_last_moment);
    if (status != 0 || stream->client_ended || fa_timer_start(&stream->last_moment, LAST_MOMENT_MS) != FA_OK)
        end(stream, "answered");
}

static void begin_end(fa_http_stream *stream)
{
    if (uv_shutdown(&stream->under_way.shut, socket_of(stream), on_shut) != 0)
        end(stream, "the client vanished");
}

/* ---- reading ---- */

static void lend_waste(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    fa_http *http = FA_OBJECT(handle, fa_http_connection, tcp)->http;
    (void)suggested;
    *buffer = uv_buf_init(http->waste, sizeof(http->waste));
}

static void on_read(uv_stream_t *socket, ssize_t got, const uv_buf_t *buffer)
{
    fa_http_stream *stream = FA_OBJECT(socket, fa_http_connection, tcp)->stream;
    bool open = got >= 0 && (stream->ssl == NULL || fa_http_stream_open(stream->ssl, buffer->base, (size_t)got));
    if (open) {
        stream->read_bytes += (size_t)got;
        if (stream->read_bytes > MOST_INPUT_BYTES)
            end(stream, "the client goes on sending");
        return;
    }
    uv_read_stop(socket);
    stream->client_ended = true;
    if (!stream->exchange.finished || (got < 0 && got != UV_EOF))
        end(stream, "the client vanished");
    else if (!stream->exchange.sending)
        end(stream, "answered"); /* else what is written last fails by itself, or reaches a half-closed client */
}

/* ---- the back end ---- */

static fa_result back_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    (void)exchange, (void)status, (void)headers, (void)count, (void)length;
    return FA_WRONG_STATE; /* it was started where it came from */
}

static void on_written(uv_write_t *write, int status)
{
    fa_http_stream *stream = FA_OBJECT(write, fa_http_stream, under_way.write);
    BIO_free(stream->sealed);
    stream->sealed = NULL;
    if (stream->end != NULL)
        return;
    if (status != 0) {
        end(stream, "the client vanished");
        return;
    }
    fa_timer_pause(&stream->stall.timer);
    bool last = stream->exchange.finished;
    fa_exchange_sent(&stream->exchange); /* may send again, or move */
    if (last)
        begin_end(stream);
}

/* What is written for the pieces: themselves, or what they become under TLS. 0: no memory. */
static size_t prepare(fa_http_stream *stream, const fa_piece *pieces, size_t count, bool final, uv_buf_t *bytes)
{
    char *sealed;
    for (size_t i = 0; i < count; ++i)
        bytes[i] = uv_buf_init((char *)fa_buffer_data(pieces[i].buffer) + pieces[i].offset, (unsigned)pieces[i].length);
    if (stream->ssl == NULL)
        return count;
    stream->sealed = fa_http_stream_seal(stream->ssl, pieces, count, final);
    long length = stream->sealed != NULL ? BIO_get_mem_data(stream->sealed, &sealed) : 0;
    if (length > 0)
        bytes[0] = uv_buf_init(sealed, (unsigned)length);
    return length > 0 ? 1 : 0;
}

static fa_result back_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    fa_http_stream *stream = stream_of(exchange);
    uv_buf_t bytes[FA_MAX_PIECES];
    if (stream->end != NULL)
        return FA_WRONG_STATE;
    if (count == 0 && stream->ssl == NULL) {
        begin_end(stream);
        return FA_OK;
    }
    count = prepare(stream, pieces, count, final, bytes);
    if (count == 0) {
        end(stream, "no memory to encipher");
        return FA_NO_MEMORY;
    }
    int status = uv_write(&stream->under_way.write, socket_of(stream), bytes, (unsigned)count, on_written);
    if (status != 0) {
        end(stream, "cannot be written to");
        return status == UV_ENOMEM ? FA_NO_MEMORY : FA_IO;
    }
    fa_http_stall_watch(&stream->stall);
    return FA_OK;
}

static void back_abort(fa_exchange *exchange)
{
    cut(exchange, "aborted");
}

static void back_watch(fa_exchange *exchange)
{
    (void)exchange; /* always */
}

/* No head this time, and nothing is under way. */
static fa_result back_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                           void (*moved)(fa_moving *moving, void *context), void *context)
{
    fa_http_stream *stream = stream_of(exchange);
    (void)headers, (void)count;
    if (stream->end != NULL)
        return FA_WRONG_STATE;
    fa_result result = fa_moving_new(stream->connection->account, exchange, fa_http_connection_fd(stream->connection),
                                     moved, context, &stream->moving);
    if (result != FA_OK)
        return result;
    stream->moving->secret = stream->ssl;
    stream->moving->free_secret = fa_http_secure_free;
    stream->ssl = NULL;
    fa_http_lost_is_logged(stream->connection->http, stream->moving);
    end(stream, "moved to another worker");
    return FA_OK;
}

static const fa_exchange_back_end raw_stream = {
    .start = back_start,
    .send = back_send,
    .abort = back_abort,
    .watch = back_watch,
    .move = back_move,
};

/* ---- making ---- */

fa_result fa_http_stream_new(fa_http *http, fa_scope *scope, fa_moving *moving, fa_http_stream **out)
{
    fa_http_stream *stream = fa_scope_allocate(scope, sizeof(*stream) + moving->copied);
    if (stream == NULL)
        return FA_NO_MEMORY;
    fa_result result = fa_http_connection_adopt(http, moving->fd, moving->remote, &stream->connection);
    if (result != FA_OK)
        return result;
    moving->fd = -1;
    stream->ssl = moving->secret;
    moving->secret = NULL;
    fa_exchange *exchange = &stream->exchange;
    fa_exchange_init(exchange, &raw_stream, http->worker, scope);
    fa_moving_unpack(moving, stream->texts, exchange);
    exchange->status = 200;
    fa_http_stall_init(&stream->stall, exchange, stream->connection, cut);
    stream->connection->stream = stream;
    fa_http_bound_unsent(fa_http_connection_fd(stream->connection), true);
    http->request_count++;
    uv_read_start(socket_of(stream), lend_waste, on_read);
    *out = stream;
    return FA_OK;
}
