/* Where the edge begins and ends: addresses, draining, cutting. */
#include "edge_world.h"

#include <sys/socket.h>
#include <unistd.h>

static edge_world world;

static int up(void **state)
{
    *state = &world;
    world_init(&world);
    world_up(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    world_down(&world);
    return 0;
}

static void assert_head_has(const client_reply *reply, const char *line)
{
    if (strstr(reply->head, line) == NULL)
        fail_msg("no \"%s\" in\n%s", line, reply->head);
}

/* ---- draining ---- */

static void note_drained(void *context)
{
    ((edge_world *)context)->drained++;
}

static void drain(edge_world *w)
{
    fa_http_drain(w->http, note_drained, w);
}

static void draining_lets_requests_finish(void **state)
{
    (void)state;
    static client_reply reply;
    int idle = client_connect(&world, 0), busy = client_connect(&world, 0), fresh = client_connect(&world, 0);
    int mid = client_connect(&world, 0);
    client_ask(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    client_ask(busy, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(busy, "GET /wait?then=answer&after=150 HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(mid, "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 4, 1000));
    assert_true(wait_for(&world.handled, 3, 1000));
    world_order(&world, drain);

    assert_true(client_sees_end(idle, 500, NULL));
    assert_true(client_sees_end(fresh, 2000, NULL));
    assert_int_equal(world.drained, 0);
    assert_true(client_read(busy, false, &reply));
    assert_string_equal(reply.body, "waited");
    assert_head_has(&reply, "Connection: close");
    assert_true(client_sees_end(busy, 500, NULL));
    assert_int_equal(world.drained, 0);
    client_send(mid, "dy");
    assert_true(client_read(mid, false, &reply));
    assert_string_equal(reply.body, "body");
    assert_true(client_sees_end(mid, 500, NULL));
    assert_true(wait_for(&world.drained, 1, 500));
    close(idle), close(busy), close(fresh), close(mid);

    world.drained = 0; /* the tear-down drains once more, and hears of it at once */
}

static void answers_begun_before_draining_free_their_connection(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    client_send(fd, "GET /wait?started=1&then=answer&after=100 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(wait_for(&world.handled, 1, 1000));
    world_order(&world, drain);
    static client_reply reply;
    assert_true(client_read(fd, false, &reply));
    assert_head_has(&reply, "Connection: keep-alive"); /* it was promised before */
    assert_string_equal(reply.body, "abcdefg");
    assert_true(client_sees_end(fd, 1000, NULL)); /* by the sweep */
    assert_true(wait_for(&world.drained, 1, 500));
    close(fd);
    world.drained = 0;
}

static void cut_everything(edge_world *w)
{
    fa_http_drain(w->http, note_drained, w);
    fa_http_cut(w->http);
}

static void cutting_ends_what_does_not_end(void **state)
{
    (void)state;
    int waiting = client_connect(&world, 0), started = client_connect(&world, 0), half = client_connect(&world, 0);
    int reading = client_connect(&world, 4096), refused = client_connect(&world, 0);
    client_send(waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(started, "GET /wait?started=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(half, "GET /hal");
    client_send(reading, "GET /slowly HTTP/1.1\r\nHost: x\r\n\r\n"); /* and never read */
    client_send(refused, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n");
    assert_true(wait_for(&world.handled, 3, 1000));
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 5, 1000));
    world_order(&world, cut_everything);
    assert_true(wait_for(&world.drained, 1, 1000));
    assert_int_equal(world.gone, 3);
    assert_true(client_sees_end(waiting, 500, NULL) && client_sees_end(started, 500, NULL) &&
                client_sees_end(half, 500, NULL));
    close(waiting), close(started), close(half), close(reading), close(refused);
    world.drained = 0;
}

/* ---- addresses ---- */

static void addresses_are_bound_and_named(void **state)
{
    static const char *const bad[] = {"",
                                      "3005",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:x",
                                      ":3005",
                                      "::1:3005",
                                      "[::1]",
                                      "[::1:3005",
                                      "127.0.0.1:65536",
                                      "[]:1",
                                      "256.0.0.1:80",
                                      "127.0.0.1:-1",
                                      "127.0.0.1: 80",
                                      "localhost:3005",
                                      "[127.0.0.1]:80",
                                      "127.0.0.1:3005x"};
    char name[80], again[80];
    fa_error error;
    int fd, second;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_int_equal(fa_http_bind(bad[i], &fd, name, sizeof(name), &error), FA_INVALID);
    assert_ok(fa_http_bind("[::1]:0", &fd, name, sizeof(name), &error));
    assert_int_equal(strncmp(name, "http://[::1]:", 13), 0);
    assert_ok(fa_http_bind(name + 7, &second, again, sizeof(again), &error)); /* a second worker */
    assert_string_equal(name, again);
    assert_ok(listen(fd, 1));
    assert_int_equal(fa_http_probe(name + 7, &error), FA_CONFLICT);
    close(second);
    close(fd);
    assert_ok(fa_http_probe(name + 7, &error));

    assert_int_equal(fa_http_bind("192.0.2.1:0", &fd, name, sizeof(name), &error), FA_IO); /* not ours */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(draining_lets_requests_finish),
        TEST(answers_begun_before_draining_free_their_connection),
        TEST(cutting_ends_what_does_not_end),
        cmocka_unit_test(addresses_are_bound_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
