/* Secrets go to whom they belong and to nobody else: not to other hosts, not into the log, not back into an error. And what is wrong with the
 * settings of an upstream is told with its place, without them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "upstream_world.h"

static void what_cannot_be_is_told_with_its_place(void **state)
{
    static const struct {
        const char *key, *value, *told;
    } cases[] = {
        {"url", "http://u:p@x", "conf.lua:7: upstreams.new: url: is no base address"},
        {"url", "x y", "conf.lua:7: upstreams.new: url: is no base address"},
        {"token_file", "/nowhere/secret", "conf.lua:7: upstreams.new: token_file /nowhere/secret: No such file"},
        {"token_env", "FA_NO_SUCH", "conf.lua:7: upstreams.new: token_env: there is no FA_NO_SUCH in the environment"},
        {"ca_file", "/nowhere/ca", "conf.lua:7: upstreams.new: ca_file /nowhere/ca: No such file"},
        {"client_key", "/nowhere/key", "conf.lua:7: upstreams.new: client_key /nowhere/key: No such file"},
        {"guard_allow", "10.0.0.0/40", "conf.lua:7: upstreams.new: guard_allow: "},
        {"proxy", "ftp://u:sesame@x", "conf.lua:7: upstreams.new: proxy begins with http:// or socks5h://"},
        {"retries", "many", "conf.lua:7: upstreams.new.retries: needs a whole number"},
        {"auth", "basic", "conf.lua:7: upstreams.new: auth is set, and neither"},
    };
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fa_upstream_setting settings[] = {{"url", "http://x", "conf.lua:3", true},
                                          {cases[i].key, cases[i].value, "conf.lua:7", true}};
        assert_int_not_equal(fa_upstreams_define(w->upstreams, "new", settings, 2, &w->error), FA_OK);
        print_message("%s\n", w->error.text);
        assert_ptr_equal(strstr(w->error.text, cases[i].told), w->error.text);
        assert_null(strstr(w->error.text, "sesame"));
    }
    assert_null(fa_upstreams_find(w->upstreams, "new"));
    upstream_world_end(w);
}

/* A service that repeats what it was sent in its complaint, in full and cut off. */
static void a_secret_does_not_come_back(void **state)
{
    static char body[FA_EXCERPT_SIZE + 100];
    (void)state;
    upstream_world *w = upstream_world_begin("user=me", "token=sesame-open", "auth=basic", NULL);
    w->service.said_head = "HTTP/1.1 401 No\r\n\r\n";
    memset(body, '.', sizeof(body));
    memcpy(body, "sesame-open, Basic bWU6c2VzYW1lLW9wZW4=, sesame", 47);
    memcpy(body + FA_EXCERPT_SIZE - 6, "sesame-open", 11);
    w->service.said = body;
    w->service.said_length = sizeof(body);
    asked a = {.path = "/say", .request = {.expect_success = true}};
    upstream_ask(w, &a);
    assert_int_equal(a.kind, FA_FAILED_STATUS);
    assert_int_equal(a.length, FA_EXCERPT_SIZE);
    assert_memory_equal(a.body, "***********, Basic ********************, sesame.", 48);
    assert_string_equal(a.body + FA_EXCERPT_SIZE - 8, "..******");
    upstream_world_end(w);
}

static void a_secret_stays_here(void **state)
{
    char url[100], elsewhere[200];
    (void)state;
    upstream_world *w = upstream_world_begin("token=sesame", NULL);
    snprintf(url, sizeof(url), "guard_ports=%d", w->service.port);
    assert_ok(upstream_world_set(w, "fetch", url));
    assert_ok(upstream_world_set(w, "fetch", "guard_allow=127.0.0.0/8"));
    fa_header mine[] = {{FA_TEXT("X-Api-Key"), FA_TEXT("own")}, {FA_TEXT("Accept"), FA_TEXT("a/b")}};
    asked a = {.path = "/goto/302?/head", .request = {.headers = mine, .header_count = 2}};
    upstream_ask(w, &a);
    assert_non_null(strstr(a.body, "Authorization: Bearer sesame\n"));
    assert_non_null(strstr(a.body, "X-Api-Key: own\n"));
    snprintf(elsewhere, sizeof(elsewhere), "/goto/302?http://localhost:%d/head", w->service.port);
    asked b = {.path = elsewhere, .request = {.headers = mine, .header_count = 2}};
    upstream_ask(w, &b);
    assert_int_equal(b.kind, FA_FAILED_NOT);
    assert_null(strstr(b.body, "sesame"));
    assert_null(strstr(b.body, "own"));
    assert_non_null(strstr(b.body, "Accept: a/b\n"));
    fa_header wrong = {FA_TEXT("authorization"), FA_TEXT("x")};
    asked c = {.path = "/", .request = {.headers = &wrong, .header_count = 1}};
    upstream_ask(w, &c);
    assert_int_equal(c.started, FA_INVALID);
    assert_null(strstr(w->logged, "sesame"));
    upstream_world_end(w);
}

static void a_secret_in_a_file_may_change(void **state)
{
    char path[] = "/tmp/fa-secret-XXXXXX", setting[60];
    (void)state;
    upstream_world *w = upstream_world_begin(NULL);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "one\n", 4), 4);
    snprintf(setting, sizeof(setting), "token_file=%s", path);
    assert_ok(upstream_world_set(w, "it", setting));
    assert_ok(upstream_world_set(w, "it", "auth=header"));
    assert_ok(upstream_world_set(w, "it", "auth_scheme=ApiKey"));
    assert_int_equal(pwrite(fd, "two\n", 4, 0), 4);
    asked a = {.path = "/head"}, b = {.path = "/head"}, c = {.path = "/head"};
    upstream_ask(w, &a);
    assert_non_null(strstr(a.body, "Authorization: ApiKey one\n"));
    fa_upstream_recycle(w->it, "test");
    upstream_ask(w, &b);
    assert_non_null(strstr(b.body, "Authorization: ApiKey two\n"));
    close(fd);
    unlink(path);
    fa_upstream_recycle(w->it, "test"); /* it is gone: the old one is kept */
    upstream_ask(w, &c);
    assert_non_null(strstr(c.body, "Authorization: ApiKey two\n"));
    upstream_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_told_with_its_place),
        cmocka_unit_test(a_secret_does_not_come_back),
        cmocka_unit_test(a_secret_stays_here),
        cmocka_unit_test(a_secret_in_a_file_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
