/* core/memory: buffers that show a file: what is seen, who pays, who holds it, and how it ends. */
#include "testing.h"

#include <stdlib.h>
#include <unistd.h>

#include "memory/buffer.h"

enum { FILE_SIZE = 100 * 1000 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *root, *scope;

static char byte_at(size_t i)
{
    return (char)('a' + i % 23);
}

/* An unlinked file. */
static int new_file(void)
{
    static char bytes[FILE_SIZE];
    char name[] = "/tmp/fitnessally-unit.XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    for (size_t i = 0; i < FILE_SIZE; ++i)
        bytes[i] = byte_at(i);
    assert_int_equal(write(fd, bytes, FILE_SIZE), FILE_SIZE);
    return fd;
}

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

static void assert_shows(const fa_buffer *buffer, size_t offset, size_t length)
{
    assert_int_equal(fa_buffer_length(buffer), length);
    for (size_t i = 0; i < length; ++i) {
        if ((char)fa_buffer_data(buffer)[i] != byte_at(offset + i))
            fail_msg("byte %zu is wrong", i);
    }
}

static void it_shows_the_file_and_costs_no_memory(void **state)
{
    static const size_t offsets[] = {0, 1, 4095, 4096, 4097, 50000, FILE_SIZE - 1};
    (void)state;
    int fd = new_file();
    size_t before = fa_ledger_bytes(ledger);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); ++i) {
        fa_buffer *buffer;
        size_t length = FILE_SIZE - offsets[i];
        assert_ok(fa_buffer_map(scope, fd, offsets[i], length, "body", FA_HERE, &buffer));
        assert_shows(buffer, offsets[i], length);
        assert_true(fa_buffer_sealed(buffer) && fa_buffer_mapped(buffer));
        assert_true(fa_ledger_bytes(ledger) - before < 400);
        assert_int_equal(fa_ledger_mapped(ledger), FILE_SIZE);
        fa_buffer_release(buffer);
        assert_int_equal(fa_ledger_mapped(ledger), 0);
    }
    close(fd);
}

static void what_is_not_in_the_file_is_refused(void **state)
{
    fa_buffer *buffer;
    (void)state;
    int fd = new_file();
    size_t before = fa_ledger_bytes(ledger);
    assert_int_equal(fa_buffer_map(scope, fd, 1, FILE_SIZE, "body", FA_HERE, &buffer), FA_INVALID);
    assert_int_equal(fa_buffer_map(scope, fd, FILE_SIZE + 1, 1, "body", FA_HERE, &buffer), FA_INVALID);
    assert_int_equal(fa_buffer_map(scope, fd, 0, 0, "body", FA_HERE, &buffer), FA_INVALID);
    assert_int_equal(fa_buffer_map(scope, -1, 0, 1, "body", FA_HERE, &buffer), FA_IO);
    close(fd);
    assert_int_equal(fa_ledger_bytes(ledger), before);
    assert_int_equal(fa_ledger_mapped(ledger), 0);
}

static void it_outlives_its_scope_by_slices_and_leases(void **state)
{
    fa_scope *turn;
    fa_buffer *body, *slice;
    (void)state;
    int fd = new_file();
    assert_ok(fa_scope_new(ledger, root, FA_KIND_TURN, 0, "turn", FA_HERE, &turn));
    assert_ok(fa_buffer_map(scope, fd, 10, 50000, "body", FA_HERE, &body));
    close(fd);
    assert_ok(fa_buffer_slice(scope, body, 100, 1000, FA_HERE, &slice));
    assert_true(fa_buffer_mapped(slice));
    assert_ok(fa_buffer_adopt(turn, slice));
    fa_scope_end(scope, "answered", NULL);
    assert_shows(slice, 110, 1000);
    assert_int_equal(fa_ledger_mapped(ledger), FILE_SIZE);
    fa_scope_end(turn, "said", NULL);
    assert_int_equal(fa_ledger_mapped(ledger), 0);
}

static void it_goes_to_another_owner_whole(void **state)
{
    fa_scope *turn;
    fa_buffer *body;
    (void)state;
    int fd = new_file();
    assert_ok(fa_scope_new(ledger, root, FA_KIND_TURN, 0, "turn", FA_HERE, &turn));
    assert_ok(fa_buffer_map(scope, fd, 0, FILE_SIZE, "body", FA_HERE, &body));
    close(fd);
    size_t had = fa_ledger_kind(ledger, FA_KIND_REQUEST)->bytes;
    assert_ok(fa_buffer_adopt(turn, body));
    assert_int_equal(had - fa_ledger_kind(ledger, FA_KIND_REQUEST)->bytes, fa_buffer_cost(body));
    fa_scope_end(scope, "answered", NULL);
    assert_shows(body, 0, FILE_SIZE);
}

static void the_limit_counts_what_files_take(void **state)
{
    fa_buffer *first, *second;
    (void)state;
    int fd = new_file();
    fa_ledger_limit_mapped(ledger, FILE_SIZE + FILE_SIZE / 2);
    assert_ok(fa_buffer_map(scope, fd, 0, 10, "body", FA_HERE, &first));
    size_t before = fa_ledger_bytes(ledger);
    assert_int_equal(fa_buffer_map(scope, fd, 0, 10, "body", FA_HERE, &second), FA_OVER_BUDGET);
    assert_int_equal(fa_ledger_bytes(ledger), before);
    assert_int_equal(fa_ledger_mapped(ledger), FILE_SIZE);
    fa_buffer_release(first);
    assert_ok(fa_buffer_map(scope, fd, 0, 10, "body", FA_HERE, &second));
    close(fd);
}

static void any_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        fa_scope *owner = NULL;
        fa_buffer *body, *slice;
        int fd = new_file();
        reached = false;
        NEED(fa_scope_new(failing, NULL, FA_KIND_REQUEST, 0, "request", FA_HERE, &owner) == FA_OK);
        NEED(fa_buffer_map(owner, fd, 5, 5000, "body", FA_HERE, &body) == FA_OK);
        NEED(fa_buffer_slice(owner, body, 1, 100, FA_HERE, &slice) == FA_OK);
        assert_shows(slice, 6, 100);
        reached = true;
    out:
        close(fd);
        if (owner != NULL)
            fa_scope_end(owner, "test", NULL);
        assert_int_equal(fa_ledger_mapped(failing), 0);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_shows_the_file_and_costs_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_in_the_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_outlives_its_scope_by_slices_and_leases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_to_another_owner_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_limit_counts_what_files_take, set_up, tear_down),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("buffers that show a file", tests, NULL, NULL);
}
