/* core/worker/store: what is in, what goes first, when it expires, whose bytes they are, and many threads at once. */
#include "testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/store.h"

enum { ENTRY = 512 }; /* an entry with a small buffer takes less */

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *server;
static fa_stores *stores;
static fa_store *store;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &server));
    stores = fa_stores_new(server, 0);
    assert_non_null(stores);
    assert_ok(fa_store_open(stores, "a", &(fa_store_limits){.bytes = 100000, .entries = 100}, &store));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_store_close(store);
    fa_scope_end(server, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_result put_for(const char *key, const char *text, uint64_t now, uint64_t expires)
{
    return fa_store_put_copy(store, key, strlen(key), text, strlen(text), FA_HERE, FA_STORE_PUT, now, expires);
}

static fa_result put(const char *key, const char *text)
{
    return put_for(key, text, 0, FA_STORE_NEVER);
}

/* The bytes of an entry, "-" when there is none, or its number. */
static const char *look(const char *key, uint64_t now)
{
    static char out[100];
    fa_buffer *buffer;
    double number;
    if (fa_store_get(store, key, strlen(key), now, &buffer, &number) != FA_OK)
        return "-";
    if (buffer == NULL) {
        snprintf(out, sizeof(out), "#%g", number);
        return out;
    }
    snprintf(out, sizeof(out), "%.*s", (int)fa_buffer_length(buffer), (const char *)fa_buffer_data(buffer));
    fa_buffer_return(buffer);
    return out;
}

static fa_store_figures figures(void)
{
    fa_store_figures f;
    fa_store_read(store, &f);
    return f;
}

static void what_is_put_in_is_found(void **state)
{
    (void)state;
    assert_string_equal(look("k", 0), "-");
    assert_ok(put("k", "one"));
    assert_string_equal(look("k", 0), "one");
    assert_ok(put("k", "two"));
    assert_string_equal(look("k", 0), "two");
    assert_int_equal(fa_store_put_copy(store, "k", 1, "x", 1, FA_HERE, FA_STORE_ADD, 0, FA_STORE_NEVER), FA_CONFLICT);
    assert_string_equal(look("k", 0), "two");
    assert_true(fa_store_remove(store, "k", 1, 0));
    assert_false(fa_store_remove(store, "k", 1, 0));
    assert_string_equal(look("k", 0), "-");
    assert_int_equal(figures().entries, 0);
    assert_int_equal(figures().bytes, 0);
    assert_int_equal(figures().found, 3);
    assert_int_equal(figures().missed, 2);
}

static void a_buffer_goes_over_without_a_copy(void **state)
{
    (void)state;
    fa_scope *scope;
    fa_buffer *buffer, *found;
    double number;
    assert_ok(fa_scope_new(ledger, server, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
    assert_ok(fa_buffer_new(scope, 0, "audio", FA_HERE, &buffer));
    assert_int_equal(fa_store_put(store, "k", 1, buffer, FA_STORE_PUT, 0, FA_STORE_NEVER), FA_INVALID); /* not sealed */
    assert_ok(fa_buffer_append(buffer, "hello", 5));
    fa_buffer_seal(buffer);
    const void *bytes = fa_buffer_data(buffer);
    assert_ok(fa_store_put(store, "k", 1, buffer, FA_STORE_PUT, 0, FA_STORE_NEVER));
    fa_scope_end(scope, "answered", NULL);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->bytes, 0); /* the request pays for nothing any more */
    assert_ok(fa_store_get(store, "k", 1, 0, &found, &number));
    assert_ptr_equal(fa_buffer_data(found), bytes);
    assert_true(fa_store_remove(store, "k", 1, 0)); /* while it is read */
    assert_memory_equal(fa_buffer_data(found), "hello", 5);
    fa_buffer_return(found);
}

static void what_somebody_else_holds_stays_with_its_owner(void **state)
{
    (void)state;
    fa_scope *scope;
    fa_buffer *buffer, *slice;
    assert_ok(fa_scope_new(ledger, server, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
    assert_ok(fa_buffer_new(scope, 0, "body", FA_HERE, &buffer));
    assert_ok(fa_buffer_append(buffer, "hello", 5));
    fa_buffer_seal(buffer);
    assert_ok(fa_buffer_slice(scope, buffer, 1, 3, FA_HERE, &slice));
    assert_int_equal(fa_store_put(store, "k", 1, buffer, FA_STORE_PUT, 0, FA_STORE_NEVER), FA_WRONG_STATE);
    assert_int_equal(fa_store_put(store, "k", 1, slice, FA_STORE_PUT, 0, FA_STORE_NEVER), FA_UNSUPPORTED);
    assert_string_equal(look("k", 0), "-");
    assert_ptr_equal(fa_buffer_owner(buffer), scope);
    fa_scope_end(scope, "answered", NULL);
}

static void numbers_are_counted(void **state)
{
    (void)state;
    double number;
    assert_ok(fa_store_count(store, "n", 1, 2, 0, 100, &number));
    assert_true(number == 2);
    assert_ok(fa_store_count(store, "n", 1, 0.5, 50, 1000, &number)); /* expires when it was to expire */
    assert_true(number == 2.5);
    assert_string_equal(look("n", 99), "#2.5");
    assert_string_equal(look("n", 100), "-");
    assert_ok(put("n", "text"));
    assert_int_equal(fa_store_count(store, "n", 1, 1, 0, 100, &number), FA_INVALID);
    assert_string_equal(look("n", 0), "text");
}

static void what_has_expired_is_gone_and_gives_its_bytes_back(void **state)
{
    (void)state;
    char key[8];
    for (unsigned i = 0; i < 50; ++i) { /* in no order */
        snprintf(key, sizeof(key), "%u", i);
        assert_ok(put_for(key, "x", 0, 10 + i * 37 % 50));
    }
    assert_ok(put("for ever", "x"));
    for (unsigned now = 9; now < 60; ++now) {
        assert_string_equal(look("for ever", now), "x");
        assert_int_equal(figures().entries, 1 + (now < 10 ? 50 : 59 - now));
    }
    assert_int_equal(figures().expired, 50);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    char key[8];
    for (unsigned i = 0; i < 100; ++i) {
        snprintf(key, sizeof(key), "%u", i);
        assert_ok(put(key, "x"));
    }
    assert_string_equal(look("0", 0), "x");
    assert_ok(put("100", "x"));
    assert_string_equal(look("0", 0), "x");
    assert_string_equal(look("1", 0), "-");
    assert_int_equal(figures().entries, 100);
    assert_int_equal(figures().evicted, 1);
}

static void its_bytes_are_bounded(void **state)
{
    (void)state;
    char text[4000], key[8];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < 60; ++i) {
        snprintf(key, sizeof(key), "%u", i);
        assert_ok(put(key, text));
        assert_true(figures().bytes <= 100000);
    }
    assert_true(figures().entries >= 20 && figures().entries < 25);
    char *large = test_calloc(1, 100001);
    memset(large, 'x', 100000);
    assert_int_equal(put("59", large), FA_FULL);
    assert_string_equal(look("58", 0)[0] == 'x' ? "x" : "-", "x"); /* nothing had to go for it */
    test_free(large);
}

static void limits_may_change_while_it_is_open(void **state)
{
    (void)state;
    fa_store *same;
    char key[8];
    for (unsigned i = 0; i < 100; ++i) {
        snprintf(key, sizeof(key), "%u", i);
        assert_ok(put_for(key, "x", 0, 1000 + i));
    }
    assert_ok(fa_store_open(stores, "a", &(fa_store_limits){.bytes = 100000, .entries = 10}, &same));
    assert_ptr_equal(same, store);
    assert_int_equal(figures().entries, 10);
    assert_string_equal(look("99", 0), "x");
    assert_string_equal(look("89", 0), "-");
    fa_store_close(same);
    assert_ok(fa_store_open(stores, "a", &(fa_store_limits){.bytes = 2 * ENTRY, .entries = 1000}, &same));
    assert_in_range(figures().entries, 2, 9);
    assert_string_equal(look("99", 2000), "-"); /* those that expire were kept in order */
    assert_int_equal(figures().entries, 0);
    fa_store_close(same);
    assert_string_equal(look("1", 0), "-");
}

static void a_set_has_its_budget(void **state)
{
    (void)state;
    fa_stores *small = fa_stores_new(server, 3000);
    fa_store *one;
    fa_store_figures f;
    assert_ok(fa_store_open(small, "one", &(fa_store_limits){.bytes = 100000, .entries = 10}, &one));
    assert_true(fa_stores_read(small, 0, &f));
    assert_string_equal(f.name, "one");
    assert_false(fa_stores_read(small, 1, &f));
    char text[4000] = "";
    assert_int_equal(fa_store_put_copy(one, "k", 1, text, sizeof(text), FA_HERE, FA_STORE_PUT, 0, FA_STORE_NEVER),
                     FA_OVER_BUDGET);
    assert_ok(fa_store_put_copy(one, "k", 1, text, 10, FA_HERE, FA_STORE_PUT, 0, FA_STORE_NEVER));
    fa_store_close(one);
    assert_false(fa_stores_read(small, 0, &f));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        fa_scope *scope = NULL;
        fa_stores *set = NULL;
        fa_store *s = NULL;
        fa_buffer *buffer;
        double number;
        NEED(fa_scope_new(failing, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope) == FA_OK);
        NEED((set = fa_stores_new(scope, 0)) != NULL);
        NEED(fa_store_open(set, "s", &(fa_store_limits){.bytes = 10000, .entries = 20}, &s) == FA_OK);
        NEED(fa_store_put_copy(s, "a", 1, "x", 1, FA_HERE, FA_STORE_PUT, 0, 10) == FA_OK);
        NEED(fa_store_count(s, "n", 1, 1, 0, 20, &number) == FA_OK);
        NEED(fa_buffer_new(scope, 10, "b", FA_HERE, &buffer) == FA_OK);
        fa_buffer_seal(buffer);
        NEED(fa_store_put(s, "b", 1, buffer, FA_STORE_PUT, 0, 30) == FA_OK);
        NEED(fa_store_open(set, "s", &(fa_store_limits){.bytes = 10000, .entries = 200}, &s) == FA_OK);
        fa_store_close(s);
        assert_int_equal(fa_store_get(s, "n", 1, 15, &buffer, &number), FA_OK);
    out:
        fa_store_close(s);
        if (scope != NULL)
            fa_scope_end(scope, "test", NULL);
    }
}

/* ---- many threads ---- */

enum { THREADS = 4, ROUNDS = 5000 };

static void *work(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    double number;
    for (unsigned i = 0; i < ROUNDS; ++i) {
        seed = seed * 1103515245u + 12345u;
        char key[2] = {(char)('a' + (seed >> 16) % 7), '\0'};
        fa_buffer *buffer = NULL;
        uint64_t now = i;
        switch ((seed >> 24) % 4) {
        case 0:
            fa_store_put_copy(store, key, 1, "xyz", 3, FA_HERE, FA_STORE_PUT, now, now + (seed >> 20) % 9);
            break;
        case 1:
            fa_store_count(store, "#", 1, 1, 0, FA_STORE_NEVER, &number);
            break;
        case 2:
            fa_store_remove(store, key, 1, now);
            break;
        default:
            if (fa_store_get(store, key, 1, now, &buffer, &number) == FA_OK && buffer != NULL) {
                if (memcmp(fa_buffer_data(buffer), "xyz", 3) != 0)
                    abort();
                fa_buffer_return(buffer);
            }
        }
    }
    return NULL;
}

static void many_threads_share_one(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    assert_int_equal(fa_ledger_in_flight(ledger), 0);
    assert_true(figures().entries <= 8);
    assert_int_equal(look("#", 0)[0], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_in_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_buffer_goes_over_without_a_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_somebody_else_holds_stays_with_its_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_expired_is_gone_and_gives_its_bytes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_least_recently_used_goes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_bytes_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_may_change_while_it_is_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_has_its_budget, set_up, tear_down),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test_setup_teardown(many_threads_share_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
