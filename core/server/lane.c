/* What runs on one worker: its loop, edge, dialogues, upstreams and scripts. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/runtime_internal.h"
#include "server/upstream_settings.h"

static bool is_draining(void *context)
{
    return ((const fa_lane *)context)->draining;
}

/* Of all lanes. Scripts ask, and have halted before an edge is freed. */
static void count_edges(void *context, fa_edge_figures *figures)
{
    const fa_lane *l = context;
    const fa_runtime *runtime = l->runtime;
    figures->connections = fa_ledger_kind(fa_scope_ledger(fa_worker_scope(l->worker)), FA_KIND_CONNECTION)->count;
    figures->access_log = runtime->access != NULL;
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        uint64_t open = 0, total = 0;
        if (runtime->lanes[i].http != NULL)
            fa_http_upgrades(runtime->lanes[i].http, &open, &total);
        figures->websockets += open;
        figures->websockets_total += total;
        if (runtime->access == NULL)
            continue;
        figures->access_dropped += runtime->access[i].ring->dropped;
        figures->access_held_back += runtime->access[i].ring->held_back;
    }
}

static fa_result make_scripts(fa_lane *l, fa_error *error)
{
    fa_scripts_worker worker = {.worker = l->worker,
                                .dialogues = l->dialogues,
                                .upstreams = l->upstreams,
                                .draining = is_draining,
                                .edge = count_edges,
                                .context = l};
    return fa_scripts_add(l->runtime->scripts, &worker, &l->generations, error);
}

static fa_result make_upstreams(fa_lane *l, const fa_config *config, unsigned workers, fa_error *error)
{
    fa_upstreams_options options = {
        .worker = l->worker, .turnstiles = l->runtime->places, .healths = l->runtime->healths, .workers = workers};
    fa_result result = fa_upstreams_new(&options, &l->upstreams, error);
    return result == FA_OK ? fa_settings_upstreams(config, l->upstreams, error) : result;
}

static fa_result make_edge(fa_lane *l, const fa_config *config, unsigned workers, fa_error *error)
{
    char spool[4200];
    const char *named = fa_config_text(config, "spool_dir"), *state = fa_config_text(config, "state_dir");
    if (named != NULL)
        snprintf(spool, sizeof(spool), "%s", named);
    else
        snprintf(spool, sizeof(spool), "%s/spool", state);
    mkdir(state, 0700); /* where they exist already that is as good; where they cannot be made, the first use says so */
    mkdir(spool, 0700);
    fa_http_options options = fa_settings_http(config, workers);
    options.spool_dir = spool;
    options.addresses = l->runtime->addresses;
    options.tls = l->runtime->tls;
    options.http2 = strcmp(fa_config_text(config, "http2"), "trusted") == 0;
    options.defaults = options.secure_defaults = l->runtime->security.list;
    options.default_count = l->runtime->security.plain;
    options.secure_default_count = l->runtime->security.secure;
    options.max_body = fa_script_largest_body(fa_generations_current(l->generations));
    options.body_limit = fa_generations_body_limit; /* what is less for a route */
    options.body_limit_context = l->generations;
    return fa_http_new(l->worker, &options, fa_generations_handle, l->generations, &l->http, error);
}

static fa_result adopt(void *context, fa_moving *moving, fa_exchange **exchange)
{
    return fa_http_adopt(((const fa_lane *)context)->http, moving, exchange);
}

fa_result fa_lane_make(fa_runtime *runtime, fa_lane *l, const fa_config *config, unsigned workers, fa_error *error)
{
    fa_scope *scope = runtime->scope;
    fa_dialogue_options options = fa_settings_dialogues(config, workers);
    l->runtime = runtime;
    fa_result result =
        fa_worker_new(fa_scope_ledger(scope), scope, runtime->crew.count, runtime->log, &l->worker, error);
    if (result != FA_OK)
        return result;
    runtime->crew.workers[runtime->crew.count++] = l->worker;
    fa_lane_init_end(l);
    if (fa_watchdog_add(runtime->watchdog, fa_worker_watched(l->worker)) != FA_OK)
        return fa_fail(error, FA_FULL, "too many workers for the watchdog");
    result = fa_dialogues_new_in(runtime->directory, l->worker, &options, adopt, l, &l->dialogues, error);
    if (result == FA_OK)
        result = make_upstreams(l, config, workers, error);
    if (result == FA_OK)
        result = make_scripts(l, error);
    return result == FA_OK ? make_edge(l, config, workers, error) : result;
}
