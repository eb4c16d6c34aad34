/* core/memory: buffers: building, sealing, leasing, moving, and what the accounts say meanwhile. */
#include "testing.h"

#include <pthread.h>

#include "memory/buffer.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *root, *scope;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &root));
    assert_ok(fa_scope_new(ledger, root, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_scope_end(root, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static size_t charged(const fa_scope *to)
{
    return fa_account_bytes(fa_scope_account(to));
}

static fa_buffer *sealed_buffer(fa_scope *owner, size_t length)
{
    fa_buffer *buffer;
    void *space;
    assert_ok(fa_buffer_new(owner, length, "sealed", FA_HERE, &buffer));
    assert_ok(fa_buffer_reserve(buffer, length, &space));
    memset(space, 'b', length);
    fa_buffer_commit(buffer, length);
    fa_buffer_seal(buffer);
    return buffer;
}

static void a_buffer_is_built_and_sealed(void **state)
{
    fa_buffer *buffer;
    void *space;
    (void)state;
    size_t before = charged(scope);
    assert_ok(fa_buffer_new(scope, 0, "answer", FA_HERE, &buffer));
    assert_int_equal(fa_buffer_length(buffer), 0);
    assert_int_equal(fa_buffer_lease(buffer), FA_WRONG_STATE);
    assert_ok(fa_buffer_append(buffer, NULL, 0));
    assert_ok(fa_buffer_patch(buffer, 0, NULL, 0));
    assert_ok(fa_buffer_append(buffer, "RIFF....", 8));
    assert_ok(fa_buffer_reserve(buffer, 1000, &space));
    memcpy(space, "WAVE", 4);
    fa_buffer_commit(buffer, 4);
    assert_ok(fa_buffer_patch(buffer, 4, "1234", 4));
    assert_int_equal(fa_buffer_patch(buffer, 9, "1234", 4), FA_INVALID);
    assert_int_equal(fa_buffer_patch(buffer, SIZE_MAX, "1", 1), FA_INVALID);
    assert_in_range(charged(scope) - before, 1012, 1400);
    fa_buffer_seal(buffer);
    fa_buffer_seal(buffer);
    assert_true(fa_buffer_sealed(buffer));
    assert_in_range(charged(scope) - before, 12, 300); /* unused room went back */
    assert_int_equal(fa_buffer_length(buffer), 12);
    assert_memory_equal(fa_buffer_data(buffer), "RIFF1234WAVE", 12);
    assert_int_equal(fa_buffer_append(buffer, "x", 1), FA_WRONG_STATE);
    assert_int_equal(fa_buffer_append(buffer, "", 0), FA_WRONG_STATE);
    assert_int_equal(fa_buffer_reserve(buffer, 1, &space), FA_WRONG_STATE);
    assert_int_equal(fa_buffer_patch(buffer, 0, "x", 1), FA_WRONG_STATE);
    assert_string_equal(fa_buffer_label(buffer), "answer");
    assert_string_equal(fa_buffer_made_at(buffer).name, __FILE__);
    assert_ptr_equal(fa_buffer_owner(buffer), scope);
    fa_buffer_release(buffer);
    assert_int_equal(charged(scope), before);
}

static void an_empty_one_keeps_no_room(void **state)
{
    fa_buffer *small, *large;
    (void)state;
    size_t before = charged(scope);
    assert_ok(fa_buffer_new(scope, 0, "none", FA_HERE, &small));
    size_t least = charged(scope) - before;
    assert_ok(fa_buffer_new(scope, 65536, "unused", FA_HERE, &large));
    fa_buffer_seal(small);
    fa_buffer_seal(large);
    assert_int_equal(charged(scope) - before, 2 * least);
    assert_ok(fa_buffer_lease(large));
    fa_buffer_return(large);
}

static void over_budget_leaves_it_as_it_was(void **state)
{
    fa_scope *small;
    fa_buffer *buffer, *other;
    void *space;
    char piece[1000] = {0};
    (void)state;
    assert_ok(fa_scope_new(ledger, root, FA_KIND_TURN, 4096, "small", FA_HERE, &small));
    assert_ok(fa_buffer_new(small, 0, "b", FA_HERE, &buffer));
    assert_ok(fa_buffer_append(buffer, "start", 5));
    size_t bytes = charged(small);
    assert_int_equal(fa_buffer_reserve(buffer, 5000, &space), FA_OVER_BUDGET);
    assert_int_equal(fa_buffer_reserve(buffer, SIZE_MAX - 3, &space), FA_NO_MEMORY);
    assert_int_equal(fa_buffer_new(small, 5000, "c", FA_HERE, &other), FA_OVER_BUDGET);
    assert_int_equal(charged(small), bytes);
    assert_int_equal(fa_buffer_length(buffer), 5);
    assert_memory_equal(fa_buffer_data(buffer), "start", 5);
    size_t appended = 0; /* doubling stops at the budget, not before: nearly all of it can be used */
    while (fa_buffer_append(buffer, piece, 100) == FA_OK)
        appended += 100;
    assert_true(fa_account_room(fa_scope_account(small)) < 100);
    assert_int_equal(fa_buffer_length(buffer), 5 + appended);
    fa_scope_end(small, "test", NULL);
}

static void a_lease_outlives_the_owner(void **state)
{
    (void)state;
    size_t before = fa_ledger_bytes(ledger);
    fa_scope *turn;
    assert_ok(fa_scope_new(ledger, root, FA_KIND_TURN, 0, "turn", FA_HERE, &turn));
    fa_buffer *buffer = sealed_buffer(turn, 1000);
    fa_kind_counters *counters = fa_ledger_kind(ledger, FA_KIND_TURN);
    assert_ok(fa_buffer_lease(buffer));
    assert_ok(fa_buffer_lease(buffer));
    assert_int_equal(counters->in_flight_count, 1); /* a buffer is in flight once, however many hold it */
    assert_in_range(counters->in_flight_bytes, 1000, 1300);
    assert_true(fa_buffer_leased(buffer));
    fa_scope_end(turn, "test", NULL);
    assert_null(fa_buffer_owner(buffer));
    assert_int_equal(counters->count, 0);
    assert_memory_equal(fa_buffer_data(buffer), "bbbb", 4);
    fa_buffer_return(buffer);
    assert_int_equal(counters->in_flight_count, 1);
    fa_buffer_return(buffer);
    assert_int_equal(counters->in_flight_count, 0);
    assert_int_equal(counters->in_flight_bytes, 0);
    assert_int_equal(counters->bytes, 0);
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

static void *return_it(void *buffer)
{
    fa_buffer_return(buffer);
    return NULL;
}

static void the_last_lease_is_returned_on_another_thread(void **state)
{
    pthread_t threads[8];
    (void)state;
    size_t before = fa_ledger_bytes(ledger);
    for (int round = 0; round < 50; ++round) {
        fa_scope *turn;
        assert_ok(fa_scope_new(ledger, root, FA_KIND_TURN, 0, "turn", FA_HERE, &turn));
        fa_buffer *buffer = sealed_buffer(turn, 1000);
        for (int i = 0; i < 8; ++i) {
            assert_ok(fa_buffer_lease(buffer));
            assert_int_equal(pthread_create(&threads[i], NULL, return_it, buffer), 0);
        }
        fa_scope_end(turn, "test", NULL);
        for (int i = 0; i < 8; ++i)
            pthread_join(threads[i], NULL);
        assert_int_equal(fa_ledger_bytes(ledger), before);
        assert_int_equal(fa_ledger_in_flight(ledger), 0);
    }
}

static void *churn(void *context)
{
    fa_account *account = context;
    for (int i = 0; i < 3000; ++i) {
        fa_buffer *buffer;
        fa_result result = fa_buffer_new_detached(account, (size_t)(i % 50) * 40, "churn", FA_HERE, &buffer);
        if (result != FA_OK) {
            assert_int_equal(result, FA_OVER_BUDGET);
            continue;
        }
        fa_buffer_seal(buffer);
        fa_buffer_lease(buffer);
        fa_buffer_release(buffer);
        fa_buffer_return(buffer);
    }
    return NULL;
}

/* Many threads on one account with a budget: the total is never above it, and zero at the end. */
static void accounts_bear_many_threads(void **state)
{
    pthread_t threads[6];
    fa_account *account;
    (void)state;
    assert_ok(fa_account_open(ledger, fa_scope_account(root), FA_KIND_CACHE, 6000, "shared", &account));
    size_t own = fa_account_total(account);
    for (int i = 0; i < 6; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, account), 0);
    for (int i = 0; i < 6; ++i)
        pthread_join(threads[i], NULL);
    assert_int_equal(fa_account_total(account), own);
    assert_int_equal(fa_account_leased(account), 0);
    assert_in_range(fa_account_peak(account), own, 6000);
    fa_account_unref(account);
}

static void a_detached_buffer_is_adopted(void **state)
{
    fa_buffer *buffer;
    (void)state;
    size_t root_bytes = charged(root), scope_bytes = charged(scope);
    assert_ok(fa_buffer_new_detached(fa_scope_account(root), 100, "detached", FA_HERE, &buffer));
    size_t size = charged(root) - root_bytes;
    assert_null(fa_buffer_owner(buffer));
    assert_ok(fa_buffer_adopt(scope, buffer));
    assert_int_equal(charged(root), root_bytes);
    assert_int_equal(charged(scope), scope_bytes + size);
    assert_ptr_equal(fa_buffer_owner(buffer), scope);
    assert_ok(fa_buffer_append(
        buffer, "more than before, and charged where it is now: more than before, and charged where it is now", 92));
    assert_ok(fa_buffer_adopt(root, buffer)); /* a transfer between scopes */
    assert_int_equal(charged(scope), scope_bytes);
    assert_ok(fa_buffer_adopt(root, buffer)); /* to itself: nothing changes */
    fa_scope_end(scope, "test", NULL);
    assert_memory_equal(fa_buffer_data(buffer), "more", 4);
    assert_ok(fa_scope_new(ledger, root, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
}

static void a_leased_one_does_not_change_accounts(void **state)
{
    (void)state;
    fa_buffer *buffer = sealed_buffer(scope, 100);
    assert_ok(fa_buffer_lease(buffer));
    assert_int_equal(fa_buffer_adopt(root, buffer), FA_WRONG_STATE);
    assert_ptr_equal(fa_buffer_owner(buffer), scope);
    fa_buffer_return(buffer);
    assert_ok(fa_buffer_adopt(root, buffer));
    fa_buffer_release(buffer);
}

/* What both accounts stand under is not asked again: a full dialogue can take its turn's buffer over. */
static void moving_inside_a_full_budget_works(void **state)
{
    fa_scope *dialogue, *turn, *tight;
    fa_buffer *other;
    (void)state;
    assert_ok(fa_scope_new(ledger, root, FA_KIND_DIALOGUE, 4096, "dialogue", FA_HERE, &dialogue));
    assert_ok(fa_scope_new(ledger, dialogue, FA_KIND_TURN, 0, "turn", FA_HERE, &turn));
    assert_ok(fa_scope_new(ledger, dialogue, FA_KIND_TURN, 1000, "tight", FA_HERE, &tight));
    fa_buffer *buffer = sealed_buffer(turn, 1500);
    assert_true(fa_account_room(fa_scope_account(dialogue)) < 1500);
    size_t total = fa_account_total(fa_scope_account(dialogue)), peak = fa_account_peak(fa_scope_account(root));
    assert_int_equal(fa_buffer_adopt(tight, buffer), FA_OVER_BUDGET);
    assert_ptr_equal(fa_buffer_owner(buffer), turn);
    assert_ok(fa_buffer_adopt(dialogue, buffer));
    assert_int_equal(fa_account_total(fa_scope_account(dialogue)), total);
    assert_ok(fa_buffer_adopt(turn, buffer));
    assert_int_equal(fa_account_peak(fa_scope_account(root)), peak);
    assert_int_equal(fa_buffer_new(turn, 4000, "too much", FA_HERE, &other), FA_OVER_BUDGET);
    fa_scope_end(dialogue, "test", NULL);
}

static bool buffer_scenario(fa_ledger *of)
{
    bool reached = false;
    fa_scope *owner = NULL, *child;
    fa_buffer *buffer, *detached = NULL, *leased = NULL;
    NEED(fa_scope_new(of, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &owner) == FA_OK);
    NEED(fa_scope_new(of, owner, FA_KIND_TURN, 0, "turn", FA_HERE, &child) == FA_OK);
    NEED(fa_buffer_new(child, 0, "grows", FA_HERE, &buffer) == FA_OK);
    for (size_t i = 0; i < 5; ++i) {
        fa_result result = fa_buffer_append(buffer, "0123456789", 10);
        assert_int_equal(fa_buffer_length(buffer), (i + (result == FA_OK)) * 10);
        NEED(result == FA_OK);
    }
    fa_buffer_seal(buffer); /* bears a failing shrink */
    assert_int_equal(fa_buffer_length(buffer), 50);
    NEED(fa_buffer_new_detached(fa_scope_account(child), 20, "detached", FA_HERE, &detached) == FA_OK);
    NEED(fa_buffer_adopt(owner, detached) == FA_OK);
    detached = NULL;
    NEED(fa_buffer_lease(buffer) == FA_OK);
    leased = buffer;
    reached = true;
out:
    if (detached != NULL)
        fa_buffer_release(detached);
    if (owner != NULL)
        fa_scope_end(owner, "test", NULL);
    if (leased != NULL)
        fa_buffer_return(leased);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = buffer_scenario(failing);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_buffer_is_built_and_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_one_keeps_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(over_budget_leaves_it_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lease_outlives_the_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_lease_is_returned_on_another_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accounts_bear_many_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_detached_buffer_is_adopted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_leased_one_does_not_change_accounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moving_inside_a_full_budget_works, set_up, tear_down),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
