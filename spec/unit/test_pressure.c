/* core/memory: budgets of kinds, and the steps of pressure: when they begin, when they end, who hears of it. */
#include "testing.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#include "memory/pressure.h"

enum { BUDGET = 1000 * 1000, THREADS = 4 };

static const fa_pressure_options usual = {.enter = {0, 70, 75, 80, 85, 90, 95}, .relief = 5};

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *root;
static fa_account *child; /* what charges; below the root */
static fa_pressure *pressure;
static size_t charged;

static char lines[20][1000];
static size_t line_count;

static void keep_line(void *context, fa_log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (line_count < 20)
        snprintf(lines[line_count++], sizeof(lines[0]), "%s", line);
}

static fa_log test_log = {.level = FA_LOG_DEBUG, .fd = -1, .sink = keep_line};

static int begin(void **state)
{
    (void)state;
    line_count = charged = 0;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, BUDGET, "server", FA_HERE, &root));
    child = fa_account_new(ledger, fa_scope_account(root), FA_KIND_DIALOGUE, 0, "a hungry dialogue");
    pressure = fa_pressure_new(root, &usual, &test_log);
    assert_non_null(child);
    assert_non_null(pressure);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_account_discharge(child, charged);
    fa_account_unref(child);
    fa_pressure_free(pressure);
    fa_scope_end(root, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

/* Brings the root's total to so many thousandths of its budget. */
static void fill_to(double thousandths)
{
    size_t wanted = (size_t)(BUDGET * thousandths / 1000), total = fa_account_total(fa_scope_account(root));
    if (wanted > total)
        assert_ok(fa_account_charge(child, wanted - total));
    else
        fa_account_discharge(child, total - wanted);
    charged += wanted - total;
}

/* ---- kinds ---- */

static void a_kind_has_a_budget(void **state)
{
    fa_scope *scope;
    (void)state;
    fa_account *other = fa_account_new(ledger, fa_scope_account(root), FA_KIND_TURN, 0, "a turn");
    size_t before = fa_account_total(fa_scope_account(root));
    fa_ledger_limit(ledger, FA_KIND_DIALOGUE, fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->bytes + 1000);
    assert_int_equal(fa_account_room(child), 1000);
    assert_int_equal(fa_account_charge(child, 1001), FA_OVER_BUDGET);
    assert_int_equal(fa_account_total(fa_scope_account(root)), before); /* nothing is left of it */
    assert_int_equal(fa_account_bytes(child), fa_account_total(child));
    assert_ok(fa_account_charge(child, 900));
    assert_int_equal(fa_scope_new(ledger, root, FA_KIND_DIALOGUE, 0, "another", FA_HERE, &scope), FA_OVER_BUDGET);
    assert_ok(fa_account_charge(other, 50000)); /* other kinds do not feel it */
    assert_int_equal(fa_account_move(other, child, 101), FA_OVER_BUDGET);
    assert_ok(fa_account_move(other, child, 100));
    assert_int_equal(fa_account_room(child), 0);
    fa_account *sibling;
    fa_ledger_limit(ledger, FA_KIND_DIALOGUE, 0);
    assert_ok(fa_account_open(ledger, fa_scope_account(root), FA_KIND_DIALOGUE, 0, "sibling", &sibling));
    fa_ledger_limit(ledger, FA_KIND_DIALOGUE, 1);
    assert_ok(fa_account_move(child, sibling, 1000)); /* it stays under its kind */
    fa_account_discharge(sibling, 1000);
    fa_account_discharge(other, 49900);
    fa_account_unref(sibling);
    fa_account_unref(other);
    assert_int_equal(fa_ledger_room(ledger, FA_KIND_TURN), SIZE_MAX);
}

static void *charge_up_and_down(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20000; ++i) {
        if (fa_account_charge(child, 300) != FA_OK)
            continue;
        size_t now = fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->bytes;
        assert(now <= fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->budget);
        fa_account_discharge(child, 300);
    }
    return NULL;
}

static void no_kind_is_ever_above_its_budget(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    size_t before = fa_account_bytes(child);
    fa_ledger_limit(ledger, FA_KIND_DIALOGUE, before + 1000); /* three of four */
    for (int i = 0; i < THREADS; ++i)
        pthread_create(&threads[i], NULL, charge_up_and_down, NULL);
    for (int i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    assert_true(fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->peak_bytes <= before + 1000);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->bytes, before);
    assert_int_equal(fa_account_total(child), before);
}

/* ---- steps ---- */

static void each_step_begins_and_ends_at_its_share(void **state)
{
    static const struct {
        double thousandths;
        unsigned level;
    } steps[] = {{699, 0}, {700, 1}, {651, 1}, {649, 0}, {749, 1}, {750, 2}, {800, 3}, {855, 4}, {901, 5}, {899, 5},
                 {851, 5}, {849, 4}, {955, 6}, {990, 6}, {901, 6}, {899, 5}, {749, 2}, {10, 0},  {960, 6}, {640, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); ++i) {
        fill_to(steps[i].thousandths);
        if (fa_pressure_now(pressure) != steps[i].level)
            fail_msg("step %zu, at %.0f: level %d instead of %u", i, steps[i].thousandths, fa_pressure_now(pressure),
                     steps[i].level);
    }
}

static void each_step_is_logged_once_with_who_holds_most(void **state)
{
    (void)state;
    fill_to(705);
    fill_to(720);
    fill_to(660);
    fill_to(710);
    assert_int_equal(line_count, 1);
    assert_non_null(strstr(lines[0], "memory pressure 1, refuse new dialogues: "));
    assert_non_null(strstr(lines[0], "most by owners of kind dialogue ("));
    assert_non_null(strstr(lines[0], "'a hungry dialogue' asked last"));
    fill_to(760);
    assert_int_equal(line_count, 2);
    fill_to(100);
    assert_int_equal(line_count, 4);
    assert_non_null(strstr(lines[2], "memory pressure 2 is over, no longer pause upstream reads: "));
    assert_non_null(strstr(lines[3], "memory pressure 1 is over, no longer refuse new dialogues: "));
    fill_to(850); /* several at once: still a line each */
    assert_int_equal(line_count, 8);
    assert_non_null(strstr(lines[7], "memory pressure 4, pause speech: "));
}

static void what_is_there_at_first_counts(void **state)
{
    (void)state;
    fa_scope *full;
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 100000, "another server", FA_HERE, &full));
    assert_non_null(fa_scope_allocate(full, 85000));
    fa_pressure *late = fa_pressure_new(full, &usual, NULL);
    assert_int_equal(fa_pressure_now(late), FA_PRESSURE_PAUSE_SPEECH);
    fa_pressure_free(late);
    fa_scope_end(full, "test", NULL);
}

static void without_a_budget_there_is_no_pressure(void **state)
{
    (void)state;
    fa_scope *free_one;
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "another server", FA_HERE, &free_one));
    fa_pressure *none = fa_pressure_new(free_one, &usual, &test_log);
    assert_non_null(fa_scope_allocate(free_one, 10 * BUDGET));
    assert_int_equal(fa_pressure_now(none), FA_PRESSURE_NONE);
    assert_int_equal(line_count, 0);
    fa_pressure_free(none);
    fa_scope_end(free_one, "test", NULL);
}

/* ---- subscribers ---- */

typedef struct counter {
    fa_pressure_subscriber subscriber;
    _Atomic unsigned calls;
    bool allocates;
} counter;

static void count(fa_pressure_subscriber *subscriber)
{
    counter *c = FA_OBJECT(subscriber, counter, subscriber);
    c->calls++;
    if (c->allocates) { /* it should not, but when it does nothing is lost and nothing hangs */
        c->allocates = false;
        fill_to(910);
    }
}

static void subscribers_hear_of_each_change(void **state)
{
    counter a = {.calls = 0}, b = {.calls = 0};
    (void)state;
    fa_pressure_subscribe(pressure, &a.subscriber, count);
    fa_pressure_subscribe(pressure, &b.subscriber, count);
    fill_to(699);
    assert_int_equal(a.calls, 0);
    fill_to(700);
    fill_to(730);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    fa_pressure_unsubscribe(pressure, &b.subscriber);
    fill_to(100);
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 1);
    fa_pressure_unsubscribe(pressure, &a.subscriber);
}

static void a_crossing_inside_of_a_crossing(void **state)
{
    counter a = {.allocates = true};
    (void)state;
    fa_pressure_subscribe(pressure, &a.subscriber, count);
    fill_to(720);
    assert_int_equal(fa_pressure_now(pressure), FA_PRESSURE_DROP_LISTENERS);
    assert_int_equal(a.calls, 2);
    fa_pressure_unsubscribe(pressure, &a.subscriber);
}

/* Many threads cross all marks in both directions: in the end the level is that of the total, and the last call came after
 * the last change. */
static unsigned last_seen;

static void see(fa_pressure_subscriber *subscriber)
{
    (void)subscriber;
    last_seen = fa_pressure_now(pressure);
}

static void *surge(void *argument)
{
    const size_t share = BUDGET / THREADS - 3000;
    (void)argument;
    for (int i = 0; i < 3000; ++i) {
        for (size_t have = 0; have + 20000 <= share; have += 20000)
            assert(fa_account_charge(child, 20000) == FA_OK);
        for (size_t have = share / 20000 * 20000; have > 0; have -= 20000)
            fa_account_discharge(child, 20000);
    }
    return NULL;
}

static void many_threads_and_the_level_is_right_in_the_end(void **state)
{
    pthread_t threads[THREADS];
    counter a = {.calls = 0};
    (void)state;
    fa_pressure_subscribe(pressure, &a.subscriber, see);
    test_log.level = FA_LOG_ERROR;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < THREADS; ++i)
            pthread_create(&threads[i], NULL, surge, NULL);
        for (int i = 0; i < THREADS; ++i)
            pthread_join(threads[i], NULL);
        assert_int_equal(fa_pressure_now(pressure), FA_PRESSURE_NONE);
        assert_int_equal(last_seen, FA_PRESSURE_NONE);
        fill_to(855); /* and the marks stand where they should */
        assert_int_equal(fa_pressure_now(pressure), FA_PRESSURE_PAUSE_SPEECH);
        fill_to(5);
        assert_int_equal(fa_pressure_now(pressure), FA_PRESSURE_NONE);
    }
    test_log.level = FA_LOG_DEBUG;
    fa_pressure_unsubscribe(pressure, &a.subscriber);
}

static void no_memory_for_it(void **state)
{
    (void)state;
    memory.fail_at = memory.requests + 1;
    assert_null(fa_pressure_new(root, &usual, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kind_has_a_budget),
        TEST(no_kind_is_ever_above_its_budget),
        TEST(each_step_begins_and_ends_at_its_share),
        TEST(each_step_is_logged_once_with_who_holds_most),
        TEST(what_is_there_at_first_counts),
        TEST(without_a_budget_there_is_no_pressure),
        TEST(subscribers_hear_of_each_change),
        TEST(a_crossing_inside_of_a_crossing),
        TEST(many_threads_and_the_level_is_right_in_the_end),
        TEST(no_memory_for_it),
    };
    return cmocka_run_group_tests_name("budgets and pressure", tests, NULL, NULL);
}
