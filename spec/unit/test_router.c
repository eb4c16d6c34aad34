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

static void add(const char *method, const char *pattern, int target)
{
    fa_error error = {""};
    if (fa_router_add(router, method, pattern, target, (fa_origin){"routes/a.lua", (uint32_t)target}, &error) != FA_OK)
        fail_msg("%s %s: %s", method, pattern, error.text);
}

static void refuse(const char *method, const char *pattern, fa_result expected, const char *message)
{
    fa_error error = {""};
    assert_int_equal(fa_router_add(router, method, pattern, 99, (fa_origin){"routes/b.lua", 7}, &error), expected);
    assert_string_equal(error.text, message);
}

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

/* The answer as text: "TARGET name=value name=value", "404", or "405 ALLOW". */
static const char *find(const char *method, const char *path)
{
    static char out[400];
    char allow[64];
    fa_route route;
    switch (fa_router_match(router, text_of(method), text_of(path), &route, allow)) {
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

#define assert_finds(method, path, answer) assert_string_equal(find(method, path), answer)

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
    assert_finds("PUT", "/a", "405 GET, HEAD, POST, DELETE");
    assert_finds("PATCH", "/a", "405 GET, HEAD, POST, DELETE");
    assert_finds("BREW", "/a", "405 GET, HEAD, POST, DELETE");
    assert_finds("", "/a", "405 GET, HEAD, POST, DELETE");
    assert_finds("get", "/a", "405 GET, HEAD, POST, DELETE"); /* methods are case-sensitive */
    assert_finds("GET", "/b", "405 PUT, DELETE");             /* not answered by the rest of another method */
    assert_finds("HEAD", "/b", "405 PUT, DELETE");
    assert_finds("GET", "/b/c", "5 rest=c");
    assert_finds("POST", "/b/c", "405 GET, HEAD");
    assert_finds("GET", "/z/y", "6 rest=z/y");
}

static void all_methods_fit_into_allow(void **state)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    (void)state;
    for (int i = 0; i < 6; ++i) {
        add(methods[i], "/a/b", i);
        add(methods[i], "/a/:x", 10 + i);
        add(methods[i], "/:x/b", 20 + i);
    }
    assert_finds("BREW", "/a/b", "405 GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"); /* each once */
    assert_finds("OPTIONS", "/a/b", "5");
}

static void conflicts_name_both_places(void **state)
{
    (void)state;
    add("GET", "/a/:id", 12);
    refuse("GET", "/a/:id", FA_CONFLICT,
           "route GET \"/a/:id\" is declared twice: at routes/a.lua:12 and at routes/b.lua:7");
    add("POST", "/a/:id", 13);
    refuse("DELETE", "/a/:name", FA_CONFLICT,
           "route \"/a/:name\": this segment is already called \"id\" by another route");
    refuse("GET", "/a/:name/more", FA_CONFLICT,
           "route \"/a/:name/more\": this segment is already called \"id\" by another route");
    add("GET", "/a/*rest", 14);
    refuse("GET", "/a/*all", FA_CONFLICT,
           "route \"/a/*all\": this segment is already called \"rest\" by another route");
    assert_finds("GET", "/a/b", "12 id=b"); /* what was refused left nothing behind */
    assert_finds("GET", "/a/b/more", "14 rest=b/more");
}

static void malformed_declarations_are_refused(void **state)
{
    char deep[200] = "";
    (void)state;
    refuse("HEAD", "/a", FA_INVALID, "HEAD is not a method that routes know");
    refuse("get", "/a", FA_INVALID, "get is not a method that routes know");
    refuse("GET", "", FA_INVALID, "route \"\": a pattern begins with /");
    refuse("GET", "a", FA_INVALID, "route \"a\": a pattern begins with /");
    refuse("GET", "/:", FA_INVALID, "route \"/:\": a parameter needs a name, and there are at most 8");
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
    assert_int_equal(fa_router_add(router, "GET", deep, 3, FA_HERE, NULL), FA_INVALID);
}

/* A table built to make a careless search run for ever: two ways at every level. */
static void a_search_takes_each_way_once(void **state)
{
    char path[100] = "", pattern[100];
    (void)state;
    for (int bits = 0; bits < 256; ++bits) { /* every mixture of literal and name, eight levels deep */
        pattern[0] = '\0';
        for (int level = 0; level < 8; ++level)
            snprintf(pattern + strlen(pattern), 8, bits & (1 << level) ? "/:%c" : "/a", 'p');
        add("GET", strcat(pattern, "/end"), bits);
    }
    for (int level = 0; level < 8; ++level)
        strcat(path, "/a");
    assert_finds("GET", path, "404");
    strcat(path, "/end");
    assert_finds("GET", path, "0");
    assert_finds("GET", "/b/a/b/a/a/a/a/a/end", "5 p=b p=b");
}

static bool scenario(fa_ledger *of)
{
    char allow[64];
    fa_route route;
    fa_scope *root = NULL;
    bool reached = false;
    NEED(fa_scope_new(of, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &root) == FA_OK);
    fa_router *r = fa_router_new(root);
    NEED(r != NULL);
    fa_result first = fa_router_add(r, "GET", "/a/:b/*c", 1, FA_HERE, NULL);
    fa_result second = fa_router_add(r, "GET", "/a/:b/x", 2, FA_HERE, NULL);
    assert_true(first == FA_OK || first == FA_NO_MEMORY);
    /* What was built in part answers as if it had not been. */
    fa_result found = fa_router_match(r, text_of("GET"), text_of("/a/1/x"), &route, allow);
    assert_int_equal(found, first == FA_OK || second == FA_OK ? FA_OK : FA_NOT_FOUND);
    if (first != FA_OK) /* and can be declared again */
        first = fa_router_add(r, "GET", "/a/:b/*c", 1, FA_HERE, NULL);
    reached = first == FA_OK && second == FA_OK && route.target == 2;
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
        WITH_ROUTER(conflicts_name_both_places),
        WITH_ROUTER(malformed_declarations_are_refused),
        WITH_ROUTER(a_search_takes_each_way_once),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
