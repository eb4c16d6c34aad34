/* An answer that goes to another worker, and how it is taken in there.
 *
 * On the worker that h2o parsed the request on, h2o's upgrade is the way out: it writes a head and then lets go of the
 * socket. The ticket has a duplicate of the descriptor from the beginning, so nothing can be lacking any more when the
 * head has left; h2o's own descriptor is closed as ever, and the client does not notice. What h2o had read of a further
 * request is dropped: the answer ends with the connection.
 *
 * Under TLS the OpenSSL object goes along: h2o lets go of that, too.
 *
 * The new worker needs no h2o for what follows: see stream.c. */
#include "http/edge.h"

#include <h2o/http1.h>

#include "exchange/moving.h"
#include "exchange/relay.h"

static void take_secret(fa_moving *moving, h2o_socket_t *socket)
{
    moving->secret = fa_http_secure_take(socket);
    moving->free_secret = fa_http_secure_free;
    moving->lost = moving->secret == NULL;
}

/* From the loop; the request and its scope have ended before. */
static void on_head_left(void *context, h2o_socket_t *socket, size_t request_size)
{
    fa_moving *moving = context;
    (void)request_size;
    if (socket == NULL)
        moving->lost = true;
    else if (socket->ssl == NULL)
        h2o_socket_close(socket);
    else
        take_secret(moving, socket);
    fa_moving_deliver(moving);
}

static bool write_now(int fd, const char *bytes, size_t length)
{
    char waste[4096];
    for (int i = 0; i < 16 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0; ++i) {
    } /* closing on unread bytes is a reset, which may overtake what is said */
    bool written = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
    return written && shutdown(fd, SHUT_WR) == 0;
}

static bool say(int fd, SSL *ssl, fa_text words)
{
    char *bytes;
    if (ssl == NULL)
        return write_now(fd, words.data, words.length);
    BIO *sealed = fa_http_stream_seal_text(ssl, words);
    long length = sealed != NULL ? BIO_get_mem_data(sealed, &bytes) : 0;
    bool said = length > 0 && write_now(fd, bytes, (size_t)length);
    BIO_free(sealed);
    return said;
}

/* At an end without a word a client would take what it has for the whole: its head, and nothing. */
static void say_last_words(const fa_moving *moving)
{
    fa_text words = moving->last_words;
    bool said = !moving->lost && words.length != 0 && say(moving->fd, moving->secret, words);
    if (!said)
        fa_http_reset_at_close(moving->fd);
}

/* The one line of an answer that ends between two workers. */
static void on_lost(const fa_moving *moving)
{
    const fa_http *http = moving->back_end;
    say_last_words(moving);
    fa_access_entry entry = {
        .remote = moving->remote,
        .method = moving->method,
        .target = moving->target,
        .request_id = moving->request_id,
        .trace_id = moving->trace.trace_id,
        .status = 200,
        .end = moving->lost ? "the client vanished" : "no worker took it",
        .story = &moving->story,
    };
    fa_access_log_write(http->options.access, http->worker, &entry);
}

void fa_http_lost_is_logged(fa_http *http, fa_moving *moving)
{
    moving->back_end = http;
    moving->on_lost = on_lost;
}

fa_result fa_http_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                       void (*moved)(fa_moving *moving, void *context), void *context)
{
    fa_http_request *request = fa_http_request_of(exchange);
    h2o_req_t *req = request->req;
    if (exchange->status != 0 || req == NULL || request->cut != NULL || request->phase != FA_PHASE_READY)
        return FA_WRONG_STATE;
    if (fa_http_is_http2(req))
        return FA_UNSUPPORTED; /* its stream cannot go alone */
    fa_result result = fa_moving_new(request->http->account, exchange, fa_http_connection_fd(request->connection),
                                     moved, context, &request->moving);
    if (result != FA_OK)
        return result;
    fa_http_lost_is_logged(request->http, request->moving);
    req->res.status = 200;
    req->res.reason = fa_status_text(200);
    req->res.content_length = SIZE_MAX;
    fa_http_copy_headers(req, headers, count);
    request->phase = FA_PHASE_MOVING;
    h2o_http1_upgrade(req, NULL, 0, on_head_left, request->moving);
    fa_http_stall_watch(&request->stall);
    return FA_OK;
}

/* ---- the other side ---- */

static fa_result open_scope(fa_http *http, const fa_moving *moving, fa_scope **scope)
{
    const char *question = moving->target.length != 0 ? memchr(moving->target.data, '?', moving->target.length) : NULL;
    fa_text path = moving->target;
    if (question != NULL)
        path.length = (size_t)(question - path.data);
    return fa_http_request_scope(http, moving->method, path, scope);
}

static fa_result adopt(fa_http *http, fa_moving *moving, fa_exchange **exchange)
{
    fa_scope *scope;
    fa_http_stream *stream;
    fa_result result = open_scope(http, moving, &scope);
    if (result != FA_OK)
        return result;
    if (moving->relay != NULL)
        result = fa_relay_adopt(moving, http->worker, scope, exchange);
    else if ((result = fa_http_stream_new(http, scope, moving, &stream)) == FA_OK)
        *exchange = &stream->exchange;
    if (result != FA_OK)
        fa_scope_end(scope, fa_result_name(result), NULL);
    return result;
}

fa_result fa_http_adopt(fa_http *http, fa_moving *moving, fa_exchange **exchange)
{
    fa_result result = adopt(http, moving, exchange);
    fa_moving_discard(moving); /* what is left of it: not the socket when that has a new owner */
    return result;
}
