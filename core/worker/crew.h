/* The crew: the workers of one server, and how they ask things of each other.
 *
 * An errand is a piece of work that goes from one worker to another and comes back. It lies in memory of the sender, which does not
 * touch it while it is away; the sender cannot finish before it is back. Nothing is refused on the way: a mailbox takes every message
 * (worker.h). The server lets its workers finish only when none has anything to do any more, so that nobody is sent to who has gone.
 *
 * Thread: as each function says.
 */
#ifndef FA_WORKER_CREW_H
#define FA_WORKER_CREW_H

#include <stdatomic.h>

#include "worker/worker.h"

enum { FA_MAX_WORKERS = 64 };

/* Visits under way. on_quiet: called, on whatever thread, each time that there is none any more; NULL: nobody wants to know. */
typedef struct fa_crew_traffic {
    _Atomic size_t away;
    void (*on_quiet)(void *context);
    void *context;
} fa_crew_traffic;

typedef struct fa_crew {
    fa_worker *workers[FA_MAX_WORKERS]; /* by index; set before any of them runs */
    unsigned count;
    fa_crew_traffic *traffic; /* NULL: not counted */
} fa_crew;

typedef struct fa_errand {
    fa_message message;
    fa_worker *from, *to;
    void (*run)(struct fa_errand *errand);  /* on `to`: ends with fa_errand_return, now or later */
    void (*back)(struct fa_errand *errand); /* on `from`: the errand is the sender's again */
} fa_errand;

/* Sends it off. errand: borrowed until `back` is called, from the loop of `from`, never from inside this call, also when both workers
 * are the same. Thread: from's. */
void fa_errand_send(fa_errand *errand, fa_worker *from, fa_worker *to, void (*run)(fa_errand *errand),
                    void (*back)(fa_errand *errand));

/* Sends it home. Thread: to's; the errand is not to be touched after it. */
void fa_errand_return(fa_errand *errand);

/* Runs `visit` on every worker of the crew, each on its own thread and all at the same time, and then `done` on `from`. A worker that
 * has not come to it after `patience_ms` (a script does not let it go) is left out, and the visit of it never begins. context: borrowed
 * until `done`; visits of different workers must not write to the same place. FA_NO_MEMORY, FA_OVER_BUDGET: nothing was called then.
 * Thread: from's. */
fa_result fa_crew_visit(const fa_crew *crew, fa_worker *from, uint64_t patience_ms,
                        void (*visit)(void *context, fa_worker *worker), void (*done)(void *context), void *context);

/* Bytes that a visit takes of the asking worker's account, up to and in `done`: for whoever reads that account there. */
size_t fa_crew_visit_bytes(const fa_crew *crew);

/* The same for a thread that is no worker's: returns when every worker has been visited or left out. None of them may have finished. */
void fa_crew_visit_and_wait(const fa_crew *crew, uint64_t patience_ms, void (*visit)(void *context, fa_worker *worker),
                            void *context);

#endif
