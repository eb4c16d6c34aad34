/* core/script: how an application is loaded, what app:on_start may do, JSON, and memory that runs out on the way. */
#include "script_world.h"

#include <stdio.h>

static void refuse_app(const char *app, const char *part)
{
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    script_world_write(w, "broken.lua", "return {\n  oops oops\n}\n", 21);
    script_world_write(w, "raises.lua", "\nerror('on purpose')", 20);
    script_world_write(w, "circle.lua", "return require 'circle'", 23);
    if (script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("loaded: %s", app);
    if (strstr(w->error.text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, w->error.text);
    script_world_end(w);
}

static void what_is_wrong_with_an_app_is_said(void **state)
{
    (void)state;
    refuse_app("x = = 1", "app.lua:1: unexpected symbol near '='");
    refuse_app("require 'broken'", "broken.lua:2: '}' expected");
    refuse_app("\n\nrequire 'raises'", "raises.lua:2: on purpose\nstack traceback:");
    refuse_app("\n\nrequire 'raises'", "app.lua:3: in main chunk");
    refuse_app("\nrequire 'circle'", "circular require: circle requires circle");
    refuse_app("require 'circle'", "app.lua:1: in main chunk");
    refuse_app("require 'nothere'", "require \"nothere\": no such file below /tmp/fa-script-");
    refuse_app("error({})", "an error that is not a text");
    refuse_app("app:get('/a', print)\napp:get('/a', print)", "declared twice: at app.lua:1 and at app.lua:2");
    refuse_app("app:get('a', print)", "a pattern begins with /");
    refuse_app("app:get('/a/{id}/b', print)",
               "app.lua:1: app:get: route \"/a/{id}/b\": a segment that varies is written :id");
    refuse_app("app:get('/a')", "app.lua:1: app:get(\"/a\"): the handler is a function, not a nil");
    refuse_app("app:static('/m', {})", "root is missing");
    refuse_app("app:static('m', { root = '.' })", "a prefix begins with /");
    refuse_app("for i = 1, 1001 do app:get('/' .. i, print) end", "app.lua:1: more than 1000 routes: max_routes says");
    refuse_app("for i = 1, 65 do app:on_start(print) end", "at most 64 functions");
    refuse_app("fitnessally.sleep(1)", "nothing can wait while scripts are loaded");
    refuse_app("fitnessally.buffer()", "this needs a request or a turn to own it");
    refuse_app("\x1bLJ\x02", "app.lua:1: this is bytecode; only text is loaded");
    script_world *w = script_world_new();
    assert_false(script_world_try(w, NULL, WITH_NOTHING));
    assert_non_null(strstr(w->error.text, "cannot open /tmp/fa-script-"));
    script_world_end(w);
}

static void modules_and_files_of_the_app(void **state)
{
    (void)state;
    static const char app[] = "assert(require 'fitnessally.flow' == require 'fitnessally.flow')\n"
                              "app:static('/files/', { root = settings.app, index = 'app.lua' })";
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    script_world_write(w, "circle.lua", "return require 'circle'", 23);
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    assert_answer_has(w, "GET /files/circle.lua", "200 return require 'circle'");
    assert_answer_has(w, "GET /files/", "200 assert(");
    assert_answer_has(w, "GET /files/none", "404 {\"error\":");
    assert_answer_has(w, "POST /files/none", "404 {\"error\":");
    assert_answer_has(w, "POST /files/circle.lua", "405 {\"error\":");
    script_world_end(w);
}

/* ---- app:on_start ---- */

static void starters_run_as_tasks(void **state)
{
    (void)state;
    script_world *w =
        script_world_begin("local n = 0\n"
                           "app:on_start(function() fitnessally.sleep(1) n = n + 1 end)\n"
                           "app:on_start(function() error('cannot start') end)\n"
                           "app:on_start(function()\n"
                           "  local b = fitnessally.buffer()\n"
                           "  b:append('x'):release()\n"
                           "  while true do fitnessally.sleep(1) n = n + 1 end\n"
                           "end)\n"
                           "app:get('/', function(req) req:reply { text = n > 3 and 'many' or 'few' } end)\n");
    assert_logged(w, "app:on_start: app.lua:3: cannot start");
    SCRIPT_UNTIL(w, strcmp(script_ask(w, "GET /"), "200 many") == 0);
    assert_int_equal(fa_script_tasks(w->script), 1);
    script_world_end(w); /* it is still asleep: its state goes first, and takes it along */
}

/* What runs for ever must not keep a server from stopping. */
static void starters_can_be_stopped(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:on_start(function() while true do fitnessally.sleep(1) end end)");
    fa_test_run_for(w->worker, 5);
    fa_script_stop(w->script);
    assert_int_equal(fa_script_tasks(w->script), 0);
    fa_scope_end(w->clients, "test", NULL);
    w->clients = NULL;
    fa_worker_finish(w->worker);
    fa_worker_run(w->worker); /* returns */
    script_world_end(w);
}

/* ---- JSON ---- */

static void json_goes_both_ways(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local e = json.empty_array\n"
        "app:get('/arrays', function(req) req:reply { json = { a = e, b = {}, c = { e, { e } }, d = 'x', f = json.null "
        "} } end)\n"
        "app:get('/encode', function(req) req:reply { text = json.encode('a\"\\n\\0b') } end)\n"
        "app:get('/none', function(req) req:reply { text = tostring(pcall(json.encode, print)) } end)\n"
        "app:get('/nan', function(req) req:reply { text = tostring(pcall(json.encode, { 0/0 })) } end)\n"
        "app:get('/loop', function(req) local t = {} t.t = t req:reply { text = tostring(pcall(json.encode, t)) } "
        "end)\n"
        "app:get('/key', function(req) req:reply { json = { x = 'say ' .. e } } end)\n"
        "app:post('/decode', function(req)\n"
        "  local value, problem = req:json()\n"
        "  req:reply { text = value and json.encode(value) or problem }\n"
        "end)\n"
        "app:post('/text', function(req)\n"
        "  local value, problem = json.decode(req.body and req.body:copy { max = 1000 } or '')\n"
        "  req:reply { text = problem or json.encode(value) }\n"
        "end)\n"
        "app:post('/empty', function(req)\n"
        "  local value, problem = fitnessally.buffer():json()\n"
        "  req:reply { text = tostring(problem) }\n"
        "end)\n"
        "app:post('/copy', function(req) req:reply { text = select(2, req.body:copy { max = 2 }) } end)\n");
    const char *arrays = script_ask(w, "GET /arrays");
    assert_non_null(strstr(arrays, "\"a\":[]"));
    assert_non_null(strstr(arrays, "\"b\":{}"));
    assert_non_null(strstr(arrays, "\"c\":[[],[[]]]"));
    assert_non_null(strstr(arrays, "\"f\":null"));
    assert_answer(w, "GET /encode", "200 \"a\\\"\\n\\u0000b\"");
    assert_answer(w, "GET /none", "200 false");
    assert_answer(w, "GET /nan", "200 false");
    assert_answer(w, "GET /loop", "200 false");
    assert_answer_has(w, "GET /key", "200 {\"x\":\"say empty-array-"); /* only the whole text stands for it */
    assert_string_equal(script_post(w, "POST /decode", "{\"a\":[1,null,\"x\"]}"), "200 {\"a\":[1,null,\"x\"]}");
    assert_string_equal(script_post(w, "POST /decode", ""), "200 the request has no body");
    assert_string_equal(script_post(w, "POST /decode", "7"), "200 the body is neither an object nor an array");
    assert_string_equal(script_post(w, "POST /decode", "null"), "200 the body is neither an object nor an array");
    assert_non_null(strstr(script_post(w, "POST /decode", "{\"a\":}"), "Expected value"));
    assert_non_null(strstr(script_post(w, "POST /decode", "{} x"), "Expected the end"));
    assert_non_null(strstr(script_post(w, "POST /decode", "[NaN]"), "invalid"));
    char deep[400] = "";
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_non_null(strstr(script_post(w, "POST /decode", deep), "too many nested"));
    assert_string_equal(script_post(w, "POST /text", "1.5"), "200 1.5");
    assert_non_null(strstr(script_post(w, "POST /empty", "x"), "200 Expected value"));
    assert_string_equal(script_post(w, "POST /copy", "abc"),
                        "200 the buffer has 3 bytes, more than the 2 that may be copied");
    script_world_end(w);
}

static void json_keeps_numbers_and_arrays(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local function fails(path, value)\n"
        "  app:get(path, function(req) req:reply { text = select(2, pcall(json.encode, value)) } end)\n"
        "end\n"
        "app:get('/numbers', function(req) req:reply { json = { 9007199254740991, -1234567890123456, "
        "1795938548684123,\n"
        "  1e15, 1e21, 0.1 + 0.2, 1 / 3, 12345678901234.5, 2 ^ 53, 100, -7, 0.5, -0.0 } } end)\n"
        "app:get('/arrays', function(req) req:reply { json = { { 1, nil, 3 }, {}, { [5] = 1 }, { [1.5] = 1 }, "
        "json.null,\n"
        "  { json.empty_array, '/\"\\\\\\127\\1\\n\\r\\t\\b\\f' } } } end)\n"
        "app:get('/long', function(req) local text = json.encode { ('x'):rep(5000), { ('\\n'):rep(3000) } }\n"
        "  req:reply { text = #text .. ' ' .. tostring(json.decode(text)[2][1] == ('\\n'):rep(3000)) } end)\n"
        "fails('/sparse', { { [1] = 1, [50] = 2 } })\n"
        "fails('/keys', { [true] = 1 })\n"
        "fails('/later', { ('x'):rep(10000), print })\n");
    assert_answer(w, "GET /numbers",
                  "200 [9007199254740991,-1234567890123456,1795938548684123,1000000000000000,1e+21,0.3,"
                  "0.333333333333333,12345678901234.5,9007199254740992,100,-7,0.5,0]");
    assert_answer(w, "GET /arrays",
                  "200 [[1,null,3],{},[null,null,null,null,1],{\"1.5\":1},null,"
                  "[[],\"\\/\\\"\\\\\\u007f\\u0001\\n\\r\\t\\b\\f\"]]");
    assert_answer(w, "GET /long", "200 11009 true");
    assert_answer(w, "GET /sparse", "200 Cannot serialise table: excessively sparse array");
    assert_answer(w, "GET /keys", "200 Cannot serialise boolean: table key must be a number or string");
    assert_answer(w, "GET /later", "200 Cannot serialise function: type not supported");
    assert_costs_nothing(w, "GET /later");
    script_world_end(w);
}

static void a_nul_is_no_json(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:get('/', function(req)\n"
                                         "  local value, problem = json.decode('{}\\0{')\n"
                                         "  req:reply { text = problem }\n"
                                         "end)\n");
    assert_answer(w, "GET /", "200 a NUL byte is no JSON");
    script_world_end(w);
}

/* Somebody who answers fitnessally.memory when told to. */
typedef struct oracle {
    fa_message message;
    fa_memory_question *question;
    fa_scope *scope;
    const char *json; /* NULL: there is no memory for one */
    unsigned asked;
} oracle;

static void speak(fa_message *message)
{
    oracle *o = FA_OBJECT(message, oracle, message);
    fa_memory_question *question = o->question;
    fa_buffer *out = NULL;
    o->question = NULL;
    if (o->json != NULL) {
        assert_ok(fa_buffer_new(o->scope, 0, "answer", FA_HERE, &out));
        assert_ok(fa_buffer_append(out, o->json, strlen(o->json)));
    }
    question->answered(question, out != NULL ? FA_OK : FA_NO_MEMORY, out);
    if (out != NULL)
        fa_buffer_release(out);
}

static fa_result take_question(void *context, fa_memory_question *question)
{
    oracle *o = context;
    o->question = question;
    o->asked++;
    return FA_OK;
}

static fa_result take_and_speak(void *context, fa_memory_question *question)
{
    oracle *o = context;
    take_question(o, question);
    assert_non_null(question->asking);
    fa_worker_post(question->worker, &o->message);
    return FA_OK;
}

static fa_result refuse(void *context, fa_memory_question *question)
{
    (void)context;
    (void)question;
    return FA_OVER_BUDGET;
}

static const char memory_app[] =
    "app:get('/', function(req)\n"
    "  local report, problem = fitnessally.memory('analysis')\n"
    "  req:reply { text = report and tostring(report.ours + 1) or problem }\n"
    "end)\n"
    "app:get('/json', function(req) req:reply { text = fitnessally.memory(nil, 'json') } end)\n"
    "app:get('/wrong', function(req) req:reply { text = tostring(select(2, pcall(fitnessally.memory, 'all'))) } end)\n"
    "app:get('/status', function(req) req:reply { json = fitnessally.status() } end)\n";

static void memory_is_asked_of_whoever_stands_above(void **state)
{
    (void)state;
    script_world *w = script_world_begin(memory_app);
    oracle o = {.scope = w->clients, .json = "{\"ours\":41,\"warnings\":[]}"};
    fa_message_init(&o.message, speak);
    assert_answer(w, "GET /", "200 nobody here knows");
    fa_script_set_memory(w->script, take_and_speak, &o);
    assert_answer(w, "GET /", "200 42");
    assert_answer(w, "GET /json", "200 {\"ours\":41,\"warnings\":[]}");
    assert_answer_has(w, "GET /wrong", "invalid option 'all'");
    o.json = "{\"ours\":";
    assert_answer(w, "GET /", "200 there is no memory for the answer");
    o.json = NULL;
    assert_answer(w, "GET /", "200 there is no memory for the answer");
    fa_script_set_memory(w->script, refuse, &o);
    assert_answer(w, "GET /", "200 there is no memory to ask");
    assert_answer_has(w, "GET /status", "\"draining\":false");
    script_world_end(w);
}

static void an_answer_for_nobody_is_dropped(void **state)
{
    (void)state;
    script_world *w = script_world_begin(memory_app);
    oracle o = {.scope = w->clients, .json = "{\"ours\":41}"};
    fa_message_init(&o.message, speak);
    fa_script_set_memory(w->script, take_question, &o);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
    SCRIPT_UNTIL(w, o.asked == 1);
    assert_non_null(o.question->asking);
    fa_inprocess_vanish(client);
    SCRIPT_UNTIL(w, o.question->asking == NULL); /* who made the report would look at a dead scope else */
    fa_worker_post(w->worker, &o.message);
    SCRIPT_UNTIL(w, o.question == NULL);
    script_world_end(w);
}

/* ---- memory ---- */

static bool scenario(script_world *w, fa_ledger *ledger)
{
    bool reached = false;
    if (!script_world_try(w, ledger, WITH_NOTHING))
        goto out;
    fa_inprocess *client = script_start(w, (asking){.what = "POST /ask", .body = "{}"});
    NEED(client != NULL);
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    NEED(fa_inprocess_answered(client)->status == 200 && fa_inprocess_answered(client)->complete);
    fa_test_run_for(w->worker, 2);
    client = script_start(w, (asking){.what = "GET /listen"});
    NEED(client != NULL);
    /* A flow that was refused memory has failed its turn; one that was not has ended it: the stream ends in any case. */
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    const fa_buffer *body = fa_inprocess_answered(client)->body;
    reached = fa_inprocess_answered(client)->complete && fa_buffer_length(body) > 20000;
out:
    script_world_close(w);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    static const char app[] =
        "local id\n"
        "local function flow(turn)\n"
        "  local b = fitnessally.buffer()\n"
        "  if b then b:append(('x'):rep(9000)) turn:audio(b:seal(), { text = 'x', fields = { a = 1 } }) end\n"
        "  fitnessally.sleep(0)\n"
        "  turn:push('words', { text = ('x'):rep(9000) })\n"
        "  return { own = 1 }\n"
        "end\n"
        "app:on_start(function() fitnessally.sleep(0) end)\n"
        "app:post('/ask', function(req)\n"
        "  req:query('none')\n"
        "  fitnessally.sleep(0)\n"
        "  local asked = assert(voice.ask(req, { text = 'why', flow = flow }))\n"
        "  id = asked.dialogueId\n"
        "  req:reply { json = { id = id, body = req:json() } }\n"
        "end)\n"
        "app:get('/listen', function(req) voice.listen(req, id) end)\n";
    bool reached = false;
    (void)state;
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(w, failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 100);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_an_app_is_said),
        cmocka_unit_test(modules_and_files_of_the_app),
        cmocka_unit_test(starters_run_as_tasks),
        cmocka_unit_test(starters_can_be_stopped),
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(json_keeps_numbers_and_arrays),
        cmocka_unit_test(a_nul_is_no_json),
        cmocka_unit_test(memory_is_asked_of_whoever_stands_above),
        cmocka_unit_test(an_answer_for_nobody_is_dropped),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("scripts: loading, starting, JSON", tests, NULL, NULL);
}
