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

#include "ending.h"
#include "failing_allocator.h"
#include "worker/worker.h"

/* Every test ends as ending.h says. */
#undef cmocka_run_group_tests
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    fa_ending_run(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
    fa_ending_run(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

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
