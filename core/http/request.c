/* An h2o request becomes an exchange.
 *
 * The request scope comes first: what a request needs is charged to it from the beginning, and when there is no room
 * for it the client hears 503 before anybody has done any work. The scope ends when h2o clears the request's pool,
 * through the one callback that h2o calls on every path: after the answer, when the client vanishes, when a write
 * fails. That may happen while h2o is inside its own write callback, so nothing after it may touch the h2o request. */
#include "http/edge.h"

#include "exchange/error_reply.h"
#include "exchange/moving.h"

typedef struct handler {
    h2o_handler_t super;
    fa_http *http;
} handler;

static fa_text text_of(h2o_iovec_t bytes)
{
    return (fa_text){bytes.base != NULL ? bytes.base : "", bytes.len};
}

/* ---- the request id: the client's when it is harmless in a log, else a random one ---- */

static bool id_is_plain(fa_text id)
{
    for (size_t i = 0; i < id.length; ++i) {
        char c = id.data[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '_' || c == '-';
        if (!plain)
            return false;
    }
    return id.length != 0 && id.length < FA_REQUEST_ID_SIZE;
}

void fa_http_request_id(fa_http *http, const h2o_headers_t *headers, char id[FA_REQUEST_ID_SIZE])
{
    ssize_t at = h2o_find_header_by_str(headers, H2O_STRLIT("x-request-id"), -1);
    fa_http_choose_id(http, at >= 0 ? text_of(headers->entries[at].value) : FA_TEXT(""), id);
}

void fa_http_choose_id(fa_http *http, fa_text given, char id[FA_REQUEST_ID_SIZE])
{
    if (id_is_plain(given)) {
        memcpy(id, given.data, given.length);
        id[given.length] = '\0';
    } else {
        fa_random_pool_id(&http->request_ids, id, FA_REQUEST_ID_SIZE, "r-", 8);
    }
}

/* ---- making ---- */

/* h2o takes Host out of the headers, and puts a name of its own in its place when there was none. */
static bool sent_host(const h2o_req_t *req)
{
    return req->input.authority.base != NULL && req->input.authority.base != req->hostconf->authority.hostport.base;
}

enum { HIDDEN_HEADERS = 2 };

/* headers: room for those that h2o has and those that it hides. */
static void take_headers(fa_exchange *exchange, const h2o_req_t *req, fa_header *headers)
{
    for (size_t i = 0; i < req->headers.size; ++i) {
        const h2o_header_t *header = &req->headers.entries[i];
        headers[exchange->header_count++] = (fa_header){text_of(*header->name), text_of(header->value)};
    }
    if (sent_host(req))
        headers[exchange->header_count++] = (fa_header){FA_TEXT("host"), text_of(req->input.authority)};
    if (req->upgrade.len != 0) /* nor does it leave this one where it was */
        headers[exchange->header_count++] = (fa_header){FA_TEXT("upgrade"), text_of(req->upgrade)};
    exchange->headers = headers;
}

/* ---- what every answer of this edge has ---- */

static void take_defaults(fa_exchange *exchange, const fa_http_request *request)
{
    const fa_http_options *options = &request->http->options;
    bool secure = request->connection->gate.context != NULL;
    exchange->defaults = secure ? options->secure_defaults : options->defaults;
    exchange->default_count = secure ? options->secure_default_count : options->default_count;
}

fa_exchange_story fa_http_story(const fa_http_connection *connection)
{
    const fa_http_gate *gate = &connection->gate;
    return (fa_exchange_story){
        .began_us = gate->began_us,
        .bytes_in = gate->head.length,
        .version = gate->head.http_1_0 ? 10 : 11,
    };
}

static fa_result fill_in(fa_http_request *request, fa_scope *scope)
{
    fa_exchange *exchange = &request->exchange;
    exchange->story = fa_http_story(request->connection);
    if (fa_http_is_http2(request->req))
        exchange->story = (fa_exchange_story){.began_us = fa_worker_now_us(request->http->worker), .version = 20};
    fa_exchange_init(exchange, &fa_http_back_end, request->http->worker, scope);
    take_defaults(exchange, request);
    fa_http_request_id(request->http, &request->req->headers, exchange->request_id);
    exchange->method = text_of(request->req->input.method);
    exchange->head_only = exchange->method.length == 4 && memcmp(exchange->method.data, "HEAD", 4) == 0;
    exchange->remote = (fa_text){request->connection->remote, strlen(request->connection->remote)};
    exchange->stall_ms = request->http->options.send_stall_ms;
    take_headers(exchange, request->req, (fa_header *)(request + 1));
    fa_result result = fa_http_take_body(request);
    if (result == FA_OK && exchange->body != NULL)
        exchange->story.bytes_in += fa_buffer_length(exchange->body);
    if (result == FA_OK)
        fa_exchange_set_target(exchange, text_of(request->req->input.path)); /* a bad one shows in the empty path */
    return result;
}

static size_t append_text(char label[FA_LABEL_SIZE], size_t used, fa_text text)
{
    size_t room = FA_LABEL_SIZE - 1 - used, length = text.length < room ? text.length : room;
    memcpy(label + used, text.data, length);
    return used + length;
}

/* Its label is "request GET /path", cut. Without the query, which may hold what no log should show. */
fa_result fa_http_request_scope(fa_http *http, fa_text method, fa_text path, fa_scope **scope)
{
    char label[FA_LABEL_SIZE];
    fa_scope *worker_scope = fa_worker_scope(http->worker);
    method.length = method.length < 16 ? method.length : 16;
    size_t used = append_text(label, append_text(label, 0, FA_TEXT("request ")), method);
    used = append_text(label, append_text(label, used, FA_TEXT(" ")), path);
    label[used] = '\0';
    return fa_scope_new(fa_scope_ledger(worker_scope), worker_scope, FA_KIND_REQUEST, http->options.request_budget,
                        label, FA_HERE, scope);
}

static fa_result new_scope(fa_http *http, const h2o_req_t *req, fa_scope **scope)
{
    fa_text path = text_of(req->input.path);
    if (req->query_at < path.length)
        path.length = req->query_at;
    return fa_http_request_scope(http, text_of(req->input.method), path, scope);
}

/* ---- the end ---- */

/* What lies in h2o's pool: the request itself is ours and ends with its scope. */
typedef struct pool_cell {
    fa_http_request *request;
} pool_cell;

static void on_dispose(void *cell)
{
    fa_http_request *request = ((pool_cell *)cell)->request;
    if (request->phase == FA_PHASE_UPGRADING) {
        fa_http_upgrade_disposed(request);
        return;
    }
    const char *reason = request->cut != NULL         ? request->cut
                         : request->moving != NULL    ? "moved to another worker"
                         : request->exchange.finished ? "answered"
                                                      : "the client vanished";
    fa_http_answer_end(request);
    fa_http_watch_stop(request);
    if (request->moving != NULL && request->cut != NULL)
        request->moving->lost = true;
    if (request->moving == NULL) /* else it goes on, and the ticket sees to it */
        fa_access_log_exchange(request->http->options.access, &request->exchange, reason);
    request->req = NULL;
    if (request->connection->request == request)
        request->connection->request = NULL;
    request->http->request_count--;
    fa_exchange_gone(&request->exchange);
    fa_scope_end(request->exchange.scope, reason, NULL); /* and the request lies in it */
}

/* ---- h2o's call ---- */

static fa_http_request *new_request(fa_http *http, h2o_req_t *req)
{
    fa_scope *scope;
    if (new_scope(http, req, &scope) != FA_OK)
        return NULL;
    size_t headers = (req->headers.size + HIDDEN_HEADERS) * sizeof(fa_header);
    fa_http_request *request = fa_scope_allocate(scope, sizeof(*request) + headers); /* one piece: see take_headers */
    if (request == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    request->http = http;
    request->req = req;
    request->connection = fa_http_connection_of(req);
    fa_http_answer_init(request);
    if (fill_in(request, scope) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    if (!fa_http_is_http2(req))
        request->connection->request = request;
    http->request_count++;
    pool_cell *cell = h2o_mem_alloc_shared(&req->pool, sizeof(*cell), on_dispose);
    cell->request = request;
    return request;
}

/* What the gate does for HTTP/1. */
static bool refuse_http2(fa_http_request *request, const h2o_req_t *req)
{
    if (!fa_http_is_http2(req))
        return false;
    const char *why = fa_http2_trouble(req);
    if (why != NULL)
        fa_exchange_fail(&request->exchange, 400, fa_status_code_name(400), why, NULL);
    else if (req->entity.len > fa_http2_most_body(request->http, req))
        fa_exchange_fail(&request->exchange, 413, fa_status_code_name(413),
                         "the request body is larger than this server takes", NULL);
    else
        return false;
    return true;
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    fa_http *http = FA_OBJECT(self, handler, super)->http;
    fa_http_request *request = new_request(http, req);
    if (request == NULL) {
        fa_http_refuse(req);
        return 0;
    }
    if (refuse_http2(request, req))
        return 0;
    http->handler(&request->exchange, http->handler_context);
    /* It still lives: whatever ends it comes from the loop, see answer.c. */
    fa_exchange_watch(&request->exchange);
    return 0;
}

void fa_http_register_handler(fa_http *http, h2o_pathconf_t *path)
{
    handler *h = FA_OBJECT(h2o_create_handler(path, sizeof(*h)), handler, super);
    h->super.on_req = on_request;
    h->http = http;
}
