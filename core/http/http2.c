/* HTTP/2 for clients that are trusted (docs/http.md says why for nobody else).
 *
 * There is no gate before it: h2o cuts the frames, and decodes the heads. What the gate refuses is looked for in the request that comes of
 * it, before anybody handles it. Several requests share a connection, and none of them owns its socket: one is ended by a reset of its
 * stream, and when a client takes nothing of one for too long all of them end with the connection. */
#include "http/edge.h"

#include <h2o/http2.h>

static void on_read(h2o_socket_t *socket, const char *error)
{
    fa_http_connection *connection = socket->on_close.data;
    if (error != NULL && fa_http_secure_is_spurious(socket, error))
        return;
    if (error != NULL)
        fa_http_secure_mute(socket);
    connection->http->http2_read(socket, error);
    if (!uv_is_closing((const uv_handle_t *)&connection->tcp) && socket->_cb.read == connection->http->http2_read)
        socket->_cb.read = on_read;
}

bool fa_http2_is_chosen(h2o_socket_t *socket)
{
    h2o_iovec_t protocol = h2o_socket_ssl_get_selected_protocol(socket);
    return h2o_memis(protocol.base, protocol.len, H2O_STRLIT("h2"));
}

/* From here on h2o's own idle time-out holds. */
void fa_http2_begin(fa_http_connection *connection, h2o_socket_t *socket)
{
    fa_http *http = connection->http;
    fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
    connection->gate.socket = NULL;
    connection->http2 = true;
    h2o_http2_accept(&http->accept, socket, *h2o_get_timestamp(&http->context, NULL, NULL));
    if (uv_is_closing((const uv_handle_t *)&connection->tcp) || socket->_cb.read == NULL)
        return;
    http->http2_read = socket->_cb.read;
    socket->_cb.read = on_read;
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
