/* The edge when memory is short: new connections are refused, and one request has a budget. */
#include "edge_world.h"

#include <unistd.h>

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

static void refuse(edge_world *w)
{
    fa_http_refuse_connections(w->http, true);
}

static void accept_again(edge_world *w)
{
    fa_http_refuse_connections(w->http, false);
}

/* Memory is short: who comes now is told so, who is there goes on. */
static void new_connections_are_refused(void **state)
{
    static const char ask[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    (void)state;
    world_up(&world);
    int there = client_connect(&world, 0);
    assert_int_equal(client_ask(there, ask)->status, 200);
    world_order(&world, refuse);
    for (int i = 0; i < 5; ++i) {
        int late = client_connect(&world, 0);
        const client_reply *reply = client_ask(late, ask);
        assert_int_equal(reply->status, 503);
        assert_non_null(strstr(reply->head, "retry-after: 5\r\n"));
        assert_non_null(strstr(reply->head, "Connection: close\r\n"));
        assert_non_null(strstr(reply->body, "{\"error\":{\"code\":\"over_budget\""));
        assert_true(client_sees_end(late, 1000, NULL));
        close(late);
    }
    assert_int_equal(world_count(&world, FA_KIND_CONNECTION), 1);
    assert_int_equal(client_ask(there, ask)->status, 200);
    int silent = client_connect(&world, 0); /* says nothing: it does not keep its place for that */
    assert_true(client_sees_end(silent, 5000, NULL));
    close(silent);
    world_order(&world, accept_again);
    int fresh = client_connect(&world, 0);
    assert_int_equal(client_ask(fresh, ask)->status, 200);
    close(fresh);
    close(there);
}

/* One request's budget: its body does not fit, and the answer is the same as when nothing fits. */
static void a_request_has_a_budget(void **state)
{
    static char request[20200] = "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n";
    (void)state;
    world.options.request_budget = 16 * 1024;
    world_up(&world);
    int fd = client_connect(&world, 0);
    memset(request + strlen(request), 'x', 20000);
    const client_reply *reply = client_ask(fd, request);
    assert_int_equal(reply->status, 503);
    assert_non_null(strstr(reply->head, "retry-after: 1\r\n"));
    assert_int_equal(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 1000));
    assert_int_equal(fa_ledger_kind(world.ledger, FA_KIND_REQUEST)->bytes, 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(new_connections_are_refused), TEST(a_request_has_a_budget)};
    return cmocka_run_group_tests_name("http: pressure", tests, NULL, NULL);
}
