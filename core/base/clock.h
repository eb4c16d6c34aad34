/* Time: monotonic for deadlines, wall clock for what people and files see.
 *
 * Time is real unless a program sets a clock of its own on the ledger of a server before it is made (fa_ledger_set_clock):
 *
 *     fa_clock clock;
 *     fa_clock_init(&clock);
 *     fa_ledger_set_clock(ledger, &clock);
 *     ... fa_worker_new(ledger, ...) and everything on it ...
 *     fa_worker_advance(worker, 8 * 3600 * 1000);
 *
 * Such a clock stands still until it is advanced. Advancing it makes every fa_timer due that lies on the way, in order of their
 * times (those of the same time in the order in which they were started), each at its own time and without any sleeping; births of
 * scopes, deadlines, expiries and the times that scripts are told all follow it. What stays real: libh2o's own timers, the time
 * stamps of the log, and how long other threads take (jobs, plugins: fa_worker_settle waits for them).
 *
 * Owner: whoever tests; it outlives the ledger. A clock serves one ledger. Thread: reading the time, any; all else the thread on which
 * the ledger's worker runs. There is one then: a clock cannot be advanced for loops that turn at the same time.
 */
#ifndef FA_BASE_CLOCK_H
#define FA_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "base/list.h"

/* Monotonic milliseconds since an arbitrary start: always real. For what happens on a worker: fa_worker_now and its like. */
static inline uint64_t fa_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Wall clock, milliseconds since 1970 UTC: always real. */
static inline uint64_t fa_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

typedef struct fa_clock {
    _Atomic uint64_t now_ms;
    uint64_t wall_offset_ms; /* wall clock = now_ms + this */
    fa_list alarms;          /* the next one first */
} fa_clock;

/* Something that such a clock makes due. It lies in the object that needs it, zeroed before its first use. */
typedef struct fa_clock_alarm {
    fa_list link;
    uint64_t due_ms;
    void (*ring)(struct fa_clock_alarm *alarm); /* may set it anew, and take it or others back */
} fa_clock_alarm;

/* Begins at the present time of both real clocks. */
void fa_clock_init(fa_clock *clock);

/* The time by a clock; NULL: the real one. */
static inline uint64_t fa_clock_now_ms(const fa_clock *clock)
{
    return clock == NULL ? fa_now_ms() : clock->now_ms;
}

static inline uint64_t fa_clock_wall_ms(const fa_clock *clock)
{
    return clock == NULL ? fa_wall_ms() : clock->now_ms + clock->wall_offset_ms;
}

/* Sets an alarm `delay_ms` from now, also when it is set already. */
void fa_clock_set_alarm(fa_clock *clock, fa_clock_alarm *alarm, uint64_t delay_ms);

/* Takes it back. Harmless when it is not set. */
void fa_clock_unset_alarm(fa_clock_alarm *alarm);

/* Goes to the next alarm that is due at `until_ms` or before, at its time, and rings it. False: there is none, and it is until_ms now
 * (time never goes back). */
bool fa_clock_ring_next(fa_clock *clock, uint64_t until_ms);

#endif
