#include "upstream/proxy.h"

#include <string.h>

#include "exchange/head.h"
#include "memory/buffer.h"
#include "upstream/internal.h"

struct fa_proxy {
    fa_exchange *exchange;
    fa_transfer *transfer; /* NULL: it has ended */
    fa_pipe *pipe;         /* NULL: not begun, or over */
    fa_proxy_options options;
    void (*done)(fa_transfer *transfer, bool begun, void *context);
    void *context;
    fa_scope_hook transfer_gone, request_gone;
    bool full, begun, over;
};

static void pull(void *context, fa_pipe *pipe, size_t room);
static void stop(void *context);
static const fa_pipe_source source = {pull, stop};

/* ---- the end ---- */

static void unhook(fa_proxy *r)
{
    fa_scope_hook_remove(&r->transfer_gone);
    fa_scope_hook_remove(&r->request_gone);
    r->over = true;
}

static void finish(fa_proxy *r)
{
    const fa_failure *failure = fa_transfer_failure(r->transfer);
    fa_pipe *pipe = r->pipe;
    unhook(r);
    r->pipe = NULL;
    if (pipe != NULL && failure->kind == FA_FAILED_NOT)
        fa_pipe_end(pipe);
    else if (pipe != NULL)
        fa_pipe_fail(pipe, failure->message);
    r->done(r->transfer, r->begun, r->context);
}

/* The client has gone. */
static void stop(void *context)
{
    fa_proxy *r = context;
    fa_transfer *transfer = r->transfer;
    r->pipe = NULL;
    if (r->over)
        return;
    unhook(r);
    r->transfer = NULL;
    fa_transfer_end(transfer);
}

static void on_request_gone(fa_scope_hook *hook)
{
    fa_proxy *r = FA_OBJECT(hook, fa_proxy, request_gone);
    if (!r->over)
        stop(r);
}

static void on_transfer_gone(fa_scope_hook *hook)
{
    fa_proxy *r = FA_OBJECT(hook, fa_proxy, transfer_gone);
    fa_pipe *pipe = r->pipe;
    unhook(r);
    r->pipe = NULL;
    r->transfer = NULL;
    if (pipe != NULL)
        fa_pipe_fail(pipe, "the transfer was ended");
}

/* ---- the body ---- */

static void flow(fa_proxy *r)
{
    while (r->pipe != NULL && !r->full) {
        fa_buffer *buffer = fa_transfer_take(r->transfer);
        if (buffer == NULL)
            break;
        fa_result result = fa_pipe_give(r->pipe, buffer);
        fa_buffer_release(buffer);
        if (result != FA_OK)
            r->full = true; /* or dead: then `stop` comes */
    }
    if (r->pipe != NULL && !r->full && fa_transfer_done(r->transfer))
        finish(r);
}

/* Also from inside of fa_pipe_open. */
static void pull(void *context, fa_pipe *pipe, size_t room)
{
    fa_proxy *r = context;
    (void)room;
    r->full = false;
    if (r->pipe == pipe)
        flow(r);
}

/* ---- the head ---- */

static bool is_in_list(fa_text list, fa_text name)
{
    for (size_t i = 0; i < list.length;) {
        size_t start = i;
        while (i < list.length && list.data[i] != ',')
            ++i;
        size_t end = i++;
        while (start < end && (list.data[start] == ' ' || list.data[start] == '\t'))
            ++start;
        while (end > start && (list.data[end - 1] == ' ' || list.data[end - 1] == '\t'))
            --end;
        if (end - start == name.length && strncasecmp(list.data + start, name.data, name.length) == 0)
            return true;
    }
    return false;
}

/* What is said to the next hop only, and what the edge says itself. */
static bool is_of_the_hop(const fa_transfer *t, fa_text name)
{
    static const char *const names[] = {"connection",
                                        "keep-alive",
                                        "proxy-authenticate",
                                        "proxy-authorization",
                                        "proxy-connection",
                                        "te",
                                        "trailer",
                                        "transfer-encoding",
                                        "upgrade",
                                        "content-length",
                                        "x-request-id",
                                        "alt-svc",
                                        NULL};
    fa_header line;
    for (const char *const *it = names; *it != NULL; ++it) {
        if (fa_text_is(name, *it))
            return true;
    }
    for (size_t at = 0; fa_head_next(t->head, &at, &line);) {
        if (fa_text_is(line.name, "connection") && is_in_list(line.value, name))
            return true;
    }
    return false;
}

static bool is_replaced(const fa_proxy *r, fa_text name)
{
    for (size_t i = 0; i < r->options.header_count; ++i) {
        fa_text mine = r->options.headers[i].name;
        if (mine.length == name.length && strncasecmp(mine.data, name.data, name.length) == 0)
            return true;
    }
    return false;
}

/* False: more than an answer may have. */
static bool collect(const fa_proxy *r, fa_header headers[FA_MAX_ANSWER_HEADERS], size_t *count)
{
    fa_header h;
    *count = r->options.header_count;
    if (*count > FA_MAX_ANSWER_HEADERS)
        return false;
    if (*count != 0)
        memcpy(headers, r->options.headers, *count * sizeof(*headers));
    for (size_t i = 0; fa_transfer_header(r->transfer, i, &h); ++i) {
        if (is_of_the_hop(r->transfer, h.name) || is_replaced(r, h.name) || !fa_header_is_clean(&h))
            continue;
        if (*count == FA_MAX_ANSWER_HEADERS)
            return false;
        headers[(*count)++] = h;
    }
    return true;
}

static void fail(fa_proxy *r, fa_failure_kind kind, const char *detail)
{
    fa_failure_say(r->transfer, kind, NULL, detail);
    fa_transfer_let_go(r->transfer);
    finish(r);
}

static void on_head(fa_transfer *t, void *context)
{
    fa_proxy *r = context;
    fa_header headers[FA_MAX_ANSWER_HEADERS];
    size_t count;
    int status = r->options.status != 0 ? r->options.status : fa_transfer_status(t);
    fa_pipe *pipe = NULL;
    if (!collect(r, headers, &count)) {
        fail(r, FA_FAILED_TOO_LARGE, "too many headers");
        return;
    }
    bool same = status == fa_transfer_status(t) && !r->exchange->head_only;
    fa_result result = fa_pipe_open(r->exchange, status, headers, count, same ? fa_transfer_length(t) : -1,
                                    r->options.queue, &source, r, &pipe);
    if (result != FA_OK) {
        fail(r, result == FA_NO_MEMORY || result == FA_OVER_BUDGET ? FA_FAILED_MEMORY : FA_FAILED_PROTOCOL,
             "its head cannot be passed on");
        return;
    }
    r->exchange->promised = true;
    r->begun = true;
    r->pipe = pipe;
    flow(r);
}

static void on_data(fa_transfer *t, void *context)
{
    (void)t;
    flow(context);
}

static void on_done(fa_transfer *t, void *context)
{
    fa_proxy *r = context;
    if (!r->begun && fa_transfer_failure(t)->kind == FA_FAILED_NOT)
        on_head(t, context);
    else if (r->pipe == NULL)
        finish(r);
    else
        flow(r);
}

static const fa_transfer_user user = {.head = on_head, .data = on_data, .done = on_done};

/* ---- the beginning ---- */

static fa_text copy(fa_scope *scope, fa_text text)
{
    return (fa_text){fa_scope_copy_text(scope, text.data, text.length), text.length};
}

static fa_result keep_headers(fa_proxy *r, const fa_proxy_options *options)
{
    fa_scope *scope = r->exchange->scope;
    fa_header *headers = fa_scope_allocate(scope, (options->header_count + 1) * sizeof(*headers));
    if (headers == NULL)
        return FA_NO_MEMORY;
    for (size_t i = 0; i < options->header_count; ++i) {
        headers[i] = (fa_header){copy(scope, options->headers[i].name), copy(scope, options->headers[i].value)};
        if (headers[i].name.data == NULL || headers[i].value.data == NULL)
            return FA_NO_MEMORY;
    }
    r->options.headers = headers;
    return FA_OK;
}

fa_result fa_proxy_start(fa_upstream *upstream, fa_scope *scope, const fa_transfer_request *request,
                         fa_exchange *exchange, const fa_proxy_options *options,
                         void (*done)(fa_transfer *transfer, bool begun, void *context), void *context,
                         fa_origin made_at, fa_transfer **out, fa_error *error)
{
    fa_transfer_request mine = *request;
    fa_proxy *r = fa_scope_allocate(exchange->scope, sizeof(*r));
    if (r == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no room for a proxy");
    r->exchange = exchange;
    r->options = *options;
    r->done = done;
    r->context = context;
    mine.mode = FA_TRANSFER_STREAM;
    mine.format = FA_STREAM_RAW;
    if (keep_headers(r, options) != FA_OK)
        return fa_fail(error, FA_NO_MEMORY, "no room for a proxy");
    fa_result result = fa_transfer_start(upstream, scope, &mine, &user, r, made_at, &r->transfer, error);
    if (result != FA_OK)
        return result;
    fa_scope_hook_add(fa_transfer_scope(r->transfer), &r->transfer_gone, on_transfer_gone);
    fa_scope_hook_add(exchange->scope, &r->request_gone, on_request_gone);
    *out = r->transfer;
    return FA_OK;
}
