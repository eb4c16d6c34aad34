/* core/script and core/plugin: calls of scripts to a native plugin (spec/unit/support/plugin_echo.c), and their ends. */
#include "plugin/internal.h"
#include "script_world.h"

#include <stdio.h>
#include <unistd.h>

#define NEED_ECHO(w)                                                                                                   \
    do {                                                                                                               \
        if ((w) == NULL)                                                                                               \
            skip();                                                                                                    \
    } while (0)

static const char app[] =
    "local function show(req, result, problem)\n"
    "  if not result then return req:reply { text = problem.code .. ': ' .. problem.message } end\n"
    "  local b = result.buffer\n"
    "  result.buffer = nil\n"
    "  req:reply { text = json.encode(result) .. (b and ' ' .. b:copy { max = 1e6 } or '') }\n"
    "end\n"
    "app:get('/echo', function(req) show(req, plugin.echo.echo { text = 'hi', number = 21, flag = true }) end)\n"
    "app:get('/empty', function(req) show(req, plugin.echo.echo()) end)\n"
    "app:get('/refuse', function(req) show(req, plugin.echo.refuse {}) end)\n"
    "app:get('/stumble', function(req) show(req, plugin.echo.stumble {}) end)\n"
    "app:get('/wrong', function(req) plugin.echo.echo { text = {} } end)\n"
    "app:get('/name', function(req) plugin.echo.echo { ['a name that is longer than names may be'] = 1 } end)\n"
    "app:get('/list', function(req) plugin.echo.echo { 'x' } end)\n"
    "app:get('/type', function(req) plugin.echo.echo('x') end)\n"
    "app:get('/many', function(req)\n"
    "  local t = {}\n"
    "  for i = 1, 17 do t['k' .. i] = i end\n"
    "  plugin.echo.echo(t)\n"
    "end)\n"
    "app:get('/long', function(req) show(req, plugin.echo.echo { text = ('x'):rep(5000) }) end)\n"
    "app:get('/buffer', function(req)\n"
    "  local made = assert(plugin.echo.make { bytes = 30000 })\n"
    "  req:reply { body = made.buffer }\n"
    "end)\n"
    "app:get('/wait', function(req)\n"
    "  local seen = 0\n"
    "  local result = plugin.echo.wait { ms = 30, progress = function(done, total) seen = done / total end }\n"
    "  req:reply { text = result.waited .. (seen > 0 and ' with progress' or ' blind') }\n"
    "end)\n"
    "app:get('/forever', function(req) plugin.echo.wait { ms = 60000 } log.info('woken') end)\n"
    "app:get('/badprogress', function(req)\n"
    "  show(req, plugin.echo.wait { ms = 5, progress = function() error({}) end })\n"
    "end)\n"
    "app:get('/waitprogress', function(req)\n"
    "  show(req, plugin.echo.wait { ms = 5, progress = function() fitnessally.sleep(1) end })\n"
    "end)\n"
    "local function flow(turn)\n"
    "  plugin.echo.wait { ms = 60000, progress = function() voice.delete(turn.dialogueId) error('and then some') end "
    "}\n"
    "end\n"
    "local function greedy(turn)\n"
    "  local made, problem = plugin.echo.make { bytes = 300000 }\n"
    "  turn:push('words', { text = made and 'made' or problem.code })\n"
    "end\n"
    "local function ask(req, f) req:reply { text = voice.ask(req, { text = 'x', flow = f }).dialogueId } end\n"
    "app:post('/ask', function(req) ask(req, flow) end)\n"
    "app:post('/greedy', function(req) ask(req, greedy) end)\n"
    "app:get('/listen/:id', function(req) voice.listen(req, req.params.id) end)\n";

static void calls_give_results(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO | WITH_DEVELOPMENT);
    NEED_ECHO(w);
    const char *answer = script_ask(w, "GET /echo");
    assert_non_null(strstr(answer, "\"text\":\"hi\""));
    assert_non_null(strstr(answer, "\"number\":42"));
    assert_non_null(strstr(answer, "\"flag\":1"));
    assert_string_equal(answer + strlen(answer) - 3, " hi");
    assert_answer(w, "GET /empty", "200 {}");
    assert_answer(w, "GET /refuse", "200 no_way: it is refused");
    assert_answer_has(w, "GET /stumble", "200 failed: echo.stumble: ");
    assert_answer_has(w, "GET /wrong", "plugin.echo.echo: argument text: ");
    assert_answer_has(w, "GET /name", "plugin.echo.echo: argument a name that is longer than names may be: ");
    assert_answer_has(w, "GET /list", "plugin.echo.echo: argument (not a name): ");
    assert_answer_has(w, "GET /type", "table expected, got string");
    assert_answer_has(w, "GET /many", "plugin.echo.echo: argument k");
    assert_answer_has(w, "GET /long", "200 failed: echo.echo: ");
    assert_int_equal(strlen(script_ask(w, "GET /wait")), strlen("200 30 with progress"));
    assert_answer_has(w, "GET /badprogress", "200 {\"waited\":5}");
    assert_logged(w, "progress: an error that is not a text");
    assert_answer_has(w, "GET /waitprogress", "200 {\"waited\":5}");
    assert_logged(w, "fitnessally.sleep waits, and nothing can wait");
    assert_costs_nothing(w, "GET /echo");
    assert_costs_nothing(w, "GET /stumble");
    assert_costs_nothing(w, "GET /many");
    assert_costs_nothing(w, "GET /badprogress");
    script_world_end(w);
}

static void a_result_is_sent_without_a_copy(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO);
    NEED_ECHO(w);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /buffer"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_int_equal(fa_buffer_length(fa_inprocess_answered(client)->body), 30000);
    fa_inprocess_free(client);
    script_world_end(w);
}

/* The client is gone: the plugin is told, its result is dropped, and nobody is woken. */
static void a_call_ends_with_its_caller(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO);
    NEED_ECHO(w);
    size_t before = 0;
    for (int i = 0; i < 3; ++i) {
        fa_inprocess *one = script_start(w, (asking){.what = "GET /forever"}),
                     *other = script_start(w, (asking){.what = "GET /forever"}); /* this one waits in the queue */
        fa_test_run_for(w->worker, 5);
        fa_inprocess_free(one);
        fa_inprocess_free(other);
        assert_int_equal(fa_script_tasks(w->script), 0);
        assert_answer_has(w, "GET /echo", "200 "); /* the thread is free again */
        fa_test_run_for(w->worker, 5);
        if (i == 0)
            before = fa_ledger_bytes(w->ledger);
        assert_int_equal(fa_ledger_bytes(w->ledger), before);
    }
    assert_null(strstr(w->logged, "woken"));
    script_world_end(w);
}

/* Waits until the plugin's thread has taken all but `left` of the calls that were queued. */
static void wait_until_taken(fa_native *native, unsigned left)
{
    bool taken = false;
    for (int i = 0; i < 40000 && !taken; ++i) {
        pthread_mutex_lock(&native->lock);
        taken = native->queued <= left;
        pthread_mutex_unlock(&native->lock);
        if (!taken)
            usleep(500);
    }
    assert_true(taken);
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO | WITH_SHORT_QUEUE);
    NEED_ECHO(w);
    fa_inprocess *running = script_start(w, (asking){.what = "GET /wait"});
    wait_until_taken(w->natives[0], 0);
    fa_inprocess *queued = script_start(w, (asking){.what = "GET /wait"});
    assert_answer(w, "GET /echo", "200 busy: The plugin has too much to do.");
    script_answer(w, running);
    script_answer(w, queued);
    assert_answer_has(w, "GET /echo", "200 {");
    script_world_end(w);
}

static void a_result_that_is_too_large_is_refused(void **state)
{
    char what[100];
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO);
    NEED_ECHO(w);
    snprintf(what, sizeof(what), "GET /listen/%s", script_post(w, "POST /greedy", "x") + 4);
    assert_answer_has(w, what, "data: {\"text\":\"over_budget\"}"); /* the turn's budget is 256 KB */
    script_world_end(w);
}

/* The function that is told of the progress ends the turn, and with it the call and the function, and then it fails. */
static void progress_may_end_its_own_call(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO);
    NEED_ECHO(w);
    script_post(w, "POST /ask", "x");
    SCRIPT_UNTIL(w, strstr(w->logged, "and then some") != NULL);
    assert_int_equal(fa_script_tasks(w->script), 0);
    assert_answer_has(w, "GET /echo", "200 {");
    script_world_end(w);
}

/* The scripts go while calls are under way and in the queue; the worker waits for what the plugin still has of it. */
static void everything_ends_during_a_call(void **state)
{
    (void)state;
    script_world *w =
        script_world_begin_with("app:on_start(function() plugin.echo.wait { ms = 20 } log.info('woken') end)\n"
                                "app:on_start(function() plugin.echo.wait { ms = 60000 } end)\n"
                                "app:on_start(function() plugin.echo.echo {} end)\n",
                                WITH_ECHO);
    NEED_ECHO(w);
    wait_until_taken(w->natives[0], 2);
    script_world_end(w);
}

/* A plugin that closes tells those who still wait in its queue. */
static void a_plugin_that_closes_answers_what_waits(void **state)
{
    (void)state;
    script_world *w = script_world_begin_with(app, WITH_ECHO);
    NEED_ECHO(w);
    fa_inprocess *running = script_start(w, (asking){.what = "GET /wait"});
    wait_until_taken(w->natives[0], 0);
    fa_inprocess *queued = script_start(w, (asking){.what = "GET /echo"});
    fa_native_close(w->natives[0]);
    w->natives[0] = NULL;
    assert_non_null(strstr(script_answer(w, running), "200 30"));
    assert_non_null(strstr(script_answer(w, queued), "200 cancelled: echo.echo: "));
    script_world_end(w);
}

static const char *refusing(void *context, const char *key)
{
    (void)context;
    return strcmp(key, "refuse") == 0 ? "yes" : NULL;
}

/* There is something to be read, though the plugin has not said a word. */
static void a_plugin_that_does_not_open_says_so(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    fa_native *native = NULL;
    fa_error error = {""};
    char path[400];
    script_echo_path(path, sizeof(path));
    if (access(path, R_OK) == 0) { /* the valgrind build has none */
        fa_native_options options = {.name = "echo", .path = path, .queue = 1, .config = refusing, .log = &w->log};
        assert_int_equal(fa_native_start(w->server, &options, &native, &error), FA_OK);
        assert_int_equal(fa_native_wait(native, &error), FA_IO);
        assert_string_equal(error.text, "plugin echo: its open() failed without a word: i/o error");
        fa_native_close(native);
    }
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_give_results),
        cmocka_unit_test(a_result_is_sent_without_a_copy),
        cmocka_unit_test(a_call_ends_with_its_caller),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(a_result_that_is_too_large_is_refused),
        cmocka_unit_test(progress_may_end_its_own_call),
        cmocka_unit_test(everything_ends_during_a_call),
        cmocka_unit_test(a_plugin_that_closes_answers_what_waits),
        cmocka_unit_test(a_plugin_that_does_not_open_says_so),
    };
    return cmocka_run_group_tests_name("scripts: plugins", tests, NULL, NULL);
}
