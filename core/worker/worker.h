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

#include "base/list.h"
#include "base/log.h"
#include "memory/buffer.h"
#include "memory/handle.h"
#include "memory/scope.h"

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
const fa_log *fa_worker_log(const fa_worker *worker);
unsigned fa_worker_index(const fa_worker *worker);

/* Milliseconds, monotonic: the loop's time, cheap. */
uint64_t fa_worker_now(const fa_worker *worker);

#endif
