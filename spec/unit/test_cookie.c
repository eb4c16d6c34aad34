/* core/exchange: cookies, the names of downloads, where a redirect leads, and the framing of events: pure functions. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "exchange/cookie.h"
#include "exchange/disposition.h"
#include "exchange/sse.h"
#include "memory/buffer.h"

static fa_text text(const char *from)
{
    return (fa_text){from, strlen(from)};
}

/* All pairs of a header as "name=value|". */
static void assert_pairs(const char *header, const char *expected)
{
    char out[400] = "";
    fa_text rest = text(header), name, value;
    while (fa_cookie_next(&rest, &name, &value))
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%.*s=%.*s|", (int)name.length, name.data,
                 (int)value.length, value.data);
    assert_string_equal(out, expected);
}

static void cookies_are_read(void **state)
{
    (void)state;
    assert_pairs("", "");
    assert_pairs("a=1", "a=1|");
    assert_pairs("a=1; b=2;c=3 ;\td=4\t", "a=1|b=2|c=3|d=4|");
    assert_pairs("a=x=y==; empty=; q=\"quoted\"; one=\"", "a=x=y==|empty=|q=quoted|one=\"|");
    assert_pairs("lonely; =nameless; a b=1; ;;; (=1; c=3", "c=3|"); /* what is no pair does not hide what is */
    assert_pairs("a=1; a=2", "a=1|a=2|");
    assert_pairs("a=\xff\xfe; b\xff=1; c=2", "a=\xff\xfe|c=2|");
    assert_pairs("=", "");
    assert_pairs(";", "");
    assert_pairs("a=\"", "a=\"|");
}

/* Whatever comes, every text lies inside of the header and the walk ends. */
static void any_bytes_can_be_read(void **state)
{
    static const char alphabet[] = "ab=;;== \t\"\\,\r\n\x01\xff";
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; ++i) {
        size_t length = (size_t)rand() % 24, walked = 0;
        char *bytes = malloc(length + 1); /* exactly so long, for the sanitizer */
        assert_non_null(bytes);
        for (size_t j = 0; j < length; ++j)
            bytes[j] = alphabet[(size_t)rand() % (sizeof(alphabet))];
        char *exact = malloc(length > 0 ? length : 1);
        assert_non_null(exact);
        memcpy(exact, bytes, length);
        fa_text rest = {exact, length}, name, value;
        while (fa_cookie_next(&rest, &name, &value)) {
            assert_true(name.length > 0 && name.data >= exact && name.data + name.length <= exact + length);
            assert_true(value.data >= exact && value.data + value.length <= exact + length);
            assert_true(++walked <= length);
        }
        free(exact);
        free(bytes);
    }
}

static const fa_cookie plain = {{"n", 1}, {"v", 1}, {"/", 1}, {"", 0}, -1, false, true, false, "Lax"};

static void assert_written(fa_cookie cookie, const char *expected)
{
    char out[FA_COOKIE_SIZE];
    size_t length;
    fa_error error = {""};
    if (fa_cookie_write(&cookie, out, &length, &error) != FA_OK)
        fail_msg("%s: %s", expected, error.text);
    assert_string_equal(out, expected);
    assert_int_equal(length, strlen(expected));
}

static void assert_refused(fa_cookie cookie, const char *part)
{
    char out[FA_COOKIE_SIZE];
    size_t length;
    fa_error error = {""};
    assert_int_equal(fa_cookie_write(&cookie, out, &length, &error), FA_INVALID);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, error.text);
}

static void cookies_are_written(void **state)
{
    (void)state;
    fa_cookie c = plain;
    assert_written(c, "n=v; Path=/; SameSite=Lax; HttpOnly");
    c = (fa_cookie){.name = text("__Host-id"),
                    .value = text("a=b"),
                    .path = text("/"),
                    .max_age = 0,
                    .secure = true,
                    .partitioned = true,
                    .same_site = "None"};
    assert_written(c, "__Host-id=a=b; Path=/; Max-Age=0; SameSite=None; Secure; Partitioned");
    c = plain;
    c.domain = text("example.org");
    c.max_age = 34560000;
    c.http_only = false;
    c.same_site = NULL;
    c.value = text("");
    assert_written(c, "n=; Path=/; Domain=example.org; Max-Age=34560000");
}

static void unsafe_cookies_are_refused(void **state)
{
    static const char *const values[] = {"a b", "a;b", "a,b", "a\"b", "a\\b", "a\rb", "a\nb", "\x7f", "\xc3\xa9"};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); ++i) {
        fa_cookie c = plain;
        c.value = text(values[i]);
        assert_refused(c, "encode it");
        c = plain;
        c.name = text(values[i]);
        assert_refused(c, "no token");
    }
    fa_cookie c = plain;
    c.value = (fa_text){"a\0b", 3};
    assert_refused(c, "encode it");
    c = plain;
    c.name = text("");
    assert_refused(c, "no token");
    c = plain;
    c.path = text("x");
    assert_refused(c, "begins with /");
    c.path = text("/;Domain=evil");
    assert_refused(c, "begins with /");
    c = plain;
    c.domain = text("a;b");
    assert_refused(c, "host name");
    c = plain;
    c.same_site = "None";
    assert_refused(c, "need secure");
    c = plain;
    c.partitioned = true;
    assert_refused(c, "need secure");
    c = plain;
    c.name = text("__secure-x");
    assert_refused(c, "__Secure-");
    c = plain;
    c.name = text("__HOST-x");
    assert_refused(c, "__Host-");
    c.secure = true;
    c.path = text("/deep");
    assert_refused(c, "__Host-");
    c.path = text("/");
    c.domain = text("example.org");
    assert_refused(c, "__Host-");
}

/* The longest of everything fits; a byte more is refused. */
static void the_longest_cookie_fits(void **state)
{
    static char value[4200], path[1100], domain[300];
    char out[FA_COOKIE_SIZE];
    size_t length;
    (void)state;
    memset(value, 'v', sizeof(value));
    memset(path, 'p', sizeof(path));
    memset(domain, 'd', sizeof(domain));
    path[0] = '/';
    fa_cookie c = {.name = text("n"),
                   .value = {value, 4095},
                   .path = {path, 1024},
                   .domain = {domain, 255},
                   .max_age = INT64_MAX,
                   .secure = true,
                   .http_only = true,
                   .partitioned = true,
                   .same_site = "Strict"};
    assert_ok(fa_cookie_write(&c, out, &length, NULL));
    assert_true(length < FA_COOKIE_SIZE);
    c.value.length++;
    assert_refused(c, "4096 bytes");
    c.value.length--;
    c.path.length++;
    assert_refused(c, "begins with /");
    c.path.length--;
    c.domain.length++;
    assert_refused(c, "host name");
}

/* ---- downloads ---- */

static void assert_disposition(const char *name, const char *expected)
{
    char out[FA_DISPOSITION_SIZE];
    assert_int_equal(fa_disposition_write(out, text(name)), strlen(expected));
    assert_string_equal(out, expected);
}

static void downloads_are_named(void **state)
{
    char name[700], out[FA_DISPOSITION_SIZE];
    (void)state;
    assert_disposition("report.pdf", "attachment; filename=\"report.pdf\"");
    assert_disposition("two words.txt", "attachment; filename=\"two words.txt\"");
    assert_disposition("", "attachment; filename=\"download\"");
    assert_disposition("Übung 1.gif", "attachment; filename=\"_bung 1.gif\"; filename*=UTF-8''%C3%9Cbung%201.gif");
    assert_disposition("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt");
    assert_disposition("a\"b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b");
    assert_disposition("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"");
    assert_disposition("a\r\nSet-Cookie: x\\y", "attachment; filename=\"a__Set-Cookie: x_y\"");
    assert_disposition("\xff\xc3", "attachment; filename=\"__\"");
    assert_disposition("\xc2\x85x", "attachment; filename=\"_x\"");
    for (size_t i = 0; i < sizeof(name) - 1; ++i)
        name[i] = "\xe2\x82\xac"[i % 3]; /* euro signs */
    name[sizeof(name) - 1] = '\0';
    size_t length = fa_disposition_write(out, text(name));
    assert_true(length < FA_DISPOSITION_SIZE);
    assert_string_equal(out + length - 9, "%E2%82%AC"); /* cut between two characters */
}

/* ---- redirects ---- */

static void it_is_known_where_a_redirect_leads(void **state)
{
    static const char *const own[] = {"/",   "/a/b?c=d#e", "?q=1", "#top",         "a/b",
                                      "./a", "../a",       "/a:b", "a?x=http://b", "/%5Cevil.org"};
    static const char *const another[] = {"http://a.org", "https://a.org/b", "HTTPS://A.org", "//a.org", "///a.org"};
    static const char *const bad[] = {"",
                                      "javascript:alert(1)",
                                      "JaVaScript:x",
                                      "data:text/html,x",
                                      "mailto:a@b",
                                      "http:/a",
                                      "https:a",
                                      "/\\evil.org",
                                      "\\\\evil.org",
                                      "/a b",
                                      "/a\r\nb",
                                      "/\xc3\xa9",
                                      "//",
                                      "http://",
                                      "\tjavascript:x",
                                      "/<b>"};
    char longest[2002];
    (void)state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); ++i) {
        if (fa_location_kind(text(own[i])) != FA_LOCATION_OWN)
            fail_msg("not our own: %s", own[i]);
    }
    for (size_t i = 0; i < sizeof(another) / sizeof(another[0]); ++i) {
        if (fa_location_kind(text(another[i])) != FA_LOCATION_ANOTHER)
            fail_msg("not another's: %s", another[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        if (fa_location_kind(text(bad[i])) != FA_LOCATION_BAD)
            fail_msg("not bad: %s", bad[i]);
    }
    assert_int_equal(fa_location_kind((fa_text){"/a\0b", 4}), FA_LOCATION_BAD);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(fa_location_kind((fa_text){longest, 2000}), FA_LOCATION_OWN);
    assert_int_equal(fa_location_kind((fa_text){longest, 2001}), FA_LOCATION_BAD);
}

/* ---- events ---- */

static void assert_event(fa_account *account, const char *event, const char *id, const char *data, const char *expected)
{
    fa_buffer *buffer;
    assert_ok(fa_buffer_new_detached(account, 0, "event", FA_HERE, &buffer));
    assert_ok(fa_sse_append_text(buffer, event, id, data, data != NULL ? strlen(data) : 0));
    assert_int_equal(fa_buffer_length(buffer), strlen(expected));
    assert_memory_equal(fa_buffer_data(buffer), expected, strlen(expected));
    fa_buffer_release(buffer);
}

static void every_line_of_an_event_is_framed(void **state)
{
    fa_failing memory;
    (void)state;
    fa_ledger *ledger = fa_test_ledger(&memory);
    fa_account *account = fa_account_new(ledger, NULL, FA_KIND_SCRIPT, 0, "events");
    assert_event(account, NULL, NULL, "one", "data: one\n\n");
    assert_event(account, "tick", "7", "one", "event: tick\nid: 7\ndata: one\n\n");
    assert_event(account, NULL, NULL, "", "data: \n\n");
    assert_event(account, NULL, "8", NULL, "id: 8\n\n");
    assert_event(account, NULL, NULL, "a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_event(account, NULL, NULL, "a\n", "data: a\ndata: \n\n");
    assert_event(account, NULL, NULL, "\n\r", "data: \ndata: \ndata: \n\n");
    assert_event(account, NULL, NULL, "x\n\nevent: forged\ndata: y",
                 "data: x\ndata: \ndata: event: forged\ndata: data: y\n\n");
    assert_event(account, NULL, NULL, "a\r\n", "data: a\ndata: \n\n");
    assert_true(fa_sse_is_plain("a b", 3));
    assert_false(fa_sse_is_plain("a\nb", 3));
    assert_false(fa_sse_is_plain("a\rb", 3));
    assert_false(fa_sse_is_plain("a\0b", 3));
    fa_account_unref(account);
    fa_test_ledger_free(&memory, ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_are_read),
        cmocka_unit_test(any_bytes_can_be_read),
        cmocka_unit_test(cookies_are_written),
        cmocka_unit_test(unsafe_cookies_are_refused),
        cmocka_unit_test(the_longest_cookie_fits),
        cmocka_unit_test(downloads_are_named),
        cmocka_unit_test(it_is_known_where_a_redirect_leads),
        cmocka_unit_test(every_line_of_an_event_is_framed),
    };
    return cmocka_run_group_tests_name("cookies, downloads, redirects, events", tests, NULL, NULL);
}
