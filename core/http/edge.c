/* The edge of one worker: made, drained, freed.
 *
 * h2o gets one host and one path that catches everything: routing is not its business, and its configuration cannot
 * change while contexts live. HTTP/2 is off in every way in. */
#include "http/edge.h"

#include <assert.h>

enum { SWEEP_MS = 50, MOST_TOLD = 10 };

static void fill_in(fa_http_options *options)
{
    options->spool_dir = NULL;
    if (options->head_timeout_ms == 0)
        options->head_timeout_ms = options->request_timeout_ms;
    if (options->idle_timeout_ms == 0)
        options->idle_timeout_ms = options->request_timeout_ms;
    if (options->max_head == 0)
        options->max_head = 16 * 1024;
}

static void configure(fa_http *http)
{
    h2o_config_init(&http->config);
    http->config.server_name = h2o_iovec_init(H2O_STRLIT("fitnessally"));
    http->config.max_request_entity_size =
        http->options.http2 ? http->options.max_body : SIZE_MAX; /* the gate has the limit */
    http->config.http1.req_timeout = 2 * (http->options.head_timeout_ms + http->options.idle_timeout_ms +
                                          http->options.request_timeout_ms); /* deadline.c comes first */
    http->config.http1.upgrade_to_http2 = 0;                                 /* neither h2c nor prior knowledge */
    http->config.http2.idle_timeout = http->options.idle_timeout_ms;
    if (!http->options.http2) /* nobody to shut down, and it would start a timer */
        http->config.http2.callbacks.request_shutdown = NULL;
    h2o_hostconf_t *host = h2o_config_register_host(&http->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    fa_http_register_handler(http, path);
    fa_http_register_errors(http, path);
    fa_http_register_errors(http, &host->fallback_path); /* what h2o answers before it has looked for a path */
}

fa_result fa_http_new(fa_worker *worker, const fa_http_options *options, fa_http_handler handler, void *context,
                      fa_http **out, fa_error *error)
{
    fa_scope *scope = fa_worker_scope(worker);
    fa_http *http = fa_scope_allocate(scope, sizeof(*http));
    if (http == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the HTTP edge");
    fa_result result = fa_account_open(fa_scope_ledger(scope), fa_scope_account(scope), FA_KIND_CONNECTION, 0,
                                       "connections", &http->account);
    if (result != FA_OK)
        fa_fail(error, result, "no memory for the HTTP edge");
    else
        result = fa_http_library_begin(options, fa_worker_log(worker), error);
    if (result != FA_OK) {
        fa_account_unref(http->account);
        fa_scope_free(scope, http);
        return result;
    }
    http->worker = worker;
    http->options = *options;
    fill_in(&http->options);
    http->handler = handler;
    http->handler_context = context;
    fa_list_init(&http->listeners);
    fa_list_init(&http->connections);
    configure(http);
    h2o_context_init(&http->context, fa_worker_loop(worker), &http->config);
    http->accept.ctx = &http->context;
    http->accept.hosts = http->config.hosts;
    *out = http;
    return FA_OK;
}

void fa_http_log_access(fa_http *http, fa_access_log *access)
{
    http->options.access = access;
}

/* ---- draining ---- */

static void on_sweep(fa_timer *timer)
{
    fa_http *http = FA_OBJECT(timer, fa_http, sweep);
    fa_http_close_idle(http);
    fa_timer_start(&http->sweep, SWEEP_MS); /* cannot fail: it has run before */
}

void fa_http_connection_is_gone(fa_http *http)
{
    void (*tell)(void *) = http->on_idle;
    if (!http->draining || http->connection_count != 0 || tell == NULL)
        return;
    fa_timer_stop(&http->sweep); /* what may still be taken in is a stream, and never idle */
    tell(http->idle_context);    /* may free the edge */
}

void fa_http_drain(fa_http *http, void (*on_idle)(void *context), void *context)
{
    http->on_idle = on_idle;
    http->idle_context = context;
    if (!http->draining) {
        http->draining = true;
        fa_timer_init(&http->sweep, http->worker, fa_worker_scope(http->worker), on_sweep);
        fa_http_close_listeners(http);
        h2o_context_request_shutdown(&http->context);
        if (fa_timer_start(&http->sweep, SWEEP_MS) !=
            FA_OK) /* then idle connections wait for their time-out, or a cut */
            fa_log_write(fa_worker_log(http->worker), FA_LOG_WARN, "http: no memory to sweep while draining");
        fa_http_close_idle(http);
    }
    fa_http_connection_is_gone(http);
}

/* What a connection has under way; NULL: nothing, or HTTP/2's many. */
static const fa_exchange *under_way(const fa_http_connection *connection)
{
    if (connection->upgraded != NULL)
        return &connection->upgraded->exchange;
    if (connection->stream != NULL)
        return &connection->stream->exchange;
    return connection->request != NULL ? &connection->request->exchange : NULL;
}

void fa_http_cut(fa_http *http)
{
    unsigned told = 0;
    FA_LIST_EACH(node, &http->connections)
    {
        fa_http_connection *connection = FA_OBJECT(node, fa_http_connection, link);
        const fa_exchange *exchange = under_way(connection);
        if (exchange != NULL && told++ < MOST_TOLD)
            fa_log_write(fa_worker_log(http->worker), FA_LOG_WARN, "request %s: %.*s %.*s: cut, the server stops",
                         exchange->request_id, (int)exchange->method.length, exchange->method.data,
                         (int)exchange->path.length, exchange->path.data);
        fa_http_connection_cut(connection);
    }
}

size_t fa_http_connections(const fa_http *http)
{
    return http->connection_count;
}

size_t fa_http_requests(const fa_http *http)
{
    return http->request_count;
}

bool fa_http_draining(const fa_http *http)
{
    return http->draining;
}

void fa_http_upgrades(const fa_http *http, uint64_t *open, uint64_t *total)
{
    uint64_t ended =
        http->upgrades_ended; /* first: one that begins and ends meanwhile must not make it more than all */
    *total = http->upgrades;
    *open = *total - ended;
}

/* h2o_context_dispose closes its handles and then runs the loop once to see them off. We are inside a callback of that
 * loop, and uv_run is not reentrant: lend it an empty one. The handles close on the real loop; their memory lasts as
 * long as ours. */
static void dispose_context(h2o_context_t *context)
{
    uv_loop_t empty;
    fa_h2o_timer_stop(
        &context->http2._graceful_shutdown_timeout); /* else it would outlive the context: an assertion fails */
    if (uv_loop_init(&empty) != 0) {                 /* out of descriptors: the lesser evil */
        h2o_context_dispose(context);
        return;
    }
    context->loop = &empty;
    h2o_context_dispose(context);
    uv_loop_close(&empty);
}

void fa_http_free(fa_http *http)
{
    if (http == NULL)
        return;
    assert(http->connection_count == 0 && "fa_http_free before on_idle");
    fa_timer_stop(&http->sweep);
    fa_http_close_listeners(http);
    dispose_context(&http->context);
    h2o_config_dispose(&http->config);
    fa_account_unref(http->account);
    fa_http_library_end();
    fa_http_library_forget_thread();
}
