/* core/worker: timers and the mailbox; jobs and the worker's end are in test_job.c. The loop turns on the test's own
 * thread, except where the test is about threads. */
#include "testing.h"

#include <unistd.h>

#include "base/clock.h"
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
    FA_TEST_RUN_WHILE(worker, fa_ledger_kind(ledger, FA_KIND_REQUEST)->count != 0);
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
    FA_TEST_RUN_WHILE(worker, a.delivered < 3);
    fa_test_run_for(worker, 10);
    assert_int_equal(a.delivered, 3);
    assert_int_equal(b.delivered, 0);
    fa_worker_post(worker, &b.message);
    FA_TEST_RUN_WHILE(worker, b.delivered == 0);
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

static void release_worker(fa_message *message)
{
    FA_OBJECT(message, letter, message)->delivered++;
    fa_worker_release(worker);
}

/* Work that comes back by a message keeps the mailbox open. */
static void a_held_worker_finishes_later(void **state)
{
    letter last = {.finish = true}, answer = {.repost = 0};
    (void)state;
    fa_message_init(&last.message, on_letter);
    fa_message_init(&answer.message, release_worker);
    fa_worker_hold(worker);
    fa_worker_post(worker, &last.message);
    FA_TEST_RUN_WHILE(worker, last.delivered == 0);
    fa_worker_post(worker, &answer.message);
    fa_worker_run(worker);
    assert_int_equal(last.delivered, 1);
    assert_int_equal(answer.delivered, 1);
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

static void a_worker_knows_itself(void **state)
{
    (void)state;
    assert_int_equal(fa_worker_index(worker), 3);
    assert_null(fa_worker_log(worker));
    assert_non_null(fa_worker_handles(worker));
    assert_int_equal(fa_scope_kind(fa_worker_scope(worker)), FA_KIND_WORKER);
    uint64_t now = fa_worker_now(worker);
    FA_TEST_RUN_WHILE(worker, fa_worker_now(worker) == now);
    assert_true(fa_worker_now(worker) > now);
    fa_worker_free(NULL);
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
        WITH_WORKER(a_held_worker_finishes_later),
        WITH_WORKER(mail_comes_from_many_threads),
        WITH_WORKER(a_worker_knows_itself),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
