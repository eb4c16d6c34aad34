/* core/exchange/router: which route answers a path, and which declarations are refused. */
#include "testing.h"

#include <stdio.h>

#include "exchange/router.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *scope;
static fa_router *router;

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &scope));
    router = fa_router_new(scope);
    assert_non_null(router);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_scope_end(scope, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_result declare(const char *method, const char *host, const char *pattern, int target, const char *file,
                         fa_error *error)
{
    fa_route_declaration declaration = {method, host, pattern, target, {file, (uint32_t)target}};
    return fa_router_add(router, &declaration, error);
}

static void add_for(const char *host, const char *method, const char *pattern, int target)
{
    fa_error error = {""};
    if (declare(method, host, pattern, target, "routes/a.lua", &error) != FA_OK)
        fail_msg("%s %s: %s", method, pattern, error.text);
}

static void add(const char *method, const char *pattern, int target)
{
    add_for(NULL, method, pattern, target);
}

static void refuse_for(const char *host, const char *method, const char *pattern, fa_result expected,
                       const char *message)
{
    fa_error error = {""};
    assert_int_equal(declare(method, host, pattern, 99, "routes/b.lua", &error), expected);
    assert_string_equal(error.text, message);
}

static void refuse(const char *method, const char *pattern, fa_result expected, const char *message)
{
    refuse_for(NULL, method, pattern, expected, message);
}

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

/* The answer as text: "TARGET name=value name=value", "404", or "405 ALLOW". */
static const char *find_at(const char *host, const char *method, const char *path)
{
    static char out[400];
    char allow[FA_ALLOW_SIZE];
    fa_route route;
    fa_route_key key = {text_of(method), text_of(host), text_of(path)};
    switch (fa_router_match(router, &key, &route, allow)) {
    case FA_OK:
        break;
    case FA_UNSUPPORTED:
        snprintf(out, sizeof(out), "405 %s", allow);
        return out;
    default:
        assert_string_equal(allow, "");
        return "404";
    }
    int used = snprintf(out, sizeof(out), "%d", route.target);
    for (size_t i = 0; i < route.parameter_count; ++i)
        used += snprintf(out + used, sizeof(out) - (size_t)used, " %.*s=%.*s", (int)route.parameters[i].name.length,
                         route.parameters[i].name.data, (int)route.parameters[i].value.length,
                         route.parameters[i].value.data);
    return out;
}

static const char *find(const char *method, const char *path)
{
    return find_at("example:3005", method, path);
}

#define assert_finds(method, path, answer)          assert_string_equal(find(method, path), answer)
#define assert_finds_at(host, method, path, answer) assert_string_equal(find_at(host, method, path), answer)

static void a_literal_beats_a_name_beats_a_rest(void **state)
{
    (void)state;
    /* Declared in the order that is worst for them. */
    add("GET", "/*rest", 1);
    add("GET", "/a/*rest", 2);
    add("GET", "/:x", 3);
    add("GET", "/a/:x", 4);
    add("GET", "/:x/b", 5);
    add("GET", "/a/b", 6);
    add("GET", "/a/:x/c", 7);
    add("GET", "/", 8);
    assert_finds("GET", "/", "8");
    assert_finds("GET", "/a", "3 x=a");
    assert_finds("GET", "/a/b", "6");
    assert_finds("GET", "/a/z", "4 x=z");
    assert_finds("GET", "/z/b", "5 x=z");
    assert_finds("GET", "/a/b/c", "7 x=b"); /* back from the literal that leads nowhere */
    assert_finds("GET", "/a/b/d", "2 rest=b/d");
    assert_finds("GET", "/z/c", "1 rest=z/c");
    assert_finds("GET", "/a/", "2 rest="); /* a name is never empty, a rest may be */
    assert_finds("GET", "//b", "1 rest=/b");
    assert_finds("GET", "/a//", "2 rest=/");
}

static void without_a_rest_nothing_else_answers(void **state)
{
    (void)state;
    assert_finds("GET", "/", "404"); /* an empty table */
    add("GET", "/a/:x/b", 1);
    add("GET", "/media/*file", 2);
    assert_finds("GET", "/a", "404");
    assert_finds("GET", "/a/x", "404");
    assert_finds("GET", "/a/x/b", "1 x=x");
    assert_finds("GET", "/a/x/b/", "404");
    assert_finds("GET", "/a//b", "404");
    assert_finds("GET", "/A/x/b", "404");
    assert_finds("GET", "/media", "404");
    assert_finds("GET", "/media/", "2 file=");
    assert_finds("GET", "/media/a/b.gif", "2 file=a/b.gif");
    assert_finds("GET", "/a/:x/b", "1 x=:x");
    assert_finds("GET", "/a/*/b", "1 x=*");
}

static void a_wrong_method_is_told_which_are_right(void **state)
{
    (void)state;
    add("GET", "/a", 1);
    add("POST", "/a", 2);
    add("DELETE", "/:x", 3);
    add("PUT", "/b", 4);
    add("GET", "/b/*rest", 5);
    add("GET", "/*rest", 6);
    assert_finds("HEAD", "/a", "1"); /* by GET */
    assert_finds("DELETE", "/a", "3 x=a");
    assert_finds("PUT", "/a", "405 GET, HEAD, POST, DELETE, OPTIONS");
    assert_finds("PATCH", "/a", "405 GET, HEAD, POST, DELETE, OPTIONS");
    assert_finds("BREW", "/a", "405 GET, HEAD, POST, DELETE, OPTIONS");
    assert_finds("", "/a", "405 GET, HEAD, POST, DELETE, OPTIONS");
    assert_finds("get", "/a", "405 GET, HEAD, POST, DELETE, OPTIONS"); /* methods are case-sensitive */
    assert_finds("GET", "/b", "405 PUT, DELETE, OPTIONS");             /* not answered by the rest of another method */
    assert_finds("HEAD", "/b", "405 PUT, DELETE, OPTIONS");
    assert_finds("GET", "/b/c", "5 rest=c");
    assert_finds("POST", "/b/c", "405 GET, HEAD, OPTIONS");
    assert_finds("GET", "/z/y", "6 rest=z/y");
}

static void all_methods_fit_into_allow(void **state)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    (void)state;
    for (int i = 0; i < 7; ++i) {
        add(methods[i], "/a/b", i);
        add(methods[i], "/a/:x", 10 + i);
        add(methods[i], "/:x/b", 20 + i);
    }
    assert_finds("BREW", "/a/b", "405 GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"); /* each once */
    assert_finds("OPTIONS", "/a/b", "6");
}

static void a_head_of_its_own_goes_before_get(void **state)
{
    char allow[FA_ALLOW_SIZE];
    fa_route_key key = {FA_TEXT("ANY"), FA_TEXT(""), FA_TEXT("/b")};
    (void)state;
    add("GET", "/a", 1);
    add("HEAD", "/a", 2);
    add("HEAD", "/b", 3);
    add("GET", "/:x", 4);
    assert_finds("HEAD", "/a", "2");
    assert_finds("GET", "/a", "1");
    assert_finds("HEAD", "/b", "3");
    assert_finds("GET", "/b", "4 x=b");
    assert_finds("HEAD", "/c", "4 x=c");
    assert_true(fa_router_methods(router, &key, allow));
    assert_string_equal(allow, "GET, HEAD, OPTIONS");
    key.path = FA_TEXT("/b/c");
    assert_false(fa_router_methods(router, &key, allow));
    assert_string_equal(allow, "");
}

static void hosts_are_asked_from_the_exact_to_the_general(void **state)
{
    (void)state;
    add("GET", "/", 1);
    add("GET", "/all", 2);
    add_for("*.example", "GET", "/", 3);
    add_for("*.a.example", "GET", "/", 4);
    add_for("b.a.example", "GET", "/", 5);
    add_for("b.a.example", "POST", "/only", 6);
    add_for("[::1]", "GET", "/", 7);
    assert_finds_at("b.a.example", "GET", "/", "5");
    assert_finds_at("B.A.Example:8080", "GET", "/", "5");
    assert_finds_at("b.a.example.", "GET", "/", "5");
    assert_finds_at("c.a.example", "GET", "/", "4");
    assert_finds_at("c.b.a.example:80", "GET", "/", "4");
    assert_finds_at("a.example", "GET", "/", "3"); /* not below itself */
    assert_finds_at("example", "GET", "/", "1");
    assert_finds_at("badexample", "GET", "/", "1");
    assert_finds_at("", "GET", "/", "1");
    assert_finds_at("[::1]:80", "GET", "/", "7");
    assert_finds_at("[::1]", "GET", "/", "7");
    assert_finds_at("::1", "GET", "/", "1");
    assert_finds_at(":80", "GET", "/", "1");
    assert_finds_at("b.a.example", "GET", "/all", "2"); /* what the host does not have, every host may */
    assert_finds_at("b.a.example", "POST", "/only", "6");
    assert_finds_at("c.a.example", "POST", "/only", "404");
}

/* As within one table: a method that only another table has is found there, a rest elsewhere takes nothing over. */
static void a_path_of_a_host_is_not_taken_over_by_a_rest(void **state)
{
    (void)state;
    add_for("api.example", "PUT", "/a", 1);
    add("POST", "/a", 2);
    add("GET", "/*rest", 3);
    assert_finds_at("api.example", "PUT", "/a", "1");
    assert_finds_at("api.example", "POST", "/a", "2");
    assert_finds_at("api.example", "GET", "/a", "405 POST, PUT, OPTIONS");
    assert_finds_at("example", "GET", "/a", "405 POST, OPTIONS");
    assert_finds_at("api.example", "GET", "/b", "3 rest=b");
}

static void conflicts_name_both_places(void **state)
{
    (void)state;
    add("GET", "/a/:id", 12);
    refuse("GET", "/a/:id", FA_CONFLICT,
           "route GET \"/a/:id\" is declared twice: at routes/a.lua:12 and at routes/b.lua:99");
    add("POST", "/a/:id", 13);
    refuse("DELETE", "/a/:name", FA_CONFLICT,
           "route \"/a/:name\" at routes/b.lua:99: this segment is already called \"id\" by the route at "
           "routes/a.lua:12");
    refuse("GET", "/a/:name/more", FA_CONFLICT,
           "route \"/a/:name/more\" at routes/b.lua:99: this segment is already called \"id\" by the route at "
           "routes/a.lua:12");
    add("GET", "/a/*rest", 14);
    refuse("GET", "/a/*all", FA_CONFLICT,
           "route \"/a/*all\" at routes/b.lua:99: this segment is already called \"rest\" by the route at "
           "routes/a.lua:14");
    assert_finds("GET", "/a/b", "12 id=b"); /* what was refused left nothing behind */
    assert_finds("GET", "/a/b/more", "14 rest=b/more");
    add_for("a.example", "GET", "/a/:name", 15); /* another host, another table */
    refuse_for("a.example", "GET", "/a/:name", FA_CONFLICT,
               "route GET \"/a/:name\" of host a.example is declared twice: at routes/a.lua:15 and at routes/b.lua:99");
}

static void malformed_hosts_are_refused(void **state)
{
    static const char *const malformed[] = {"",    "a.example:80", "A.example", "*",    "*.", "a.*.example",
                                            "a b", ".a",           "a.",        "[::1", "[]", "::1",
                                            "a/b", "*.*.a",        "http:",     "a,b"};
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); ++i) {
        fa_error error = {""};
        if (declare("GET", malformed[i], "/", 1, "a.lua", &error) != FA_INVALID)
            fail_msg("taken: %s", malformed[i]);
        assert_non_null(strstr(error.text, "is no host: a name in lower case without port, or *.name"));
    }
}

static void malformed_declarations_are_refused(void **state)
{
    char deep[200] = "";
    (void)state;
    refuse("TRACE", "/a", FA_INVALID, "TRACE is not a method that routes know");
    refuse("get", "/a", FA_INVALID, "get is not a method that routes know");
    refuse("GET", "", FA_INVALID, "route \"\": a pattern begins with /");
    refuse("GET", "a", FA_INVALID, "route \"a\": a pattern begins with /");
    refuse("GET", "/:", FA_INVALID, "route \"/:\": a parameter needs a name, and there are at most 8");
    refuse("GET", "/:a/:a", FA_INVALID, "route \"/:a/:a\": two parameters are called \"a\"");
    refuse("GET", "/:a/*a", FA_INVALID, "route \"/:a/*a\": two parameters are called \"a\"");
    refuse("GET", "/:id?", FA_INVALID,
           "route \"/:id?\": a parameter is a whole part of the path, and its name has letters, digits, _ and - only: "
           "\"id?\"");
    refuse(
        "GET", "/:id.json", FA_INVALID,
        "route \"/:id.json\": a parameter is a whole part of the path, and its name has letters, digits, _ and - only: "
        "\"id.json\"");
    refuse("GET", "/a?b=:c", FA_INVALID,
           "route \"/a?b=:c\": a pattern is a path; what follows ? is read with req:query");
    refuse("GET", "/a%20b", FA_INVALID, "route \"/a%20b\": a pattern is written as it reads, without %XX");
    refuse("GET", "/a/../b", FA_INVALID, "route \"/a/../b\": a path has no parts . and ..");
    refuse("GET", "/a\\b", FA_INVALID, "route \"/a\\b\": a path has no control characters and no backslash");
    refuse("GET", "/*", FA_INVALID, "route \"/*\": a parameter needs a name, and there are at most 8");
    refuse("GET", "/*all/b", FA_INVALID, "route \"/*all/b\": nothing may follow *all");
    refuse("GET", "/*all/", FA_INVALID, "route \"/*all/\": nothing may follow *all");
    refuse("GET", "/:a/:b/:c/:d/:e/:f/:g/:h/:i", FA_INVALID,
           "route \"/:a/:b/:c/:d/:e/:f/:g/:h/:i\": a parameter needs a name, and there are at most 8");
    add("GET", "/:a/:b/:c/:d/:e/:f/:g/*h", 1);
    assert_finds("GET", "/1/2/3/4/5/6/7/8/9", "1 a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8/9");
    for (int i = 0; i < 32; ++i)
        strcat(deep, "/x");
    add("GET", deep, 2);
    assert_finds("GET", deep, "2");
    strcat(deep, "/x");
    assert_int_equal(declare("GET", NULL, deep, 3, "a.lua", NULL), FA_INVALID);
}

/* A table built to make a careless search run for ever: two ways at every level. */
static void a_search_takes_each_way_once(void **state)
{
    char path[100] = "", pattern[100];
    (void)state;
    for (int bits = 0; bits < 256; ++bits) { /* every mixture of literal and name, eight levels deep */
        pattern[0] = '\0';
        for (int level = 0; level < 8; ++level)
            snprintf(pattern + strlen(pattern), 8, bits & (1 << level) ? "/:%c" : "/a", 'p' + level);
        add("GET", strcat(pattern, "/end"), bits);
    }
    for (int level = 0; level < 8; ++level)
        strcat(path, "/a");
    assert_finds("GET", path, "404");
    strcat(path, "/end");
    assert_finds("GET", path, "0");
    assert_finds("GET", "/b/a/b/a/a/a/a/a/end", "5 p=b r=b");
}

static bool scenario(fa_ledger *of)
{
    char allow[FA_ALLOW_SIZE];
    fa_route route = {0};
    fa_scope *root = NULL;
    bool reached = false;
    fa_route_declaration rest = {"GET", NULL, "/a/:b/*c", 1, FA_HERE}, literal = {"GET", NULL, "/a/:b/x", 2, FA_HERE},
                         hosted = {"GET", "a.example", "/a/:b/x", 3, FA_HERE};
    fa_route_key key = {FA_TEXT("GET"), FA_TEXT(""), FA_TEXT("/a/1/x")};
    NEED(fa_scope_new(of, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &root) == FA_OK);
    fa_router *r = fa_router_new(root);
    NEED(r != NULL);
    fa_result first = fa_router_add(r, &rest, NULL);
    fa_result second = fa_router_add(r, &literal, NULL);
    assert_true(first == FA_OK || first == FA_NO_MEMORY);
    /* What was built in part answers as if it had not been. */
    fa_result found = fa_router_match(r, &key, &route, allow);
    assert_int_equal(found, first == FA_OK || second == FA_OK ? FA_OK : FA_NOT_FOUND);
    if (first != FA_OK) /* and can be declared again */
        first = fa_router_add(r, &rest, NULL);
    fa_result third = fa_router_add(r, &hosted, NULL);
    key.host = FA_TEXT("a.example");
    found = fa_router_match(r, &key, &route, allow);
    assert_true(third != FA_OK || (found == FA_OK && route.target == 3));
    reached = first == FA_OK && second == FA_OK && third == FA_OK;
out:
    if (root != NULL)
        fa_scope_end(root, "test", NULL);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(failing);
    }
    assert_true(reached);
}

#define WITH_ROUTER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROUTER(a_literal_beats_a_name_beats_a_rest),
        WITH_ROUTER(without_a_rest_nothing_else_answers),
        WITH_ROUTER(a_wrong_method_is_told_which_are_right),
        WITH_ROUTER(all_methods_fit_into_allow),
        WITH_ROUTER(a_head_of_its_own_goes_before_get),
        WITH_ROUTER(hosts_are_asked_from_the_exact_to_the_general),
        WITH_ROUTER(a_path_of_a_host_is_not_taken_over_by_a_rest),
        WITH_ROUTER(conflicts_name_both_places),
        WITH_ROUTER(malformed_hosts_are_refused),
        WITH_ROUTER(malformed_declarations_are_refused),
        WITH_ROUTER(a_search_takes_each_way_once),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
