/* core/media: the cache: what is answered from memory, who shares a look at the disk, and that nothing is left.
 * Budgets are in test_media_budget.c. */
#include "media_world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static media_world world;

static int begin(void **state)
{
    (void)state;
    media_world_begin(&world, &small_cache);
    return 0;
}

static int begin_without_patience(void **state)
{
    fa_media_options options = small_cache;
    (void)state;
    options.recheck_ms = 0;
    media_world_begin(&world, &options);
    return 0;
}

static int end(void **state)
{
    (void)state;
    media_world_end(&world);
    return 0;
}

static size_t cached_files(void)
{
    size_t files, bytes;
    fa_media_stats(world.media, &files, &bytes);
    return files;
}

static size_t cached_bytes(void)
{
    size_t files, bytes;
    fa_media_stats(world.media, &files, &bytes);
    return bytes;
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", world.folder, name);
    assert_int_equal(unlink(path), 0);
}

static void hot_files_need_no_disk(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", 5000, 1);
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1);
    assert_false(world.answered_at_once);
    assert_int_equal(cached_files(), 1);
    assert_int_equal(cached_bytes(), 5000);
    remove_file("a.gif");
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1);
    assert_true(world.answered_at_once);
}

static void after_recheck_the_disk_is_asked(void **state)
{
    char etag[100];
    (void)state;
    media_world_write(&world, "a.gif", 5000, 1);
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1);
    fa_text found = fa_inprocess_header(world.last, "etag");
    snprintf(etag, sizeof(etag), "%.*s", (int)found.length, found.data);
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1); /* unchanged: not read again */
    assert_false(world.answered_at_once);
    assert_header(world.last, "etag", etag);

    media_world_write(&world, "a.gif", 5000, 2); /* the same size, other bytes */
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 2);
    assert_int_not_equal(memcmp(fa_inprocess_header(world.last, "etag").data, etag, strlen(etag)), 0);
    media_world_write(&world, "a.gif", 300 * 1024, 3); /* has grown over the limit */
    assert_file_answer(media_world_get(&world, "/a.gif"), 300 * 1024, 3);
    assert_int_equal(cached_files(), 0);
    media_world_write(&world, "a.gif", 10, 4);
    assert_file_answer(media_world_get(&world, "/a.gif"), 10, 4);
    assert_int_equal(cached_files(), 1);
    remove_file("a.gif");
    assert_int_equal(media_world_get(&world, "/a.gif")->status, 404);
    assert_int_equal(cached_files(), 0);
}

static size_t job_bytes(void)
{
    return fa_ledger_kind(world.ledger, FA_KIND_JOB)->bytes;
}

/* A crowd that asks for one cold file: one lookup, one copy, everybody answered; some of them leave before. */
static void a_crowd_shares_one_lookup(void **state)
{
    enum { CROWD = 60 };
    fa_inprocess *clients[CROWD];
    (void)state;
    media_world_write(&world, "a.gif", 100000, 1);
    size_t before = job_bytes();
    clients[0] = media_world_ask(&world, "GET", "/a.gif", NULL, false);
    size_t one_job = job_bytes();
    assert_true(one_job > before);
    for (int i = 1; i < CROWD; ++i)
        clients[i] = media_world_ask(&world, "GET", "/a.gif", NULL, false);
    assert_int_equal(job_bytes(), one_job);
    for (int i = 0; i < CROWD; i += 3)
        fa_inprocess_vanish(clients[i]);
    for (int i = 0; i < CROWD; ++i) {
        const fa_inprocess_answer *answer = media_world_await(&world, clients[i]);
        if (i % 3 == 0)
            assert_false(answer->complete); /* though begun, perhaps: the pool may have been faster than we asked */
        else
            assert_file_answer(answer, 100000, 1);
        fa_inprocess_free(clients[i]);
    }
    assert_int_equal(cached_files(), 1);
    assert_int_equal(job_bytes(), before);
}

/* All of them leave: the file is in the cache all the same. */
static void a_lookup_outlives_its_askers(void **state)
{
    (void)state;
    size_t idle = job_bytes();
    media_world_write(&world, "a.gif", 1000, 1);
    fa_inprocess_free(media_world_ask(&world, "GET", "/a.gif", NULL, false));
    FA_TEST_RUN_WHILE(world.worker, job_bytes() != idle); /* the job is over */
    assert_int_equal(cached_files(), 1);
    assert_int_equal(fa_ledger_kind(world.ledger, FA_KIND_REQUEST)->bytes, 0);
    fa_inprocess_free(
        media_world_ask(&world, "GET", "/a.gif", NULL, false)); /* and one that vanishes while it is sent */
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        ++count;
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* The last answer's body, and what must not grow. */
static size_t bytes_beside_the_cache(void)
{
    return fa_ledger_bytes(world.ledger) - fa_ledger_kind(world.ledger, FA_KIND_CACHE)->bytes;
}

static void a_thousand_requests_leave_nothing(void **state)
{
    enum { TARGETS = 13 }; /* twelve files, the last ones streamed, and one that is missing */
    size_t warm = 0, descriptors = 0;
    char target[64];
    (void)state;
    for (unsigned i = 0; i < TARGETS - 1; ++i) {
        snprintf(target, sizeof(target), "%u.gif", i);
        media_world_write(&world, target, 30000 * i, i);
    }
    for (unsigned i = 0; i < 1000; ++i) {
        snprintf(target, sizeof(target), "/%u.gif", i % TARGETS);
        const fa_inprocess_answer *answer = media_world_get(&world, target);
        if (i % TARGETS == TARGETS - 1)
            assert_int_equal(answer->status, 404);
        else
            assert_file_answer(answer, 30000 * (i % TARGETS), i % TARGETS);
        if (i == 8 + TARGETS) {
            warm = bytes_beside_the_cache();
            descriptors = open_descriptors();
        } else if (i > 8 + TARGETS && i % TARGETS == 8) { /* flat, to the byte */
            assert_int_equal(bytes_beside_the_cache(), warm);
            assert_int_equal(open_descriptors(), descriptors);
        }
    }
    assert_int_equal(fa_ledger_kind(world.ledger, FA_KIND_REQUEST)->count, 0);
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
}

/* The GIFs of ../shared, when they are there. */
static void real_gifs(void **state)
{
    const char *folder = FA_SOURCE_HOME "/../shared/data/exercises/media";
    DIR *gifs = opendir(folder);
    unsigned seen = 0;
    (void)state;
    if (gifs == NULL)
        skip();
    world.mount.root = folder;
    for (struct dirent *entry; (entry = readdir(gifs)) != NULL && seen < 60;) {
        char path[512], target[300];
        struct stat status;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        snprintf(target, sizeof(target), "/%s", entry->d_name);
        if (strchr(entry->d_name, ' ') != NULL || strstr(entry->d_name, ".gif") == NULL || stat(path, &status) != 0)
            continue;
        const fa_inprocess_answer *answer = media_world_get(&world, target);
        assert_int_equal(answer->status, 200);
        assert_int_equal(fa_buffer_length(answer->body), status.st_size);
        assert_memory_equal(fa_buffer_data(answer->body), "GIF8", 4);
        assert_header(world.last, "content-type", "image/gif");
        ++seen;
    }
    closedir(gifs);
    assert_true(seen > 0);
}

/* ---- every allocation may fail ---- */

static bool media_scenario(fa_ledger *ledger)
{
    bool reached = false;
    if (!media_world_begin_on(&world, ledger, &small_cache))
        return false;
    media_world_write(&world, "a.gif", 5000, 1);
    media_world_write(&world, "large.gif", 300 * 1024, 2);
    static const char *const targets[] = {"/a.gif", "/a.gif", "/large.gif", "/missing.gif"};
    static const int statuses[] = {200, 200, 200, 404};
    for (int i = 0; i < 4; ++i) {
        fa_inprocess *client = media_world_ask(&world, "GET", targets[i], NULL, false);
        NEED(client != NULL);
        const fa_inprocess_answer *answer = media_world_await(&world, client);
        bool whole = answer->status == statuses[i] && answer->complete;
        if (whole && i < 3) /* whatever failed: never wrong bytes in a whole answer */
            assert_file_answer(answer, i < 2 ? 5000 : 300 * 1024, i < 2 ? 1 : 2);
        assert_true(answer->status == statuses[i] || answer->status == 503 || answer->status == 400 ||
                    !answer->complete);
        fa_inprocess_free(client);
        NEED(whole);
    }
    reached = true;
out:
    media_world_end_on(&world);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = media_scenario(failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 100);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(hot_files_need_no_disk),
        cmocka_unit_test_setup_teardown(after_recheck_the_disk_is_asked, begin_without_patience, end),
        IN_WORLD(a_crowd_shares_one_lookup),
        IN_WORLD(a_lookup_outlives_its_askers),
        cmocka_unit_test_setup_teardown(a_thousand_requests_leave_nothing, begin_without_patience, end),
        IN_WORLD(real_gifs),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("media cache", tests, NULL, NULL);
}
