#include "server/pressure_steps.h"

#include <math.h>
#include <stdlib.h>

/* ---- budgets ---- */

static void limit_kinds(fa_ledger *ledger, const fa_config *config)
{
    static const struct {
        fa_kind kind;
        const char *key;
    } limits[] = {
        {FA_KIND_PLUGIN, "budget_plugins"},
        {FA_KIND_CACHE, "budget_caches"},
        {FA_KIND_CONNECTION, "budget_connections"},
        {FA_KIND_REQUEST, "budget_requests"},
        {FA_KIND_DIALOGUE, "budget_dialogues"},
        {FA_KIND_TURN, "budget_turns"},
        {FA_KIND_LISTENER, "budget_listeners"},
        {FA_KIND_TRANSFER, "budget_transfers"},
        {FA_KIND_JOB, "budget_jobs"},
        {FA_KIND_SCRIPT, "budget_scripts"},
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); ++i)
        fa_ledger_limit(ledger, limits[i].kind, fa_config_size(config, limits[i].key));
}

static fa_result read_options(const fa_config *config, fa_pressure_options *options, fa_error *error)
{
    const char *const *items, *where;
    size_t count = fa_config_list(config, "pressure", &items);
    fa_config_written(config, "pressure", &where);
    options->relief = fa_config_number(config, "pressure_relief");
    if (count != FA_PRESSURE_LEVELS - 1)
        return fa_fail(error, FA_INVALID, "%s: pressure: needs %d numbers, one for each step", where,
                       FA_PRESSURE_LEVELS - 1);
    for (size_t i = 0; i < count; ++i) {
        char *end;
        double percent = strtod(items[i], &end);
        if (*end != '\0' || !isfinite(percent) || percent <= options->relief || percent > 1000)
            return fa_fail(error, FA_INVALID, "%s: pressure: \"%s\" is no number of percent above pressure_relief",
                           where, items[i]);
        if (i > 0 && percent < options->enter[i])
            return fa_fail(error, FA_INVALID, "%s: pressure: \"%s\" is less than the step before", where, items[i]);
        options->enter[i + 1] = percent;
    }
    return FA_OK;
}

fa_result fa_budgets_begin(fa_scope *scope, const fa_config *config, const fa_log *log, fa_pressure **pressure,
                           fa_error *error)
{
    fa_pressure_options options = {.relief = 0};
    fa_result result = read_options(config, &options, error);
    if (result != FA_OK)
        return result;
    limit_kinds(fa_scope_ledger(scope), config);
    *pressure = fa_pressure_new(scope, &options, log);
    return *pressure != NULL ? FA_OK : fa_fail(error, FA_NO_MEMORY, "no memory to start");
}

/* ---- one worker ---- */

struct fa_pressure_steps {
    fa_pressure *pressure;
    fa_worker *worker;
    fa_http *http;
    fa_dialogues *dialogues;
    fa_media *media;
    void (*pause)(void *context, bool paused); /* NULL: nobody reads from upstreams here */
    void *pause_context;
    bool told, paused; /* what it was told last */
    fa_pressure_subscriber subscriber;
    fa_message message;
};

static void pause_upstreams(fa_pressure_steps *steps, bool paused)
{
    if (steps->pause == NULL || (steps->told && steps->paused == paused))
        return;
    steps->told = true;
    steps->paused = paused;
    steps->pause(steps->pause_context, paused);
}

/* Whatever the level is by now. The media cache is shared: every worker says the same, and each says it again after the
 * last change, so the last word is right. A quarter of it stays: what everybody asks for need not come from the disk. */
static void apply(fa_message *message)
{
    fa_pressure_steps *steps = FA_OBJECT(message, fa_pressure_steps, message);
    fa_pressure_level level = fa_pressure_now(steps->pressure);
    if (steps->media != NULL)
        fa_media_shrink(steps->media,
                        level >= FA_PRESSURE_SHRINK_CACHES ? fa_media_budget(steps->media) / 4 : SIZE_MAX);
    if (steps->http != NULL)
        fa_http_refuse_connections(steps->http, level >= FA_PRESSURE_REFUSE_CONNECTIONS);
    pause_upstreams(steps, level >= FA_PRESSURE_PAUSE_UPSTREAMS);
    if (steps->dialogues != NULL)
        fa_dialogues_pressure(steps->dialogues, level); /* last: it may run scripts */
}

/* On any thread, in the midst of an allocation. */
static void on_changed(fa_pressure_subscriber *subscriber)
{
    fa_pressure_steps *steps = FA_OBJECT(subscriber, fa_pressure_steps, subscriber);
    fa_worker_post(steps->worker, &steps->message);
}

fa_result fa_pressure_attach(fa_pressure *pressure, fa_worker *worker, fa_http *http, fa_dialogues *dialogues,
                             fa_media *media, fa_pressure_steps **out, fa_error *error)
{
    fa_pressure_steps *steps = fa_scope_allocate(fa_worker_scope(worker), sizeof(*steps));
    if (steps == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a worker");
    steps->pressure = pressure;
    steps->worker = worker;
    steps->http = http;
    steps->dialogues = dialogues;
    steps->media = media;
    fa_message_init(&steps->message, apply);
    fa_pressure_subscribe(pressure, &steps->subscriber, on_changed);
    fa_worker_post(worker, &steps->message); /* for what the level is already */
    *out = steps;
    return FA_OK;
}

void fa_pressure_pauses(fa_pressure_steps *steps, void (*pause)(void *context, bool paused), void *context)
{
    steps->pause = pause;
    steps->pause_context = context;
    steps->told = false;
    fa_worker_post(steps->worker, &steps->message);
}

void fa_pressure_detach(fa_pressure_steps *steps)
{
    if (steps == NULL)
        return;
    fa_pressure_unsubscribe(steps->pressure, &steps->subscriber);
    fa_worker_withdraw(steps->worker, &steps->message);
    fa_scope_free(fa_worker_scope(steps->worker), steps);
}
