/* Jobs: work that may block (files), done on libuv's thread pool, with the answer delivered on the worker's thread.
 *
 * A job that has begun cannot be stopped; when its owner ends, the answer is dropped. Its memory is therefore its own:
 * of kind job, charged below the worker, freed after `done` or, when cancelled, after the work has returned.
 */
#ifndef FA_WORKER_JOB_H
#define FA_WORKER_JOB_H

#include "worker/worker.h"

typedef struct fa_job fa_job;

/* size: bytes of zeroed working memory, the `data` of all four functions. prepare: called at once, fills it; may be
 * NULL. work: pool thread. done: worker's thread; not called after fa_job_cancel. drop: worker's thread, always the
 * last call, frees what `work` made and nobody took; may be NULL. job: set before prepare is called; may be NULL.
 * FA_NO_MEMORY, FA_OVER_BUDGET: nothing has been called. */
fa_result fa_job_start(fa_worker *worker, size_t size, void (*prepare)(void *data, void *context), void *context,
                       void (*work)(void *data), void (*done)(void *data, void *context), void (*drop)(void *data),
                       fa_job **job);

/* `done` will not be called. Thread: the worker's; only before `done` has been called. */
void fa_job_cancel(fa_job *job);

#endif
