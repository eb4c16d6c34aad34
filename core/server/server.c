#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/openssl_memory.h"
#include "memory/attributed.h"
#include "memory/buffer.h"
#include "server/control.h"
#include "server/listening.h"
#include "server/logs.h"
#include "server/memory_report.h"
#include "server/pressure_steps.h"
#include "server/process.h"
#include "server/recycling.h"
#include "server/reload_asked.h"
#include "server/reloader.h"
#include "server/repls.h"
#include "server/runtime.h"
#include "server/tracker.h"
#include "upstream/curl_memory.h"

struct fa_server {
    fa_ledger *ledger;
    fa_scope *root;    /* holds this and the configuration */
    fa_scope *running; /* everything that runs; ends when it stops */
    fa_config *config;
    fa_log log;
    fa_logs logs; /* its threads, while it runs */
    bool configured;
    fa_pressure *pressure;
    fa_plugins plugins;
    void (*plugin_problem)(void *context, const char *name, const char *problem); /* NULL: nobody asks */
    void *plugin_problem_context;
    fa_media *media;
    fa_runtime *runtime;
    fa_tracker *tracker; /* NULL: switched off */
    fa_control *control; /* NULL: there is none */
    fa_repls *repls;     /* NULL: nobody may have one */
    fa_reloader *reloader;
    fa_reload_specs specs; /* program NULL: nobody can run them */
    fa_reload_soon soon;   /* reloader NULL: none runs */
    const char *watched[FA_MAX_PLUGINS + 3];
    char own_library[4200];
    fa_memory_sources memory;
    fa_attributed openssl, curl;
    fa_listening listening;
    fa_successor_starter start_successor;
    void *successor_context;
    bool has_successor;
    const fa_line_listener *lines; /* of a spec that wants to know what is covered; NULL: nobody */
};

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

fa_result fa_server_configure(fa_server *server, const char *file, const char *const *overrides, size_t count,
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

/* ---- watching memory ---- */

static size_t lua_heap(void *context, unsigned worker)
{
    size_t sum = 0;
    fa_script *all[FA_MOST_GENERATIONS + 1];
    fa_generations_all(fa_runtime_generations(context, worker), all);
    for (fa_script **script = all; *script != NULL; ++script) {
        fa_script_figures figures = {0};
        fa_script_read_figures(*script, &figures);
        sum += figures.heap;
    }
    return sum;
}

/* What scripts ask of the rest of the server. */
static fa_result answer_script(void *context, fa_memory_question *question)
{
    fa_server *server = context;
    if (strcmp(question->what, "recycle") == 0)
        return fa_recycle_answer(server->runtime, question);
    bool about_reload = strcmp(question->what, "reload") == 0 || strcmp(question->what, "generations") == 0;
    if (about_reload && server->reloader == NULL)
        return FA_UNSUPPORTED; /* it was started inside of a program */
    return about_reload ? fa_reloader_answer(server->reloader, question) : fa_memory_answer(&server->memory, question);
}

static bool wants_tracker(const fa_config *config)
{
    const char *disabled = getenv("DISABLE_MEMORY_TRACKER"); /* the name that the original's operators know */
    return fa_config_flag(config, "tracker") && (disabled == NULL || strcmp(disabled, "true") != 0);
}

/* Before the workers run. */
static fa_result watch_memory(fa_server *server, fa_error *error)
{
    const fa_config *config = server->config;
    const fa_crew *crew = fa_runtime_crew(server->runtime);
    fa_tracker_options options = {
        .ledger = server->ledger,
        .crew = crew,
        .log = &server->log,
        .heap = lua_heap,
        .context = server->runtime,
        .interval_ms = fa_config_duration(config, "tracker_interval"),
        .alarm_interval_ms = fa_config_duration(config, "alarm_interval"),
        .alarm_growth = fa_config_size(config, "alarm_growth"),
        .alarm_residual_growth = fa_config_size(config, "alarm_residual_growth"),
    };
    if (wants_tracker(config) && fa_tracker_new(server->running, &options, &server->tracker) != FA_OK)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the memory tracker");
    server->memory = (fa_memory_sources){.ledger = server->ledger,
                                         .running = server->running,
                                         .runtime = server->runtime,
                                         .pressure = server->pressure,
                                         .tracker = server->tracker,
                                         .tracker_interval_ms = options.interval_ms,
                                         .started_ms = fa_clock_now_ms(fa_ledger_clock(server->ledger))};
    fa_scripts_set_memory(fa_runtime_scripts(server->runtime), answer_script, server);
    return FA_OK;
}

/* Once: from then on it is the other one that is to be asked. */
static fa_result upgrade(fa_server *server, fa_buffer *out)
{
    char text[700];
    fa_error said = {""};
    fa_result result = FA_CONFLICT;
    if (server->start_successor == NULL)
        return FA_UNSUPPORTED;
    if (server->has_successor)
        fa_fail(&said, result, "this server has a successor already");
    else
        result = server->start_successor(server->successor_context, &server->listening.sockets, &said);
    server->has_successor = server->has_successor || result == FA_OK;
    if (result != FA_OK)
        fa_log_write(&server->log, FA_LOG_ERROR, "no upgrade: %s", said.text);
    int length = snprintf(text, sizeof(text), "%s%s\n", result == FA_OK ? "" : "error: ", said.text);
    return fa_buffer_append(out, text, (size_t)length);
}

fa_result fa_server_reload_certificates(fa_server *server, fa_error *error)
{
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    return fa_runtime_reload_tls(server->runtime, server->config, error);
}

/* "json", "text", "status json", "status text" */
static fa_result answer_reload(fa_server *server, const char *what, int *connection)
{
    fa_error error = {{0}};
    const char *certificates = NULL;
    fa_wish_kind kind = strncmp(what, "status ", 7) == 0 ? FA_WISH_STATUS : FA_WISH_RELOAD;
    what += kind == FA_WISH_STATUS ? 7 : 0;
    bool text = strcmp(what, "text") == 0;
    if (!text && strcmp(what, "json") != 0)
        return FA_INVALID;
    if (kind == FA_WISH_RELOAD && fa_server_reload_certificates(server, &error) != FA_OK) {
        fa_log_write(&server->log, FA_LOG_ERROR, "reload: the certificates stay as they were: %s", error.text);
        certificates = error.text;
    }
    fa_result result =
        fa_reload_asked(server->reloader, fa_scope_account(server->root), kind, text, certificates, *connection);
    if (result == FA_OK)
        *connection = -1;
    return result;
}

/* The worker that is meant answers, if it comes to that. */
static fa_result attach_repl(fa_server *server, const char *worker, int *connection, fa_buffer *out)
{
    fa_error error = {{0}};
    char text[sizeof(error.text) + 20];
    fa_result result = server->repls == NULL ? fa_fail(&error, FA_UNSUPPORTED, "this server has repl = false")
                                             : fa_repls_take(server->repls, worker, *connection, &error);
    if (result == FA_OK) {
        *connection = -1;
        return FA_OK;
    }
    int length = snprintf(text, sizeof(text), "error: %s\n", error.text);
    return fa_buffer_append(out, text, (size_t)length);
}

static fa_result answer_control(void *context, const char *request, int *connection, fa_buffer *out)
{
    fa_server *server = context;
    if (strncmp(request, "repl ", 5) == 0)
        return attach_repl(server, request + 5, connection, out);
    if (strncmp(request, "reload ", 7) == 0)
        return answer_reload(server, request + 7, connection);
    if (strcmp(request, "upgrade") == 0)
        return upgrade(server, out);
    if (strncmp(request, "recycle ", 8) == 0)
        return fa_recycle_and_wait(server->runtime, request + 8, out);
    if (strncmp(request, "memory ", 7) != 0)
        return FA_INVALID;
    return fa_memory_answer_outside(&server->memory, request + 7, out);
}

/* Once everything runs. A server without its control socket serves all the same. */
static void open_control(fa_server *server)
{
    fa_error error = {{0}};
    const char *folder = fa_config_text(server->config, "control_dir");
    if (!fa_config_flag(server->config, "control"))
        return;
    if (fa_config_flag(server->config, "repl"))
        server->repls = fa_repls_new(server->running, server->runtime, &server->log,
                                     fa_config_size(server->config, "request_budget"));
    if (fa_control_start(server->root, folder, answer_control, server, &server->control, &error) != FA_OK)
        fa_log_write(&server->log, FA_LOG_WARN, "no control socket, `fitnessally memory` will not find this server: %s",
                     error.text);
}

/* Wherever a file may lie that a reload reads: the application, the plugins, the server's own library. */
static void name_watched(fa_server *server)
{
    const fa_settings *settings = fa_runtime_settings(server->runtime);
    size_t count = 0;
    snprintf(server->own_library, sizeof(server->own_library), "%s/fitnessally", settings->library);
    server->watched[count++] = settings->app;
    server->watched[count++] = server->own_library;
    for (size_t i = 0; i < server->plugins.count; ++i)
        server->watched[count++] = server->plugins.manifests[i]->folder;
    server->watched[count] = NULL;
}

/* What must succeed before newer scripts serve. */
static fa_result name_specs(fa_server *server, fa_error *error)
{
    const fa_settings *settings = fa_runtime_settings(server->runtime);
    server->specs.count = fa_config_list(server->config, "reload_specs", &server->specs.specs);
    server->specs.limit_ms = fa_config_duration(server->config, "reload_specs_limit");
    server->specs.app = settings->app;
    server->specs.library = settings->library;
    if (server->specs.count > FA_MOST_RELOAD_SPECS)
        return fa_fail(error, FA_INVALID, "reload_specs: at most %d files and folders", FA_MOST_RELOAD_SPECS);
    if (server->specs.count > 0 && server->specs.program == NULL)
        return fa_fail(error, FA_UNSUPPORTED, "reload_specs: only `fitnessally serve` can run specs");
    return FA_OK;
}

/* In dev mode saving a file is enough. */
static fa_result start_reloader(fa_server *server, fa_error *error)
{
    bool dev = strcmp(fa_config_text(server->config, "mode"), "dev") == 0;
    fa_result result = name_specs(server, error);
    if (result != FA_OK)
        return result;
    name_watched(server);
    fa_reloader_options options = {.scripts = fa_runtime_scripts(server->runtime),
                                   .log = &server->log,
                                   .workers = fa_runtime_crew(server->runtime)->count,
                                   .specs = server->specs.count > 0 ? &server->specs : NULL,
                                   .watched = dev ? server->watched : NULL};
    result = fa_reloader_start(server->running, &options, &server->reloader, error);
    server->soon = (fa_reload_soon){.reloader = server->reloader};
    return result;
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
    fa_result result = build(server, worker_count(server), true, error);
    if (result == FA_OK)
        result = start_logs(server, error);
    if (result == FA_OK)
        result = fa_listening_begin(&server->listening, server->runtime, server->config, &server->log, error);
    if (result == FA_OK)
        result = watch_memory(server, error);
    if (result == FA_OK)
        result = start_reloader(server, error);
    if (result == FA_OK)
        result = fa_runtime_start(server->runtime, error);
    if (result != FA_OK)
        take_down(server);
    else
        open_control(server);
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
        result = watch_memory(server, error);
    if (result != FA_OK)
        take_down(server);
    else
        fa_generations_start(fa_runtime_generations(server->runtime, 0));
    return result;
}

fa_result fa_server_reload(fa_server *server, fa_error *error)
{
    fa_reload_wish wish = {.kind = FA_WISH_RELOAD};
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    if (fa_reloader_ask_and_wait(server->reloader, &wish) != FA_OK)
        return fa_fail(error, wish.result, "%s", wish.message);
    return FA_OK;
}

void fa_server_reload_soon(fa_server *server)
{
    if (server->soon.reloader != NULL)
        fa_reload_ask_soon(&server->soon);
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
    if (build(server, 1, app == FA_TOOL_WITH_APP, &error) == FA_OK)
        status = fa_runtime_run_tool(server->runtime, script, argc, argv, &error);
    if (status < 0) {
        fprintf(stderr, "fitnessally: %s\n", error.text);
        status = 1;
    }
    take_down(server);
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
    fa_result result = build(server, 1, true, error);
    for (size_t i = 0; result == FA_OK && server->plugin_problem != NULL && i < server->plugins.count; ++i) {
        if (server->plugins.list[i].problem != NULL)
            server->plugin_problem(server->plugin_problem_context, server->plugins.list[i].name,
                                   server->plugins.list[i].problem);
    }
    take_down(server);
    return result;
}

static fa_result write_file(const char *path, const fa_buffer *bytes, fa_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fa_fail(error, FA_IO, "%s: %s", path, strerror(errno));
    ssize_t written = write(fd, fa_buffer_data(bytes), fa_buffer_length(bytes));
    close(fd);
    return written == (ssize_t)fa_buffer_length(bytes) ? FA_OK
                                                       : fa_fail(error, FA_IO, "%s: could not be written", path);
}

fa_result fa_server_write_memory_report(fa_server *server, char *path, size_t size, fa_error *error)
{
    fa_buffer *report;
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    fa_result result = fa_buffer_new_detached(fa_scope_account(server->root), 8192, "memory report", FA_HERE, &report);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for the report");
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &utc);
    snprintf(path, size, "%s/memory-%s-%d.json", fa_config_text(server->config, "state_dir"), stamp, (int)getpid());
    result = fa_memory_answer_outside(&server->memory, "full", report);
    result = result == FA_OK ? write_file(path, report, error) : fa_fail(error, result, "the report could not be made");
    fa_buffer_release(report);
    return result;
}
