/* core/script: what scripts structure their work with: scopes, with, spawn, all, race, slices and transfers; and the limit of their heap. */
#include "script_world.h"

#include <stdio.h>
#include <stdlib.h>

/* Each route answers with what its function returns. */
static const char prelude[] =
    "local sleep = fitnessally.sleep\n"
    "local function text(...)\n"
    "  local t = {...}\n"
    "  for i = 1, select('#', ...) do t[i] = tostring(t[i]) end\n"
    "  return table.concat(t, ' ')\n"
    "end\n"
    "local function route(name, f) app:get(name, function(req) req:reply { text = text(f(req)) } end) end\n"
    "local function bytes(s) local b = fitnessally.buffer() b:append(s) return b:seal() end\n";

/* Answers fitnessally.memory with the few figures that are asked for here. */
static struct {
    fa_message message;
    fa_memory_question *question;
    script_world *world;
} figures;

static void tell_figures(fa_message *message)
{
    char json[200];
    fa_buffer *out;
    fa_script_figures heap;
    fa_memory_question *question = figures.question;
    (void)message;
    fa_script_read_figures(figures.world->script, &heap);
    int length = snprintf(json, sizeof(json), "{\"ledger\":{\"inFlight\":%zu,\"attributedBy\":{\"lua\":%zu}}}",
                          fa_ledger_in_flight(figures.world->ledger), heap.heap);
    assert_ok(fa_buffer_new(fa_worker_scope(question->worker), 0, "figures", FA_HERE, &out));
    assert_ok(fa_buffer_append(out, json, (size_t)length));
    question->answered(question, FA_OK, out);
    fa_buffer_release(out);
}

static fa_result take_question(void *context, fa_memory_question *question)
{
    (void)context;
    figures.question = question;
    fa_message_init(&figures.message, tell_figures);
    fa_worker_post(question->worker, &figures.message);
    return FA_OK;
}

static void answer_memory(script_world *w)
{
    figures.world = w;
    fa_script_set_memory(w->script, take_question, NULL);
}

static script_world *begin(const char *routes)
{
    static char app[16000];
    snprintf(app, sizeof(app), "%s%s", prelude, routes);
    script_world *w = script_world_begin_with(app, WITH_DEVELOPMENT);
    answer_memory(w);
    return w;
}

static void a_scope_owns_what_is_made_in_it(void **state)
{
    (void)state;
    script_world *w = begin(
        "route('/returns', function() return fitnessally.scope('work', nil, function(s, a, b)\n"
        "  sleep(1) return a, b, nil, 4 end, 1, 2) end)\n"
        "route('/owns', function()\n"
        "  local kept\n"
        "  fitnessally.scope('work', { budget = '64KB' }, function(s)\n"
        "    kept = fitnessally.buffer { label = 'inner' }\n"
        "    kept:append('x') sleep(1)\n"
        "  end)\n"
        "  return select(2, pcall(function() return kept:len() end))\n"
        "end)\n"
        "route('/outlives', function()\n"
        "  return fitnessally.scope('outer', {}, function(outer)\n"
        "    local a = fitnessally.scope('inner', {}, function() return outer:buffer { label = 'a' } end)\n"
        "    return a:append('abc'):len()\n"
        "  end)\n"
        "end)\n"
        "route('/raises', function()\n"
        "  local ok, e = pcall(fitnessally.scope, 'work', nil, function() sleep(1) error({ code = 7 }) end)\n"
        "  return ok, e.code\n"
        "end)\n"
        "local function deep() error('it broke') end\n"
        "route('/trace', function() fitnessally.scope('work', nil, function() sleep(0) deep() return 1 end) end)\n"
        "route('/budget', function() return fitnessally.scope('work', { budget = 4096 }, function()\n"
        "  local b = fitnessally.buffer() return b:append(('x'):rep(9000)) end) end)\n"
        "local function nest(n) return fitnessally.scope('n', nil, function() return nest(n + 1) end) end\n"
        "route('/deep', function() return select(2, pcall(nest, 1)) end)\n"
        "route('/misuse', function()\n"
        "  local n = 0\n"
        "  for _, o in ipairs { { budget = 'lots' }, { budget = -1 }, { deadline = '5 parsecs' }, { deadline = 0 / 0 "
        "}, 5 } do\n"
        "    if pcall(fitnessally.scope, 'x', o, function() end) then n = n + 1 end\n"
        "  end\n"
        "  if pcall(fitnessally.scope, 'x', {}) or pcall(fitnessally.scope, {}, {}, print) then n = n + 1 end\n"
        "  return n\n"
        "end)\n"
        "route('/coroutine', function()\n"
        "  local leave = coroutine.wrap(function() fitnessally.scope('left', nil, function()\n"
        "    fitnessally.buffer { capacity = 5000 } coroutine.yield() end) end)\n"
        "  leave()\n"
        "  return fitnessally.buffer():len(), tostring(fitnessally.buffer()):match('of (.*)')\n"
        "end)\n"
        "route('/deadline', function()\n"
        "  local ok, why = pcall(fitnessally.scope, 'work', { deadline = '20ms' }, function() sleep(60000) end)\n"
        "  sleep(1) return ok, why\n"
        "end)\n"
        "route('/deaf', function() fitnessally.scope('work', { deadline = 20 }, function()\n"
        "  while true do pcall(sleep, 60000) end end) end)\n");
    assert_answer(w, "GET /returns", "200 1 2 nil 4");
    assert_answer(w, "GET /owns",
                  "200 buffer #4 'inner' of work: used after release (made at app.lua:14, released when work ended at "
                  "app.lua:13: its function returned)");
    assert_answer(w, "GET /outlives", "200 3");
    assert_answer(w, "GET /raises", "200 false 7");
    assert_answer_has(w, "GET /trace", "it broke");
    assert_logged(w, "in function 'deep'");
    assert_answer_has(w, "GET /budget", "200 nil append: over budget");
    assert_answer_has(w, "GET /deep", "more than 32 scopes open in one task");
    assert_answer(w, "GET /misuse", "200 0");
    assert_answer(w, "GET /coroutine", "200 0 in-process request");
    assert_answer_has(w, "GET /deadline", "cancelled: scope 'work' ended (its deadline has passed)");
    assert_answer_has(w, "GET /deaf", "cancelled: scope 'work' ended (its deadline has passed)");
    static const char *const all[] = {"GET /returns", "GET /owns",      "GET /trace",    "GET /deep",
                                      "GET /budget",  "GET /coroutine", "GET /deadline", "GET /deaf"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i)
        assert_costs_nothing(w, all[i]);
    assert_int_equal(fa_script_tasks(w->script), 0);
    script_world_end(w);
}

static void with_releases_whatever_happens(void **state)
{
    (void)state;
    script_world *w = begin("local function stale(b) return select(2, pcall(b.len, b)) end\n"
                            "route('/returns', function() local b = bytes('abc')\n"
                            "  return fitnessally.with(b, function(x) sleep(1) return x:len() end), stale(b) end)\n"
                            "route('/raises', function() local b = bytes('abc')\n"
                            "  local ok, e = pcall(fitnessally.with, b, function() sleep(1) error('broke', 0) end)\n"
                            "  return ok, e, stale(b) end)\n"
                            "route('/before', function() return fitnessally.with(bytes('abc'), function(b) b:release() "
                            "return 'fine' end) end)\n"
                            "route('/task', function() local t = fitnessally.spawn(sleep, 60000)\n"
                            "  fitnessally.with(t, function() sleep(1) end)\n"
                            "  return pcall(t.join, t) end)\n");
    assert_answer_has(w, "GET /returns", "200 3 buffer #");
    assert_answer_has(w, "GET /returns", "released at app.lua:11)");
    assert_answer_has(w, "GET /raises", "200 false broke buffer #");
    assert_answer(w, "GET /before", "200 fine");
    assert_answer(w, "GET /task", "200 false cancelled: by another task");
    assert_costs_nothing(w, "GET /raises");
    assert_costs_nothing(w, "GET /task");
    script_world_end(w);
}

static void slices_and_transfers(void **state)
{
    (void)state;
    script_world *w =
        begin("local function read(b) return b:copy { max = '1KB' } end\n"
              "route('/slice', function() local b = bytes('hello world')\n"
              "  return read(b:slice(1, 5)), read(b:slice(-5)), read(b:slice(7, 99)), #b:slice(5, 4), #b:slice(99), "
              "read(b:slice(2, -2):slice(2, 3))\n"
              "end)\n"
              "route('/keeps', function()\n"
              "  local b = bytes(('x'):rep(10000))\n"
              "  local s = b:slice(1, 3)\n"
              "  b:release()\n"
              "  local left = read(s) local held = fitnessally.memory().ledger.inFlight\n"
              "  s:release()\n"
              "  return left, held > 10000, fitnessally.memory().ledger.inFlight\n"
              "end)\n"
              "route('/open', function() return pcall(function() return fitnessally.buffer():slice(1) end) end)\n"
              "route('/sent', function(req) return 'x' end)\n"
              "app:get('/reply', function(req) local b = bytes('hello world')\n"
              "  local s = b:slice(1, 5) b:release() req:reply { body = s, type = 'text/plain' } end)\n"
              "route('/transfer', function(req)\n"
              "  local kept\n"
              "  fitnessally.scope('work', { budget = '20KB' }, function()\n"
              "    kept = bytes(('x'):rep(9000)):transfer(req)\n"
              "  end)\n"
              "  return kept:len(), tostring(kept):match('of (.*)')\n"
              "end)\n"
              "route('/narrow', function(req)\n"
              "  local b = bytes(('x'):rep(9000))\n"
              "  return fitnessally.scope('work', { budget = 3000 }, function(s) return select(2, b:transfer(s)), "
              "b:len() end)\n"
              "end)\n"
              "route('/leased', function(req) local b = bytes('abc') local s = b:slice(1)\n"
              "  return fitnessally.scope('work', nil, function(to) return b:transfer(to) end) end)\n"
              "route('/copy', function() return bytes('abc'):copy { max = 2 } end)\n"
              "route('/nowhere', function() local b = bytes('abc') local to\n"
              "  fitnessally.scope('gone', nil, function(s) to = s end)\n"
              "  return pcall(b.transfer, b, to), pcall(b.transfer, b, 5), pcall(b.transfer, b, b) end)\n");
    assert_answer(w, "GET /slice", "200 hello world world 0 0 ll");
    assert_answer(w, "GET /keeps", "200 xxx true 0");
    assert_answer_has(w, "GET /open", "only a sealed buffer can be sliced");
    assert_answer(w, "GET /reply", "200 hello");
    assert_answer(w, "GET /transfer", "200 9000 in-process request");
    assert_answer(w, "GET /narrow", "200 transfer: over budget 9000");
    assert_answer_has(w, "GET /leased", "200 nil it is being sent or has slices");
    assert_answer(w, "GET /copy", "200 nil the buffer has 3 bytes, more than the 2 that may be copied");
    assert_answer_has(w, "GET /nowhere", "scope, turn or request expected");
    assert_costs_nothing(w, "GET /slice");
    assert_costs_nothing(w, "GET /reply");
    assert_costs_nothing(w, "GET /transfer");
    assert_costs_nothing(w, "GET /leased");
    script_world_end(w);
}

static void children_of_a_scope(void **state)
{
    (void)state;
    script_world *w = begin(
        "local function after(ms, ...) local r = {...} return function() sleep(ms) return unpack(r) end end\n"
        "route('/join', function()\n"
        "  local t = fitnessally.spawn(function(a, b) sleep(2) return a + b, nil, 'x' end, 1, 2)\n"
        "  return t:ended(), t:join(), select('#', t:join()), t:ended() end)\n"
        "route('/order', function() local said = ''\n"
        "  local t = fitnessally.spawn(function() said = said .. 'child ' end)\n"
        "  said = said .. 'parent ' t:join() return said end)\n"
        "route('/fails', function()\n"
        "  local t = fitnessally.spawn(function() sleep(1) error({ code = 9 }) end)\n"
        "  local ok, e = pcall(t.join, t) return ok, e.code, t:ended() end)\n"
        "local function culprit() error('the child broke') end\n"
        "route('/trace', function() local t = fitnessally.spawn(function() culprit() return 1 end) t:join() end)\n"
        "route('/all', function() return fitnessally.all { after(9, 'a'), after(1), function() return 'c' end } end)\n"
        "route('/none', function() return select('#', fitnessally.all {}) end)\n"
        "route('/first_error', function() local told = 0\n"
        "  local ok, e = pcall(fitnessally.all, { after(60000), function() sleep(2) error('broke', 0) end,\n"
        "    function() local fine, why = pcall(sleep, 60000) told = why end })\n"
        "  sleep(5) return ok, e, told end)\n"
        "route('/race', function() return fitnessally.race { after(60000, 'slow'), after(1, 'fast', 2) } end)\n"
        "route('/lost_race', function() return pcall(fitnessally.race, { after(60000), function() error('broke', 0) "
        "end }) end)\n"
        "route('/keeps', function() local b = fitnessally.all { function() return bytes('abc') end } return b:len() "
        "end)\n"
        "route('/dies', function() local t, why\n"
        "  fitnessally.scope('work', nil, function() t = fitnessally.spawn(function()\n"
        "    local ok, e = pcall(sleep, 60000) why = e end) sleep(1) end)\n"
        "  sleep(2) local ok, e = pcall(t.join, t) return ok, e, why end)\n"
        "route('/cancel', function() local log = {}\n"
        "  local t = fitnessally.spawn(function() while true do local ok, e = pcall(sleep, 60000) log[#log + 1] = e "
        "end end)\n"
        "  sleep(1) local first, again = t:cancel('enough'), t:cancel()\n"
        "  sleep(5) return first, again, #log, log[1] end)\n"
        "route('/early', function() local ran = false\n"
        "  local t = fitnessally.spawn(function() ran = true end) t:cancel() sleep(1) return ran end)\n"
        "route('/self', function() local t t = fitnessally.spawn(function() return t:join() end) return pcall(t.join, "
        "t) end)\n"
        "route('/suicide', function() local t t = fitnessally.spawn(function() t:cancel('me') sleep(1) end)\n"
        "  return pcall(t.join, t) end)\n"
        "route('/args', function() local n = 0\n"
        "  for _, f in ipairs { function() fitnessally.spawn() end, function() fitnessally.all(5) end, function() "
        "fitnessally.race {} end,\n"
        "    function() fitnessally.all { 5 } end, function() fitnessally.spawn(sleep).join({}) end } do\n"
        "    if pcall(f) then n = n + 1 end end return n end)\n"
        "app:get('/orphan', function(req) fitnessally.spawn(function() local ok, e = pcall(sleep, 60000) "
        "log.info('orphan: ' .. e) end)\n"
        "  sleep(1) req:reply { text = 'x' } end)\n"
        "route('/many', function() local made = 0\n"
        "  local ok, e = pcall(function() while true do fitnessally.spawn(sleep, 60000) made = made + 1 end end)\n"
        "  return made, e end)\n");
    assert_answer(w, "GET /join", "200 nil 3 3 true");
    assert_answer(w, "GET /order", "200 parent child ");
    assert_answer(w, "GET /fails", "200 false 9 false");
    assert_answer_has(w, "GET /trace", "the child broke");
    assert_logged(w, "in function 'culprit'");
    assert_answer(w, "GET /all", "200 a nil c");
    assert_answer(w, "GET /none", "200 0");
    assert_answer(w, "GET /first_error", "200 false broke cancelled: another task of all failed");
    assert_answer(w, "GET /race", "200 fast 2");
    assert_answer(w, "GET /lost_race", "200 false broke");
    assert_answer(w, "GET /keeps", "200 3");
    assert_answer_has(w, "GET /dies", "200 false cancelled: work ended (its function returned) cancelled: work ended");
    assert_answer(w, "GET /cancel", "200 true false 1 cancelled: enough");
    assert_answer(w, "GET /early", "200 false");
    assert_answer_has(w, "GET /self", "a task cannot wait for itself");
    assert_answer(w, "GET /suicide", "200 false cancelled: me");
    assert_answer(w, "GET /args", "200 0");
    assert_answer(w, "GET /orphan", "200 x");
    SCRIPT_UNTIL(w, strstr(w->logged, "orphan: cancelled: in-process request ended") != NULL);
    assert_answer_has(w, "GET /many", "200 9999 app.lua:");
    assert_int_equal(fa_script_tasks(w->script), 0);
    assert_world_quiet(w);
    static const char *const all[] = {"GET /join", "GET /fails",  "GET /first_error",
                                      "GET /dies", "GET /cancel", "GET /early"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i)
        assert_costs_nothing(w, all[i]);
    script_world_end(w);
}

/* The request that asks for too much fails; the others, and the state, go on. */
static void a_full_heap_hurts_one_request(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    static const char app[] =
        "app:get('/huge', function(req) local t = {} for i = 1, 1e9 do t[i] = { i } end end)\n"
        "app:get('/text', function(req) local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(100000) .. i end end)\n"
        "app:get('/caught', function(req)\n"
        "  local ok, e = pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)\n"
        "  req:reply { text = e } end)\n"
        "app:get('/garbage', function(req)\n" /* 200 MB in all, next to nothing at a time */
        "  for i = 1, 2000 do local s = ('x'):rep(100000) .. i end req:reply { text = 'fine' } end)\n"
        "app:get('/slow', function(req) fitnessally.sleep(100) req:reply { text = 'slow' } end)\n"
        "app:get('/small', function(req) req:reply { text = 'small' } end)\n"
        "app:get('/heap', function(req) local m = fitnessally.memory() req:reply { text = "
        "tostring(m.ledger.attributedBy.lua) } end)\n";
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    w->script_heap = 8 * 1024 * 1024;
    assert_true(script_world_try(w, NULL, WITH_NOTHING));
    answer_memory(w);
    fa_inprocess *slow = script_start(w, (asking){.what = "GET /slow"});
    for (int i = 0; i < 5; ++i) {
        assert_answer_has(w, "GET /huge", "500 {\"error\":{\"code\":\"script_error\"");
        assert_answer(w, "GET /small", "200 small");
        assert_answer_has(w, "GET /text", "500 ");
        assert_answer(w, "GET /caught", "200 not enough memory");
        assert_answer(w, "GET /garbage", "200 fine");
        long heap = strtol(script_ask(w, "GET /heap") + 4, NULL, 10);
        assert_true(heap > 0 && heap < 8 * 1024 * 1024);
    }
    assert_answer_has(w, "GET /huge", "500 ");
    assert_true(strtol(script_ask(w, "GET /heap") + 4, NULL, 10) < 1024 * 1024); /* it comes back */
    assert_string_equal(script_answer(w, slow), "200 slow");
    assert_logged(w, "not enough memory");
    script_world_end(w);
}

static bool work_scenario(script_world *w, fa_ledger *failing)
{
    bool reached = false;
    NEED(script_world_try(w, failing, WITH_NOTHING));
    fa_inprocess *client = script_start(w, (asking){.what = "GET /work"});
    NEED(client != NULL);
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    reached = fa_inprocess_answered(client)->complete && fa_inprocess_answered(client)->status == 200;
out:
    script_world_close(w);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    static const char app[] =
        "app:get('/work', function(req)\n"
        "  local kept\n"
        "  fitnessally.scope('work', { deadline = '1min' }, function(scope)\n"
        "    local b = assert(scope:buffer { capacity = 5000 })\n"
        "    assert(b:append('hello'))\n"
        "    kept = assert(assert(b:seal():slice(1, 2)):transfer(req))\n"
        "    local t = fitnessally.spawn(fitnessally.sleep, 60000)\n"
        "    fitnessally.all { function() fitnessally.sleep(0) end, function() return fitnessally.buffer() end }\n"
        "    fitnessally.with(t, function() fitnessally.race { function() fitnessally.sleep(60000) end, function() end "
        "} end)\n"
        "  end)\n"
        "  req:reply { body = kept }\n"
        "end)\n";
    bool reached = false;
    (void)state;
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = work_scenario(w, failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 50);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_owns_what_is_made_in_it),
        cmocka_unit_test(with_releases_whatever_happens),
        cmocka_unit_test(slices_and_transfers),
        cmocka_unit_test(children_of_a_scope),
        cmocka_unit_test(a_full_heap_hurts_one_request),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("scripts: scopes", tests, NULL, NULL);
}
