/* core/script: what a handler answers, what it gets when it is wrong, and what scripts cannot reach. */
#include "script_world.h"

#include <stdio.h>

static void handlers_answer(void **state)
{
    static const char *const headers[] = {"X-One", "1", "X-Empty", "", NULL};
    (void)state;
    script_world *w = script_world_begin(
        "app:get('/text/:a/*rest', function(req)\n"
        "  req:reply { text = table.concat({ req.method, req.path, req.params.a, req.params.rest, req:query('q') or "
        "'none',\n"
        "    req:header('x-one') or 'none', req:header('x-two') or 'none', req:header('x-empty') or 'none', req.remote "
        "}, ' ') }\n"
        "end)\n"
        "app:get('/json', function(req) req:reply { status = 201, json = { a = 1 }, headers = { ['x-h'] = 'v' } } "
        "end)\n"
        "app:get('/body', function(req)\n"
        "  local b = fitnessally.buffer { label = 'b' }\n"
        "  b:append('12'):append(b:len() == 2 and '34' or '?')\n"
        "  req:reply { body = b:seal(), type = 'x/y' }\n"
        "end)\n"
        "app:post('/echo', function(req) req:reply { body = req.body } end)\n"
        "app:delete('/nothing', function(req) req:reply {} end)\n"
        "app:get('/fail', function(req) req:fail(418, 'teapot', 'I am \"one\"', { ['retry-after'] = '5' }) end)\n"
        "app:get('/settings', function(req) req:reply { json = { settings.count, settings.flag, settings.none == nil } "
        "} end)\n");
    fa_inprocess *client = script_start(w, (asking){.what = "GET /text/x/y/z?q=1+2", .headers = headers});
    assert_string_equal(script_answer(w, client), "200 GET /text/x/y/z x y/z 1 2 1 none none in-process");
    client = script_start(w, (asking){.what = "GET /json"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_text_is(fa_inprocess_header(client, "content-type"), "application/json"));
    assert_true(fa_text_is(fa_inprocess_header(client, "x-h"), "v"));
    assert_string_equal(script_answer(w, client), "201 {\"a\":1}");
    assert_answer(w, "GET /body", "200 1234");
    assert_answer(w, "HEAD /body", "200");
    assert_string_equal(script_post(w, "POST /echo", "ping"), "200 ping");
    assert_answer(w, "DELETE /nothing", "204");
    assert_answer_has(w, "GET /fail",
                      "418 {\"error\":{\"code\":\"teapot\",\"message\":\"I am \\\"one\\\"\",\"requestId\":\"r-");
    assert_answer(w, "GET /settings", "200 [7,true,true]");
    assert_answer_has(w, "GET /nowhere", "404 {\"error\":{\"code\":\"not_found\"");
    assert_answer_has(w, "GET /../x", "400 {\"error\":{\"code\":\"bad_path\"");
    client = script_start(w, (asking){.what = "POST /json"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_text_is(fa_inprocess_header(client, "allow"), "GET, HEAD, OPTIONS"));
    assert_costs_nothing(w, "GET /text/x/y?q=1");
    assert_costs_nothing(w, "GET /body");
    script_world_end(w);
}

static const char faulty[] = "app:get('/error', function() error('secret') end)\n"
                             "app:get('/table', function() error({}) end)\n"
                             "app:get('/nothing', function() end)\n"
                             "app:get('/after', function(req) req:reply { text = 'whole' } error('too late') end)\n"
                             "app:get('/twice', function(req) req:reply { text = '1' } req:reply { text = '2' } end)\n"
                             "app:get('/header', function(req) req:reply { headers = { a = 'x\\r\\ny' } } end)\n"
                             "app:get('/status', function(req) req:reply { status = 100 } end)\n"
                             "app:get('/mutable', function(req) req:reply { body = fitnessally.buffer() } end)\n"
                             "app:get('/deep', function() local function f() return f() + 1 end f() end)\n"
                             "app:get('/self', function(req) req.reply({}) end)\n"
                             "app:get('/fake', function(req) req.reply(setmetatable({}, { __index = req })) end)\n"
                             "app:get('/unknown', function(req) return req.nothing end)\n";

static void errors_are_500_and_say_nothing(void **state)
{
    static const char *const paths[] = {"error",   "table", "twice?", "header", "status",
                                        "mutable", "deep",  "self",   "fake",   "unknown"};
    (void)state;
    script_world *w = script_world_begin(faulty);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i) {
        char what[40];
        snprintf(what, sizeof(what), "GET /%s", paths[i]);
        if (strchr(what, '?') == NULL)
            assert_answer_has(w, what,
                              "500 {\"error\":{\"code\":\"script_error\",\"message\":\"The server made a mistake.\"");
    }
    assert_logged(w, "GET /error: app.lua:1: secret stack traceback:");
    assert_logged(w, "app.lua:1: in function <app.lua:1>");
    assert_answer_has(w, "GET /nothing", "500 {\"error\":{\"code\":\"no_answer\"");
    assert_logged(w, "the handler at app.lua:3 returned without an answer");
    assert_answer(w, "GET /after", "200 whole"); /* what has been answered stays answered */
    assert_logged(w, "app.lua:4: too late");
    assert_answer(w, "GET /twice", "200 1");
    assert_logged(w, "this request has been answered already");
    assert_costs_nothing(w, "GET /error");
    script_world_end(w);
}

static void development_shows_the_traceback(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(faulty, WITH_DEVELOPMENT);
    assert_answer_has(w, "GET /error", "\"message\":\"app.lua:1: secret\\nstack traceback:\\n");
    assert_answer_has(w, "GET /table", "\"message\":\"app.lua:2: an error that is not a text\\nstack traceback:");
    assert_logged(w, "GET /table: app.lua:2: an error that is not a text");
    script_world_end(w);
}

static void late_use_tells_the_story(void **state)
{
    (void)state;
    script_world *w =
        script_world_begin("local gone, kept; app:post('/keep', function(req)\n"
                           "  kept = { req = req, body = req.body, buffer = fitnessally.buffer { label = 'mine' } }\n"
                           "  gone = fitnessally.buffer()\n"
                           "  gone:release()\n"
                           "  req:reply {}\n"
                           "end)\n"
                           "local function say(req, ok, message) req:reply { text = message } end\n"
                           "app:get('/req', function(req) say(req, pcall(function() kept.req:reply {} end)) end)\n"
                           "app:get('/path', function(req) say(req, pcall(function() return kept.req.path end)) end)\n"
                           "app:get('/body', function(req) say(req, pcall(kept.body.len, kept.body)) end)\n"
                           "app:get('/buffer', function(req) say(req, pcall(kept.buffer.seal, kept.buffer)) end)\n"
                           "app:get('/gone', function(req)\n"
                           "  local b = fitnessally.buffer { label = 'b' }\n"
                           "  b:release()\n"
                           "  say(req, pcall(b.release, b))\n"
                           "end)\n"
                           "app:get('/name', function(req) say(req, true, tostring(kept.buffer)) end)\n"
                           "app:get('/wrong', function(req) say(req, pcall(kept.buffer.len, req)) end)\n");
    assert_string_equal(script_post(w, "POST /keep", "bytes"), "204");
    assert_answer_has(w, "GET /req", "request #");
    assert_answer_has(w, "GET /req", "used after release (made at core/script/lua_request.c:");
    assert_answer_has(w, "GET /path", ", released when in-process request ended: answered)");
    assert_answer_has(w, "GET /body", " 'request body' of in-process request: used after release (made at app.lua:2, ");
    assert_answer_has(w, "GET /buffer",
                      " 'mine' of in-process request: used after release (made at app.lua:2, released when ");
    assert_answer_has(w, "GET /gone", "used after release (made at app.lua:13, released at app.lua:14)");
    assert_answer_has(w, "GET /name", "200 buffer #");
    assert_answer_has(w, "GET /wrong", "buffer expected, got userdata");
    script_world_end(w);
}

static void the_sandbox_is_closed(void **state)
{
    static const char *const absent[] = {
        "io",       "ffi",       "debug",     "package",   "load",       "loadstring",   "dofile",         "loadfile",
        "newproxy", "module",    "getfenv",   "setfenv",   "jit",        "gcinfo",       "collectgarbage", "os.execute",
        "os.exit",  "os.getenv", "os.remove", "os.rename", "os.tmpname", "os.setlocale", "string.dump",    "arg"};
    char app[4000] =
        "local function show(req, ok, message) req:reply { text = tostring(ok) .. ' ' .. tostring(message) } end\n";
    char what[60];
    (void)state;
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); ++i)
        snprintf(app + strlen(app), 200, "app:get('/%zu', function(req) req:reply { text = type(%s) } end)\n", i,
                 absent[i]);
    strcat(app, "app:get('/require', function(req) show(req, pcall(require, req:query('name'))) end)\n"
                "app:get('/meta', function(req) show(req, getmetatable(req), getmetatable(req.body)) end)\n"
                "app:get('/setmeta', function(req) show(req, pcall(setmetatable, req, {})) end)\n"
                "app:get('/settings', function(req) show(req, pcall(function() settings.x = 1 end)) end)\n"
                "app:get('/late', function(req) show(req, pcall(app.get, app, '/x', print)) end)\n"
                "app:get('/time', function(req) show(req, type(os.time()), type(os.clock())) end)\n");
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    script_world_write(w, "code.lua", "\x1bLJ\x02\x0a", 5);
    script_world_write(w, "fine.lua", "return 'fine'", 13);
    script_world_write(w, "empty.lua", "", 0);
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); ++i) {
        snprintf(what, sizeof(what), "GET /%zu", i);
        if (strcmp(script_ask(w, what), "200 nil") != 0)
            fail_msg("%s is there", absent[i]);
    }
    assert_answer(w, "GET /require?name=fine", "200 true fine");
    assert_answer(w, "GET /require?name=empty", "200 true true");
    assert_answer_has(w, "GET /require?name=code", "200 false");
    assert_answer_has(w, "GET /require?name=code", "code.lua:1: this is bytecode; only text is loaded");
    assert_answer_has(w, "GET /require?name=ffi", "no such file below /tmp/fa-script-");
    assert_answer_has(w, "GET /require?name=%2fetc%2fpasswd", "a module's name is made of letters");
    assert_answer_has(w, "GET /require?name=..fine", "a module's name is made of letters");
    assert_answer_has(w, "GET /require?name=a..b", "a module's name is made of letters");
    assert_answer_has(w, "GET /require?name=.fine", "a module's name is made of letters");
    assert_answer(w, "GET /meta", "200 fitnessally.request nil");
    assert_answer_has(w, "GET /setmeta", "200 false");
    assert_answer_has(w, "GET /settings", "settings are read-only");
    assert_answer_has(w, "GET /late", "routes are declared while app.lua is loaded");
    assert_answer(w, "GET /time", "200 number number");
    script_world_end(w);
}

static void strings_have_a_longest(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:get('/*code', function(req)\n"
                                         "  local f = ({\n"
                                         "    fine = function() return #('ab'):rep(524288) end,\n"
                                         "    long = function() return #('ab'):rep(524289) end,\n"
                                         "    func = function() return #string.rep('x', 2^40) end,\n"
                                         "    separator = function() return #(''):rep(1e6, ('x'):rep(1000)) end,\n"
                                         "    none = function() return #('x'):rep(-1) end,\n"
                                         "    three = function() return ('x'):rep(3, ',') end,\n"
                                         "  })[req.params.code]\n"
                                         "  local ok, what = pcall(f)\n"
                                         "  req:reply { text = tostring(what) }\n"
                                         "end)\n");
    assert_answer(w, "GET /fine", "200 1048576");
    assert_answer_has(w, "GET /long", "string.rep: the result would be longer than 1048576 bytes");
    assert_answer_has(w, "GET /func", "longer than");
    assert_answer_has(w, "GET /separator", "longer than");
    assert_answer(w, "GET /none", "200 0");
    assert_answer(w, "GET /three", "200 x,x,x");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_answer),
        cmocka_unit_test(errors_are_500_and_say_nothing),
        cmocka_unit_test(development_shows_the_traceback),
        cmocka_unit_test(late_use_tells_the_story),
        cmocka_unit_test(the_sandbox_is_closed),
        cmocka_unit_test(strings_have_a_longest),
    };
    return cmocka_run_group_tests_name("scripts: handlers", tests, NULL, NULL);
}
