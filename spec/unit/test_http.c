/* The edge as clients see it: answers, bodies, framing, errors in one shape. Over loopback, against a worker
 * on a thread of its own. What happens when things break is in test_http_faults.c. */
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

static void assert_error(const client_reply *reply, int status, const char *code)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
    assert_int_equal(reply->status, status);
    if (strncmp(reply->body, wanted, strlen(wanted)) != 0)
        fail_msg("not an error of the one shape: %s", reply->body);
    const char *id = strstr(reply->head, "x-request-id: ") + strlen("x-request-id: ");
    snprintf(wanted, sizeof(wanted), "\"requestId\":\"%.*s\"}}", (int)strcspn(id, "\r"), id);
    assert_non_null(strstr(reply->body, wanted));
    assert_head_has(reply, "content-type: application/json");
    assert_head_has(reply, "cache-control: no-store");
}

/* ---- answers ---- */

static void one_connection_serves_many_requests(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    for (int i = 0; i < 50; ++i) {
        const client_reply *reply = client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(reply->status, 200);
        assert_string_equal(reply->body, "hello");
        assert_head_has(reply, "Connection: keep-alive");
        assert_head_has(reply, "Content-Length: 5");
        assert_head_has(reply, "Server: fitnessally");
        reply = client_ask(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(reply->status, 200);
        assert_head_has(reply, "Content-Length: 5");
        reply = client_ask(fd, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_error(reply, 404, "not_found");
    }
    assert_int_equal(world_count(&world, FA_KIND_CONNECTION), 1);
    close(fd);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 1000));
}

static void a_request_is_handed_over_as_it_was_sent(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    const client_reply *reply = client_ask(
        fd, "POST /echo?a=%20b HTTP/1.1\r\nHost: Example.org\r\nContent-TYPE: text/x\r\nContent-Length: 3\r\n\r\nabc");
    assert_string_equal(reply->body, "POST /echo q=a=%20b type=text/x host=Example.org from=127.0.0.1 body=3");
    reply = client_ask(fd, "GET http://example.org/%65cho HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_string_equal(reply->body, "GET /echo q= type= host=example.org from=127.0.0.1 body=0");
    reply = client_ask(fd, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_error(reply, 400, "bad_path");
    reply = client_ask(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* no Host at all */
    assert_non_null(strstr(reply->body, " host= "));
    close(fd);
}

static void bodies_arrive_whole(void **state)
{
    (void)state;
    static char request[200000], body[100001];
    int fd = client_connect(&world, 0);
    memset(body, 'x', 100000);
    snprintf(request, sizeof(request), "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", body);
    const client_reply *reply = client_ask(fd, request);
    assert_int_equal(reply->body_length, 100000);
    assert_memory_equal(reply->body, body, 100000);

    reply = client_ask(fd, "POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
    assert_string_equal(reply->body, "hello world");
    reply = client_ask(fd, "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(reply->body_length, 0);

    reply = client_ask(fd, "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(reply->status, 100);
    reply = client_ask(fd, "body");
    assert_string_equal(reply->body, "body");
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    static client_reply reply;
    int fd = client_connect(&world, 0);
    client_send(fd, "GET /wait?then=answer&after=20 HTTP/1.1\r\nHost: x\r\n\r\n"
                    "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecond"
                    "GET /stream?pieces=2 HTTP/1.1\r\nHost: x\r\n\r\n"
                    "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                    "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    static const char *const bodies[] = {"waited", "second", "piece 2\npiece 1\n", "", "hello"};
    for (int i = 0; i < 5; ++i) {
        assert_true(client_read(fd, i == 3, &reply));
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, bodies[i]);
    }
    assert_true(client_sees_end(fd, 1000, NULL));
    close(fd);
}

static void streams_are_framed_so_that_their_end_is_seen(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    const client_reply *reply = client_ask(fd, "GET /stream?pieces=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_head_has(reply, "transfer-encoding: chunked");
    assert_string_equal(reply->body, "piece 3\npiece 2\npiece 1\n");
    reply = client_ask(fd, "GET /stream?pieces=2&empty_end=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(reply->body, "piece 2\npiece 1\n");
    reply = client_ask(fd, "GET /stream?pieces=0 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(reply->body_length, 0);
    reply = client_ask(fd, "GET /stream?pieces=2&length=16 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_head_has(reply, "Content-Length: 16");
    assert_string_equal(reply->body, "piece 2\npiece 1\n");
    /* The final send writes nothing here: h2o ends the request inside of that call. */
    reply = client_ask(fd, "GET /stream?pieces=2&length=16&empty_end=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(reply->body, "piece 2\npiece 1\n");
    reply = client_ask(fd, "HEAD /stream?pieces=2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(reply->status, 200);
    reply = client_ask(fd, "GET /status?is=204 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(strstr(reply->head, "Content-Length"));
    reply = client_ask(fd, "GET /status?is=304 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(strstr(reply->head, "Content-Length"));
    reply = client_ask(fd, "GET /stream?pieces=2&status=201 HTTP/1.1\r\nHost: x\r\n\r\n"); /* h2o chunks 200 only */
    assert_head_has(reply, "Connection: close");
    assert_string_equal(reply->body, "piece 2\npiece 1\n");
    close(fd);

    fd = client_connect(&world, 0); /* HTTP/1.0 knows no chunks, whatever it says of keep-alive */
    reply = client_ask(fd, "GET /stream?pieces=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_head_has(reply, "Connection: close");
    assert_string_equal(reply->body, "piece 2\npiece 1\n");
    close(fd);
}

static void a_stream_that_breaks_its_length_is_cut(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    const client_reply *reply = client_ask(fd, "GET /stream?pieces=2&length=17 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(reply->closed);
    close(fd);
}

static void big_answers_arrive_whole(void **state)
{
    (void)state;
    static const char *const paths[] = {"/big", "/slowly"};
    for (int i = 0; i < 2; ++i) {
        char request[100];
        size_t bytes = 0;
        int fd = client_connect(&world, 0);
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
        client_send(fd, request);
        assert_true(client_sees_end(fd, 20000, &bytes));
        assert_true(bytes > WORLD_BIG && bytes < WORLD_BIG + 1000);
        close(fd);
    }
}

static void handlers_may_answer_later_or_never(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    const client_reply *reply = client_ask(fd, "GET /wait?then=answer HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(reply->body, "waited");
    reply = client_ask(fd, "GET /wait?then=answer&started=1&after=10 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(reply->body, "abcdefg");
    reply = client_ask(fd, "GET /wait?then=fail HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_error(reply, 500, "internal");
    reply = client_ask(fd, "GET /wait?then=fail&started=1&after=10 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(reply->closed); /* half an answer can only be cut */
    close(fd);

    static const char *const cut[] = {"/abort", "/wait?then=abort", "/wait?then=abort&started=1",
                                      "/wait?then=abort&started=1&after=20"};
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); ++i) {
        char request[100];
        fd = client_connect(&world, 0);
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", cut[i]);
        client_send(fd, request);
        assert_true(client_sees_end(fd, 2000, NULL));
        close(fd);
    }
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 1000));
}

/* ---- errors that are not the handlers' ---- */

static void request_ids_are_taken_when_harmless(void **state)
{
    (void)state;
    int fd = client_connect(&world, 0);
    const client_reply *reply = client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc.DEF_1-2\r\n\r\n");
    assert_head_has(reply, "x-request-id: abc.DEF_1-2\r\n");
    reply = client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\r\n\r\n");
    assert_head_has(reply, "x-request-id: r-");
    reply = client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n"
                           "X-Request-Id: 0123456789012345678901234567890123456789\r\n\r\n");
    assert_head_has(reply, "x-request-id: r-");
    reply = client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n"
                           "X-Request-Id: 012345678901234567890123456789012345678\r\n\r\n");
    assert_head_has(reply, "x-request-id: 012345678901234567890123456789012345678\r\n");
    close(fd);
}

static void what_h2o_refuses_has_our_shape(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *code;
    } table[] = {
        {"POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413, "body_too_large"},
        {"POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\nX-Request-Id: mine\r\n\r\n", 413,
         "body_too_large"},
        {"POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400, "bad_request"},
        {"POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_request"},
        {"POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"},
        {"POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: magic\r\n\r\n", 417, "expectation_failed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        int fd = client_connect(&world, 0);
        const client_reply *reply = client_ask(fd, table[i].request);
        assert_error(reply, table[i].status, table[i].code);
        assert_head_has(reply, "Connection: close");
        if (strstr(table[i].request, "mine") != NULL)
            assert_head_has(reply, "x-request-id: mine\r\n");
        assert_true(client_sees_end(fd, 1000, NULL)); /* lingering shuts down its side at once */
        close(fd);
    }
    int fd = client_connect(&world, 0); /* HEAD with a body too long: no body comes back */
    const client_reply *reply = client_ask(fd, "HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\n\r\n");
    assert_int_equal(reply->status, 413);
    size_t bytes = 0;
    assert_true(client_sees_end(fd, 1000, &bytes));
    assert_int_equal(bytes, 0);
    close(fd);
    assert_int_equal(world.handled, 0);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 1000)); /* and it ends when the client closes */
}

static void a_client_that_writes_first_still_reads_its_413(void **state)
{
    (void)state;
    static char piece[65536];
    static client_reply reply;
    static const char *const heads[] = {
        "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 6291456\r\n\r\n",
        "POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n600000\r\n",
    };
    for (int i = 0; i < 2; ++i) {
        int fd = client_connect(&world, 0);
        client_send(fd, heads[i]);
        for (size_t sent = 0; sent < 6291456; sent += sizeof(piece))
            assert_int_equal(send(fd, piece, sizeof(piece), MSG_NOSIGNAL), sizeof(piece));
        assert_true(client_read(fd, false, &reply));
        assert_error(&reply, 413, "body_too_large");
        close(fd);
    }
    assert_int_equal(world.handled, 0);
}

static void an_unreadable_head_gets_an_error_and_the_end(void **state)
{
    static const struct {
        const char *head;
        int status;
        const char *code;
    } all[] = {
        {"\x01\x02\x03\x04\x05\r\n\r\n", 400, "bad_request"},
        {"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, "bad_request"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_not_supported"},
        {"GET / HTTP/9\r\n\r\n", 400, "bad_request"},
        {"GET http://other/echo HTTP/1.1\r\nHost: example.org\r\n\r\n", 400, "bad_request"},
        {"GET /%2e%2e/echo HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        int fd = client_connect(&world, 0);
        const client_reply *reply = client_ask(fd, all[i].head);
        assert_error(reply, all[i].status, all[i].code);
        assert_head_has(reply, "Connection: close");
        assert_head_has(reply, "Date: ");
        assert_true(client_sees_end(fd, 5000, NULL));
        close(fd);
    }
    assert_int_equal(world.handled, 0);
    int fd = client_connect(&world, 0); /* no way up to HTTP/2 either */
    const client_reply *reply =
        client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                       "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "hello");
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_connection_serves_many_requests),
        TEST(a_request_is_handed_over_as_it_was_sent),
        TEST(bodies_arrive_whole),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(streams_are_framed_so_that_their_end_is_seen),
        TEST(a_stream_that_breaks_its_length_is_cut),
        TEST(big_answers_arrive_whole),
        TEST(handlers_may_answer_later_or_never),
        TEST(request_ids_are_taken_when_harmless),
        TEST(what_h2o_refuses_has_our_shape),
        TEST(a_client_that_writes_first_still_reads_its_413),
        TEST(an_unreadable_head_gets_an_error_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
