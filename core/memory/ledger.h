/* The ledger: the account of all memory the core owns, per kind of owner.
 *
 * One ledger a server. Every allocation of ours goes through it (so that tests can fail the n-th one) and is charged to
 * an account; what is charged to an account is also counted for the account's kind. All counters are atomic: reading
 * them is a snapshot, exact when nothing moves. Thread: any.
 */
#ifndef FA_MEMORY_LEDGER_H
#define FA_MEMORY_LEDGER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "fitnessally/result.h"

/* Kinds of owner (DESIGN.md 2). The names in fa_kind_name are part of the HTTP interface. */
typedef enum fa_kind {
    FA_KIND_SERVER,
    FA_KIND_WORKER,
    FA_KIND_PLUGIN,
    FA_KIND_CACHE,
    FA_KIND_CONNECTION,
    FA_KIND_REQUEST,
    FA_KIND_DIALOGUE,
    FA_KIND_TURN,
    FA_KIND_LISTENER,
    FA_KIND_TRANSFER,
    FA_KIND_JOB,
    FA_KIND_SCRIPT, /* a scope that a script opened by name */
    FA_KIND_COUNT
} fa_kind;

const char *fa_kind_name(fa_kind kind);

/* Where the memory itself comes from. All three are called from any thread. */
typedef struct fa_allocator {
    void *(*allocate)(void *context, size_t size);            /* NULL when there is none */
    void *(*resize)(void *context, void *block, size_t size); /* as realloc: on NULL the old block stands */
    void (*release)(void *context, void *block);
    void *context;
} fa_allocator;

typedef struct fa_kind_counters {
    _Atomic size_t bytes; /* charged and not yet freed, in flight included */
    _Atomic size_t peak_bytes;
    _Atomic size_t budget;          /* `bytes` is never above it; 0: no limit. See fa_ledger_limit */
    _Atomic size_t count;           /* live scopes of this kind */
    _Atomic size_t in_flight_bytes; /* of `bytes`: what leases hold */
    _Atomic size_t in_flight_count; /* leased buffers */
    _Atomic size_t ended;           /* scopes of this kind that have ended */
} fa_kind_counters;

typedef struct fa_ledger fa_ledger;

/* allocator: copied; NULL for malloc. NULL when there is no memory. Freed by fa_ledger_free, after every account is
 * gone. */
fa_ledger *fa_ledger_new(const fa_allocator *allocator);
void fa_ledger_free(fa_ledger *ledger);

/* The time by which everything on this ledger lives (base/clock.h). clock: borrowed for the ledger's life; set before anything is made
 * on it. Without: real time, and NULL. */
void fa_ledger_set_clock(fa_ledger *ledger, fa_clock *clock);
fa_clock *fa_ledger_clock(const fa_ledger *ledger);

/* Raw memory, not charged to anybody: only core/memory calls these. */
void *fa_ledger_allocate(fa_ledger *ledger, size_t size);
void *fa_ledger_resize(fa_ledger *ledger, void *block, size_t size);
void fa_ledger_release(fa_ledger *ledger, void *block);

fa_kind_counters *fa_ledger_kind(fa_ledger *ledger, fa_kind kind);

/* Limits what all owners of a kind may hold together; 0 takes the limit away. What is there already stays. */
void fa_ledger_limit(fa_ledger *ledger, fa_kind kind, size_t bytes);
size_t fa_ledger_room(fa_ledger *ledger, fa_kind kind); /* SIZE_MAX without limit */

/* For scope.c: the scopes that have no parent, by the node that each was added with. next: the oldest for NULL; NULL at the end. */
void fa_ledger_add_root(fa_ledger *ledger, fa_list *node);
void fa_ledger_remove_root(fa_ledger *ledger, fa_list *node);
fa_list *fa_ledger_next_root(fa_ledger *ledger, const fa_list *node);

/* The kind that holds most now. */
fa_kind fa_ledger_largest(fa_ledger *ledger);

/* Live handles, over all workers. */
_Atomic size_t *fa_ledger_handles(fa_ledger *ledger);

/* Bytes of files that sealed buffers show by a mapping (fa_buffer_map). They are no memory of ours: the kernel keeps them on
 * disk and in its own cache, so no account pays for them; what they take of the disk is counted here, and has a limit of its
 * own. map: FA_OVER_BUDGET with nothing counted when the limit is reached. limit: 0 takes it away. */
fa_result fa_ledger_map(fa_ledger *ledger, size_t bytes);
void fa_ledger_unmap(fa_ledger *ledger, size_t bytes);
size_t fa_ledger_mapped(fa_ledger *ledger);
void fa_ledger_limit_mapped(fa_ledger *ledger, size_t bytes);

/* What libraries hold beside the ledger: memory/attributed.h. */
struct fa_attributed_sources *fa_ledger_attributed(fa_ledger *ledger);

/* Totals over all kinds. */
size_t fa_ledger_bytes(fa_ledger *ledger);
size_t fa_ledger_in_flight(fa_ledger *ledger);
size_t fa_ledger_scopes(fa_ledger *ledger);

/* Where something was made or released: a script line, or a place in the core. name is static or interned: it outlives
 * whoever made it. */
typedef struct fa_origin {
    const char *name;
    uint32_t line;
} fa_origin;

#define FA_HERE ((fa_origin){__FILE__, __LINE__})

/* The one copy of `name` that lives as long as the ledger (script file names). At most 1,024 names are kept; a further
 * one, or one for which there is no memory, becomes "(unnamed script)". */
const char *fa_ledger_intern(fa_ledger *ledger, const char *name);

#endif
