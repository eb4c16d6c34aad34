#include "worker/job.h"

#include <string.h>

struct fa_job {
    uv_work_t uv;
    fa_account *account;
    fa_worker *worker;
    size_t size;
    bool cancelled;
    void *context;
    void (*work)(void *data);
    void (*done)(void *data, void *context);
    void (*drop)(void *data);
    max_align_t data[];
};

static void on_work(uv_work_t *uv)
{
    fa_job *job = FA_OBJECT(uv, fa_job, uv);
    job->work(job->data);
}

static void on_done(uv_work_t *uv, int status)
{
    fa_job *job = FA_OBJECT(uv, fa_job, uv);
    (void)status; /* we never uv_cancel, so it is 0 */
    --*fa_worker_jobs(job->worker);
    if (!job->cancelled)
        job->done(job->data, job->context);
    if (job->drop != NULL)
        job->drop(job->data);
    fa_account *account = job->account;
    fa_kind_counters *jobs = fa_ledger_kind(fa_account_ledger(account), FA_KIND_JOB);
    jobs->count--;
    jobs->ended++;
    fa_account_free(account, job, job->size);
    fa_account_unref(account);
}

fa_result fa_job_start(fa_worker *worker, size_t size, void (*prepare)(void *data, void *context), void *context,
                       void (*work)(void *data), void (*done)(void *data, void *context), void (*drop)(void *data),
                       fa_job **out)
{
    void *memory;
    fa_account *account;
    fa_scope *owner = fa_worker_scope(worker);
    fa_ledger *ledger = fa_scope_ledger(owner);
    fa_result result = fa_account_open_with(ledger, fa_scope_account(owner), FA_KIND_JOB, 0, "job",
                                            sizeof(fa_job) + size, &memory, &account);
    if (result != FA_OK)
        return result;
    fa_ledger_kind(ledger, FA_KIND_JOB)->count++;
    fa_job *job = memset(memory, 0, sizeof(fa_job) + size);
    job->size = sizeof(fa_job) + size;
    job->account = account;
    job->worker = worker;
    job->context = context;
    job->work = work;
    job->done = done;
    job->drop = drop;
    if (out != NULL)
        *out = job;
    if (prepare != NULL)
        prepare(job->data, context);
    ++*fa_worker_jobs(worker);
    uv_queue_work(fa_worker_loop(worker), &job->uv, on_work, on_done); /* fails only for a NULL callback */
    return FA_OK;
}

void fa_job_cancel(fa_job *job)
{
    job->cancelled = true;
}
