/* HTTP/2 for clients that are trusted (docs/http.md says why for nobody else).
 *
 * There is no gate before it: h2o cuts the frames, and decodes the heads. What the gate refuses is looked for in the request that comes of
 * it, before anybody handles it. Several requests share a connection, and none of them owns its socket: one is ended by a reset of its
 * stream, and when a client takes nothing of one for too long all of them end with the connection. */
#include "http/edge.h"

#include <h2o/http2.h>

static void on_read(h2o_socket_t *socket, const char *error);

static uint64_t now(const fa_http_connection *connection)
{
    return uv_now(fa_worker_loop(connection->http->worker));
}

/* The last `length` bytes of its input are new. */
static void look_at(fa_http_connection *connection, size_t length)
{
    const h2o_buffer_t *input = connection->gate.http2_socket->input;
    fa_http2_begun_take(connection->gate.begun, (const uint8_t *)input->bytes + input->size - length, length,
                        now(connection));
}

/* Not while a body is coming: h2o would cut it. */
static void end_for_good(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    if (!gate->ends && gate->begun->count == 0)
        gate->ends = fa_h2o_http2_end(&connection->http->context, gate->http2_link, true);
}

/* Those that a client has on its way when it hears that these were enough are answered; whoever goes on all the same is not. */
static void count_requests(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    size_t most = connection->http->options.connection_requests;
    uint64_t opened = gate->begun != NULL ? gate->begun->opened : 0;
    if (most == 0 || opened < most)
        return;
    if (!gate->told_last)
        fa_h2o_http2_end(&connection->http->context, gate->http2_link, false);
    gate->told_last = true;
    if (opened >= most + FA_HTTP2_MOST_BEGUN)
        end_for_good(connection);
}

enum { REST_MS = 1000 };

/* h2o's drain is for those that are there when it begins, or come within a second. One that comes later has as long to ask. */
void fa_http2_drain(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    if (gate->begun == NULL || gate->ends || uv_is_closing((const uv_handle_t *)&connection->tcp) ||
        gate->http2_socket->_cb.read != on_read)
        return;
    if (!gate->told_last)
        gate->told_last = fa_h2o_http2_end(&connection->http->context, gate->http2_link, false);
    if (now(connection) >= gate->since_ms + REST_MS)
        end_for_good(connection);
}

static void pass_to_h2o(fa_http_connection *connection, const char *error)
{
    h2o_socket_t *socket = connection->gate.http2_socket;
    connection->http->http2_read(socket, error);
    if (uv_is_closing((const uv_handle_t *)&connection->tcp))
        return;
    if (socket->_cb.read == connection->http->http2_read) /* it began to read anew */
        socket->_cb.read = on_read;
    if (socket->_cb.read != on_read)
        return; /* it closes, or does not read for now */
    count_requests(connection);
    fa_http_deadline_arm(connection);
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    fa_http_connection *connection = socket->on_close.data;
    size_t fresh = fa_h2o_new_bytes(socket, &connection->gate.seen_bytes);
    if (error != NULL && fa_http_secure_is_spurious(socket, error))
        return;
    if (error != NULL)
        fa_http_secure_mute(socket);
    else
        look_at(connection, fresh);
    pass_to_h2o(connection, error);
    if (error == NULL && connection->gate.begun != NULL && fa_http2_deadline(connection) <= now(connection))
        fa_http2_expire(connection);
}

/* ---- how long a request may take ---- */

static fa_http2_terms terms_of(const fa_http_connection *connection)
{
    const fa_http_options *options = &connection->http->options;
    return (fa_http2_terms){options->request_timeout_ms, options->head_timeout_ms, options->body_rate};
}

/* While a frame is under way nothing can be said to h2o: then it is that one's. */
uint64_t fa_http2_deadline(const fa_http_connection *connection)
{
    fa_http2_terms terms = terms_of(connection);
    return fa_http2_begun_due(connection->gate.begun, &terms);
}

/* As if the client had reset its stream: h2o forgets it, and answers what still comes of it with a reset. The others go on. */
static bool reset_stream(h2o_socket_t *socket, uint32_t stream)
{
    enum { RST_STREAM = 3, CANCEL = 8 };
    const char frame[] = {
        0, 0, 4, RST_STREAM, 0, (char)(stream >> 24), (char)(stream >> 16), (char)(stream >> 8), (char)stream,
        0, 0, 0, CANCEL};
    h2o_iovec_t room = h2o_buffer_reserve(&socket->input, sizeof(frame));
    if (room.base == NULL)
        return false;
    memcpy(room.base, frame, sizeof(frame));
    socket->input->size += sizeof(frame);
    return true;
}

/* A client that drips a frame loses its connection. */
void fa_http2_expire(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    h2o_socket_t *socket = gate->http2_socket;
    if (uv_is_closing((const uv_handle_t *)&connection->tcp) || socket->_cb.read != on_read)
        return; /* h2o closes, or does not read: it looks after itself */
    fa_http2_terms terms = terms_of(connection);
    bool is_whole = fa_http2_begun_is_between(gate->begun);
    for (uint32_t stream; is_whole && (stream = fa_http2_begun_drop(gate->begun, &terms, now(connection))) != 0;) {
        fa_log_write(fa_worker_log(connection->http->worker), FA_LOG_DEBUG,
                     "http: %s: a request of HTTP/2 did not come in time: its stream is reset", connection->remote);
        is_whole = reset_stream(socket, stream);
    }
    if (is_whole)
        pass_to_h2o(connection, NULL);
    else
        fa_http_connection_cut(connection);
}

void fa_http2_close(fa_http_connection *connection)
{
    fa_http_gate *gate = &connection->gate;
    if (gate->begun != NULL)
        fa_account_free(connection->account, gate->begun, sizeof(*gate->begun));
    gate->begun = NULL;
}

/* ---- beginning ---- */

/* Only TLS offers it, and h2o asserts that there is TLS. */
bool fa_http2_is_chosen(h2o_socket_t *socket)
{
    if (socket->ssl == NULL)
        return false;
    h2o_iovec_t protocol = h2o_socket_ssl_get_selected_protocol(socket);
    return h2o_memis(protocol.base, protocol.len, H2O_STRLIT("h2"));
}

/* From here on h2o's own idle time-out holds, for what has no request under way. */
void fa_http2_begin(fa_http_connection *connection, h2o_socket_t *socket)
{
    fa_http *http = connection->http;
    fa_http_gate *gate = &connection->gate;
    void *memory;
    fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
    gate->socket = NULL;
    connection->http2 = true;
    if (fa_account_allocate(connection->account, sizeof(*gate->begun), &memory) != FA_OK) {
        fa_http_deadline_await(connection, FA_AWAITS_GOODBYE);
        fa_http_deadline_arm(connection);
        h2o_socket_close(socket);
        return;
    }
    gate->begun = memset(memory, 0, sizeof(*gate->begun));
    gate->http2_socket = socket;
    look_at(connection, socket->input->size);
    fa_http_deadline_await(connection, FA_AWAITS_REQUESTS);
    h2o_http2_accept(&http->accept, socket, *h2o_get_timestamp(&http->context, NULL, NULL));
    if (uv_is_closing((const uv_handle_t *)&connection->tcp) || socket->_cb.read == NULL)
        return;
    gate->http2_link = fa_h2o_http2_newest(&http->context);
    http->http2_read = socket->_cb.read;
    socket->_cb.read = on_read;
    count_requests(connection);
    fa_http_deadline_arm(connection);
}

/* ---- what the gate would have refused ---- */

static bool is_token(h2o_iovec_t text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; ++i) {
        unsigned char c = (unsigned char)text.base[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return text.len != 0;
}

static bool is_value(h2o_iovec_t text)
{
    for (size_t i = 0; i < text.len; ++i) {
        unsigned char c = (unsigned char)text.base[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* RFC 9113 8.2.2: they belong to a connection, and one that was made of HTTP/1 somewhere may carry a second request in them. */
static bool belongs_to_a_connection(const h2o_header_t *header)
{
    static const char *const names[] = {"connection",        "keep-alive", "proxy-connection",
                                        "transfer-encoding", "upgrade",    "host"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if (h2o_memis(header->name->base, header->name->len, names[i], strlen(names[i])))
            return true;
    }
    return false;
}

static const char *header_trouble(const h2o_req_t *req)
{
    bool has_length = false;
    for (size_t i = 0; i < req->headers.size; ++i) {
        const h2o_header_t *header = &req->headers.entries[i];
        if (belongs_to_a_connection(header))
            return "a header that has no place in HTTP/2";
        if (!is_token(*header->name) || !is_value(header->value))
            return "a malformed header";
        if (!h2o_memis(header->name->base, header->name->len, H2O_STRLIT("content-length")))
            continue;
        if (has_length || h2o_strtosize(header->value.base, header->value.len) != req->entity.len)
            return "Content-Length is not the length of the body";
        has_length = true;
    }
    return NULL;
}

const char *fa_http2_trouble(const h2o_req_t *req)
{
    h2o_iovec_t path = req->input.path, host = req->input.authority;
    const char *query = path.len != 0 ? memchr(path.base, '?', path.len) : NULL;
    if (!is_token(req->input.method))
        return "a malformed method";
    if (host.base == NULL || !fa_host_is_plain(host.base, host.len))
        return "a malformed authority";
    if (path.len == 0 || path.base[0] != '/' || !is_value(path) || memchr(path.base, '#', path.len) != NULL ||
        memchr(path.base, ' ', path.len) != NULL)
        return "a malformed path";
    const char *why = fa_path_trouble(path.base, query != NULL ? (size_t)(query - path.base) : path.len);
    return why != NULL ? why : header_trouble(req);
}

size_t fa_http2_most_body(const fa_http *http, const h2o_req_t *req)
{
    const fa_http_options *options = &http->options;
    h2o_iovec_t path = req->input.path;
    const char *query = memchr(path.base, '?', path.len);
    if (options->body_limit == NULL)
        return options->max_body;
    fa_route_key key = {{req->input.method.base, req->input.method.len},
                        {req->input.authority.base, req->input.authority.len},
                        {path.base, query != NULL ? (size_t)(query - path.base) : path.len}};
    return options->body_limit(&key, options->body_limit_context);
}
