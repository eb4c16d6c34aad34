/* The census: who owns what in one tree of scopes, since when, and from which line.
 *
 * A census has a fixed size and takes no memory: however many scopes there are, it keeps the largest and the oldest owners, and
 * the places where most bytes were made. What does not fit is counted as "other", so the sums are always right. Each worker takes
 * the census of its own tree; fa_census_merge makes one of several. Texts that it points to are static or interned and live as
 * long as the ledger. Thread: that of the tree.
 */
#ifndef FA_MEMORY_CENSUS_H
#define FA_MEMORY_CENSUS_H

#include "memory/scope.h"

enum { FA_CENSUS_OWNERS = 12, FA_CENSUS_PLACES = 96 };

typedef struct fa_census_owner {
    char label[FA_LABEL_SIZE];
    fa_kind kind;
    unsigned worker;
    size_t own, total; /* bytes: its own, and with all below it */
    size_t in_flight;  /* of its own bytes */
    size_t budget;     /* 0: none of its own */
    uint64_t age_ms;
    fa_origin made_at;
} fa_census_owner;

/* What was made at one script line or place in the core. A scope's bytes count at its own place but for its buffers, which count
 * at theirs. */
typedef struct fa_census_place {
    fa_origin at;
    size_t bytes, scopes, buffers;
} fa_census_place;

typedef struct fa_census {
    size_t scopes, buffers, handles, bytes;
    size_t in_flight_buffers;                  /* of the buffers: leased by somebody */
    fa_census_owner largest[FA_CENSUS_OWNERS]; /* by own bytes */
    fa_census_owner oldest[FA_CENSUS_OWNERS];  /* without those that live as long as the server */
    size_t largest_count, oldest_count;
    fa_census_place places[FA_CENSUS_PLACES]; /* in no order until fa_census_sort */
    size_t place_count;
    fa_census_place other; /* places that did not fit */
} fa_census;

/* Adds the tree of `root` to a census (zeroed before the first). except: a scope to leave out with all below it, or NULL. now_ms:
 * by the ledger's clock. */
void fa_census_take(fa_census *census, fa_scope *root, const fa_scope *except, unsigned worker, uint64_t now_ms);

/* Adds one scope as an owner, by its counters alone: they may be read from any thread while the scope lives. */
void fa_census_add_owner(fa_census *census, const fa_scope *scope, unsigned worker, uint64_t now_ms);

void fa_census_merge(fa_census *into, const fa_census *from);

/* Puts the places with the most bytes first. */
void fa_census_sort(fa_census *census);

/* Live for as long as the server does: server, worker, plugin, cache. */
bool fa_kind_lasts(fa_kind kind);

/* "routes/voice.lua:31", "core/dialogue/event_log.c:120": without the folders the source was built in. Returns `out`. */
char *fa_origin_text(fa_origin origin, char *out, size_t size);

#endif
