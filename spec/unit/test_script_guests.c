/* core/script/guest.c, lua_guest.c, crossing.c: plugins that have a Lua state of their own. What users see of them is in
 * spec/routes/isolation_spec.lua. */
#include "script/guest.h"
#include "script_world.h"

enum { MB = 1024 * 1024 };

static const char half[] =
    "local kept = {}\n"
    "app:on_start(function() fitnessally.sleep(0) kept.started = true fitnessally.sleep(3600000) end)\n"
    "return {\n"
    "  echo = function(...) return ... end,\n"
    "  slow = function(x) fitnessally.sleep(1) return x.text:upper() .. config.mark end,\n"
    "  forever = function() while true do end end,\n"
    "  bomb = function() local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(200000) .. i end end,\n"
    "  fail = function() error('on purpose') end,\n"
    "  gives = function(what)\n"
    "    if what == 'function' then return { list = { 1, print } } end\n"
    "    if what == 'deep' then local t = {} for _ = 1, 20 do t = { t } end return t end\n"
    "    if what == 'long' then return ('x'):rep(600000), ('x'):rep(600000) end\n"
    "    if what == 'many' then return unpack({}, 1, 40) end\n"
    "    if what == 'loop' then local t = {} t.t = t return t end\n"
    "    if what == 'buffer' then return fitnessally.buffer():append('abc'):seal() end\n"
    "  end,\n"
    "  read = function(buffer) return buffer:copy { max = 100 }, pcall(buffer.append, buffer, 'x') end,\n"
    "  keep = function(buffer) kept.buffer = buffer end,\n"
    "  kept = function() return kept.started, select(2, pcall(function() return kept.buffer:len() end)) end,\n"
    "  sees = function(name) return tostring(_G[name]), tostring(fitnessally[name]) end,\n"
    "  minute = function() fitnessally.sleep(60000) return 'a minute later' end,\n"
    "  waits = function() fitnessally.sleep(60000) end,\n"
    "  spawn = function() fitnessally.spawn(function() fitnessally.sleep(60000) end) return 'spawned' end,\n"
    "  phases = {\n"
    "    init = function() kept.init = true end,\n"
    "    request = function(req)\n"
    "      req:add_header('x-path', req.method .. ' ' .. req.path .. ' ' .. (req:query('q') or '-'))\n"
    "      if req:query('stop') then req:fail(403, 'stopped', 'Not here.') end\n"
    "      if req:query('loop') then while true do end end\n"
    "    end,\n"
    "    response = function(req, head)\n"
    "      req:set_header('x-status', tostring(head.status))\n"
    "      if req:query('late') then while true do end end\n"
    "    end,\n"
    "    log = function(entry) log.info('told of ' .. entry.status) if entry.status == 418 then error('tea') end end,\n"
    "    shutdown = function() log.info('good bye') end,\n"
    "  },\n"
    "}\n";

static const char app[] =
    "local json_of = function(...) return { json = { n = select('#', ...), ... } } end\n"
    "app:get('/echo', function(req)\n"
    "  local a, b, c = plugin.guest.echo(1.5, { x = { 'y', json.null }, e = json.empty_array, [3] = false }, nil)\n"
    "  req:reply { text = tostring(a) .. b.x[1] .. tostring(b.x[2] == json.null) .. tostring(b.e == json.empty_array)\n"
    "    .. tostring(b[3]) .. tostring(c) }\n"
    "end)\n"
    "app:get('/slow', function(req) req:reply { text = plugin.guest.slow { text = 'hi' } } end)\n"
    "app:get('/call/:name', function(req)\n"
    "  local value, problem = plugin.guest[req.params.name]()\n"
    "  req:reply { text = problem and problem.code .. ': ' .. tostring(problem.detail) or tostring(value) }\n"
    "end)\n"
    "app:get('/gives/:what', function(req)\n"
    "  local value, problem = plugin.guest.gives(req.params.what)\n"
    "  req:reply { text = problem and problem.detail or value:copy { max = 10 } }\n"
    "end)\n"
    "app:get('/takes', function(req)\n"
    "  local _, problem = pcall(plugin.guest.echo, { list = { print } })\n"
    "  local open = fitnessally.buffer():append('x')\n"
    "  local _, unsealed = pcall(plugin.guest.echo, open)\n"
    "  req:reply { text = problem .. '\\n' .. unsealed }\n"
    "end)\n"
    "app:get('/lent', function(req)\n"
    "  local buffer = fitnessally.buffer():append('abc'):seal()\n"
    "  local text, ok = plugin.guest.read(buffer)\n"
    "  plugin.guest.keep(buffer)\n"
    "  local _, stale = plugin.guest.kept()\n"
    "  req:reply { text = text .. tostring(ok) .. buffer:len() .. ' ' .. stale }\n"
    "end)\n"
    "app:get('/given', function(req)\n"
    "  local buffer = plugin.guest.gives('buffer')\n"
    "  local again = plugin.guest.echo(buffer)\n"
    "  req:reply { body = again, type = 'text/plain' }\n"
    "end)\n"
    "app:get('/sees/:name', function(req) local a, b = plugin.guest.sees(req.params.name) req:reply { text = a .. b } "
    "end)\n"
    "app:get('/cancel', function(req)\n"
    "  local ok, problem = pcall(fitnessally.scope, 'short', { deadline = 5 }, function() plugin.guest.waits() end)\n"
    "  req:reply { text = tostring(ok) .. ' ' .. tostring(problem) }\n"
    "end)\n"
    "app:get('/waits', function(req) plugin.guest.waits() end)\n"
    "local function nested(n) return n > 0 and { nested(n - 1) } or 1 end\n"
    "local function down(n, fn, x) if n == 0 then return fn(x) end return (down(n - 1, fn, x)) end\n"
    "app:get('/deep', function(req)\n"
    "  local well, least, most = 0, 1, 100000\n"
    "  while most - least > 1 do\n"
    "    local middle = math.floor((least + most) / 2)\n"
    "    if pcall(down, middle, type, 1) then least = middle else most = middle end\n"
    "  end\n"
    "  for n = least - 80, least do well = well + (pcall(down, n, plugin.guest.echo, nested(15)) and 1 or 0) end\n"
    "  req:reply { text = well > 0 and well < 81 and 'some' or tostring(well) }\n"
    "end)\n"
    "app:get('/minute', function(req) req:reply { text = plugin.guest.minute() } end)\n"
    "app:get('/tea', function(req) req:reply { status = 418 } end)\n"
    "app:get('/plain', function(req) req:reply { text = 'plain' } end)\n";

static const fa_setting config[] = {{.name = "mark", .type = FA_SETTING_TEXT, .text = "!"}, {.name = NULL}};

/* plugins: of the caller, for the life of the world. */
static script_world *make_world(fa_script_plugin plugins[2], unsigned phases)
{
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    script_world_write(w, "half.lua", half, sizeof(half) - 1);
    plugins[0] = (fa_script_plugin){.name = "guest",
                                    .folder = w->folder,
                                    .half = "half.lua",
                                    .config = config,
                                    .phases = phases,
                                    .isolated = true,
                                    .state_heap = 8 * MB,
                                    .state_slice_ms = 300,
                                    .required = true};
    plugins[1] = (fa_script_plugin){.name = NULL};
    w->plugins = plugins;
    w->slice_ms = 60000; /* of the application: whatever is stopped here was not stopped by it */
    return w;
}

static script_world *begin(fa_script_plugin plugins[2])
{
    script_world *w = make_world(plugins, 31);
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    return w;
}

static void plain_values_cross(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer(w, "GET /echo", "200 1.5ytruetruefalsenil");
    assert_answer(w, "GET /slow", "200 HI!");
    assert_costs_nothing(w, "GET /echo");
    assert_costs_nothing(w, "GET /slow");
    script_world_end(w);
}

static void other_values_are_refused(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer_has(w, "GET /takes",
                      "plugin.guest.echo: argument 1.list[1] is a function: only plain values and buffers");
    assert_answer_has(w, "GET /takes", "plugin.guest.echo: argument 1 is a buffer that is not sealed");
    assert_answer_has(w, "GET /gives/function", "result 1.list[2] is a function");
    assert_answer_has(w, "GET /gives/deep", "is nested too deep: 16 tables within each other is the most");
    assert_answer_has(w, "GET /gives/loop", "is nested too deep");
    assert_answer_has(w, "GET /gives/long",
                      "result 2 and what comes with it are more than the 1 MB that cross at once");
    assert_answer_has(w, "GET /gives/many", "result 32 is the last that there may be");
    script_world_end(w);
}

static void buffers_are_lent_and_given(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer_has(w, "GET /lent", "200 abcfalse3 ");
    assert_answer_has(w, "GET /lent", "used after release");
    assert_answer(w, "GET /given", "200 abc");
    assert_costs_nothing(w, "GET /lent");
    assert_costs_nothing(w, "GET /given");
    script_world_end(w);
}

static void a_runaway_costs_its_call(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer_has(w, "GET /call/forever",
                      "failed: plugins/guest/half.lua:6: the script ran for more than 300 ms without waiting");
    assert_answer_has(w, "GET /call/bomb", "half.lua:7: not enough memory");
    assert_answer_has(w, "GET /call/fail", "half.lua:8: on purpose");
    assert_answer(w, "GET /plain", "200 plain");
    assert_answer(w, "GET /slow", "200 HI!");
    assert_true(w->script->heap.refused == 0);
    assert_true(w->script->halves[0].guest->heap.bytes < 8 * MB);
    script_world_end(w);
}

static void it_sees_nothing_of_the_host(void **state)
{
    static const char *const hidden[] = {"voice", "upstream", "store", "publish", "subscribe", "memory",  "reload",
                                         "fetch", "io",       "load",  "debug",   "service",   "plugins", "middleware"};
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); ++i) {
        char what[60];
        snprintf(what, sizeof(what), "GET /sees/%s", hidden[i]);
        assert_answer(w, what, "200 nilnil");
    }
    script_world_end(w);
}

/* Where the stack of the caller is nearly full a call is an error; and whatever comes back finds room. */
static void the_stack_may_be_nearly_full(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer(w, "GET /deep", "200 some");
    assert_costs_nothing(w, "GET /deep");
    script_world_end(w);
}

static void a_call_ends_with_its_caller(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer_has(w, "GET /cancel", "200 false app.lua:36: cancelled: scope 'short' ended");
    SCRIPT_UNTIL(w, w->script->halves[0].guest->task_count == 1);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /waits"});
    SCRIPT_UNTIL(w, w->script->halves[0].guest->task_count == 2);
    fa_inprocess_vanish(client);
    SCRIPT_UNTIL(w, w->script->halves[0].guest->task_count == 1);
    assert_answer(w, "GET /call/spawn", "200 spawned");
    SCRIPT_UNTIL(w, w->script->halves[0].guest->task_count == 1); /* what app:on_start has begun */
    script_world_end(w);
}

static void a_call_is_dropped_when_the_server_stops(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    fa_inprocess *client = script_start(w, (asking){.what = "GET /waits"});
    SCRIPT_UNTIL(w, w->script->halves[0].guest->task_count == 2);
    fa_script_stop(w->script);
    assert_int_equal(w->script->halves[0].guest->task_count, 0);
    fa_inprocess_vanish(client);
    script_world_end(w);
}

static void phases_go_over(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin(plugins);
    (void)state;
    assert_answer_has(w, "GET /plain?stop=1", "\"code\":\"stopped\"");
    assert_answer_has(w, "GET /plain?loop=1", "500 ");
    assert_logged(w, "guest/half.lua:29: the script ran for more than 300 ms without waiting");
    assert_answer(w, "GET /plain?late=1", "200 plain");
    assert_logged(w, "plugin guest: response: ");
    assert_answer_has(w, "GET /tea", "418");
    SCRIPT_UNTIL(w, strstr(w->logged, "plugin guest: log: ") != NULL);
    assert_logged(w, "told of 418");
    assert_answer(w, "GET /plain", "200 plain");
    fa_script_stop(w->script);
    assert_logged(w, "good bye");
    script_world_end(w);
}

/* ---- generations ---- */

static _Atomic unsigned serving;
static unsigned taken_up;

static void on_taken_up(void *context, unsigned generation)
{
    (void)context;
    taken_up = generation;
}

static void on_gone(void *context, unsigned generation)
{
    (void)context;
    (void)generation;
}

static void begin_generations(script_world *w)
{
    fa_generations_options options = {
        .worker = w->worker, .serving = &serving, .drain_ms = 60000, .taken_up = on_taken_up, .gone = on_gone};
    serving = taken_up = 1;
    assert_ok(fa_generations_new(&options, w->script, &w->generations));
}

static void reload(script_world *w)
{
    fa_error error;
    fa_script *script;
    fa_script_options options = w->options;
    options.generation = serving + 1;
    if (fa_generation_build(&options, &script, NULL, &error) != FA_OK)
        fail_msg("%s", error.text);
    fa_generations_offer(w->generations, script);
    serving++;
    fa_generations_wake(w->generations);
    SCRIPT_UNTIL(w, taken_up == serving);
}

static size_t alive(script_world *w)
{
    fa_script *all[FA_MOST_GENERATIONS + 1];
    return fa_generations_all(w->generations, all);
}

/* Time stands still, so the call waits as long as the test wants it to. */
static fa_inprocess *wait_across_a_reload(script_world *w)
{
    begin_generations(w);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /minute"});
    fa_script *first = w->script;
    SCRIPT_UNTIL(w, first->halves[0].guest->task_count == 2); /* the call, and what app:on_start has begun */
    reload(w);
    fa_test_run_for(w->worker, 5);
    assert_int_equal(alive(w), 2);
    assert_int_equal(first->halves[0].guest->task_count, 1);
    assert_answer(w, "GET /call/fail", "200 failed: plugins/guest/half.lua:8: on purpose");
    return client;
}

static script_world *begin_with_clock(fa_script_plugin plugins[2])
{
    script_world *w = make_world(plugins, 31);
    w->slice_ms = 0;
    if (!script_world_try(w, NULL, WITH_CLOCK))
        fail_msg("%s", w->error.text);
    return w;
}

static void a_call_ends_on_its_own_generation(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin_with_clock(plugins);
    (void)state;
    fa_inprocess *client = wait_across_a_reload(w);
    fa_worker_advance(w->worker, 60000);
    assert_string_equal(script_answer(w, client), "200 a minute later");
    SCRIPT_UNTIL(w, alive(w) == 1);
    assert_logged(w, "good bye");
    script_world_end(w);
}

static void a_call_is_cut_with_its_generation(void **state)
{
    fa_script_plugin plugins[2];
    script_world *w = begin_with_clock(plugins);
    (void)state;
    fa_inprocess *client = wait_across_a_reload(w);
    fa_generations_cut(w->generations, 1, "a test wants it");
    assert_memory_equal(script_answer(w, client), "503 ", 4);
    SCRIPT_UNTIL(w, alive(w) == 1);
    script_world_end(w);
}

static bool scenario(script_world *w, fa_ledger *ledger)
{
    bool reached = false;
    if (script_world_try(w, ledger, WITH_NOTHING)) {
        const char *const asked[] = {"GET /given", "GET /lent", "GET /slow"};
        for (size_t i = 0; i < 3; ++i) {
            fa_inprocess *client = script_start(w, (asking){.what = asked[i]});
            reached = client != NULL && strncmp(script_answer(w, client), "200 ", 4) == 0;
        }
        fa_test_run_for(w->worker, 2);
        fa_phases_shut_down(w->script);
    }
    script_world_close(w);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    fa_script_plugin plugins[2];
    bool reached = false;
    (void)state;
    script_world *w = make_world(plugins, 31);
    w->slice_ms = 0;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(w, failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 50);
    script_world_forget(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_values_cross),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(buffers_are_lent_and_given),
        cmocka_unit_test(a_runaway_costs_its_call),
        cmocka_unit_test(it_sees_nothing_of_the_host),
        cmocka_unit_test(the_stack_may_be_nearly_full),
        cmocka_unit_test(a_call_ends_with_its_caller),
        cmocka_unit_test(a_call_ends_on_its_own_generation),
        cmocka_unit_test(a_call_is_cut_with_its_generation),
        cmocka_unit_test(a_call_is_dropped_when_the_server_stops),
        cmocka_unit_test(phases_go_over),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("scripts: plugins with a state of their own", tests, NULL, NULL);
}
