/* Transfers by the hundred: places, back-pressure, cancelling, recycling; and what is left when memory runs out. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/buffer.h"
#include "upstream/curl_memory.h"
#include "upstream_world.h"

static fa_upstream_figures figures(const upstream_world *w)
{
    fa_upstream_figures f;
    fa_upstream_read(w->it, &f);
    return f;
}

static void await_all(upstream_world *w, asked *all, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        upstream_await(w, &all[i]);
}

static void a_thousand_over_fifty_places(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("concurrency=50", "max_idle=50", "queue=900", "queue_wait=10s", NULL);
    asked *all = calloc(1000, sizeof(*all));
    size_t busy = 0, good = 0;
    for (int i = 0; i < 1000; ++i) {
        all[i].path = "/hello";
        upstream_start(w, &all[i]);
        assert_ok(all[i].started);
    }
    assert_int_equal(figures(w).waiting, 900);
    await_all(w, all, 1000);
    for (int i = 0; i < 1000; ++i) {
        good += all[i].kind == FA_FAILED_NOT;
        busy += all[i].kind == FA_FAILED_BUSY;
    }
    assert_int_equal(good, 950);
    assert_int_equal(busy, 50);
    assert_int_equal(w->service.requests, 950);
    assert_true(w->service.connections <= 50);
    assert_int_equal(figures(w).running + figures(w).waiting, 0);
    free(all);
    upstream_world_end(w);
}

static void who_waits_too_long_is_told(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("concurrency=1", "queue_wait=30ms", NULL);
    asked first = {.path = "/silent"}, second = {.path = "/hello"}, third = {.path = "/hello"};
    upstream_start(w, &first);
    upstream_ask(w, &second);
    assert_int_equal(second.kind, FA_FAILED_BUSY);
    assert_true(second.retryable);
    upstream_start(w, &third);
    fa_transfer_end(first.transfer); /* its place goes to the next one */
    upstream_await(w, &third);
    assert_int_equal(third.kind, FA_FAILED_NOT);
    upstream_world_end(w);
}

static double thread_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int slowness(void)
{
    const char *slow = getenv("FA_SLOW");
    return slow != NULL ? atoi(slow) : 1;
}

static void a_thousand_streams_are_cancelled(void **state)
{
    (void)state;
    const int many = slowness() > 4 ? 200 : 1000; /* valgrind runs one thread at a time */
    upstream_world *w = upstream_world_begin("concurrency=0", "max_idle=1", "window=16KB", "total_timeout=1min", NULL);
    asked *all = calloc((size_t)many, sizeof(*all));
    int late = 0;
    for (int round = 0; round < 2 || (late > 0 && round < 6);
         ++round) { /* the first one warms up; a busy machine has more tries */
        size_t bytes = fa_ledger_bytes(w->ledger);
        for (int i = 0; i < many; ++i) {
            all[i] = (asked){.path = "/endless", .request = {.mode = FA_TRANSFER_STREAM}};
            upstream_start(w, &all[i]);
            assert_ok(all[i].started);
        }
        UPSTREAM_UNTIL(w, (int)w->service.open == many);
        UPSTREAM_UNTIL(w, fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes > (size_t)many * 16 * 1024);
        assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes < (size_t)many * 48 * 1024);
        double busy = thread_ms();
        uint64_t start = fa_now_ms();
        for (int i = 0; i < many; ++i)
            fa_transfer_end(all[i].transfer);
        uint64_t cut = fa_now_ms();
        assert_int_equal(upstream_transfers(w), 0);
        assert_int_equal(figures(w).sockets, 0);
        double spent = thread_ms() - busy;
        while (w->service.open > 0 && fa_now_ms() - start < 20000)
            usleep(200);
        int seen = (int)(fa_now_ms() - cut);
        print_message("cancelled in %d ms (%.1f of processor), all seen closed %d ms later\n", (int)(cut - start),
                      spent, seen);
        assert_int_equal(w->service.open, 0);
        /* The service has a thread for each, and they wait for a processor as we did. */
        double crowd = (double)(cut - start) / (spent > 1 ? spent : 1);
        late = seen > 100 * slowness() * (crowd > 1 ? crowd : 1) ? seen : 0;
        fa_test_run_for(w->worker, 20);
        if (round > 0)
            assert_int_equal(fa_ledger_bytes(w->ledger), bytes);
    }
    assert_int_equal(late, 0);
    free(all);
    upstream_world_end(w);
}

static void nobody_reads_more_than_the_window(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("window=64KB", "idle_timeout=40ms", NULL);
    asked a = {.path = "/endless", .request = {.mode = FA_TRANSFER_STREAM}};
    upstream_start(w, &a);
    fa_test_run_for(w->worker, 200); /* longer than the deadline, which does not run while we are the slow ones */
    assert_false(a.done);
    fa_buffer *piece = fa_transfer_take(a.transfer);
    assert_in_range(fa_buffer_length(piece), 48 * 1024, 64 * 1024);
    fa_buffer_release(piece);
    UPSTREAM_UNTIL(w, (piece = fa_transfer_take(a.transfer)) != NULL); /* it goes on */
    fa_buffer_release(piece);
    fa_transfer_end(a.transfer);

    asked b = {.path = "/chunks/100/10000"};
    fa_upstreams_pause(w->upstreams, true);
    upstream_start(w, &b);
    fa_test_run_for(w->worker, 100);
    assert_false(b.done);
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes < 20000);
    fa_upstreams_pause(w->upstreams, false);
    upstream_await(w, &b);
    assert_int_equal(b.kind, FA_FAILED_NOT);
    assert_int_equal(b.length, 1000000);
    upstream_world_end(w);
}

static void recycling_fails_nobody(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("max_idle=100", "concurrency=20", NULL);
    asked *all = calloc(400, sizeof(*all));
    for (int i = 0; i < 400; ++i) {
        all[i].path = "/hello";
        upstream_start(w, &all[i]);
        if (i % 40 == 39) {
            upstream_await(w, &all[i - 20]);
            fa_upstream_recycle(w->it, "test");
        }
    }
    await_all(w, all, 400);
    for (int i = 0; i < 400; ++i)
        assert_int_equal(all[i].kind, FA_FAILED_NOT);
    assert_int_equal(figures(w).recycled, 10);
    memset(all, 0, 400 * sizeof(*all));
    for (int i = 0; i < 20; ++i) {
        all[i].path = "/hello";
        upstream_start(w, &all[i]);
    }
    await_all(w, all, 20);

    size_t sockets = w->service.open, bytes = fa_curl_memory();
    assert_true(sockets >= figures(w).sockets && sockets > 0);
    fa_upstream_recycle(w->it, "test");
    assert_true(fa_curl_memory() + sockets * 500 < bytes);
    assert_int_equal(figures(w).sockets, 0);
    assert_int_equal(figures(w).pools, 0);
    UPSTREAM_UNTIL(w, w->service.open == 0);
    assert_non_null(strstr(w->logged, "upstream it: pool closed (test): age "));
    assert_non_null(strstr(w->logged, " connections closed, "));
    free(all);
    upstream_world_end(w);
}

static void pools_wear_out(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("recycle_requests=3", NULL);
    for (int i = 0; i < 10; ++i) {
        asked a = {.path = "/hello"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
    }
    assert_int_equal(figures(w).recycled, 3);
    assert_ok(upstream_world_set(w, "it", "recycle_requests=0"));
    assert_ok(upstream_world_set(w, "it", "recycle_bytes=10000B"));
    for (int i = 0; i < 4; ++i) {
        asked a = {.path = "/bytes/6000"};
        upstream_ask(w, &a);
    }
    assert_int_equal(figures(w).recycled, 4);
    assert_ok(upstream_world_set(w, "it", "recycle_bytes=0"));
    assert_ok(upstream_world_set(w, "it", "recycle_age=50ms"));
    for (int i = 0; i < 3; ++i) {
        asked a = {.path = "/hello"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        fa_test_run_for(w->worker, i < 2 ? 60 : 0); /* with the last one the pool is new */
    }
    assert_int_equal(figures(w).recycled, 6);
    assert_non_null(strstr(w->logged, "upstream it: pool closed (its requests): age 0 s, 3 requests, "));
    assert_non_null(
        strstr(w->logged,
               "upstream it: pool closed (its bytes): age 0 s, 2 requests, 11.9 KB received, 1 connections closed"));
    assert_non_null(strstr(w->logged, "upstream it: pool closed (its age): age 0 s, 1 requests, "));
    assert_ok(upstream_world_set(w, "it", "close_idle=20ms"));
    asked a = {.path = "/hello"};
    upstream_ask(w, &a);
    UPSTREAM_UNTIL(w, figures(w).pools == 0 && w->service.open == 0);
    assert_non_null(strstr(w->logged, "(nothing to do)"));
    upstream_world_end(w);
}

static void an_old_pool_stays_for_its_last_transfer(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    asked slow = {.path = "/silent"}, fresh = {.path = "/hello"};
    upstream_start(w, &slow);
    UPSTREAM_UNTIL(w, w->service.requests == 1);
    fa_upstream_recycle(w->it, "test");
    upstream_ask(w, &fresh);
    assert_int_equal(fresh.kind, FA_FAILED_NOT);
    assert_int_equal(figures(w).pools, 2);
    fa_transfer_end(slow.transfer);
    assert_int_equal(figures(w).pools, 1);
    upstream_world_end(w);
}

/* Answers that end at once may leave too many connections: each that comes back later closes one. */
static void ask_one_by_one(upstream_world *w, int times)
{
    for (int i = 0; i < times; ++i) {
        asked one = {.path = "/hello"};
        upstream_ask(w, &one);
    }
}

/* What is in use does not count as idle: else there would be a new connection for nearly every request above max_idle at once. */
static void a_steady_stream_keeps_its_connections(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("concurrency=20", "max_idle=3", NULL);
    asked *all = calloc(400, sizeof(*all));
    for (int i = 0; i < 400; ++i) {
        all[i].path = "/hello";
        upstream_start(w, &all[i]);
    }
    await_all(w, all, 400);
    print_message("%zu connections for 400 requests, %zu stay\n", (size_t)w->service.connections, figures(w).sockets);
    assert_in_range(w->service.connections, 1, 60); /* without any: 400 */
    ask_one_by_one(w, 20);
    assert_true(figures(w).sockets <= 4);
    free(all);
    upstream_world_end(w);
}

static void connections_are_kept_or_not(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("max_idle=3", NULL);
    asked all[10];
    for (int round = 0; round < 3; ++round) {
        memset(all, 0, sizeof(all));
        for (int i = 0; i < 10; ++i) {
            all[i].path = "/hello";
            upstream_start(w, &all[i]);
        }
        await_all(w, all, 10);
    }
    ask_one_by_one(w, 10);
    assert_true(figures(w).sockets <= 3);
    assert_ok(upstream_world_set(w, "it", "keepalive=false"));
    size_t before = w->service.connections;
    for (int i = 0; i < 3; ++i) {
        asked a = {.path = "/hello"};
        upstream_ask(w, &a);
        assert_int_equal(figures(w).sockets, 0);
    }
    assert_int_equal(w->service.connections - before, 3);
    upstream_world_end(w);
}

static void a_large_body_goes_out(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("first_byte_timeout=2s", NULL);
    size_t size = 3 * 1024 * 1024;
    char *bytes = malloc(size);
    memset(bytes, 'b', size);
    fa_buffer *body = upstream_text(w, bytes, size);
    asked a = {.path = "/hello", .method = "PUT", .request = {.body = body}};
    fa_form_item parts[] = {
        {.name = FA_TEXT("file"), .filename = FA_TEXT("a.bin"), .type = FA_TEXT("a/b"), .body = body, .length = size},
        {.name = FA_TEXT("word"), .body = body, .offset = 5, .length = 3}};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_NOT);
    asked b = {.path = "/hello", .method = "POST", .request = {.parts = parts, .part_count = 2}};
    upstream_start(w, &b);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_SCRIPT)->in_flight_bytes >= size, 1); /* leased, not copied */
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes < 20000);
    upstream_await(w, &b);
    assert_int_equal(b.kind, FA_FAILED_NOT);
    parts[0].length = 10;
    asked c = {.path = "/head", .method = "POST", .request = {.parts = parts, .part_count = 2}};
    upstream_ask(w, &c);
    assert_non_null(strstr(c.body, "name=\"file\"; filename=\"a.bin\"\r\nContent-Type: a/b\r\n\r\nbbbbbbbbbb\r\n"));
    assert_non_null(strstr(c.body, "name=\"word\"\r\n\r\nbbb\r\n"));
    fa_buffer_release(body);
    free(bytes);
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
    upstream_world_end(w);
}

static void retry_after_is_waited_for(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("retries=1", NULL);
    asked a = {.path = "/status/429/1"};
    uint64_t start = fa_now_ms();
    upstream_ask(w, &a);
    assert_in_range(fa_now_ms() - start, 995, 10000);
    assert_int_equal(a.attempts, 2);
    assert_int_equal(a.status, 429);
    upstream_world_end(w);
}

static void repetitions_have_a_budget(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("retry_budget=5", "retry_percent=0", "breaker_failures=0", NULL);
    for (int i = 0; i < 50; ++i) {
        asked a = {.path = "/status/503"};
        upstream_ask(w, &a);
        assert_int_equal(a.status, 503);
    }
    assert_int_equal(w->service.requests, 55);
    upstream_world_end(w);
}

static void a_hedge_wins(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("hedge=20ms", "first_byte_timeout=10s", NULL);
    asked a = {.path = "/once-silent"};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_NOT);
    assert_string_equal(a.body, "heard");
    assert_int_equal(a.attempts, 2);
    assert_int_equal(w->service.requests, 2);
    upstream_world_end(w);
}

/* ---- memory runs out ---- */

static origin service;

static bool scenario(fa_ledger *ledger)
{
    bool good = false;
    upstream_world *w = calloc(1, sizeof(*w));
    w->service.port = service.port;
    if (upstream_world_try(w, ledger) && upstream_world_set(w, "it", "retries=0") == FA_OK) {
        asked a = {.path = "/bytes/3000"},
              b = {.path = "/echo", .request = {.mode = FA_TRANSFER_STREAM}, .method = "POST"};
        b.request.body = upstream_text(w, "hello", 5);
        if (b.request.body != NULL) {
            upstream_ask(w, &a);
            upstream_ask(w, &b);
            good = a.started == FA_OK && a.kind == FA_FAILED_NOT && b.started == FA_OK && b.kind == FA_FAILED_NOT;
        }
    }
    upstream_world_close(w);
    free(w);
    return good;
}

static void our_memory_runs_out(void **state)
{
    bool reached = false;
    (void)state;
    memset(&service, 0, sizeof(service));
    origin_begin(&service);
    assert_int_equal(fa_curl_begin(), FA_OK);
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        reached = scenario(ledger);
    }
    assert_true(reached);
    origin_end(&service);
}

static void curls_memory_runs_out(void **state)
{
    (void)state;
    memset(&service, 0, sizeof(service));
    origin_begin(&service);
    if (!fa_curl_memory_counted())
        skip();
    for (int all = 0; all < 2; ++all) {
        bool reached = false;
        for (size_t n = 1; !reached && n < 3000; ++n) {
            fa_failing failing = {0};
            fa_failing_init(&failing);
            fa_ledger *ledger = fa_test_ledger(&failing);
            fa_curl_memory_fail_at(n, all);
            reached = scenario(ledger);
            fa_curl_memory_fail_at(0, false);
            fa_test_ledger_free(&failing, ledger);
            if (reached && n < 20)
                fail_msg("only %zu allocations", n);
        }
        assert_true(reached);
    }
    origin_end(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_over_fifty_places),
        cmocka_unit_test(who_waits_too_long_is_told),
        cmocka_unit_test(a_thousand_streams_are_cancelled),
        cmocka_unit_test(nobody_reads_more_than_the_window),
        cmocka_unit_test(recycling_fails_nobody),
        cmocka_unit_test(pools_wear_out),
        cmocka_unit_test(an_old_pool_stays_for_its_last_transfer),
        cmocka_unit_test(a_steady_stream_keeps_its_connections),
        cmocka_unit_test(connections_are_kept_or_not),
        cmocka_unit_test(a_large_body_goes_out),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(repetitions_have_a_budget),
        cmocka_unit_test(a_hedge_wins),
        cmocka_unit_test(our_memory_runs_out),
        cmocka_unit_test(curls_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
