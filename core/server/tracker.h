/* The tracker: takes a sample of all memory every few seconds and keeps the trend (server/trend.h).
 *
 * It reads counters and asks each worker for the size of its Lua heap by an errand that lies in the tracker, so after its start it
 * allocates nothing: it cannot be what grows. It can be switched off (`tracker = false`, DISABLE_MEMORY_TRACKER=true) to rule even
 * that out. Thread: it works on worker 0; fa_tracker_new, _stop: the server's; fa_tracker_look: any.
 */
#ifndef FA_SERVER_TRACKER_H
#define FA_SERVER_TRACKER_H

#include "server/trend.h"
#include "worker/crew.h"

typedef struct fa_tracker fa_tracker;

typedef struct fa_tracker_options {
    fa_ledger *ledger;
    const fa_crew *crew;                            /* borrowed */
    const fa_log *log;                              /* borrowed */
    size_t (*heap)(void *context, unsigned worker); /* bytes of a worker's Lua heap; called on that worker */
    void *context;
    uint64_t interval_ms, alarm_interval_ms;
    uint64_t alarm_growth, alarm_residual_growth; /* bytes a minute; 0: no such alarm */
} fa_tracker_options;

/* Makes it in memory of `scope` and sets its timer; the workers do not run yet. FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_tracker_new(fa_scope *scope, const fa_tracker_options *options, fa_tracker **tracker);

/* Returns when its timer has stopped and its errands are back; the workers run still. NULL is ignored. */
void fa_tracker_stop(fa_tracker *tracker);

/* Calls `look` with the trend while nothing changes it. Not for long: worker 0 may be waiting. */
void fa_tracker_look(fa_tracker *tracker, void (*look)(void *context, const fa_trend *trend), void *context);

#endif
