/* The ending of unit tests (support/ending.h): what a test leaves is named with its line, and fails it.
 *
 * The program runs itself for that: with "--leave" it is a group of tests each of which leaves something, and fails. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/timer.h"

static fa_failing memory;

/* ---- tests that leave something ---- */

static const fa_handle_type thing = {"thing", NULL};
static unsigned made_line; /* is told to whoever reads the output */

#define HERE (made_line = __LINE__, FA_HERE)

static fa_worker *worker_of_a_ledger(void)
{
    fa_worker *worker;
    assert_ok(fa_worker_new(fa_test_ledger(&memory), NULL, 0, NULL, &worker, NULL));
    return worker;
}

static void tell_line(const char *what)
{
    print_message("%s made at %u\n", what, made_line);
}

static void leaves_a_scope(void **state)
{
    fa_scope *scope;
    (void)state;
    assert_ok(fa_scope_new(fa_test_ledger(&memory), NULL, FA_KIND_JOB, 0, "forgotten", HERE, &scope));
    tell_line("scope");
}

static void leaves_a_buffer(void **state)
{
    fa_buffer *buffer;
    (void)state;
    assert_ok(fa_buffer_new(fa_worker_scope(worker_of_a_ledger()), 100, "some words", HERE, &buffer));
    tell_line("buffer");
}

static void leaves_a_handle(void **state)
{
    fa_handle handle;
    (void)state;
    fa_worker *worker = worker_of_a_ledger();
    assert_ok(
        fa_handle_make(fa_worker_handles(worker), &thing, worker, fa_worker_scope(worker), "of mine", HERE, &handle));
    tell_line("handle");
}

static void never(fa_timer *timer)
{
    (void)timer;
}

static void leaves_a_timer(void **state)
{
    static fa_timer timer;
    (void)state;
    fa_worker *worker = worker_of_a_ledger();
    made_line = __LINE__ + 1;
    fa_timer_init(&timer, worker, fa_worker_scope(worker), never);
    assert_ok(fa_timer_start(&timer, 60000));
    tell_line("timer");
}

/* A buffer that its owner has let go is held by a lease alone. */
static void leaves_a_lease(void **state)
{
    fa_scope *scope;
    fa_buffer *buffer;
    (void)state;
    fa_ledger *ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_TURN, 0, "turn", FA_HERE, &scope));
    assert_ok(fa_buffer_new(scope, 100, "on its way", FA_HERE, &buffer));
    fa_buffer_seal(buffer);
    assert_ok(fa_buffer_lease(buffer));
    fa_scope_end(scope, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
}

static void leaves_a_file(void **state)
{
    (void)state;
    assert_true(open("/dev/full", O_RDONLY) > 0);
}

static int set_up(void **state)
{
    *state = fa_test_ledger(&memory);
    return 0;
}

static int tear_down(void **state)
{
    fa_test_ledger_free(&memory, *state);
    return 0;
}

static void leaves_it_to_its_teardown(void **state)
{
    assert_non_null(*state);
}

static void fails_by_itself(void **state)
{
    leaves_a_scope(state);
    fail_msg("its own reason");
}

static void leave(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_a_scope),
        cmocka_unit_test(leaves_a_buffer),
        cmocka_unit_test(leaves_a_handle),
        cmocka_unit_test(leaves_a_timer),
        cmocka_unit_test(leaves_a_lease),
        cmocka_unit_test(leaves_a_file),
        cmocka_unit_test_setup_teardown(leaves_it_to_its_teardown, set_up, tear_down),
        cmocka_unit_test(fails_by_itself),
        cmocka_unit_test_setup_teardown(leaves_it_to_its_teardown, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* at once: a sanitizer would find the same, and it would count */
}

/* ---- and what comes of it ---- */

static const char *self;
static char heard[20000];

static int hear(void **state)
{
    (void)state;
    char command[500];
    snprintf(command, sizeof(command), "CMOCKA_MESSAGE_OUTPUT=TAP exec '%s' --leave 2>&1", self);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        return 1;
    heard[fread(heard, 1, sizeof(heard) - 1, pipe)] = '\0';
    return WEXITSTATUS(pclose(pipe)) == 7 ? 0 : 1; /* so many of the nine fail */
}

static void assert_told(const char *text)
{
    if (strstr(heard, text) == NULL)
        fail_msg("\"%s\" is not in:\n%.800s", text, heard);
}

/* "what ..., made at .../test_ending.c:LINE", with the line that the test has told. */
static void assert_told_with_line(const char *what, const char *told)
{
    char line[40];
    const char *at = strstr(heard, told);
    assert_non_null(at);
    snprintf(line, sizeof(line), "test_ending.c:%d\n", atoi(at + strlen(told)));
    at = strstr(heard, what);
    assert_non_null(at);
    const char *found = strstr(at, line);
    assert_true(found != NULL && found < strchr(at, '\n'));
}

static void scopes_buffers_and_handles_are_named_with_their_line(void **state)
{
    (void)state;
    assert_told_with_line("scope 'forgotten', ", "scope made at ");
    assert_told_with_line("buffer 'some words' of worker, ", "buffer made at ");
    assert_told_with_line("handle thing #0 'of mine' of worker, ", "handle made at ");
    assert_told("not ok 1 ");
    assert_told("not ok 2 ");
    assert_told("not ok 3 ");
}

static void timers_are_named_with_their_line(void **state)
{
    (void)state;
    assert_told_with_line("timer of worker, ", "timer made at ");
    assert_told("not ok 4 ");
}

static void bytes_that_nobody_owns_are_named_by_their_kind(void **state)
{
    (void)state;
    assert_told("bytes of kind turn that no scope holds, ");
    assert_told("not ok 5 ");
}

static void open_files_are_named(void **state)
{
    (void)state;
    assert_told(", /dev/full\n");
    assert_told("not ok 6 ");
}

/* What the test's own teardown gives back is not left, and neither is what a test that failed could not get to. */
static void only_what_is_left_is_held_against_it(void **state)
{
    (void)state;
    assert_told("\nok 7 ");
    assert_told("its own reason");
    assert_told("not ok 8 ");
    assert_null(strstr(strstr(heard, "its own reason"), "forgotten"));
    assert_told("\nok 9 ");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_buffers_and_handles_are_named_with_their_line),
        cmocka_unit_test(timers_are_named_with_their_line),
        cmocka_unit_test(bytes_that_nobody_owns_are_named_by_their_kind),
        cmocka_unit_test(open_files_are_named),
        cmocka_unit_test(only_what_is_left_is_held_against_it),
    };
    if (argc > 1 && strcmp(argv[1], "--leave") == 0)
        leave();
    self = argv[0];
    return cmocka_run_group_tests_name("how unit tests end", tests, hear, NULL);
}
