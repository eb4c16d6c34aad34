/* The trend: a fixed ring of samples of every figure that can grow, the growth it shows, and the alarms that stand on it.
 *
 * Growth is that of the floor, the least value of a third of the window: from the oldest third to the middle one, and from there to
 * the newest; of the two the lesser counts. A burst that comes back leaves no growth, however high it was, and one step up does
 * not either (load has come, caches have filled); a leak does, however small its steps are. All is counted in integers, and
 * nothing is allocated after fa_trend_init.
 *
 * The alarm on the residual leaves out what may be malloc's rounding of blocks of ours: a quarter of the growth of ours.
 *
 * An alarm is raised when growth reaches its threshold and undone when growth is below half of it. Each is told in the log at most
 * once in its interval, and stands in every report until it is undone. Thread: one; core/server/tracker guards it.
 */
#ifndef FA_SERVER_TREND_H
#define FA_SERVER_TREND_H

#include "base/log.h"
#include "memory/ledger.h"

/* The window, and how much of it must be there before growth is told. */
enum { FA_TREND_SAMPLES = 120, FA_TREND_ENOUGH = 36 };

/* What is sampled. The Lua heap of worker i is line FA_LINE_COUNT + i. */
enum {
    FA_LINE_RSS,
    FA_LINE_RESIDUAL,
    FA_LINE_OURS,
    FA_LINE_IN_FLIGHT,
    FA_LINE_LUA, /* of all workers */
    FA_LINE_KINDS,
    FA_LINE_COUNT = FA_LINE_KINDS + FA_KIND_COUNT
};

/* "rss", "dialogue"; for lines below FA_LINE_COUNT. */
const char *fa_line_name(unsigned line);

typedef struct fa_alarm {
    unsigned line;
    uint64_t threshold; /* bytes a minute; 0: never */
    bool raised;
    int64_t growth; /* when it was last looked at */
    uint64_t raised_ms, told_ms, undone_told_ms;
    unsigned raises;
} fa_alarm;

enum { FA_ALARM_RSS, FA_ALARM_RESIDUAL, FA_ALARMS };

typedef struct fa_trend {
    unsigned lines; /* values in a sample */
    unsigned count, next;
    uint64_t taken;
    uint64_t interval_ms; /* between two log lines of one alarm */
    fa_alarm alarms[FA_ALARMS];
    uint64_t at_ms[FA_TREND_SAMPLES];
    uint64_t values[]; /* [FA_TREND_SAMPLES][lines] */
} fa_trend;

size_t fa_trend_size(unsigned workers);

/* memory: fa_trend_size(workers) bytes, zeroed. Thresholds in bytes a minute, 0: no such alarm. */
fa_trend *fa_trend_init(void *memory, unsigned workers, uint64_t rss_threshold, uint64_t residual_threshold,
                        uint64_t alarm_interval_ms);

/* Adds a sample (trend->lines values; the oldest goes when the ring is full) and looks at the alarms. at_ms: monotonic and never
 * the same twice. log: may be NULL. */
void fa_trend_add(fa_trend *trend, uint64_t at_ms, const uint64_t *values, const fa_log *log);

/* The i-th sample, oldest first. */
const uint64_t *fa_trend_sample(const fa_trend *trend, unsigned index, uint64_t *at_ms);

/* Bytes a minute; 0 while there is not enough to tell. */
int64_t fa_trend_growth(const fa_trend *trend, unsigned line);
bool fa_trend_tells(const fa_trend *trend);
uint64_t fa_trend_window_ms(const fa_trend *trend);

#endif
