/* What every C unit test includes: cmocka with the headers it wants before itself, and the short words of these tests.
 * */
#ifndef FA_SUPPORT_TESTING_H
#define FA_SUPPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "failing_allocator.h"
#include "worker/worker.h"

#define assert_ok(expression) assert_int_equal((expression), FA_OK)

/* In a scenario that must bear any failure: leaves for the clean-up. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            goto out;                                                                                                  \
    } while (0)

/* Turns the worker's loop on the test's own thread until *flag is true; false when it is not within 20 s. */
bool fa_test_run_until(fa_worker *worker, const bool *flag);

/* Turns it while the condition holds, for 20 s at most. What is expected to happen is waited for with this; only what must
 * not happen is given a fixed time. */
#define FA_TEST_RUN_WHILE(worker, condition)                                                                           \
    for (unsigned fa_turns = 0; (condition) && fa_turns < 20000; ++fa_turns)                                           \
    fa_test_run_for(worker, 1)

/* Turns the loop for about `milliseconds`. */
void fa_test_run_for(fa_worker *worker, unsigned milliseconds);

#endif
