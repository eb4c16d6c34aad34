/* core/script/repl: lines that an operator types run in scopes of their own, and nothing is left of them, however they end. */
#include "script_world.h"

#include <stdio.h>

#include "script/repl.h"

typedef struct operator
{
    fa_scope *scope; /* NULL once it has ended */
    fa_repl *repl;
    char printed[4000], said[4000];
    bool well, over;
    bool leaves; /* as soon as a line is over */
}
operator;

static void on_printed(void *context, fa_text text)
{
    operator* o = context;
    size_t used = strlen(o->printed);
    snprintf(o->printed + used, sizeof(o->printed) - used, "%.*s", (int)text.length, text.data);
}

static void on_done(void *context, bool well, fa_text text)
{
    operator* o = context;
    fa_scope *scope = o->scope;
    snprintf(o->said, sizeof(o->said), "%.*s", (int)text.length, text.data);
    o->well = well;
    o->over = true;
    if (!o->leaves)
        return;
    o->scope = NULL;
    fa_scope_end(scope, "it has left", NULL);
}

static fa_result attach(script_world *w, operator* o, unsigned number)
{
    fa_scope *parent = fa_worker_scope(w->worker);
    const fa_repl_listener listener = {on_printed, on_done, o};
    *o = (operator){.scope = NULL};
    fa_result result = fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SCRIPT, 0, "repl", FA_HERE, &o->scope);
    return result == FA_OK ? fa_repl_new(w->worker, o->scope, number, 1 << 20, &listener, &o->repl) : result;
}

static void detach(script_world *w, operator* o, unsigned number)
{
    if (o->scope != NULL)
        fa_scope_end(o->scope, "it has left", NULL);
    o->scope = NULL;
    if (w->script != NULL)
        fa_repl_forget(w->script, number);
}

static fa_result type(script_world *w, operator* o, const char *line)
{
    o->printed[0] = o->said[0] = '\0';
    o->over = o->well = false;
    return fa_repl_run(o->repl, w->script, (fa_text){line, strlen(line)});
}

static const char *answer(script_world *w, operator* o, const char *line)
{
    assert_ok(type(w, o, line));
    SCRIPT_UNTIL(w, o->over);
    return o->said;
}

static const char app[] = "kept = { 1, 2, word = 'x' }\n"
                          "app:get('/', function(req) req:reply { text = 'hi' } end)\n";

static void a_line_gives_values_text_or_an_error(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    operator o;
    assert_ok(attach(w, &o, 1));
    assert_string_equal(answer(w, &o, "1 + 1, 'a\\n', nil, true"), "2\t\"a\\n\"\tnil\ttrue");
    assert_true(o.well);
    assert_string_equal(answer(w, &o, "=  { 1, 2, n = { deep = {} } }"), "{ 1, 2, n = { deep = {} } }");
    assert_string_equal(answer(w, &o, "local t = { } t.t = t return t"), "{ t = { itself } }");
    assert_string_equal(
        answer(w, &o, "print(1, 'x') print(setmetatable({}, { __tostring = function() return 'me' end }))"), "");
    assert_string_equal(o.printed, "1\tx\nme\n");
    assert_string_equal(answer(w, &o, "x = 41"), "");
    assert_string_equal(answer(w, &o, "x + 1"), "42");
    assert_string_equal(answer(w, &o, "1) + (1"), "repl:1: unexpected symbol near '1'");
    assert_false(o.well);
    answer(w, &o, "error('no')");
    assert_false(o.well);
    assert_non_null(strstr(o.said, "repl:1: no\nstack traceback:"));
    answer(w, &o, "error({})");
    assert_non_null(strstr(o.said, "an error that is not a text"));
    assert_string_equal(answer(w, &o, "-- nothing"), "");
    assert_true(o.well);
    detach(w, &o, 1);
    assert_ok(attach(w, &o, 2));
    assert_string_equal(answer(w, &o, "x"), "nil"); /* another one sees none of it */
    detach(w, &o, 2);
    assert_answer(w, "GET /", "200 hi");
    script_world_end(w);
}

static void a_line_that_waits_can_be_stopped(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    operator o;
    assert_ok(attach(w, &o, 1));
    assert_ok(type(w, &o, "local ok, why = pcall(fitnessally.sleep, 3600000) log.info('told: ' .. why)"));
    assert_true(fa_repl_busy(o.repl));
    assert_int_equal(type(w, &o, "1"), FA_WRONG_STATE);
    fa_repl_stop(o.repl, "enough");
    assert_true(o.over && !o.well && !fa_repl_busy(o.repl));
    assert_string_equal(o.said, "cancelled: a line of the repl ended (enough)");
    assert_string_equal(answer(w, &o, "2"), "2");
    SCRIPT_UNTIL(w, fa_script_idle(w->script));
    assert_logged(w, "told: cancelled: a line of the repl ended (enough)");
    detach(w, &o, 1);
    script_world_end(w);
}

static void all_that_a_line_has_begun_ends_with_it(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    operator o;
    assert_ok(attach(w, &o, 1));
    answer(w, &o,
           "b = fitnessally.buffer() b:append('x') t = fitnessally.spawn(function() fitnessally.sleep(3600000) end)");
    SCRIPT_UNTIL(w, fa_script_idle(w->script));
    answer(w, &o, "b:len()");
    assert_non_null(strstr(o.said, "used after release"));
    assert_string_equal(answer(w, &o, "t:ended()"), "false");
    answer(w, &o, "fitnessally.buffer { capacity = 2000000 }"); /* more than a line may own */
    assert_non_null(strstr(o.said, "over budget"));
    detach(w, &o, 1);
    script_world_end(w);
}

static void its_end_in_the_midst_of_a_line_leaves_nothing(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    operator o;
    assert_ok(attach(w, &o, 1));
    assert_ok(type(w, &o, "b = fitnessally.buffer() pcall(fitnessally.sleep, 3600000) print('late')"));
    detach(w, &o, 1);
    assert_true(o.over);
    SCRIPT_UNTIL(w, fa_script_idle(w->script));
    assert_string_equal(o.printed, ""); /* nobody reads it any more */
    assert_ok(attach(w, &o, 2));
    o.leaves = true; /* from within the call that says so */
    assert_ok(type(w, &o, "fitnessally.now() > 0"));
    assert_string_equal(o.said, "true");
    assert_null(o.scope);
    fa_repl_forget(w->script, 2);
    script_world_end(w);
}

static void a_state_that_goes_takes_its_lines_along(void **state)
{
    (void)state;
    script_world *w = script_world_begin(app);
    operator o;
    assert_ok(attach(w, &o, 1));
    assert_ok(type(w, &o, "fitnessally.sleep(3600000)"));
    fa_script_stop(w->script);
    assert_true(o.over && !o.well);
    assert_string_equal(o.said, "cancelled: the server stops");
    detach(w, &o, 1);
    script_world_end(w);
}

static bool scenario(script_world *w, fa_ledger *failing)
{
    bool reached = false;
    operator o = {.scope = NULL};
    NEED(script_world_try(w, failing, WITH_NOTHING));
    NEED(attach(w, &o, 1) == FA_OK);
    NEED(type(w, &o, "x = fitnessally.buffer() x:append('abc') fitnessally.sleep(1) return x:len()") == FA_OK);
    FA_TEST_RUN_WHILE(w->worker, !o.over);
    NEED(o.well && strcmp(o.said, "3") == 0);
    NEED(type(w, &o, "fitnessally.sleep(3600000)") == FA_OK);
    reached = true;
out:
    detach(w, &o, 1);
    script_world_close(w);
    return reached;
}

static void memory_may_fail_at_any_time(void **state)
{
    (void)state;
    bool reached = false;
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(w, failing);
    }
    script_world_forget(w);
    assert_true(reached);
    assert_true(fa_failing_runs() > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_values_text_or_an_error),
        cmocka_unit_test(a_line_that_waits_can_be_stopped),
        cmocka_unit_test(all_that_a_line_has_begun_ends_with_it),
        cmocka_unit_test(its_end_in_the_midst_of_a_line_leaves_nothing),
        cmocka_unit_test(a_state_that_goes_takes_its_lines_along),
        cmocka_unit_test(memory_may_fail_at_any_time),
    };
    return cmocka_run_group_tests_name("script repl", tests, NULL, NULL);
}
