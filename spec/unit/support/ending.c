#include "ending.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/job.h"
#include "worker/timer.h"

enum { MAX_LEDGERS = 16, MAX_FILES = 1024, TEXT_SIZE = 900 }; /* of a message cmocka prints 1,023 characters */

static fa_ledger *ledgers[MAX_LEDGERS]; /* of the test that runs */
static bool was_open[MAX_FILES];
static fa_inventory left;

/* ---- naming ---- */

void fa_ending_fail(const fa_inventory *what, const char *where)
{
    char text[TEXT_SIZE], line[300];
    size_t used = 0, shown = what->count < FA_INVENTORY_ITEMS ? what->count : FA_INVENTORY_ITEMS;
    text[0] = '\0';
    for (size_t i = 0; i < shown; ++i) {
        int length = snprintf(line, sizeof(line), "\n  %s", fa_item_text(&what->items[i], (char[260]){0}, 260));
        if (used + (size_t)length >= sizeof(text) - 40) {
            shown = i;
            break;
        }
        memcpy(text + used, line, (size_t)length + 1);
        used += (size_t)length;
    }
    if (shown < what->count)
        snprintf(text + used, sizeof(text) - used, "\n  and %zu more", what->count - shown);
    fail_msg("left in %s:%s", where, text);
}

static void take_worker(fa_inventory *to, fa_worker *worker, bool lasting)
{
    fa_timers_take_inventory(worker, to, NULL, lasting);
    fa_jobs_take_inventory(worker, to);
}

void fa_ending_take(fa_inventory *to, fa_worker *worker)
{
    fa_inventory_take(to, fa_worker_scope(worker), NULL, false, fa_worker_index(worker));
    take_worker(to, worker, false);
}

/* ---- ledgers ---- */

void fa_ending_watch(fa_ledger *ledger)
{
    for (size_t i = 0; i < MAX_LEDGERS; ++i) {
        if (ledgers[i] == NULL) {
            ledgers[i] = ledger;
            return;
        }
    }
    fail_msg("more than %d ledgers in one test", MAX_LEDGERS);
}

static void take_ledger(fa_ledger *ledger)
{
    left.count = 0;
    for (fa_scope *root = NULL; (root = fa_scope_next_root(ledger, root)) != NULL;) {
        fa_inventory_take(&left, root, NULL, true, 0);
        for (fa_scope *at = NULL; (at = fa_scope_walk(root, at, true)) != NULL;) {
            fa_worker *worker = fa_scope_kind(at) == FA_KIND_WORKER ? fa_worker_of(at) : NULL;
            if (worker != NULL)
                take_worker(&left, worker, true);
        }
    }
}

/* Bytes that no scope holds any more: a lease, a job, a detached buffer, or an account that was not let go. */
static void add_bytes_by_kind(fa_ledger *ledger)
{
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(ledger, (fa_kind)kind);
        fa_item item = {.what = "bytes", .kind = (fa_kind)kind, .bytes = c->bytes};
        snprintf(item.name, sizeof(item.name), "of kind %s that no scope holds, %zu of them in flight",
                 fa_kind_name((fa_kind)kind), (size_t)c->in_flight_bytes);
        if (c->bytes > 0)
            fa_inventory_add(&left, &item);
    }
}

void fa_ending_of(fa_ledger *ledger)
{
    for (size_t i = 0; i < MAX_LEDGERS; ++i)
        ledgers[i] = ledgers[i] == ledger ? NULL : ledgers[i];
    take_ledger(ledger);
    if (left.count == 0)
        add_bytes_by_kind(ledger);
    if (left.count > 0)
        fa_ending_fail(&left, "the ledger");
}

static void check_ledgers(void)
{
    for (size_t i = 0; i < MAX_LEDGERS; ++i) {
        if (ledgers[i] == NULL)
            continue;
        take_ledger(ledgers[i]);
        fa_ending_fail(&left, "a ledger that the test has not freed");
    }
}

/* ---- file descriptors ---- */

/* Calls see for each that is open. */
static void each_file(void (*see)(int file))
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int file = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && file != dirfd(folder) && file < MAX_FILES)
            see(file);
    }
    closedir(folder);
}

static void note_file(int file)
{
    was_open[file] = true;
}

static void add_file(int file)
{
    char path[40], target[100];
    if (was_open[file])
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = '\0';
    fa_item item = {.what = "file"};
    snprintf(item.name, sizeof(item.name), "%d, %s", file, target);
    fa_inventory_add(&left, &item);
}

static void check_files(void)
{
    left.count = 0;
    each_file(add_file);
    if (left.count > 0)
        fa_ending_fail(&left, "the table of open files");
}

/* ---- one test ---- */

typedef struct one_test {
    const struct CMUnitTest *test;
    void *state;
    bool failed;
} one_test;

static int begin(void **state)
{
    one_test *one = *state;
    memset(ledgers, 0, sizeof(ledgers));
    memset(was_open, 0, sizeof(was_open));
    each_file(note_file);
    one->state = one->test->initial_state;
    return one->test->setup_func != NULL ? one->test->setup_func(&one->state) : 0;
}

static void run(void **state)
{
    one_test *one = *state;
    one->failed = true;
    one->test->test_func(&one->state);
    one->failed = false;
}

static int end(void **state)
{
    one_test *one = *state;
    int result = one->test->teardown_func != NULL ? one->test->teardown_func(&one->state) : 0;
    if (one->failed || result != 0)
        return result;
    check_ledgers();
    check_files();
    return 0;
}

int fa_ending_run(const char *name, const struct CMUnitTest *tests, size_t count, CMFixtureFunction group_setup,
                  CMFixtureFunction group_teardown)
{
    uv_loop_t loop; /* the first one of a process opens files of its own that stay */
    struct CMUnitTest *wrapped = calloc(count, sizeof(*wrapped));
    one_test *each = calloc(count, sizeof(*each));
    if (wrapped == NULL || each == NULL || uv_loop_init(&loop) != 0 || uv_loop_close(&loop) != 0)
        return 1;
    for (size_t i = 0; i < count; ++i) {
        each[i].test = &tests[i];
        wrapped[i] = (struct CMUnitTest){tests[i].name, run, begin, end, &each[i]};
    }
    int failed = _cmocka_run_group_tests(name, wrapped, count, group_setup, group_teardown);
    free(each);
    free(wrapped);
    return failed;
}
