/* How the workers of a server begin and end together.
 *
 * Each worker has its lane: loop, edge, dialogues, scripts, thread. They share what runtime_new is given, the directory of dialogues, and
 * this file. To stop, every lane drains by itself and says when it has nothing more to do. When all have said so their scripts end, for
 * those could go on asking things of other workers for ever. The lanes finish together when that is done everywhere and nothing is on
 * its way between two of them any more: before that somebody may still need any of them. spec/model/drain.pml is the proof. */
#include "server/runtime.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "memory/buffer.h"
#include "server/pressure_steps.h"
#include "server/scripts.h"
#include "server/security_headers.h"
#include "server/settings.h"
#include "server/upstream_settings.h"
#include "server/tls_settings.h"
#include "worker/timer.h"

/* What runs on one worker. */
typedef struct lane {
    fa_runtime *runtime;
    fa_worker *worker;
    fa_http *http;
    fa_dialogues *dialogues;
    fa_upstreams *upstreams;
    fa_generations *generations; /* of its scripts */
    fa_pressure_steps *pressure_steps;
    pthread_t thread;
    bool threaded;
    fa_message stop, halt,
        finish; /* stop: from outside; halt: all lanes are idle; finish: nothing is under way between them */
    bool draining, edge_idle, dialogues_empty;
    bool idle, halted; /* guarded by the runtime's lock */
    fa_timer patience;
} lane;

struct fa_runtime {
    fa_settings settings;
    fa_directory *directory;
    fa_crew crew;
    lane *lanes;
    fa_crew_traffic traffic;
    fa_scope *scope;
    fa_addresses *addresses; /* NULL when they are not counted */
    fa_security_headers security;
    fa_media *media;
    fa_tls *tls; /* NULL: nobody wants it */
    const fa_log *log;
    const fa_access_log *access; /* of each lane; NULL: there is none */
    fa_turnstiles *turnstiles;
    fa_buckets *buckets;
    fa_watchdog *watchdog;
    bool jit;              /* user code is compiled */
    fa_turnstiles *places; /* of upstreams */
    fa_healths *healths;   /* of upstreams */
    fa_stores *stores;
    fa_topics *topics;
    fa_scripts *scripts;
    _Atomic uint64_t drain_ms;
    pthread_mutex_t lock; /* guards halting, finishing, lane.idle and lane.halted */
    fa_scope_hook at_end;
    bool halting, finishing;
    int tool_status;
};

/* ---- the end ---- */

static void on_finish(fa_message *message)
{
    lane *l = FA_OBJECT(message, lane, finish);
    fa_timer_stop(&l->patience);
    fa_pressure_detach(l->pressure_steps);
    l->pressure_steps = NULL;
    if (l->http != NULL)
        fa_http_free(l->http);
    l->http = NULL;
    fa_upstreams_free(l->upstreams);
    l->upstreams = NULL;
    fa_worker_finish(l->worker);
}

typedef enum stage { HALT, FINISH } stage;

static void post_to_all(fa_runtime *runtime, stage next)
{
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        lane *l = &runtime->lanes[i];
        fa_worker_post(l->worker, next == HALT ? &l->halt : &l->finish);
    }
}

/* Whether nothing is under way between workers. When all scripts have halted nothing new begins: either number
 * stays 0. */
static bool is_quiet(fa_runtime *runtime)
{
    return fa_directory_travelling(runtime->directory) == 0 && runtime->traffic.away == 0;
}

/* Thread: any. Posted, not called: scripts may be above us on the stack. */
static void look_if_over(fa_runtime *runtime)
{
    bool idle = true, halted = true;
    pthread_mutex_lock(&runtime->lock);
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        idle = idle && runtime->lanes[i].idle;
        halted = halted && runtime->lanes[i].halted;
    }
    if (idle && !runtime->halting) {
        runtime->halting = true;
        post_to_all(runtime, HALT);
    }
    if (idle && halted && !runtime->finishing && is_quiet(runtime)) {
        runtime->finishing = true;
        post_to_all(runtime, FINISH);
    }
    pthread_mutex_unlock(&runtime->lock);
}

static void say(lane *l, bool *what)
{
    pthread_mutex_lock(&l->runtime->lock);
    *what = true;
    pthread_mutex_unlock(&l->runtime->lock);
    look_if_over(l->runtime);
}

static void on_halt(fa_message *message)
{
    lane *l = FA_OBJECT(message, lane, halt);
    fa_generations_stop(l->generations);
    say(l, &l->halted);
}

static void lane_is_idle(lane *l)
{
    if (l->edge_idle && l->dialogues_empty)
        say(l, &l->idle);
}

static void on_quiet(void *context)
{
    look_if_over(context);
}

static void on_edge_idle(void *context)
{
    lane *l = context;
    l->edge_idle = true;
    lane_is_idle(l);
}

static void on_dialogues_empty(void *context)
{
    lane *l = context;
    l->dialogues_empty = true;
    lane_is_idle(l);
}

static void on_patience_ended(fa_timer *timer)
{
    lane *l = FA_OBJECT(timer, lane, patience);
    size_t requests = fa_http_requests(l->http), turns = fa_dialogues_running(l->dialogues);
    if (requests + turns > 0)
        fa_log_write(fa_worker_log(l->worker), FA_LOG_WARN,
                     "draining took too long: %zu requests and %zu turns are cut", requests, turns);
    fa_dialogues_end_all(l->dialogues, "the server stops");
    fa_http_cut(l->http);
}

static void begin_drain(lane *l)
{
    if (l->draining)
        return;
    l->draining = true;
    if (fa_timer_start(&l->patience, l->runtime->drain_ms) != FA_OK)
        on_patience_ended(&l->patience);
    fa_generations_drain(l->generations); /* first: the edge may be idle at once, and be freed */
    fa_http_drain(l->http, on_edge_idle, l);
    fa_dialogues_drain(l->dialogues, on_dialogues_empty, l);
}

static void on_stop(fa_message *message)
{
    begin_drain(FA_OBJECT(message, lane, stop));
}

/* ---- making it ---- */

static bool is_draining(void *context)
{
    return ((const lane *)context)->draining;
}

/* Of all lanes. Scripts ask, and have halted before an edge is freed. */
static void count_edges(void *context, fa_edge_figures *figures)
{
    const lane *l = context;
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

static fa_result make_scripts(lane *l, fa_error *error)
{
    fa_scripts_worker worker = {.worker = l->worker,
                                .dialogues = l->dialogues,
                                .upstreams = l->upstreams,
                                .draining = is_draining,
                                .edge = count_edges,
                                .context = l};
    return fa_scripts_add(l->runtime->scripts, &worker, &l->generations, error);
}

static fa_result make_upstreams(lane *l, const fa_config *config, unsigned workers, fa_error *error)
{
    fa_upstreams_options options = {
        .worker = l->worker, .turnstiles = l->runtime->places, .healths = l->runtime->healths, .workers = workers};
    fa_result result = fa_upstreams_new(&options, &l->upstreams, error);
    return result == FA_OK ? fa_settings_upstreams(config, l->upstreams, error) : result;
}

static fa_result make_edge(lane *l, const fa_config *config, unsigned workers, fa_error *error)
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
    lane *l = context;
    fa_result result = fa_http_adopt(l->http, moving, exchange);
    if (result == FA_OK)
        l->edge_idle = false; /* while draining: its dialogue lives here, so this lane has not said that it is idle */
    return result;
}

/* A folder that somebody named must be there; one that nobody named may be missing. */
static fa_result check_folder(const fa_config *config, const char *key, fa_error *error)
{
    struct stat info;
    const char *path = fa_config_text(config, key);
    if (path == NULL || (stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return FA_OK;
    return fa_fail(error, FA_NOT_FOUND, "%s: there is no such folder (%s)", path, key);
}

static fa_result make_lane(fa_runtime *runtime, lane *l, const fa_config *config, const fa_log *log, unsigned workers,
                           fa_error *error)
{
    fa_scope *scope = runtime->scope;
    fa_dialogue_options options = fa_settings_dialogues(config, workers);
    l->runtime = runtime;
    fa_message_init(&l->stop, on_stop);
    fa_message_init(&l->halt, on_halt);
    fa_message_init(&l->finish, on_finish);
    fa_result result = fa_worker_new(fa_scope_ledger(scope), scope, runtime->crew.count, log, &l->worker, error);
    if (result != FA_OK)
        return result;
    runtime->crew.workers[runtime->crew.count++] = l->worker;
    if (fa_watchdog_add(runtime->watchdog, fa_worker_watched(l->worker)) != FA_OK)
        return fa_fail(error, FA_FULL, "too many workers for the watchdog");
    fa_timer_init(&l->patience, l->worker, fa_worker_scope(l->worker), on_patience_ended);
    result = fa_dialogues_new_in(runtime->directory, l->worker, &options, adopt, l, &l->dialogues, error);
    if (result == FA_OK)
        result = make_upstreams(l, config, workers, error);
    if (result == FA_OK)
        result = make_scripts(l, error);
    return result == FA_OK ? make_edge(l, config, workers, error) : result;
}

enum { MIN_TICK_MS = 5, MAX_TICK_MS = 20 };

static fa_result make_watchdog(fa_runtime *runtime, const fa_config *config, const fa_log *log, fa_error *error)
{
    uint64_t tick = fa_config_duration(config, "script_slice") / 5;
    const char *jit = fa_config_text(config, "script_jit");
    tick = tick < MIN_TICK_MS ? MIN_TICK_MS : tick > MAX_TICK_MS ? MAX_TICK_MS : tick;
    fa_result result = fa_watchdog_new(runtime->scope, log, tick, fa_config_duration(config, "script_hard"),
                                       &runtime->watchdog, error);
    runtime->jit = strcmp(jit, "on") == 0;
    if (result == FA_OK && strcmp(jit, "auto") == 0)
        result = fa_jit_probe(runtime->watchdog, &runtime->jit, error);
    return result;
}

static fa_result make_tls(fa_runtime *runtime, const fa_config *config, fa_error *error)
{
    fa_tls_settings settings;
    if (!fa_tls_settings_wanted(config))
        return FA_OK;
    fa_result result = fa_tls_settings_fill(&settings, config, error);
    return result == FA_OK ? fa_tls_new(runtime->scope, &settings.options, runtime->log, &runtime->tls, error) : result;
}

fa_result fa_runtime_reload_tls(fa_runtime *runtime, const fa_config *config, fa_error *error)
{
    fa_tls_settings settings;
    if (runtime->tls == NULL)
        return FA_OK;
    fa_result result = fa_tls_settings_fill(&settings, config, error);
    return result == FA_OK ? fa_tls_load(runtime->tls, &settings.options, error) : result;
}

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_runtime, at_end)->lock);
}

fa_result fa_runtime_new(fa_scope *scope, const fa_config *config, const fa_log *log, fa_plugins *plugins,
                         fa_media *media, unsigned workers, bool app, const fa_line_listener *lines, fa_runtime **out,
                         fa_error *error)
{
    fa_runtime *runtime = fa_scope_allocate(scope, sizeof(*runtime));
    lane *lanes = fa_scope_allocate(scope, workers * sizeof(lane));
    fa_dialogue_options options = fa_settings_dialogues(config, workers);
    fa_directory *directory = fa_directory_new(scope, &options);
    if (runtime != NULL) {
        runtime->turnstiles = fa_turnstiles_new(scope);
        runtime->buckets = fa_buckets_new(scope);
        runtime->places = fa_turnstiles_new(scope);
        runtime->healths = fa_healths_new(scope);
        runtime->stores = fa_stores_new(scope, fa_config_size(config, "store_budget"));
        runtime->topics = fa_topics_new(scope, fa_config_size(config, "topic_budget"));
    }
    if (runtime == NULL || lanes == NULL || directory == NULL || runtime->turnstiles == NULL ||
        runtime->buckets == NULL || runtime->places == NULL || runtime->healths == NULL || runtime->stores == NULL ||
        runtime->topics == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to start");
    fa_result result = check_folder(config, "data", error);
    if (result == FA_OK)
        result = check_folder(config, "media_root", error);
    if (result == FA_OK)
        result = fa_security_headers_read(&runtime->security, config, error);
    if (result != FA_OK)
        return result;
    fa_ledger_limit_mapped(fa_scope_ledger(scope), fa_config_size(config, "spool_budget"));
    runtime->scope = scope;
    runtime->log = log;
    runtime->media = media;
    runtime->lanes = lanes;
    runtime->directory = directory;
    runtime->crew.traffic = &runtime->traffic;
    runtime->traffic.on_quiet = on_quiet;
    runtime->traffic.context = runtime;
    fa_directory_on_quiet(directory, on_quiet, runtime);
    pthread_mutex_init(&runtime->lock, NULL);
    fa_scope_hook_add(scope, &runtime->at_end, on_end);
    fa_settings_fill(&runtime->settings, config);
    result = make_watchdog(runtime, config, log, error);
    if (result != FA_OK)
        return result;
    *out = runtime; /* it has a thread now, to be ended */
    fa_scripts_options scripts = {.config = config,
                                  .settings = &runtime->settings,
                                  .log = log,
                                  .plugins = plugins,
                                  .media = media,
                                  .turnstiles = runtime->turnstiles,
                                  .buckets = runtime->buckets,
                                  .stores = runtime->stores,
                                  .topics = runtime->topics,
                                  .crew = &runtime->crew,
                                  .watchdog = runtime->watchdog,
                                  .jit = runtime->jit,
                                  .app = app,
                                  .lines = lines};
    if ((runtime->scripts = fa_scripts_new(scope, &scripts, workers)) == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to start");
    if (fa_config_number(config, "max_connections_per_address") != 0)
        result =
            fa_addresses_new(scope, (size_t)fa_config_number(config, "max_connections") * workers, &runtime->addresses);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory to count connections for each address");
    result = make_tls(runtime, config, error);
    for (unsigned i = 0; i < workers && result == FA_OK; ++i)
        result = make_lane(runtime, &lanes[i], config, log, workers, error);
    return result;
}

static void pause_upstreams(void *context, bool paused)
{
    fa_upstreams_pause(context, paused);
}

fa_result fa_runtime_watch(fa_runtime *runtime, fa_pressure *pressure, fa_error *error)
{
    fa_result result = FA_OK;
    for (unsigned i = 0; i < runtime->crew.count && result == FA_OK; ++i) {
        lane *l = &runtime->lanes[i];
        result =
            fa_pressure_attach(pressure, l->worker, l->http, l->dialogues, runtime->media, &l->pressure_steps, error);
        if (result == FA_OK)
            fa_pressure_pauses(l->pressure_steps, pause_upstreams, l->upstreams);
    }
    return result;
}

void fa_runtime_log_access(fa_runtime *runtime, fa_access_log *access)
{
    runtime->access = access;
    for (unsigned i = 0; i < runtime->crew.count; ++i)
        fa_http_log_access(runtime->lanes[i].http, &access[i]);
}

const fa_crew *fa_runtime_crew(const fa_runtime *runtime)
{
    return &runtime->crew;
}

fa_generations *fa_runtime_generations(fa_runtime *runtime, unsigned worker)
{
    return runtime->lanes[worker].generations;
}

fa_upstreams *fa_runtime_upstreams(fa_runtime *runtime, unsigned worker)
{
    return runtime->lanes[worker].upstreams;
}

const fa_settings *fa_runtime_settings(const fa_runtime *runtime)
{
    return &runtime->settings;
}

fa_scripts *fa_runtime_scripts(fa_runtime *runtime)
{
    return runtime->scripts;
}

fa_http *fa_runtime_http(fa_runtime *runtime, unsigned worker)
{
    return runtime->lanes[worker].http;
}

/* ---- running it ---- */

static void *run(void *argument)
{
    fa_worker_run(((lane *)argument)->worker);
    return NULL;
}

static void join(fa_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        if (runtime->lanes[i].threaded)
            pthread_join(runtime->lanes[i].thread, NULL);
        runtime->lanes[i].threaded = false;
    }
}

fa_result fa_runtime_start(fa_runtime *runtime, fa_error *error)
{
    for (unsigned i = 0; i < runtime->crew.count; ++i)
        fa_generations_start(runtime->lanes[i].generations);
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        lane *l = &runtime->lanes[i];
        char thread_name[24];
        int status = pthread_create(&l->thread, NULL, run, l);
        if (status != 0) {
            fa_fail(error, FA_IO, "no thread for a worker: %s", strerror(status));
            fa_runtime_stop(runtime, 0);
            return FA_IO;
        }
        snprintf(thread_name, sizeof(thread_name), "fa-worker-%u", i);
        pthread_setname_np(l->thread, thread_name);
        l->threaded = true;
    }
    return FA_OK;
}

void fa_runtime_stop(fa_runtime *runtime, uint64_t drain_ms)
{
    runtime->drain_ms = drain_ms;
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        lane *l = &runtime->lanes[i];
        if (l->threaded) {
            fa_worker_post(l->worker, &l->stop);
        } else { /* it never ran, for want of a thread, and the others cannot finish without it */
            begin_drain(l);
            on_halt(&l->halt);
        }
    }
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        if (!runtime->lanes[i].threaded)
            fa_worker_run(runtime->crew.workers[i]);
    }
    join(runtime);
}

static void on_tool_done(void *context, int status)
{
    fa_runtime *runtime = context;
    runtime->tool_status = status;
    fa_worker_post(runtime->crew.workers[0], &runtime->lanes[0].stop);
}

int fa_runtime_run_tool(fa_runtime *runtime, const char *file, int argc, char **argv, fa_error *error)
{
    fa_script *script = fa_generations_current(runtime->lanes[0].generations);
    if (fa_script_run_tool(script, file, argc, argv, on_tool_done, runtime, error) != FA_OK)
        return -1;
    fa_worker_run(runtime->crew.workers[0]);
    return runtime->tool_status;
}

void fa_runtime_free(fa_runtime *runtime)
{
    if (runtime == NULL)
        return;
    fa_watchdog_free(runtime->watchdog); /* scripts are closed without running any more */
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        lane *l = &runtime->lanes[i];
        fa_pressure_detach(l->pressure_steps);
        if (l->http != NULL)
            fa_http_free(l->http);
        fa_upstreams_free(l->upstreams);
    }
    fa_scripts_free(runtime->scripts);
    for (unsigned i = 0; i < runtime->crew.count; ++i)
        fa_worker_free(runtime->lanes[i].worker);
}
