/* Targets: what is taken apart and decoded, and what is refused, in every spelling. And the request's other texts. */
#include "testing.h"

#include "exchange/exchange.h"

static fa_failing failing;
static fa_ledger *ledger;
static fa_log logs;
static fa_worker *worker; /* whose clock the access log asks */
static fa_exchange exchange;

static int set_up(void **state)
{
    fa_scope *scope;
    fa_error error;
    fa_failing_init(&failing);
    ledger = fa_test_ledger(&failing);
    logs = (fa_log){.level = FA_LOG_ERROR, .fd = 2};
    assert_ok(fa_worker_new(ledger, NULL, 0, &logs, &worker, &error));
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope));
    exchange = (fa_exchange){0};
    fa_exchange_init(&exchange, NULL, worker, scope);
    *state = &exchange;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_scope_end(exchange.scope, "test over", NULL);
    fa_worker_finish(worker);
    fa_worker_run(worker);
    fa_worker_free(worker);
    fa_test_ledger_free(&failing, ledger);
    return 0;
}

static fa_text text(const char *t)
{
    return (fa_text){t, strlen(t)};
}

static void assert_text(fa_text got, const char *wanted)
{
    if (got.length != strlen(wanted) || memcmp(got.data, wanted, got.length) != 0)
        fail_msg("got \"%.*s\", not \"%s\"", (int)got.length, got.data, wanted);
}

static void good_targets_are_split_and_decoded_once(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } table[] = {
        {"/", "/", ""},
        {"/a/b?x=1&y=%20", "/a/b", "x=1&y=%20"},
        {"/a%20b", "/a b", ""},
        {"/%E2%82%AC", "/\xe2\x82\xac", ""},
        {"/%252e%252e/x", "/%2e%2e/x", ""},
        {"/a%2Fb", "/a/b", ""},
        {"//double//slash//", "//double//slash//", ""},
        {"/...", "/...", ""},
        {"/..a/.b/c..", "/..a/.b/c..", ""},
        {"/a+b", "/a+b", ""},
        {"/?", "/", ""},
        {"/a?b?c=..%2f", "/a", "b?c=..%2f"},
        {"http://example.org:8080/p?q", "/p", "q"},
        {"HTTP://EXAMPLE.org:8080/p", "/p", ""},
        {"https://example.org:8080", "/", ""},
        {"http://example.org:8080?q=1", "/", "q=1"},
    };
    fa_exchange *e = *state;
    fa_header host = {FA_TEXT("host"), FA_TEXT("example.org:8080")};
    e->headers = &host;
    e->header_count = 1;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        if (!fa_exchange_set_target(e, text(table[i].target)))
            fail_msg("%s was refused", table[i].target);
        assert_text(e->path, table[i].path);
        assert_text(e->query, table[i].query);
        assert_text(e->target, table[i].target);
    }
}

static void hostile_targets_are_refused(void **state)
{
    static const char *const table[] = {
        "",
        "*",
        "a",
        "a/b",
        "?x",
        "/.",
        "/..",
        "/../etc",
        "/a/..",
        "/a/./b",
        "/%2e",
        "/%2e%2e/x",
        "/.%2e/x",
        "/%2E./x",
        "/a%2f..%2fb",
        "/a%2f%2e%2e",
        "/a%00b",
        "/%",
        "/%4",
        "/%zz",
        "/%4g",
        "/a\\b",
        "/a%5c..%5cb",
        "/%5C",
        "http://",
        "http:///x",
        "http://other/x",
        "http://u@example.org:8080/x",
        "ftp://example.org:8080/x",
        "http://example.org/x",
        "example.org:8080",
        "http://example.org:8080/..",
        "/x/%2e%2e",
        "/%u0041",
        "http://example.org:8080@evil/",
        "/a/%c0%ae%c0%ae/../b",
    };
    fa_exchange *e = *state;
    fa_header host = {FA_TEXT("host"), FA_TEXT("example.org:8080")};
    e->headers = &host;
    e->header_count = 1;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        if (fa_exchange_set_target(e, text(table[i])))
            fail_msg("%s was taken", table[i]);
        assert_int_equal(e->path.length, 0);
    }
    e->header_count = 0;
    assert_false(fa_exchange_set_target(e, text("http://example.org:8080/x"))); /* equals no Host */
}

static void query_parameters_are_found_and_decoded(void **state)
{
    fa_exchange *e = *state;
    size_t length = 99;
    assert_null(fa_exchange_query(e, "a", NULL)); /* before any target */
    fa_exchange_set_target(e, text("/?a=1&b=two+w%6frds&c&=empty&d=%zz&a=2&n=x%00y&%66=6&e=&long=%e2%82%ac&&ab=3"));
    assert_string_equal(fa_exchange_query(e, "a", &length), "1");
    assert_int_equal(length, 1);
    assert_string_equal(fa_exchange_query(e, "b", NULL), "two words");
    assert_string_equal(fa_exchange_query(e, "c", &length), "");
    assert_int_equal(length, 0);
    assert_string_equal(fa_exchange_query(e, "d", NULL), "%zz");
    assert_string_equal(fa_exchange_query(e, "f", NULL), "6");
    assert_string_equal(fa_exchange_query(e, "e", NULL), "");
    assert_string_equal(fa_exchange_query(e, "ab", NULL), "3");
    assert_string_equal(fa_exchange_query(e, "long", NULL), "\xe2\x82\xac");
    assert_null(fa_exchange_query(e, "n", NULL));
    assert_null(fa_exchange_query(e, "x", NULL));
    assert_null(fa_exchange_query(e, "lon", NULL));
}

static void request_headers_are_found_by_name(void **state)
{
    fa_exchange *e = *state;
    fa_header headers[] = {
        {FA_TEXT("accept"), FA_TEXT("a")}, {FA_TEXT("x"), FA_TEXT("")}, {FA_TEXT("accept"), FA_TEXT("b")}};
    e->headers = headers;
    e->header_count = 3;
    assert_text(fa_exchange_header(e, "accept"), "a");
    assert_text(fa_exchange_header(e, "x"), "");
    assert_text(fa_exchange_header(e, "accep"), "");
    assert_true(fa_text_is(FA_TEXT("TeXt"), "text"));
    assert_false(fa_text_is(FA_TEXT("text"), "tex"));
    assert_true(fa_text_is((fa_text){NULL, 0}, ""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_targets_are_split_and_decoded_once),
        TEST(hostile_targets_are_refused),
        TEST(query_parameters_are_found_and_decoded),
        TEST(request_headers_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
