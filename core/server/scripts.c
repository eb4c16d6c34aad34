#include "server/scripts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CHANGE_PATIENCE_MS = 1000, CUT_PATIENCE_MS = 1000, DRAIN_IN_DEV_MS = 1000 };

typedef struct seat {
    fa_generations *generations;
    fa_script_options options; /* but for the number */
    unsigned taken_up;         /* guarded by the lock */
    fa_script *built;          /* while a reload is under way, on its thread */
    fa_scripts *scripts;
} seat;

struct fa_scripts {
    fa_scripts_options options;
    fa_scope *scope;
    fa_memory_source memory;
    void *memory_context;
    _Atomic unsigned serving;
    uint64_t drain_ms;
    void (*on_gone)(void *context);
    void *gone_context;
    fa_scope_hook at_end;
    fa_watched loads;     /* whichever thread loads an application; one does at a time */
    pthread_mutex_t lock; /* guards all below and seat.taken_up */
    pthread_cond_t changed;
    fa_generation_entry live[FA_MOST_GENERATIONS]; /* newest first */
    size_t live_count;
    unsigned count;
    seat seats[];
};

/* ---- beginning and end ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_scripts *scripts = FA_OBJECT(hook, fa_scripts, at_end);
    pthread_cond_destroy(&scripts->changed);
    pthread_mutex_destroy(&scripts->lock);
}

/* Who develops saves often, with a page open that listens to events: three times within the usual drain, and the third would have to wait. */
static uint64_t drain_of(const fa_config *config)
{
    const char *where = NULL;
    fa_config_written(config, "reload_drain", &where);
    bool unsaid = where != NULL && strcmp(where, "default") == 0;
    if (unsaid && strcmp(fa_config_text(config, "mode"), "dev") == 0)
        return DRAIN_IN_DEV_MS;
    return fa_config_duration(config, "reload_drain");
}

fa_scripts *fa_scripts_new(fa_scope *scope, const fa_scripts_options *options, unsigned workers)
{
    pthread_condattr_t attributes;
    fa_scripts *scripts = fa_scope_allocate(scope, sizeof(*scripts) + workers * sizeof(seat));
    if (scripts == NULL || fa_watchdog_add(options->watchdog, &scripts->loads) != FA_OK)
        return NULL;
    scripts->options = *options;
    scripts->scope = scope;
    scripts->serving = 1;
    scripts->drain_ms = drain_of(options->config);
    scripts->live[0].number = 1;
    scripts->live_count = 1;
    pthread_mutex_init(&scripts->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scripts->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    fa_scope_hook_add(scope, &scripts->at_end, on_end);
    return scripts;
}

static void on_taken_up(void *context, unsigned generation)
{
    seat *s = context;
    pthread_mutex_lock(&s->scripts->lock);
    s->taken_up = generation;
    pthread_cond_broadcast(&s->scripts->changed);
    pthread_mutex_unlock(&s->scripts->lock);
}

static void on_gone(void *context, unsigned generation)
{
    fa_scripts *scripts = ((seat *)context)->scripts;
    bool last = false;
    pthread_mutex_lock(&scripts->lock);
    for (size_t i = 0; i < scripts->live_count; ++i) {
        fa_generation_entry *entry = &scripts->live[i];
        if (entry->number != generation || --entry->workers > 0)
            continue;
        memmove(entry, entry + 1, (--scripts->live_count - i) * sizeof(*entry));
        last = true;
        break;
    }
    pthread_cond_broadcast(&scripts->changed);
    pthread_mutex_unlock(&scripts->lock);
    if (!last)
        return;
    fa_log_write(scripts->options.log, FA_LOG_INFO, "nothing is left of generation %u", generation);
    if (scripts->on_gone != NULL)
        scripts->on_gone(scripts->gone_context);
}

static void fill_options(fa_scripts *scripts, const fa_scripts_worker *worker, fa_script_options *options)
{
    const fa_config *config = scripts->options.config;
    const fa_settings *settings = scripts->options.settings;
    *options = (fa_script_options){
        .worker = worker->worker,
        .dialogues = worker->dialogues,
        .upstreams = worker->upstreams,
        .media = scripts->options.media,
        .natives = scripts->options.plugins->natives,
        .plugins = scripts->options.plugins->list,
        .settings = settings->list,
        .lines = scripts->options.lines,
        .app = settings->app,
        .library = settings->library,
        .script_heap = fa_config_size(config, "script_heap"),
        .slice_ms = fa_config_duration(config, "script_slice"),
        .load_ms = fa_config_duration(config, "script_load"),
        .loads = &scripts->loads,
        .jit = scripts->options.jit,
        .max_tasks = (unsigned)fa_config_number(config, "max_tasks"),
        .max_routes = (size_t)fa_config_number(config, "max_routes"),
        .bodies = fa_settings_bodies(config),
        .turnstiles = scripts->options.turnstiles,
        .buckets = scripts->options.buckets,
        .stores = scripts->options.stores,
        .topics = scripts->options.topics,
        .answer_queue = fa_config_size(config, "answer_queue"),
        .heartbeat_ms = fa_config_duration(config, "ping_interval"),
        .websocket = fa_settings_websocket(config),
        .development = strcmp(fa_config_text(config, "mode"), "dev") == 0,
        .generation = 1,
        .started_ms = fa_worker_now_exact(worker->worker),
        .draining = worker->draining,
        .edge = worker->edge,
        .context = worker->context,
    };
    options->trusted_count = fa_config_list(config, "trusted", &options->trusted);
}

static bool tells_clients(const fa_config *config)
{
    const char *when = fa_config_text(config, "generation_header");
    return strcmp(when, "always") == 0 ||
           (strcmp(when, "dev") == 0 && strcmp(fa_config_text(config, "mode"), "dev") == 0);
}

static void on_plugin_problem(void *context, const char *name, const char *problem)
{
    fa_plugins_note(context, name, problem);
}

fa_result fa_scripts_add(fa_scripts *scripts, const fa_scripts_worker *worker, fa_generations **out, fa_error *error)
{
    fa_script *script;
    seat *s = &scripts->seats[scripts->count];
    fill_options(scripts, worker, &s->options);
    s->scripts = scripts;
    s->taken_up = 1;
    fa_result result = fa_script_new(&s->options, &script, error);
    if (result != FA_OK)
        return result;
    fa_generations_options options = {.worker = worker->worker,
                                      .serving = &scripts->serving,
                                      .drain_ms = scripts->drain_ms,
                                      .tell_clients = tells_clients(scripts->options.config),
                                      .taken_up = on_taken_up,
                                      .gone = on_gone,
                                      .context = s};
    if (scripts->options.app)
        result = fa_script_load(script, NULL, error);
    if (result == FA_OK && scripts->options.app)
        fa_script_plugin_problems(script, on_plugin_problem, scripts->options.plugins);
    if (result == FA_OK && fa_generations_new(&options, script, &s->generations) != FA_OK)
        result = fa_fail(error, FA_NO_MEMORY, "no memory for scripts");
    if (result != FA_OK) {
        fa_script_free(script);
        return result;
    }
    scripts->live[0].workers = ++scripts->count;
    *out = s->generations;
    return FA_OK;
}

void fa_scripts_set_memory(fa_scripts *scripts, fa_memory_source source, void *context)
{
    scripts->memory = source;
    scripts->memory_context = context;
    for (unsigned i = 0; i < scripts->count; ++i)
        fa_script_set_memory(fa_generations_current(scripts->seats[i].generations), source, context);
}

void fa_scripts_free(fa_scripts *scripts)
{
    for (unsigned i = 0; scripts != NULL && i < scripts->count; ++i) {
        fa_generations_free(scripts->seats[i].generations);
        scripts->seats[i].generations = NULL;
    }
}

size_t fa_scripts_list(fa_scripts *scripts, fa_generation_entry list[FA_MOST_GENERATIONS])
{
    pthread_mutex_lock(&scripts->lock);
    size_t count = scripts->live_count;
    memcpy(list, scripts->live, count * sizeof(*list));
    pthread_mutex_unlock(&scripts->lock);
    return count;
}

/* ---- reload ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct timespec time_in(unsigned ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

/* How many workers have not taken up the number. Under the lock. */
static unsigned behind(const fa_scripts *scripts, unsigned number)
{
    unsigned count = 0;
    for (unsigned i = 0; i < scripts->count; ++i)
        count += scripts->seats[i].taken_up != number ? 1 : 0;
    return count;
}

typedef struct cutting {
    fa_scripts *scripts;
    unsigned number;
} cutting;

static void cut(void *context, fa_worker *worker)
{
    const cutting *c = context;
    fa_generations_cut(c->scripts->seats[fa_worker_index(worker)].generations, c->number,
                       "a third set of newer scripts is waiting");
}

/* The oldest has had its time: what it still has to do is cut, if that makes room. */
static void cut_oldest(fa_scripts *scripts, unsigned number)
{
    cutting c = {scripts, number};
    const struct timespec deadline = time_in(CUT_PATIENCE_MS);
    fa_log_write(scripts->options.log, FA_LOG_WARN, "generation %u is cut: a newer one needs its place", number);
    fa_crew_visit_and_wait(scripts->options.crew, CUT_PATIENCE_MS, cut, &c);
    pthread_mutex_lock(&scripts->lock);
    while (scripts->live_count == FA_MOST_GENERATIONS &&
           pthread_cond_timedwait(&scripts->changed, &scripts->lock, &deadline) == 0)
        continue;
    pthread_mutex_unlock(&scripts->lock);
}

static fa_result make_room(fa_scripts *scripts, uint64_t *retry_ms, fa_error *error)
{
    uint64_t now_ms = fa_clock_now_ms(fa_ledger_clock(fa_scope_ledger(scripts->scope))), waited_ms = 0;
    fa_generation_entry oldest = {0};
    pthread_mutex_lock(&scripts->lock);
    unsigned late = behind(scripts, scripts->serving);
    bool full = scripts->live_count == FA_MOST_GENERATIONS;
    if (full)
        oldest = scripts->live[scripts->live_count - 1];
    pthread_mutex_unlock(&scripts->lock);
    if (late > 0)
        return fa_fail(error, FA_FULL,
                       "%u of %u workers have not taken up generation %u yet: a script does not let them go", late,
                       scripts->count, (unsigned)scripts->serving);
    if (!full)
        return FA_OK;
    waited_ms = now_ms - oldest.replaced_ms;
    if (waited_ms >= scripts->drain_ms)
        cut_oldest(scripts, oldest.number);
    pthread_mutex_lock(&scripts->lock);
    full = scripts->live_count == FA_MOST_GENERATIONS;
    pthread_mutex_unlock(&scripts->lock);
    if (!full)
        return FA_OK;
    *retry_ms = waited_ms < scripts->drain_ms ? scripts->drain_ms - waited_ms : 0;
    return fa_fail(error, FA_FULL,
                   "%d generations are alive, the most there may be: generation %u has requests or turns to finish "
                   "(fitnessally reload --status names them); from %llu s on they are cut by a reload",
                   FA_MOST_GENERATIONS, oldest.number, (unsigned long long)(*retry_ms + 999) / 1000);
}

static void discard_built(fa_scripts *scripts)
{
    for (unsigned i = 0; i < scripts->count; ++i) {
        fa_script_free(scripts->seats[i].built);
        scripts->seats[i].built = NULL;
    }
}

static fa_result build_all(fa_scripts *scripts, const fa_script_plugin *plugins, fa_load_failure *failure,
                           fa_error *error)
{
    fa_result result = FA_OK;
    unsigned number = scripts->serving + 1;
    for (unsigned i = 0; i < scripts->count && result == FA_OK; ++i) {
        seat *s = &scripts->seats[i];
        fa_script_options options = s->options;
        options.generation = number;
        options.plugins = plugins;
        result = fa_generation_build(&options, &s->built, failure, error);
        if (result == FA_OK)
            fa_script_set_memory(s->built, scripts->memory, scripts->memory_context);
    }
    if (result != FA_OK)
        discard_built(scripts);
    return result;
}

/* The manifests of plugins are read anew, as their Lua halves are loaded anew. */
static fa_result build(fa_scripts *scripts, fa_load_failure *failure, fa_error *error)
{
    fa_scope *scope;
    fa_script_plugin *plugins = NULL;
    fa_result result = fa_scope_new_apart(fa_scope_ledger(scripts->scope), scripts->scope, FA_KIND_SERVER, 0,
                                          "plugin manifests", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory to read the manifests of plugins");
    plugins = fa_scope_allocate(scope, (FA_MAX_PLUGINS + 1) * sizeof(*plugins));
    if (plugins == NULL)
        result = fa_fail(error, FA_NO_MEMORY, "no memory to read the manifests of plugins");
    if (result == FA_OK)
        result = fa_plugins_read(scripts->options.plugins, scripts->options.config, scope, plugins, failure, error);
    if (result == FA_OK)
        result = build_all(scripts, plugins, failure, error);
    fa_scope_end(scope, "read", NULL);
    return result;
}

/* Cannot fail. */
static void change_over(fa_scripts *scripts, fa_reload_report *report)
{
    unsigned number = scripts->serving + 1;
    const struct timespec deadline = time_in(CHANGE_PATIENCE_MS);
    pthread_mutex_lock(&scripts->lock);
    memmove(&scripts->live[1], &scripts->live[0], scripts->live_count * sizeof(scripts->live[0]));
    scripts->live_count++;
    scripts->live[0] = (fa_generation_entry){.number = number, .workers = scripts->count};
    scripts->live[1].replaced_ms = fa_clock_now_ms(fa_ledger_clock(fa_scope_ledger(scripts->scope)));
    pthread_mutex_unlock(&scripts->lock);
    for (unsigned i = 0; i < scripts->count; ++i) {
        fa_generations_offer(scripts->seats[i].generations, scripts->seats[i].built);
        scripts->seats[i].built = NULL;
    }
    report->previous = atomic_exchange_explicit(&scripts->serving, number, memory_order_release);
    for (unsigned i = 0; i < scripts->count; ++i)
        fa_generations_wake(scripts->seats[i].generations);
    pthread_mutex_lock(&scripts->lock);
    while ((report->late = behind(scripts, number)) > 0 &&
           pthread_cond_timedwait(&scripts->changed, &scripts->lock, &deadline) == 0)
        continue;
    pthread_mutex_unlock(&scripts->lock);
}

static fa_result pass_gate(fa_scripts *scripts, const fa_reload_gate *gate, fa_reload_report *report, fa_error *error)
{
    uint64_t begun_us = now_us();
    fa_result result = gate->pass(gate->context, &report->failure, error);
    report->specs_us = now_us() - begun_us;
    report->refused = result != FA_OK;
    if (result != FA_OK)
        discard_built(scripts);
    return result;
}

fa_result fa_scripts_reload(fa_scripts *scripts, const fa_reload_gate *gate, fa_reload_report *report)
{
    fa_error error = {""};
    uint64_t begun_us = now_us();
    memset(report, 0, sizeof(*report));
    report->result = make_room(scripts, &report->retry_ms, &error);
    if (report->result == FA_OK)
        report->result = build(scripts, &report->failure, &error);
    report->load_us = now_us() - begun_us;
    if (report->result == FA_OK && gate != NULL)
        report->result = pass_gate(scripts, gate, report, &error);
    uint64_t built_us = now_us();
    if (report->result == FA_OK)
        change_over(scripts, report);
    report->switch_us = now_us() - built_us;
    report->generation = scripts->serving;
    snprintf(report->message, sizeof(report->message), "%s", error.text);
    return report->result;
}

/* ---- what is left ---- */

typedef struct left_visit {
    fa_scripts *scripts;
    fa_generations_left *left;
    pthread_mutex_t lock; /* guards left */
} left_visit;

/* The lock of the visit is held. */
static void add_left(fa_generation_left *entry, fa_script *script)
{
    fa_script_left left;
    fa_script_figures figures = {0};
    fa_script_read_left(script, &left);
    fa_script_read_figures(script, &figures);
    entry->left.requests += left.requests;
    entry->left.turns += left.turns;
    entry->left.streams += left.streams;
    entry->left.tasks += left.tasks;
    entry->heap += figures.heap;
    if (!entry->serves)
        fa_script_take_inventory(script, &entry->tasks, NULL);
}

static void visit_left(void *context, fa_worker *worker)
{
    left_visit *v = context;
    fa_script *all[FA_MOST_GENERATIONS + 1];
    fa_generations_all(v->scripts->seats[fa_worker_index(worker)].generations, all);
    pthread_mutex_lock(&v->lock);
    for (fa_script **script = all; *script != NULL; ++script) {
        for (size_t i = 0; i < v->left->count; ++i) {
            if (v->left->list[i].number == fa_script_generation(*script))
                add_left(&v->left->list[i], *script);
        }
    }
    pthread_mutex_unlock(&v->lock);
}

void fa_scripts_read_left(fa_scripts *scripts, fa_generations_left *left)
{
    fa_generation_entry live[FA_MOST_GENERATIONS];
    left_visit v = {.scripts = scripts, .left = left};
    uint64_t now_ms = fa_clock_now_ms(fa_ledger_clock(fa_scope_ledger(scripts->scope)));
    left->count = fa_scripts_list(scripts, live);
    for (size_t i = 0; i < left->count; ++i) {
        fa_generation_left *entry = &left->list[i];
        entry->number = live[i].number;
        entry->workers = live[i].workers;
        entry->serves = i == 0;
        entry->replaced_ms = i == 0 ? 0 : now_ms - live[i].replaced_ms;
    }
    pthread_mutex_init(&v.lock, NULL);
    fa_crew_visit_and_wait(scripts->options.crew, CHANGE_PATIENCE_MS, visit_left, &v);
    pthread_mutex_destroy(&v.lock);
}

void fa_scripts_on_gone(fa_scripts *scripts, void (*on_gone_too)(void *context), void *context)
{
    scripts->on_gone = on_gone_too;
    scripts->gone_context = context;
}
