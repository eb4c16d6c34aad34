#include "server/tracker.h"

#include "server/memory_figures.h"
#include "worker/timer.h"

typedef struct heap_errand {
    fa_errand errand;
    fa_tracker *tracker;
    size_t bytes; /* of the Lua heap, when it was last asked for */
    bool away;
} heap_errand;

struct fa_tracker {
    fa_tracker_options options;
    fa_timer timer;
    fa_message stop;
    bool stopping;
    unsigned away;
    pthread_mutex_t lock; /* guards trend and stopped */
    pthread_cond_t changed;
    bool stopped;
    fa_trend *trend;
    uint64_t *values; /* of the sample being taken */
    heap_errand heaps[];
};

static void tell_stopped(fa_tracker *tracker)
{
    pthread_mutex_lock(&tracker->lock);
    tracker->stopped = true;
    pthread_cond_signal(&tracker->changed);
    pthread_mutex_unlock(&tracker->lock);
}

/* ---- asking the workers ---- */

static void measure(fa_errand *errand)
{
    heap_errand *heap = FA_OBJECT(errand, heap_errand, errand);
    const fa_tracker_options *options = &heap->tracker->options;
    heap->bytes = options->heap(options->context, fa_worker_index(errand->to));
    fa_errand_return(errand);
}

static void on_measured(fa_errand *errand)
{
    heap_errand *heap = FA_OBJECT(errand, heap_errand, errand);
    fa_tracker *tracker = heap->tracker;
    heap->away = false;
    if (--tracker->away == 0 && tracker->stopping)
        tell_stopped(tracker);
}

/* ---- sampling ---- */

static void take_sample(fa_tracker *tracker)
{
    const fa_tracker_options *o = &tracker->options;
    fa_memory_figures figures;
    uint64_t *values = tracker->values;
    fa_memory_read(o->ledger, &figures);
    values[FA_LINE_RSS] = figures.rss;
    values[FA_LINE_RESIDUAL] = figures.residual;
    values[FA_LINE_OURS] = figures.ours;
    values[FA_LINE_IN_FLIGHT] = figures.in_flight;
    values[FA_LINE_LUA] = 0;
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind)
        values[FA_LINE_KINDS + kind] = figures.kinds[kind].bytes;
    for (unsigned i = 0; i < o->crew->count; ++i) { /* one tick old where its worker is busy */
        size_t bytes = tracker->heaps[i].away ? values[FA_LINE_COUNT + i] : tracker->heaps[i].bytes;
        values[FA_LINE_COUNT + i] = bytes;
        values[FA_LINE_LUA] += bytes;
    }
    pthread_mutex_lock(&tracker->lock);
    fa_trend_add(tracker->trend, fa_clock_now_ms(fa_ledger_clock(o->ledger)), values, o->log);
    pthread_mutex_unlock(&tracker->lock);
}

static void send_errands(fa_tracker *tracker)
{
    const fa_crew *crew = tracker->options.crew;
    for (unsigned i = 0; i < crew->count; ++i) {
        heap_errand *heap = &tracker->heaps[i];
        if (heap->away)
            continue;
        heap->away = true;
        tracker->away++;
        fa_errand_send(&heap->errand, crew->workers[0], crew->workers[i], measure, on_measured);
    }
}

static void on_tick(fa_timer *timer)
{
    fa_tracker *tracker = FA_OBJECT(timer, fa_tracker, timer);
    take_sample(tracker);
    send_errands(tracker);
    fa_timer_start(timer, tracker->options.interval_ms);
}

/* ---- beginning and end ---- */

static void on_stop(fa_message *message)
{
    fa_tracker *tracker = FA_OBJECT(message, fa_tracker, stop);
    tracker->stopping = true;
    fa_timer_stop(&tracker->timer);
    if (tracker->away == 0)
        tell_stopped(tracker);
}

fa_result fa_tracker_new(fa_scope *scope, const fa_tracker_options *options, fa_tracker **out)
{
    unsigned workers = options->crew->count;
    fa_tracker *tracker = fa_scope_allocate(scope, sizeof(*tracker) + workers * sizeof(heap_errand));
    void *trend = fa_scope_allocate(scope, fa_trend_size(workers));
    uint64_t *values = fa_scope_allocate(scope, (FA_LINE_COUNT + workers) * sizeof(*values));
    if (tracker == NULL || trend == NULL || values == NULL)
        return FA_NO_MEMORY;
    tracker->options = *options;
    tracker->trend = fa_trend_init(trend, workers, options->alarm_growth, options->alarm_residual_growth,
                                   options->alarm_interval_ms);
    tracker->values = values;
    for (unsigned i = 0; i < workers; ++i) {
        tracker->heaps[i].tracker = tracker;
        tracker->heaps[i].bytes = options->heap(options->context, i); /* nothing runs yet */
    }
    pthread_mutex_init(&tracker->lock, NULL);
    pthread_cond_init(&tracker->changed, NULL);
    fa_message_init(&tracker->stop, on_stop);
    fa_worker *worker = options->crew->workers[0];
    fa_timer_init(&tracker->timer, worker, fa_worker_scope(worker), on_tick);
    *out = tracker;
    return fa_timer_start(&tracker->timer, options->interval_ms);
}

void fa_tracker_stop(fa_tracker *tracker)
{
    if (tracker == NULL)
        return;
    fa_worker_post(tracker->options.crew->workers[0], &tracker->stop);
    pthread_mutex_lock(&tracker->lock);
    while (!tracker->stopped)
        pthread_cond_wait(&tracker->changed, &tracker->lock);
    pthread_mutex_unlock(&tracker->lock);
}

void fa_tracker_look(fa_tracker *tracker, void (*look)(void *context, const fa_trend *trend), void *context)
{
    pthread_mutex_lock(&tracker->lock);
    look(context, tracker->trend);
    pthread_mutex_unlock(&tracker->lock);
}
