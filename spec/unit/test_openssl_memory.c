/* core/base/openssl_memory.h: OpenSSL's memory is counted, when the program says so in time. */
#include "testing.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/openssl_memory.h"
#include "fitnessally/fitnessally.h"

/* In a process of its own: it can be tried once in one. */
static void too_late_is_said(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        void *first = OPENSSL_malloc(16);
        bool refused = fa_count_openssl_memory() == FA_WRONG_STATE && !fa_openssl_memory_is_counted();
        OPENSSL_free(first);
        _exit(refused && fa_openssl_memory_read(NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_it_holds_is_counted(void **state)
{
    (void)state;
    assert_ok(fa_count_openssl_memory());
    assert_ok(fa_count_openssl_memory()); /* once more does no harm */
    assert_true(fa_openssl_memory_is_counted());
    size_t before = fa_openssl_memory_read(NULL);

    char *block = OPENSSL_malloc(1000);
    size_t with = fa_openssl_memory_read(NULL) - before;
    assert_in_range(with, 1000, 1200);
    block = OPENSSL_realloc(block, 100000);
    assert_in_range(fa_openssl_memory_read(NULL) - before, 100000, 140000);
    block[99999] = 'x';
    block = OPENSSL_realloc(block, 10);
    assert_true(fa_openssl_memory_read(NULL) - before < 100000);
    OPENSSL_free(block);
    OPENSSL_free(NULL);
    assert_null(OPENSSL_malloc(0));
    assert_int_equal(fa_openssl_memory_read(NULL), before);

    BIGNUM *number = BN_new();
    assert_int_equal(BN_set_bit(number, 100000), 1);
    assert_true(fa_openssl_memory_read(NULL) - before > 100000 / 8);
    BN_free(number);
    assert_int_equal(fa_openssl_memory_read(NULL), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(too_late_is_said), cmocka_unit_test(what_it_holds_is_counted)};
    return cmocka_run_group_tests_name("OpenSSL's memory", tests, NULL, NULL);
}
