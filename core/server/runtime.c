/* What the workers of a server share, and how they begin. Each has its lane (lane.c): loop, edge, dialogues, scripts, thread. They share what
 * fa_runtime_new is given, the directory of dialogues, and what is in fa_runtime. How they end together: runtime_end.c. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/c_locale.h"
#include "server/runtime_internal.h"
#include "server/tls_settings.h"

/* ---- making it ---- */

/* A folder that somebody named must be there; one that nobody named may be missing. */
static fa_result check_folder(const fa_config *config, const char *key, fa_error *error)
{
    struct stat info;
    const char *path = fa_config_text(config, key);
    if (path == NULL || (stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return FA_OK;
    return fa_fail(error, FA_NOT_FOUND, "%s: there is no such folder (%s)", path, key);
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
    fa_lane *lanes = fa_scope_allocate(scope, workers * sizeof(fa_lane));
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
    runtime->traffic.on_quiet = fa_runtime_on_quiet;
    runtime->traffic.context = runtime;
    fa_directory_on_quiet(directory, fa_runtime_on_quiet, runtime);
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
        result = fa_lane_make(runtime, &lanes[i], config, workers, error);
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
        fa_lane *l = &runtime->lanes[i];
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
    fa_c_locale_enter();
    fa_worker_run(((fa_lane *)argument)->worker);
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
        fa_lane *l = &runtime->lanes[i];
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
        fa_lane *l = &runtime->lanes[i];
        if (l->threaded) {
            fa_worker_post(l->worker, &l->stop);
        } else { /* it never ran, for want of a thread, and the others cannot finish without it */
            fa_lane_begin_drain(l);
            fa_lane_halt(l);
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
        fa_lane *l = &runtime->lanes[i];
        fa_pressure_detach(l->pressure_steps);
        if (l->http != NULL)
            fa_http_free(l->http);
        fa_upstreams_free(l->upstreams);
    }
    fa_scripts_free(runtime->scripts);
    for (unsigned i = 0; i < runtime->crew.count; ++i)
        fa_worker_free(runtime->lanes[i].worker);
}
