#include "failing_allocator.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ending.h"

static size_t runs_of_last_loop;

static bool refuse(fa_failing *failing)
{
    size_t request = ++failing->requests;
    if (failing->fail_at == 0 || request < failing->fail_at)
        return false;
    if (request > failing->fail_at && !failing->fail_all_after)
        return false;
    failing->failed = true;
    return true;
}

static void *allocate(void *context, size_t size)
{
    fa_failing *failing = context;
    void *block = refuse(failing) ? NULL : malloc(size != 0 ? size : 1);
    if (block != NULL)
        failing->live_blocks++;
    return block;
}

static void *resize(void *context, void *block, size_t size)
{
    fa_failing *failing = context;
    if (block == NULL)
        return allocate(context, size);
    return refuse(failing) ? NULL : realloc(block, size);
}

static void release(void *context, void *block)
{
    fa_failing *failing = context;
    if (block != NULL)
        failing->live_blocks--;
    free(block);
}

void fa_failing_init(fa_failing *failing)
{
    memset(failing, 0, sizeof(*failing));
    failing->allocator = (fa_allocator){allocate, resize, release, failing};
}

fa_ledger *fa_test_ledger(fa_failing *failing)
{
    fa_failing_init(failing);
    fa_ledger *ledger = fa_ledger_new(&failing->allocator);
    assert_non_null(ledger);
    fa_ending_watch(ledger);
    return ledger;
}

void fa_test_ledger_free(fa_failing *failing, fa_ledger *ledger)
{
    fa_ending_of(ledger);
    assert_int_equal(fa_ledger_bytes(ledger), 0);
    assert_int_equal(fa_ledger_in_flight(ledger), 0);
    assert_int_equal(fa_ledger_mapped(ledger), 0);
    assert_int_equal(fa_ledger_scopes(ledger), 0);
    assert_int_equal(*fa_ledger_handles(ledger), 0);
    fa_ledger_free(ledger);
    assert_int_equal(failing->live_blocks, 0);
}

/* Ends the run before, if there was one: when nothing was refused any more, its round is over. */
static void finish_run(fa_failing_loop *loop)
{
    if (loop->ledger == NULL)
        return;
    fa_test_ledger_free(&loop->failing, loop->ledger);
    loop->ledger = NULL;
    if (loop->failing.failed)
        return;
    loop->over = loop->all_after;
    loop->all_after = true;
    loop->n = 0;
}

bool fa_failing_next(fa_failing_loop *loop)
{
    if (loop->n == 0)
        runs_of_last_loop = 0;
    finish_run(loop);
    while (!loop->over) {
        fa_failing_init(&loop->failing);
        loop->failing.fail_at = ++loop->n;
        loop->failing.fail_all_after = loop->all_after;
        runs_of_last_loop++;
        if ((loop->ledger = fa_ledger_new(&loop->failing.allocator)) != NULL) {
            fa_ending_watch(loop->ledger);
            return true;
        }
        assert_true(loop->failing.failed); /* the ledger itself was refused: the next one */
    }
    return false;
}

size_t fa_failing_runs(void)
{
    return runs_of_last_loop;
}
