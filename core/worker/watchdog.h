/* The watchdog: a thread that notices when a worker stays too long in one call, and interrupts it there.
 *
 * Whoever enters something that may not come back (a script) begins a turn on the worker's fa_watched and ends it afterwards. The cost is a
 * few stores: no clock is read. The watchdog looks at all of them a few times within the limit while anybody runs, and sleeps without
 * any wake-up while nobody does. What counts is processor time of the thread, so that a busy machine stops nobody who did little.
 *
 * A turn that is overdue is interrupted by a real-time signal to its own thread, in whose handler `interrupt` is called: it may do
 * nothing but what a signal handler may. One that goes on for another `hard_ms` all the same is told to the log, and the process is aborted.
 *
 * The signal: the first from SIGRTMIN+4 on that nobody in the process handles when the first watchdog begins; the handler is taken back
 * when the last one ends. All watchdogs of a process share it.
 */
#ifndef FA_WORKER_WATCHDOG_H
#define FA_WORKER_WATCHDOG_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "memory/scope.h"

enum { FA_WATCHED_TOLD = 240, FA_CACHE_LINE = 64, FA_MAX_WATCHED = 72 };

typedef struct fa_watchdog fa_watchdog;

/* What is called in the signal handler, on the thread of the turn. tell: NULL, or gets what runs, for the log before the end. */
typedef void (*fa_interrupt)(void *context, char *tell);

/* One for each worker; written by the thread that the worker runs on. Alone on its cache lines (worker.c). */
typedef struct fa_watched {
    _Atomic uint64_t turn;                       /* the innermost; 0: none */
    _Atomic uint64_t outermost;                  /* the one that began first, of those that are under way; 0: none */
    _Atomic uint64_t begun;                      /* turns so far */
    _Atomic uint64_t limit_ms;                   /* of the innermost; 0: none */
    _Atomic int thread;                          /* kernel's number of the thread */
    _Atomic uint64_t overdue, outermost_overdue; /* turns, as the watchdog has found */
    _Atomic bool tell, told;
    _Atomic(fa_watchdog *) dog; /* NULL: nobody watches */
    fa_interrupt interrupt;
    void *context;
    char text[FA_WATCHED_TOLD]; /* once told */
} fa_watched;

/* What a turn hides while it lasts; on the caller's stack. */
typedef struct fa_turn_outside {
    fa_watched *watched;
    uint64_t turn, outermost, limit_ms;
    fa_interrupt interrupt;
    void *context;
} fa_turn_outside;

/* Turns nest: one that begins inside another has the whole limit for itself. limit_ms: processor time; 0: none. */
void fa_watched_begin(fa_watched *watched, uint64_t limit_ms, fa_interrupt interrupt, void *context,
                      fa_turn_outside *outside);
/* The turn that has just begun is not on the time of those that it hides: as if it were the first. */
void fa_watched_apart(fa_watched *watched);
/* True when the turn outside, which goes on now, is overdue and must be interrupted. */
bool fa_watched_end(fa_watched *watched, const fa_turn_outside *outside);

/* Starts the thread. scope, log: borrowed. hard_ms: 0: never aborts. */
fa_result fa_watchdog_new(fa_scope *scope, const fa_log *log, uint64_t tick_ms, uint64_t hard_ms, fa_watchdog **dog,
                          fa_error *error);
/* Before its thread begins a turn, or from it. At most FA_MAX_WATCHED. */
fa_result fa_watchdog_add(fa_watchdog *dog, fa_watched *watched);
/* Ends the thread. None of those it watches is in a turn any more. NULL is ignored. */
void fa_watchdog_free(fa_watchdog *dog);

int fa_watchdog_signal(const fa_watchdog *dog);     /* the signal's number */
uint64_t fa_watchdog_looks(const fa_watchdog *dog); /* how often it has woken up; for tests */

#endif
