/* core/worker: timers, the mailbox, jobs, and how a worker ends. The loop turns on the test's own thread, except where the
 * test is about threads. */
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

/* ---- timers ---- */

typedef struct watch {
    fa_timer timer;
    unsigned fired;
    bool done, again, stop, end_scope;
} watch;

static void on_fire(fa_timer *timer)
{
    watch *w = FA_OBJECT(timer, watch, timer);
    w->done = ++w->fired >= (w->again ? 3 : 1);
    if (w->again && !w->done)
        assert_ok(fa_timer_start(timer, 1));
    if (w->stop)
        fa_timer_stop(timer);
    if (w->end_scope)
        fa_scope_end(scope, "a timer said so", NULL); /* w is gone if it lay in the scope */
}

static void a_timer_fires_once(void **state)
{
    watch w = {.fired = 0};
    (void)state;
    fa_timer_stop(&w.timer); /* zeroed: harmless */
    assert_int_equal(fa_timer_start(&w.timer, 1), FA_WRONG_STATE);
    fa_timer_init(&w.timer, worker, scope, on_fire);
    fa_timer_pause(&w.timer);
    uv_update_time(fa_worker_loop(worker));
    uint64_t start = fa_now_ms();
    assert_ok(fa_timer_start(&w.timer, 30));
    assert_true(fa_test_run_until(worker, &w.done));
    assert_in_range(fa_now_ms() - start, 28, 5000);
    fa_test_run_for(worker, 50);
    assert_int_equal(w.fired, 1);
    fa_timer_stop(&w.timer);
    fa_timer_stop(&w.timer);
    assert_int_equal(fa_timer_start(&w.timer, 1), FA_WRONG_STATE);
}

static void a_timer_is_armed_anew(void **state)
{
    watch w = {.again = true};
    (void)state;
    fa_timer_init(&w.timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&w.timer, 60000));
    assert_ok(fa_timer_start(&w.timer, 1)); /* instead, not as well */
    assert_true(fa_test_run_until(worker, &w.done));
    assert_int_equal(w.fired, 3);
    assert_ok(fa_timer_start(&w.timer, 1));
    fa_timer_pause(&w.timer);
    fa_test_run_for(worker, 20);
    assert_int_equal(w.fired, 3);
    fa_timer_stop(&w.timer);
}

static void a_timer_is_stopped_while_it_fires(void **state)
{
    watch w = {.stop = true};
    (void)state;
    fa_timer_init(&w.timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&w.timer, 0));
    assert_true(fa_test_run_until(worker, &w.done));
    fa_scope_end(scope, "test", NULL);
}

static void a_timer_stops_with_its_scope(void **state)
{
    (void)state;
    watch *w = fa_scope_allocate(scope, sizeof(*w)), outside = {.fired = 0};
    size_t before = fa_ledger_kind(ledger, FA_KIND_WORKER)->bytes;
    fa_timer_init(&w->timer, worker, scope, on_fire);
    fa_timer_init(&outside.timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&w->timer, 1));
    assert_ok(fa_timer_start(&outside.timer, 1));
    fa_scope_end(scope, "test", NULL);
    fa_test_run_for(worker, 20);
    assert_int_equal(outside.fired, 0);
    assert_int_equal(fa_timer_start(&outside.timer, 1), FA_WRONG_STATE);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_WORKER)->bytes, before);
}

static void a_timer_ends_its_own_scope(void **state)
{
    (void)state;
    watch *w = fa_scope_allocate(scope, sizeof(*w));
    w->end_scope = true;
    fa_timer_init(&w->timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&w->timer, 1));
    fa_test_run_for(worker, 30);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->count, 0);
}

/* ---- mail ---- */

typedef struct letter {
    fa_message message;
    unsigned delivered;
    unsigned repost;
    bool finish;
    struct letter *withdraw;
} letter;

static void on_letter(fa_message *message)
{
    letter *l = FA_OBJECT(message, letter, message);
    l->delivered++;
    if (l->withdraw != NULL)
        fa_worker_withdraw(worker, &l->withdraw->message);
    if (l->repost != 0) {
        l->repost--;
        fa_worker_post(worker, message);
    }
    if (l->finish)
        fa_worker_finish(worker);
}

static void a_posted_message_is_merged_or_withdrawn(void **state)
{
    letter a = {.repost = 2}, b = {.repost = 0};
    (void)state;
    fa_message_init(&a.message, on_letter);
    fa_message_init(&b.message, on_letter);
    fa_worker_withdraw(worker, &a.message); /* harmless */
    fa_worker_post(worker, &a.message);
    fa_worker_post(worker, &a.message);
    fa_worker_post(worker, &b.message);
    a.withdraw = &b;
    fa_test_run_for(worker, 20);
    assert_int_equal(a.delivered, 3);
    assert_int_equal(b.delivered, 0);
    fa_worker_post(worker, &b.message);
    fa_test_run_for(worker, 20);
    assert_int_equal(b.delivered, 1);
}

/* A message that posts itself for ever does not keep the loop from its timers. */
static void mail_does_not_starve_the_loop(void **state)
{
    letter busy = {.repost = UINT32_MAX};
    watch w = {.fired = 0};
    (void)state;
    fa_message_init(&busy.message, on_letter);
    fa_worker_post(worker, &busy.message);
    fa_timer_init(&w.timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&w.timer, 5));
    assert_true(fa_test_run_until(worker, &w.done));
    assert_true(busy.delivered > 1);
    fa_worker_withdraw(worker, &busy.message);
    fa_timer_stop(&w.timer);
}

static void a_message_may_finish_the_worker(void **state)
{
    letter last = {.finish = true}, after = {.repost = 0};
    (void)state;
    fa_message_init(&last.message, on_letter);
    fa_message_init(&after.message, on_letter);
    fa_worker_post(worker, &last.message);
    fa_worker_post(worker, &after.message);
    fa_worker_run(worker);
    assert_int_equal(last.delivered, 1);
    assert_int_equal(after.delivered, 0);
    fa_worker_post(worker, &after.message); /* ignored from here on */
    assert_false(after.message.posted);
}

enum { SENDERS = 4, LETTERS = 200 };

typedef struct sender {
    pthread_t thread;
    letter letters[LETTERS];
    _Atomic unsigned *left;
} sender;

static _Atomic unsigned letters_left;

static void count_down(fa_message *message)
{
    FA_OBJECT(message, letter, message)->delivered++;
    if (--letters_left == 0)
        fa_worker_finish(worker);
}

static void *send_letters(void *context)
{
    sender *s = context;
    for (int i = 0; i < LETTERS; ++i) {
        fa_message_init(&s->letters[i].message, count_down);
        fa_worker_post(worker, &s->letters[i].message);
    }
    return NULL;
}

static void *run_worker(void *context)
{
    fa_worker_run(context);
    return NULL;
}

static void mail_comes_from_many_threads(void **state)
{
    static sender senders[SENDERS];
    pthread_t loop;
    (void)state;
    letters_left = SENDERS * LETTERS;
    assert_int_equal(pthread_create(&loop, NULL, run_worker, worker), 0);
    for (int i = 0; i < SENDERS; ++i)
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_letters, &senders[i]), 0);
    for (int i = 0; i < SENDERS; ++i)
        pthread_join(senders[i].thread, NULL);
    pthread_join(loop, NULL);
    for (int i = 0; i < SENDERS; ++i) {
        for (int k = 0; k < LETTERS; ++k)
            assert_int_equal(senders[i].letters[k].delivered, 1);
    }
}

/* ---- jobs ---- */

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

static void a_cancelled_job_only_drops(void **state)
{
    asker a = {.upto = 10, .sleep_ms = 20};
    fa_job *job;
    (void)state;
    drops = 0;
    size_t before = fa_ledger_bytes(ledger);
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, sum_drop, &job));
    fa_job_cancel(job);
    for (int i = 0; i < 1000 && drops == 0; ++i)
        fa_test_run_for(worker, 5);
    assert_false(a.done);
    assert_int_equal(drops, 1);
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

/* Ending a worker with a timer that is far from due and a job under way neither hangs nor leaks. */
static void a_worker_ends_with_work_under_way(void **state)
{
    asker a = {.upto = 10, .sleep_ms = 30};
    watch inner = {.fired = 0}, outer = {.fired = 0};
    (void)state;
    fa_timer_init(&inner.timer, worker, scope, on_fire);
    fa_timer_init(&outer.timer, worker, fa_worker_scope(worker), on_fire);
    assert_ok(fa_timer_start(&inner.timer, 3600000));
    assert_ok(fa_timer_start(&outer.timer, 3600000));
    assert_ok(fa_job_start(worker, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, NULL, NULL));
    uint64_t start = fa_now_ms();
    fa_worker_free(worker);
    assert_true(fa_now_ms() - start < 10000);
    assert_true(a.done);
    assert_int_equal(inner.fired + outer.fired, 0);
    assert_int_equal(fa_ledger_bytes(ledger), 0);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
}

static void a_worker_knows_itself(void **state)
{
    (void)state;
    assert_int_equal(fa_worker_index(worker), 3);
    assert_null(fa_worker_log(worker));
    assert_non_null(fa_worker_handles(worker));
    assert_int_equal(fa_scope_kind(fa_worker_scope(worker)), FA_KIND_WORKER);
    uint64_t now = fa_worker_now(worker);
    fa_test_run_for(worker, 5);
    assert_true(fa_worker_now(worker) > now);
    fa_worker_free(NULL);
}

static bool worker_scenario(fa_ledger *of)
{
    bool reached = false;
    fa_worker *w = NULL;
    fa_scope *owner;
    fa_error error;
    asker a = {.upto = 10};
    watch timed = {.fired = 0};
    NEED(fa_worker_new(of, NULL, 0, NULL, &w, &error) == FA_OK);
    NEED(fa_scope_new(of, fa_worker_scope(w), FA_KIND_REQUEST, 0, "request", FA_HERE, &owner) == FA_OK);
    fa_timer_init(&timed.timer, w, owner, on_fire);
    NEED(fa_timer_start(&timed.timer, 1) == FA_OK);
    NEED(fa_job_start(w, sizeof(sum_job), prepare_sum, &a, sum_up, sum_done, NULL, NULL) == FA_OK);
    assert_true(fa_test_run_until(w, &a.done));
    reached = fa_test_run_until(w, &timed.done);
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
        WITH_WORKER(a_timer_fires_once),
        WITH_WORKER(a_timer_is_armed_anew),
        WITH_WORKER(a_timer_is_stopped_while_it_fires),
        WITH_WORKER(a_timer_stops_with_its_scope),
        WITH_WORKER(a_timer_ends_its_own_scope),
        WITH_WORKER(a_posted_message_is_merged_or_withdrawn),
        WITH_WORKER(mail_does_not_starve_the_loop),
        WITH_WORKER(a_message_may_finish_the_worker),
        WITH_WORKER(mail_comes_from_many_threads),
        WITH_WORKER(a_job_works_elsewhere_and_answers_here),
        WITH_WORKER(a_cancelled_job_only_drops),
        WITH_WORKER(a_worker_ends_with_work_under_way),
        WITH_WORKER(a_worker_knows_itself),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
