#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/c_locale.h"
#include "base/openssl_memory.h"
#include "server/borrowed_state.h"
#include "server/pressure_steps.h"
#include "server/process.h"
#include "upstream/curl_memory.h"

const char *fa_version(void)
{
    return FA_VERSION;
}

static size_t read_curl(void *context)
{
    (void)context;
    return fa_curl_memory();
}

fa_result fa_server_create(const fa_server_options *options, fa_server **out, fa_error *error)
{
    if (options != NULL && options->size != sizeof(*options))
        return fa_fail(error, FA_INVALID, "fa_server_options: size is %zu, expected %zu", options->size,
                       sizeof(*options));
    fa_ledger *ledger = fa_ledger_new(NULL);
    fa_scope *root = NULL;
    fa_server *server = NULL;
    if (ledger != NULL && fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &root) == FA_OK)
        server = fa_scope_allocate(root, sizeof(*server));
    if (server == NULL || (server->config = fa_config_new(root)) == NULL) {
        if (root != NULL)
            fa_scope_end(root, "no memory", NULL);
        fa_ledger_free(ledger);
        return fa_fail(error, FA_NO_MEMORY, "no memory for a server");
    }
    server->ledger = ledger;
    server->root = root;
    server->log = (fa_log){.level = FA_LOG_INFO, .fd = STDERR_FILENO};
    if (options != NULL) {
        server->log.sink = options->log_sink;
        server->log.sink_context = options->log_context;
    }
    if (fa_openssl_memory_is_counted())
        fa_attributed_add(ledger, &server->openssl, "openssl", fa_openssl_memory_read, NULL);
    if (fa_curl_begin() == FA_OK && fa_curl_memory_counted())
        fa_attributed_add(ledger, &server->curl, "curl", read_curl, NULL);
    *out = server;
    return FA_OK;
}

static fa_result configure(fa_server *server, const char *file, const char *const *overrides, size_t count,
                           fa_error *error)
{
    if (server->running != NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server runs already");
    fa_result result = file != NULL ? fa_config_load(server->config, file, error) : FA_OK;
    if (result == FA_OK)
        result = fa_config_environment(server->config, environ, error);
    for (size_t i = 0; i < count && result == FA_OK; ++i)
        result = fa_config_override(server->config, overrides[i], error);
    if (result != FA_OK)
        return result;
    fa_log_level_parse(fa_config_text(server->config, "log_level"), &server->log.level);
    server->configured = true;
    return FA_OK;
}

fa_result fa_server_configure(fa_server *server, const char *file, const char *const *overrides, size_t count,
                              fa_error *error)
{
    locale_t before = fa_c_locale_enter();
    fa_result result = configure(server, file, overrides, count, error);
    fa_c_locale_leave(before);
    return result;
}

/* ---- starting ---- */

static fa_result make_media(fa_server *server, fa_error *error)
{
    fa_media_options options = {
        .cache_budget = fa_config_size(server->config, "media_cache"),
        .file_limit = fa_config_size(server->config, "media_file_limit"),
        .recheck_ms = fa_config_duration(server->config, "media_recheck"),
        .mime_types = fa_config_text(server->config, "mime_types"),
    };
    server->media = fa_media_new(server->running, &options);
    return server->media != NULL ? FA_OK : fa_fail(error, FA_NO_MEMORY, "no memory for the media cache");
}

/* Everything that is needed to run, without a listener. Plugins open on their threads while scripts are loaded on this one. */
static fa_result build(fa_server *server, unsigned workers, bool app, fa_error *error)
{
    fa_result result =
        fa_scope_new(server->ledger, server->root, FA_KIND_SERVER, fa_config_size(server->config, "memory_budget"),
                     "running server", FA_HERE, &server->running);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory to start");
    result = fa_budgets_begin(server->running, server->config, &server->log, &server->pressure, error);
    if (result == FA_OK)
        result = fa_plugins_start(&server->plugins, server->running, server->config, &server->log, error);
    if (result == FA_OK)
        result = make_media(server, error);
    if (result == FA_OK)
        result = fa_runtime_new(server->running, server->config, &server->log, &server->plugins, server->media, workers,
                                app, server->lines, &server->runtime, error);
    if (result == FA_OK)
        result = fa_runtime_watch(server->runtime, server->pressure, error);
    if (result == FA_OK)
        result = fa_plugins_wait(&server->plugins, error);
    return result;
}

/* Takes down what build made, in the order that nobody misses what went before. */
static void take_down(fa_server *server)
{
    if (server->running == NULL)
        return;
    fa_reloader_stop(server->reloader); /* once more, when the start has failed */
    fa_runtime_free(server->runtime);
    fa_reloader_free(server->reloader);
    server->reloader = server->soon.reloader = NULL;
    fa_plugins_close(&server->plugins);
    fa_media_free(server->media);
    fa_pressure_free(server->pressure);
    fa_logs_stop(&server->logs);
    server->pressure = NULL;
    server->runtime = NULL;
    server->tracker = NULL; /* its memory goes with the scope */
    server->media = NULL;
    fa_listening_end(&server->listening);
    fa_scope_end(server->running, "server stopped", NULL);
    server->running = NULL;
}

/* 0 in the configuration: as many as there are cores. */
static unsigned worker_count(const fa_server *server)
{
    unsigned wanted = (unsigned)fa_config_number(server->config, "workers");
    unsigned cores = wanted > 0 ? wanted : uv_available_parallelism();
    return cores < FA_MAX_WORKERS ? cores : FA_MAX_WORKERS;
}

/* Before that, whatever is said is written at once. */
static fa_result start_logs(fa_server *server, fa_error *error)
{
    unsigned workers = fa_runtime_crew(server->runtime)->count;
    fa_result result = fa_logs_start(&server->logs, server->running, server->config, &server->log, workers, error);
    if (result == FA_OK && server->logs.access != NULL)
        fa_runtime_log_access(server->runtime, server->logs.access);
    return result;
}

/* Before there are threads: the command has none yet. */
static void make_room(const fa_server *server)
{
    enum { BESIDE_CONNECTIONS = 256 };
    size_t each = (size_t)fa_config_number(server->config, "max_connections");
    fa_process_make_room(worker_count(server) * each + BESIDE_CONNECTIONS);
}

fa_result fa_server_start(fa_server *server, fa_error *error)
{
    if (server->running != NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server runs already");
    make_room(server);
    locale_t before = fa_c_locale_enter();
    fa_result result = build(server, worker_count(server), true, error);
    if (result == FA_OK)
        result = start_logs(server, error);
    if (result == FA_OK)
        result = fa_listening_begin(&server->listening, server->runtime, server->config, &server->log, error);
    if (result == FA_OK)
        result = fa_server_watch_memory(server, error);
    if (result == FA_OK)
        result = fa_server_start_reloader(server, error);
    if (result == FA_OK)
        result = fa_runtime_start(server->runtime, error);
    if (result != FA_OK)
        take_down(server);
    else
        fa_server_open_control(server);
    fa_c_locale_leave(before);
    return result;
}

fa_result fa_server_start_inside(fa_server *server, fa_clock *clock, const fa_line_listener *lines, fa_error *error)
{
    if (server->running != NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server runs already");
    fa_ledger_set_clock(server->ledger, clock);
    server->lines = lines;
    fa_result result = build(server, 1, true, error);
    if (result == FA_OK)
        result = fa_server_watch_memory(server, error);
    if (result != FA_OK)
        take_down(server);
    else
        fa_generations_start(fa_runtime_generations(server->runtime, 0));
    return result;
}

const char *fa_server_address(const fa_server *server, size_t index)
{
    return index < server->listening.count ? server->listening.addresses[index] : NULL;
}

void fa_server_stop(fa_server *server, uint64_t drain_ms)
{
    if (server->running == NULL)
        return;
    fa_reloader_stop(server->reloader); /* first: whoever waits for it on the control socket is answered */
    fa_control_stop(server->control);   /* all three ask workers, which must run for that */
    fa_tracker_stop(server->tracker);
    server->control = NULL;
    fa_repls_end(server->repls);
    server->repls = NULL; /* its memory goes with the scope */
    fa_listening_let_go(&server->listening);
    fa_runtime_stop(server->runtime, drain_ms);
    take_down(server);
}

void fa_server_destroy(fa_server *server)
{
    if (server == NULL)
        return;
    fa_server_stop(server, 0);
    fa_ledger *ledger = server->ledger;
    fa_attributed_remove(ledger, &server->openssl);
    fa_attributed_remove(ledger, &server->curl);
    fa_scope_end(server->root, "server destroyed", NULL); /* frees the server itself */
    fa_ledger_free(ledger);
}

/* ---- for the command line ---- */

void fa_server_inherit(fa_server *server, fa_sockets *sockets)
{
    server->listening.inherited = sockets;
}

const fa_sockets *fa_server_sockets(const fa_server *server)
{
    return &server->listening.sockets;
}

void fa_server_on_upgrade(fa_server *server, fa_successor_starter start, void *context)
{
    server->start_successor = start;
    server->successor_context = context;
}

void fa_server_on_specs(fa_server *server, const char *program, char *const *command)
{
    server->specs.program = program;
    server->specs.command = command;
}

uint64_t fa_server_drain_ms(const fa_server *server)
{
    return fa_config_duration(server->config, "drain");
}

void fa_server_reopen_logs(fa_server *server)
{
    bool has_file = server->logs.access != NULL && fa_config_text(server->config, "access_log_file") != NULL;
    if (has_file)
        fa_logs_reopen(&server->logs);
    else
        fa_log_write(&server->log, FA_LOG_INFO, "SIGUSR1: no log goes to a file, there is nothing to reopen");
}

fa_runtime *fa_server_runtime(const fa_server *server)
{
    return server->runtime;
}

fa_scope *fa_server_scope(const fa_server *server)
{
    return server->root;
}

const fa_config *fa_server_config(const fa_server *server)
{
    return server->config;
}

const fa_log *fa_server_log(const fa_server *server)
{
    return &server->log;
}

int fa_server_run_tool(fa_server *server, const char *script, fa_tool_app app, int argc, char **argv)
{
    fa_error error = {""};
    int status = -1;
    server->log.level =
        server->log.level < FA_LOG_WARN ? FA_LOG_WARN : server->log.level; /* a tool speaks for itself */
    fa_borrowed_state borrowed = {.folder = ""};
    if (app == FA_TOOL_WITH_APP) /* it looks at the application; others work on what is in state_dir */
        fa_borrowed_state_begin(&borrowed, server->config);
    if (build(server, 1, app == FA_TOOL_WITH_APP, &error) == FA_OK)
        status = fa_runtime_run_tool(server->runtime, script, argc, argv, &error);
    if (status < 0) {
        fprintf(stderr, "fitnessally: %s\n", error.text);
        status = 1;
    }
    take_down(server);
    fa_borrowed_state_end(&borrowed, server->config);
    return status;
}

void fa_server_on_plugin_problem(fa_server *server, void (*told)(void *context, const char *name, const char *problem),
                                 void *context)
{
    server->plugin_problem = told;
    server->plugin_problem_context = context;
}

fa_result fa_server_check(fa_server *server, fa_error *error)
{
    if (server->running != NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server runs already");
    fa_borrowed_state borrowed;
    fa_borrowed_state_begin(&borrowed, server->config);
    fa_result result = build(server, 1, true, error);
    for (size_t i = 0; result == FA_OK && server->plugin_problem != NULL && i < server->plugins.count; ++i) {
        if (server->plugins.list[i].problem != NULL)
            server->plugin_problem(server->plugin_problem_context, server->plugins.list[i].name,
                                   server->plugins.list[i].problem);
    }
    take_down(server);
    fa_borrowed_state_end(&borrowed, server->config);
    return result;
}
