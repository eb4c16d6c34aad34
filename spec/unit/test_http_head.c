/* The checks of heads, paths, hosts and body framing, as functions over bytes: each table entry is given whole, and again
 * byte by byte, and must come to the same. What a client sees of it is in spec/conformance. */
#include "testing.h"

#include <stdlib.h>

#include "http/body_check.h"
#include "http/head_check.h"

#define H "Host: x\r\n"

/* ---- heads ---- */

typedef struct head_case {
    const char *head;
    int status;      /* 0: passes */
    const char *why; /* part of it */
} head_case;

static const head_case heads[] = {
    {"GET / HTTP/1.1\r\n" H "\r\n", 0, ""},
    {"\r\nGET / HTTP/1.1\r\n" H "\r\n", 0, ""},
    {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400, "empty lines"},
    {"GET / HTTP/1.0\r\n\r\n", 0, ""},
    {"GET / HTTP/1.1\r\n\r\n", 400, "Host is missing"},
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400, "Host is given twice"},
    {"GET / HTTP/1.0\r\n" H H "\r\n", 400, "Host is given twice"},
    {"GET / HTTP/1.1\n" H "\r\n", 400, "without CR"},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n", 400, "without CR"},
    {"GET / HTTP/1.1\r\n" H "\n", 400, "without CR"},
    {"GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400, "header name"},
    {"GET / HTTP/1.1\r\n" H ": b\r\n\r\n", 400, "header name"},
    {"GET / HTTP/1.1\r\n" H "novalue\r\n\r\n", 400, "header name"},
    {"GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\r\n" H "A: \xc3\xa4\tb\r\n\r\n", 0, ""},
    {"GET  / HTTP/1.1\r\n" H "\r\n", 400, "request line"},
    {"GET / HTTP/1.1 \r\n" H "\r\n", 400, "request line"},
    {"GET /\r\n" H "\r\n", 400, "request line"},
    {"GET / http/1.1\r\n" H "\r\n", 400, "request line"},
    {"GET / HTTP/1.2\r\n" H "\r\n", 505, ""},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505, ""},
    {"\x16\x03\x01", 400, "request line"},
    {"CONNECT x:80 HTTP/1.1\r\n" H "\r\n", 501, "proxy"},
    {"GET * HTTP/1.1\r\n" H "\r\n", 400, "target"},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, ""},
    {"GET x HTTP/1.1\r\n" H "\r\n", 400, "target"},
    {"GET /\x80 HTTP/1.1\r\n" H "\r\n", 400, "percent-encoded"},
    {"GET /#a HTTP/1.1\r\n" H "\r\n", 400, "percent-encoded"},
    {"GET http://x/ HTTP/1.1\r\nHost: X\r\n\r\n", 0, ""},
    {"GET http://x?a HTTP/1.1\r\n" H "\r\n", 0, ""},
    {"GET http://y/ HTTP/1.1\r\n" H "\r\n", 400, "authority is not"},
    {"GET http://u@x/ HTTP/1.1\r\n" H "\r\n", 400, "authority is malformed"},
    {"GET http:/// HTTP/1.1\r\n" H "\r\n", 400, "authority is malformed"},
    {"GET http://x/ HTTP/1.0\r\n\r\n", 400, "authority is not"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n", 0, ""},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "twice"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1000000000000000\r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n", 0, ""},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "exclude"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "twice"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "only once"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "last"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 400, "last"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, ""},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "malformed"},
    {"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
    {"GET / HTTP/1.1\r\n" H "Connection: close, Content-Length\r\n\r\n", 400, "frames"},
    {"GET / HTTP/1.1\r\n" H "Expect: wonders\r\n\r\n", 417, ""},
};

static fa_head_verdict check_whole(fa_head *head, const char *bytes)
{
    memset(head, 0, sizeof(*head));
    return fa_head_check(head, bytes, strlen(bytes), 4096);
}

static fa_head_verdict check_slowly(fa_head *head, const char *bytes)
{
    fa_head_verdict verdict = FA_HEAD_MORE;
    memset(head, 0, sizeof(*head));
    for (size_t i = 1; i <= strlen(bytes) && verdict == FA_HEAD_MORE; ++i)
        verdict = fa_head_check(head, bytes, i, 4096);
    return verdict;
}

static void each_head_gets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); ++i) {
        const head_case *c = &heads[i];
        fa_head whole, slow;
        fa_head_verdict wanted = c->status == 0 ? FA_HEAD_COMPLETE : FA_HEAD_REFUSED;
        if (check_whole(&whole, c->head) != wanted || check_slowly(&slow, c->head) != wanted ||
            whole.status != c->status)
            fail_msg("%s: %d %s", c->head, whole.status, whole.why != NULL ? whole.why : "");
        assert_int_equal(slow.status, whole.status);
        assert_int_equal(slow.length, whole.length);
        if (whole.why != NULL && strstr(whole.why, c->why) == NULL)
            fail_msg("%s: %s", c->head, whole.why);
        assert_ptr_equal(slow.why, whole.why);
    }
}

/* Heads that nobody thought of: the verdict, and where it is found, never depend on how the bytes come. */
static void the_verdict_does_not_depend_on_the_cuts(void **state)
{
    static const char letters[] = "\r\n\t :;,%./2eGx0\0\x80HTP";
    unsigned complete = 0, refused = 0;
    (void)state;
    srand(4);
    for (int round = 0; round < 20000; ++round) {
        const head_case *c = &heads[(size_t)rand() % (sizeof(heads) / sizeof(heads[0]))];
        char bytes[512];
        size_t length = strlen(c->head), at = 0;
        memcpy(bytes, c->head, length);
        for (int i = rand() % 3; i > 0; --i)
            bytes[(size_t)rand() % length] = letters[(size_t)rand() % (sizeof(letters) - 1)];
        fa_head whole = {0}, slow = {0};
        fa_head_verdict wanted = fa_head_check(&whole, bytes, length, 4096), got = FA_HEAD_MORE;
        while (at < length && got == FA_HEAD_MORE) {
            at += 1 + (size_t)rand() % 7;
            got = fa_head_check(&slow, bytes, at < length ? at : length, 4096);
        }
        assert_int_equal(got, wanted);
        assert_int_equal(slow.status, whole.status);
        if (wanted == FA_HEAD_COMPLETE)
            assert_memory_equal(&slow, &whole, sizeof(whole));
        complete += wanted == FA_HEAD_COMPLETE;
        refused += wanted == FA_HEAD_REFUSED;
    }
    assert_true(complete > 1000 && refused > 1000);
}

static void a_head_says_what_it_has(void **state)
{
    const char *bytes =
        "POST http://a.b:80/%41?q HTTP/1.1\r\nhOsT: \t a.b:80 \r\nContent-Length: 0042\r\nX-Request-Id: me\r\n"
        "X-Request-Id: you\r\nExpect: 100-Continue\r\nconnection: keep-alive\r\nConnection: x,, close \r\n"
        "Upgrade: h2c\r\n\r\nrest\r\n";
    fa_head head;
    (void)state;
    assert_int_equal(check_whole(&head, bytes), FA_HEAD_COMPLETE);
    assert_int_equal(head.length, strstr(bytes, "rest") - bytes);
    assert_memory_equal(bytes + head.method.at, "POST", head.method.length);
    assert_int_equal(head.path.length, 4);
    assert_memory_equal(bytes + head.path.at, "/%41", 4);
    assert_int_equal(head.host.length, 6);
    assert_memory_equal(bytes + head.request_id.at, "me", head.request_id.length);
    assert_int_equal(head.body_length, 42);
    assert_true(head.expects && head.close && head.upgrade && !head.chunked);
}

static void long_heads_end_at_the_limit(void **state)
{
    static char bytes[6000];
    fa_head head = {0};
    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    memcpy(bytes, "GET /", 5);
    assert_int_equal(fa_head_check(&head, bytes, 4096, 4096), FA_HEAD_MORE);
    assert_int_equal(fa_head_check(&head, bytes, 4097, 4096), FA_HEAD_REFUSED);
    assert_int_equal(head.status, 414);
    head = (fa_head){0};
    memcpy(bytes, "GET / HTTP/1.1\r\nA: ", 19);
    assert_int_equal(fa_head_check(&head, bytes, sizeof(bytes), 4096), FA_HEAD_REFUSED);
    assert_int_equal(head.status, 431);
    head = (fa_head){0};
    size_t used = (size_t)sprintf(bytes, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < FA_HEAD_MOST_FIELDS; ++i)
        used += (size_t)sprintf(bytes + used, "A%d: b\r\n", i);
    assert_int_equal(fa_head_check(&head, bytes, used, 4096), FA_HEAD_REFUSED);
    assert_int_equal(head.status, 431);
}

/* ---- paths and hosts ---- */

static void paths_that_anybody_could_misread_are_found(void **state)
{
    static const char *const bad[] = {"/..",          "/../x",
                                      "/a/..",        "/./x",
                                      "/.",           "/%2e%2e/",
                                      "/.%2E",        "/%2e",
                                      "/%252e%252e/", "/%25252e.",
                                      "/..%2fx",      "/..%252fx",
                                      "/a%2f..%2fb",  "/..;/x",
                                      "/..;a=b",      "/%2e%2e%3b/x",
                                      "/%00",         "/%2500",
                                      "/a%5cb",       "/a\\b",
                                      "/%255c",       "/%",
                                      "/%4",          "/%zz",
                                      "/%u002e",      "/%c0%ae%c0%ae/",
                                      "/%e0%80%ae",   "/%f0%80%80%ae",
                                      "/%ff",         "/%c3",
                                      "/%c3/",        "/%0a",
                                      "/%7f",         "/%ed%a0%80"};
    static const char *const good[] = {
        "/",       "//",     "/a//b",   "/...",          "/.a",     "/a.",    "/..a", "/%2e%2e%2e", "/a%2fb",
        "/100%25", "/%25zz", "/%c3%a4", "/%f0%9f%8e%b5", "/a;b=..", "/a..;b", "/~x",  "/%e0%a0%80", "/%20"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        if (fa_path_trouble(bad[i], strlen(bad[i])) == NULL)
            fail_msg("passes: %s", bad[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
        if (fa_path_trouble(good[i], strlen(good[i])) != NULL)
            fail_msg("does not pass: %s", good[i]);
    }
}

static void hosts_are_hosts(void **state)
{
    static const char *const bad[] = {"",         ":80",  "a b", "a,b",    "a/b",  "u@a", "a:b",
                                      "a:123456", "[::1", "[]",  "[::1]x", "a%20", "a\\b"};
    static const char *const good[] = {"a",   "a.b-c_d:80", "127.0.0.1", "[::1]", "[2001:db8::1.2.3.4]:443",
                                       "x:0", "x:"}; /* the last with an empty port, which is one */
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        if (fa_host_is_plain(bad[i], strlen(bad[i])))
            fail_msg("passes: %s", bad[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i)
        assert_true(fa_host_is_plain(good[i], strlen(good[i])));
}

/* ---- bodies ---- */

typedef struct body_case {
    const char *bytes;
    int status; /* 0: it ends, and "NEXT" follows it */
    size_t received;
} body_case;

static const body_case bodies[] = {
    {"5\r\nhello\r\n0\r\n\r\nNEXT", 0, 5},
    {"5;a=b\r\nhello\r\n00\r\nT: x\r\n\r\nNEXT", 0, 5},
    {"A\r\n0123456789\r\n1;\r\nx\r\n0\r\n\r\nNEXT", 0, 11},
    {"0\r\n\r\nNEXT", 0, 0},
    {"0x5\r\nhello\r\n", 400, 0},
    {"-5\r\nhello\r\n", 400, 0},
    {"+5\r\nhello\r\n", 400, 0},
    {" 5\r\nhello\r\n", 400, 0},
    {"5 \r\nhello\r\n", 400, 0},
    {"\r\n5\r\nhello\r\n", 400, 0},
    {";a\r\n", 400, 0},
    {"5\nhello\r\n", 400, 0},
    {"5\r\rhello\r\n", 400, 0},
    {"5\r\nhello\n0\r\n\r\n", 400, 5},
    {"5\r\nhello0\r\n\r\n", 400, 5},
    {"5\r\nhello!\r\n0\r\n\r\n", 400, 5},
    {"5\r\nhello\r\r\n", 400, 5},
    {"5;a\n\r\nhello\r\n", 400, 0},
    {"5;a\rb\r\nhello\r\n", 400, 0},
    {"0\r\n\n", 400, 0},
    {"0\r\n T: x\r\n\r\n", 400, 0},
    {"0\r\nT x\r\n\r\n", 400, 0},
    {"0\r\nT: x\n\r\n", 400, 0},
    {"0\r\nT: \x01\r\n\r\n", 400, 0},
    {"0\r\nT: a\r\n folded\r\n\r\n", 400, 0},
    {"fffffffffffffffff\r\n", 400, 0},
    {"fffffffffffffff\r\n", 413, 0},
    {"65\r\n", 413, 0},
    {"64\r\n", -1, 0}, /* exactly the limit: goes on */
};

static void each_chunked_body_gets_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); ++i) {
        const body_case *c = &bodies[i];
        size_t length = strlen(c->bytes), taken = 0;
        fa_body_check whole, slow;
        fa_body_begin(&whole, true, 0, 100);
        size_t whole_taken = fa_body_take(&whole, c->bytes, length);
        fa_body_begin(&slow, true, 0, 100);
        while (taken < length && fa_body_take(&slow, c->bytes + taken, 1) == 1)
            ++taken;
        bool right = c->status == 0    ? whole.done && whole.status == 0 && strcmp(c->bytes + whole_taken, "NEXT") == 0
                     : c->status == -1 ? !whole.done && whole.status == 0
                                       : whole.status == c->status;
        if (!right || whole.received != c->received)
            fail_msg("%s: %d %s, %zu of content", c->bytes, whole.status, whole.why != NULL ? whole.why : "",
                     (size_t)whole.received);
        assert_int_equal(slow.status, whole.status);
        assert_int_equal(slow.done, whole.done);
        assert_int_equal(taken, whole_taken);
    }
}

static void extensions_and_trailers_have_an_end(void **state)
{
    static const char *const beginnings[] = {"1;", "0\r\nA: ", "0\r\nA"};
    static char much[5000];
    fa_body_check check;
    (void)state;
    memset(much, 'a', sizeof(much));
    for (size_t i = 0; i < 3; ++i) {
        fa_body_begin(&check, true, 0, 100);
        fa_body_take(&check, beginnings[i], strlen(beginnings[i]));
        fa_body_take(&check, much, sizeof(much));
        assert_int_equal(check.status, 431);
    }
    fa_body_begin(&check, true, 0, 100);
    for (int i = 0; i < 5000 && check.status == 0; ++i) /* or a little in each chunk */
        fa_body_take(&check, "0001;aa\r\nx\r\n", 12), check.received = 0;
    assert_int_equal(check.status, 431);
}

static void a_declared_body_ends_where_it_says(void **state)
{
    fa_body_check check;
    (void)state;
    fa_body_begin(&check, false, 5, 100);
    assert_int_equal(fa_body_take(&check, "hel", 3), 3);
    assert_false(check.done);
    assert_int_equal(fa_body_take(&check, "loNEXT", 6), 2);
    assert_true(check.done);
    fa_body_begin(&check, false, 0, 100);
    assert_true(check.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_head_gets_its_verdict),
        cmocka_unit_test(the_verdict_does_not_depend_on_the_cuts),
        cmocka_unit_test(a_head_says_what_it_has),
        cmocka_unit_test(long_heads_end_at_the_limit),
        cmocka_unit_test(paths_that_anybody_could_misread_are_found),
        cmocka_unit_test(hosts_are_hosts),
        cmocka_unit_test(each_chunked_body_gets_its_verdict),
        cmocka_unit_test(extensions_and_trailers_have_an_end),
        cmocka_unit_test(a_declared_body_ends_where_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
