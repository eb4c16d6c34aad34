/* core/worker/buckets: how many tokens are there when; and core/base/base64. */
#include "testing.h"

#include <stdio.h>

#include "base/base64.h"
#include "worker/buckets.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *scope;
static fa_buckets *buckets;

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &scope));
    buckets = fa_buckets_new(scope);
    assert_non_null(buckets);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_scope_end(scope, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_digest key_of(int number)
{
    const void *part = &number;
    size_t length = sizeof(number);
    return fa_digest_of(&part, &length, 1);
}

static fa_bucket_answer take(fa_bucket_table *table, int key, uint64_t now)
{
    fa_digest digest = key_of(key);
    return fa_buckets_take(table, &digest, &(fa_bucket_rule){.rate = 2, .burst = 3}, now);
}

static void a_bucket_empties_and_fills(void **state)
{
    fa_bucket_table *table;
    (void)state;
    assert_ok(fa_buckets_find(buckets, "a", 100, &table));
    for (int left = 2; left >= 0; --left) {
        fa_bucket_answer answer = take(table, 1, 1000);
        assert_true(answer.taken);
        assert_int_equal((int)answer.left, left);
        assert_int_equal(answer.reset_ms, (3 - left) * 500);
    }
    fa_bucket_answer refused = take(table, 1, 1000);
    assert_false(refused.taken);
    assert_int_equal(refused.wait_ms, 500);
    assert_false(take(table, 1, 1499).taken); /* refusals cost nothing */
    assert_true(take(table, 1, 1500).taken);
    assert_false(take(table, 1, 1500).taken);
    assert_true(take(table, 2, 1500).taken); /* another key */
    assert_int_equal((int)take(table, 1, 9000).left, 2);
    assert_true(take(table, 1, 8000).taken); /* a clock that looks back gives nothing, and takes nothing */
}

static void tables_are_found_by_name(void **state)
{
    char name[20];
    fa_bucket_table *first, *again;
    (void)state;
    assert_ok(fa_buckets_find(buckets, "a", 100, &first));
    size_t bytes = fa_ledger_bytes(ledger);
    assert_ok(fa_buckets_find(buckets, "a", 5000, &again));
    assert_ptr_equal(first, again);
    assert_int_equal(fa_ledger_bytes(ledger), bytes); /* its size stays */
    for (int i = 1; i < FA_MOST_BUCKET_TABLES; ++i) {
        snprintf(name, sizeof(name), "b%d", i);
        assert_ok(fa_buckets_find(buckets, name, 8, &again));
    }
    assert_int_equal(fa_buckets_find(buckets, "one more", 8, &again), FA_FULL);
}

/* The table never grows. Who has spent most is remembered longest. */
static void the_fullest_is_forgotten_first(void **state)
{
    fa_bucket_table *table;
    (void)state;
    assert_ok(fa_buckets_find(buckets, "a", 8, &table)); /* one set */
    size_t bytes = fa_ledger_bytes(ledger);
    for (int i = 0; i < 3; ++i)
        assert_true(take(table, 0, 1000).taken);
    for (int key = 1; key < 200; ++key)
        assert_true(take(table, key, 1000).taken);
    assert_false(take(table, 0, 1000).taken);
    assert_int_equal(fa_ledger_bytes(ledger), bytes);
}

static bool scenario(fa_ledger *of)
{
    fa_bucket_table *table;
    fa_scope *root = NULL;
    bool reached = false;
    NEED(fa_scope_new(of, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &root) == FA_OK);
    fa_buckets *b = fa_buckets_new(root);
    NEED(b != NULL);
    NEED(fa_buckets_find(b, "a", 8, &table) == FA_OK);
    reached = take(table, 1, 1).taken;
out:
    if (root != NULL)
        fa_scope_end(root, "test", NULL);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(failing);
    }
    assert_true(reached);
}

static void assert_base64(fa_base64_kind kind, const char *bytes, size_t length, const char *text)
{
    char out[100];
    size_t written;
    out[fa_base64_encode(kind, bytes, length, out)] = '\0';
    assert_string_equal(out, text);
    assert_true(fa_base64_decode(kind, text, strlen(text), out, &written));
    assert_int_equal(written, length);
    assert_memory_equal(out, bytes, length);
}

static void base64_goes_there_and_back(void **state)
{
    static const char *const wrong[] = {
        "A", "AA", "AAA", "AAA=A", "A===", "AA=", "AA==AA==", "AB==", "AAB=", "A A=", "AA-_", "AAAA\n"};
    char out[100];
    size_t written;
    (void)state;
    assert_base64(FA_BASE64, "", 0, "");
    assert_base64(FA_BASE64, "f", 1, "Zg==");
    assert_base64(FA_BASE64, "fo", 2, "Zm8=");
    assert_base64(FA_BASE64, "foo", 3, "Zm9v");
    assert_base64(FA_BASE64, "\xfb\xff\xfe\0", 4, "+//+AA==");
    assert_base64(FA_BASE64_URL, "\xfb\xff\xfe\0", 4, "-__-AA");
    assert_base64(FA_BASE64_URL, "foob", 4, "Zm9vYg");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        if (fa_base64_decode(FA_BASE64, wrong[i], strlen(wrong[i]), out, &written))
            fail_msg("taken: %s", wrong[i]);
    }
    assert_false(fa_base64_decode(FA_BASE64_URL, "+/", 2, out, &written));
    assert_false(fa_base64_decode(FA_BASE64_URL, "AAAAA", 5, out, &written));
    assert_true(fa_base64_decode(FA_BASE64_URL, "AA==", 4, out, &written));
}

#define WITH_BUCKETS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BUCKETS(a_bucket_empties_and_fills),     WITH_BUCKETS(tables_are_found_by_name),
        WITH_BUCKETS(the_fullest_is_forgotten_first), cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(base64_goes_there_and_back),
    };
    return cmocka_run_group_tests_name("buckets and base64", tests, NULL, NULL);
}
