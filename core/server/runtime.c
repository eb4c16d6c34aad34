#include "server/runtime.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "memory/buffer.h"
#include "server/home.h"
#include "worker/timer.h"

enum { MAX_SETTINGS = 96 };

struct fa_runtime {
    fa_worker *worker;
    fa_crew crew;
    fa_http *http;
    fa_dialogues *dialogues;
    fa_script *script;
    fa_setting settings[MAX_SETTINGS];
    char app[4096], data[4200], media_root[4300], library[4096];

    pthread_t thread;
    bool threaded;
    fa_message stop, finish; /* stop: from outside; finish: from the loop, when nothing is left */
    uint64_t drain_ms;
    bool draining, edge_idle, dialogues_empty;
    fa_timer patience;
    int tool_status;
};

/* ---- the end ---- */

static void on_finish(fa_message *message)
{
    fa_runtime *runtime = FA_OBJECT(message, fa_runtime, finish);
    fa_timer_stop(&runtime->patience);
    fa_script_stop(runtime->script);
    if (runtime->http != NULL)
        fa_http_free(runtime->http);
    runtime->http = NULL;
    fa_worker_finish(runtime->worker);
}

static void finish_if_idle(fa_runtime *runtime)
{
    if (runtime->edge_idle && runtime->dialogues_empty)
        fa_worker_post(runtime->worker, &runtime->finish); /* from the loop: scripts may be above us on the stack */
}

static void on_edge_idle(void *context)
{
    fa_runtime *runtime = context;
    runtime->edge_idle = true;
    finish_if_idle(runtime);
}

static void on_dialogues_empty(void *context)
{
    fa_runtime *runtime = context;
    runtime->dialogues_empty = true;
    finish_if_idle(runtime);
}

static void on_patience_ended(fa_timer *timer)
{
    fa_runtime *runtime = FA_OBJECT(timer, fa_runtime, patience);
    size_t requests = fa_http_requests(runtime->http), turns = fa_dialogues_running(runtime->dialogues);
    if (requests + turns > 0)
        fa_log_write(fa_worker_log(runtime->worker), FA_LOG_WARN,
                     "draining took too long: %zu requests and %zu turns are cut", requests, turns);
    fa_dialogues_end_all(runtime->dialogues, "the server stops");
    fa_http_cut(runtime->http);
}

static void begin_drain(fa_runtime *runtime)
{
    if (runtime->draining)
        return;
    runtime->draining = true;
    if (fa_timer_start(&runtime->patience, runtime->drain_ms) != FA_OK)
        on_patience_ended(&runtime->patience);
    fa_http_drain(runtime->http, on_edge_idle, runtime);
    fa_dialogues_drain(runtime->dialogues, on_dialogues_empty, runtime);
}

static void on_stop(fa_message *message)
{
    begin_drain(FA_OBJECT(message, fa_runtime, stop));
}

/* ---- making it ---- */

static fa_dialogue_options dialogue_options(const fa_config *c)
{
    return (fa_dialogue_options){
        .first_listener_grace_ms = fa_config_duration(c, "first_listener_grace"),
        .reconnect_grace_ms = fa_config_duration(c, "reconnect_grace"),
        .linger_ms = fa_config_duration(c, "linger"),
        .history_ttl_ms = fa_config_duration(c, "history_ttl"),
        .finished_ttl_ms = fa_config_duration(c, "finished_ttl"),
        .turn_limit_ms = fa_config_duration(c, "turn_limit"),
        .slow_listener_wait_ms = fa_config_duration(c, "slow_listener_wait"),
        .listener_stall_ms = fa_config_duration(c, "listener_stall"),
        .ping_ms = fa_config_duration(c, "ping_interval"),
        .duplicate_window_ms = fa_config_duration(c, "duplicate_window"),
        .idempotency_window_ms = fa_config_duration(c, "idempotency_window"),
        .dialogue_budget = fa_config_size(c, "dialogue_budget"),
        .turn_budget = fa_config_size(c, "turn_budget"),
        .linger_budget = fa_config_size(c, "linger_budget"),
        .listener_queue = fa_config_size(c, "listener_queue"),
        .history_limit = fa_config_size(c, "history_limit"),
        .max_dialogues = (unsigned)fa_config_number(c, "max_dialogues"),
        .max_listeners = (unsigned)fa_config_number(c, "max_listeners"),
        .history_dialogues = (unsigned)fa_config_number(c, "history_dialogues"),
        .finished_dialogues = (unsigned)fa_config_number(c, "finished_dialogues"),
        .idempotency_keys = (unsigned)fa_config_number(c, "idempotency_keys"),
        .lookahead = (unsigned)fa_config_number(c, "lookahead"),
    };
}

static fa_setting make_setting(const fa_config *config, const fa_config_key *key)
{
    fa_setting setting = {.name = key->name};
    switch (key->type) {
    case FA_CONFIG_NUMBER:
        setting.type = FA_SETTING_NUMBER;
        setting.number = fa_config_number(config, key->name);
        break;
    case FA_CONFIG_SIZE:
        setting.type = FA_SETTING_NUMBER;
        setting.number = (double)fa_config_size(config, key->name);
        break;
    case FA_CONFIG_DURATION:
        setting.type = FA_SETTING_NUMBER;
        setting.number = (double)fa_config_duration(config, key->name);
        break;
    case FA_CONFIG_FLAG:
        setting.type = FA_SETTING_FLAG;
        setting.number = fa_config_flag(config, key->name);
        break;
    case FA_CONFIG_TEXT:
        setting.text = fa_config_text(config, key->name);
        break;
    case FA_CONFIG_LIST:
        setting.text = fa_config_written(config, key->name, NULL);
        break;
    }
    return setting;
}

static void replace_text(fa_runtime *runtime, const char *name, const char *text)
{
    for (fa_setting *s = runtime->settings; s->name != NULL; ++s) {
        if (strcmp(s->name, name) == 0)
            s->text = text;
    }
}

/* What scripts see as settings: every key, with the folders made definite. */
static void fill_settings(fa_runtime *runtime, const fa_config *config)
{
    size_t count = 0;
    const char *data = fa_config_text(config, "data"), *media = fa_config_text(config, "media_root");
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL && count < MAX_SETTINGS - 1; ++key)
        runtime->settings[count++] = make_setting(config, key);
    fa_home_resolve(fa_config_text(config, "app"), runtime->app, sizeof(runtime->app));
    if (data != NULL)
        snprintf(runtime->data, sizeof(runtime->data), "%s", data);
    else
        snprintf(runtime->data, sizeof(runtime->data), "%s/data", runtime->app);
    if (media != NULL)
        snprintf(runtime->media_root, sizeof(runtime->media_root), "%s", media);
    else
        snprintf(runtime->media_root, sizeof(runtime->media_root), "%s/media", runtime->data);
    snprintf(runtime->library, sizeof(runtime->library), "%s/lua", fa_home());
    replace_text(runtime, "app", runtime->app);
    replace_text(runtime, "data", runtime->data);
    replace_text(runtime, "media_root", runtime->media_root);
}

static bool is_draining(void *context)
{
    return ((const fa_runtime *)context)->draining;
}

static size_t connections(void *context)
{
    const fa_runtime *runtime = context;
    return runtime->http != NULL ? fa_http_connections(runtime->http) : 0;
}

static fa_result make_script(fa_runtime *runtime, const fa_config *config, fa_plugins *plugins, fa_media *media,
                             bool app, fa_error *error)
{
    fa_script_options options = {
        .worker = runtime->worker,
        .dialogues = runtime->dialogues,
        .media = media,
        .natives = plugins->natives,
        .settings = runtime->settings,
        .app = runtime->app,
        .library = runtime->library,
        .development = strcmp(fa_config_text(config, "mode"), "dev") == 0,
        .draining = is_draining,
        .connections = connections,
        .context = runtime,
    };
    fa_result result = fa_script_new(&options, &runtime->script, error);
    return result == FA_OK && app ? fa_script_load_app(runtime->script, error) : result;
}

static fa_result make_edge(fa_runtime *runtime, const fa_config *config, fa_error *error)
{
    char spool[4200];
    const char *named = fa_config_text(config, "spool_dir"), *state = fa_config_text(config, "state_dir");
    if (named != NULL)
        snprintf(spool, sizeof(spool), "%s", named);
    else
        snprintf(spool, sizeof(spool), "%s/spool", state);
    mkdir(state, 0700); /* where they exist already that is as good; where they cannot be made, the first use says so */
    mkdir(spool, 0700);
    fa_http_options options = {
        .max_body = fa_config_size(config, "max_body"),
        .max_connections = (size_t)fa_config_number(config, "max_connections"),
        .request_timeout_ms = fa_config_duration(config, "request_timeout"),
        .send_stall_ms = fa_config_duration(config, "send_stall"),
        .spool_threshold = fa_config_size(config, "spool_threshold"),
        .spool_dir = spool,
    };
    return fa_http_new(runtime->worker, &options, fa_script_handle, runtime->script, &runtime->http, error);
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

fa_result fa_runtime_new(fa_scope *scope, const fa_config *config, const fa_log *log, fa_plugins *plugins,
                         fa_media *media, bool app, fa_runtime **out, fa_error *error)
{
    fa_runtime *runtime = fa_scope_allocate(scope, sizeof(*runtime));
    if (runtime == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to start");
    fa_result result = check_folder(config, "data", error);
    if (result == FA_OK)
        result = check_folder(config, "media_root", error);
    if (result != FA_OK)
        return result;
    fa_message_init(&runtime->stop, on_stop);
    fa_message_init(&runtime->finish, on_finish);
    fill_settings(runtime, config);
    fa_dialogue_options dialogues = dialogue_options(config);
    result = fa_worker_new(fa_scope_ledger(scope), scope, 0, log, &runtime->worker, error);
    if (result == FA_OK) {
        runtime->crew = (fa_crew){.workers = {runtime->worker}, .count = 1};
        fa_timer_init(&runtime->patience, runtime->worker, fa_worker_scope(runtime->worker), on_patience_ended);
        result = fa_dialogues_new(runtime->worker, &dialogues, &runtime->dialogues, error);
    }
    if (result == FA_OK)
        result = make_script(runtime, config, plugins, media, app, error);
    if (result == FA_OK)
        result = make_edge(runtime, config, error);
    *out = runtime;
    return result;
}

fa_result fa_runtime_listen(fa_runtime *runtime, int socket, fa_error *error)
{
    return fa_http_listen(runtime->http, socket, error);
}

/* ---- running it ---- */

static void *run(void *argument)
{
    fa_worker_run(((fa_runtime *)argument)->worker);
    return NULL;
}

fa_result fa_runtime_start(fa_runtime *runtime, fa_error *error)
{
    fa_script_start(runtime->script);
    int status = pthread_create(&runtime->thread, NULL, run, runtime);
    if (status != 0)
        return fa_fail(error, FA_IO, "no thread for a worker: %s", strerror(status));
    pthread_setname_np(runtime->thread, "fa-worker");
    runtime->threaded = true;
    return FA_OK;
}

void fa_runtime_stop(fa_runtime *runtime, uint64_t drain_ms)
{
    if (!runtime->threaded)
        return;
    runtime->drain_ms = drain_ms;
    fa_worker_post(runtime->worker, &runtime->stop);
    pthread_join(runtime->thread, NULL);
    runtime->threaded = false;
}

static void on_tool_done(void *context, int status)
{
    fa_runtime *runtime = context;
    runtime->tool_status = status;
    fa_worker_post(runtime->worker, &runtime->stop);
}

int fa_runtime_run_tool(fa_runtime *runtime, const char *file, int argc, char **argv, fa_error *error)
{
    if (fa_script_run_tool(runtime->script, file, argc, argv, on_tool_done, runtime, error) != FA_OK)
        return -1;
    fa_worker_run(runtime->worker);
    return runtime->tool_status;
}

/* ---- asking it from outside ---- */

const fa_crew *fa_runtime_crew(const fa_runtime *runtime)
{
    return &runtime->crew;
}

fa_script *fa_runtime_script(fa_runtime *runtime, unsigned worker)
{
    (void)worker;
    return runtime->script;
}

void fa_runtime_free(fa_runtime *runtime)
{
    if (runtime == NULL || runtime->worker == NULL)
        return;
    if (runtime->http != NULL)
        fa_http_free(runtime->http);
    fa_script_free(runtime->script);
    fa_worker_free(runtime->worker);
}
