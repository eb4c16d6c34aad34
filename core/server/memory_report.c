#include "server/memory_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "server/doctor.h"
#include "server/process.h"
#include "worker/job.h"
#include "worker/timer.h"

enum {
    PATIENCE_MS = 500, /* with a worker that a script does not let go; a report is wanted within a second */
    APART_MS = 100,    /* further apart than this the workers' snapshots do not belong together: they are taken again */
    MOST_ROUNDS = 5
};

/* One worker's share, written on its thread. */
typedef struct piece {
    bool visited;
    uint64_t at_ms;
    fa_script_figures script;
    fa_memory_generation generations[FA_MOST_GENERATIONS];
    size_t generation_count;
    fa_census census;
    fa_inventory living;
    fa_dialogues_census dialogues;
} piece;

typedef struct work {
    const fa_memory_sources *sources;
    fa_memory_question *question; /* NULL when asked from outside */
    fa_worker *asker;             /* its worker */
    fa_account *account;          /* pays for this */
    unsigned count, rounds;
    uint64_t began_ms;
    fa_memory_report report;
    piece pieces[];
} work;

size_t fa_memory_lua(const fa_memory_report *report)
{
    size_t sum = 0;
    for (unsigned i = 0; i < report->worker_count; ++i)
        sum += report->workers[i].script.heap;
    return sum;
}

/* ---- judging ---- */

__attribute__((format(printf, 2, 3))) static void warn(fa_memory_report *report, const char *format, ...)
{
    va_list arguments;
    if (report->warning_count == FA_MEMORY_WARNINGS)
        return;
    va_start(arguments, format);
    vsnprintf(report->warnings[report->warning_count++], sizeof(report->warnings[0]), format, arguments);
    va_end(arguments);
}

void fa_memory_judge(fa_memory_report *report)
{
    static const char *const what[FA_ALARMS] = {"RSS", "Memory that no owner has (residual)"};
    char a[16], b[16];
    for (unsigned i = 0; i < FA_ALARMS; ++i) {
        const fa_alarm *alarm = &report->trend.alarms[i];
        if (alarm->raised)
            warn(report, "%s grows by %s a minute (alarm at %s)", what[i], fa_format_size((uint64_t)alarm->growth, a),
                 fa_format_size(alarm->threshold, b));
    }
    if (report->budget != 0 && report->total >= report->budget / 10 * 9)
        warn(report, "%s of the memory budget of %s are in use", fa_format_size(report->total, a),
             fa_format_size(report->budget, b));
    unsigned busy = 0;
    for (unsigned i = 0; i < report->worker_count; ++i)
        busy += report->workers[i].busy ? 1 : 0;
    if (busy > 0)
        warn(report,
             "%u of %u workers did not answer within %d ms: a script or a library call holds them; their totals are "
             "told, "
             "their owners not",
             busy, report->worker_count, PATIENCE_MS);
    report->critical = report->budget != 0 && report->total >= report->budget / 100 * 97;
}

/* ---- gathering ---- */

static void add_figures(fa_script_figures *to, const fa_script_figures *more)
{
    to->heap += more->heap;
    to->heap_peak = more->heap_peak > to->heap_peak ? more->heap_peak : to->heap_peak;
    to->heap_limit = more->heap_limit;
    to->heap_refused += more->heap_refused;
    to->tasks += more->tasks;
    to->copies += more->copies;
    to->copied_bytes += more->copied_bytes;
}

static void visit(void *context, fa_worker *worker)
{
    work *w = context;
    unsigned index = fa_worker_index(worker);
    piece *p = &w->pieces[index];
    fa_script *all[FA_MOST_GENERATIONS + 1];
    fa_generations *generations = fa_runtime_generations(w->sources->runtime, index);
    const fa_scope *asking = w->question != NULL && worker == w->asker ? w->question->asking : NULL;
    memset(p, 0, sizeof(*p)); /* it may be the second time */
    p->at_ms = fa_worker_now_exact(worker);
    p->visited = true;
    fa_census_take(&p->census, fa_worker_scope(worker), asking, index, p->at_ms);
    fa_inventory_take(&p->living, fa_worker_scope(worker), asking, false, index);
    fa_timers_take_inventory(worker, &p->living, asking, false);
    fa_jobs_take_inventory(worker, &p->living);
    if (fa_generations_all(generations, all) == 0)
        return;
    for (fa_script **script = all; *script != NULL; ++script) {
        fa_memory_generation *figures = &p->generations[p->generation_count++];
        figures->number = fa_script_generation(*script);
        fa_script_take_inventory(*script, &p->living, asking);
        fa_script_read_figures(*script, &figures->script);
        add_figures(&p->script, &figures->script);
    }
    fa_dialogues_take_census(fa_script_dialogues(all[0]), &p->dialogues);
}

static void copy_trend(void *context, const fa_trend *trend)
{
    fa_memory_trend *to = context;
    to->tells = fa_trend_tells(trend);
    to->samples = trend->count;
    to->window_ms = fa_trend_window_ms(trend);
    for (unsigned line = 0; line < FA_LINE_COUNT; ++line)
        to->growth[line] = fa_trend_growth(trend, line);
    for (unsigned i = 0; FA_LINE_COUNT + i < trend->lines; ++i)
        to->lua_growth[i] = fa_trend_growth(trend, FA_LINE_COUNT + i);
    memcpy(to->alarms, trend->alarms, sizeof(to->alarms));
}

static void merge_pieces(work *w)
{
    fa_memory_report *report = &w->report;
    uint64_t now_ms = fa_clock_now_ms(fa_ledger_clock(w->sources->ledger));
    for (unsigned i = 0; i < w->count; ++i) {
        const piece *p = &w->pieces[i];
        if (!p->visited) {
            report->workers[i] = (fa_memory_worker){.busy = true};
            continue;
        }
        report->workers[i] = (fa_memory_worker){
            .age_ms = now_ms - p->at_ms, .script = p->script, .generation_count = p->generation_count};
        memcpy(report->workers[i].generations, p->generations, sizeof(p->generations));
        fa_census_merge(&report->census, &p->census);
        fa_inventory_merge(&report->living, &p->living);
        fa_dialogues_merge_census(&report->dialogues, &p->dialogues);
    }
    report->worker_count = w->count;
}

/* The plugins and caches beside the workers. What hangs from them belongs to other threads; their counters are anybody's, and the
 * list that they stand in changes only while nothing runs. */
static void add_lasting_owners(work *w)
{
    fa_scope *root = w->sources->running;
    uint64_t now_ms = fa_clock_now_ms(fa_ledger_clock(w->sources->ledger));
    fa_census_add_owner(&w->report.census, root, 0, now_ms);
    for (fa_scope *at = fa_scope_walk(root, root, true); at != NULL; at = fa_scope_walk(root, at, false)) {
        if (fa_scope_kind(at) != FA_KIND_WORKER)
            fa_census_add_owner(&w->report.census, at, 0, now_ms);
    }
}

static size_t work_size(unsigned count)
{
    return sizeof(work) + count * sizeof(piece);
}

static void leave_out_self(work *w)
{
    fa_memory_figures *figures = &w->report.figures;
    fa_kind_figures *kind = &figures->kinds[fa_account_kind(w->account)];
    kind->bytes -= work_size(w->count);
    figures->ours -= work_size(w->count);
    if (w->question != NULL) {
        size_t visit_bytes = fa_crew_visit_bytes(fa_runtime_crew(w->sources->runtime));
        figures->kinds[FA_KIND_WORKER].bytes -= visit_bytes;
        figures->ours -= visit_bytes;
    }
    fa_scope *asking = w->question != NULL ? w->question->asking : NULL;
    if (asking != NULL)
        fa_memory_leave_out(figures, asking);
    if (asking != NULL && w->report.workers[fa_worker_index(w->asker)].script.tasks > 0)
        w->report.workers[fa_worker_index(w->asker)].script.tasks--;
}

/* All that is read in one place, after the workers have been. */
static void complete(work *w)
{
    fa_memory_report *report = &w->report;
    const fa_memory_sources *sources = w->sources;
    fa_memory_read(sources->ledger, &report->figures);
    merge_pieces(w);
    leave_out_self(w);
    add_lasting_owners(w);
    fa_census_sort(&report->census);
    report->uptime_ms = fa_clock_now_ms(fa_ledger_clock(sources->ledger)) - sources->started_ms;
    report->budget = fa_account_budget(fa_scope_account(sources->running));
    report->total = fa_account_total(fa_scope_account(sources->running));
    report->pressure = fa_pressure_now(sources->pressure);
    report->open_files = fa_process_open_files();
    report->threads = fa_process_threads();
    report->trend.on = sources->tracker != NULL;
    report->trend.interval_ms = sources->tracker_interval_ms;
    if (sources->tracker != NULL)
        fa_tracker_look(sources->tracker, copy_trend, &report->trend);
    fa_memory_judge(report);
}

/* ---- answering ---- */

static fa_result say_full(const fa_memory_report *report, const fa_memory_sources *sources, fa_buffer *out)
{
    static const char *const keys[] = {"{\"report\":", ",\"analysis\":", ",\"tracker\":", ",\"doctor\":"};
    fa_result result = FA_OK;
    for (int i = 0; i < 4 && result == FA_OK; ++i) {
        result = fa_buffer_append(out, keys[i], strlen(keys[i]));
        if (result == FA_OK)
            result = i == 0   ? fa_memory_report_json(report, out)
                     : i == 1 ? fa_memory_analysis_json(report, out)
                     : i == 2 ? fa_memory_tracker_json(report, sources, out)
                              : fa_doctor_json(report, out);
    }
    return result == FA_OK ? fa_buffer_append(out, "}\n", 2) : result;
}

bool fa_memory_knows(const char *what)
{
    static const char *const known[] = {"report", "analysis",    "tracker",    "doctor",
                                        "full",   "report text", "doctor text"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        if (strcmp(what, known[i]) == 0)
            return true;
    }
    return false;
}

static fa_result say(const char *what, const fa_memory_report *report, const fa_memory_sources *sources, fa_buffer *out)
{
    if (strcmp(what, "report") == 0)
        return fa_memory_report_json(report, out);
    if (strcmp(what, "analysis") == 0)
        return fa_memory_analysis_json(report, out);
    if (strcmp(what, "tracker") == 0)
        return fa_memory_tracker_json(report, sources, out);
    if (strcmp(what, "doctor") == 0)
        return fa_doctor_json(report, out);
    if (strcmp(what, "full") == 0)
        return say_full(report, sources, out);
    if (strcmp(what, "report text") == 0)
        return fa_memory_report_text(report, out);
    if (strcmp(what, "doctor text") == 0)
        return fa_doctor_text(report, out);
    return FA_INVALID;
}

/* The server's root pays, which the census does not look at and which has no budget: a full server can still be asked. */
static fa_result new_work(const fa_memory_sources *sources, work **out)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_scope_parent(sources->running));
    unsigned count = fa_runtime_crew(sources->runtime)->count;
    fa_result result = fa_account_allocate(account, work_size(count), &memory);
    if (result != FA_OK)
        return result;
    *out = memset(memory, 0, work_size(count));
    (*out)->sources = sources;
    (*out)->account = account;
    (*out)->count = count;
    (*out)->began_ms = fa_clock_now_ms(fa_ledger_clock(sources->ledger));
    return FA_OK;
}

static void free_work(work *w)
{
    fa_account_free(w->account, w, work_size(w->count));
}

/* Whether the workers came to it at times too different, and there is time to take all of it once more. */
static bool wants_another_round(work *w)
{
    uint64_t first = UINT64_MAX, last = 0;
    for (unsigned i = 0; i < w->count; ++i) {
        const piece *p = &w->pieces[i];
        if (!p->visited)
            return false;
        first = p->at_ms < first ? p->at_ms : first;
        last = p->at_ms > last ? p->at_ms : last;
    }
    uint64_t now_ms = fa_clock_now_ms(fa_ledger_clock(w->sources->ledger));
    return last - first > APART_MS && ++w->rounds < MOST_ROUNDS && now_ms - w->began_ms < PATIENCE_MS;
}

static void on_visited(void *context);

static fa_result visit_all(work *w)
{
    return fa_crew_visit(fa_runtime_crew(w->sources->runtime), w->asker, PATIENCE_MS, visit, on_visited, w);
}

static void on_visited(void *context)
{
    work *w = context;
    if (wants_another_round(w) && visit_all(w) == FA_OK)
        return;
    fa_memory_question *question = w->question;
    fa_buffer *out = NULL;
    complete(w);
    fa_result result = fa_buffer_new_detached(w->account, 4096, "memory report", FA_HERE, &out);
    if (result == FA_OK)
        result = say(question->what, &w->report, w->sources, out);
    free_work(w);
    question->answered(question, result, out);
    if (out != NULL)
        fa_buffer_release(out);
}

fa_result fa_memory_answer(void *context, fa_memory_question *question)
{
    const fa_memory_sources *sources = context;
    work *w;
    fa_result result = fa_memory_knows(question->what) ? new_work(sources, &w) : FA_INVALID;
    if (result != FA_OK)
        return result;
    w->question = question;
    w->asker = question->worker;
    result = visit_all(w);
    if (result != FA_OK)
        free_work(w);
    return result;
}

fa_result fa_memory_answer_outside(const fa_memory_sources *sources, const char *what, fa_buffer *out)
{
    work *w;
    fa_result result = fa_memory_knows(what) ? new_work(sources, &w) : FA_INVALID;
    if (result != FA_OK)
        return result;
    do {
        fa_crew_visit_and_wait(fa_runtime_crew(sources->runtime), PATIENCE_MS, visit, w);
    } while (wants_another_round(w));
    complete(w);
    result = say(what, &w->report, w->sources, out);
    free_work(w);
    return result;
}
