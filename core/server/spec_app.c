#include "server/spec_app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory/census.h"
#include "server/home.h"
#include "worker/job.h"
#include "worker/timer.h"

enum { LOG_SIZE = 64 * 1024 };

struct fa_spec_app {
    fa_server *server;
    fa_clock clock;
    bool real_time, impatient;
    fa_worker *worker; /* NULL: it has not started */
    fa_scope *clients; /* what clients hold; it lasts, so that nothing of it counts as left */
    uv_timer_t patience;
    fa_covered_app covered;
    pthread_mutex_t log_lock; /* guards log and log_length */
    char log[LOG_SIZE];
    size_t log_length;
};

/* ---- the log ---- */

/* Of too much the older half goes. */
static void on_log_line(void *context, fa_log_level level, const char *line)
{
    fa_spec_app *app = context;
    static const char *const names[] = {"debug ", "info  ", "warn  ", "error "};
    size_t length = strnlen(line, LOG_SIZE / 4);
    pthread_mutex_lock(&app->log_lock);
    if (app->log_length + length + 7 > LOG_SIZE) {
        app->log_length -= LOG_SIZE / 2;
        memmove(app->log, app->log + LOG_SIZE / 2, app->log_length);
    }
    memcpy(app->log + app->log_length, names[level], 6);
    memcpy(app->log + app->log_length + 6, line, length);
    app->log[app->log_length + 6 + length] = '\n';
    app->log_length += length + 7;
    pthread_mutex_unlock(&app->log_lock);
}

char *fa_spec_app_log(fa_spec_app *app, size_t *length)
{
    pthread_mutex_lock(&app->log_lock);
    char *copy = malloc(app->log_length + 1);
    *length = copy != NULL ? app->log_length : 0;
    if (copy != NULL)
        memcpy(copy, app->log, app->log_length);
    pthread_mutex_unlock(&app->log_lock);
    return copy;
}

/* ---- beginning and end ---- */

static void on_impatient(uv_timer_t *timer)
{
    ((fa_spec_app *)timer->data)->impatient = true;
}

/* The lines of its own files, not those of the library that comes along. */
static const fa_line_listener *count_lines(fa_spec_app *app, fa_spec_coverage *coverage)
{
    char folder[4096];
    if (coverage == NULL)
        return NULL;
    fa_home_resolve(fa_config_text(fa_server_config(app->server), "app"), folder, sizeof(folder));
    fa_covered_app_init(&app->covered, coverage, folder);
    return &app->covered.listener;
}

static fa_result start(fa_spec_app *app, fa_spec_coverage *coverage, fa_error *error)
{
    if (!app->real_time)
        fa_clock_init(&app->clock);
    fa_result result =
        fa_server_start_inside(app->server, app->real_time ? NULL : &app->clock, count_lines(app, coverage), error);
    if (result != FA_OK)
        return result;
    app->worker = fa_runtime_crew(fa_server_runtime(app->server))->workers[0];
    fa_scope *root = fa_server_scope(app->server);
    result = fa_scope_new(fa_scope_ledger(root), root, FA_KIND_SERVER, 0, "clients of a spec", FA_HERE, &app->clients);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for the clients of a spec");
    uv_timer_init(fa_worker_loop(app->worker), &app->patience);
    app->patience.data = app;
    return FA_OK;
}

fa_result fa_spec_app_open(const fa_spec_options *options, fa_spec_app **out, fa_error *error)
{
    fa_spec_app *app = calloc(1, sizeof(*app));
    if (app == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a server");
    pthread_mutex_init(&app->log_lock, NULL);
    app->real_time = options->real_time;
    fa_server_options server = {.size = sizeof(server), .log_sink = on_log_line, .log_context = app};
    fa_result result = fa_server_create(&server, &app->server, error);
    if (result == FA_OK)
        result = fa_server_configure(app->server, options->file, options->overrides, options->override_count, error);
    if (result == FA_OK)
        result = start(app, options->coverage, error);
    if (result != FA_OK) {
        fa_spec_app_close(app);
        return result;
    }
    fa_spec_app_settle(app); /* what the application does at its start */
    *out = app;
    return FA_OK;
}

void fa_spec_app_close(fa_spec_app *app)
{
    if (app == NULL)
        return;
    if (app->clients != NULL) {
        fa_scope_end(app->clients, "the spec is over", NULL); /* all of them vanish */
        fa_spec_app_settle(app);
        uv_close((uv_handle_t *)&app->patience, NULL);
    }
    fa_server_destroy(app->server);
    pthread_mutex_destroy(&app->log_lock);
    free(app);
}

/* ---- asking and waiting ---- */

fa_result fa_spec_app_ask(fa_spec_app *app, const fa_inprocess_request *request, fa_inprocess **client)
{
    fa_generations *generations = fa_runtime_generations(fa_server_runtime(app->server), 0);
    return fa_inprocess_start(app->worker, app->clients, request, fa_generations_handle, generations, client);
}

void fa_spec_app_settle(fa_spec_app *app)
{
    fa_worker_settle(app->worker);
}

bool fa_spec_app_wait(fa_spec_app *app, bool (*holds)(void *context), void *context, uint64_t patience_ms)
{
    fa_worker_settle(app->worker);
    if (holds(context) || !app->real_time)
        return holds(context);
    app->impatient = false;
    uv_update_time(fa_worker_loop(app->worker));
    uv_timer_start(&app->patience, on_impatient, patience_ms, 0);
    while (!app->impatient && !holds(context))
        uv_run(fa_worker_loop(app->worker), UV_RUN_ONCE);
    uv_timer_stop(&app->patience);
    return holds(context);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

void fa_spec_app_advance(fa_spec_app *app, uint64_t ms)
{
    if (app->real_time)
        fa_spec_app_wait(app, never, NULL, ms);
    else
        fa_worker_advance(app->worker, ms);
    fa_worker_settle(app->worker);
}

/* ---- what is left ---- */

/* Bytes that no scope holds any more: a lease, a job, a detached buffer, or an account that was not let go. */
static void add_bytes(fa_ledger *ledger, fa_inventory *left)
{
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(ledger, (fa_kind)kind);
        fa_item item = {.what = "bytes", .kind = (fa_kind)kind, .bytes = c->bytes};
        snprintf(item.name, sizeof(item.name), "of kind %s", fa_kind_name((fa_kind)kind));
        if (c->bytes > 0 && !fa_kind_lasts((fa_kind)kind))
            fa_inventory_add(left, &item);
    }
}

void fa_spec_app_left(fa_spec_app *app, fa_inventory *left)
{
    fa_scope *scope = fa_worker_scope(app->worker);
    fa_inventory_take(left, scope, NULL, false, 0);
    fa_timers_take_inventory(app->worker, left, NULL, false);
    fa_jobs_take_inventory(app->worker, left);
    fa_script *all[FA_MOST_GENERATIONS + 1];
    fa_generations_all(fa_runtime_generations(fa_server_runtime(app->server), 0), all);
    for (fa_script **script = all; *script != NULL; ++script)
        fa_script_take_inventory(*script, left, NULL);
    add_bytes(fa_scope_ledger(scope), left);
}

bool fa_spec_app_real_time(const fa_spec_app *app)
{
    return app->real_time;
}

fa_worker *fa_spec_app_worker(const fa_spec_app *app)
{
    return app->worker;
}

fa_server *fa_spec_app_server(const fa_spec_app *app)
{
    return app->server;
}

fa_script *fa_spec_app_script(const fa_spec_app *app)
{
    return fa_generations_current(fa_runtime_generations(fa_server_runtime(app->server), 0));
}
