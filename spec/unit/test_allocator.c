/* What the allocator says of itself follows what is allocated. The tests run on the C library's; the command's own is asked in
 * spec/e2e/load.smoke.test.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "testing.h"

#include "base/allocator.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { FOLLOWED = 0 }; /* a sanitizer's allocator tells nothing */
#else
enum { FOLLOWED = 1 };
#endif
enum { SIZE = 10 * 1024 * 1024 };

static void test_its_name_has_a_version(void **state)
{
    (void)state;
    char name[FA_ALLOCATOR_NAME_SIZE];
    assert_ptr_equal(fa_allocator_name(name), name);
    const char *version = strchr(name, ' ');
    assert_non_null(version);
    assert_in_range(version[1], '0', '9');
}

static void test_its_figures_follow(void **state)
{
    (void)state;
    fa_allocator_figures before, full, after;
    fa_allocator_read(&before);
    void *volatile block = malloc(SIZE);
    assert_non_null(block);
    fa_allocator_read(&full);
    free(block);
    fa_allocator_read(&after);
    if (FOLLOWED) {
        assert_true(full.in_use >= before.in_use + SIZE);
        assert_true(after.in_use < full.in_use);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_name_has_a_version),
        cmocka_unit_test(test_its_figures_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
