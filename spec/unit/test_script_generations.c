/* core/script/generations: newer scripts take the place of older ones, and what each of them still has to finish. One worker; what all
 * workers do together is in test_reload.c. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "script_world.h"

static _Atomic unsigned serving;
static unsigned taken_up, gone[10], gone_count;

static void on_taken_up(void *context, unsigned generation)
{
    (void)context;
    taken_up = generation;
}

static void on_gone(void *context, unsigned generation)
{
    (void)context;
    gone[gone_count++ % 10] = generation;
}

static fa_result begin_generations(script_world *w, uint64_t drain_ms)
{
    fa_generations_options options = {.worker = w->worker,
                                      .serving = &serving,
                                      .drain_ms = drain_ms,
                                      .tell_clients = true,
                                      .taken_up = on_taken_up,
                                      .gone = on_gone};
    serving = taken_up = fa_script_generation(w->script);
    gone_count = 0;
    return fa_generations_new(&options, w->script, &w->generations);
}

static script_world *begin_with(const char *app, uint64_t drain_ms, int with)
{
    script_world *w = script_world_begin_with(app, with);
    assert_ok(begin_generations(w, drain_ms));
    return w;
}

static script_world *begin(const char *app)
{
    return begin_with(app, 60000, WITH_NOTHING);
}

/* As the reload does it, on the test's thread. */
static fa_result reload(script_world *w, const char *app, fa_load_failure *failure, fa_error *error)
{
    fa_script *script;
    fa_script_options options = w->options;
    options.generation = serving + 1;
    if (app != NULL)
        script_world_write(w, "app.lua", app, strlen(app));
    fa_result result = fa_generation_build(&options, &script, failure, error);
    if (result != FA_OK)
        return result;
    fa_generations_offer(w->generations, script);
    serving++;
    return FA_OK;
}

/* And until the worker has taken it up. */
static void reload_to(script_world *w, const char *app)
{
    fa_error error = {""};
    if (reload(w, app, NULL, &error) != FA_OK)
        fail_msg("%s", error.text);
    fa_generations_wake(w->generations);
    SCRIPT_UNTIL(w, taken_up == serving);
}

static size_t alive(script_world *w)
{
    fa_script *all[FA_MOST_GENERATIONS + 1];
    return fa_generations_all(w->generations, all);
}

static void assert_alive(script_world *w, size_t count)
{
    SCRIPT_UNTIL(w, alive(w) == count);
    fa_test_run_for(w->worker, 5);
    assert_int_equal(alive(w), count);
}

#define ANSWERS(text) "app:get('/', function(req) req:reply { text = '" text "' } end)\n"

/* ---- who answers ---- */

static void the_next_request_is_the_new_ones(void **state)
{
    (void)state;
    script_world *w = begin(ANSWERS("one") "app:get('/old', function(req) req:reply { text = 'old' } end)\n");
    assert_answer(w, "GET /", "200 one");
    assert_answer(w, "GET /old", "200 old");
    fa_error error;
    assert_ok(reload(w, ANSWERS("two"), NULL, &error)); /* nobody has told the worker: the request notices by itself */
    assert_answer(w, "GET /", "200 two");
    SCRIPT_UNTIL(w, taken_up == 2);
    assert_true(strncmp(script_ask(w, "GET /old"), "404", 3) == 0);
    assert_alive(w, 1);
    assert_int_equal(gone_count, 1);
    assert_int_equal(gone[0], 1);
    reload_to(w, ANSWERS("three"));
    assert_alive(w, 1);
    assert_answer(w, "GET /", "200 three");
    script_world_end(w);
}

static void a_request_finishes_on_its_own(void **state)
{
    (void)state;
    script_world *w = begin("local word = 'old'\n"
                            "app:get('/slow', function(req) fitnessally.sleep(400) req:reply { text = word .. "
                            "require('lib') } end)\n" ANSWERS("one"));
    script_world_write(w, "lib.lua", "return ' lib'", 13);
    fa_inprocess *slow = script_start(w, (asking){.what = "GET /slow"});
    script_world_write(w, "lib.lua", "return ' new lib'", 17);
    reload_to(w, "app:get('/slow', function(req) req:reply { text = 'new' .. require('lib') } end)\n" ANSWERS("two"));
    assert_answer(w, "GET /", "200 two");
    assert_answer(w, "GET /slow", "200 new new lib");
    assert_int_equal(alive(w), 2);
    assert_string_equal(script_answer(w, slow), "200 old new lib");
    assert_alive(w, 1);
    script_world_end(w);
}

static const char *header(fa_inprocess *client, const char *name)
{
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    static char value[40];
    value[0] = '\0';
    for (size_t i = 0; i < answer->header_count; ++i) {
        const fa_header *h = &answer->headers[i];
        if (h->name.length == strlen(name) && memcmp(h->name.data, name, h->name.length) == 0)
            snprintf(value, sizeof(value), "%.*s", (int)h->value.length, h->value.data);
    }
    return value;
}

static void answers_say_their_generation(void **state)
{
    (void)state;
    script_world *w = begin(ANSWERS("one"));
    reload_to(w, ANSWERS("two"));
    fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_string_equal(header(client, "x-generation"), "2");
    fa_inprocess_free(client);
    client = script_start(w, (asking){.what = "GET /nowhere"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_string_equal(header(client, "x-generation"), "2");
    fa_inprocess_free(client);
    script_world_end(w);
}

/* ---- what goes with the old one ---- */

static void what_runs_in_the_background_ends_before_the_new_begins(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:on_start(function()\n"
                                         "  local child = fitnessally.spawn(function() fitnessally.sleep(100000) end)\n"
                                         "  local ok, err = pcall(fitnessally.sleep, 100000)\n"
                                         "  log.info('old: ' .. tostring(err))\n"
                                         "end)\n");
    assert_ok(begin_generations(w, 60000));
    reload_to(w, "app:on_start(function() log.info('new begins') end)\n");
    assert_logged(w, "cancelled: newer scripts have been loaded");
    assert_logged(w, "new begins");
    assert_true(strstr(w->logged, "old: ") < strstr(w->logged, "new begins"));
    assert_alive(w, 1);
    script_world_end(w);
}

static void a_turn_finishes_and_the_next_one_is_new(void **state)
{
    (void)state;
    static const char flow[] =
        "local function flow(turn)\n"
        "  turn:said('%s') turn:push('words', { word = '%s', before = #turn:history() }) fitnessally.sleep(40)\n"
        "  turn:push('end', { word = '%s' })\n"
        "end\n"
        "app:get('/ask', function(req)\n"
        "  local asked = voice.ask(req, { text = 'hi', flow = flow, dialogueId = req:query('id') })\n"
        "  req:reply { text = asked.dialogueId }\n"
        "end)\n"
        "app:get('/listen', function(req) voice.listen(req, req:query('id')) end)\n";
    char one[1500], two[1500], id[60], path[120];
    snprintf(one, sizeof(one), flow, "one", "one", "one");
    snprintf(two, sizeof(two), flow, "two", "two", "two");
    script_world *w = begin(one);
    snprintf(id, sizeof(id), "%s", script_ask(w, "GET /ask") + 4);
    snprintf(path, sizeof(path), "GET /listen?id=%s", id);
    fa_inprocess *listener = script_start(w, (asking){.what = path});
    fa_test_run_for(w->worker, 5);
    reload_to(w, two);
    assert_int_equal(alive(w), 2);
    const char *first = script_answer(w, listener);
    assert_non_null(strstr(first, "event: end"));
    assert_non_null(strstr(first, "\"word\":\"one\""));
    assert_null(strstr(first, "\"word\":\"two\""));
    assert_alive(w, 1);
    snprintf(path, sizeof(path), "GET /ask?id=%s", id);
    static const char *const headers[] = {"user-agent", "another", NULL}; /* or it were the same question twice */
    assert_true(strncmp(script_answer(w, script_start(w, (asking){.what = path, .headers = headers})), "200", 3) == 0);
    snprintf(path, sizeof(path), "GET /listen?id=%s", id);
    const char *second = script_answer(w, script_start(w, (asking){.what = path}));
    if (strstr(second, "\"word\":\"two\"") == NULL)
        fail_msg("%s", second);
    assert_non_null(strstr(second, "\"before\":2")); /* the history is not the scripts' */
    fa_test_run_for(w->worker, 50);
    fa_dialogues_end_all(w->dialogues, "test");
    script_world_end(w);
}

/* A listener of a dialogue stays with the dialogue: it does not keep the scripts that let it in. */
static void a_listener_keeps_no_scripts(void **state)
{
    (void)state;
    script_world *w =
        begin("app:get('/ask', function(req)\n"
              "  req:reply { text = voice.ask(req, { text = 'hi', flow = function() end }).dialogueId }\n"
              "end)\n"
              "app:get('/listen', function(req) voice.listen(req, req:query('id'), { follow = true }) end)\n");
    char path[120];
    snprintf(path, sizeof(path), "GET /listen?id=%s", script_ask(w, "GET /ask") + 4);
    fa_inprocess *listener = script_start(w, (asking){.what = path});
    fa_test_run_for(w->worker, 5);
    reload_to(w, ANSWERS("two"));
    assert_alive(w, 1);
    assert_false(fa_inprocess_answered(listener)->ended);
    fa_inprocess_free(listener);
    script_world_end(w);
}

static const char streams[] = "app:get('/events', function(req)\n"
                              "  local events = req:events { heartbeat = false and 1 or nil }\n"
                              "  events:send 'hello'\n"
                              "  local why = events:wait()\n"
                              "  events:send { event = 'bye', data = why }\n"
                              "end)\n"
                              "app:get('/pieces', function(req)\n"
                              "  local out = req:start { type = 'text/plain' }\n"
                              "  out:write 'one ' fitnessally.sleep(5000) out:write 'two'\n"
                              "end)\n";

static void endless_streams_are_told_to_come_again(void **state)
{
    (void)state;
    script_world *w = begin_with(streams, 1000, WITH_CLOCK);
    fa_inprocess *events = script_start(w, (asking){.what = "GET /events"});
    fa_inprocess *pieces = script_start(w, (asking){.what = "GET /pieces"});
    fa_worker_advance(w->worker, 1);
    reload_to(w, ANSWERS("two"));
    fa_worker_advance(w->worker, 900);
    assert_false(fa_inprocess_answered(events)->ended);
    fa_worker_advance(w->worker, 200);
    const char *text = script_answer(w, events);
    assert_non_null(strstr(text, "data: draining"));
    assert_non_null(strstr(text, "retry:"));
    assert_int_equal(alive(w), 2); /* what ends by itself is left alone */
    fa_worker_advance(w->worker, 5000);
    assert_string_equal(script_answer(w, pieces), "200 one two");
    fa_worker_advance(w->worker, 10);
    assert_int_equal(alive(w), 1);
    script_world_end(w);
}

static const char busy[] = "app:get('/one', { max_concurrent = 1, queue = 2, queue_time = '20s' }, function(req)\n"
                           "  fitnessally.sleep(40) req:reply { text = 'old' }\n"
                           "end)\n";

/* Who waits to be let in has a generation already, and the limit is one for both. */
static void those_who_wait_to_be_let_in_keep_theirs(void **state)
{
    (void)state;
    script_world *w = begin(busy);
    fa_inprocess *first = script_start(w, (asking){.what = "GET /one"}),
                 *second = script_start(w, (asking){.what = "GET /one"});
    reload_to(w, "app:get('/one', { max_concurrent = 1, queue = 5, queue_time = '20s' }, function(req)\n"
                 "  req:reply { json = fitnessally.status().routes }\n"
                 "end)\n");
    fa_inprocess *third = script_start(w, (asking){.what = "GET /one"});
    assert_string_equal(script_answer(w, first), "200 old");
    assert_string_equal(script_answer(w, second), "200 old");
    const char *answer = script_answer(w, third);
    assert_non_null(strstr(answer, "\"queue\":5"));
    assert_non_null(strstr(answer, "\"running\":1"));
    assert_alive(w, 1);
    reload_to(w, "app:get('/one', function(req) req:reply { json = fitnessally.status().routes } end)\n");
    assert_alive(w, 1);
    assert_answer(w, "GET /one", "200 {}"); /* the turnstile is gone with the last who had it */
    script_world_end(w);
}

/* ---- cutting ---- */

static void what_has_had_its_time_is_cut(void **state)
{
    (void)state;
    script_world *w = begin("local function flow(turn) turn:push('words', {}) fitnessally.sleep(100000) end\n"
                            "app:get('/ask', function(req)\n"
                            "  req:reply { text = voice.ask(req, { text = 'hi', flow = flow }).dialogueId }\n"
                            "end)\n"
                            "app:get('/listen', function(req) voice.listen(req, req:query('id')) end)\n"
                            "app:get('/never', function(req)\n"
                            "  fitnessally.spawn(function() fitnessally.sleep(200000) end)\n"
                            "  pcall(fitnessally.sleep, 100000) pcall(fitnessally.sleep, 100000)\n"
                            "end)\n"
                            "app:get('/begun', function(req)\n"
                            "  local out = req:start {} out:write 'x' fitnessally.sleep(100000)\n"
                            "end)\n"
                            "app:get('/one', { max_concurrent = 1 }, function(req) fitnessally.sleep(100000) end)\n");
    char path[120];
    snprintf(path, sizeof(path), "GET /listen?id=%s", script_ask(w, "GET /ask") + 4);
    fa_inprocess *listener = script_start(w, (asking){.what = path});
    fa_inprocess *never = script_start(w, (asking){.what = "GET /never"}),
                 *begun = script_start(w, (asking){.what = "GET /begun"});
    fa_inprocess *inside = script_start(w, (asking){.what = "GET /one"}),
                 *waits = script_start(w, (asking){.what = "GET /one"});
    fa_test_run_for(w->worker, 5);
    reload_to(w, ANSWERS("two"));
    assert_alive(w, 2);
    fa_generations_cut(w->generations, 1, "test");
    assert_non_null(strstr(script_answer(w, listener), "\"status\":\"cancelled\""));
    assert_non_null(strstr(script_answer(w, never), "503 {\"error\":{\"code\":\"reloaded\""));
    assert_string_equal(script_answer(w, begun), "cut");
    assert_non_null(strstr(script_answer(w, inside), "503 "));
    assert_non_null(strstr(script_answer(w, waits), "503 "));
    assert_alive(w, 1);
    assert_answer(w, "GET /", "200 two");
    fa_dialogues_end_all(w->dialogues, "test");
    script_world_end(w);
}

/* ---- broken edits ---- */

static void assert_refused(script_world *w, const char *app, const char *file, unsigned line, const char *message,
                           const char *marked)
{
    fa_load_failure failure;
    fa_error error = {""};
    size_t before = fa_ledger_bytes(w->ledger);
    memset(&failure, 0, sizeof(failure));
    assert_int_equal(reload(w, app, &failure, &error), FA_INVALID);
    assert_string_equal(failure.file, file);
    if (failure.line != line || strstr(failure.message, message) == NULL || strstr(failure.excerpt, marked) == NULL)
        fail_msg("line %u: %s\n%s", failure.line, failure.message, failure.excerpt);
    assert_answer(w, "GET /", "200 one");
    assert_int_equal(fa_ledger_bytes(w->ledger), before);
}

static void a_broken_edit_changes_nothing(void **state)
{
    (void)state;
    script_world *w = begin(ANSWERS("one"));
    script_world_write(w, "broken.lua", "return {\n  1,\n  oops oops\n}\n", 27);
    script_world_write(w, "late.lua", "local x = nil\n\nlocal function f() return x.y end\nf()\n", 52);
    script_ask(w, "GET /");
    fa_test_run_for(w->worker, 5);
    assert_refused(w, "app:get('/', function() end\n", "app.lua", 2, "expected", "    1 | app:get");
    assert_refused(w, "require 'broken'\n", "broken.lua", 3, "near 'oops'", ">    3 |   oops oops\n     4 | }");
    assert_refused(w, "\nrequire 'late'\n", "late.lua", 3, "attempt to index upvalue 'x'",
                   ">    3 | local function f()");
    assert_refused(w, "require 'nothere'\n", "app.lua", 1, "no such file", ">    1 | require 'nothere'");
    assert_refused(w, "app:get('/a', function() end)\n\napp:get('/a', function() end)\n", "app.lua", 3,
                   "app.lua:1 and at app.lua:3", ">    3 | app:get");
    assert_refused(w, "error({})\n", "app.lua", 1, "not a text", ">    1 | error({})");
    assert_refused(w,
                   "app:get('/l', { max_concurrent = 3 }, function() end)\napp:get('/l', { max_concurrent = 3 }, "
                   "function() end)\n",
                   "app.lua", 2, "declared twice", ">    2 |");
    script_world_end(w);
}

/* Whatever is lacking, the old ones go on and nothing is lost. */
static void any_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    script_world *w = script_world_new();
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        fa_error error;
        fa_inprocess *client = NULL;
        reached = false;
        script_world_write(w, "app.lua", busy, strlen(busy));
        NEED(script_world_try(w, ledger, WITH_NOTHING));
        NEED(begin_generations(w, 60000) == FA_OK);
        client = script_start(w, (asking){.what = "GET /one"});
        if (reload(w,
                   "app:get('/one', { max_concurrent = 2 }, function(req) req:reply { text = 'new' } end)\n"
                   "app:on_start(function() fitnessally.sleep(1) end)\n",
                   NULL, &error) != FA_OK) {
            assert_int_equal(serving, 1);
            goto out;
        }
        fa_generations_wake(w->generations);
        FA_TEST_RUN_WHILE(w->worker, taken_up != serving);
        assert_int_equal(taken_up, 2);
        NEED(client != NULL);
        FA_TEST_RUN_WHILE(w->worker, !fa_inprocess_answered(client)->ended);
        fa_inprocess_free(client);
        client = NULL;
        FA_TEST_RUN_WHILE(w->worker, alive(w) > 1);
        assert_int_equal(alive(w), 1);
        reached = true;
    out:
        if (client != NULL)
            fa_inprocess_free(client);
        script_world_close(w);
    }
    assert_true(reached);
    script_world_forget(w);
}

/* ---- over and over ---- */

static void a_hundred_generations_leave_nothing(void **state)
{
    (void)state;
    char app[200];
    size_t before = 0;
    script_world *w = begin(ANSWERS("0"));
    for (int i = 1; i <= 100; ++i) {
        snprintf(app, sizeof(app),
                 "local function f(req) fitnessally.sleep(1) req:reply { text = '%d' } end\napp:get('/', f)\n", i);
        fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
        reload_to(w, app);
        script_answer(w, client);
        assert_alive(w, 1);
        if (i == 10)
            before = fa_ledger_bytes(w->ledger);
    }
    assert_int_equal(fa_ledger_bytes(w->ledger), before);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_request_is_the_new_ones),
        cmocka_unit_test(a_request_finishes_on_its_own),
        cmocka_unit_test(answers_say_their_generation),
        cmocka_unit_test(what_runs_in_the_background_ends_before_the_new_begins),
        cmocka_unit_test(a_turn_finishes_and_the_next_one_is_new),
        cmocka_unit_test(a_listener_keeps_no_scripts),
        cmocka_unit_test(endless_streams_are_told_to_come_again),
        cmocka_unit_test(those_who_wait_to_be_let_in_keep_theirs),
        cmocka_unit_test(what_has_had_its_time_is_cut),
        cmocka_unit_test(a_broken_edit_changes_nothing),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_hundred_generations_leave_nothing),
    };
    return cmocka_run_group_tests_name("script: generations", tests, NULL, NULL);
}
