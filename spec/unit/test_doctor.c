/* core/server/doctor: made-up reports, and the sentences that they must lead to. */
#include "testing.h"

#include <stdio.h>

#include "server/doctor.h"

enum { MB = 1024 * 1024 };

static fa_memory_report r;
static fa_diagnosis d;

/* A server with nothing wrong. */
static int healthy(void **state)
{
    (void)state;
    memset(&r, 0, sizeof(r));
    r.worker_count = 2;
    r.budget = 512 * (size_t)MB;
    r.total = 40 * MB;
    r.figures.rss = 60 * MB;
    r.figures.ours = 40 * MB;
    r.figures.residual = 2 * MB;
    r.trend.on = r.trend.tells = true;
    r.trend.window_ms = 595000;
    return 0;
}

static const char *all(void)
{
    static char text[FA_FINDINGS * 450];
    size_t used = 0;
    fa_diagnose(&r, &d);
    for (size_t i = 0; i < d.count; ++i)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", d.findings[i].text);
    return text;
}

#define assert_says(part)                                                                                              \
    do {                                                                                                               \
        const char *said_ = all();                                                                                     \
        if (strstr(said_, (part)) == NULL)                                                                             \
            fail_msg("\"%s\" is not in:\n%s", (part), said_);                                                          \
    } while (0)

static void nothing_is_wrong(void **state)
{
    (void)state;
    assert_says("Nothing is wrong: RSS 60.0 MB; 40.0 MB owned");
    assert_int_equal(d.count, 1);
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_NOTE);
    assert_says("nothing grows");
    r.trend.tells = false;
    assert_says("too short a time to tell growth");
    r.trend.on = false;
    assert_says("the tracker is off");
}

static void slow_listeners(void **state)
{
    (void)state;
    r.dialogues = (fa_dialogues_census){.live = 9,
                                        .log_bytes = 20 * MB,
                                        .slow_held = 19 * MB + MB / 2,
                                        .slow = 3,
                                        .slow_rate = 2047,
                                        .slowest_count = 1};
    snprintf(r.dialogues.slowest[0].dialogue, sizeof(r.dialogues.slowest[0].dialogue), "vd-abc");
    snprintf(r.dialogues.slowest[0].remote, sizeof(r.dialogues.slowest[0].remote), "10.0.0.7");
    assert_says(
        "97 % of dialogue bytes (19.5 MB) are held by 3 listeners that read slower than 2.0 KB/s; see dialogue vd-abc, "
        "listener at 10.0.0.7");
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_WARNING);
    r.dialogues.slow_held = MB;
    assert_null(strstr(all(), "dialogue bytes"));
}

static void steps_of_pressure_are_named(void **state)
{
    (void)state;
    r.total = 395 * (size_t)MB;
    r.pressure = FA_PRESSURE_PAUSE_UPSTREAMS;
    assert_says(
        "Memory pressure stands at step 2 of 6 (77 % of the budget): refuse new dialogues, pause upstream reads.");
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_WARNING);
    r.pressure = FA_PRESSURE_REFUSE_CONNECTIONS;
    assert_says("drop the slowest listener, refuse connections. It is undone");
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_CRITICAL);
}

static void a_worker_that_does_not_answer(void **state)
{
    (void)state;
    r.workers[1].busy = true;
    assert_says("Worker 1 did not answer");
    assert_null(strstr(all(), "Worker 0"));
}

static void a_full_budget_comes_first(void **state)
{
    (void)state;
    r.trend.growth[FA_LINE_KINDS + FA_KIND_DIALOGUE] = 2 * MB;
    r.figures.kinds[FA_KIND_DIALOGUE] = (fa_kind_figures){.bytes = 400 * (size_t)MB, .count = 300, .ended = 12};
    r.total = 440 * (size_t)MB;
    assert_says("85 % of the memory budget of 512.0 MB are in use");
    assert_says("most is held by dialogue: 400.0 MB in 300");
    assert_says("dialogue memory grows by 2.0 MB a minute and is 400.0 MB in 300 now (12 have ended)");
    r.total = 500 * (size_t)MB;
    all();
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_CRITICAL);
    assert_non_null(strstr(d.findings[0].text, "97 % of the memory budget"));
    assert_null(strstr(all(), "Nothing is wrong"));
}

static void alarms(void **state)
{
    (void)state;
    r.trend.alarms[FA_ALARM_RSS] = (fa_alarm){.line = FA_LINE_RSS, .raised = true, .growth = 30 * MB};
    r.trend.growth[FA_LINE_RESIDUAL] = 29 * MB;
    assert_says(
        "RSS grows by 30.0 MB a minute (over the last 595 s); of that, owners of ours grow by 0 B, Lua heaps by 0 B");
    assert_says("and memory without an owner by 29.0 MB.");
    r.trend.alarms[FA_ALARM_RESIDUAL] = (fa_alarm){.line = FA_LINE_RESIDUAL, .raised = true, .growth = 29 * MB};
    assert_says("Memory that no owner has grows by 29.0 MB a minute: a library leaks");
}

static void a_lua_heap_that_grows(void **state)
{
    (void)state;
    r.trend.lua_growth[1] = MB;
    r.workers[1].script.heap = 90 * MB;
    assert_says("The Lua heap of worker 1 grows by 1.0 MB a minute and is 90.0 MB now");
    r.trend.tells = false;
    assert_null(strstr(all(), "Lua heap of"));
}

/* Not only that there is too much, but whose it is and which lines made it. */
static void who_grows_and_from_which_line(void **state)
{
    (void)state;
    r.trend.growth[FA_LINE_OURS] = r.trend.growth[FA_LINE_KINDS + FA_KIND_SCRIPT] = 20 * MB;
    r.figures.kinds[FA_KIND_SCRIPT] = (fa_kind_figures){.bytes = 34 * MB, .count = 1};
    r.census.largest_count = 2;
    r.census.largest[0] = (fa_census_owner){.kind = FA_KIND_WORKER, .label = "worker", .own = 35 * MB};
    r.census.largest[1] = (fa_census_owner){
        .kind = FA_KIND_SCRIPT, .label = "hall", .own = 34 * MB, .made_at = {"/home/u/core/app.lua", 4}};
    r.census.place_count = 4;
    r.census.places[0] = (fa_census_place){.at = {"app.lua", 33}, .bytes = 20 * MB, .buffers = 301};
    r.census.places[1] = (fa_census_place){.at = {"core/worker/worker.c", 81}, .bytes = 15 * MB, .scopes = 1};
    r.census.places[2] = (fa_census_place){.at = {"routes/b.lua", 5}, .bytes = 14 * MB, .buffers = 2};
    r.census.places[3] = (fa_census_place){.at = {"routes/c.lua", 6}, .bytes = MB, .buffers = 9};
    assert_says("script memory grows by 20.0 MB a minute and is 34.0 MB in 1 now (0 have ended); the largest is hall "
                "with 34.0 MB, made at core/app.lua:4.");
    assert_says("The buffers that hold most were made here: 20.0 MB in 301 at app.lua:33, 14.0 MB in 2 at "
                "routes/b.lua:5.");
    r.trend.tells = false;
    assert_null(strstr(all(), "made here"));
    r.total = 500 * (size_t)MB;
    assert_says("most is held by script: 34.0 MB in 1; the largest is hall");
    assert_says("made here: 20.0 MB in 301 at app.lua:33");
}

static void a_lua_heap_at_its_limit(void **state)
{
    (void)state;
    r.workers[0].generation_count = 1;
    fa_script_figures *script = &r.workers[0].generations[0].script;
    *script = (fa_script_figures){.heap = 61 * MB, .heap_limit = 64 * MB};
    assert_says("Nothing is wrong"); /* most of it may be garbage */
    script->heap_refused = 29;
    assert_says("The Lua heap of worker 0 is at 95 % of its limit of 64.0 MB (script_heap), and scripts that asked for "
                "more have failed (29 refusals)");
    assert_int_equal(d.findings[0].severity, FA_SEVERITY_WARNING);
    script->heap = 5 * MB;
    assert_says("Nothing is wrong");
    assert_says("(29 refusals); the heap is 5.0 MB now");
}

static void the_allocator_keeps_what_was_freed(void **state)
{
    (void)state;
    r.figures.rss = 80 * MB;
    r.figures.retained = 36 * MB;
    assert_says("Nothing is wrong");
    assert_says("RSS is 40.0 MB above what is owned: the allocator keeps 36.0 MB that it could give back");
    r.figures.retained = 0;
    r.figures.rss = 200 * MB;
    r.figures.residual = 120 * MB;
    assert_says("120.0 MB were taken by libraries on their own");
}

static void plugins_owners_and_what_is_on_its_way(void **state)
{
    (void)state;
    r.figures.source_count = 1;
    r.figures.sources[0].name = "records";
    r.figures.sources[0].bytes = 30 * MB;
    assert_says("records holds 30.0 MB by an allocator of its own, 50 % of RSS");
    r.census.oldest_count = r.census.largest_count = 1;
    r.census.oldest[0] = (fa_census_owner){.kind = FA_KIND_TURN,
                                           .label = "turn 7",
                                           .age_ms = 200000,
                                           .total = 3 * MB,
                                           .made_at = {"routes/voice.lua", 31}};
    assert_says("The turn 'turn 7' of worker 0 is 200 s old and holds 3.0 MB (made at routes/voice.lua:31)");
    r.census.largest[0] =
        (fa_census_owner){.kind = FA_KIND_TURN, .label = "turn 7", .total = 15 * MB, .budget = 16 * MB};
    assert_says("turn 7 is at 93 % of its budget of 16.0 MB");
    r.figures.kinds[FA_KIND_DIALOGUE] = (fa_kind_figures){.in_flight = 5 * MB};
    assert_says("5.0 MB of ended dialogues are still on their way to slow clients");
    r.dialogues.waiting = 2;
    r.dialogues.live = 5;
    assert_says("2 of 5 dialogues wait for their slowest listener");
}

static void warnings_of_the_report(void **state)
{
    (void)state;
    fa_memory_judge(&r);
    assert_int_equal(r.warning_count, 0);
    r.trend.alarms[FA_ALARM_RSS] = (fa_alarm){.raised = true, .growth = 30 * MB, .threshold = 8 * MB};
    r.total = 470 * (size_t)MB;
    fa_memory_judge(&r);
    assert_int_equal(r.warning_count, 2);
    assert_string_equal(r.warnings[0], "RSS grows by 30.0 MB a minute (alarm at 8.0 MB)");
    assert_false(r.critical);
    r.total = 512 * (size_t)MB;
    fa_memory_judge(&r);
    assert_true(r.critical);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_wrong, healthy),
        cmocka_unit_test_setup(slow_listeners, healthy),
        cmocka_unit_test_setup(steps_of_pressure_are_named, healthy),
        cmocka_unit_test_setup(a_worker_that_does_not_answer, healthy),
        cmocka_unit_test_setup(a_full_budget_comes_first, healthy),
        cmocka_unit_test_setup(alarms, healthy),
        cmocka_unit_test_setup(a_lua_heap_that_grows, healthy),
        cmocka_unit_test_setup(who_grows_and_from_which_line, healthy),
        cmocka_unit_test_setup(a_lua_heap_at_its_limit, healthy),
        cmocka_unit_test_setup(the_allocator_keeps_what_was_freed, healthy),
        cmocka_unit_test_setup(plugins_owners_and_what_is_on_its_way, healthy),
        cmocka_unit_test_setup(warnings_of_the_report, healthy),
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
