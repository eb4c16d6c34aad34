/* The gate before h2o, over sockets: requests however they are cut up, limits of bodies before they are read, and all the
 * deadlines and counts. What is refused of a single request is in spec/conformance. */
#include "edge_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

static const client_reply *next_reply(int fd)
{
    static client_reply reply;
    assert_true(client_read(fd, false, &reply));
    return &reply;
}

static void assert_refused(const client_reply *reply, int status, const char *code)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "{\"error\":{\"code\":\"%s\",", code);
    if (reply->status != status || strncmp(reply->body, wanted, strlen(wanted)) != 0)
        fail_msg("not %d: %s%s", status, reply->head, reply->body);
    assert_non_null(strstr(reply->head, "Connection: close\r\n"));
    const char *id = strstr(reply->head, "x-request-id: ");
    assert_non_null(id);
    id += strlen("x-request-id: ");
    snprintf(wanted, sizeof(wanted), "\"requestId\":\"%.*s\"}}", (int)strcspn(id, "\r"), id);
    assert_non_null(strstr(reply->body, wanted));
}

/* ---- pipelining ---- */

static const char *const four = "GET /echo?1 HTTP/1.1\r\nHost: x\r\n\r\n"
                                "POST /echo?2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                                "POST /echo?3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: x\r\n\r\n"
                                "GET /echo?4 HTTP/1.1\r\nHost: x\r\n\r\n";

static void assert_four(int fd)
{
    assert_string_equal(next_reply(fd)->body, "GET /echo q=1 type= host=x from=127.0.0.1 body=0");
    assert_string_equal(next_reply(fd)->body, "POST /echo q=2 type= host=x from=127.0.0.1 body=5");
    assert_string_equal(next_reply(fd)->body, "POST /echo q=3 type= host=x from=127.0.0.1 body=7");
    assert_string_equal(next_reply(fd)->body, "GET /echo q=4 type= host=x from=127.0.0.1 body=0");
}

static void requests_may_be_cut_anywhere(void **state)
{
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    size_t length = strlen(four);
    for (size_t cut = 1; cut < length; cut += measured() ? 1 : 7) {
        assert_int_equal(send(fd, four, cut, MSG_NOSIGNAL), (ssize_t)cut);
        poll(NULL, 0, 1); /* so that it is most likely read by itself */
        assert_int_equal(send(fd, four + cut, length - cut, MSG_NOSIGNAL), (ssize_t)(length - cut));
        assert_four(fd);
    }
    for (size_t i = 0; i < length; ++i) {
        assert_int_equal(send(fd, four + i, 1, MSG_NOSIGNAL), 1);
        if (i % 8 == 0)
            poll(NULL, 0, 1);
    }
    assert_four(fd);
    close(fd);
}

/* More than a buffer of h2o's, and with handlers that answer later. */
static void many_may_wait_behind_one_another(void **state)
{
    enum { MANY = 2000 };
    static char all[MANY * 64];
    size_t used = 0;
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    for (int i = 0; i < MANY; ++i)
        used += (size_t)sprintf(all + used, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                                i % 100 == 0 ? "/wait?then=answer&after=2"
                                : i % 7 == 0 ? "/stream?pieces=2"
                                             : "/hello");
    for (size_t sent = 0, answers = 0; answers < MANY;) {
        ssize_t got = send(fd, all + sent, used - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += got > 0 ? (size_t)got : 0;
        assert_string_equal(next_reply(fd)->body, answers % 100 == 0 ? "waited"
                                                  : answers % 7 == 0 ? "piece 2\npiece 1\n"
                                                                     : "hello");
        answers++;
    }
    close(fd);
}

static void what_is_refused_takes_those_behind_it_along(void **state)
{
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    client_send(
        fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n"
            "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(next_reply(fd)->status, 200);
    const client_reply *reply = next_reply(fd);
    assert_refused(reply, 400, "bad_request");
    assert_non_null(strstr(reply->head, "x-request-id: mine\r\n")); /* had come before what was wrong */
    size_t more = 0;
    assert_true(client_sees_end(fd, 5000, &more));
    assert_int_equal(more, 0);
    assert_int_equal(world.handled, 1);
    close(fd);
}

static void nothing_may_follow_an_upgrade(void **state)
{
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                    "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_refused(next_reply(fd), 400, "bad_request");
    assert_int_equal(world.handled, 0);
    close(fd);
}

/* ---- limits of bodies ---- */

static _Atomic unsigned asked;

static size_t limit_of(const fa_route_key *key, void *context)
{
    edge_world *w = context;
    asked++;
    assert_ptr_equal(w, &world);
    assert_memory_equal(key->method.data, "POST", key->method.length);
    assert_true(fa_text_is(key->host, "x"));
    return fa_text_is(key->path, "/same") ? 10 : fa_text_is(key->path, "/ec%68o") ? 3 * WORLD_MAX_BODY : 0;
}

static void assert_body_answer(const char *path, const char *rest, int status)
{
    char request[256];
    int fd = client_connect(&world, 0);
    snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\n%s", path, rest);
    client_send(fd, request);
    const client_reply *reply = next_reply(fd);
    if (status == 413)
        assert_refused(reply, 413, "body_too_large");
    else
        assert_int_equal(reply->status, status);
    close(fd);
}

static void a_route_may_have_a_limit_of_its_own(void **state)
{
    (void)state;
    world.options.body_limit = limit_of;
    world.options.body_limit_context = &world;
    world_up(&world);
    assert_body_answer("/same?a", "Content-Length: 10\r\n\r\n0123456789", 200);
    assert_body_answer("/same", "Content-Length: 11\r\n\r\n", 413); /* none of it has come */
    assert_body_answer("/same", "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n", 413);
    assert_body_answer("/same", "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", 100);
    assert_body_answer("/same", "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", 200);
    assert_body_answer("/same", "Transfer-Encoding: chunked\r\n\r\nb\r\n", 413);
    assert_body_answer("/same", "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\n", 413);
    assert_body_answer("/other", "Content-Length: 1\r\n\r\n", 413);
    assert_body_answer("/other", "Content-Length: 0\r\n\r\n", 404); /* has none, and is not asked for */
    assert_body_answer("/other", "\r\n", 404);
    assert_int_equal(asked, 8);
    assert_int_equal(world.handled, 4);

    int fd = client_connect(&world, 0); /* above max_body, for that matter */
    static char much[65536];
    client_send(fd, "POST /ec%68o HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
    for (int i = 0; i < 32; ++i)
        assert_int_equal(send(fd, much, sizeof(much), MSG_NOSIGNAL), sizeof(much));
    const client_reply *reply = client_ask(fd, "\r\n0\r\n\r\n");
    assert_non_null(strstr(reply->body, "body=2097152"));
    close(fd);
}

static void exactly_the_limit_passes(void **state)
{
    static char body[WORLD_MAX_BODY];
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n");
    for (size_t sent = 0; sent < sizeof(body);)
        sent += (size_t)send(fd, body + sent, sizeof(body) - sent, MSG_NOSIGNAL);
    assert_non_null(strstr(client_ask(fd, "\r\n0\r\n\r\n")->body, "body=1048576"));
    close(fd);
}

/* ---- deadlines ---- */

static void assert_silence_and_end(int fd)
{
    size_t bytes = 0;
    assert_true(client_sees_end(fd, 10000, &bytes));
    assert_int_equal(bytes, 0);
    close(fd);
}

static void what_does_not_come_in_time_is_answered_408(void **state)
{
    (void)state;
    world.options.head_timeout_ms = 300;
    world.options.request_timeout_ms = 1000;
    world.options.idle_timeout_ms = 300;
    world_up(&world);
    int silent = client_connect(&world, 0), head = client_connect(&world, 0), body = client_connect(&world, 0),
        chunks = client_connect(&world, 0), idle = client_connect(&world, 0), between = client_connect(&world, 0),
        promised = client_connect(&world, 0);
    client_send(head, "GET /hello HTTP/1.1\r\nHo");
    client_send(body, "POST /same HTTP/1.1\r\nHost: x\r\nX-Request-Id: late\r\nContent-Length: 10\r\n\r\n12345");
    client_send(chunks, "POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123");
    client_ask(promised, "POST /same HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    assert_int_equal(client_ask(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_int_equal(client_ask(between, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    client_send(between, "\r\n"); /* behind a body, some do */
    assert_refused(next_reply(head), 408, "request_timeout");
    assert_refused(next_reply(promised), 408, "request_timeout");
    const client_reply *reply = next_reply(body);
    assert_refused(reply, 408, "request_timeout");
    assert_non_null(strstr(reply->head, "x-request-id: late\r\n"));
    assert_refused(next_reply(chunks), 408, "request_timeout");
    assert_silence_and_end(silent), assert_silence_and_end(idle), assert_silence_and_end(between);
    assert_silence_and_end(head), assert_silence_and_end(body), assert_silence_and_end(chunks);
    assert_silence_and_end(promised);
    assert_int_equal(world.handled, 2);
    int busy = client_connect(&world, 0); /* it is not the time that the answer takes */
    assert_string_equal(client_ask(busy, "GET /wait?then=answer&after=1500 HTTP/1.1\r\nHost: x\r\n\r\n")->body,
                        "waited");
    close(busy);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 5000));
}

/* Each byte comes long before any deadline would notice a pause; all of them together do not. */
static void dripping_does_not_put_the_deadline_off(void **state)
{
    (void)state;
    world.options.head_timeout_ms = 500;
    world.options.request_timeout_ms = 300000;
    world.options.body_rate = 1000;
    world_up(&world);
    int head = client_connect(&world, 0), body = client_connect(&world, 0);
    client_send(head, "GET /hello HTTP/1.1\r\n");
    client_send(body, "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    uint64_t start = fa_now_ms();
    struct pollfd fds[2] = {{head, POLLIN, 0}, {body, POLLIN, 0}};
    while ((fds[0].fd >= 0 || fds[1].fd >= 0) && fa_now_ms() - start < 20000) {
        poll(fds, 2, 20);
        for (int i = 0; i < 2; ++i) {
            if (fds[i].revents != 0)
                fds[i].fd = -1; /* answered */
            else if (fds[i].fd >= 0)
                send(fds[i].fd, "a", 1, MSG_NOSIGNAL);
        }
    }
    assert_refused(next_reply(head), 408, "request_timeout");
    assert_refused(next_reply(body), 408, "request_timeout");
    close(head), close(body);

    static char much[50000]; /* ahead of the rate: its 50 s have not begun */
    int fast = client_connect(&world, 0);
    client_send(fast, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50001\r\n\r\n");
    assert_int_equal(send(fast, much, sizeof(much), MSG_NOSIGNAL), sizeof(much));
    poll(NULL, 0, 1000);
    assert_non_null(strstr(client_ask(fast, "x")->body, "body=50001"));
    close(fast);
}

/* The deadline that is set then, for idling, is a far one. */
static void a_head_that_begins_late_has_its_own_time(void **state)
{
    (void)state;
    world.options.head_timeout_ms = 300;
    world.options.idle_timeout_ms = 60000;
    world_up(&world);
    int fd = client_connect(&world, 0);
    assert_int_equal(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    poll(NULL, 0, 600); /* past the one that was set at accept */
    assert_refused(client_ask(fd, "GET /hello HTTP/1.1\r\nHost"), 408, "request_timeout");
    close(fd);
}

/* ---- what a stream leaves behind ---- */

/* Of the server's end of a connection, which is in this process too. -1: it is not there. */
static int unsent_limit(int client)
{
    struct sockaddr_in own, peer;
    for (int fd = 3; fd < 1024; ++fd) {
        socklen_t size = sizeof(own), peer_size = sizeof(peer), limit_size = sizeof(int);
        int limit;
        if (fd != client && getsockname(client, (struct sockaddr *)&own, &size) == 0 &&
            getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 && peer.sin_port == own.sin_port &&
            getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, &limit_size) == 0)
            return limit;
    }
    return -1;
}

static bool limit_becomes(int client, int wanted)
{
    for (int i = 0; i < 5000 && unsent_limit(client) != wanted; ++i)
        poll(NULL, 0, 1);
    return unsent_limit(client) == wanted;
}

static void a_stream_bounds_what_is_unsent_until_its_end(void **state)
{
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    assert_int_equal(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_int_equal(unsent_limit(fd), 0); /* the system's */
    client_send(fd, "GET /wait?started=1&then=answer&after=600 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(limit_becomes(fd, 128 * 1024));
    next_reply(fd);
    assert_true(limit_becomes(fd, 0));
    close(fd);
}

/* ---- counts ---- */

static void a_connection_serves_so_many_requests(void **state)
{
    (void)state;
    world.options.connection_requests = 3;
    world_up(&world);
    int fd = client_connect(&world, 0);
    for (int i = 0; i < 2; ++i)
        assert_non_null(
            strstr(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->head, "Connection: keep-alive"));
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(next_reply(fd)->head, "Connection: close"));
    assert_silence_and_end(fd);
    assert_int_equal(world.handled, 3);
}

static void close_is_heard_in_whatever_line(void **state)
{
    (void)state;
    world_up(&world);
    int fd = client_connect(&world, 0);
    const client_reply *reply =
        client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(reply->head, "Connection: close"));
    assert_silence_and_end(fd);
}

static void make_addresses(void)
{
    assert_ok(fa_addresses_new(world.server, 100, &world.options.addresses));
}

static void an_address_has_so_many_connections(void **state)
{
    int fds[4];
    (void)state;
    world.options.address_connections = 3;
    world_begin(&world);
    make_addresses();
    assert_ok(world_make(&world));
    world_start(&world);
    for (int i = 0; i < 3; ++i) {
        fds[i] = client_connect(&world, 0);
        assert_int_equal(client_ask(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    }
    fds[3] = client_connect(&world, 0);
    const client_reply *reply = next_reply(fds[3]);
    assert_refused(reply, 429, "too_many_requests");
    assert_non_null(strstr(reply->head, "retry-after: 1\r\n"));
    assert_silence_and_end(fds[3]);
    close(fds[0]);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 2, 5000));
    fds[0] = client_connect(&world, 0);
    assert_int_equal(client_ask(fds[0], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    for (int i = 0; i < 3; ++i)
        close(fds[i]);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 5000));
    assert_int_equal(fa_addresses_count(world.options.addresses, fa_address_parse("127.0.0.1")), 0);
}

static void all_connections_taken_is_answered_503(void **state)
{
    (void)state;
    world.options.max_connections = 1;
    world_up(&world);
    int first = client_connect(&world, 0);
    assert_int_equal(client_ask(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    int second = client_connect(&world, 0);
    assert_refused(next_reply(second), 503, "unavailable");
    assert_silence_and_end(second);
    close(first);
}

static void connections_above_the_rate_wait(void **state)
{
    int fds[25];
    (void)state;
    world.options.accept_rate = 20;
    world_up(&world);
    uint64_t start = fa_now_ms();
    for (int i = 0; i < 25; ++i) {
        fds[i] = client_connect(&world, 0);
        client_send(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 25; ++i)
        assert_int_equal(next_reply(fds[i])->status, 200); /* nobody is refused */
    uint64_t took = fa_now_ms() - start;                   /* 20 at once, then one each 50 ms */
    printf("# 25 connections at 20 a second took %llu ms\n", (unsigned long long)took);
    assert_true(took >= 200);
    for (int i = 0; i < 25; ++i)
        close(fds[i]);
}

/* ---- the table of addresses ---- */

static void addresses_are_counted_each_for_itself(void **state)
{
    enum { MANY = 3000 };
    fa_addresses *table;
    (void)state;
    world_up(&world);
    assert_ok(fa_addresses_new(world.server, 2 * MANY, &table));
    for (unsigned round = 0; round < 2; ++round) {
        for (unsigned i = 0; i < MANY; ++i) {
            fa_address a = {{0, 0, 0, 0, 10, (unsigned char)round, (unsigned char)(i >> 8), (unsigned char)i}};
            for (unsigned n = 0; n < 1 + i % 3; ++n)
                assert_true(fa_addresses_take(table, a, 3));
            assert_int_equal(fa_addresses_take(table, a, 3), i % 3 != 2);
            assert_int_equal(fa_addresses_count(table, a), i % 3 == 2 ? 3 : 2 + i % 3);
        }
        for (unsigned i = 0; i < MANY; i += 2) /* every other one, so that gaps close around those that stay */
            for (unsigned n = 0; n < (i % 3 == 2 ? 3 : 2 + i % 3); ++n)
                fa_addresses_give_back(table, (fa_address){{0, 0, 0, 0, 10, (unsigned char)round,
                                                            (unsigned char)(i >> 8), (unsigned char)i}});
        for (unsigned i = 0; i < MANY; ++i) {
            fa_address a = {{0, 0, 0, 0, 10, (unsigned char)round, (unsigned char)(i >> 8), (unsigned char)i}};
            assert_int_equal(fa_addresses_count(table, a), i % 2 == 0 ? 0 : i % 3 == 2 ? 3 : 2 + i % 3);
        }
    }
    fa_address a = fa_address_parse("2001:db8:1:2::1"), b = fa_address_parse("2001:db8:1:2:ffff::9"),
               c = fa_address_parse("2001:db8:1:3::1");
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(&a, &c, sizeof(a));
    fa_address four_plain = fa_address_parse("1.2.3.4"), mapped = fa_address_parse("::ffff:1.2.3.4");
    assert_memory_equal(&four_plain, &mapped, sizeof(mapped));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_may_be_cut_anywhere),
        TEST(many_may_wait_behind_one_another),
        TEST(what_is_refused_takes_those_behind_it_along),
        TEST(nothing_may_follow_an_upgrade),
        TEST(a_route_may_have_a_limit_of_its_own),
        TEST(exactly_the_limit_passes),
        TEST(what_does_not_come_in_time_is_answered_408),
        TEST(dripping_does_not_put_the_deadline_off),
        TEST(a_head_that_begins_late_has_its_own_time),
        TEST(a_stream_bounds_what_is_unsent_until_its_end),
        TEST(a_connection_serves_so_many_requests),
        TEST(close_is_heard_in_whatever_line),
        TEST(an_address_has_so_many_connections),
        TEST(all_connections_taken_is_answered_503),
        TEST(connections_above_the_rate_wait),
        TEST(addresses_are_counted_each_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
