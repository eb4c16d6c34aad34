/* Moved exchanges when memory lacks and clients leave in crowds; and what an idle one costs. */
#include "move_world.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static move_world world;

static int prepare(void **state)
{
    (void)state;
    move_init(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    move_down(&world);
    return 0;
}

/* ---- any allocation of ours may fail ---- */

static bool turn_until_closed(edge_world *edge, int fd, size_t *bytes)
{
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 5000;) {
        static char waste[256 * 1024];
        uv_run(fa_worker_loop(edge->worker), UV_RUN_NOWAIT);
        ssize_t got = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return true;
        *bytes += got > 0 ? (size_t)got : 0;
        struct pollfd poller = {fd, POLLIN, 0};
        poll(&poller, 1, 1);
    }
    return false;
}

static size_t try_one(const char *request)
{
    size_t bytes = 0;
    int fd = client_connect(&world.edges[0], 0);
    client_send(fd, request);
    assert_true(turn_until_closed(&world.edges[0], fd, &bytes)); /* an answer, an error or a cut, but never nothing */
    close(fd);
    return bytes;
}

static void every_allocation_may_fail(void **state)
{
    static const char *const requests[] = {
        "GET /go?events=4&stop=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /go?big=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /* waits for the kernel, with a deadline */
    };
    (void)state;
    prepare(NULL); /* libuv opens its own with the first loop */
    size_t descriptors = open_descriptors();
    for (size_t i = 0; i < 2; ++i) {
        bool whole = false;
        FA_FAIL_EACH_ALLOCATION(ledger)
        {
            move_alone(&world, ledger);
            unsigned adopted = 0;
            if (world_make(&world.edges[0]) == FA_OK && (i == 0 || world_make_big(&world.edges[0]) == FA_OK)) {
                try_one(requests[i]);
                adopted = world.adopted;
            }
            world_end(&world.edges[0]);
            assert_int_equal(world.travellers, 0);
            whole = adopted == (i == 0 ? 2 : 1);
        }
        assert_true(whole);
        printf("# %s: every one of %zu runs ended clean\n", i == 0 ? "events" : "deadline", fa_failing_runs());
    }
    assert_int_equal(open_descriptors(), descriptors);
}

/* ---- a crowd that travels while some of it leaves ---- */

enum { CROWD = 200 };

/* One that is between two workers is neither a connection nor a request: all three are looked at together. */
static bool wait_until_at_rest(unsigned milliseconds)
{
    bool rest;
    uint64_t start = fa_now_ms();
    while (!(rest = world_count(&world.edges[0], FA_KIND_CONNECTION) == 0 && world.travellers == 0 &&
                    world_count(&world.edges[0], FA_KIND_REQUEST) == 0) &&
           fa_now_ms() - start < milliseconds)
        usleep(500);
    return rest;
}

static void a_crowd_travels_while_some_leave(void **state)
{
    int fds[CROWD];
    unsigned seed = 7;
    (void)state;
    move_up(&world);
    for (int i = 0; i < CROWD; ++i)
        fds[i] = move_client(&world, i % MOVE_EDGES,
                             i % 2 == 0 ? "/go?to=1&events=100000&stop=1" : "/go?to=2&events=100000&stop=3");
    for (int i = 0; i < CROWD; i += 8) { /* these leave before they have arrived anywhere */
        struct linger at_once = {1, 0};
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fds[i]);
        fds[i] = -1;
    }
    for (int left = CROWD - CROWD / 8; left != 0;) {
        int at = rand_r(&seed) % CROWD;
        if (fds[at] < 0)
            continue;
        char some[512];
        struct linger at_once = {1, 0};
        if (rand_r(&seed) % 50 != 0) {
            recv(fds[at], some, sizeof(some), MSG_DONTWAIT);
            usleep(20); /* or all would be over before any has travelled */
            continue;
        }
        if (rand_r(&seed) % 2 == 0)
            setsockopt(fds[at], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fds[at]);
        fds[at] = -1;
        --left;
    }
    assert_true(wait_until_at_rest(15000));
    assert_int_equal(world.refused, 0);
    printf("# %d listeners moved %u times, %u left on the way, %u on a worker\n", CROWD, world.moved, world.lost,
           world.gone);
}

/* ---- what an idle one costs ---- */

static size_t resident_bytes(void)
{
    unsigned long size, all;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(file, "%lu %lu", &size, &all), 2);
    fclose(file);
    return all * (size_t)sysconf(_SC_PAGESIZE);
}

static bool raise_descriptor_limit(unsigned wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted)
        return false;
    limit.rlim_cur = limit.rlim_cur < wanted ? wanted : limit.rlim_cur;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IDLE = 200, WARM = 100 }; /* not measured, see measured() */
#else
enum { IDLE = 2000, WARM = 100 };
#endif

typedef struct cost {
    size_t charged, resident;
} cost;

static cost now(void)
{
    return (cost){fa_ledger_bytes(world.edges[0].ledger), resident_bytes()};
}

/* What each of IDLE clients costs that ask for `path` and then hear nothing; some come before and warm up. */
static cost cost_of_idling(const char *path, const _Atomic unsigned *arrived)
{
    static int fds[IDLE + WARM];
    cost before = {0, 0};
    unsigned start = *arrived;
    for (unsigned i = 0; i < IDLE + WARM; ++i) {
        if (i == WARM) {
            assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, WARM, 5000));
            before = now();
        }
        fds[i] = move_client(&world, 0, path);
        assert_true(wait_for(arrived, start + i + 1, 5000));
    }
    assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, IDLE + WARM, 5000));
    cost after = now();
    for (int i = 0; i < IDLE + WARM; ++i)
        close(fds[i]);
    assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, 0, 10000));
    return (cost){(after.charged - before.charged) / IDLE, (after.resident - before.resident) / IDLE};
}

static void an_idle_one_costs_little(void **state)
{
    (void)state;
    for (int i = 0; i < MOVE_EDGES; ++i)
        world.edges[i].options.max_connections = IDLE + WARM + 10;
    move_up(&world);
    if (!raise_descriptor_limit(3 * (IDLE + WARM) + 500)) {
        printf("# not measured: too few descriptors\n");
        return;
    }
    cost moved = cost_of_idling("/go?to=1", &world.adopted);
    cost local = cost_of_idling("/wait?started=1", &world.edges[0].handled);
    printf("# %d idle streams: moved, %zu bytes each in the ledger and %zu of RSS; on h2o %zu and %zu\n", IDLE,
           moved.charged, moved.resident, local.charged, local.resident);
    assert_true(moved.charged < 3000);
    if (measured()) {
        assert_true(moved.resident < 6000);
        assert_true(moved.resident < local.resident / 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        TEST(a_crowd_travels_while_some_leave),
        TEST(an_idle_one_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
