/* Answers that h2o makes on its own: a body over the limit (413), broken chunks (400), an Expect it does not know
 * (417). A filter on both of our paths gives them the one shape of our errors and the X-Request-Id. What h2o answers to
 * a head that it cannot parse is a constant text written straight to the socket; no filter sees that. */
#include "http/edge.h"

#include "exchange/error_reply.h"

typedef struct filter {
    h2o_filter_t super;
    fa_http *http;
} filter;

/* Replaces the body. */
typedef struct rewriter {
    h2o_ostream_t super;
    fa_h2o_piece body;
} rewriter;

static const char *message_for(int status)
{
    switch (status) {
    case 413:
        return "the request body is larger than this server takes";
    case 400:
        return "the request body is not framed as HTTP/1.1 says";
    case 417:
        return "only 100-continue can be expected";
    case 503:
        return "the server is short of memory, try again";
    default:
        return fa_status_text(status);
    }
}

/* The only 503 of ours that comes this way is fa_http_refuse's: the code is that of all who lack memory. */
static const char *code_for(int status)
{
    return status == 503 ? "over_budget" : fa_status_code_name(status);
}

static void send_rewritten(h2o_ostream_t *super, h2o_req_t *req, fa_h2o_piece *bufs, size_t count,
                           h2o_send_state_t state)
{
    rewriter *self = FA_OBJECT(super, rewriter, super);
    (void)bufs;
    (void)count; /* h2o_send_error_generic sends once, and that is final */
    bool head_only = h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"));
    h2o_ostream_send_next(&self->super, req, &self->body, head_only ? 0 : 1, state);
}

static void add_header(h2o_req_t *req, const char *name, h2o_iovec_t value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, value.base, value.len);
}

static fa_text text_of(h2o_iovec_t bytes)
{
    return (fa_text){bytes.base != NULL ? bytes.base : "", bytes.len};
}

/* There is no exchange that would be logged at its end. */
static void note(h2o_req_t *req, const char *id, size_t length)
{
    const fa_http_connection *connection = fa_http_connection_of(req);
    fa_exchange_story story = fa_http_story(connection);
    fa_access_entry entry = {
        .remote = {connection->remote, strlen(connection->remote)},
        .method = text_of(req->input.method),
        .target = text_of(req->input.path),
        .request_id = id,
        .status = req->res.status,
        .bytes_out = length,
        .end = "refused",
        .story = &story,
    };
    fa_access_log_write(connection->http->options.access, connection->http->worker, &entry);
}

static void rewrite(h2o_req_t *req, h2o_ostream_t **slot)
{
    char id[FA_REQUEST_ID_SIZE], json[FA_ERROR_JSON_SIZE];
    int status = req->res.status;
    fa_http_request_id(fa_http_connection_of(req)->http, &req->headers, id);
    size_t length = fa_error_json(json, code_for(status), message_for(status), id);

    ssize_t type = h2o_find_header(&req->res.headers, H2O_TOKEN_CONTENT_TYPE, -1);
    if (type >= 0)
        h2o_delete_header(&req->res.headers, type);
    add_header(req, "content-type", h2o_iovec_init(H2O_STRLIT("application/json; charset=utf-8")));
    add_header(req, "cache-control", h2o_iovec_init(H2O_STRLIT("no-store")));
    add_header(req, "x-request-id", h2o_strdup(&req->pool, id, SIZE_MAX));
    req->res.reason = fa_status_text(status);
    req->res.content_length = length;
    note(req, id, length);

    rewriter *self = FA_OBJECT(h2o_add_ostream(req, sizeof(*self), slot), rewriter, super);
    self->super.do_send = send_rewritten;
    h2o_iovec_t text = h2o_strdup(&req->pool, json, length);
    fa_h2o_piece_init(&self->body, text.base, text.len);
}

static void on_setup(h2o_filter_t *super, h2o_req_t *req, h2o_ostream_t **slot)
{
    filter *self = FA_OBJECT(super, filter, super);
    if (!self->http->answering) {
        rewrite(req, slot);
        slot = &(*slot)->next;
        if (req->res.status != 503 && !fa_http_is_http2(req)) /* ours, and its body has been read */
            fa_http_connection_linger_after(fa_http_connection_of(req));
    }
    h2o_setup_next_ostream(req, slot);
}

void fa_http_register_errors(fa_http *http, h2o_pathconf_t *path)
{
    filter *f = FA_OBJECT(h2o_create_filter(path, sizeof(*f)), filter, super);
    f->super.on_setup_ostream = on_setup;
    f->http = http;
}

void fa_http_refuse(h2o_req_t *req)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("retry-after"), 0, NULL, H2O_STRLIT("1"));
    h2o_send_error_generic(req, 503, "Service Unavailable", "", H2O_SEND_ERROR_KEEP_HEADERS);
}
