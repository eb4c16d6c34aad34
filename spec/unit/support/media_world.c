#include "media_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const fa_media_options small_cache = {.cache_budget = 1024 * 1024, .file_limit = 256 * 1024, .recheck_ms = 60000};

bool media_world_begin_on(media_world *world, fa_ledger *ledger, const fa_media_options *options)
{
    world->ledger = ledger;
    world->server = NULL;
    world->worker = NULL;
    world->media = NULL;
    world->raw_path = NULL;
    world->last = NULL;
    snprintf(world->outside, sizeof(world->outside), "/tmp/fa-media-XXXXXX");
    assert_non_null(mkdtemp(world->outside));
    snprintf(world->folder, sizeof(world->folder), "%s/root", world->outside);
    assert_int_equal(mkdir(world->folder, 0700), 0);
    world->mount = (fa_media_mount){.root = world->folder, .immutable = false, .index = NULL};
    if (fa_scope_new(ledger, NULL, FA_KIND_SERVER, world->server_budget, "server", FA_HERE, &world->server) == FA_OK &&
        (world->media = fa_media_new(world->server, options)) != NULL &&
        fa_worker_new(ledger, world->server, 0, NULL, &world->worker, NULL) == FA_OK &&
        fa_scope_new(ledger, fa_worker_scope(world->worker), FA_KIND_SCRIPT, 0, "clients", FA_HERE, &world->clients) ==
            FA_OK)
        return true;
    media_world_end_on(world);
    return false;
}

void media_world_end_on(media_world *world)
{
    char command[128];
    fa_worker_free(world->worker);
    fa_media_free(world->media);
    if (world->server != NULL)
        fa_scope_end(world->server, "test", NULL);
    snprintf(command, sizeof(command), "rm -rf %s", world->outside);
    assert_int_equal(system(command), 0);
}

void media_world_begin(media_world *world, const fa_media_options *options)
{
    fa_ledger *ledger = fa_test_ledger(&world->memory);
    assert_true(media_world_begin_on(world, ledger, options));
}

void media_world_end(media_world *world)
{
    media_world_end_on(world);
    fa_test_ledger_free(&world->memory, world->ledger);
}

void media_world_fill(void *to, size_t size, unsigned seed)
{
    unsigned char *bytes = to;
    for (size_t i = 0; i < size; ++i)
        bytes[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

void media_world_write(const media_world *world, const char *name, size_t size, unsigned seed)
{
    char path[256], fresh[256];
    snprintf(path, sizeof(path), "%s/%s", world->folder, name);
    snprintf(fresh, sizeof(fresh), "%s/new", world->outside);
    unsigned char *bytes = malloc(size + 1);
    media_world_fill(bytes, size, seed);
    FILE *file = fopen(fresh, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(bytes);
    assert_int_equal(rename(fresh, path), 0);
}

static void serve(fa_exchange *exchange, void *context)
{
    media_world *world = context;
    fa_text path = exchange->path;
    world->answered_at_once = true;
    if (path.length == 0 && world->raw_path == NULL) { /* malformed, or no memory to decode it: the router's business */
        fa_exchange_fail(exchange, 400, "bad_request", "the target is malformed", NULL);
        return;
    }
    path = (fa_text){path.data + 1, path.length - 1};
    fa_media_serve(world->media, exchange, &world->mount, world->raw_path != NULL ? *world->raw_path : path);
    world->answered_at_once = exchange->status != 0;
}

fa_inprocess *media_world_ask(media_world *world, const char *method, const char *target, const char *const *headers,
                              bool stepped)
{
    fa_inprocess *client = NULL;
    fa_inprocess_request request = {.method = method, .target = target, .headers = headers, .stepped = stepped};
    fa_inprocess_start(world->worker, world->clients, &request, serve, world, &client);
    return client;
}

const fa_inprocess_answer *media_world_await(media_world *world, fa_inprocess *client)
{
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    assert_true(fa_test_run_until(world->worker, &answer->ended));
    return answer;
}

const fa_inprocess_answer *media_world_get(media_world *world, const char *target)
{
    if (world->last != NULL)
        fa_inprocess_free(world->last);
    world->last = media_world_ask(world, "GET", target, NULL, false);
    assert_non_null(world->last);
    return media_world_await(world, world->last);
}

void assert_file_answer(const fa_inprocess_answer *answer, size_t size, unsigned seed)
{
    assert_int_equal(answer->status, 200);
    assert_true(answer->complete);
    assert_int_equal(answer->length, size);
    assert_int_equal(fa_buffer_length(answer->body), size);
    unsigned char *expected = malloc(size + 1);
    media_world_fill(expected, size, seed);
    int difference = size != 0 ? memcmp(fa_buffer_data(answer->body), expected, size) : 0;
    free(expected);
    assert_int_equal(difference, 0);
}

void assert_header(const fa_inprocess *client, const char *name, const char *value)
{
    fa_text found = fa_inprocess_header(client, name);
    if (found.length != strlen(value) || memcmp(found.data, value, found.length) != 0)
        fail_msg("%s is \"%.*s\", not \"%s\"", name, (int)found.length, found.data, value);
}
