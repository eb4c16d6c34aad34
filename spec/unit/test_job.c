/* core/worker: jobs, how a worker ends with work under way, and failing allocations. */
#include "testing.h"

#include <unistd.h>

#include "base/clock.h"
#include "worker/job.h"
#include "worker/timer.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_worker *worker;
static fa_scope *scope;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_worker_new(ledger, NULL, 3, NULL, &worker, NULL));
    assert_ok(fa_scope_new(ledger, fa_worker_scope(worker), FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_worker_free(worker);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

typedef struct sum_job {
    unsigned upto, sum, sleep_ms;
    pthread_t *worked_on;
} sum_job;

typedef struct asker {
    unsigned upto, sum, sleep_ms, drops;
    bool done;
} asker;

static pthread_t worked_on;
static _Atomic unsigned drops;

static void prepare_sum(void *data, void *context)
{
    ((sum_job *)data)->upto = ((asker *)context)->upto;
    ((sum_job *)data)->sleep_ms = ((asker *)context)->sleep_ms;
    ((sum_job *)data)->worked_on = &worked_on;
}

static void sum_up(void *data)
{
    sum_job *job = data;
    assert_int_equal(job->sum, 0);
    *job->worked_on = pthread_self();
    if (job->sleep_ms != 0)
        usleep(job->sleep_ms * 1000);
    for (unsigned i = 1; i <= job->upto; ++i)
        job->sum += i;
}

static void sum_done(void *data, void *context)
{
    ((asker *)context)->sum = ((sum_job *)data)->sum;
    ((asker *)context)->done = true;
}

static void sum_drop(void *data)
{
    (void)data;
    drops++;
}

static void a_job_works_elsewhere_and_answers_here(void **state)
{
    asker a = {.upto = 100};
    fa_job *job = NULL;
    (void)state;
    drops = 0;
    size_t before = fa_ledger_bytes(ledger);
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, sum_drop, &job));
    assert_non_null(job);
    assert_true(fa_ledger_bytes(ledger) > before);
    assert_true(fa_test_run_until(worker, &a.done));
    assert_int_equal(a.sum, 5050);
    assert_int_equal(drops, 1);
    assert_false(pthread_equal(worked_on, pthread_self()));
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

/* Jobs are a kind of the ledger, with a budget (budget_jobs). */
static void jobs_pay_as_jobs(void **state)
{
    asker a = {.upto = 10}, second = {.upto = 20};
    const fa_kind_counters *jobs = fa_ledger_kind(ledger, FA_KIND_JOB);
    (void)state;
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, NULL, NULL));
    assert_int_equal(jobs->count, 1);
    size_t one = jobs->bytes;
    assert_true(one > sizeof(sum_job));
    fa_ledger_limit(ledger, FA_KIND_JOB, 2 * one - 1);
    assert_int_equal(fa_job_start(worker, sizeof(sum_job), prepare_sum, &second, sum_up, sum_done, NULL, NULL),
                     FA_OVER_BUDGET);
    assert_int_equal(jobs->count, 1);
    assert_true(fa_test_run_until(worker, &a.done));
    assert_int_equal(jobs->count, 0);
    assert_int_equal(jobs->bytes, 0);
    assert_int_equal(jobs->ended, 1);
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &second, sum_up, sum_done, NULL, NULL));
    assert_true(fa_test_run_until(worker, &second.done));
    assert_int_equal(second.sum, 210);
}

static void a_cancelled_job_only_drops(void **state)
{
    asker a = {.upto = 10, .sleep_ms = 20};
    fa_job *job;
    (void)state;
    drops = 0;
    size_t before = fa_ledger_bytes(ledger);
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, sum_drop, &job));
    fa_job_cancel(job);
    FA_TEST_RUN_WHILE(worker, drops == 0);
    assert_false(a.done);
    assert_int_equal(drops, 1);
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

static bool fired;

static void on_fire(fa_timer *timer)
{
    (void)timer;
    fired = true;
}

/* Ending a worker with a timer that is far from due and a job under way neither hangs nor leaks. */
static void a_worker_ends_with_work_under_way(void **state)
{
    asker a = {.upto = 10, .sleep_ms = 30};
    fa_timer inner = {.handle = NULL}, outer = {.handle = NULL};
    (void)state;
    fa_timer_init(&inner, worker, scope, on_fire);
    fa_timer_init(&outer, worker, fa_worker_scope(worker), on_fire);
    assert_ok(fa_timer_start(&inner, 3600000));
    assert_ok(fa_timer_start(&outer, 3600000));
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, NULL, NULL));
    fired = false;
    uint64_t start = fa_now_ms();
    fa_worker_free(worker);
    assert_true(fa_now_ms() - start < 10000);
    assert_true(a.done);
    assert_int_equal(fired, 0);
    assert_int_equal(fa_ledger_bytes(ledger), 0);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
}

static bool worker_scenario(fa_ledger *of)
{
    bool reached = false;
    fa_worker *w = NULL;
    fa_scope *owner;
    fa_error error;
    asker a = {.upto = 10};
    fa_timer timer = {.handle = NULL};
    fired = false;
    NEED(fa_worker_new(of, NULL, 0, NULL, &w, &error) == FA_OK);
    NEED(fa_scope_new(of, fa_worker_scope(w), FA_KIND_REQUEST, 0, "request", FA_HERE, &owner) == FA_OK);
    fa_timer_init(&timer, w, owner, on_fire);
    NEED(fa_timer_start(&timer, 1) == FA_OK);
    NEED(fa_job_start(w, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, NULL, NULL) == FA_OK);
    assert_true(fa_test_run_until(w, &a.done));
    reached = fa_test_run_until(w, &fired);
out:
    fa_worker_free(w);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = worker_scenario(failing);
    }
    assert_true(reached);
}

#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORKER(a_job_works_elsewhere_and_answers_here),
        WITH_WORKER(jobs_pay_as_jobs),
        WITH_WORKER(a_cancelled_job_only_drops),
        WITH_WORKER(a_worker_ends_with_work_under_way),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
