#include "server/trend.h"

#include <string.h>

#include "base/units.h"

/* malloc has four sizes of block from one power of two to the next, so a block has at most a quarter more than was asked for. */
enum { ROUNDING = 4 };

const char *fa_line_name(unsigned line)
{
    static const char *const names[FA_LINE_KINDS] = {"rss", "residual", "ours", "inFlight", "lua"};
    return line < FA_LINE_KINDS ? names[line] : fa_kind_name((fa_kind)(line - FA_LINE_KINDS));
}

size_t fa_trend_size(unsigned workers)
{
    return sizeof(fa_trend) + (size_t)FA_TREND_SAMPLES * (FA_LINE_COUNT + workers) * sizeof(uint64_t);
}

fa_trend *fa_trend_init(void *memory, unsigned workers, uint64_t rss_threshold, uint64_t residual_threshold,
                        uint64_t alarm_interval_ms)
{
    fa_trend *trend = memory;
    trend->lines = FA_LINE_COUNT + workers;
    trend->interval_ms = alarm_interval_ms;
    trend->alarms[FA_ALARM_RSS] = (fa_alarm){.line = FA_LINE_RSS, .threshold = rss_threshold};
    trend->alarms[FA_ALARM_RESIDUAL] = (fa_alarm){.line = FA_LINE_RESIDUAL, .threshold = residual_threshold};
    return trend;
}

/* ---- growth ---- */

const uint64_t *fa_trend_sample(const fa_trend *trend, unsigned index, uint64_t *at_ms)
{
    unsigned slot = (trend->next + FA_TREND_SAMPLES - trend->count + index) % FA_TREND_SAMPLES;
    *at_ms = trend->at_ms[slot];
    return &trend->values[(size_t)slot * trend->lines];
}

static uint64_t least(const fa_trend *trend, unsigned line, unsigned from, unsigned to)
{
    uint64_t found = UINT64_MAX, at_ms;
    for (unsigned i = from; i < to; ++i) {
        uint64_t value = fa_trend_sample(trend, i, &at_ms)[line];
        found = value < found ? value : found;
    }
    return found;
}

bool fa_trend_tells(const fa_trend *trend)
{
    return trend->count >= FA_TREND_ENOUGH;
}

uint64_t fa_trend_window_ms(const fa_trend *trend)
{
    uint64_t first, last;
    if (trend->count == 0)
        return 0;
    fa_trend_sample(trend, 0, &first);
    fa_trend_sample(trend, trend->count - 1, &last);
    return last - first;
}

/* Bytes a minute from one third of the window (0: the oldest) to the next. */
static int64_t slope(const fa_trend *trend, unsigned line, unsigned from)
{
    const unsigned begins[] = {0, trend->count / 3, trend->count - trend->count / 3, trend->count};
    const unsigned to = from + 1;
    uint64_t from_ms, to_ms;
    fa_trend_sample(trend, begins[from], &from_ms);
    fa_trend_sample(trend, begins[to], &to_ms);
    int64_t grown =
        (int64_t)(least(trend, line, begins[to], begins[to + 1]) - least(trend, line, begins[from], begins[from + 1]));
    return to_ms > from_ms ? grown * 60000 / (int64_t)(to_ms - from_ms) : 0;
}

int64_t fa_trend_growth(const fa_trend *trend, unsigned line)
{
    if (!fa_trend_tells(trend))
        return 0;
    int64_t first = slope(trend, line, 0), second = slope(trend, line, 1);
    if ((first > 0) != (second > 0))
        return 0; /* one step, or up and down */
    return (first < second) == (first > 0) ? first : second;
}

/* ---- alarms ---- */

static bool may_tell(uint64_t *told_ms, uint64_t now_ms, uint64_t interval_ms)
{
    if (*told_ms != 0 && now_ms - *told_ms < interval_ms)
        return false;
    *told_ms = now_ms;
    return true;
}

static void tell(const fa_trend *trend, const fa_alarm *alarm, const uint64_t *values, const fa_log *log)
{
    char now[16], growth[16], limit[16];
    const char *what = alarm->line == FA_LINE_RSS ? "RSS" : "memory that no owner has (the residual)";
    fa_format_size(values[alarm->line], now);
    if (alarm->raised)
        fa_log_write(
            log, FA_LOG_WARN,
            "memory alarm: %s is %s and grows by %s a minute (alarm at %s); `fitnessally memory doctor` says more",
            what, now, fa_format_size((uint64_t)alarm->growth, growth), fa_format_size(alarm->threshold, limit));
    else
        fa_log_write(log, FA_LOG_INFO, "memory alarm over: %s is %s and stopped growing (%llu s)", what, now,
                     (unsigned long long)fa_trend_window_ms(trend) / 1000);
}

static void look_at(fa_trend *trend, fa_alarm *alarm, uint64_t now_ms, const uint64_t *values, const fa_log *log)
{
    bool was_raised = alarm->raised;
    if (alarm->threshold == 0 || !fa_trend_tells(trend))
        return;
    alarm->growth = fa_trend_growth(trend, alarm->line);
    if (alarm->line == FA_LINE_RESIDUAL) {
        int64_t ours = fa_trend_growth(trend, FA_LINE_OURS);
        alarm->growth -= ours > 0 ? ours / ROUNDING : 0;
    }
    alarm->raised = alarm->growth >= (int64_t)(was_raised ? (alarm->threshold + 1) / 2 : alarm->threshold);
    if (alarm->raised && !was_raised) {
        alarm->raised_ms = now_ms;
        alarm->raises++;
    }
    uint64_t *told = alarm->raised ? &alarm->told_ms : &alarm->undone_told_ms;
    if ((alarm->raised || was_raised) && may_tell(told, now_ms, trend->interval_ms) && log != NULL)
        tell(trend, alarm, values, log);
}

void fa_trend_add(fa_trend *trend, uint64_t at_ms, const uint64_t *values, const fa_log *log)
{
    memcpy(&trend->values[(size_t)trend->next * trend->lines], values, trend->lines * sizeof(*values));
    trend->at_ms[trend->next] = at_ms;
    trend->next = (trend->next + 1) % FA_TREND_SAMPLES;
    trend->count += trend->count < FA_TREND_SAMPLES;
    trend->taken++;
    for (unsigned i = 0; i < FA_ALARMS; ++i)
        look_at(trend, &trend->alarms[i], at_ms, values, log);
}
