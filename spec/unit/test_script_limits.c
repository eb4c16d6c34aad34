/* core/script and core/worker/watchdog: time. What of spec/support/runaway ends where, the cost of a turn, and that nobody wakes up for
 * nothing. How others fare meanwhile is in spec/e2e/runaway.test.mjs. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "script_world.h"

enum { SLICE_MS = 40 };

static script_world *begin(const char *app)
{
    script_world *w = script_world_new();
    w->slice_ms = SLICE_MS;
    script_world_write(w, "app.lua", app, strlen(app));
    if (!script_world_try(w, NULL, WITH_DEVELOPMENT))
        fail_msg("%s", w->error.text);
    return w;
}

static double processor_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void loops_end_with_their_slice(void **state)
{
    static const char app[] =
        "app:get('/loop', function(req)\n  while true do end\nend)\n"
        "app:get('/pcall', function(req)\n  while true do pcall(function() while true do end end) end\nend)\n"
        "app:get('/long', function(req)\n  for i = 1, 20 do\n    local till = os.clock() + 0.01\n"
        "    while os.clock() < till do end\n    fitnessally.sleep(0)\n  end\n  req:reply { text = 'done' }\nend)\n"
        "app:get('/ok', function(req) req:reply { text = 'ok' } end)\n"
        "app:get('/caught', function(req)\n"
        "  pcall(function()\n    coroutine.wrap(function()\n      while true do end\n    end)()\n  end)\n"
        "  for i = 1, 10 do pcall(error) end\nend)\n";
    static const char *const loops[] = {"GET /loop", "GET /pcall"};
    (void)state;
    script_world *w = begin(app);
    for (int i = 0; i < 6; ++i) {
        double before = processor_ms();
        assert_answer_has(w, loops[i % 2], "the script ran for more than 40 ms without waiting");
        double took = processor_ms() - before;
        assert_true(took >= SLICE_MS * 0.9);
        assert_true(took < SLICE_MS + 50);
        assert_answer(w, "GET /ok", "200 ok");
    }
    assert_logged(w, "app.lua:2: the script ran");
    assert_logged(w, "app.lua:5: the script ran");
    assert_answer_has(w, "GET /caught", "app.lua:19: the script ran for more than 40 ms"); /* not where it was caught */
    assert_logged(w, "app.lua:19: in function <app.lua:18>");
    assert_answer(w, "GET /long", "200 done"); /* 200 ms altogether, but it waits between */
    script_world_end(w);
}

/* Whatever enters Lua is watched. */
static void every_entry_is_watched(void **state)
{
    (void)state;
    script_world *w = script_world_new();
    static const char endless[] = "\nwhile true do end";
    w->slice_ms = SLICE_MS;
    script_world_write(w, "app.lua", endless, sizeof(endless) - 1);
    assert_false(script_world_try(w, NULL, WITH_NOTHING));
    assert_non_null(strstr(w->error.text, "app.lua:2: the script ran for more than 40 ms"));
    script_world_end(w);
    w = script_world_new();
    w->slice_ms = SLICE_MS;
    script_world_write(w, "app.lua", "require 'endless'", 17);
    script_world_write(w, "endless.lua", endless, sizeof(endless) - 1);
    assert_false(script_world_try(w, NULL, WITH_NOTHING));
    assert_non_null(strstr(w->error.text, "endless.lua:2: the script ran for more than 40 ms"));
    script_world_end(w);
    w = begin("app:on_start(function() while true do end end)\napp:get('/', function(req)\n"
              "  fitnessally.spawn(function() while true do end end)\n  req:reply { text = 'answered' } end)");
    assert_logged(w, "app:on_start: app.lua:1: the script ran");
    assert_answer(w, "GET /", "200 answered");
    script_world_end(w);
    w = script_world_begin_with("", WITH_ECHO);
    if (w == NULL)
        return;
    script_world_end(w);
    w = script_world_new();
    static const char app[] =
        "app:get('/', function(req)\n  local r = plugin.echo.wait { ms = 2, progress = function()\n"
        "    while true do end\n  end }\n  req:reply { text = tostring(r ~= nil) }\nend)";
    w->slice_ms = SLICE_MS;
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    assert_true(script_world_try(w, NULL, WITH_ECHO));
    script_ask(w, "GET /");
    assert_logged(w, "progress: app.lua:3: the script ran");
    script_world_end(w);
}

static void nobody_wakes_up_for_nothing(void **state)
{
    (void)state;
    script_world *w = begin("app:get('/', function(req) req:reply { text = 'ok' } end)");
    assert_answer(w, "GET /", "200 ok");
    fa_test_run_for(w->worker, 50); /* it looks once more, sees nobody, and sleeps */
    uint64_t before = fa_watchdog_looks(w->watchdog);
    fa_test_run_for(w->worker, 200);
    assert_int_equal(fa_watchdog_looks(w->watchdog), before);
    assert_answer(w, "GET /", "200 ok");
    fa_test_run_for(w->worker, 50);
    assert_in_range(fa_watchdog_looks(w->watchdog) - before, 1, 6);
    script_world_end(w);
}

static void ignore(void *context, char *tell)
{
    (void)context, (void)tell;
}

static void a_turn_costs_little(void **state)
{
    enum { TIMES = 1000000 };
    (void)state;
    script_world *w = begin("");
    fa_watched *watched = fa_worker_watched(w->worker);
    fa_turn_outside outside;
    double before = processor_ms();
    for (int i = 0; i < TIMES; ++i) {
        fa_watched_begin(watched, SLICE_MS, ignore, NULL, &outside);
        fa_watched_end(watched, &outside);
    }
    double ns = (processor_ms() - before) * 1e6 / TIMES;
    print_message("a turn costs %.0f ns\n", ns);
    assert_true(ns < 100 * (getenv("FA_SLOW") != NULL ? atof(getenv("FA_SLOW")) : 1));
    script_world_end(w);
}

static void theirs(int number)
{
    (void)number;
}

/* The signal is one that nobody has a handler for, and is given back. */
static void the_signal_is_borrowed(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = theirs}, now;
    assert_int_equal(sigaction(SIGRTMIN + 4, &action, NULL), 0);
    script_world *w = begin("");
    int number = fa_watchdog_signal(w->watchdog);
    assert_int_equal(number, SIGRTMIN + 5);
    sigaction(number, NULL, &now);
    assert_true(now.sa_handler != SIG_DFL);
    script_world *second = begin("");
    assert_int_equal(fa_watchdog_signal(second->watchdog), number);
    script_world_end(w);
    sigaction(number, NULL, &now);
    assert_true(now.sa_handler != SIG_DFL);
    script_world_end(second);
    sigaction(number, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL);
    sigaction(SIGRTMIN + 4, NULL, &now);
    assert_true(now.sa_handler == theirs);
    signal(SIGRTMIN + 4, SIG_DFL);
}

static void the_probe_tells(void **state)
{
    (void)state;
    script_world *w = begin("");
    bool interruptible = false;
    assert_int_equal(fa_jit_probe(w->watchdog, &interruptible, &w->error), FA_OK);
    print_message("compiled code can%s be interrupted\n", interruptible ? "" : "not");
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_end_with_their_slice),  cmocka_unit_test(every_entry_is_watched),
        cmocka_unit_test(nobody_wakes_up_for_nothing), cmocka_unit_test(a_turn_costs_little),
        cmocka_unit_test(the_signal_is_borrowed),      cmocka_unit_test(the_probe_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
