/* Timers that belong to a scope: when the scope ends, so does the timer. The fa_timer lies in the object that uses it
 * and may be freed right after fa_timer_stop (the uv handle behind it closes in its own time). Thread: the worker's. */
#ifndef FA_WORKER_TIMER_H
#define FA_WORKER_TIMER_H

#include "memory/inventory.h"
#include "worker/worker.h"

typedef struct fa_timer {
    struct fa_timer_handle *handle; /* NULL while it does not exist */
    void (*fire)(struct fa_timer *timer);
    fa_worker *worker;
    fa_scope_hook at_end;
    fa_scope *scope;
    fa_origin made_at;
} fa_timer;

/* Puts a zeroed timer to use; it stops itself when `scope` ends. fire may stop the timer or end the scope. */
#define fa_timer_init(timer, worker, scope, fire) fa_timer_init_at(timer, worker, scope, fire, FA_HERE)
void fa_timer_init_at(fa_timer *timer, fa_worker *worker, fa_scope *scope, void (*fire)(fa_timer *timer),
                      fa_origin made_at);

/* Fires once, `delay_ms` from now; a running one is set anew. FA_NO_MEMORY and FA_OVER_BUDGET on the first start only;
 * FA_WRONG_STATE after fa_timer_stop or the scope's end. */
fa_result fa_timer_start(fa_timer *timer, uint64_t delay_ms);

/* Does not fire any more; may be started again. Cheap. */
void fa_timer_pause(fa_timer *timer);

/* Bytes that one takes of its worker's account from its first start until a turn of the loop after its stop. */
size_t fa_timer_bytes(void);

/* Ends it. Harmless twice, and on a zeroed one that was never initialised. */
void fa_timer_stop(fa_timer *timer);

/* Adds the worker's timers that have been started once and not been ended to an inventory: but those of `except` and below, and,
 * unless `lasting`, those of scopes that live as long as the server. */
void fa_timers_take_inventory(fa_worker *worker, fa_inventory *inventory, const fa_scope *except, bool lasting);

#endif
