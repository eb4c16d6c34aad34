/* A turnstile lets so many through at once; those who come later wait in a line of bounded length, first come first served, each for a
 * bounded time. One turnstile serves all workers of a server: who waits may be on another thread than who leaves.
 *
 * A turnstile set finds its turnstiles by name, so that the states of all workers, and a generation that follows another, share them. A
 * turnstile lives as long as somebody refers to it or stands at it. Thread: any, but for a pass, which belongs to its worker.
 */
#ifndef FA_WORKER_TURNSTILE_H
#define FA_WORKER_TURNSTILE_H

#include "worker/timer.h"

typedef struct fa_turnstiles fa_turnstiles;
typedef struct fa_turnstile fa_turnstile;

typedef struct fa_turnstile_limits {
    unsigned inside;  /* at once; 0: no limit, then nobody waits either */
    unsigned waiting; /* at once */
    uint64_t wait_ms; /* the longest that one waits */
} fa_turnstile_limits;

enum { FA_TURNSTILE_NAME_SIZE = 128 };

typedef struct fa_turnstile_figures {
    char name[FA_TURNSTILE_NAME_SIZE]; /* cut to fit */
    fa_turnstile_limits limits;
    size_t inside, waiting;
    size_t admitted;    /* since the start */
    size_t turned_away; /* because the line was full */
    size_t waited_too_long;
} fa_turnstile_figures;

/* One who wants in; zeroed, in memory of whoever asks, until fa_turnstile_leave. */
typedef struct fa_turnstile_pass {
    fa_list link; /* guarded by the set's lock, like `stands` */
    fa_turnstile *turnstile;
    fa_worker *worker;
    enum { FA_TURNSTILE_OUTSIDE, FA_TURNSTILE_WAITING, FA_TURNSTILE_INSIDE } stands;
    fa_message called;
    fa_timer patience;
    void (*answer)(struct fa_turnstile_pass *pass, fa_result result);
} fa_turnstile_pass;

/* In a scope of its own below `scope`, which must outlive every pass. NULL: no memory. */
fa_turnstiles *fa_turnstiles_new(fa_scope *scope);

/* The turnstile of that name, made with these limits when there is none yet; one that is there keeps its own. name: copied. turnstile: the
 * caller owns a reference. FA_NO_MEMORY, also when a budget has no room. */
fa_result fa_turnstiles_find(fa_turnstiles *turnstiles, const char *name, const fa_turnstile_limits *limits,
                             fa_turnstile **turnstile);

/* Its limits are these from now on. */
void fa_turnstile_limit(fa_turnstile *turnstile, const fa_turnstile_limits *limits);

/* Gives a reference back. NULL is ignored. */
void fa_turnstile_unref(fa_turnstile *turnstile);

/* The i-th turnstile in the order they were made; false at the end. */
bool fa_turnstiles_read(fa_turnstiles *turnstiles, size_t index, fa_turnstile_figures *figures);

/* FA_OK: inside, at once, and `answer` is not called. FA_CONFLICT: it waits, and `answer` will be called from the loop with FA_OK
 * (inside) or FA_TIMED_OUT (outside again), unless fa_turnstile_leave comes first. FA_FULL: the line is full. FA_NO_MEMORY,
 * FA_OVER_BUDGET: no timer. scope: of the timer. Thread: the worker's. */
fa_result fa_turnstile_enter(fa_turnstile *turnstile, fa_turnstile_pass *pass, fa_worker *worker, fa_scope *scope,
                             void (*answer)(fa_turnstile_pass *pass, fa_result result));

/* Goes, from inside or out of the line; the next one comes in. Harmless on a zeroed pass and twice. Thread: the worker's. */
void fa_turnstile_leave(fa_turnstile_pass *pass);

#endif
