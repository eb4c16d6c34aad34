/* Exchanges that go from one worker to another, socket and all: what the client sees, and that nothing is left behind
 * wherever it vanishes. Every test ends with move_down's question. */
#include "move_world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
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

static int up(void **state)
{
    prepare(state);
    move_up(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    move_down(&world);
    return 0;
}

static void reset(int fd)
{
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* Who is on the way is in nobody's connections. */
static void nobody_is_left(void)
{
    for (uint64_t start = fa_now_ms(); world.travellers != 0 && fa_now_ms() - start < 5000;)
        usleep(200);
    assert_int_equal(world.travellers, 0);
    assert_true(world_wait_count(&world.edges[0], FA_KIND_REQUEST, 0, 5000));
    assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, 0, 5000));
    assert_int_equal(fa_ledger_in_flight(world.edges[0].ledger), 0);
}

/* ---- what the client sees ---- */

static void the_head_and_the_events_arrive(void **state)
{
    (void)state;
    int fd = move_client(&world, 0, "/go?to=1&events=50");
    const client_reply *reply = move_reply(fd);
    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(reply->head, "\r\nConnection: upgrade\r\n"));
    assert_non_null(strstr(reply->head, "\r\ncontent-type: text/event-stream\r\n"));
    assert_non_null(strstr(reply->head, "\r\nx-request-id: trip-7\r\n"));
    assert_null(strcasestr(reply->head, "content-length"));
    assert_null(strcasestr(reply->head, "transfer-encoding"));
    assert_true(reply->closed); /* the end of the body is the end of the connection */
    move_assert_events(reply->body, 50);
    assert_int_equal(world.edges[0].handled, 1);
    assert_int_equal(world.adopted, 1);
    assert_int_equal(world.gone, 0);
    close(fd);
    nobody_is_left();
}

static void the_request_comes_along(void **state)
{
    (void)state;
    int fd = move_client(&world, 2, "/go?to=0&events=1&describe=1");
    const char *wanted = "data: GET /go ?to=0&events=1&describe=1 from=127.0.0.1 id=trip-7 last=41 host=x\n\n";
    const client_reply *reply = move_reply(fd);
    assert_int_equal(strncmp(reply->body, wanted, strlen(wanted)), 0);
    move_assert_events(reply->body + strlen(wanted), 1);
    close(fd);
}

static void to_itself_works_too(void **state)
{
    (void)state;
    int fd = move_client(&world, 1, "/go?to=1&events=3");
    move_assert_events(move_reply(fd)->body, 3);
    close(fd);
}

static void an_empty_end_is_an_end(void **state)
{
    (void)state;
    int fd = move_client(&world, 0, "/go?to=1&events=3&empty_end=1");
    move_assert_events(move_reply(fd)->body, 3);
    close(fd);
    fd = move_client(&world, 0, "/go?to=1&empty_end=1");
    move_assert_events(move_reply(fd)->body, 0);
    close(fd);
    nobody_is_left();
    assert_int_equal(world.gone, 0);
}

/* Everything arrives though the server has input that it will never answer, and though its own end is done at once. */
static void all_bytes_arrive_before_the_end(void **state)
{
    static char chunk[65536];
    (void)state;
    for (int i = 0; i < 3; ++i) {
        size_t bytes = 0;
        ssize_t got;
        bool head_is_read = false;
        int fd = move_client(&world, 0, "/go?to=1&big=1");
        client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); /* no pipelining behind an endless answer */
        while ((got = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
            size_t from = 0;
            if (!head_is_read) { /* written at once */
                char *end = memmem(chunk, (size_t)got, "\r\n\r\n", 4);
                assert_non_null(end);
                from = (size_t)(end + 4 - chunk);
                head_is_read = true;
            }
            for (size_t at = from; at < (size_t)got; ++at) {
                if (chunk[at] != (char)('a' + bytes++ % 26))
                    fail_msg("byte %zu is another", bytes - 1);
            }
        }
        assert_int_equal(got, 0);
        assert_int_equal(bytes, WORLD_BIG);
        close(fd);
    }
    assert_int_equal(world.edges[0].handled, 3);
}

/* Closing at once would answer this input with a reset. */
static void input_after_the_end_does_no_harm(void **state)
{
    char some[4096];
    ssize_t got;
    size_t bytes = 0;
    (void)state;
    int fd = move_client(&world, 0, "/go?to=1&events=3");
    struct pollfd poller = {fd, POLLRDHUP, 0};
    assert_int_equal(poll(&poller, 1, 2000), 1);
    for (int i = 0; i < 3; ++i) {
        usleep(20000);
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1); /* fails after a reset */
    }
    while ((got = recv(fd, some, sizeof(some), 0)) > 0)
        bytes += (size_t)got;
    assert_int_equal(got, 0);
    assert_true(bytes > 3 * strlen("data: event 0\n\n"));
    close(fd);
    nobody_is_left();
}

static void it_goes_on_and_on(void **state)
{
    (void)state;
    for (unsigned stop = 1; stop <= 3; ++stop) {
        char path[64];
        unsigned before = world.adopted;
        snprintf(path, sizeof(path), "/go?to=1&events=300&stop=%u", stop);
        int fd = move_client(&world, 0, path);
        move_assert_events(move_reply(fd)->body, 300);
        close(fd);
        nobody_is_left();
        assert_true(world.adopted - before >= 300 / stop);
    }
    assert_int_equal(world.gone, 0);
    assert_int_equal(world.lost, 0);
}

static _Atomic bool pipe_signal_blocked;

static void note_mask(edge_world *edge)
{
    sigset_t set;
    (void)edge;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    pipe_signal_blocked = sigismember(&set, SIGPIPE) == 1;
}

/* The new worker has perhaps never accepted a connection. */
static void writing_raises_no_signal(void **state)
{
    (void)state;
    int fd = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 1, 2000));
    world_order(&world.edges[1], note_mask);
    assert_true(pipe_signal_blocked);
    world_order(&world.edges[2], note_mask);
    assert_false(pipe_signal_blocked);
    close(fd);
}

/* ---- what cannot be moved ---- */

static void what_cannot_be_moved_stays(void **state)
{
    static char request[40000];
    (void)state;
    int fd = client_connect(&world.edges[0], 0);
    assert_int_equal(client_ask(fd, "HEAD /go?to=1 HTTP/1.1\r\nHost: x\r\n\r\n")->status, 503);
    assert_int_equal(world.refusal, FA_UNSUPPORTED);
    int length = snprintf(request, sizeof(request), "GET /go?to=1 HTTP/1.1\r\nHost: x\r\nCookie: ");
    memset(request + length, 'c', FA_MOVING_MOST_BYTES);
    strcpy(request + length + FA_MOVING_MOST_BYTES, "\r\n\r\n");
    assert_int_equal(client_ask(fd, request)->status, 503);
    assert_int_equal(world.refusal, FA_FULL);
    assert_int_equal(world.refused, 2);
    assert_int_equal(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    close(fd);
    fd = client_connect(&world.edges[0], 0);
    client_send(fd, "GET /go?to=1&events=2 HTTP/1.0\r\n\r\n");
    move_assert_events(move_reply(fd)->body, 2);
    close(fd);
}

static void discarded_tickets_close(void **state)
{
    (void)state;
    world.way = DISCARD;
    world.last_words = FA_TEXT("retry: 7\n\n");
    int fd = move_client(&world, 0, "/go?to=1");
    assert_string_equal(move_reply(fd)->body, "retry: 7\n\n");
    assert_int_equal(world.adopted, 0);
    close(fd);
    nobody_is_left();
}

/* An end would be the end of an answer, which is whole. */
static bool is_reset(int fd)
{
    char some[4096];
    ssize_t got;
    while ((got = recv(fd, some, sizeof(some), 0)) > 0) {
    }
    return got < 0 && errno == ECONNRESET;
}

static void cut(edge_world *edge)
{
    fa_http_cut(edge->http);
}

static void without_a_word_it_is_no_answer(void **state)
{
    (void)state;
    world.way = DISCARD;
    int fd = move_client(&world, 0, "/go?to=1");
    assert_true(is_reset(fd));
    close(fd);
    world.way = PASS_ON;
    fd = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 1, 2000));
    world_order(&world.edges[1], cut); /* it has sent nothing so far */
    assert_true(is_reset(fd));
    close(fd);
    nobody_is_left();
}

static void a_full_edge_refuses(void **state)
{
    (void)state;
    world.edges[1].options.max_connections = 2;
    move_up(&world);
    int first = move_client(&world, 0, "/go?to=1"), second = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 2, 2000));
    int third = move_client(&world, 0, "/go?to=1");
    assert_true(client_sees_end(third, 2000, NULL));
    assert_true(wait_for(&world.refused, 1, 2000));
    assert_int_equal(world.refusal, FA_FULL);
    close(first);
    assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, 1, 2000));
    int fourth = move_client(&world, 0, "/go?to=1&events=4");
    move_assert_events(move_reply(fourth)->body, 4);
    close(second), close(third), close(fourth);
}

/* ---- leaving ---- */

static void half_close(int fd)
{
    shutdown(fd, SHUT_WR); /* the caller closes it */
}

static void leave(int fd)
{
    close(fd);
}

static void leaving_is_noticed(void **state)
{
    static void (*const ways[])(int) = {leave, reset, half_close};
    uint64_t worst = 0;
    (void)state;
    for (unsigned w = 0; w < 3; ++w) {
        int fd = move_client(&world, 0, "/go?to=1");
        assert_true(wait_for(&world.adopted, w + 1, 2000));
        assert_true(world_wait_count(&world.edges[0], FA_KIND_CONNECTION, 1, 2000)); /* the old one is closed */
        assert_int_equal(world_count(&world.edges[0], FA_KIND_REQUEST), 1);
        uint64_t start = fa_now_ms();
        ways[w](fd);
        assert_true(wait_for(&world.gone, w + 1, 2000));
        uint64_t took = world.gone_at_ms - start;
        worst = took > worst ? took : worst;
        nobody_is_left();
        if (ways[w] == half_close)
            close(fd);
    }
    if (measured())
        assert_true(worst <= 100);
    printf("# on_gone at most %llu ms after the client left\n", (unsigned long long)worst);
}

/* Whoever has connected before has been looked at: connections are accepted in turn, and when a second one is answered
 * the loop is through with all that was to be read when the first one was. */
static void everybody_has_been_seen(void)
{
    for (int i = 0; i < 2 * MOVE_EDGES; ++i) {
        int fd = client_connect(&world.edges[i / 2], 0);
        client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
    }
}

static void leaving_on_the_way_leaves_nothing(void **state)
{
    static void (*const ways[])(int) = {leave, reset};
    (void)state;
    for (int i = 0; i < 40; ++i) /* before the head has left, or about then */
        ways[i % 2](move_client(&world, i % 3, "/go?to=1"));
    everybody_has_been_seen();
    nobody_is_left();
    for (int i = 0; i < 6; ++i) { /* between */
        unsigned moved = world.moved, adopted = world.adopted;
        world.way = HOLD;
        int fd = move_client(&world, 0, "/go?to=1");
        assert_true(wait_for(&world.moved, moved + 1, 2000));
        ways[i % 2](fd);
        move_release(&world);
        assert_true(wait_for(&world.adopted, adopted + 1, 2000));
        nobody_is_left();
    }
    world.way = PASS_ON;
    for (int i = 0; i < 6; ++i) { /* after, with bytes under way */
        unsigned adopted = world.adopted, gone = world.gone;
        int fd = move_client(&world, 0, "/go?to=1&big=3");
        assert_true(wait_for(&world.adopted, adopted + 1, 2000));
        ways[i % 2](fd);
        assert_true(wait_for(&world.gone, gone + 1, 2000));
        nobody_is_left();
    }
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    world.edges[0].options.send_stall_ms = 300;
    move_up(&world);
    for (unsigned i = 1; i <= 2; ++i) { /* the second time it is the final send */
        int fd = move_client(&world, 0, i == 1 ? "/go?to=1&big=2" : "/go?to=1&big=1");
        assert_true(wait_for(&world.adopted, i, 2000));
        uint64_t start = fa_now_ms();
        assert_true(world_wait_count(&world.edges[0], FA_KIND_REQUEST, 0, 5000));
        if (measured())
            assert_in_range(fa_now_ms() - start, 250, 2000);
        assert_non_null(strstr(world.edges[1].last_log, "took nothing for 300 ms"));
        nobody_is_left();
        assert_int_equal(world.gone, 1); /* the second had been answered */
        close(fd);
    }
}

static void a_client_that_goes_on_sending_is_cut(void **state)
{
    static char noise[1000];
    (void)state;
    int fd = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 1, 2000));
    for (int i = 0; i < 60; ++i)
        send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
    usleep(50000);
    assert_int_equal(world.gone, 0);
    for (int i = 0; i < 60; ++i)
        send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
    assert_true(wait_for(&world.gone, 1, 2000));
    close(fd);
}

#define ON(setup, name) cmocka_unit_test_setup_teardown(name, setup, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(up, the_head_and_the_events_arrive),
        ON(up, the_request_comes_along),
        ON(up, to_itself_works_too),
        ON(up, an_empty_end_is_an_end),
        ON(up, all_bytes_arrive_before_the_end),
        ON(up, input_after_the_end_does_no_harm),
        ON(up, it_goes_on_and_on),
        ON(up, writing_raises_no_signal),
        ON(up, what_cannot_be_moved_stays),
        ON(up, discarded_tickets_close),
        ON(up, without_a_word_it_is_no_answer),
        ON(prepare, a_full_edge_refuses),
        ON(up, leaving_is_noticed),
        ON(up, leaving_on_the_way_leaves_nothing),
        ON(prepare, a_client_that_takes_nothing_is_cut),
        ON(up, a_client_that_goes_on_sending_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
