#include "server/memory_figures.h"

#include <string.h>

#include "server/process.h"

static void read_kinds(fa_ledger *ledger, fa_memory_figures *figures)
{
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(ledger, (fa_kind)kind);
        figures->kinds[kind] = (fa_kind_figures){.bytes = c->bytes,
                                                 .count = c->count,
                                                 .peak = c->peak_bytes,
                                                 .in_flight = c->in_flight_bytes,
                                                 .in_flight_count = c->in_flight_count,
                                                 .ended = c->ended};
        figures->ours += figures->kinds[kind].bytes; /* of what was read, so that the sum is that of the parts */
        figures->in_flight += figures->kinds[kind].in_flight;
        figures->scopes += figures->kinds[kind].count;
    }
}

static void add_source(void *context, const char *name, size_t bytes)
{
    fa_memory_figures *figures = context;
    if (figures->source_count == FA_MEMORY_SOURCES)
        return;
    figures->sources[figures->source_count].name = name;
    figures->sources[figures->source_count++].bytes = bytes;
}

void fa_memory_read(fa_ledger *ledger, fa_memory_figures *figures)
{
    memset(figures, 0, sizeof(*figures));
    fa_allocator_read(&figures->heap);
    figures->rss = fa_process_resident();
    read_kinds(ledger, figures);
    figures->handles = *fa_ledger_handles(ledger);
    figures->attributed = fa_attributed_read(ledger, add_source, figures);
    size_t known = figures->ours + figures->attributed;
    figures->residual = figures->heap.in_use > known ? figures->heap.in_use - known : 0;
    figures->retained = figures->heap.cached;
    figures->spooled = fa_ledger_mapped(ledger);
}

void fa_memory_leave_out(fa_memory_figures *figures, fa_scope *asking)
{
    for (fa_scope *at = NULL; (at = fa_scope_walk(asking, at, true)) != NULL;) {
        size_t bytes = fa_account_bytes(fa_scope_account(at));
        fa_kind_figures *kind = &figures->kinds[fa_scope_kind(at)];
        kind->bytes -= bytes;
        kind->count--;
        figures->ours -= bytes;
        figures->scopes--;
        FA_LIST_EACH(node, fa_scope_handles(at))
        figures->handles--;
    }
}
