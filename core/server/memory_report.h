/* The memory report: every byte has an owner, or is named as having none (DESIGN.md, invariant 1).
 *
 * Made from counters and from a census that each worker takes of its own tree, all at the same time. With nothing going on it is
 * exact; under load it is a snapshot of each worker, whose age it tells. The asking request, and what the report itself takes, are
 * left out. server/memory_json.c says it as JSON, server/memory_text.c for people, server/doctor.c says what it means.
 */
#ifndef FA_SERVER_MEMORY_REPORT_H
#define FA_SERVER_MEMORY_REPORT_H

#include "dialogue/census.h"
#include "memory/census.h"
#include "memory/pressure.h"
#include "server/memory_figures.h"
#include "server/runtime.h"
#include "server/tracker.h"

enum { FA_MEMORY_WARNINGS = 6 };

/* Of the trend, what reports need. */
typedef struct fa_memory_trend {
    bool on, tells;
    unsigned samples;
    uint64_t interval_ms, window_ms;
    int64_t growth[FA_LINE_COUNT]; /* bytes a minute */
    int64_t lua_growth[FA_MAX_WORKERS];
    fa_alarm alarms[FA_ALARMS];
} fa_memory_trend;

/* The scripts of one generation on one worker. */
typedef struct fa_memory_generation {
    unsigned number;
    fa_script_figures script;
} fa_memory_generation;

typedef struct fa_memory_worker {
    bool busy;                /* it did not come to its snapshot in time: only its totals are known */
    uint64_t age_ms;          /* of its snapshot */
    fa_script_figures script; /* of all generations */
    fa_memory_generation generations[FA_MOST_GENERATIONS]; /* the one that serves first */
    size_t generation_count;
} fa_memory_worker;

typedef struct fa_memory_report {
    uint64_t uptime_ms;
    fa_memory_figures figures;
    size_t budget, total; /* of all that runs; budget 0: none */
    fa_pressure_level pressure;
    size_t open_files, threads;
    unsigned worker_count;
    fa_memory_worker workers[FA_MAX_WORKERS];
    fa_census census;    /* of all workers; sorted */
    fa_inventory living; /* what does not last as long as the server does */
    fa_dialogues_census dialogues;
    fa_memory_trend trend;
    char warnings[FA_MEMORY_WARNINGS][160];
    size_t warning_count;
    bool critical;
} fa_memory_report;

size_t fa_memory_lua(const fa_memory_report *report); /* bytes of all Lua heaps */

/* Fills in the warnings and `critical` from the rest: alarms that are raised, a budget that is nearly full. */
void fa_memory_judge(fa_memory_report *report);

/* ---- making one ---- */

/* What reports are made of; all borrowed while the server runs. */
typedef struct fa_memory_sources {
    fa_ledger *ledger;
    fa_scope *running; /* owner of all that runs, of the server's thread */
    fa_runtime *runtime;
    fa_pressure *pressure;
    fa_tracker *tracker; /* NULL: switched off */
    uint64_t tracker_interval_ms;
    uint64_t started_ms;
} fa_memory_sources;

/* What the pieces of memory are called: "report" (/api/health/memory), "analysis", "tracker", "doctor", "full" (all four), and, for
 * people, "report text", "doctor text". */
bool fa_memory_knows(const char *what);

/* For scripts (fa_memory_source): context is the fa_memory_sources. Thread: the question's worker. */
fa_result fa_memory_answer(void *context, fa_memory_question *question);

/* For threads that are no worker's: appends the answer to `out`. The workers run. FA_INVALID when nothing is called so. */
fa_result fa_memory_answer_outside(const fa_memory_sources *sources, const char *what, fa_buffer *out);

/* ---- saying it (memory_json.c, memory_text.c, doctor.c) ---- */

fa_result fa_memory_report_json(const fa_memory_report *report, fa_buffer *out);
fa_result fa_memory_analysis_json(const fa_memory_report *report, fa_buffer *out);
fa_result fa_memory_tracker_json(const fa_memory_report *report, const fa_memory_sources *sources, fa_buffer *out);
fa_result fa_memory_report_text(const fa_memory_report *report, fa_buffer *out);

#endif
