/* base/clock and what lives by it: a clock that stands still until a test moves it (core/base/clock.h). */
#include "testing.h"

#include <unistd.h>

#include "base/clock.h"
#include "worker/job.h"
#include "worker/timer.h"

enum { HOUR = 3600 * 1000 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_clock hand;
static fa_worker *worker;

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    fa_clock_init(&hand);
    fa_ledger_set_clock(ledger, &hand);
    return fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL) == FA_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fa_worker_free(worker);
    assert_null(fa_list_first(&hand.alarms));
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

/* ---- what has fired, and when ---- */

typedef struct bell {
    fa_timer timer;
    char name;
    uint64_t again_ms; /* 0: once */
    struct bell *starts, *pauses, *stops;
} bell;

static bell a, b, c, d; /* they hang from the worker's scope, longer than a test lasts */

static struct {
    char names[64];
    uint64_t at_ms[64];
    size_t count;
} heard;

static uint64_t began_ms;

static void on_fire(fa_timer *timer)
{
    bell *rung = FA_OBJECT(timer, bell, timer);
    assert_true(heard.count < sizeof(heard.names) - 1);
    heard.at_ms[heard.count] = fa_worker_now(worker) - began_ms;
    heard.names[heard.count++] = rung->name;
    heard.names[heard.count] = '\0';
    if (rung->again_ms != 0)
        assert_ok(fa_timer_start(timer, rung->again_ms));
    if (rung->starts != NULL)
        assert_ok(fa_timer_start(&rung->starts->timer, 0));
    if (rung->pauses != NULL)
        fa_timer_pause(&rung->pauses->timer);
    if (rung->stops != NULL)
        fa_timer_stop(&rung->stops->timer);
}

static void hang(bell *it, char name)
{
    *it = (bell){.name = name};
    memset(&heard, 0, sizeof(heard));
    began_ms = fa_worker_now(worker);
    fa_timer_init(&it->timer, worker, fa_worker_scope(worker), on_fire);
}

static void assert_fired(const char *names)
{
    assert_string_equal(heard.names, names);
}

/* ---- time ---- */

static void time_stands_still(void **state)
{
    fa_scope *scope;
    (void)state;
    uint64_t now = fa_worker_now(worker), wall = fa_worker_wall(worker), real = fa_wall_ms();
    assert_true(real - wall < 60000);
    usleep(5000);
    fa_worker_settle(worker);
    assert_int_equal(fa_worker_now(worker), now);
    fa_worker_advance(worker, 8 * HOUR);
    assert_int_equal(fa_worker_now(worker) - now, 8 * HOUR);
    assert_int_equal(fa_worker_now_exact(worker) - now, 8 * HOUR);
    assert_int_equal(fa_worker_wall(worker) - wall, 8 * HOUR);
    assert_ok(fa_scope_new(ledger, fa_worker_scope(worker), FA_KIND_JOB, 0, "born late", FA_HERE, &scope));
    assert_int_equal(fa_scope_born_ms(scope) - now, 8 * HOUR);
}

/* ---- order ---- */

static void timers_fire_in_the_order_of_their_times(void **state)
{
    (void)state;
    hang(&a, 'a'), hang(&b, 'b'), hang(&c, 'c'), hang(&d, 'd');
    assert_ok(fa_timer_start(&a.timer, 3 * HOUR));
    assert_ok(fa_timer_start(&b.timer, 1 * HOUR));
    assert_ok(fa_timer_start(&c.timer, 1 * HOUR));
    assert_ok(fa_timer_start(&d.timer, 3 * HOUR + 1));
    assert_ok(fa_timer_start(&b.timer, 1 * HOUR)); /* anew: after c */
    fa_worker_advance(worker, 1 * HOUR - 1);
    assert_fired("");
    fa_worker_advance(worker, 1);
    assert_fired("cb");
    fa_worker_advance(worker, 2 * HOUR);
    assert_fired("cba");
    fa_worker_advance(worker, HOUR);
    assert_fired("cbad");
    assert_int_equal(heard.at_ms[2], 3 * HOUR);
    assert_int_equal(heard.at_ms[3], 3 * HOUR + 1);
}

/* One that is set anew while it fires goes on in step, in one advance as in many. */
static void a_period_is_kept(void **state)
{
    (void)state;
    hang(&a, 'a'), hang(&b, 'b');
    a.again_ms = 20;
    b.again_ms = 30;
    assert_ok(fa_timer_start(&a.timer, 20));
    assert_ok(fa_timer_start(&b.timer, 30));
    fa_worker_advance(worker, 125);
    assert_fired("ababaababa"); /* 20 30 40 60 60 80 90 100 120 120: at 60 and 120 b was set first */
}

static void a_timer_may_start_pause_and_stop_others(void **state)
{
    (void)state;
    hang(&a, 'a'), hang(&b, 'b'), hang(&c, 'c'), hang(&d, 'd');
    a.starts = &b;
    a.pauses = &c;
    a.stops = &d;
    assert_ok(fa_timer_start(&a.timer, 10));
    assert_ok(fa_timer_start(&c.timer, 10));
    assert_ok(fa_timer_start(&d.timer, 11));
    fa_worker_advance(worker, 100);
    assert_fired("ab");
    assert_int_equal(heard.at_ms[1], 10);
    assert_ok(fa_timer_start(&c.timer, 1));
    assert_int_equal(fa_timer_start(&d.timer, 1), FA_WRONG_STATE);
    fa_worker_advance(worker, 1);
    assert_fired("abc");
}

static void a_scope_takes_its_timers_along(void **state)
{
    fa_scope *scope;
    (void)state;
    hang(&a, 'a');
    fa_timer_stop(&a.timer);
    assert_ok(fa_scope_new(ledger, fa_worker_scope(worker), FA_KIND_JOB, 0, "short", FA_HERE, &scope));
    fa_timer_init(&a.timer, worker, scope, on_fire);
    assert_ok(fa_timer_start(&a.timer, 10));
    fa_scope_end(scope, "test", NULL);
    fa_worker_advance(worker, 100);
    assert_fired("");
}

/* ---- no time at all ---- */

/* Not from inside fa_timer_start, but as soon as the loop turns, without the clock having moved. */
static void a_timer_of_no_time_needs_none(void **state)
{
    (void)state;
    hang(&a, 'a'), hang(&b, 'b');
    a.starts = &b;
    assert_ok(fa_timer_start(&a.timer, 0));
    assert_fired("");
    fa_worker_settle(worker);
    assert_fired("ab");
    assert_int_equal(fa_worker_now(worker), began_ms);
}

/* ---- mail and other threads ---- */

typedef struct letter {
    fa_message message;
    uint64_t read_ms;
    bell *follows;
} letter;

static void on_read(fa_message *message)
{
    letter *l = FA_OBJECT(message, letter, message);
    l->read_ms = fa_worker_now(worker) - began_ms;
    assert_ok(fa_timer_start(&l->follows->timer, 5));
}

static letter posted;

static void on_fire_post(fa_timer *timer)
{
    on_fire(timer);
    fa_worker_post(worker, &posted.message);
}

/* What a timer sets off comes before the next timer: its mail, and the timers that its mail sets. */
static void mail_is_read_before_time_goes_on(void **state)
{
    (void)state;
    hang(&a, 'a'), hang(&b, 'b'), hang(&c, 'c');
    fa_timer_stop(&a.timer);
    fa_timer_init(&a.timer, worker, fa_worker_scope(worker), on_fire_post);
    posted.follows = &b;
    fa_message_init(&posted.message, on_read);
    assert_ok(fa_timer_start(&a.timer, 10));
    assert_ok(fa_timer_start(&c.timer, 16));
    fa_worker_advance(worker, 1000);
    assert_fired("abc");
    assert_int_equal(posted.read_ms, 10);
    assert_int_equal(heard.at_ms[1], 15);
}

static void work(void *data)
{
    (void)data;
    usleep(20000);
}

static void done(void *data, void *context)
{
    (void)data;
    assert_ok(fa_timer_start(&((bell *)context)->timer, 0));
}

static void settling_waits_for_jobs(void **state)
{
    (void)state;
    hang(&a, 'a');
    assert_ok(fa_job_start(worker, 1, NULL, &a, work, done, NULL, NULL));
    fa_worker_settle(worker);
    assert_fired("a");
    assert_int_equal(fa_worker_now(worker), began_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(time_stands_still, begin, end),
        cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_times, begin, end),
        cmocka_unit_test_setup_teardown(a_period_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(a_timer_may_start_pause_and_stop_others, begin, end),
        cmocka_unit_test_setup_teardown(a_scope_takes_its_timers_along, begin, end),
        cmocka_unit_test_setup_teardown(a_timer_of_no_time_needs_none, begin, end),
        cmocka_unit_test_setup_teardown(mail_is_read_before_time_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(settling_waits_for_jobs, begin, end),
    };
    return cmocka_run_group_tests_name("a clock moved by hand", tests, NULL, NULL);
}
