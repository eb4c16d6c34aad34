/* The memory report as JSON. The names are part of the HTTP interface. */
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/json_writer.h"
#include "server/memory_report.h"

enum { OWNERS_IN_REPORT = 5, PLACES_IN_ANALYSIS = 30 };

static void bytes_and_mb(fa_json *j, const char *key, size_t bytes)
{
    fa_json_open(j, key, '{');
    fa_json_number(j, "bytes", bytes);
    fa_json_decimal(j, "mb", (double)bytes / (1024 * 1024));
    fa_json_close(j, '}');
}

static void timestamp(fa_json *j)
{
    char stamp[32];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
    fa_json_text(j, "timestamp", stamp);
}

static void place(fa_json *j, const char *key, fa_origin origin)
{
    char text[200];
    fa_json_text(j, key, fa_origin_text(origin, text, sizeof(text)));
}

static void owner(fa_json *j, const fa_census_owner *o)
{
    fa_json_open(j, NULL, '{');
    fa_json_text(j, "owner", o->label);
    fa_json_text(j, "kind", fa_kind_name(o->kind));
    fa_json_number(j, "bytes", o->own);
    fa_json_number(j, "total", o->total);
    fa_json_number(j, "inFlight", o->in_flight);
    if (o->budget != 0)
        fa_json_number(j, "budget", o->budget);
    fa_json_number(j, "ageMs", o->age_ms);
    fa_json_number(j, "worker", o->worker);
    place(j, "madeAt", o->made_at);
    fa_json_close(j, '}');
}

static void owners(fa_json *j, const char *key, const fa_census_owner *list, size_t count, size_t limit)
{
    fa_json_open(j, key, '[');
    for (size_t i = 0; i < count && i < limit; ++i)
        owner(j, &list[i]);
    fa_json_close(j, ']');
}

/* ---- report ---- */

static void head(fa_json *j, const fa_memory_report *r)
{
    fa_json_text(j, "status", r->critical ? "critical" : r->warning_count > 0 ? "warning" : "healthy");
    fa_json_open(j, "warnings", '[');
    for (size_t i = 0; i < r->warning_count; ++i)
        fa_json_text(j, NULL, r->warnings[i]);
    fa_json_close(j, ']');
    timestamp(j);
    fa_json_decimal(j, "uptime", (double)r->uptime_ms / 1000);
}

static void memory(fa_json *j, const fa_memory_report *r)
{
    fa_json_open(j, "memory", '{');
    bytes_and_mb(j, "rss", r->figures.rss);
    bytes_and_mb(j, "lua", fa_memory_lua(r));
    fa_json_open(j, "luaHeaps", '[');
    for (unsigned i = 0; i < r->worker_count; ++i) {
        fa_json_open(j, NULL, '{');
        fa_json_number(j, "worker", i);
        fa_json_number(j, "bytes", r->workers[i].script.heap);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
    fa_json_close(j, '}');
}

static void kinds(fa_json *j, const fa_memory_figures *f)
{
    fa_json_open(j, "byKind", '{');
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_figures *k = &f->kinds[kind];
        fa_json_open(j, fa_kind_name((fa_kind)kind), '{');
        fa_json_number(j, "bytes", k->bytes);
        fa_json_number(j, "count", k->count);
        fa_json_number(j, "peakBytes", k->peak);
        fa_json_number(j, "inFlightBytes", k->in_flight);
        fa_json_number(j, "inFlightCount", k->in_flight_count);
        fa_json_number(j, "ended", k->ended);
        fa_json_close(j, '}');
    }
    fa_json_close(j, '}');
}

static void allocator(fa_json *j, const fa_allocator_figures *heap)
{
    char name[FA_ALLOCATOR_NAME_SIZE];
    fa_json_open(j, "allocator", '{');
    fa_json_text(j, "name", fa_allocator_name(name));
    fa_json_number(j, "inUse", heap->in_use);
    fa_json_number(j, "cached", heap->cached);
    fa_json_number(j, "overhead", heap->overhead);
    fa_json_close(j, '}');
}

static void ledger(fa_json *j, const fa_memory_report *r)
{
    const fa_memory_figures *f = &r->figures;
    fa_json_open(j, "ledger", '{');
    fa_json_number(j, "ours", f->ours);
    fa_json_number(j, "attributed", fa_memory_lua(r) + f->attributed);
    fa_json_open(j, "attributedBy", '{');
    fa_json_number(j, "lua", fa_memory_lua(r));
    for (size_t i = 0; i < f->source_count; ++i)
        fa_json_number(j, f->sources[i].name, f->sources[i].bytes);
    fa_json_close(j, '}');
    fa_json_number(j, "residual", f->residual);
    fa_json_number(j, "cachedAndMapped", f->retained + f->spooled);
    fa_json_number(j, "spooled", f->spooled);
    allocator(j, &f->heap);
    fa_json_number(j, "inFlight", f->in_flight);
    fa_json_number(j, "scopes", f->scopes);
    fa_json_number(j, "handles", f->handles);
    if (r->budget != 0)
        fa_json_number(j, "budget", r->budget);
    fa_json_open(j, "pressure", '{');
    fa_json_number(j, "step", (size_t)r->pressure);
    fa_json_text(j, "name", fa_pressure_name(r->pressure));
    fa_json_close(j, '}');
    kinds(j, f);
    owners(j, "byOwner", r->census.largest, r->census.largest_count, OWNERS_IN_REPORT);
    fa_json_close(j, '}');
}

static void process(fa_json *j, const fa_memory_report *r)
{
    fa_json_open(j, "process", '{');
    fa_json_number(j, "openFiles", r->open_files);
    fa_json_number(j, "threads", r->threads);
    fa_json_number(j, "workers", r->worker_count);
    fa_json_close(j, '}');
}

/* Of each generation, over all workers; newest first, for so they are on every worker. */
static void generations(fa_json *j, const fa_memory_report *r)
{
    unsigned before = UINT_MAX;
    fa_json_open(j, "generations", '[');
    for (;;) {
        unsigned newest = 0, workers = 0;
        size_t heap = 0, tasks = 0;
        for (unsigned i = 0; i < r->worker_count; ++i) {
            for (size_t g = 0; g < r->workers[i].generation_count; ++g) {
                const fa_memory_generation *one = &r->workers[i].generations[g];
                if (one->number >= before || one->number < newest)
                    continue;
                if (one->number > newest)
                    newest = one->number, workers = 0, heap = tasks = 0;
                workers++;
                heap += one->script.heap;
                tasks += one->script.tasks;
            }
        }
        if (newest == 0)
            break;
        before = newest;
        fa_json_open(j, NULL, '{');
        fa_json_number(j, "generation", newest);
        fa_json_number(j, "workers", workers);
        fa_json_number(j, "heapBytes", heap);
        fa_json_number(j, "tasks", tasks);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

static void scripts(fa_json *j, const fa_memory_report *r)
{
    size_t tasks = 0, copies = 0, copied = 0, peak = 0, limit = 0, refused = 0;
    for (unsigned i = 0; i < r->worker_count; ++i) {
        tasks += r->workers[i].script.tasks;
        copies += r->workers[i].script.copies;
        copied += r->workers[i].script.copied_bytes;
        refused += r->workers[i].script.heap_refused;
        peak = r->workers[i].script.heap_peak > peak ? r->workers[i].script.heap_peak : peak;
        limit = r->workers[i].script.heap_limit;
    }
    fa_json_open(j, "scripts", '{');
    fa_json_number(j, "tasks", tasks);
    fa_json_number(j, "copies", copies);
    fa_json_number(j, "copiedBytes", copied);
    fa_json_number(j, "heapPeakBytes", peak); /* of the largest */
    fa_json_number(j, "heapLimitBytes", limit);
    fa_json_number(j, "heapRefusals", refused);
    generations(j, r);
    fa_json_close(j, '}');
}

static void dialogues(fa_json *j, const fa_memory_report *r)
{
    const fa_dialogues_census *d = &r->dialogues;
    fa_json_open(j, "dialogues", '{');
    fa_json_number(j, "live", d->live);
    fa_json_number(j, "running", d->running);
    fa_json_number(j, "resting", d->resting);
    fa_json_number(j, "listeners", d->listeners);
    fa_json_number(j, "listenersBehind", d->behind);
    fa_json_number(j, "waitingForSlowest", d->waiting);
    fa_json_number(j, "logBytes", d->log_bytes);
    fa_json_number(j, "replayBytes", d->replay);
    fa_json_number(j, "lookaheadBytes", d->lookahead);
    fa_json_number(j, "inFlightBytes", d->in_flight);
    fa_json_number(j, "makingBytes", r->figures.kinds[FA_KIND_TURN].bytes); /* not in logs yet */
    fa_json_close(j, '}');
}

static void snapshots(fa_json *j, const fa_memory_report *r)
{
    fa_json_open(j, "snapshot", '[');
    for (unsigned i = 0; i < r->worker_count; ++i) {
        fa_json_open(j, NULL, '{');
        fa_json_number(j, "worker", i);
        if (r->workers[i].busy)
            fa_json_flag(j, "busy", true);
        else
            fa_json_number(j, "ageMs", r->workers[i].age_ms);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

fa_result fa_memory_report_json(const fa_memory_report *r, fa_buffer *out)
{
    fa_json j = {.out = out};
    fa_json_open(&j, NULL, '{');
    head(&j, r);
    memory(&j, r);
    ledger(&j, r);
    dialogues(&j, r);
    scripts(&j, r);
    process(&j, r);
    snapshots(&j, r);
    fa_json_close(&j, '}');
    return j.result;
}

/* ---- analysis ---- */

static void origins(fa_json *j, const fa_census *c)
{
    fa_json_open(j, "byOrigin", '[');
    for (size_t i = 0; i < c->place_count && i < PLACES_IN_ANALYSIS; ++i) {
        fa_json_open(j, NULL, '{');
        place(j, "madeAt", c->places[i].at);
        fa_json_number(j, "bytes", c->places[i].bytes);
        fa_json_number(j, "scopes", c->places[i].scopes);
        fa_json_number(j, "buffers", c->places[i].buffers);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

static void slow_listeners(fa_json *j, const fa_dialogues_census *d)
{
    fa_json_open(j, "slowestListeners", '[');
    for (size_t i = 0; i < d->slowest_count; ++i) {
        const fa_listener_figures *l = &d->slowest[i];
        fa_json_open(j, NULL, '{');
        fa_json_text(j, "dialogue", l->dialogue);
        fa_json_text(j, "remote", l->remote);
        fa_json_number(j, "backlogBytes", l->backlog);
        fa_json_number(j, "bytesPerSecondAtMost", l->per_second);
        fa_json_number(j, "ageMs", l->age_ms);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

static void living(fa_json *j, const fa_inventory *inventory)
{
    fa_json_number(j, "livingCount", inventory->count);
    fa_json_open(j, "living", '[');
    for (size_t i = 0; i < inventory->count && i < FA_INVENTORY_ITEMS; ++i) {
        const fa_item *item = &inventory->items[i];
        fa_json_open(j, NULL, '{');
        fa_json_text(j, "what", item->what);
        fa_json_text(j, "name", item->name);
        fa_json_text(j, "kind", fa_kind_name(item->kind));
        fa_json_number(j, "bytes", item->bytes);
        fa_json_number(j, "worker", item->worker);
        place(j, strcmp(item->what, "task") == 0 ? "waitsAt" : "madeAt", item->at);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

fa_result fa_memory_analysis_json(const fa_memory_report *r, fa_buffer *out)
{
    const fa_census *c = &r->census;
    fa_json j = {.out = out};
    fa_json_open(&j, NULL, '{');
    head(&j, r);
    fa_json_open(&j, "count", '{');
    fa_json_number(&j, "scopes", c->scopes);
    fa_json_number(&j, "buffers", c->buffers);
    fa_json_number(&j, "inFlightBuffers", c->in_flight_buffers);
    fa_json_number(&j, "handles", c->handles);
    fa_json_number(&j, "bytes", c->bytes);
    fa_json_close(&j, '}');
    owners(&j, "byBytes", c->largest, c->largest_count, FA_CENSUS_OWNERS);
    owners(&j, "byAge", c->oldest, c->oldest_count, FA_CENSUS_OWNERS);
    origins(&j, c);
    living(&j, &r->living);
    dialogues(&j, r);
    slow_listeners(&j, &r->dialogues);
    snapshots(&j, r);
    fa_json_close(&j, '}');
    return j.result;
}

/* ---- tracker ---- */

static void growth(fa_json *j, const fa_memory_report *r)
{
    fa_json_open(j, "growthPerMinute", '{');
    for (unsigned line = 0; line < FA_LINE_KINDS; ++line)
        fa_json_signed(j, fa_line_name(line), r->trend.growth[line]);
    fa_json_open(j, "byKind", '{');
    for (unsigned line = FA_LINE_KINDS; line < FA_LINE_COUNT; ++line)
        fa_json_signed(j, fa_line_name(line), r->trend.growth[line]);
    fa_json_close(j, '}');
    fa_json_open(j, "luaHeaps", '[');
    for (unsigned i = 0; i < r->worker_count; ++i)
        fa_json_signed(j, NULL, r->trend.lua_growth[i]);
    fa_json_close(j, ']');
    fa_json_close(j, '}');
}

static void alarms(fa_json *j, const fa_memory_trend *trend)
{
    fa_json_open(j, "alarms", '[');
    for (unsigned i = 0; i < FA_ALARMS; ++i) {
        const fa_alarm *alarm = &trend->alarms[i];
        fa_json_open(j, NULL, '{');
        fa_json_text(j, "on", fa_line_name(alarm->line));
        fa_json_flag(j, "raised", alarm->raised);
        fa_json_number(j, "bytesPerMinute", alarm->threshold);
        fa_json_number(j, "raisedSoOften", alarm->raises);
        fa_json_close(j, '}');
    }
    fa_json_close(j, ']');
}

static void samples(void *context, const fa_trend *trend)
{
    fa_json *j = context;
    uint64_t now_ms = 0;
    if (trend->count > 0)
        fa_trend_sample(trend, trend->count - 1, &now_ms);
    for (unsigned i = 0; i < trend->count; ++i) {
        uint64_t at_ms;
        const uint64_t *values = fa_trend_sample(trend, i, &at_ms);
        fa_json_open(j, NULL, '{');
        fa_json_number(j, "ageMs", now_ms - at_ms);
        for (unsigned line = 0; line < FA_LINE_KINDS; ++line)
            fa_json_number(j, fa_line_name(line), values[line]);
        fa_json_close(j, '}');
    }
}

fa_result fa_memory_tracker_json(const fa_memory_report *r, const fa_memory_sources *sources, fa_buffer *out)
{
    const fa_memory_trend *trend = &r->trend;
    fa_json j = {.out = out};
    fa_json_open(&j, NULL, '{');
    fa_json_flag(&j, "enabled", trend->on);
    head(&j, r);
    if (trend->on) {
        fa_json_number(&j, "intervalMs", trend->interval_ms);
        fa_json_number(&j, "capacity", FA_TREND_SAMPLES);
        fa_json_number(&j, "windowMs", trend->window_ms);
        fa_json_flag(&j, "enoughToTell", trend->tells);
        growth(&j, r);
        alarms(&j, trend);
        fa_json_open(&j, "samples", '[');
        fa_tracker_look(sources->tracker, samples, &j);
        fa_json_close(&j, ']');
    } else {
        fa_json_text(&j, "message", "The tracker is switched off (tracker = false, or DISABLE_MEMORY_TRACKER=true).");
    }
    fa_json_close(&j, '}');
    return j.result;
}
