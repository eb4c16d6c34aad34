/* core/upstream/healths: what the workers know together of the services that they ask. */
#include "testing.h"

#include <pthread.h>

#include "upstream/healths.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *server;
static fa_healths *healths;

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &server));
    healths = fa_healths_new(server);
    return healths != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fa_scope_end(server, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_shared_breaker *breaker_of(const char *upstream, const char *url, uint64_t limit)
{
    fa_shared_breaker *breaker;
    assert_ok(fa_healths_breaker(healths, upstream, url, limit, 100, &breaker));
    return breaker;
}

static void an_address_has_one_breaker(void **state)
{
    (void)state;
    fa_shared_breaker *a = breaker_of("it", "http://a", 2), *again = breaker_of("it", "http://a", 2);
    fa_shared_breaker *other = breaker_of("it", "http://b", 2), *elsewhere = breaker_of("that", "http://a", 2);
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, other);
    assert_ptr_not_equal(a, elsewhere);
    assert_true(fa_shared_breaker_enter(a, 1000));
    assert_true(fa_shared_breaker_enter(again, 1000));
    fa_shared_breaker_failure(a, 1000);
    fa_shared_breaker_failure(again, 1001);
    assert_false(fa_shared_breaker_enter(a, 1002));
    assert_true(fa_shared_breaker_enter(other, 1002));
    assert_true(fa_shared_breaker_enter(elsewhere, 1002));
    assert_true(fa_shared_breaker_enter(again, 1101)); /* one tries it */
    assert_false(fa_shared_breaker_enter(a, 1102));
    fa_shared_breaker_success(again);
    assert_true(fa_shared_breaker_enter(a, 1103));
    assert_int_equal(fa_shared_breaker_read(a).opened, 1);
    fa_shared_breaker_unref(a);
    fa_shared_breaker_unref(again);
    fa_shared_breaker_unref(other);
    fa_shared_breaker_unref(elsewhere);
    fa_shared_breaker_unref(NULL);
}

/* Who comes later with the same limits finds it as it is; with others it begins anew, and so it does when nobody held it any more. */
static void it_is_kept_while_somebody_holds_it(void **state)
{
    (void)state;
    fa_shared_breaker *a = breaker_of("it", "http://a", 1);
    fa_shared_breaker_failure(a, 1000);
    fa_shared_breaker *b = breaker_of("it", "http://a", 1);
    fa_shared_breaker_unref(a);
    assert_false(fa_shared_breaker_enter(b, 1001));
    fa_shared_breaker *c = breaker_of("it", "http://a", 5);
    assert_true(fa_shared_breaker_enter(b, 1001));
    fa_shared_breaker_failure(c, 1001);
    fa_shared_breaker_unref(b);
    fa_shared_breaker_unref(c);
    c = breaker_of("it", "http://a", 5);
    assert_int_equal(fa_shared_breaker_read(c).failures, 0);
    fa_shared_breaker_unref(c);
}

static void a_bucket_is_for_all(void **state)
{
    fa_shared_bucket *a, *b, *more;
    (void)state;
    assert_ok(fa_healths_bucket(healths, "it", 2, 50, &a));
    assert_ok(fa_healths_bucket(healths, "it", 2, 50, &b));
    assert_ptr_equal(a, b);
    assert_true(fa_shared_bucket_take(a));
    assert_true(fa_shared_bucket_take(b));
    assert_false(fa_shared_bucket_take(a));
    fa_shared_bucket_request(a);
    assert_false(fa_shared_bucket_take(b));
    fa_shared_bucket_request(b);
    assert_true(fa_shared_bucket_take(a));
    assert_ok(fa_healths_bucket(healths, "it", 1, 50, &more)); /* full again */
    assert_true(fa_shared_bucket_take(a));
    fa_shared_bucket_unref(a);
    fa_shared_bucket_unref(b);
    fa_shared_bucket_unref(more);
}

enum { THREADS = 4, ROUNDS = 2000 };
static _Atomic int inside, most, tries;

/* Each round is a cool-down later: one of all gets in. */
static void *try_it(void *argument)
{
    (void)argument;
    fa_shared_breaker *mine = breaker_of("it", "http://a", 1);
    for (uint64_t round = 1; round <= ROUNDS; ++round) {
        if (!fa_shared_breaker_enter(mine, 1000 + round * 100))
            continue;
        int now = ++inside, seen = most;
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        tries++;
        inside--;
        fa_shared_breaker_failure(mine, 1000 + round * 100);
    }
    fa_shared_breaker_unref(mine);
    return NULL;
}

static void one_of_all_threads_tries(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    fa_shared_breaker *breaker = breaker_of("it", "http://a", 1);
    fa_shared_breaker_failure(breaker, 1000);
    for (int i = 0; i < THREADS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, try_it, NULL), 0);
    for (int i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    assert_int_equal(most, 1);
    assert_in_range(tries, 1, ROUNDS);
    fa_shared_breaker_unref(breaker);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_has_one_breaker, begin, end),
        cmocka_unit_test_setup_teardown(it_is_kept_while_somebody_holds_it, begin, end),
        cmocka_unit_test_setup_teardown(a_bucket_is_for_all, begin, end),
        cmocka_unit_test_setup_teardown(one_of_all_threads_tries, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
