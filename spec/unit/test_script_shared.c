/* What scripts share: stores, topics, and what they do by the clock. */
#include "script_world.h"

#include <stdio.h>

static const char app[] =
    "local cache = fitnessally.store('cache', { size = '100KB', entries = 10 }) "
    "for _, name in ipairs { 'size', 'entries', 'other' } do assert(fitnessally.store(name):put('k', 'x')) end\n"
    "app:get('/put', function(req)\n"
    "  local buffer = fitnessally.buffer { label = 'audio' }\n"
    "  buffer:append('hello'):seal()\n"
    "  assert(cache:put('k', buffer, { ttl = '1min' }))\n"
    "  local ok, why = pcall(buffer.len, buffer)\n"
    "  req:reply { text = tostring(ok) .. ' ' .. tostring(why) }\n"
    "end)\n"
    "app:get('/get', function(req)\n"
    "  local value = cache:get('k')\n"
    "  req:reply { text = value and value:copy { max = 100 } or 'none' }\n"
    "end)\n"
    "app:get('/send', function(req) req:reply { body = cache:get('k') } end)\n"
    "app:get('/text', function(req) req:reply { text = tostring(cache:put('t', 'some text')) } end)\n"
    "app:get('/add', function(req) req:reply { text = select(2, cache:put('t', 'x', { add = true })) or 'ok' } end)\n"
    "app:get('/count', function(req) req:reply { text = tostring(cache:count('n', 2)) } end)\n"
    "app:get('/remove', function(req) req:reply { text = tostring(cache:remove('k')) } end)\n"
    "app:get('/slice', function(req)\n"
    "  local buffer = fitnessally.buffer()\n"
    "  buffer:append('0123456789'):seal()\n"
    "  local slice = buffer:slice(3, 5)\n"
    "  assert(cache:put('k', slice))\n"
    "  req:reply { text = slice:copy { max = 9 } .. ' ' .. cache:get('k'):copy { max = 9 } }\n"
    "end)\n"
    "app:get('/full', function(req)\n"
    "  local _, why = cache:put('k', ('x'):rep(200000))\n"
    "  req:reply { text = why }\n"
    "end)\n"
    "app:get('/misuse', function(req)\n"
    "  local messages = {}\n"
    "  for i, call in ipairs {\n"
    "    function() cache:put('', 'x') end, function() cache:put('k', 1) end, function() cache:put('k', "
    "fitnessally.buffer()) end,\n"
    "    function() fitnessally.store('a b') end, function() fitnessally.store('s', { entries = 0 }) end,\n"
    "    function() cache:put('t', 'x') cache:count('t') end, function() cache.put({}, 'k', 'x') end,\n"
    "    function() fitnessally.store('s', { ttl = '1s' }) end, function() cache:put('k', 'x', { tll = '1s' }) end,\n"
    "    function() cache:count('n', 1, { add = true }) end, function() error(tostring(cache:get('none'))) end,\n"
    "  } do messages[i] = select(2, pcall(call)) end\n"
    "  req:reply { text = table.concat(messages, '\\n') }\n"
    "end)\n"
    "app:get('/figures', function(req) req:reply { json = cache:figures() } end)\n";

static void a_store_outlives_requests(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    assert_answer(w, "GET /get", "200 none");
    assert_answer_has(w, "GET /put", "200 false ");
    assert_answer_has(w, "GET /put", "used after release (made at app.lua:3, released at app.lua:5)");
    assert_answer(w, "GET /get", "200 hello");
    assert_answer(w, "GET /send", "200 hello");
    assert_answer(w, "GET /text", "200 true");
    assert_answer(w, "GET /add", "200 there is one already");
    assert_answer(w, "GET /count", "200 2");
    assert_answer(w, "GET /count", "200 4");
    assert_answer(w, "GET /remove", "200 true");
    assert_answer(w, "GET /get", "200 none");
    assert_answer(w, "GET /slice", "200 234 234");
    assert_answer(w, "GET /full", "200 full");
    assert_answer_has(w, "GET /figures", "\"entries\":3");
    assert_costs_nothing(w, "GET /put");
    assert_costs_nothing(w, "GET /send");
    assert_costs_nothing(w, "GET /slice");
    script_world_end(w);
}

static void misuse_is_an_error(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    const char *answer = script_ask(w, "GET /misuse");
    assert_non_null(strstr(answer, "a key has 1 to 1024 bytes"));
    assert_non_null(strstr(answer, "string expected, got number"));
    assert_non_null(strstr(answer, "call buf:seal() first"));
    assert_non_null(strstr(answer, "a store's name is made of"));
    assert_non_null(strstr(answer, "entries must be 1 to 1000000"));
    assert_non_null(strstr(answer, "the entry holds bytes, not a number"));
    assert_non_null(strstr(answer, "fitnessally.store: there is no option ttl; there are size and entries"));
    assert_non_null(strstr(answer, "store:put: there is no option tll; there are ttl and add"));
    assert_non_null(strstr(answer, "store:count: there is no option add; there are ttl"));
    assert_non_null(strstr(answer, "nil"));
    script_world_end(w);
}

static void an_entry_expires(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_CLOCK);
    script_ask(w, "GET /put");
    fa_worker_advance(w->worker, 59000);
    assert_answer(w, "GET /get", "200 hello");
    fa_worker_advance(w->worker, 1000);
    assert_answer(w, "GET /get", "200 none");
    script_world_end(w);
}

/* ---- topics ---- */

static const char news[] =
    "app:get('/listen', function(req)\n"
    "  local sub = fitnessally.subscribe('news', { queue = 2 })\n"
    "  local heard = {}\n"
    "  for message, missed in sub:messages() do\n"
    "    local text = message:copy { max = 100 }\n"
    "    heard[#heard + 1] = text .. (missed > 0 and '(-' .. missed .. ')' or '')\n"
    "    message:release()\n"
    "    if text == 'end' then sub:close() end\n"
    "  end\n"
    "  req:reply { text = table.concat(heard, ' ') }\n"
    "end)\n"
    "app:get('/say/:what', function(req) req:reply { text = tostring(fitnessally.publish('news', req.params.what)) } "
    "end)\n"
    "app:get('/table', function(req) req:reply { text = tostring(fitnessally.publish('news', { a = 1 })) } end)\n"
    "app:get('/buffer', function(req)\n"
    "  local buffer = fitnessally.buffer()\n"
    "  buffer:append('bytes'):seal()\n"
    "  local count = fitnessally.publish('news', buffer)\n"
    "  req:reply { text = count .. ' ' .. buffer:len() }\n"
    "end)\n"
    "app:get('/burst', function(req)\n"
    "  for i = 1, 5 do fitnessally.publish('news', tostring(i)) end\n"
    "  req:reply { text = 'ok' }\n"
    "end)\n"
    "app:get('/large', function(req)\n"
    "  local buffer = fitnessally.buffer()\n"
    "  buffer:append(('x'):rep(30000)):seal()\n"
    "  local of_a_buffer, why = fitnessally.publish('news', buffer:slice(1, 10))\n"
    "  req:reply { text = tostring(of_a_buffer) .. ' ' .. tostring(why) .. '; ' ..\n"
    "    tostring(select(2, fitnessally.publish('news', ('x'):rep(30000)))) }\n"
    "end)\n"
    "app:get('/other', function(req)\n"
    "  local sub = fitnessally.subscribe('news')\n"
    "  fitnessally.spawn(function() sub:close() end)\n"
    "  req:reply { text = tostring(sub:receive()) .. tostring(sub:receive()) }\n"
    "end)\n";

static void who_listens_hears(void **state)
{
    (void)state;
    script_world *w = script_world_begin(news);
    assert_answer(w, "GET /say/nobody", "200 0");
    fa_inprocess *one = script_start(w, (asking){.what = "GET /listen"});
    fa_inprocess *two = script_start(w, (asking){.what = "GET /listen"});
    assert_answer(w, "GET /say/hello", "200 2");
    assert_answer(w, "GET /table", "200 2");
    script_turn_loop(w);
    assert_answer(w, "GET /buffer", "200 2 5");
    script_turn_loop(w);
    assert_answer(w, "GET /say/end", "200 2");
    assert_string_equal(script_answer(w, one), "200 hello {\"a\":1} bytes end");
    assert_string_equal(script_answer(w, two), "200 hello {\"a\":1} bytes end");
    assert_answer(w, "GET /say/nobody", "200 0");
    script_world_end(w);
}

static void who_does_not_keep_up_is_told_what_it_missed(void **state)
{
    (void)state;
    script_world *w = script_world_begin(news);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /listen"});
    assert_answer(w, "GET /burst", "200 ok");
    assert_answer(w, "GET /say/end", "200 1");
    const char *heard = script_answer(w, client);
    assert_true(strcmp(heard, "200 4(-3) 5 end") == 0 || strcmp(heard, "200 5(-4) end") == 0);
    script_world_end(w);
}

/* Also a buffer of the script's, of which each subscription would keep all for as long as it does not read. */
static void what_has_no_room_is_told(void **state)
{
    static const char no_room[] = "publish: no room for the message (topic_budget)";
    char wanted[200];
    (void)state;
    snprintf(wanted, sizeof(wanted), "200 nil %s; %s", no_room, no_room);
    script_world *w = script_world_new();
    w->topic_budget = 20000;
    script_world_write(w, "app.lua", news, sizeof(news) - 1);
    assert_true(script_world_try(w, NULL, WITH_NOTHING));
    fa_inprocess *client = script_start(w, (asking){.what = "GET /listen"});
    assert_answer(w, "GET /large", wanted);
    assert_answer(w, "GET /say/end", "200 1");
    assert_string_equal(script_answer(w, client), "200 end");
    script_world_end(w);
}

static void a_listener_that_leaves_leaves_nothing(void **state)
{
    (void)state;
    script_world *w = script_world_begin(news);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /listen"});
    assert_answer(w, "GET /say/a", "200 1");
    fa_inprocess_vanish(client);
    fa_inprocess_free(client);
    assert_answer(w, "GET /say/b", "200 0");
    assert_answer(w, "GET /other", "200 nilnil");
    assert_costs_nothing(w, "GET /other");
    script_world_end(w);
}

/* ---- by the clock ---- */

static const char clock_app[] =
    "local runs, slow = 0, 0\n"
    "app:every('10s', function(scope)\n"
    "  runs = runs + 1\n"
    "  fitnessally.buffer { capacity = '1MB' }\n" /* goes with the run */
    "end)\n"
    "app:every('10s', { name = 'slow', at_start = true }, function() slow = slow + 1 fitnessally.sleep(25000) end)\n"
    "app:every('1min', function() error('oh') end)\n"
    "app:get('/', function(req) req:reply { text = runs .. ' ' .. slow } end)\n";

static void things_are_done_at_intervals(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(clock_app, WITH_CLOCK);
    fa_worker_settle(w->worker);
    assert_answer(w, "GET /", "200 0 1");
    fa_worker_advance(w->worker, 10000);
    assert_answer(w, "GET /", "200 1 1");
    fa_worker_advance(w->worker, 90000);
    assert_answer(w, "GET /", "200 10 4"); /* at 0, 30, 60, 90 */
    assert_logged(w, "slow is left out: the run before has not ended");
    assert_logged(w, "app.lua:7: oh");
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_SCRIPT)->bytes < 100000);
    fa_worker_advance(w->worker, 17000); /* between two runs of any */
    script_world_end(w);
}

static void a_server_that_ends_does_not_wait_for_the_next_time(void **state)
{
    (void)state;
    script_world *w =
        script_world_begin_with("app:cron('0 3 * * *', { name = 'nightly' }, function() end)", WITH_CLOCK);
    fa_worker_advance(w->worker, 5 * 3600 * 1000);
    script_world_end(w);
}

static void what_is_declared_wrongly_is_a_load_error(void **state)
{
    static const struct {
        const char *app, *problem;
    } table[] = {
        {"app:every('0s', function() end)", "app:every: an interval is at least 1ms"},
        {"\napp:every('soon', function() end)", "app.lua:2: app:every: interval: \"soon\" is not a duration"},
        {"app:every('1s', 1)", "fn must be a function"},
        {"app:every('1s', { each = true }, function() end)", "app:every: there is no option each"},
        {"app:every('1s', { name = 1 }, function() end)", "app:every: name is a number, not a string"},
        {"app:cron('* * * *', function() end)", "app:cron: five fields are needed"},
        {"app:cron('61 * * * *', function() end)", "app:cron: \"61\" is no minute"},
        {"\napp:cron(nil, function() end)", "app.lua:2: app:cron: the time is a text such as \"0 3 * * *\", not a nil"},
        {"app:cron('0 0 31 2 *', function() end)", "app.lua:1: app:cron: \"0 0 31 2 *\" never comes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        script_world *w = script_world_new();
        script_world_write(w, "app.lua", table[i].app, strlen(table[i].app));
        assert_false(script_world_try(w, NULL, WITH_NOTHING));
        if (strstr(w->error.text, table[i].problem) == NULL)
            fail_msg("%s: %s", table[i].app, w->error.text);
        script_world_end(w);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        if (script_world_try(w, ledger, WITH_NOTHING)) {
            fa_inprocess *client = script_start(w, (asking){.what = "GET /put"});
            if (client != NULL)
                script_answer(w, client);
            client = script_start(w, (asking){.what = "GET /send"});
            if (client != NULL)
                script_answer(w, client);
        }
        script_world_close(w);
    }
    script_world_forget(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_outlives_requests),
        cmocka_unit_test(misuse_is_an_error),
        cmocka_unit_test(an_entry_expires),
        cmocka_unit_test(who_listens_hears),
        cmocka_unit_test(who_does_not_keep_up_is_told_what_it_missed),
        cmocka_unit_test(what_has_no_room_is_told),
        cmocka_unit_test(a_listener_that_leaves_leaves_nothing),
        cmocka_unit_test(things_are_done_at_intervals),
        cmocka_unit_test(a_server_that_ends_does_not_wait_for_the_next_time),
        cmocka_unit_test(what_is_declared_wrongly_is_a_load_error),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
