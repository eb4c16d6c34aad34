/* core/script/lua_halves.c, lua_phases.c: Lua halves of plugins where memory runs out. What users see of them is in
 * spec/routes/plugins_spec.lua. */
#include "script/internal.h"
#include "script_world.h"

static const char half[] = "local n = 0\n"
                           "app:on_start(function() fitnessally.sleep(0) n = n + 1 end)\n"
                           "return {\n"
                           "  shout = function(text) fitnessally.sleep(0) return text:upper() .. config.mark end,\n"
                           "  phases = {\n"
                           "    init = function() n = n + 1 end,\n"
                           "    request = function(req) req:add_header('x-a', 'b') end,\n"
                           "    response = function(req) req:set_header('x-c', 'd') end,\n"
                           "    log = function(entry) n = n + entry.status end,\n"
                           "    shutdown = function() n = 0 end,\n"
                           "  },\n"
                           "}\n";

static const char app[] = "app:get('/', function(req) req:reply { text = plugin.shout.shout('hi') or 'nobody' } end)\n";

static const fa_setting config[] = {{.name = "mark", .type = FA_SETTING_TEXT, .text = "!"}, {.name = NULL}};
static const char *const provides[] = {"noise", NULL};

static script_world *make_world(fa_script_plugin plugins[2])
{
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    script_world_write(w, "half.lua", half, sizeof(half) - 1);
    plugins[0] = (fa_script_plugin){.name = "shout",
                                    .version = "1",
                                    .provides = provides,
                                    .folder = w->folder,
                                    .half = "half.lua",
                                    .config = config,
                                    .phases = 31,
                                    .required = true};
    plugins[1] = (fa_script_plugin){.name = NULL};
    w->plugins = plugins;
    return w;
}

static bool scenario(script_world *w, fa_ledger *ledger)
{
    bool reached = false;
    if (script_world_try(w, ledger, WITH_NOTHING)) {
        fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
        reached = client != NULL && strcmp(script_answer(w, client), "200 HI!") == 0;
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
    script_world *w = make_world(plugins);
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(w, failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 50);
    script_world_forget(w);
}

static void a_request_costs_nothing(void **state)
{
    fa_script_plugin plugins[2];
    (void)state;
    script_world *w = make_world(plugins);
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    assert_answer(w, "GET /", "200 HI!");
    assert_costs_nothing(w, "GET /");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_request_costs_nothing),
    };
    return cmocka_run_group_tests_name("scripts: plugins in Lua", tests, NULL, NULL);
}
