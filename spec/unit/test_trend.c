/* core/server/trend: a leak is seen, a burst that comes back is not; alarms with hysteresis that do not repeat themselves; and
 * the tracker itself does not grow. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/tracker.h"
#include "server/trend.h"

enum { MB = 1024 * 1024, STEP_MS = 5000, WORKERS = 2 };

static unsigned warned, informed;
static char last_line[400];

static void count_line(void *context, fa_log_level level, const char *line)
{
    (void)context;
    *(level == FA_LOG_WARN ? &warned : &informed) += 1;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static const fa_log test_log = {.level = FA_LOG_INFO, .fd = -1, .sink = count_line};

typedef struct series {
    fa_trend *trend;
    uint64_t now_ms;
} series;

static series begin(uint64_t alarm_interval_ms)
{
    warned = informed = 0;
    void *memory = calloc(1, fa_trend_size(WORKERS));
    assert_non_null(memory);
    return (series){.trend = fa_trend_init(memory, WORKERS, 8 * MB, 4 * MB, alarm_interval_ms), .now_ms = 1000};
}

static void end(series *s)
{
    free(s->trend);
}

static void add_owned(series *s, uint64_t rss, uint64_t ours, uint64_t residual)
{
    uint64_t values[FA_LINE_COUNT + WORKERS] = {0};
    values[FA_LINE_RSS] = rss;
    values[FA_LINE_RESIDUAL] = residual;
    values[FA_LINE_OURS] = ours;
    values[FA_LINE_COUNT + 1] = rss / 2;
    fa_trend_add(s->trend, s->now_ms, values, &test_log);
    s->now_ms += STEP_MS;
}

static void add(series *s, uint64_t rss, uint64_t residual)
{
    add_owned(s, rss, 0, residual);
}

static const fa_alarm *rss_alarm(const series *s)
{
    return &s->trend->alarms[FA_ALARM_RSS];
}

static void a_leak_is_seen_and_measured(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < FA_TREND_ENOUGH - 1; ++i)
        add(&s, 100 * MB + (uint64_t)i * MB, 0);
    assert_false(fa_trend_tells(s.trend));
    assert_false(rss_alarm(&s)->raised); /* too early to tell */
    for (unsigned i = FA_TREND_ENOUGH - 1; i < 2 * FA_TREND_SAMPLES; ++i)
        add(&s, 100 * MB + (uint64_t)i * MB, 0);
    assert_int_equal(fa_trend_growth(s.trend, FA_LINE_RSS), 12 * MB); /* 1 MB in 5 s */
    assert_int_equal(fa_trend_growth(s.trend, FA_LINE_COUNT + 1), 6 * MB);
    assert_int_equal(fa_trend_growth(s.trend, FA_LINE_OURS), 0);
    assert_true(rss_alarm(&s)->raised);
    assert_false(s.trend->alarms[FA_ALARM_RESIDUAL].raised);
    assert_non_null(strstr(last_line, "RSS is "));
    assert_non_null(strstr(last_line, "12.0 MB a minute"));
    end(&s);
}

static void a_leak_under_a_sawtooth_is_seen(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i) /* 200 MB up and down, and 1 MB a sample below it */
        add(&s, 100 * MB + (uint64_t)i * MB + (uint64_t)(i % 10) * 20 * MB, 0);
    assert_true(fa_trend_growth(s.trend, FA_LINE_RSS) > 10 * MB);
    assert_true(rss_alarm(&s)->raised);
    end(&s);
}

static void a_burst_that_comes_back_is_none(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < 3 * FA_TREND_SAMPLES; ++i) {
        bool burst = i % FA_TREND_SAMPLES > 60 && i % FA_TREND_SAMPLES < 75;
        add(&s, burst ? 2000 * (uint64_t)MB : 100 * MB, burst ? 500 * MB : 10 * MB);
        assert_false(rss_alarm(&s)->raised);
        assert_true(fa_trend_growth(s.trend, FA_LINE_RSS) <= 0);
    }
    assert_int_equal(warned, 0);
    end(&s);
}

/* Load has come and stays, caches have filled: memory is higher than it was, and level again. */
static void one_step_is_none(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < 3 * FA_TREND_SAMPLES; ++i) {
        add(&s, i < 150 ? 20 * MB : 200 * MB, i < 150 ? MB : 60 * MB);
        assert_false(rss_alarm(&s)->raised);
        assert_false(s.trend->alarms[FA_ALARM_RESIDUAL].raised);
        assert_int_equal(fa_trend_growth(s.trend, FA_LINE_RSS), 0);
    }
    assert_int_equal(warned, 0);
    end(&s);
}

/* Half a minute of growth, two of none: that is growth, too. */
static void a_leak_in_steps_is_seen(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < 2 * FA_TREND_SAMPLES; ++i)
        add(&s, 100 * MB + (uint64_t)(i / 30) * 30 * MB, 0);
    assert_true(rss_alarm(&s)->raised);
    assert_int_equal(rss_alarm(&s)->raises, 1); /* it has stood all the time */
    end(&s);
}

static void what_falls_does_not_grow(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, 1000 * (uint64_t)MB - (uint64_t)i * MB, 0);
    assert_int_equal(fa_trend_growth(s.trend, FA_LINE_RSS), -12 * MB);
    end(&s);
}

/* A script that keeps buffers: malloc rounds each up, which nobody owns, but no library leaks. */
static void rounding_of_what_is_owned_is_no_residual(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add_owned(&s, (uint64_t)i * 11 * MB, (uint64_t)i * 10 * MB, (uint64_t)i * MB);
    assert_true(fa_trend_growth(s.trend, FA_LINE_RESIDUAL) > 11 * MB);
    assert_true(rss_alarm(&s)->raised);
    assert_false(s.trend->alarms[FA_ALARM_RESIDUAL].raised);
    end(&s);
}

static void the_residual_has_an_alarm_of_its_own(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, 1000 * (uint64_t)MB, (uint64_t)i * MB / 2); /* 6 MB a minute */
    assert_false(rss_alarm(&s)->raised);
    assert_true(s.trend->alarms[FA_ALARM_RESIDUAL].raised);
    assert_non_null(strstr(last_line, "no owner has"));
    end(&s);
}

/* Between half of the threshold and the threshold an alarm stays what it is. */
static void an_alarm_is_undone_below_half(void **state)
{
    (void)state;
    series s = begin(0);
    uint64_t rss = 100 * MB;
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, rss += MB / 2, 0); /* 6 MB a minute: too little to raise it */
    assert_int_equal(fa_trend_growth(s.trend, FA_LINE_RSS), 6 * MB);
    assert_false(rss_alarm(&s)->raised);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, rss += MB, 0);
    assert_true(rss_alarm(&s)->raised);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, rss += MB / 2, 0); /* 6 again: too much to undo it */
    assert_true(rss_alarm(&s)->raised);
    assert_int_equal(rss_alarm(&s)->raises, 1);
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, rss, 0);
    assert_false(rss_alarm(&s)->raised);
    assert_non_null(strstr(last_line, "over"));
    assert_int_equal(informed, 1);
    end(&s);
}

static void an_alarm_is_told_once_in_its_interval(void **state)
{
    (void)state;
    series s = begin(300000);
    for (unsigned i = 0; i < 2 * FA_TREND_SAMPLES; ++i) /* raised for 204 samples: 1,020 s */
        add(&s, 100 * MB + (uint64_t)i * MB, 0);
    assert_int_equal(rss_alarm(&s)->raises, 1);
    assert_int_equal(warned, 4); /* at 0, 300, 600, 900 s */
    end(&s);
}

static void an_alarm_may_be_switched_off(void **state)
{
    (void)state;
    void *memory = calloc(1, fa_trend_size(WORKERS));
    series s = {.trend = fa_trend_init(memory, WORKERS, 0, 0, 0), .now_ms = 1000};
    warned = 0;
    for (unsigned i = 0; i < FA_TREND_SAMPLES; ++i)
        add(&s, (uint64_t)i * 100 * MB, (uint64_t)i * 100 * MB);
    assert_int_equal(warned, 0);
    assert_false(rss_alarm(&s)->raised);
    end(&s);
}

static void the_oldest_samples_go(void **state)
{
    (void)state;
    uint64_t first_ms, last_ms;
    series s = begin(0);
    for (unsigned i = 0; i < FA_TREND_SAMPLES + 7; ++i)
        add(&s, i, 0);
    assert_int_equal(fa_trend_sample(s.trend, 0, &first_ms)[FA_LINE_RSS], 7);
    assert_int_equal(fa_trend_sample(s.trend, FA_TREND_SAMPLES - 1, &last_ms)[FA_LINE_RSS], FA_TREND_SAMPLES + 6);
    assert_int_equal(last_ms - first_ms, (FA_TREND_SAMPLES - 1) * STEP_MS);
    assert_int_equal(fa_trend_window_ms(s.trend), last_ms - first_ms);
    end(&s);
}

/* ---- the tracker ---- */

static fa_failing memory;

static size_t fake_heap(void *context, unsigned worker)
{
    (void)context;
    return 1000 + worker;
}

typedef struct seen {
    uint64_t taken, lua;
} seen;

static void look(void *context, const fa_trend *trend)
{
    uint64_t at_ms;
    seen *s = context;
    s->taken = trend->taken;
    s->lua = trend->count > 0 ? fa_trend_sample(trend, trend->count - 1, &at_ms)[FA_LINE_LUA] : 0;
}

static void *run_worker(void *worker)
{
    fa_worker_run(worker);
    return NULL;
}

static void finish_worker(void *context, fa_worker *worker)
{
    (void)context;
    fa_worker_finish(worker);
}

static void the_tracker_takes_no_memory_once_it_runs(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    fa_scope *scope;
    fa_tracker *tracker;
    seen now = {0};
    fa_ledger *ledger = fa_test_ledger(&memory);
    fa_crew crew = {.count = WORKERS};
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope));
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_ok(fa_worker_new(ledger, scope, i, NULL, &crew.workers[i], NULL));
    fa_tracker_options options = {
        .ledger = ledger, .crew = &crew, .log = &test_log, .heap = fake_heap, .interval_ms = 2};
    assert_ok(fa_tracker_new(scope, &options, &tracker));
    size_t requests = memory.requests, bytes = fa_ledger_bytes(ledger);
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, crew.workers[i]), 0);
    for (unsigned rounds = 0; now.taken < 2 * FA_TREND_SAMPLES && rounds < 30000; ++rounds) {
        fa_tracker_look(tracker, look, &now);
        uv_sleep(1);
    }
    assert_true(now.taken >= 2 * FA_TREND_SAMPLES);
    assert_int_equal(now.lua, 1000 + 1001);
    assert_int_equal(memory.requests, requests);
    assert_int_equal(fa_ledger_bytes(ledger), bytes);
    fa_tracker_stop(tracker);
    fa_tracker_look(tracker, look, &now);
    uint64_t stopped_at = now.taken;
    uv_sleep(20);
    fa_tracker_look(tracker, look, &now);
    assert_int_equal(now.taken, stopped_at);
    fa_crew_visit_and_wait(&crew, 60000, finish_worker, NULL);
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < WORKERS; ++i)
        fa_worker_free(crew.workers[i]);
    fa_scope_end(scope, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leak_is_seen_and_measured),
        cmocka_unit_test(a_leak_under_a_sawtooth_is_seen),
        cmocka_unit_test(a_burst_that_comes_back_is_none),
        cmocka_unit_test(one_step_is_none),
        cmocka_unit_test(a_leak_in_steps_is_seen),
        cmocka_unit_test(what_falls_does_not_grow),
        cmocka_unit_test(rounding_of_what_is_owned_is_no_residual),
        cmocka_unit_test(the_residual_has_an_alarm_of_its_own),
        cmocka_unit_test(an_alarm_is_undone_below_half),
        cmocka_unit_test(an_alarm_is_told_once_in_its_interval),
        cmocka_unit_test(an_alarm_may_be_switched_off),
        cmocka_unit_test(the_oldest_samples_go),
        cmocka_unit_test(the_tracker_takes_no_memory_once_it_runs),
    };
    return cmocka_run_group_tests_name("trend", tests, NULL, NULL);
}
