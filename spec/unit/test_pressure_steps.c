/* core/server/pressure_steps.h: what a worker is told at each step. The reactions of the floors themselves are tested with those. */
#include "testing.h"

#include "server/pressure_steps.h"

enum { BUDGET = 1000 * 1000 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *root;
static fa_account *child; /* what charges; below the root */
static fa_worker *worker;
static fa_pressure *pressure;
static fa_pressure_steps *steps;
static size_t charged;
static unsigned told;
static bool paused;

static int begin(void **state)
{
    static const fa_pressure_options usual = {.enter = {0, 70, 75, 80, 85, 90, 95}, .relief = 5};
    (void)state;
    told = 0;
    paused = false;
    charged = 0;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, BUDGET, "server", FA_HERE, &root));
    child = fa_account_new(ledger, fa_scope_account(root), FA_KIND_DIALOGUE, 0, "a hungry dialogue");
    assert_non_null(child);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
    pressure = fa_pressure_new(root, &usual, NULL);
    assert_non_null(pressure);
    assert_ok(fa_pressure_attach(pressure, worker, NULL, NULL, NULL, &steps, NULL));
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_account_discharge(child, charged);
    fa_account_unref(child);
    fa_pressure_detach(steps);
    fa_worker_free(worker);
    fa_pressure_free(pressure);
    fa_scope_end(root, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

/* Brings the root's total to so many percent of its budget; the worker hears of it. */
static void fill_to(size_t percent)
{
    size_t total = fa_account_total(fa_scope_account(root)), wanted = BUDGET / 100 * percent;
    if (wanted > total) {
        assert_ok(fa_account_charge(child, wanted - total));
        charged += wanted - total;
    } else {
        fa_account_discharge(child, total - wanted);
        charged -= total - wanted;
    }
    fa_worker_settle(worker);
}

static void pause_reads(void *context, bool pause)
{
    assert_ptr_equal(context, &told);
    paused = pause;
    told++;
}

static void upstream_reads_pause_and_go_on(void **state)
{
    (void)state;
    fa_pressure_pauses(steps, pause_reads, &told);
    assert_int_equal(told, 0); /* from the loop, not from within */
    fa_worker_settle(worker);
    assert_int_equal(told, 1);
    assert_false(paused);
    fill_to(72); /* the first step is none of its business */
    assert_int_equal(told, 1);
    fill_to(76);
    assert_int_equal(told, 2);
    assert_true(paused);
    fill_to(96);
    fill_to(72); /* relief is not there yet */
    assert_int_equal(told, 2);
    fill_to(69);
    assert_int_equal(told, 3);
    assert_false(paused);
}

static void who_comes_under_pressure_is_told_at_once(void **state)
{
    (void)state;
    fill_to(80);
    fa_pressure_pauses(steps, pause_reads, &told);
    fa_worker_settle(worker);
    assert_int_equal(told, 1);
    assert_true(paused);
    fa_pressure_pauses(steps, NULL, NULL);
    fill_to(10);
    assert_int_equal(told, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(upstream_reads_pause_and_go_on),
        TEST(who_comes_under_pressure_is_told_at_once),
    };
    return cmocka_run_group_tests_name("steps of pressure", tests, NULL, NULL);
}
