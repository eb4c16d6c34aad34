/* A gate lets so many through at once; those who come later wait in a line of bounded length, first come first served, each for a
 * bounded time. One gate serves all workers of a server: who waits may be on another thread than who leaves.
 *
 * A gate set finds its gates by name, so that the states of all workers, and a generation that follows another, share them. A gate
 * lives as long as its set. Thread: any, but for a pass, which belongs to its worker.
 */
#ifndef FA_WORKER_GATE_H
#define FA_WORKER_GATE_H

#include "worker/timer.h"

typedef struct fa_gates fa_gates;
typedef struct fa_gate fa_gate;

typedef struct fa_gate_limits {
    unsigned inside;  /* at once; 0: no limit, then nobody waits either */
    unsigned waiting; /* at once */
    uint64_t wait_ms; /* the longest that one waits */
} fa_gate_limits;

typedef struct fa_gate_figures {
    const char *name;
    fa_gate_limits limits;
    size_t inside, waiting;
    size_t admitted;    /* since the start */
    size_t turned_away; /* because the line was full */
    size_t waited_too_long;
} fa_gate_figures;

/* One who wants in; zeroed, in memory of whoever asks, until fa_gate_leave. */
typedef struct fa_gate_pass {
    fa_list link; /* guarded by the set's lock, like `stands` */
    fa_gate *gate;
    fa_worker *worker;
    enum { FA_GATE_OUTSIDE, FA_GATE_WAITING, FA_GATE_INSIDE } stands;
    fa_message called;
    fa_timer patience;
    void (*answer)(struct fa_gate_pass *pass, fa_result result);
} fa_gate_pass;

/* In a scope of its own below `scope`, which must outlive every pass. NULL: no memory. */
fa_gates *fa_gates_new(fa_scope *scope);

/* The gate of that name, made when there is none yet; its limits are these from now on. name: copied. FA_NO_MEMORY,
 * FA_OVER_BUDGET. */
fa_result fa_gates_find(fa_gates *gates, const char *name, const fa_gate_limits *limits, fa_gate **gate);

/* The i-th gate in the order they were made; false at the end. name: valid as long as the set. */
bool fa_gates_read(fa_gates *gates, size_t index, fa_gate_figures *figures);

/* FA_OK: inside, at once, and `answer` is not called. FA_CONFLICT: it waits, and `answer` will be called from the loop with FA_OK
 * (inside) or FA_TIMED_OUT (outside again), unless fa_gate_leave comes first. FA_FULL: the line is full. FA_NO_MEMORY,
 * FA_OVER_BUDGET: no timer. scope: of the timer. Thread: the worker's. */
fa_result fa_gate_enter(fa_gate *gate, fa_gate_pass *pass, fa_worker *worker, fa_scope *scope,
                        void (*answer)(fa_gate_pass *pass, fa_result result));

/* Goes, from inside or out of the line; the next one comes in. Harmless on a zeroed pass and twice. Thread: the worker's. */
void fa_gate_leave(fa_gate_pass *pass);

#endif
