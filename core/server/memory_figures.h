/* The four numbers (DESIGN.md, invariant 1) and what they are made of, read from counters: ours, attributed, residual, cached and
 * mapped. Takes no memory. Thread: any; with nothing going on it is exact, under load each counter is right by itself. */
#ifndef FA_SERVER_MEMORY_FIGURES_H
#define FA_SERVER_MEMORY_FIGURES_H

#include "base/allocator.h"
#include "memory/attributed.h"
#include "memory/scope.h"

enum { FA_MEMORY_SOURCES = 24 }; /* told by name; more are counted all the same */

typedef struct fa_kind_figures {
    size_t bytes, count, peak, in_flight, in_flight_count, ended;
} fa_kind_figures;

typedef struct fa_memory_figures {
    size_t rss;
    size_t ours, in_flight, scopes, handles;
    size_t attributed; /* what libraries say they hold of malloc, beside the Lua heaps, which are not of malloc */
    size_t residual;   /* given out by malloc and known to nobody above */
    size_t retained;   /* freed and kept by malloc */
    size_t spooled;    /* what files of request bodies take that are being handled: disk, and the kernel's cache */
    fa_allocator_figures heap;
    fa_kind_figures kinds[FA_KIND_COUNT];
    struct {
        const char *name; /* borrowed from who attributed it */
        size_t bytes;
    } sources[FA_MEMORY_SOURCES]; /* of `attributed` */
    size_t source_count;
} fa_memory_figures;

void fa_memory_read(fa_ledger *ledger, fa_memory_figures *figures);

/* Takes a tree of scopes out of the figures again: the asking request. Thread: the scope's. */
void fa_memory_leave_out(fa_memory_figures *figures, fa_scope *asking);

#endif
