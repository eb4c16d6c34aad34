/* How every unit test ends: with nothing left.
 *
 * testing.h puts fa_ending_run in the place of cmocka's runners. After each test and its own teardown it fails the test unless
 *
 *   - every ledger that the test made (fa_test_ledger, FA_FAIL_EACH_ALLOCATION) has been freed, at zero. What is left in it is named:
 *     scopes, buffers and handles with the line that made them, a worker's timers with the line that set them up, its jobs;
 *   - the file descriptors are those that were open before it. A new one is named by what it stands for.
 *
 * A test that has failed by itself is not looked at: what it leaves behind is its failure's. test_ending.c shows that it works.
 */
#ifndef FA_SUPPORT_ENDING_H
#define FA_SUPPORT_ENDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory/inventory.h"
#include "worker/worker.h"

int fa_ending_run(const char *name, const struct CMUnitTest *tests, size_t count, CMFixtureFunction group_setup,
                  CMFixtureFunction group_teardown);

/* For failing_allocator.c: a ledger was made, which must go before the test is over; it is about to go, and must be at zero. */
void fa_ending_watch(fa_ledger *ledger);
void fa_ending_of(fa_ledger *ledger);

/* What lives on a worker and does not last as long as it does. */
void fa_ending_take(fa_inventory *left, fa_worker *worker);

/* Fails the test and names all of it. where: "the ledger". */
void fa_ending_fail(const fa_inventory *left, const char *where);

#endif
