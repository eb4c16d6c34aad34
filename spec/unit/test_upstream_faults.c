/* What services do wrong, one after the other: the right error, few requests, and nothing left (upstream_world_end looks). */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/buffer.h"
#include "upstream_world.h"

/* getaddrinfo is this one in this program: libcurl finds it before libc's. Names under ".slow" take their time. */
static _Atomic int slow_lookups;
int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict res)
{
    (void)service, (void)hints, (void)res;
    if (node != NULL && strstr(node, ".slow") != NULL) {
        slow_lookups++;
        usleep(700000);
        slow_lookups--;
    }
    return EAI_NONAME;
}

typedef struct fault {
    const char *path, *method;
    fa_failure_kind kind;
    const char *which;
    int status;
    unsigned attempts, requests; /* requests: 0: as attempts */
} fault;

static const fault faults[] = {
    {"/hello", "GET", FA_FAILED_NOT, NULL, 200, 1, 0},
    {"/hello", "HEAD", FA_FAILED_NOT, NULL, 200, 1, 0},
    {"/chunks/10/100", "GET", FA_FAILED_NOT, NULL, 200, 1, 0},
    {"/status/404", "GET", FA_FAILED_NOT, NULL, 404, 1, 0},
    {"/status/500", "GET", FA_FAILED_NOT, NULL, 500, 1, 0},
    {"/status/503", "GET", FA_FAILED_NOT, NULL, 503, 3, 0},
    {"/status/503", "POST", FA_FAILED_NOT, NULL, 503, 1, 0},
    {"/status/429/60", "GET", FA_FAILED_NOT, NULL, 429, 1, 0},
    {"/flaky/2", "GET", FA_FAILED_NOT, NULL, 200, 3, 0},
    {"/silent", "GET", FA_FAILED_TIMEOUT, "first_byte", 0, 3, 0},
    {"/silent", "POST", FA_FAILED_TIMEOUT, "first_byte", 0, 1, 0},
    {"/stall", "POST", FA_FAILED_TIMEOUT, "idle", 200, 1, 0},
    {"/cut", "POST", FA_FAILED_CUT, NULL, 200, 1, 0},
    {"/cut", "GET", FA_FAILED_CUT, NULL, 200, 3, 0},
    {"/nothing", "POST", FA_FAILED_CUT, NULL, 0, 1, 0},
    {"/garbage", "GET", FA_FAILED_PROTOCOL, NULL, 0, 1, 0},
    {"/longhead", "GET", FA_FAILED_TOO_LARGE, NULL, 0, 1, 0},
    {"/endless", "GET", FA_FAILED_TOO_LARGE, NULL, 200, 1, 0},
    {"/bytes/200000", "GET", FA_FAILED_TOO_LARGE, NULL, 200, 1, 0},
    {"/bytes/100000", "GET", FA_FAILED_NOT, NULL, 200, 1, 0},
    {"/goto/302?/hello", "GET", FA_FAILED_NOT, NULL, 200, 2, 0},
    {"/goto/303?/hello", "POST", FA_FAILED_NOT, NULL, 200, 2, 0},
    {"/goto/302?ftp://x/", "GET", FA_FAILED_REDIRECT, NULL, 0, 1, 0},
    {"/goto/302?http://10.0.0.1/", "GET", FA_FAILED_GUARD, NULL, 0, 2, 1},
    {"/goto/302?http://[::ffff:127.0.0.1]/", "GET", FA_FAILED_GUARD, NULL, 0, 2, 1},
    {"/goto/302?http://169.254.169.254/latest", "GET", FA_FAILED_GUARD, NULL, 0, 2, 1},
    {"/goto/302?http://127.0.0.1:81/", "GET", FA_FAILED_GUARD, NULL, 0, 1, 0},
};

static void services_do_wrong(void **state)
{
    (void)state;
    upstream_world *w =
        upstream_world_begin("max_response=100KB", "retry_cap=2ms", "breaker_failures=0", "retry_budget=1000", NULL);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); ++i) {
        const fault *f = &faults[i];
        asked a = {.path = f->path, .method = f->method, .send = f->method[0] == 'P' ? "x" : NULL};
        if (f->kind == FA_FAILED_TIMEOUT) /* only what comes never is not waited for: this machine may be slow */
            *(strcmp(f->which, "idle") == 0 ? &a.request.idle_ms : &a.request.first_byte_ms) = 60;
        size_t before = w->service.requests;
        w->service.flaky = 0;
        upstream_ask(w, &a);
        print_message("%s %s: %s %s\n", f->method, f->path, fa_failure_name(a.kind), a.message);
        assert_int_equal(a.kind, f->kind);
        assert_int_equal(a.attempts, f->attempts);
        assert_int_equal(a.status, f->status);
        unsigned requests = f->requests != 0 ? f->requests : f->attempts;
        UPSTREAM_UNTIL(w, w->service.requests - before >= requests); /* it may be slower than our deadline */
        assert_int_equal(w->service.requests - before, requests);
        if (f->which != NULL)
            assert_string_equal(a.which, f->which);
        else
            assert_null(a.which);
        assert_int_equal(upstream_transfers(w), 0);
    }
    upstream_world_end(w);
}

static void a_redirect_loop_ends(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("redirects=5", NULL);
    asked a = {.path = "/goto/302?/goto/302?/goto/302?x"};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_NOT); /* it leads to /goto/302?x, then to "x", which is not there */
    asked b = {.path = "/goto/307?/goto/307?/goto/307?/goto/307?/goto/307?/goto/307?/goto/307?/hello"};
    upstream_ask(w, &b);
    assert_int_equal(b.kind, FA_FAILED_REDIRECT);
    assert_int_equal(b.attempts, 6);
    upstream_world_end(w);
}

static void nobody_is_there(void **state)
{
    (void)state;
    upstream_world *w =
        upstream_world_begin("url=http://127.0.0.1:1", "breaker_failures=4", "breaker_cooldown=1h", NULL);
    asked a = {.path = "/", .send = "x"};
    upstream_ask(w, &a); /* nothing was sent, so even a POST is tried again */
    assert_int_equal(a.kind, FA_FAILED_REFUSED);
    assert_int_equal(a.attempts, 3);
    assert_true(a.retryable);
    asked b = {.path = "/", .send = "x"};
    upstream_ask(w, &b);
    assert_int_equal(b.kind, FA_FAILED_BREAKER);
    assert_int_equal(b.attempts, 1);
    asked c = {.path = "/"};
    upstream_ask(w, &c);
    assert_int_equal(c.kind, FA_FAILED_BREAKER);
    assert_int_equal(c.attempts, 0);
    upstream_world_end(w);
}

static void no_secure_connection(void **state)
{
    char url[60];
    (void)state;
    upstream_world *w =
        upstream_world_begin("retries=2", "connect_timeout=15s", NULL); /* valgrind takes its time over certificates */
    snprintf(url, sizeof(url), "url=https://127.0.0.1:%d", w->service.port); /* it speaks in the clear */
    assert_ok(upstream_world_set(w, "it", url));
    asked a = {.path = "/"};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_TLS);
    assert_false(a.retryable);
    assert_int_equal(a.attempts, 1);
    upstream_world_end(w);
}

/* A service that says no to everything is well: no breaker, one connection, one request for each. */
static void a_storm_of_404(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("breaker_failures=3", NULL);
    for (int i = 0; i < 300; ++i) {
        asked a = {.path = "/status/404"};
        upstream_ask(w, &a);
        assert_int_equal(a.status, 404);
    }
    assert_int_equal(w->service.requests, 300);
    assert_int_equal(w->service.connections, 1);
    upstream_world_end(w);
}

/* More than was declared: what is beyond is not of this answer, and the connection is not used again. */
static void a_body_longer_than_it_says(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    w->service.said_head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    w->service.said = "helloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    w->service.said_length = strlen(w->service.said);
    for (int i = 0; i < 3; ++i) {
        asked a = {.path = "/say"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        assert_string_equal(a.body, "hello");
    }
    assert_int_equal(w->service.connections, 3);
    upstream_world_end(w);
}

static void garbage_instead_of_events(void **state)
{
    static char noise[300000];
    (void)state;
    memset(noise, 'x', sizeof(noise));
    upstream_world *w = upstream_world_begin("event_max=64KB", "window=64KB", NULL);
    w->service.said = noise;
    w->service.said_length = sizeof(noise);
    asked a = {.path = "/say", .keep = true, .request = {.mode = FA_TRANSFER_STREAM, .format = FA_STREAM_SSE}};
    fa_stream_event event;
    fa_result result = FA_NOT_FOUND;
    upstream_start(w, &a);
    UPSTREAM_UNTIL(w, (result = fa_transfer_next(a.transfer, &event)) != FA_NOT_FOUND);
    assert_int_equal(result, FA_FULL);
    assert_int_equal(fa_transfer_failure(a.transfer)->kind, FA_FAILED_TOO_LARGE);
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->peak_bytes < 300000);
    fa_transfer_end(a.transfer);
    upstream_world_end(w);
}

static void the_second_address_helps(void **state)
{
    char url[100];
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    snprintf(url, sizeof(url), "url=http://127.0.0.1:1,http://127.0.0.1:%d/", w->service.port);
    assert_ok(upstream_world_set(w, "it", url));
    assert_ok(upstream_world_set(w, "it", "breaker_failures=2"));
    for (int i = 0; i < 5; ++i) {
        asked a = {.path = "/hello", .send = "x"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        assert_int_equal(a.attempts, i < 2 ? 2 : 1); /* then the first one is left alone */
    }
    upstream_world_end(w);
}

/* Whom nobody was there for goes on to the next address, however many are gone, and it is no repetition: no budget, no `retries`. */
static void the_last_address_helps_for_ever(void **state)
{
    char url[100];
    (void)state;
    upstream_world *w = upstream_world_begin("breaker_failures=0", "retry_budget=0", "retries=0", NULL);
    snprintf(url, sizeof(url), "url=http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:%d/", w->service.port);
    assert_ok(upstream_world_set(w, "it", url));
    for (int i = 0; i < 30; ++i) {
        asked a = {.path = "/hello", .method = "POST"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        assert_int_equal(a.attempts, 3);
    }
    assert_int_equal(w->service.requests, 30);
    fa_upstream_figures figures;
    fa_upstream_read(w->it, &figures);
    assert_int_equal(figures.requests, 30);
    assert_int_equal(figures.moves, 60);
    assert_int_equal(figures.retries, 0);
    assert_int_equal(figures.failed, 0);
    upstream_world_end(w);
}

static void nobody_is_at_any_address(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("url=http://127.0.0.1:1,http://127.0.0.1:2", "breaker_failures=0",
                                             "retries=1", "retry_base=1ms", NULL);
    asked a = {.path = "/"};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_REFUSED);
    assert_int_equal(a.attempts, 3); /* both, and one repetition */
    fa_upstream_figures figures;
    fa_upstream_read(w->it, &figures);
    assert_int_equal(figures.moves, 1);
    assert_int_equal(figures.retries, 1);
    upstream_world_end(w);
}

static void names_that_are_none(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("url=http://nowhere.invalid", "retries=1", NULL);
    asked a = {.path = "/"};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_DNS);
    assert_int_equal(a.attempts, 2);
    upstream_world_end(w);
}

/* The resolver's thread is left to itself: ending the transfer takes no time, and what it holds is given back later. */
static void a_lookup_blocks_nobody(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("url=http://never.slow", "retries=0", NULL);
    asked a = {.path = "/"};
    uint64_t start = fa_now_ms();
    upstream_start(w, &a);
    UPSTREAM_UNTIL(w, slow_lookups == 1);
    assert_true(fa_now_ms() - start < 600);
    uint64_t before = fa_now_ms();
    fa_transfer_end(a.transfer);
    assert_true(fa_now_ms() - before < 300);
    assert_int_equal(slow_lookups, 1); /* it still looks */
    upstream_world_end(w);
    for (int i = 0; slow_lookups > 0 && i < 5000; ++i)
        usleep(1000);
    assert_int_equal(slow_lookups, 0);
    usleep(50000); /* it closes its half of a socket pair last; the harness counts descriptors */
}

static void a_connection_that_closed_is_no_failure(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("retries=0", NULL);
    for (int i = 0; i < 20; ++i) {
        asked a = {.path = "/last"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        assert_string_equal(a.body, "last");
    }
    assert_int_equal(w->service.requests, 20);
    upstream_world_end(w);
}

/* The kept connection closes when the request is there and no byte of an answer has gone out: nobody can tell whether it was worked on. */
static void what_must_not_be_sent_twice_is_not(void **state)
{
    static const struct {
        const char *send;
        int idempotent;
        bool once;
        unsigned requests;
    } cases[] = {{NULL, 0, false, 3}, {"x", 0, false, 2}, {"x", 1, false, 3}, {NULL, 0, true, 2}};
    (void)state;
    upstream_world *w = upstream_world_begin("retries=0", NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        size_t before = w->service.requests;
        asked first = {.path = "/hello"}, second = {.path = "/nothing",
                                                    .send = cases[i].send,
                                                    .once = cases[i].once,
                                                    .request = {.idempotent = cases[i].idempotent}};
        upstream_ask(w, &first);
        upstream_ask(w, &second);
        assert_int_equal(second.kind, FA_FAILED_CUT);
        assert_int_equal(second.attempts, 1);
        assert_int_equal(w->service.requests - before, cases[i].requests);
    }
    upstream_world_end(w);
}

static void or_it_has_a_connection_of_its_own(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("reuse_unsafe=false", NULL);
    asked first = {.path = "/hello", .send = "x"}, second = {.path = "/hello", .send = "x"}, third = {.path = "/hello"};
    upstream_ask(w, &first);
    upstream_ask(w, &second);
    assert_int_equal(w->service.connections, 2);
    upstream_ask(w, &third);
    assert_int_equal(w->service.connections, 2);
    upstream_world_end(w);
}

static void fetch_goes_through_the_guard(void **state)
{
    char url[100];
    static const char *const refused[] = {"http://127.0.0.1/", "http://[::1]/", "http://localhost/", "http://0x7f.1/",
                                          "http://2130706433/"};
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    fa_upstream *fetch = fa_upstreams_fetch(w->upstreams);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
        asked a = {.path = refused[i], .upstream = fetch};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_GUARD);
        assert_false(a.retryable);
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hello", w->service.port);
    asked b = {.path = url, .upstream = fetch};
    upstream_ask(w, &b);
    assert_int_equal(b.started, FA_UNSUPPORTED); /* the port */
    char endless[9000] = "http://";
    memset(endless + 7, 'x', sizeof(endless) - 8);
    const char *const none[] = {"ftp://x/", "http://u:p@x/", "what a user wrote", "", endless};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); ++i) {
        asked c = {.path = none[i], .upstream = fetch};
        upstream_ask(w, &c);
        assert_int_equal(c.started, FA_UNSUPPORTED); /* what comes from users is no mistake of the script's */
    }
    assert_int_equal(w->service.requests, 0);
    upstream_world_end(w);
}

static void requests_that_cannot_be_sent(void **state)
{
    static const char *const paths[] = {"hello", "/a b", "/a\r\nX: y", "/../x", "/a/..", "/a#b", "/a\\b", "@evil"};
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i) {
        asked a = {.path = paths[i]};
        upstream_ask(w, &a);
        assert_int_equal(a.started, FA_INVALID);
    }
    fa_header headers[] = {{FA_TEXT("Host"), FA_TEXT("x")},
                           {FA_TEXT("content-length"), FA_TEXT("1")},
                           {FA_TEXT("X"), FA_TEXT("a\r\nb: c")},
                           {FA_TEXT("X Y"), FA_TEXT("a")}};
    for (size_t i = 0; i < 4; ++i) {
        asked a = {.path = "/", .request = {.headers = &headers[i], .header_count = 1}};
        upstream_ask(w, &a);
        assert_int_equal(a.started, FA_INVALID);
    }
    assert_int_equal(w->service.connections, 0);
    upstream_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_do_wrong),
        cmocka_unit_test(a_redirect_loop_ends),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(no_secure_connection),
        cmocka_unit_test(a_storm_of_404),
        cmocka_unit_test(a_body_longer_than_it_says),
        cmocka_unit_test(garbage_instead_of_events),
        cmocka_unit_test(the_second_address_helps),
        cmocka_unit_test(the_last_address_helps_for_ever),
        cmocka_unit_test(nobody_is_at_any_address),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(a_lookup_blocks_nobody),
        cmocka_unit_test(a_connection_that_closed_is_no_failure),
        cmocka_unit_test(what_must_not_be_sent_twice_is_not),
        cmocka_unit_test(or_it_has_a_connection_of_its_own),
        cmocka_unit_test(fetch_goes_through_the_guard),
        cmocka_unit_test(requests_that_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
