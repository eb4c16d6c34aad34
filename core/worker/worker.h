/* A worker: one thread with its uv loop, and what everything on that thread shares.
 *
 * Whatever a worker does happens on its thread, in callbacks of its loop. Other threads reach it only through its
 * mailbox. A worker knows nothing of HTTP or Lua: the server attaches those and finds them again through
 * fa_worker_slot.
 */
#ifndef FA_WORKER_WORKER_H
#define FA_WORKER_WORKER_H

#include <pthread.h>
#include <uv.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "memory/buffer.h"
#include "memory/handle.h"
#include "memory/scope.h"
#include "worker/watchdog.h"

typedef struct fa_worker fa_worker;

/* A message lies in the object it is about, so that posting can never fail or be refused (DESIGN.md 5). It is in at
 * most one mailbox at a time: posting one that is still on its way is merged with the first. */
typedef struct fa_message {
    fa_list link;
    bool posted;                                 /* guarded by the mailbox's lock */
    void (*deliver)(struct fa_message *message); /* on the worker's thread */
} fa_message;

/* Makes a worker (no thread yet). parent: its scope becomes a child of it, NULL for a root; log: borrowed for its
 * life. */
fa_result fa_worker_new(fa_ledger *ledger, fa_scope *parent, unsigned index, const fa_log *log, fa_worker **worker,
                        fa_error *error);

/* Runs the loop on the calling thread until fa_worker_finish has been called and every handle is closed. */
void fa_worker_run(fa_worker *worker);

/* Lets fa_worker_run return once the loop has nothing left. Messages still on their way, and later ones, are not
 * delivered. Thread: the worker's, or any before it runs and after it has run. */
void fa_worker_finish(fa_worker *worker);

/* Work of this worker is under way on a thread that the loop does not know (a plugin's) and will come back by a
 * message: until it is released, fa_worker_finish only takes note and the mailbox stays open. Thread: the worker's. */
void fa_worker_hold(fa_worker *worker);
void fa_worker_release(fa_worker *worker);

/* After fa_worker_run has returned. Ends the worker's scope, and with it the loop: timers that hang from the scope
 * stop, jobs under way are waited for, closes are seen through before memory of the scope is freed. */
void fa_worker_free(fa_worker *worker);

void fa_message_init(fa_message *message, void (*deliver)(fa_message *message));
void fa_worker_post(fa_worker *worker, fa_message *message); /* thread: any */

/* Takes a message back that is perhaps still on its way: true when it was, and is not delivered any more. Before an object
 * ends in which a posted message lies that is the worker's own thread, where it cannot be in delivery at that moment; on
 * any other, false means that it has been delivered or is being so right now. Thread: any. */
bool fa_worker_withdraw(fa_worker *worker, fa_message *message);

uv_loop_t *fa_worker_loop(fa_worker *worker);
fa_scope *fa_worker_scope(fa_worker *worker);
fa_handle_table *fa_worker_handles(fa_worker *worker);
fa_worker *fa_worker_of(fa_scope *scope); /* the worker whose own scope it is, or NULL */
const fa_log *fa_worker_log(const fa_worker *worker);
unsigned fa_worker_index(const fa_worker *worker);

/* Milliseconds, monotonic: the loop's time, cheap; now_exact: read at this moment, for what is measured. wall: since 1970 UTC. All of
 * them by the ledger's clock (base/clock.h). */
uint64_t fa_worker_now(const fa_worker *worker);
uint64_t fa_worker_now_exact(const fa_worker *worker);
uint64_t fa_worker_now_us(const fa_worker *worker); /* the same in microseconds */
uint64_t fa_worker_wall(const fa_worker *worker);

/* ---- where time is not real ----
 * Both are called by whoever turns the loop, instead of fa_worker_run, and never from inside its callbacks. */

/* Moves the ledger's clock on by `ms`. Timers fire one by one, each at its own time; what each of them put on its way on this worker
 * (mail, and whatever is ready to be read or written) is seen through before time goes on. Work of other threads is not waited for. */
void fa_worker_advance(fa_worker *worker, uint64_t ms);

/* Turns the loop until nothing is on its way any more: no mail, no timer that is due, no job, no held work of another thread (it waits
 * for those). Time stands still meanwhile. Works with real time too, but for timers. */
void fa_worker_settle(fa_worker *worker);

/* For timer.c: NULL where time is real; and the timers that are due wait in the mail. */
fa_clock *fa_worker_clock(const fa_worker *worker);
void fa_worker_alarm_due(fa_worker *worker);

/* What a watchdog sees of it (worker/watchdog.h). */
fa_watched *fa_worker_watched(fa_worker *worker);

/* For timer.c: those that have been started once. */
fa_list *fa_worker_timers(fa_worker *worker);

/* For job.c: those that are under way. */
fa_list *fa_worker_jobs(fa_worker *worker);

#endif
