/* core/media: files that are too large for the cache: piece by piece, at the client's pace, never half old and half
 * new. */
#include "media_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LARGE = 1000000, PIECE = 256 * 1024 };

static media_world world;

static int begin(void **state)
{
    (void)state;
    media_world_begin(&world, &small_cache);
    return 0;
}

static int end(void **state)
{
    (void)state;
    media_world_end(&world);
    return 0;
}

static size_t open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300], target[300];
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        count += strncmp(target, "/tmp/fa-media-", 14) == 0;
    }
    closedir(folder);
    return count;
}

static size_t request_bytes(void)
{
    return fa_ledger_kind(world.ledger, FA_KIND_REQUEST)->bytes;
}

static size_t job_bytes(void)
{
    return fa_ledger_kind(world.ledger, FA_KIND_JOB)->bytes;
}

static fa_inprocess *ask_slowly(const char *target)
{
    fa_inprocess *client = media_world_ask(&world, "GET", target, NULL, true);
    assert_non_null(client);
    FA_TEST_RUN_WHILE(world.worker, fa_inprocess_waiting(client) == 0);
    assert_true(fa_inprocess_waiting(client) > 0);
    return client;
}

static void large_files_arrive_whole(void **state)
{
    static const size_t sizes[] = {LARGE, PIECE * 2, PIECE + 1, PIECE * 3 - 1};
    (void)state;
    for (unsigned i = 0; i < 4; ++i) {
        media_world_write(&world, "large.mp4", sizes[i], i);
        assert_file_answer(media_world_get(&world, "/large.mp4"), sizes[i], i);
        assert_header(world.last, "content-type", "video/mp4");
        assert_true(fa_inprocess_header(world.last, "etag").length > 2);
        assert_int_equal(open_files(), 0);
    }
    size_t files, bytes;
    fa_media_stats(world.media, &files, &bytes);
    assert_int_equal(files, 0);
}

static void one_piece_at_a_time(void **state)
{
    (void)state;
    media_world_write(&world, "large.mp4", LARGE, 1);
    fa_inprocess *client = ask_slowly("/large.mp4");
    for (size_t taken = 0; taken < LARGE - PIECE; taken += 50000) {
        assert_true(fa_inprocess_waiting(client) <= PIECE);
        assert_true(request_bytes() < PIECE + 16 * 1024);
        fa_inprocess_take(client, 50000);
        fa_test_run_for(world.worker, 3);
    }
    assert_true(fa_inprocess_answered(client)->length == LARGE);
    fa_inprocess_take(client, SIZE_MAX);
    assert_file_answer(media_world_await(&world, client), LARGE, 1);
    assert_int_equal(request_bytes(), 0);
    fa_inprocess_free(client);
}

static void a_crowd_shares_one_descriptor(void **state)
{
    fa_inprocess *clients[10];
    (void)state;
    media_world_write(&world, "large.mp4", LARGE, 1);
    for (int i = 0; i < 10; ++i)
        clients[i] = media_world_ask(&world, "GET", "/large.mp4", NULL, true);
    for (int i = 0; i < 10; ++i) {
        FA_TEST_RUN_WHILE(world.worker, fa_inprocess_waiting(clients[i]) == 0);
    }
    assert_int_equal(open_files(), 1);
    for (int i = 0; i < 10; i += 2)
        fa_inprocess_vanish(clients[i]);
    for (int i = 1; i < 10; i += 2) {
        fa_inprocess_take(clients[i], SIZE_MAX);
        assert_file_answer(media_world_await(&world, clients[i]), LARGE, 1);
    }
    assert_int_equal(open_files(), 0);
    for (int i = 0; i < 10; ++i)
        fa_inprocess_free(clients[i]);
}

/* Vanishing before the head, while a piece is read, and while one is under way. */
static void clients_vanish_at_any_time(void **state)
{
    (void)state;
    size_t idle = job_bytes();
    media_world_write(&world, "large.mp4", LARGE, 1);
    for (unsigned wait = 0; wait < 40; ++wait) {
        fa_inprocess *client = media_world_ask(&world, "GET", "/large.mp4", NULL, wait % 2 == 0);
        for (unsigned i = 0; i < wait / 4; ++i) {
            fa_inprocess_take(client, 100000);
            uv_run(fa_worker_loop(world.worker), UV_RUN_NOWAIT);
        }
        fa_inprocess_free(client);
    }
    FA_TEST_RUN_WHILE(world.worker, job_bytes() != idle); /* jobs under way: they are the worker's */
    assert_int_equal(job_bytes(), idle);
    assert_int_equal(request_bytes(), 0);
    assert_int_equal(open_files(), 0);
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
}

static void change_in_place(const char *name, size_t new_size, const char *bytes)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", world.folder, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    if (bytes != NULL)
        assert_int_equal(pwrite(fd, bytes, strlen(bytes), (off_t)new_size - 10), strlen(bytes));
    else
        assert_int_equal(ftruncate(fd, (off_t)new_size), 0);
    close(fd);
}

/* Takes everything; what came must be a piece of the old file, and the answer must not seem complete. */
static void assert_cut(fa_inprocess *client, unsigned seed)
{
    static unsigned char expected[LARGE];
    fa_inprocess_take(client, SIZE_MAX);
    const fa_inprocess_answer *answer = media_world_await(&world, client);
    assert_false(answer->complete);
    assert_int_equal(answer->status, 200);
    assert_true(fa_buffer_length(answer->body) < LARGE);
    media_world_fill(expected, LARGE, seed);
    assert_memory_equal(fa_buffer_data(answer->body), expected, fa_buffer_length(answer->body));
    fa_inprocess_free(client);
    assert_int_equal(open_files(), 0);
}

static void a_changed_file_cuts_the_stream(void **state)
{
    (void)state;
    media_world_write(&world, "a.mp4", LARGE, 1);
    fa_inprocess *client = ask_slowly("/a.mp4");
    change_in_place("a.mp4", 300000, NULL); /* truncated */
    assert_cut(client, 1);

    media_world_write(&world, "a.mp4", LARGE, 2);
    client = ask_slowly("/a.mp4");
    change_in_place("a.mp4", LARGE + 50000, NULL); /* has grown */
    assert_cut(client, 2);

    media_world_write(&world, "a.mp4", LARGE, 3);
    client = ask_slowly("/a.mp4");
    usleep(20000); /* file times move in steps of some milliseconds */
    change_in_place("a.mp4", LARGE / 2, "other bytes");
    assert_cut(client, 3);
}

/* A rename does not touch the file that is being read. */
static void a_replaced_file_is_streamed_to_its_end(void **state)
{
    (void)state;
    media_world_write(&world, "a.mp4", LARGE, 1);
    fa_inprocess *client = ask_slowly("/a.mp4");
    media_world_write(&world, "a.mp4", LARGE, 2);
    assert_file_answer(media_world_get(&world, "/a.mp4"), LARGE, 2);
    fa_inprocess_take(client, SIZE_MAX);
    assert_file_answer(media_world_await(&world, client), LARGE, 1);
    fa_inprocess_free(client);
}

/* The worker ends in the middle of streams and lookups. */
static void the_worker_ends_under_way(void **state)
{
    (void)state;
    media_world_write(&world, "a.mp4", LARGE, 1);
    media_world_write(&world, "b.gif", 1000, 1);
    ask_slowly("/a.mp4");
    media_world_ask(&world, "GET", "/a.mp4", NULL, false);
    media_world_ask(&world, "GET", "/b.gif", NULL, false);
    fa_worker_free(world.worker); /* the clients' scope hangs from it */
    world.worker = NULL;
    assert_int_equal(open_files(), 0);
    assert_int_equal(request_bytes(), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(large_files_arrive_whole),       IN_WORLD(one_piece_at_a_time),
        IN_WORLD(a_crowd_shares_one_descriptor),  IN_WORLD(clients_vanish_at_any_time),
        IN_WORLD(a_changed_file_cuts_the_stream), IN_WORLD(a_replaced_file_is_streamed_to_its_end),
        IN_WORLD(the_worker_ends_under_way),
    };
    return cmocka_run_group_tests_name("media stream", tests, NULL, NULL);
}
