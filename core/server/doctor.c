#include "server/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "server/json_writer.h"

enum {
    MB = 1024 * 1024,
    WORTH_TELLING = 8 * MB,   /* less is not a reason to be looked for */
    SLOW_GROWTH = 256 * 1024, /* bytes a minute: 360 MB a day */
    OLD_REQUEST_MS = 60 * 1000
};

#define SIZE(bytes)         fa_format_size((bytes), (char[16]){0})
#define GROWTH(trend, line) SIZE((uint64_t)((trend)->growth[line] > 0 ? (trend)->growth[line] : 0))

__attribute__((format(printf, 3, 4))) static void find(fa_diagnosis *d, fa_severity severity, const char *format, ...)
{
    va_list arguments;
    size_t at = d->count;
    if (d->count == FA_FINDINGS)
        return;
    while (at > 0 && d->findings[at - 1].severity < severity)
        --at;
    memmove(&d->findings[at + 1], &d->findings[at], (d->count - at) * sizeof(d->findings[0]));
    d->count++;
    va_start(arguments, format);
    vsnprintf(d->findings[at].text, sizeof(d->findings[at].text), format, arguments);
    va_end(arguments);
    d->findings[at].severity = severity;
}

/* ---- the rules ---- */

static unsigned percent(size_t part, size_t whole)
{
    return whole > 0 ? (unsigned)((double)part * 100 / (double)whole) : 0;
}

/* "; the largest is hall with 34.5 MB, made at app.lua:4": the one of its kind that holds most itself. Nothing when it is not among
 * the largest of all. */
static const char *largest_of(const fa_memory_report *r, fa_kind kind, char *out, size_t size)
{
    char place[80];
    out[0] = '\0';
    for (size_t i = 0; i < r->census.largest_count && out[0] == '\0'; ++i) {
        const fa_census_owner *o = &r->census.largest[i];
        if (o->kind == kind)
            snprintf(out, size, "; the largest is %s with %s, made at %s", o->label, SIZE(o->own),
                     fa_origin_text(o->made_at, place, sizeof(place)));
    }
    return out;
}

#define LARGEST(r, kind) largest_of((r), (kind), (char[180]){0}, 180)

static bool budget_fills(const fa_memory_report *r)
{
    return r->budget != 0 && percent(r->total, r->budget) >= 80;
}

static void budget_is_nearly_full(const fa_memory_report *r, fa_diagnosis *d)
{
    size_t top = 0;
    unsigned used = percent(r->total, r->budget);
    if (!budget_fills(r))
        return;
    for (size_t kind = 1; kind < FA_KIND_COUNT; ++kind)
        top = r->figures.kinds[kind].bytes > r->figures.kinds[top].bytes ? kind : top;
    find(d, used >= 95 ? FA_SEVERITY_CRITICAL : FA_SEVERITY_WARNING,
         "%u %% of the memory budget of %s are in use, and new dialogues are refused (503) as it fills; most is held "
         "by %s: %s in %zu%s. Raise memory_budget, or see who holds it in `fitnessally memory`.",
         used, SIZE(r->budget), fa_kind_name((fa_kind)top), SIZE(r->figures.kinds[top].bytes),
         r->figures.kinds[top].count, LARGEST(r, (fa_kind)top));
}

/* Each step keeps those before it in force. */
static void pressure_stands(const fa_memory_report *r, fa_diagnosis *d)
{
    char measures[160] = "";
    if (r->pressure == FA_PRESSURE_NONE)
        return;
    for (unsigned level = 1; level <= r->pressure; ++level) {
        size_t used = strlen(measures);
        snprintf(measures + used, sizeof(measures) - used, "%s%s", used > 0 ? ", " : "",
                 fa_pressure_name((fa_pressure_level)level));
    }
    find(d, r->pressure >= FA_PRESSURE_DROP_LISTENERS ? FA_SEVERITY_CRITICAL : FA_SEVERITY_WARNING,
         "Memory pressure stands at step %u of %u (%u %% of the budget): %s. It is undone step by step as memory comes "
         "back.",
         (unsigned)r->pressure, FA_PRESSURE_LEVELS - 1, percent(r->total, r->budget), measures);
}

static void a_worker_is_busy(const fa_memory_report *r, fa_diagnosis *d)
{
    for (unsigned i = 0; i < r->worker_count; ++i) {
        if (r->workers[i].busy)
            find(d, FA_SEVERITY_WARNING,
                 "Worker %u did not answer: a script or a library call does not let it go, and its clients wait.", i);
    }
}

static void slow_listeners_hold_the_logs(const fa_memory_report *r, fa_diagnosis *d)
{
    const fa_dialogues_census *c = &r->dialogues;
    unsigned held = percent(c->slow_held, c->log_bytes);
    if (c->slow == 0 || held < 25)
        return;
    find(d, c->slow_held >= WORTH_TELLING ? FA_SEVERITY_WARNING : FA_SEVERITY_NOTE,
         "%u %% of dialogue bytes (%s) are held by %zu listener%s that read%s slower than %s/s; see dialogue %s, "
         "listener at %s. They are dropped "
         "after slow_listener_wait or listener_stall.",
         held, SIZE(c->slow_held), c->slow, c->slow == 1 ? "" : "s", c->slow == 1 ? "s" : "", SIZE(c->slow_rate + 1),
         c->slowest[0].dialogue, c->slowest[0].remote);
}

static void producers_wait(const fa_memory_report *r, fa_diagnosis *d)
{
    if (r->dialogues.waiting > 0)
        find(d, FA_SEVERITY_NOTE, "%zu of %zu dialogues wait for their slowest listener before they say more.",
             r->dialogues.waiting, r->dialogues.live);
}

static void alarms_stand(const fa_memory_report *r, fa_diagnosis *d)
{
    const fa_memory_trend *t = &r->trend;
    for (unsigned i = 0; i < FA_ALARMS; ++i) {
        const fa_alarm *alarm = &t->alarms[i];
        if (!alarm->raised)
            continue;
        if (i == FA_ALARM_RSS)
            find(d, FA_SEVERITY_WARNING,
                 "RSS grows by %s a minute (over the last %llu s); of that, owners of ours grow by %s, Lua heaps by %s "
                 "and memory without an owner by %s.",
                 SIZE((uint64_t)alarm->growth), (unsigned long long)t->window_ms / 1000, GROWTH(t, FA_LINE_OURS),
                 GROWTH(t, FA_LINE_LUA), GROWTH(t, FA_LINE_RESIDUAL));
        else
            find(d, FA_SEVERITY_WARNING,
                 "Memory that no owner has grows by %s a minute: a library leaks, not a script. Its malloc is not "
                 "counted "
                 "by the ledger; a plugin or the HTTP library is the place to look.",
                 SIZE((uint64_t)alarm->growth));
    }
}

/* Growth of single kinds, whether or not it has reached an alarm. */
static void kinds_grow(const fa_memory_report *r, fa_diagnosis *d)
{
    for (unsigned kind = 0; kind < FA_KIND_COUNT && r->trend.tells; ++kind) {
        int64_t growth = r->trend.growth[FA_LINE_KINDS + kind];
        const fa_kind_figures *now = &r->figures.kinds[kind];
        if (growth < SLOW_GROWTH)
            continue;
        find(d, FA_SEVERITY_WARNING, "%s memory grows by %s a minute and is %s in %zu now (%zu have ended)%s.",
             fa_kind_name((fa_kind)kind), SIZE((uint64_t)growth), SIZE(now->bytes), now->count, now->ended,
             LARGEST(r, (fa_kind)kind));
    }
}

/* When there is too much of what is owned: from which lines it came. */
static void lines_that_made_most(const fa_memory_report *r, fa_diagnosis *d)
{
    char text[300] = "", place[80];
    unsigned told = 0;
    bool grows = r->trend.tells && r->trend.growth[FA_LINE_OURS] >= SLOW_GROWTH;
    for (size_t i = 0; (grows || budget_fills(r)) && i < r->census.place_count && told < 3; ++i) {
        const fa_census_place *p = &r->census.places[i];
        size_t used = strlen(text);
        if (p->buffers == 0 || percent(p->bytes, r->figures.ours) < 10)
            continue;
        snprintf(text + used, sizeof(text) - used, "%s%s in %zu at %s", told++ > 0 ? ", " : "", SIZE(p->bytes),
                 p->buffers, fa_origin_text(p->at, place, sizeof(place)));
    }
    if (told > 0)
        find(d, FA_SEVERITY_NOTE, "The buffers that hold most were made here: %s.", text);
}

static void lua_grows(const fa_memory_report *r, fa_diagnosis *d)
{
    for (unsigned i = 0; i < r->worker_count && r->trend.tells; ++i) {
        if (r->trend.lua_growth[i] >= SLOW_GROWTH)
            find(d, FA_SEVERITY_WARNING,
                 "The Lua heap of worker %u grows by %s a minute and is %s now: a script keeps what it should let go, "
                 "most often in a table of its own.",
                 i, SIZE((uint64_t)r->trend.lua_growth[i]), SIZE(r->workers[i].script.heap));
    }
}

static void a_lua_heap_is_full(const fa_memory_report *r, fa_diagnosis *d)
{
    for (unsigned i = 0; i < r->worker_count; ++i) {
        const fa_script_figures *now = r->workers[i].generation_count > 0 ? &r->workers[i].generations[0].script : NULL;
        if (now == NULL || now->heap_refused == 0)
            continue;
        if (percent(now->heap, now->heap_limit) >= 80)
            find(d, FA_SEVERITY_WARNING,
                 "The Lua heap of worker %u is at %u %% of its limit of %s (script_heap), and scripts that asked for "
                 "more have failed (%zu refusals): a script keeps what it should let go, most often in a table of its "
                 "own.",
                 i, percent(now->heap, now->heap_limit), SIZE(now->heap_limit), now->heap_refused);
        else
            find(d, FA_SEVERITY_NOTE,
                 "Scripts of worker %u have asked for more than their limit of %s (script_heap) allows and have failed "
                 "(%zu refusals); the heap is %s now.",
                 i, SIZE(now->heap_limit), now->heap_refused, SIZE(now->heap));
    }
}

static void an_owner_is_old(const fa_memory_report *r, fa_diagnosis *d)
{
    char place[120];
    const fa_census_owner *found = NULL;
    for (size_t i = 0; i < r->census.oldest_count && found == NULL; ++i) {
        const fa_census_owner *o = &r->census.oldest[i];
        if ((o->kind == FA_KIND_REQUEST || o->kind == FA_KIND_TURN || o->kind == FA_KIND_JOB) &&
            o->age_ms > OLD_REQUEST_MS && o->total >= MB)
            found = o;
    }
    if (found != NULL)
        find(d, FA_SEVERITY_NOTE, "The %s '%s' of worker %u is %llu s old and holds %s (made at %s).",
             fa_kind_name(found->kind), found->label, found->worker, (unsigned long long)found->age_ms / 1000,
             SIZE(found->total), fa_origin_text(found->made_at, place, sizeof(place)));
}

static void an_owner_is_near_its_budget(const fa_memory_report *r, fa_diagnosis *d)
{
    for (size_t i = 0; i < r->census.largest_count; ++i) {
        const fa_census_owner *o = &r->census.largest[i];
        if (o->kind == FA_KIND_SERVER || o->kind == FA_KIND_CACHE || percent(o->total, o->budget) < 90)
            continue; /* the server's is told above; a cache is full by nature */
        find(d, FA_SEVERITY_WARNING, "%s is at %u %% of its budget of %s.", o->label, percent(o->total, o->budget),
             SIZE(o->budget));
        return;
    }
}

static void in_flight_of_ended_owners(const fa_memory_report *r, fa_diagnosis *d)
{
    for (unsigned kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_figures *k = &r->figures.kinds[kind];
        if (k->count == 0 && k->in_flight >= MB)
            find(d, FA_SEVERITY_NOTE,
                 "%s of ended %ss are still on their way to slow clients; they are freed as those read or are cut.",
                 SIZE(k->in_flight), fa_kind_name((fa_kind)kind));
    }
}

static void rss_is_above_what_is_owned(const fa_memory_report *r, fa_diagnosis *d)
{
    const fa_memory_figures *f = &r->figures;
    size_t owned = f->ours + f->attributed + fa_memory_lua(r), above = f->rss > owned ? f->rss - owned : 0;
    if (f->retained >= WORTH_TELLING && f->retained >= above / 2)
        find(d, FA_SEVERITY_NOTE, "RSS is %s above what is owned: the allocator keeps %s that it could give back.",
             SIZE(above), SIZE(f->retained));
    else if (f->residual >= 4 * (size_t)WORTH_TELLING && f->residual > owned)
        find(d, FA_SEVERITY_NOTE, "RSS is %s above what is owned: %s were taken by libraries on their own.",
             SIZE(above), SIZE(f->residual));
}

static void a_library_holds_much(const fa_memory_report *r, fa_diagnosis *d)
{
    const fa_memory_figures *f = &r->figures;
    for (size_t i = 0; i < f->source_count; ++i) {
        if (f->sources[i].bytes >= WORTH_TELLING && f->sources[i].bytes > f->rss / 4)
            find(d, FA_SEVERITY_NOTE, "%s holds %s by an allocator of its own, %u %% of RSS.", f->sources[i].name,
                 SIZE(f->sources[i].bytes), percent(f->sources[i].bytes, f->rss));
    }
}

void fa_diagnose(const fa_memory_report *report, fa_diagnosis *diagnosis)
{
    static void (*const rules[])(const fa_memory_report *, fa_diagnosis *) = {
        budget_is_nearly_full,
        pressure_stands,
        a_worker_is_busy,
        slow_listeners_hold_the_logs,
        alarms_stand,
        kinds_grow,
        lua_grows,
        a_lua_heap_is_full,
        an_owner_is_near_its_budget,
        producers_wait,
        an_owner_is_old,
        in_flight_of_ended_owners,
        a_library_holds_much,
        rss_is_above_what_is_owned,
        lines_that_made_most,
    };
    diagnosis->count = 0;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); ++i)
        rules[i](report, diagnosis);
    if (diagnosis->count == 0 || diagnosis->findings[0].severity == FA_SEVERITY_NOTE) {
        const fa_memory_figures *f = &report->figures;
        char text[320];
        snprintf(text, sizeof(text), "Nothing is wrong: RSS %s; %s owned in %zu scopes, Lua %s, %zu dialogues live%s.",
                 SIZE(f->rss), SIZE(f->ours), f->scopes, SIZE(fa_memory_lua(report)), report->dialogues.live,
                 !report->trend.on      ? "; growth is not watched (the tracker is off)"
                 : !report->trend.tells ? "; too short a time to tell growth"
                                        : ", nothing grows");
        fa_diagnosis rest = *diagnosis;
        *diagnosis = (fa_diagnosis){.count = 0};
        find(diagnosis, FA_SEVERITY_NOTE, "%s", text);
        for (size_t i = 0; i < rest.count; ++i)
            find(diagnosis, FA_SEVERITY_NOTE, "%s", rest.findings[i].text);
    }
}

/* ---- saying it ---- */

static const char *severity_name(fa_severity severity)
{
    static const char *const names[] = {"note", "warning", "critical"};
    return names[severity];
}

fa_result fa_doctor_json(const fa_memory_report *report, fa_buffer *out)
{
    fa_diagnosis diagnosis;
    fa_json j = {.out = out};
    fa_diagnose(report, &diagnosis);
    fa_json_open(&j, NULL, '{');
    fa_json_flag(&j, "wrong", diagnosis.findings[0].severity > FA_SEVERITY_NOTE);
    fa_json_open(&j, "findings", '[');
    for (size_t i = 0; i < diagnosis.count; ++i) {
        fa_json_open(&j, NULL, '{');
        fa_json_text(&j, "severity", severity_name(diagnosis.findings[i].severity));
        fa_json_text(&j, "text", diagnosis.findings[i].text);
        fa_json_close(&j, '}');
    }
    fa_json_close(&j, ']');
    fa_json_close(&j, '}');
    return j.result;
}

fa_result fa_doctor_text(const fa_memory_report *report, fa_buffer *out)
{
    fa_diagnosis diagnosis;
    fa_result result = FA_OK;
    fa_diagnose(report, &diagnosis);
    for (size_t i = 0; i < diagnosis.count && result == FA_OK; ++i) {
        char line[420];
        const fa_finding *f = &diagnosis.findings[i];
        int length = f->severity == FA_SEVERITY_NOTE
                         ? snprintf(line, sizeof(line), "%s\n", f->text)
                         : snprintf(line, sizeof(line), "%s: %s\n", severity_name(f->severity), f->text);
        result = fa_buffer_append(out, line, (size_t)length);
    }
    return result;
}
