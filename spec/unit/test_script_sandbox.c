/* core/script: what a script can reach and change, globals, require, trusted modules. */
#include <stdio.h>

#include "script_world.h"

static void write_file(script_world *w, const char *name, const char *text)
{
    script_world_write(w, name, text, strlen(text));
}

/* Loads app.lua and whatever else has been written. */
static void load(script_world *w, const char *app)
{
    write_file(w, "app.lua", app);
    if (!script_world_try(w, NULL, WITH_DEVELOPMENT))
        fail_msg("%s", w->error.text);
}

/* Each chunk is run as the body of a handler, in dev, and must fail with the text. */
static void refuse(const char *body, const char *part)
{
    char app[2000];
    snprintf(app, sizeof(app),
             "app:get('/', function(req)\n%s\nend)\napp:get('/after', function(req)\n"
             "  assert(string.format('%%d', 1) == '1' and ('x'):upper() == 'X' and json.decode('[1]')[1] == 1)\n"
             "  assert(table.concat({ 1, 2 }) == '12' and math.floor(1.5) == 1 and fitnessally.now() > 0)\n"
             "  req:reply { text = 'as before' } end)\n",
             body);
    script_world *w = script_world_begin_with(app, WITH_DEVELOPMENT);
    const char *answer = script_ask(w, "GET /");
    if (strncmp(answer, "500", 3) != 0 || strstr(answer, part) == NULL)
        fail_msg("%s: \"%s\" is not in: %s", body, part, answer);
    assert_answer(w, "GET /after", "200 as before");
    script_world_end(w);
}

static void what_is_shared_cannot_be_changed(void **state)
{
    (void)state;
    refuse("string.format = nil", "app.lua:2: string is read-only: string.format cannot be set");
    refuse("string.mine = print", "string is read-only");
    refuse("table.concat = nil", "table is read-only");
    refuse("json.decode = print", "json is read-only");
    refuse("app.get = print", "app is read-only");
    refuse("fitnessally.now = print", "fitnessally is read-only");
    refuse("plugin.mine = {}", "plugin is read-only");
    refuse("settings.count = 8", "settings are read-only");
    refuse("math[1] = 8", "math is read-only");
    refuse("rawset(string, 'format', print)", "bad argument #1 to 'rawset' (table expected, got userdata)");
    refuse("rawset(_G, 'print', print)", "bad argument #1 to 'rawset'");
    refuse("table.insert(json, 1)", "bad argument #1 to 'insert'");
    refuse("setmetatable(string, {})", "bad argument #1 to 'setmetatable'");
    refuse("next(string)", "bad argument #1 to 'next'");
    refuse("getmetatable('').__index = {}", "attempt to index a boolean value");
    refuse("getmetatable(string).__index = {}", "attempt to index a string value");
    refuse("setmetatable('', {})", "bad argument #1 to 'setmetatable'");
    refuse("_G.print = 1", "_G is read-only: _G.print cannot be set");
    refuse("require('fitnessally.flow').say = print",
           "fitnessally.flow is read-only: fitnessally.flow.say cannot be set");
    refuse("require('fitnessally.validate').text = print", "fitnessally.validate is read-only");
    refuse("getmetatable(req).__index = print", "attempt to index a string value");
}

static void what_is_not_for_scripts_is_not_there(void **state)
{
    static const char app[] =
        "app:get('/', function(req)\n"
        "  local there = {}\n"
        "  for _, name in ipairs { 'io', 'debug', 'package', 'ffi', 'jit', 'load', 'loadstring', 'loadfile', 'dofile', "
        "'getfenv',\n"
        "      'setfenv', 'newproxy', 'collectgarbage', 'module', 'gcinfo' } do\n"
        "    if _G[name] ~= nil then there[#there + 1] = name end\n"
        "  end\n"
        "  for _, name in ipairs { 'execute', 'exit', 'remove', 'rename', 'tmpname', 'setlocale', 'getenv' } do\n"
        "    if os[name] ~= nil then there[#there + 1] = 'os.' .. name end\n"
        "  end\n"
        "  if string.dump then there[#there + 1] = 'string.dump' end\n"
        "  req:reply { text = 'there: ' .. table.concat(there, ' ') }\n"
        "end)\n";
    (void)state;
    script_world *w = script_world_begin(app);
    assert_answer(w, "GET /", "200 there: ");
    script_world_end(w);
}

static void globals_belong_to_their_file_and_its_load(void **state)
{
    (void)state;
    refuse("count = 1", "app.lua:2: global 'count' is not declared; use local");
    refuse("function helper() end", "global 'helper' is not declared");
    refuse("local f = function() deep = 1 end f()", "global 'deep' is not declared");
    script_world *w = script_world_new();
    write_file(w, "other.lua", "hidden = 'of other' function get() return hidden end print = nil return get");
    load(w,
         "seen = 1\nfunction helper() seen = seen + 1 return seen end\nlocal get = require 'other'\n"
         "app:get('/', function(req) req:reply { text = helper() .. tostring(hidden) .. get() .. type(print) } end)");
    assert_answer(w, "GET /", "200 2nilof otherfunction");
    assert_answer(w, "GET /", "200 3nilof otherfunction");
    script_world_end(w);
}

/* ---- require ---- */

static void a_module_may_wait(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    write_file(w, "slow.lua", "fitnessally.sleep(20) local n = { loads = 1 } return n");
    write_file(w, "above.lua", "local slow = require 'slow' fitnessally.sleep(5) return { slow = slow }");
    write_file(w, "fails.lua", "fitnessally.sleep(5)\nerror('not today')");
    load(w, "local first\n"
            "app:get('/', function(req)\n"
            "  local above = require 'above'\n"
            "  first = first or above\n"
            "  req:reply { text = tostring(first == above and above.slow == require 'slow') } end)\n"
            "app:get('/slow', function(req) req:reply { text = require('slow').loads } end)\n"
            "app:get('/fails', function(req) require 'fails' end)\n");
    fa_inprocess *clients[3];
    for (size_t i = 0; i < 3; ++i) /* all while the first one loads it */
        clients[i] = script_start(w, (asking){.what = i < 2 ? "GET /" : "GET /slow"});
    assert_string_equal(script_answer(w, clients[2]), "200 1");
    assert_string_equal(script_answer(w, clients[0]), "200 true");
    assert_string_equal(script_answer(w, clients[1]), "200 true");
    clients[0] = script_start(w, (asking){.what = "GET /fails"});
    clients[1] = script_start(w, (asking){.what = "GET /fails"});
    assert_non_null(strstr(script_answer(w, clients[0]), "fails.lua:2: not today"));
    assert_non_null(strstr(script_answer(w, clients[1]), "fails.lua:2: not today")); /* it has tried for itself */
    assert_answer_has(w, "GET /fails", "app.lua:7: in function");
    script_world_end(w);
}

/* Whoever loads may go: others load it themselves. */
static void a_loader_that_goes_is_replaced(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    write_file(w, "stubborn.lua", "local ok for i = 1, 3 do ok = pcall(fitnessally.sleep, 30) end return { ok = ok }");
    load(w, "app:get('/', function(req) req:reply { text = tostring(require('stubborn').ok) } end)");
    fa_inprocess *first = script_start(w, (asking){.what = "GET /"});
    fa_inprocess *second = script_start(w, (asking){.what = "GET /"});
    fa_test_run_for(w->worker, 5);
    fa_inprocess_free(
        first); /* the client leaves; the module swallows that, and its task is dropped at the next wait */
    assert_string_equal(script_answer(w, second), "200 true");
    script_world_end(w);
}

static void circles_are_told(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    write_file(w, "a.lua", "fitnessally.sleep(5) return require 'b'");
    write_file(w, "b.lua", "fitnessally.sleep(5)\nlocal a = require 'a' return a");
    load(w, "app:get('/a', function(req) req:reply { text = select(2, pcall(require, 'a')) } end)\n"
            "app:get('/b', function(req) req:reply { text = select(2, pcall(require, 'b')) } end)\n");
    assert_answer(w, "GET /a", "200 b.lua:2: circular require: a requires b requires a");
    fa_inprocess *one = script_start(w, (asking){.what = "GET /a"}), *two = script_start(w, (asking){.what = "GET /b"});
    const char *answer = script_answer(w, one); /* each loads what the other one needs: nobody waits for ever */
    assert_non_null(strstr(answer, "circular require"));
    assert_non_null(strstr(script_answer(w, two), "circular require"));
    script_world_end(w);
}

static void trusted_modules_get_everything(void **state)
{
    static const char module[] =
        "local ffi = require 'ffi'\n"
        "ffi.cdef 'int getpid(void);'\n"
        "assert(io.open and os.getenv and debug.getinfo and loadstring('return 1')() == 1 and package.path)\n"
        "assert(require 'plain' == 'plain')\n"
        "return { pid = function() return ffi.C.getpid() end, missing = pcall(require, 'not.anywhere') }";
    (void)state;
    script_world *w = script_world_new();
    w->trusted = "native";
    write_file(w, "native.lua", module);
    write_file(w, "plain.lua", "return io == nil and ffi == nil and package == nil and loadstring == nil and 'plain'");
    load(w,
         "local native = require 'native'\n"
         "app:get('/', function(req) req:reply { text = tostring(native.pid() > 1 and not native.missing and io == nil "
         "and _G.package == nil and os.getenv == nil) } end)\n"
         "app:get('/ffi', function(req) require 'ffi' end)");
    assert_answer(w, "GET /", "200 true");
    assert_answer_has(w, "GET /ffi", "require \\\"ffi\\\": no such file");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shared_cannot_be_changed),
        cmocka_unit_test(what_is_not_for_scripts_is_not_there),
        cmocka_unit_test(globals_belong_to_their_file_and_its_load),
        cmocka_unit_test(a_module_may_wait),
        cmocka_unit_test(a_loader_that_goes_is_replaced),
        cmocka_unit_test(circles_are_told),
        cmocka_unit_test(trusted_modules_get_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
