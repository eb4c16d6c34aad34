/* exchange/websocket.h: who may open a WebSocket (RFC 6455, 4.2), and from which pages. */
#include "testing.h"

#include <string.h>

#include "exchange/websocket.h"

static fa_websocket_handshake judge(const fa_websocket_policy *policy, const fa_header *headers, size_t count)
{
    fa_websocket_handshake handshake;
    fa_exchange exchange = {.headers = headers, .header_count = count};
    fa_websocket_judge(&exchange, policy, &handshake);
    return handshake;
}

static int origin_verdict(const char *const *origins, const char *host, const char *origin)
{
    const fa_websocket_policy policy = {origins, NULL};
    const fa_header headers[] = {
        {FA_TEXT("upgrade"), FA_TEXT("h2c, WebSocket")},
        {FA_TEXT("connection"), FA_TEXT("keep-alive , UPGRADE")},
        {FA_TEXT("sec-websocket-version"), FA_TEXT("13")},
        {FA_TEXT("sec-websocket-key"), FA_TEXT("dGhlIHNhbXBsZSBub25jZQ==")},
        {FA_TEXT("host"), {host, strlen(host)}},
        {FA_TEXT("origin"), {origin != NULL ? origin : "", origin != NULL ? strlen(origin) : 0}},
    };
    return judge(&policy, headers, origin != NULL ? 6 : 5).status;
}

static void origins_are_those_of_the_host_or_the_list(void **state)
{
    static const char *const list[] = {"https://a.example", "null", NULL}, *const all[] = {"*", NULL};
    (void)state;
    assert_int_equal(origin_verdict(NULL, "a.example", NULL), 101);
    assert_int_equal(origin_verdict(NULL, "a.example", "https://a.example"), 101);
    assert_int_equal(origin_verdict(NULL, "a.example", "https://A.Example:443"), 101);
    assert_int_equal(origin_verdict(NULL, "a.example:80", "http://a.example"), 101);
    assert_int_equal(origin_verdict(NULL, "a.example:8080", "http://a.example:8080"), 101);
    assert_int_equal(origin_verdict(NULL, "a.example", "https://b.example"), 403);
    assert_int_equal(origin_verdict(NULL, "a.example", "https://a.example.evil"), 403);
    assert_int_equal(origin_verdict(NULL, "a.example:8080", "http://a.example"), 403);
    assert_int_equal(origin_verdict(NULL, "a.example", "null"), 403);
    assert_int_equal(origin_verdict(NULL, "a.example", ""), 403);
    assert_int_equal(origin_verdict(NULL, "", "://"), 403);
    assert_int_equal(origin_verdict(list, "x", "https://a.example"), 101);
    assert_int_equal(origin_verdict(list, "x", "null"), 101);
    assert_int_equal(origin_verdict(list, "x", "https://x"), 403);
    assert_int_equal(origin_verdict(all, "x", "whatever"), 101);
}

static void handshakes_are_judged(void **state)
{
    static const char *const spoken[] = {"v2", "v1", NULL};
    const fa_websocket_policy policy = {NULL, spoken};
    fa_header headers[] = {
        {FA_TEXT("upgrade"), FA_TEXT("websocket")},
        {FA_TEXT("connection"), FA_TEXT("upgrade")},
        {FA_TEXT("sec-websocket-version"), FA_TEXT("13")},
        {FA_TEXT("sec-websocket-key"), FA_TEXT("dGhlIHNhbXBsZSBub25jZQ==")},
        {FA_TEXT("sec-websocket-protocol"), FA_TEXT("v0,v1")},
        {FA_TEXT("sec-websocket-protocol"), FA_TEXT(" v2 ")},
    };
    (void)state;
    assert_string_equal(judge(&policy, headers, 6).protocol, "v2");
    assert_string_equal(judge(&policy, headers, 5).protocol, "v1");
    assert_null(judge(&policy, headers, 4).protocol);
    static const struct {
        size_t at;
        fa_text value;
        int status;
    } wrong[] = {
        {0, {"websockets", 10}, 426},
        {0, {"", 0}, 426},
        {1, {"keep-alive", 10}, 426},
        {2, {"8", 1}, 426},
        {2, {"13, 8", 5}, 426},
        {3, {"", 0}, 400},
        {3, {"dGhlIHNhbXBsZSBub25jZQ=", 23}, 400},
        {3, {"dGhlIHNhbXBsZSBub25jZR==", 24}, 400}, /* more than sixteen bytes */
        {3, {"dGhlIHNhbXBsZSBub25j*Q==", 24}, 400},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
        fa_header good = headers[wrong[i].at];
        headers[wrong[i].at].value = wrong[i].value;
        assert_int_equal(judge(&policy, headers, 4).status, wrong[i].status);
        headers[wrong[i].at] = good;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_those_of_the_host_or_the_list),
        cmocka_unit_test(handshakes_are_judged),
    };
    return cmocka_run_group_tests_name("handshakes of WebSockets", tests, NULL, NULL);
}
