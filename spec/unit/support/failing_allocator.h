/* An allocator for tests that says no to the n-th request, and knows what has not been given back.
 *
 *     bool reached = false;
 *     FA_FAIL_EACH_ALLOCATION(ledger)
 *     {
 *         reached = my_scenario(ledger);
 *     }
 *     assert_true(reached);
 *
 * runs the body with the first allocation failing, then with the second, and so on, until it runs through without a
 * failure (once per n, so keep it short). After each run the test fails unless the ledger's bytes, bytes in flight,
 * scopes and handles are zero and every block has been given back. The body must bear any failure and clean up; it must
 * not leave by break or return. fa_failing_runs() tells how often the last loop ran. Thread: the body may use the
 * ledger from any.
 */
#ifndef FA_SUPPORT_FAILING_ALLOCATOR_H
#define FA_SUPPORT_FAILING_ALLOCATOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "memory/ledger.h"

typedef struct fa_failing {
    fa_allocator allocator; /* to be handed to fa_ledger_new */
    size_t fail_at;         /* the request that is refused, from 1; 0: none */
    bool fail_all_after;    /* and every one after it */
    _Atomic size_t requests, live_blocks;
    _Atomic bool failed;
} fa_failing;

/* Counts blocks; fails none unless fail_at is set. */
void fa_failing_init(fa_failing *failing);

/* A ledger whose figures must be zero when it is freed by fa_test_ledger_free, or the test fails. */
fa_ledger *fa_test_ledger(fa_failing *failing);
void fa_test_ledger_free(fa_failing *failing, fa_ledger *ledger);

/* For the macro: two rounds, one refusing the n-th request, one refusing every request from the n-th on. */
typedef struct fa_failing_loop {
    fa_failing failing;
    size_t n;
    bool all_after, over;
    fa_ledger *ledger;
} fa_failing_loop;

bool fa_failing_next(fa_failing_loop *loop);
size_t fa_failing_runs(void);

#define FA_FAIL_EACH_ALLOCATION(name)                                                                                  \
    for (fa_failing_loop fa_loop = {.n = 0}; fa_failing_next(&fa_loop);)                                               \
        for (fa_ledger *name = fa_loop.ledger, *fa_once = name; fa_once != NULL; fa_once = NULL)

#endif
