/* core/script: tasks that wait, and what becomes of them when their owner ends; flows of turns; how an application is loaded. */
#include "script_world.h"

#include <stdio.h>

static void a_waiting_task_lets_others_through(void **state)
{
    (void)state;
    script_world *w =
        script_world_begin("app:get('/slow', function(req) fitnessally.sleep(500) req:reply { text = 'slow' } end)\n"
                           "app:get('/fast', function(req) req:reply { text = 'fast' } end)\n"
                           "app:get('/sum', function(req)\n"
                           "  local n = 0\n"
                           "  for i = 1, 20 do fitnessally.sleep(0) n = n + i end\n"
                           "  req:reply { text = tostring(n) }\n"
                           "end)\n");
    fa_inprocess *slow = script_start(w, (asking){.what = "GET /slow"});
    assert_answer(w, "GET /fast", "200 fast");
    assert_int_equal(fa_script_tasks(w->script), 1);
    assert_string_equal(script_answer(w, slow), "200 slow");
    assert_int_equal(fa_script_tasks(w->script), 0);
    assert_answer(w, "GET /sum", "200 210");
    assert_costs_nothing(w, "GET /sum");
    script_world_end(w);
}

/* Coroutines are used again, but for those that a script may know. */
static void nobody_gets_a_coroutine_that_a_script_keeps(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local kept\n"
        "app:get('/keep', function(req) kept = coroutine.running() req:reply { text = type(kept) } end)\n"
        "app:get('/look', function(req)\n"
        "  fitnessally.sleep(1)\n"
        "  local ok, why = coroutine.resume(kept)\n"
        "  req:reply { text = coroutine.status(kept) .. ' ' .. tostring(kept == coroutine.running()) .. ' ' .. why }\n"
        "end)\n"
        "app:get('/many', function(req, a, b) fitnessally.sleep(1) req:reply { text = tostring(a) .. tostring(b) } "
        "end)\n"
        "app:get('/fails', function(req) local x = nil + 1 end)\n"
        "app:get('/results', function(req) req:reply { text = 'x' } return 1, 2, 3 end)\n");
    for (int round = 0; round < 3; ++round) {
        fa_inprocess *waiting[80]; /* more than are kept */
        assert_answer(w, "GET /keep", "200 thread");
        assert_answer(w, "GET /look", "200 dead false cannot resume dead coroutine");
        assert_answer_has(w, "GET /fails", "500 ");
        assert_answer(w, "GET /results", "200 x");
        for (size_t i = 0; i < 80; ++i)
            waiting[i] = script_start(w, (asking){.what = "GET /many"});
        for (size_t i = 0; i < 80; ++i)
            assert_string_equal(script_answer(w, waiting[i]), "200 nilnil");
        assert_int_equal(fa_script_tasks(w->script), 0);
    }
    assert_costs_nothing(w, "GET /results");
    script_world_end(w);
}

static void a_vanished_client_takes_its_task_along(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:get('/', function(req)\n"
                                         "  local b = fitnessally.buffer()\n"
                                         "  b:append('x')\n"
                                         "  local ok, why = pcall(fitnessally.sleep, 30)\n"
                                         "  log.info('told: ' .. why)\n"
                                         "  local _, late = pcall(b.len, b)\n"
                                         "  log.info('late: ' .. late)\n"
                                         "  pcall(fitnessally.sleep, 1)\n"
                                         "  pcall(fitnessally.sleep, 1)\n"
                                         "  log.info('still here')\n"
                                         "end)\n");
    size_t before = 0;
    for (int i = 0; i < 4; ++i) {
        fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
        assert_int_equal(fa_script_tasks(w->script), 1);
        fa_inprocess_free(client);
        assert_int_equal(fa_script_tasks(w->script), 0);
        assert_world_quiet(w);
        if (i == 0)
            before = fa_ledger_bytes(w->ledger);
        assert_int_equal(fa_ledger_bytes(w->ledger), before);
    }
    fa_test_run_for(w->worker, 60);
    assert_logged(w, "told: cancelled: in-process request ended (the client vanished)");
    assert_logged(w, "late: buffer #");
    assert_logged(
        w, "used after release (made at app.lua:2, released when in-process request ended: the client vanished)");
    assert_null(strstr(w->logged, "still here")); /* told once; dropped when it waits again */
    script_world_end(w);
}

/* Where C calls Lua nothing can wait. The error must come before anything has been set in motion: else the wait of a task that
 * went on would end at the wrong place, or after the task. */
static void nothing_waits_where_it_cannot(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    static const char module[] = "fitnessally.sleep(1) return 1";
    static const char app[] =
        "local function try(f, ...) local ok, m = pcall(f, ...) fitnessally.sleep(20) return m end\n"
        "app:get('/sort', function(req)\n"
        "  req:reply { text = try(table.sort, { 2, 1 }, function() fitnessally.sleep(1) end) } end)\n"
        "app:get('/gsub', function(req)\n"
        "  req:reply { text = try(string.gsub, 'a', 'a', function() fitnessally.sleep(1) end) } end)\n"
        "app:get('/require', function(req) req:reply { text = try(require, 'module') } end)\n"
        "app:get('/own', function(req)\n"
        "  local ok, m = coroutine.resume(coroutine.create(function() fitnessally.sleep(1) end))\n"
        "  req:reply { text = m } end)\n"
        "app:get('/yield', function(req) coroutine.yield(1) end)\n"
        "app:get('/generator', function(req)\n"
        "  local sum = 0\n"
        "  for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do\n"
        "    sum = sum + v fitnessally.sleep(0)\n"
        "  end\n"
        "  req:reply { text = tostring(sum) } end)\n"
        "app:get('/number', function(req) fitnessally.sleep(0/0) end)\n"
        "app:get('/meta', function(req)\n"
        "  local t = setmetatable({}, { __index = function(_, k) fitnessally.sleep(1) return k end })\n"
        "  req:reply { text = t.fine } end)\n";
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    script_world_write(w, "module.lua", module, sizeof(module) - 1);
    assert_true(script_world_try(w, NULL, WITH_DEVELOPMENT));
    assert_answer_has(w, "GET /sort", "nothing can wait inside a function that C calls");
    assert_answer_has(w, "GET /gsub", "nothing can wait inside a function that C calls");
    assert_answer(w, "GET /require", "200 1"); /* a module's body may wait */
    assert_answer_has(w, "GET /own", "cannot be called in a coroutine that the script made");
    assert_answer_has(w, "GET /yield", "attempt to yield from a task");
    assert_answer(w, "GET /generator", "200 6");
    assert_answer_has(w, "GET /number", "0 to 86400000 milliseconds");
    assert_answer(w, "GET /meta", "200 fine"); /* LuaJIT yields through metamethods */
    assert_int_equal(fa_script_tasks(w->script), 0);
    assert_costs_nothing(w, "GET /sort");
    script_world_end(w);
}

/* ---- flows ---- */

static const char voice_app[] =
    "local kept, made; local flows = {}\n"
    "function flows.say(turn, n)\n"
    "  for i = 1, n do assert(not select(2, turn:push('words', { n = i }))) end\n"
    "  turn:said('said')\n"
    "  return { own = json.empty_array, text = turn.text, history = #turn:history() }\n"
    "end\n"
    "function flows.audio(turn, n)\n"
    "  for i = 1, n do\n"
    "    turn:room()\n"
    "    local b = fitnessally.buffer()\n"
    "    b:append(('a'):rep(9000))\n"
    "    turn:audio(b:seal(), { text = 'w', isFinal = i == n, durationMs = 5, fields = {} })\n"
    "    made = i\n"
    "  end\n"
    "end\n"
    "function flows.flood(turn, n) for i = 1, n do turn:push('words', json.encode(('x'):rep(9000))) made = i end end\n"
    "function flows.fail() error('the flow fails') end\n"
    "function flows.sleep(turn) kept = turn fitnessally.sleep(86400000) log.info('woken') end\n"
    "function flows.suicide(turn)\n"
    "  voice.delete(turn.dialogueId)\n"
    "  local ok, what = pcall(function() turn:push('words', {}) end)\n"
    "  log.info('after: ' .. what)\n"
    "  fitnessally.sleep(1)\n"
    "end\n"
    "function flows.misuse(turn)\n"
    "  for i, f in ipairs {\n"
    "    function() turn:push('words', 'two\\nlines') end, function() turn:push('words', 'nul\\0\\n') end,\n"
    "    function() turn:push('two\\nlines', {}) end, function() turn:push(('x'):rep(61), {}) end,\n"
    "    function() turn:audio(fitnessally.buffer(), { text = '' }) end, function() turn:audio(nil, {}) end,\n"
    "    function() turn:audio(nil, { text = 'x', durationMs = 1e300 }) end,\n"
    "    function() turn:audio(nil, { text = 'x', durationMs = 0/0 }) end,\n"
    "    function() turn:audio(nil, { text = 'x', fields = '{}' }) end,\n"
    "    function() return turn.nothing end, function() turn.push({}, 'x', {}) end,\n"
    "  } do if pcall(f) then error('misuse ' .. i .. ' went well') end end\n"
    "  local ok, why = turn:push('words', ('x'):rep(70000))\n"
    "  return { why = why }\n"
    "end\n"
    "function flows.big() return { own = ('x'):rep(100000) } end\n"
    "function flows.bad() return { f = print } end\n"
    "app:post('/ask/:flow', function(req)\n"
    "  local asked, code = voice.ask(req, { text = 'why', dialogueId = req:query('id'), flow = "
    "flows[req.params.flow],\n"
    "    context = tonumber(req:query('n') or '1') })\n"
    "  if not asked then return req:fail(404, code, code) end\n"
    "  req:reply { text = asked.dialogueId }\n"
    "end)\n"
    "app:get('/listen/:id', function(req) voice.listen(req, req.params.id, { follow = req:query('follow') == '1' }) "
    "end)\n"
    "app:delete('/:id', function(req) req:reply { text = tostring(voice.delete(req.params.id)) } end)\n"
    "app:post('/interrupt/:id', function(req) req:reply { json = voice.interrupt(req.params.id) or { none = true } } "
    "end)\n"
    "app:get('/made', function(req) req:reply { text = tostring(made) } end)\n"
    "app:get('/late', function(req)\n"
    "  local ok, what = pcall(function() kept:push('words', {}) end)\n"
    "  req:reply { text = what }\n"
    "end)\n";

static unsigned questions;

static const char *ask(script_world *w, const char *flow)
{
    static char id[60];
    char what[100], body[20];
    snprintf(what, sizeof(what), "POST /ask/%s", flow);
    snprintf(body, sizeof(body), "%u", ++questions); /* no double of the last one */
    snprintf(id, sizeof(id), "%s", script_post(w, what, body) + 4);
    return id;
}

static fa_inprocess *listen_to(script_world *w, const char *id, bool stepped)
{
    char what[100];
    snprintf(what, sizeof(what), "GET /listen/%s", id);
    return script_start(w, (asking){.what = what, .stepped = stepped});
}

static void assert_stream_has(script_world *w, const char *flow, const char *part)
{
    fa_inprocess *client = listen_to(w, ask(w, flow), false);
    const char *stream = script_answer(w, client);
    if (strstr(stream, part) == NULL)
        fail_msg("%s: \"%s\" is not in: %s\n%s", flow, part, stream, w->logged);
}

/* Whoever develops a flow reads its error where the answer would be; elsewhere nobody but the log learns it. */
static void a_failed_flow_is_told_in_dev_mode(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(voice_app, WITH_DEVELOPMENT);
    char line[200];
    snprintf(line, sizeof(line),
             "\"error\":{\"code\":\"flow_failed\",\"message\":\"The answer could not be finished.\"}");
    fa_inprocess *client = listen_to(w, ask(w, "fail"), false);
    const char *stream = script_answer(w, client);
    if (strstr(stream, "\"flow_failed\"") == NULL || strstr(stream, ": the flow fails\"") == NULL ||
        strstr(stream, "traceback") != NULL || strstr(stream, line) != NULL)
        fail_msg("%s", stream);
    script_world_end(w);
    w = script_world_begin(voice_app);
    assert_stream_has(w, "fail", line);
    script_world_end(w);
}

static void flows_make_turns(void **state)
{
    (void)state;
    script_world *w = script_world_begin(voice_app);
    assert_stream_has(w, "say?n=2", "event: words\nid: 1.2\ndata: {\"n\":2}\n\nevent: done");
    assert_stream_has(w, "say", "\"own\":[]");
    assert_stream_has(w, "fail", "\"status\":\"failed\"");
    assert_logged(w, "turn 1 of dialogue vd-");
    assert_logged(w, "the flow fails stack traceback:");
    assert_stream_has(w, "misuse", "\"why\":\"larger than a dialogue's budget\"");
    assert_stream_has(w, "big", "\"status\":\"completed\"");
    assert_logged(w, "are left out: at most 16384");
    assert_stream_has(w, "bad", "\"status\":\"completed\"");
    assert_logged(w, "what a flow returned is no JSON");
    assert_stream_has(w, "audio?n=1", "\"text\":\"w\",\"audio\":\"YWFh");
    assert_int_equal(fa_script_tasks(w->script), 0);
    script_world_end(w);
}

/* Whoever waits for room is woken by those who listen, also when that happens inside of another task's call. */
static void a_flow_waits_for_its_listeners(void **state)
{
    (void)state;
    script_world *w = script_world_begin(voice_app);
    const char *id = ask(w, "audio?n=9");
    fa_test_run_for(w->worker, 10);
    assert_answer(w, "GET /made", "200 2"); /* lookahead */
    fa_inprocess *client = listen_to(w, id, false);
    script_answer(w, client);
    assert_answer(w, "GET /made", "200 9");
    id = ask(w, "flood?n=50");
    client = listen_to(w, id, true);
    fa_test_run_for(w->worker, 10);
    assert_int_equal(fa_script_tasks(w->script), 1); /* the budget holds it back */
    fa_inprocess_take(client, SIZE_MAX);
    script_answer(w, client);
    assert_answer(w, "GET /made", "200 50");
    script_world_end(w);
}

static void a_turn_that_ends_takes_its_flow_along(void **state)
{
    char what[100];
    (void)state;
    script_world *w = script_world_begin(voice_app);
    static const char *const flows[] = {"sleep", "flood?n=50", "audio?n=9"};
    size_t before = 0;
    for (int i = 0; i < 9; ++i) {
        const char *id = ask(w, flows[i % 3]);
        fa_test_run_for(w->worker, 5);
        assert_int_equal(fa_script_tasks(w->script), 1);
        snprintf(what, sizeof(what), i % 2 ? "DELETE /%s" : "POST /interrupt/%s", id);
        script_ask(w, what);
        assert_int_equal(fa_script_tasks(w->script), 0);
        snprintf(what, sizeof(what), "DELETE /%s", id);
        script_ask(w, what);
        assert_world_quiet(w);
        if (i == 3)
            before = fa_ledger_bytes(w->ledger);
        assert_true(i <= 3 || fa_ledger_bytes(w->ledger) == before);
    }
    assert_answer_has(w, "GET /late", "turn #");
    assert_answer_has(w, "GET /late", ", released when turn 1 of vd-");
    assert_answer_has(w, "GET /late",
                      " ended at app.lua:48: interrupted)"); /* the line of voice.interrupt, in another request */
    assert_null(strstr(w->logged, "woken"));
    script_world_end(w);
}

static void a_flow_may_end_its_own_dialogue(void **state)
{
    (void)state;
    script_world *w = script_world_begin(voice_app);
    ask(w, "suicide");
    SCRIPT_UNTIL(w, strstr(w->logged, "after: ") != NULL);
    assert_logged(w, "'turn 1' of turn 1 of vd-");
    assert_logged(w, "used after release");
    assert_logged(w, "fitnessally.sleep: the owner of this task has ended");
    assert_int_equal(fa_script_tasks(w->script), 0);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    script_world_end(w);
}

static void the_next_question_ends_the_flow(void **state)
{
    char what[100];
    (void)state;
    script_world *w = script_world_begin(voice_app);
    const char *id = ask(w, "sleep");
    fa_test_run_for(w->worker, 5);
    snprintf(what, sizeof(what), "POST /ask/say?id=%s", id);
    script_post(w, what, "next");
    fa_test_run_for(w->worker, 5);
    assert_int_equal(fa_script_tasks(w->script), 0);
    fa_inprocess *client = listen_to(w, id, false);
    const char *stream = script_answer(w, client);
    assert_non_null(strstr(stream, "\"history\":1")); /* the first question; nothing was said to it */
    assert_non_null(strstr(stream, "\"turn\":2"));
    assert_answer_has(w, "POST /ask/say?id=vd-nobody", "unknown_dialogue");
    script_world_end(w);
}

/* Time that a test moves is the scripts' time, too. */
static void a_task_sleeps_for_hours(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with("app:get('/', function(req)\n"
                                              "  local began, up = fitnessally.now(), fitnessally.status().uptime_ms\n"
                                              "  fitnessally.sleep(8 * 3600 * 1000)\n"
                                              "  local slept = fitnessally.status().uptime_ms - up\n"
                                              "  req:reply { text = fitnessally.now() - began .. ' ' .. slept }\n"
                                              "end)",
                                              WITH_CLOCK);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
    fa_worker_advance(w->worker, 8 * 3600 * 1000 - 1);
    assert_false(fa_inprocess_answered(client)->ended);
    fa_worker_advance(w->worker, 1);
    assert_true(fa_inprocess_answered(client)->ended);
    assert_string_equal(script_answer(w, client), "200 28800000 28800000");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_task_lets_others_through),
        cmocka_unit_test(nobody_gets_a_coroutine_that_a_script_keeps),
        cmocka_unit_test(a_vanished_client_takes_its_task_along),
        cmocka_unit_test(nothing_waits_where_it_cannot),
        cmocka_unit_test(flows_make_turns),
        cmocka_unit_test(a_failed_flow_is_told_in_dev_mode),
        cmocka_unit_test(a_flow_waits_for_its_listeners),
        cmocka_unit_test(a_turn_that_ends_takes_its_flow_along),
        cmocka_unit_test(a_flow_may_end_its_own_dialogue),
        cmocka_unit_test(the_next_question_ends_the_flow),
        cmocka_unit_test(a_task_sleeps_for_hours),
    };
    return cmocka_run_group_tests_name("scripts: tasks", tests, NULL, NULL);
}
