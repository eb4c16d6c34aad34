/* core/script: what is told of an error, to whom: tracebacks across coroutines and tasks, the page for developers, nothing for clients. */
#include <stdio.h>

#include "script_world.h"

static const char app[] =
    "local function deep() error('<b>it broke</b> with hunter22') end\n"
    "app:get('/plain', function(req)\n"
    "  local kept = fitnessally.buffer { label = 'kept bytes' }\n"
    "  deep()\n"
    "end)\n"
    "app:get('/wrap', function(req)\n"
    "  local inner = coroutine.wrap(function() deep() end)\n"
    "  local outer = coroutine.wrap(function() inner() end)\n"
    "  outer()\n"
    "end)\n"
    "app:get('/resume', function(req)\n"
    "  local ok, problem = coroutine.resume(coroutine.create(function() deep() end))\n"
    "  error(problem, 0)\n"
    "end)\n"
    "app:get('/task', function(req)\n"
    "  local task = fitnessally.spawn(function() deep() end)\n"
    "  task:join()\n"
    "end)\n"
    "app:get('/scope', function(req)\n"
    "  fitnessally.scope('mine', {}, function() deep() end)\n"
    "end)\n"
    "app:get('/handled', function(req) req:reply { text = tostring(pcall(coroutine.wrap(deep))) } end)\n";

static script_world *begin(int with)
{
    script_world *w = script_world_new();
    w->settings[1] = (fa_setting){.name = "api_key", .type = FA_SETTING_TEXT, .text = "hunter22"};
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    if (!script_world_try(w, NULL, with))
        fail_msg("%s", w->error.text);
    return w;
}

static const char *ask(script_world *w, const char *what, const char *accept)
{
    const char *headers[] = {"accept",  accept, "authorization", "Bearer sesame", "cookie", "sid=sesame", "user-agent",
                             "spec<1>", NULL};
    return script_answer(w, script_start(w, (asking){.what = what, .headers = headers}));
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void developers_get_a_page(void **state)
{
    (void)state;
    script_world *w = begin(WITH_DEVELOPMENT);
    const char *page = ask(w, "GET /plain?token=sesame", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    assert_has(page, "500 <!doctype html>");
    assert_has(page, "<h1>app.lua:1: &lt;b&gt;it broke&lt;/b&gt; with (hidden)</h1>");
    assert_has(page, "<mark>    1 | local function deep()");
    assert_has(page, "   6 | app:get('/wrap'"); /* five lines on */
    assert_null(strstr(page, "   7 | "));
    assert_has(page, "app.lua:4: in function &lt;app.lua:2&gt;");
    assert_has(page, "<th>path</th><td>/plain</td>");
    assert_has(page, "<th>route declared at</th><td>app.lua:2</td>");
    assert_has(page, "<th>id</th><td>r-");
    assert_has(page, "<th>authorization</th><td>(hidden)</td>");
    assert_has(page, "<th>user-agent</th><td>spec&lt;1&gt;</td>");
    assert_has(page, "'kept bytes'");
    assert_null(strstr(page, "sesame"));
    assert_null(strstr(page, "hunter22"));
    page = ask(w, "GET /plain", "application/json");
    assert_has(page, "500 {\"error\":{\"code\":\"script_error\",\"message\":\"app.lua:1: ");
    page = ask(w, "GET /plain", "application/json, text/html");
    assert_has(page, "500 {\"error\":");
    script_world_end(w);
}

static void clients_get_the_id_only(void **state)
{
    (void)state;
    script_world *w = begin(WITH_NOTHING);
    const char *answer = ask(w, "GET /plain", "text/html");
    assert_has(
        answer,
        "500 {\"error\":{\"code\":\"script_error\",\"message\":\"The server made a mistake.\",\"requestId\":\"r-");
    assert_logged(w, "GET /plain: app.lua:1: <b>it broke</b>");
    script_world_end(w);
}

/* Where it was raised, and every place that led there. */
static void tracebacks_cross_coroutines_and_tasks(void **state)
{
    static const struct {
        const char *what, *parts[4];
    } cases[] = {
        {"GET /wrap", {"app.lua:7: in function", "app.lua:8: in function", "app.lua:9: in function"}},
        {"GET /resume", {"app.lua:12: in function", "resumed from:", "app.lua:12: in function"}},
        {"GET /task", {"app.lua:16: in function", "app.lua:17: in function"}},
        {"GET /scope", {"app.lua:20: in function", "app.lua:20: in function &lt;app.lua:19&gt;"}},
    };
    (void)state;
    script_world *w = begin(WITH_DEVELOPMENT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        const char *page = ask(w, cases[i].what, "text/html");
        assert_has(page, "app.lua:1: in function");
        for (size_t j = 0; cases[i].parts[j] != NULL; ++j)
            assert_has(page, cases[i].parts[j]);
    }
    assert_answer(w, "GET /handled", "200 false");
    assert_costs_nothing(w, "GET /wrap");
    script_world_end(w);
}

/* What those do who come from elsewhere. */
static void beginners_mistakes_are_told(void **state)
{
    static const struct {
        const char *code, *told;
    } mistakes[] = {
        {"req.json()", "request expected, got no value; is it called with a colon, as in req:json()?"},
        {"req.reply { json = {} }", "request expected, got table; is it called with a colon"},
        {"req:reply { 'text' }",
         "reply: there is no field of no name; an answer has status, headers, type, and json, text or body"},
        {"req:reply { josn = {}, status = 201 }", "reply: there is no field josn;"},
        {"req:reply { status = 404, text = 'x', header = {} }", "reply: there is no field header;"},
        {"req:reply { status = 'ok' }", "reply: status is a string, not a number"},
        {"req:reply { text = {} }", "reply: text is a table, not a text"},
        {"req:reply { body = 'text' }", "reply: body takes a buffer; a text is given as text"},
        {"req:reply { headers = { ['X-A'] = true } }", "the header X-A has a boolean for its value, not a text"},
        {"local a = req.headers['a']", "a request has no \\\"headers\\\"; it is req:header("},
        {"req:send 'x'", "a request has no \\\"send\\\"; it is req:reply"},
        {"local a = req.nonsense", "a request has no \\\"nonsense\\\""},
        {"fitnessally.sleep '2'", "fitnessally.sleep: "},
        {"fitnessally.sleep(-1)", "fitnessally.sleep is 0 to 86400000 milliseconds, or a text"},
        {"fitnessally.sleep()", "bad argument #1 to 'sleep'"},
        {"req:set_cookie('a', 'b', { secured = true })",
         "app.lua:16: req:set_cookie: there is no option secured; there are path,"},
        {"req:redirect('/', { extrnal = true })",
         "req:redirect: there is no option extrnal; there are external and status"},
        {"req:redirect('/', 'permanent')", "bad argument #2 to 'redirect' (table expected, got string)"},
        {"req:file('app.lua', { root = '.' })", "options stand in one table, beside path"},
        {"req:file { path = 'app.lua', rot = '.' }", "req:file: there is no option rot"},
        {"req:events { rety = '1s' }", "req:events: there is no option rety"},
        {"req:start { tpye = 'text/csv' }", "req:start: there is no option tpye"},
        {"fitnessally.buffer { lable = 'x' }",
         "fitnessally.buffer: there is no option lable; there are label and capacity"},
        {"fitnessally.scope('x', { deadlin = '1s' }, print)", "fitnessally.scope: there is no option deadlin"},
        {"fitnessally.subscribe('x', { keep = 1 })", "fitnessally.subscribe: there is no option keep"},
        {"require('fitnessally.time').iso(0 / 0)", "app.lua:26: time.iso: milliseconds since 1970"},
        {"return { text = 'x' }", "The handler returned without an answer (req:reply, req:fail)."},
    };
    char text[8000];
    int used = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); ++i)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "app:get('/%zu', function(req) %s end)\n", i,
                         mistakes[i].code);
    used += snprintf(text + used, sizeof(text) - (size_t)used,
                     "app:get('/fine', function(req) fitnessally.sleep '0' fitnessally.sleep '1ms'\n"
                     "  req:reply { status = 201, headers = { a = 1 }, type = 'text/x', text = 42 } end)\n"
                     "app:get('/absent', function(req)\n"
                     "  req:reply { text = tostring(tonumber(req:query('n'))) .. tostring(req:header('x-none')) ..\n"
                     "    tostring(require('fitnessally.time').parse_iso(req:query('n'))) } end)\n");
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", text, (size_t)used);
    if (!script_world_try(w, NULL, WITH_DEVELOPMENT))
        fail_msg("%s", w->error.text);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); ++i) {
        char what[20];
        snprintf(what, sizeof(what), "GET /%zu", i);
        const char *answer = ask(w, what, "application/json");
        assert_has(answer, "500 ");
        assert_has(answer, mistakes[i].told);
    }
    assert_has(ask(w, "GET /fine", "application/json"), "201 ");
    assert_has(ask(w, "GET /absent", "application/json"), "200 nilnilnil");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(developers_get_a_page),
        cmocka_unit_test(clients_get_the_id_only),
        cmocka_unit_test(beginners_mistakes_are_told),
        cmocka_unit_test(tracebacks_cross_coroutines_and_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
