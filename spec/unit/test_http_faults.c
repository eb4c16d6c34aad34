/* The edge when clients vanish or stall. Every test ends with world_down's question: is all of it gone? */
#include "edge_world.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static edge_world world;

static int prepare(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    world_down(&world);
    return 0;
}

/* The last thing that can be done to a connection. */
static void reset(int fd)
{
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* ---- vanishing ---- */

static void close_it(int fd)
{
    close(fd);
}

static void half_close_it(int fd)
{
    shutdown(fd, SHUT_WR); /* leaks the descriptor to the caller, who closes it */
}

static uint64_t vanish(const char *request, void (*leave)(int fd))
{
    unsigned handled = world.handled, gone = world.gone;
    int fd = client_connect(&world, 0);
    client_send(fd, request);
    assert_true(wait_for(&world.handled, handled + 1, 2000));
    struct pollfd poller = {fd, POLLIN, 0};
    if (strstr(request, "started") != NULL)
        assert_int_equal(poll(&poller, 1, 2000), 1); /* its first piece has left */
    assert_int_equal(world_count(&world, FA_KIND_REQUEST), 1);
    uint64_t start = fa_now_ms();
    leave(fd);
    assert_true(wait_for(&world.gone, gone + 1, 2000));
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 1000));
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 1000));
    uint64_t took = world.gone_at_ms - start;
    if (leave == half_close_it)
        close(fd);
    assert_int_equal(world.gone, gone + 1); /* told once */
    return took;
}

static void a_vanished_client_is_noticed(void **state)
{
    static const char *const requests[] = {
        "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /wait?started=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
    };
    static void (*const ways[])(int) = {close_it, reset, half_close_it};
    (void)state;
    world_up(&world);
    uint64_t worst = 0;
    for (size_t r = 0; r < 3; ++r) {
        for (size_t w = 0; w < 3; ++w) {
            uint64_t took = vanish(requests[r], ways[w]);
            worst = took > worst ? took : worst;
        }
    }
    if (measured())
        assert_true(worst <= 100);
    printf("# on_gone at most %llu ms after the client left\n", (unsigned long long)worst);
}

static void a_client_that_vanishes_while_it_is_sent_to_is_noticed(void **state)
{
    static void (*const ways[])(int) = {close_it, reset};
    (void)state;
    world_up(&world);
    for (size_t w = 0; w < 2; ++w) {
        vanish("GET /slowly HTTP/1.1\r\nHost: x\r\n\r\n", ways[w]);
        assert_true(fa_ledger_in_flight(world.ledger) == 0);
    }
    /* The whole answer was handed over at once: then on_gone is not told, but nothing is kept. */
    int fd = client_connect(&world, 4096);
    client_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(wait_for(&world.handled, 3, 2000));
    assert_int_not_equal(fa_ledger_in_flight(world.ledger), 0);
    reset(fd);
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 2000));
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
    assert_int_equal(world.gone, 2);
}

static void many_vanish_at_once(void **state)
{
    (void)state;
    int fds[100];
    world_up(&world);
    for (int i = 0; i < 100; ++i) {
        fds[i] = client_connect(&world, 4096);
        client_send(fds[i], i % 3 == 0   ? "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
                            : i % 3 == 1 ? "GET /slowly HTTP/1.1\r\nHost: x\r\n\r\n"
                                         : "GET /wait?started=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert_true(wait_for(&world.handled, 100, 5000));
    for (int i = 0; i < 100; ++i)
        i % 2 == 0 ? reset(fds[i]) : close_it(fds[i]);
    assert_true(wait_for(&world.gone, 100, 5000));
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 5000));
    assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
}

/* ---- stalling ---- */

static void a_client_that_takes_nothing_is_cut(void **state)
{
    static const char *const requests[] = {"GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "GET /slowly HTTP/1.1\r\nHost: x\r\n\r\n"};
    (void)state;
    world.options.send_stall_ms = 300;
    world_up(&world);
    for (int i = 0; i < 2; ++i) {
        int fd = client_connect(&world, 4096);
        client_send(fd, requests[i]);
        assert_true(world_wait_count(&world, FA_KIND_REQUEST, 1, 2000));
        uint64_t start = fa_now_ms();
        assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 5000));
        uint64_t took = fa_now_ms() - start;
        if (measured())
            assert_in_range(took, 250, 2000); /* the last progress is made at the beginning */
        assert_non_null(strstr(world.last_log, "took nothing for 300 ms"));
        assert_int_equal(fa_ledger_in_flight(world.ledger), 0);
        assert_int_equal(world.gone, i); /* /big had been answered */
        assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 1000));
        close(fd);
    }
}

/* Reads every 50 ms what makes the window open again, for longer than the deadline, then the rest. */
static void a_slow_client_that_goes_on_is_not_cut(void **state)
{
    static const char *const requests[] = {"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                           "GET /slowly HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};
    static char waste[65536];
    (void)state;
    world.options.send_stall_ms = 300;
    world_up(&world);
    for (int i = 0; i < 2; ++i) {
        size_t bytes = 0;
        int fd = client_connect(&world, 65536);
        client_send(fd, requests[i]);
        for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 1500;) {
            ssize_t got = recv(fd, waste, sizeof(waste), 0);
            assert_true(got > 0);
            bytes += (size_t)got;
            poll(NULL, 0, 50);
        }
        assert_true(bytes < WORLD_BIG / 2);
        assert_true(client_sees_end(fd, 20000, &bytes));
        assert_true(bytes > WORLD_BIG);
        close(fd);
    }
    assert_int_equal(world.gone, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_vanished_client_is_noticed),
        TEST(a_client_that_vanishes_while_it_is_sent_to_is_noticed),
        TEST(many_vanish_at_once),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(a_slow_client_that_goes_on_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
