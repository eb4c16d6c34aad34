/* core/media: budgets: what is evicted when, what slow clients may hold, and what happens when there is no room. */
#include "media_world.h"

#include <stdio.h>
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

static void the_oldest_goes_first(void **state)
{
    char name[32], target[32];
    (void)state;
    for (unsigned i = 0; i < 20; ++i) { /* 20 x 100 KB through 1 MB */
        snprintf(name, sizeof(name), "%u.gif", i);
        snprintf(target, sizeof(target), "/%u.gif", i);
        media_world_write(&world, name, 100 * 1024, i);
        assert_file_answer(media_world_get(&world, target), 100 * 1024, i);
        assert_file_answer(media_world_get(&world, "/0.gif"), 100 * 1024, 0); /* used again and again */
        assert_true(world.answered_at_once);
        assert_true(fa_ledger_kind(world.ledger, FA_KIND_CACHE)->bytes <= 1024 * 1024 + 16 * 1024);
    }
    assert_in_range(cached_files(), 8, 10);
    media_world_get(&world, "/19.gif");
    assert_true(world.answered_at_once);
    media_world_get(&world, "/1.gif");
    assert_false(world.answered_at_once);
}

/* Memory is short: what was used least goes at once, and the cache stays small until it is told otherwise. */
static void it_shrinks_and_grows_again(void **state)
{
    char name[32], target[32];
    (void)state;
    for (unsigned i = 0; i < 8; ++i) {
        snprintf(name, sizeof(name), "%u.gif", i);
        snprintf(target, sizeof(target), "/%u.gif", i);
        media_world_write(&world, name, 100 * 1024, i);
        media_world_get(&world, target);
    }
    assert_int_equal(cached_files(), 8);
    fa_inprocess *slow = media_world_ask(&world, "GET", "/0.gif", NULL, true); /* in flight: it cannot give room */
    FA_TEST_RUN_WHILE(world.worker, fa_inprocess_waiting(slow) == 0);
    media_world_get(&world, "/7.gif");
    fa_media_shrink(world.media, 320 * 1024);
    assert_int_equal(cached_files(), 3);
    assert_true(cached_bytes() <= 320 * 1024);
    media_world_get(&world, "/7.gif");
    assert_true(world.answered_at_once);
    for (unsigned i = 1; i < 7; ++i) {
        snprintf(target, sizeof(target), "/%u.gif", i);
        assert_file_answer(media_world_get(&world, target), 100 * 1024, i);
        assert_true(cached_bytes() <= 320 * 1024);
    }
    fa_media_shrink(world.media, 50 * 1024); /* less than a file: they are streamed */
    assert_int_equal(cached_files(), 1);
    assert_file_answer(media_world_get(&world, "/5.gif"), 100 * 1024, 5);
    assert_int_equal(cached_files(), 1);
    fa_inprocess_take(slow, SIZE_MAX);
    fa_test_run_for(world.worker, 5);
    assert_file_answer(fa_inprocess_answered(slow), 100 * 1024, 0);
    fa_media_shrink(world.media, 0);
    assert_int_equal(cached_files(), 0);
    fa_media_shrink(world.media, SIZE_MAX);
    for (unsigned i = 0; i < 8; ++i) {
        snprintf(target, sizeof(target), "/%u.gif", i);
        assert_file_answer(media_world_get(&world, target), 100 * 1024, i);
    }
    assert_int_equal(cached_files(), 8);
}

/* Slow clients hold files that have been replaced and dropped: the bytes stay whole, and count until the last is
 * through. */
static void evicted_while_leased(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", 200000, 1);
    fa_inprocess *slow = media_world_ask(&world, "GET", "/a.gif", NULL, true);
    FA_TEST_RUN_WHILE(world.worker, fa_inprocess_waiting(slow) == 0);
    assert_int_equal(fa_inprocess_waiting(slow), 200000);
    assert_in_range(fa_ledger_in_flight(world.ledger), 200000, 201000);
    fa_inprocess_take(slow, 1000);
    fa_test_run_for(world.worker, 5);

    media_world_write(&world, "a.gif", 150000, 2);
    assert_file_answer(media_world_get(&world, "/a.gif"), 150000, 2);
    assert_int_equal(cached_bytes(), 150000);
    assert_in_range(fa_ledger_kind(world.ledger, FA_KIND_CACHE)->bytes, 350000, 380000);
    remove_file("a.gif");
    assert_int_equal(media_world_get(&world, "/a.gif")->status, 404);

    fa_inprocess_take(slow, SIZE_MAX);
    assert_file_answer(media_world_await(&world, slow), 200000, 1);
    assert_int_equal(cached_bytes(), 0);
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
    assert_true(fa_ledger_kind(world.ledger, FA_KIND_CACHE)->bytes < 16 * 1024);
    fa_inprocess_free(slow);
}

/* A client that has not taken anything yet, with the file on its way to it. */
static fa_inprocess *ask_and_wait(const char *target)
{
    fa_inprocess *client = media_world_ask(&world, "GET", target, NULL, true);
    FA_TEST_RUN_WHILE(world.worker, fa_inprocess_waiting(client) == 0);
    assert_true(fa_inprocess_waiting(client) > 0);
    return client;
}

/* When slow clients hold the whole budget, other files are served all the same, uncached; and they find their place
 * when the slow ones are through. */
static void without_room_files_are_served_uncached(void **state)
{
    fa_inprocess *slow[5];
    char name[32];
    (void)state;
    for (unsigned i = 0; i < 5; ++i) {
        snprintf(name, sizeof(name), "/slow%u.gif", i);
        media_world_write(&world, name + 1, 200 * 1024, i);
        slow[i] = ask_and_wait(name);
    }
    media_world_write(&world, "other.gif", 100 * 1024, 9);
    for (int i = 0; i < 3; ++i)
        assert_file_answer(media_world_get(&world, "/other.gif"), 100 * 1024, 9);
    assert_int_equal(cached_files(), 5);
    assert_true(fa_ledger_kind(world.ledger, FA_KIND_CACHE)->bytes <= 1024 * 1024 + 16 * 1024);
    for (unsigned i = 0; i < 5; ++i) {
        fa_inprocess_take(slow[i], SIZE_MAX);
        assert_file_answer(media_world_await(&world, slow[i]), 200 * 1024, i);
        fa_inprocess_free(slow[i]);
    }
    assert_file_answer(media_world_get(&world, "/other.gif"), 100 * 1024, 9);
    assert_int_equal(cached_files(), 5);
    media_world_get(&world, "/other.gif");
    assert_true(world.answered_at_once);
}

/* When even all that can be evicted would not make room enough, nothing is. */
static void nothing_is_evicted_in_vain(void **state)
{
    fa_inprocess *slow[4];
    char name[32];
    (void)state;
    media_world_write(&world, "small.gif", 50 * 1024, 8);
    media_world_get(&world, "/small.gif");
    for (unsigned i = 0; i < 4; ++i) {
        snprintf(name, sizeof(name), "/slow%u.gif", i);
        media_world_write(&world, name + 1, 200 * 1024, i);
        slow[i] = ask_and_wait(name);
    }
    media_world_write(&world, "wide.gif", 240 * 1024, 9);
    assert_file_answer(media_world_get(&world, "/wide.gif"), 240 * 1024, 9);
    assert_int_equal(cached_files(), 5);
    media_world_get(&world, "/small.gif");
    assert_true(world.answered_at_once);
    for (unsigned i = 0; i < 4; ++i)
        fa_inprocess_free(slow[i]);
}

/* The budget of the whole server is used up: the cache gives way first; when that is not enough the answer is 503 with
 * Retry-After; and when there is room again, all is as before. */
static void at_the_server_budget_503(void **state)
{
    (void)state;
    world.server_budget = 900 * 1024;
    media_world_begin(&world, &small_cache);
    world.server_budget = 0;
    fa_account *server = fa_scope_account(world.server);
    media_world_write(&world, "a.gif", 200000, 1);
    media_world_write(&world, "b.gif", 200000, 2);
    media_world_write(&world, "large.mp4", 300 * 1024, 3);
    assert_file_answer(media_world_get(&world, "/a.gif"), 200000, 1);
    fa_inprocess_free(world.last); /* its body counts too */
    world.last = NULL;

    size_t elsewhere = fa_account_room(server) - 150000;
    assert_ok(fa_account_charge(server, elsewhere));
    fa_inprocess *client = media_world_ask(&world, "HEAD", "/b.gif", NULL, false);
    assert_int_equal(media_world_await(&world, client)->status, 200);
    fa_inprocess_free(client);
    assert_int_equal(cached_bytes(),
                     200000); /* a.gif has made room for b.gif, though the cache's own budget had enough */

    size_t rest = fa_account_room(server) - 20000;
    assert_ok(fa_account_charge(server, rest));
    client = media_world_ask(&world, "GET", "/large.mp4", NULL, false);
    assert_int_equal(media_world_await(&world, client)->status, 503);
    assert_header(client, "retry-after", "1");
    assert_true(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);

    fa_account_discharge(server, rest);
    fa_account_discharge(server, elsewhere);
    assert_file_answer(media_world_get(&world, "/b.gif"), 200000, 2);
    media_world_end(&world);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_oldest_goes_first),
        IN_WORLD(it_shrinks_and_grows_again),
        cmocka_unit_test_setup_teardown(evicted_while_leased, begin_without_patience, end),
        IN_WORLD(without_room_files_are_served_uncached),
        IN_WORLD(nothing_is_evicted_in_vain),
        cmocka_unit_test(at_the_server_budget_503),
    };
    return cmocka_run_group_tests_name("media budget", tests, NULL, NULL);
}
