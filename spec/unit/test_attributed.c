/* core/memory/attributed.h: what libraries hold beside the ledger, by name. */
#include "testing.h"

#include "memory/attributed.h"
#include "server/memory_figures.h"

static fa_failing memory;
static fa_ledger *ledger;

static int make_ledger(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    return 0;
}

static int free_ledger(void **state)
{
    (void)state;
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static size_t read_size(void *context)
{
    return *(size_t *)context;
}

static void sources_are_told_by_name_and_summed(void **state)
{
    (void)state;
    size_t curl = 1000, sqlite = 24;
    fa_attributed first = {.name = NULL}, second = {.name = NULL};
    fa_memory_figures figures;
    fa_attributed_add(ledger, &first, "curl", read_size, &curl);
    fa_attributed_add(ledger, &second, "sqlite", read_size, &sqlite);
    fa_memory_read(ledger, &figures);
    assert_int_equal(figures.attributed, 1024);
    assert_int_equal(figures.source_count, 2);
    assert_string_equal(figures.sources[0].name, "curl");
    assert_int_equal(figures.sources[1].bytes, 24);

    fa_attributed_remove(ledger, &first);
    fa_memory_read(ledger, &figures);
    assert_int_equal(figures.attributed, 24);
    assert_string_equal(figures.sources[0].name, "sqlite");
    fa_attributed_remove(ledger, &second);
    assert_int_equal(fa_attributed_read(ledger, NULL, NULL), 0);
}

static void one_that_was_never_added_may_be_removed(void **state)
{
    (void)state;
    fa_attributed source = {.name = NULL};
    fa_attributed_remove(ledger, &source);
    fa_attributed_remove(ledger, &source);
    assert_int_equal(fa_attributed_read(ledger, NULL, NULL), 0);
}

static void what_is_attributed_is_not_residual(void **state)
{
    (void)state;
    fa_memory_figures before, after;
    fa_memory_read(ledger, &before);
    size_t most = before.residual; /* as if one library held all that has no owner */
    fa_attributed source;
    fa_attributed_add(ledger, &source, "all of it", read_size, &most);
    fa_memory_read(ledger, &after);
    assert_true(after.residual < before.residual || before.residual == 0);
    fa_attributed_remove(ledger, &source);
}

static void more_than_are_told_are_counted(void **state)
{
    (void)state;
    size_t one = 1;
    fa_attributed sources[FA_MEMORY_SOURCES + 3];
    fa_memory_figures figures;
    for (int i = 0; i < FA_MEMORY_SOURCES + 3; ++i)
        fa_attributed_add(ledger, &sources[i], "one of many", read_size, &one);
    fa_memory_read(ledger, &figures);
    assert_int_equal(figures.source_count, FA_MEMORY_SOURCES);
    assert_int_equal(figures.attributed, FA_MEMORY_SOURCES + 3);
    for (int i = 0; i < FA_MEMORY_SOURCES + 3; ++i)
        fa_attributed_remove(ledger, &sources[i]);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_ledger, free_ledger)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sources_are_told_by_name_and_summed),
        TEST(one_that_was_never_added_may_be_removed),
        TEST(what_is_attributed_is_not_residual),
        TEST(more_than_are_told_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
