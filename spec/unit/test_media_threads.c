/* core/media: one cache, several workers on threads of their own, files replaced under them. */
#include "media_world.h"

#include <stdio.h>

enum { WORKERS = 3, REQUESTS = 400, FILES = 8, SIZE = 40000 };

static media_world world;

typedef struct visitor {
    pthread_t thread;
    fa_worker *worker;
    unsigned number, good, bad;
} visitor;

static void serve(fa_exchange *exchange, void *context)
{
    (void)context;
    fa_media_serve(world.media, exchange, &world.mount, (fa_text){exchange->path.data + 1, exchange->path.length - 1});
}

/* Whole, and all of one version: a file's bytes follow from its first. */
static bool is_of_one_version(const fa_inprocess_answer *answer)
{
    unsigned char expected[SIZE];
    if (!answer->complete || answer->status != 200 || fa_buffer_length(answer->body) != SIZE)
        return false;
    for (unsigned version = 0; version < 5; ++version) {
        media_world_fill(expected, SIZE, version);
        if (memcmp(fa_buffer_data(answer->body), expected, SIZE) == 0)
            return true;
    }
    return false;
}

static void *visit(void *context)
{
    visitor *v = context;
    for (unsigned i = 0; i < REQUESTS; ++i) {
        char target[32];
        fa_inprocess *client;
        fa_inprocess_request request = {.method = "GET", .target = target};
        snprintf(target, sizeof(target), "/%u.gif", (i * (v->number + 1)) % FILES);
        if (fa_inprocess_start(v->worker, fa_worker_scope(v->worker), &request, serve, NULL, &client) != FA_OK) {
            v->bad++;
            continue;
        }
        if (i % 7 != 3 && fa_test_run_until(v->worker, &fa_inprocess_answered(client)->ended) &&
            !is_of_one_version(fa_inprocess_answered(client)))
            v->bad++;
        else
            v->good++;
        fa_inprocess_free(client); /* every seventh vanishes without having waited */
    }
    fa_worker_finish(v->worker);
    fa_worker_run(v->worker);
    return NULL;
}

static void workers_share_one_cache(void **state)
{
    static visitor visitors[WORKERS];
    fa_media_options options = {.cache_budget = 5 * SIZE, .file_limit = SIZE, .recheck_ms = 1};
    (void)state;
    media_world_begin(&world, &options);
    for (unsigned i = 0; i < FILES; ++i) {
        char name[32];
        snprintf(name, sizeof(name), "%u.gif", i);
        media_world_write(&world, name, SIZE, 0);
    }
    for (unsigned i = 0; i < WORKERS; ++i) {
        visitors[i].number = i;
        assert_ok(fa_worker_new(world.ledger, world.server, i, NULL, &visitors[i].worker, NULL));
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    for (unsigned i = 0; i < 100; ++i) { /* meanwhile */
        char name[32];
        snprintf(name, sizeof(name), "%u.gif", i % FILES);
        media_world_write(&world, name, SIZE, i % 5);
        fa_test_run_for(world.worker, 3);
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(visitors[i].thread, NULL);
    for (unsigned i = 0; i < WORKERS; ++i) {
        assert_int_equal(visitors[i].bad, 0);
        assert_int_equal(visitors[i].good, REQUESTS);
        fa_worker_free(visitors[i].worker);
    }
    size_t files, bytes;
    fa_media_stats(world.media, &files, &bytes);
    assert_true(bytes <= options.cache_budget);
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
    media_world_end(&world);
}

/* ---- a burst for cold files, all workers at once ---- */

enum { COLD_FILES = 100 };

static pthread_barrier_t start_line;

static void *ask_for_cold_files(void *context)
{
    visitor *v = context;
    for (unsigned i = 0; i < COLD_FILES; ++i) {
        char target[32];
        fa_inprocess *client;
        fa_inprocess_request request = {.method = "GET", .target = target};
        snprintf(target, sizeof(target), "/%u.gif", i);
        pthread_barrier_wait(&start_line);
        if (fa_inprocess_start(v->worker, fa_worker_scope(v->worker), &request, serve, NULL, &client) == FA_OK &&
            fa_test_run_until(v->worker, &fa_inprocess_answered(client)->ended) &&
            is_of_one_version(fa_inprocess_answered(client)))
            v->good++;
        fa_inprocess_free(client);
    }
    fa_worker_finish(v->worker);
    fa_worker_run(v->worker);
    return NULL;
}

static void a_cold_file_is_read_once_for_all_workers(void **state)
{
    static visitor visitors[WORKERS];
    fa_media_options options = {.cache_budget = 2 * COLD_FILES * SIZE, .file_limit = SIZE, .recheck_ms = 60000};
    (void)state;
    memset(visitors, 0, sizeof(visitors));
    media_world_begin(&world, &options);
    pthread_barrier_init(&start_line, NULL, WORKERS);
    for (unsigned i = 0; i < COLD_FILES; ++i) {
        char name[32];
        snprintf(name, sizeof(name), "%u.gif", i);
        media_world_write(&world, name, SIZE, 0);
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_ok(fa_worker_new(world.ledger, world.server, i, NULL, &visitors[i].worker, NULL));
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, ask_for_cold_files, &visitors[i]), 0);
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(visitors[i].thread, NULL);
    for (unsigned i = 0; i < WORKERS; ++i) {
        assert_int_equal(visitors[i].good, COLD_FILES);
        fa_worker_free(visitors[i].worker);
    }
    assert_int_equal(fa_media_reads(world.media), COLD_FILES);
    pthread_barrier_destroy(&start_line);
    media_world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(workers_share_one_cache),
                                       cmocka_unit_test(a_cold_file_is_read_once_for_all_workers)};
    return cmocka_run_group_tests_name("media threads", tests, NULL, NULL);
}
