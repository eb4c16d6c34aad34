/* The memory report as people read it in a terminal. */
#include <stdarg.h>
#include <stdio.h>

#include "base/units.h"
#include "server/memory_report.h"

typedef struct page {
    fa_buffer *out;
    fa_result result;
} page;

#define SIZE(bytes) fa_format_size((bytes), (char[16]){0})

__attribute__((format(printf, 2, 3))) static void line(page *p, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text) - 1, format, arguments);
    va_end(arguments);
    length = length < (int)sizeof(text) - 2 ? length : (int)sizeof(text) - 2;
    text[length++] = '\n';
    if (p->result == FA_OK)
        p->result = fa_buffer_append(p->out, text, (size_t)length);
}

/* "12 s", "5 min", "3 h", "9 d". */
static const char *age(uint64_t ms, char out[16])
{
    uint64_t seconds = ms / 1000;
    if (seconds < 120)
        snprintf(out, 16, "%u s", (unsigned)seconds);
    else if (seconds < 7200)
        snprintf(out, 16, "%u min", (unsigned)(seconds / 60));
    else if (seconds < 172800)
        snprintf(out, 16, "%u h", (unsigned)(seconds / 3600));
    else
        snprintf(out, 16, "%u d", (unsigned)(seconds / 86400));
    return out;
}

#define AGE(ms) age((ms), (char[16]){0})

static const char *change(int64_t bytes, char out[24])
{
    char size[16];
    fa_format_size((uint64_t)(bytes < 0 ? -bytes : bytes), size);
    snprintf(out, 24, "%s%s/min", bytes < 0 ? "-" : "+", size);
    return out;
}

static const char *trend(const fa_memory_report *r, unsigned index, char out[24])
{
    return r->trend.tells ? change(r->trend.growth[index], out) : "";
}

#define TREND(r, index) trend((r), (index), (char[24]){0})

static void whole(page *p, const fa_memory_report *r)
{
    const fa_memory_figures *f = &r->figures;
    line(p, "memory: %s   up %s   %u worker%s, %zu threads, %zu open files",
         r->critical            ? "CRITICAL"
         : r->warning_count > 0 ? "WARNING"
                                : "healthy",
         AGE(r->uptime_ms), r->worker_count, r->worker_count == 1 ? "" : "s", r->threads, r->open_files);
    for (size_t i = 0; i < r->warning_count; ++i)
        line(p, "  ! %s", r->warnings[i]);
    line(p, " ");
    line(p, "  %-28s %12s  %s", "RSS", SIZE(f->rss), TREND(r, FA_LINE_RSS));
    if (r->budget != 0)
        line(p, "  %-28s %12s  %s; budget %s, %u %% used", "owned (ours)", SIZE(f->ours), TREND(r, FA_LINE_OURS),
             SIZE(r->budget), (unsigned)((double)r->total * 100 / (double)r->budget));
    else
        line(p, "  %-28s %12s  %s", "owned (ours)", SIZE(f->ours), TREND(r, FA_LINE_OURS));
    line(p, "  %-28s %12s", "  of that on its way out", SIZE(f->in_flight));
    line(p, "  %-28s %12s  %s", "Lua heaps", SIZE(fa_memory_lua(r)), TREND(r, FA_LINE_LUA));
    for (size_t i = 0; i < f->source_count; ++i)
        line(p, "  held by %-20s %12s", f->sources[i].name, SIZE(f->sources[i].bytes));
    line(p, "  %-28s %12s  %s", "without an owner (residual)", SIZE(f->residual), TREND(r, FA_LINE_RESIDUAL));
    line(p, "  %-28s %12s", "kept by the allocator", SIZE(f->retained));
    line(p, "  %-28s %12s", "request bodies on disk", SIZE(f->spooled));
}

static void kinds(page *p, const fa_memory_report *r)
{
    line(p, " ");
    line(p, "  %-12s %10s %7s %12s %12s %9s", "KIND", "BYTES", "COUNT", "IN FLIGHT", "PEAK", "ENDED");
    for (unsigned kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_figures *k = &r->figures.kinds[kind];
        if (k->peak > 0)
            line(p, "  %-12s %10s %7zu %12s %12s %9zu  %s", fa_kind_name((fa_kind)kind), SIZE(k->bytes), k->count,
                 SIZE(k->in_flight), SIZE(k->peak), k->ended, TREND(r, FA_LINE_KINDS + kind));
    }
}

static void owners(page *p, const char *title, const fa_census_owner *list, size_t count, size_t limit)
{
    char place[100];
    if (count == 0)
        return;
    line(p, " ");
    line(p, "  %-52s %10s %10s %8s  %s", title, "BYTES", "WITH ALL", "AGE", "MADE AT");
    for (size_t i = 0; i < count && i < limit; ++i)
        line(p, "  %-52.52s %10s %10s %8s  %s", list[i].label, SIZE(list[i].own), SIZE(list[i].total),
             AGE(list[i].age_ms), fa_origin_text(list[i].made_at, place, sizeof(place)));
}

static void places(page *p, const fa_census *c)
{
    char place[100];
    line(p, " ");
    line(p, "  %-52s %10s %8s %8s", "MADE AT", "BYTES", "BUFFERS", "SCOPES");
    for (size_t i = 0; i < c->place_count && i < 8; ++i)
        line(p, "  %-52.52s %10s %8zu %8zu", fa_origin_text(c->places[i].at, place, sizeof(place)),
             SIZE(c->places[i].bytes), c->places[i].buffers, c->places[i].scopes);
}

static void dialogues(page *p, const fa_memory_report *r)
{
    const fa_dialogues_census *d = &r->dialogues;
    line(p, " ");
    line(p, "  dialogues: %zu live, %zu running, %zu resting; %zu listeners, %zu behind, %zu slow", d->live, d->running,
         d->resting, d->listeners, d->behind, d->slow);
    line(p, "  their logs: %s = replay %s + look-ahead %s; in flight %s; in the making %s", SIZE(d->log_bytes),
         SIZE(d->replay), SIZE(d->lookahead), SIZE(d->in_flight), SIZE(r->figures.kinds[FA_KIND_TURN].bytes));
    for (size_t i = 0; i < d->slowest_count; ++i)
        line(p, "    listener at %-15s of %s is %s behind, reads at most %s/s", d->slowest[i].remote,
             d->slowest[i].dialogue, SIZE(d->slowest[i].backlog), SIZE(d->slowest[i].per_second));
}

fa_result fa_memory_report_text(const fa_memory_report *r, fa_buffer *out)
{
    page p = {.out = out};
    whole(&p, r);
    kinds(&p, r);
    owners(&p, "LARGEST OWNERS", r->census.largest, r->census.largest_count, 8);
    owners(&p, "OLDEST OWNERS", r->census.oldest, r->census.oldest_count, 5);
    places(&p, &r->census);
    dialogues(&p, r);
    return p.result;
}
