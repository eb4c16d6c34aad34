/* Stores: what the workers of a server keep in common, and what outlives a request and a generation of scripts: sealed buffers and
 * numbers, by key. One copy of the bytes serves all: whoever reads an entry holds a lease of it.
 *
 * A store has a budget and a number of entries. What is put in when it is full takes the place of what was used least recently. An
 * entry may expire: it is gone from that moment on, and its bytes go when anything is next asked of the store.
 *
 * Stores are found by name. One lives as long as somebody has it open; its bytes belong to an account of its own ("store NAME", of kind
 * cache) and end with it. Thread: any, all of it.
 */
#ifndef FA_WORKER_STORE_H
#define FA_WORKER_STORE_H

#include "memory/buffer.h"

typedef struct fa_stores fa_stores;
typedef struct fa_store fa_store;

typedef struct fa_store_limits {
    size_t bytes;   /* of everything in it, what it takes to find it included */
    size_t entries; /* at least 1 */
} fa_store_limits;

typedef struct fa_store_figures {
    const char *name; /* valid while the store is open */
    fa_store_limits limits;
    size_t entries, bytes;
    size_t found, missed; /* since it was made, like the following */
    size_t evicted, expired, refused;
} fa_store_figures;

enum { FA_STORE_NAME_SIZE = 48 };
#define FA_STORE_NEVER UINT64_MAX /* when an entry expires that does not */

/* scope: pays for the set; every store must be closed when it ends. budget: bytes for all stores together, 0: none of its own. NULL: no
 * memory. */
fa_stores *fa_stores_new(fa_scope *scope, size_t budget);

/* The store of that name, made when nobody has it open. Its limits are these from now on; what is too much goes at once. Each open is
 * closed once. name: copied, cut to FA_STORE_NAME_SIZE. FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_store_open(fa_stores *stores, const char *name, const fa_store_limits *limits, fa_store **store);
void fa_store_close(fa_store *store); /* NULL is ignored */

/* The i-th store that is open; false at the end. */
bool fa_stores_read(fa_stores *stores, size_t index, fa_store_figures *figures);
void fa_store_read(fa_store *store, fa_store_figures *figures);

typedef enum fa_store_mode { FA_STORE_PUT, FA_STORE_ADD } fa_store_mode; /* ADD: only when there is none */

/* Takes `buffer` over: sealed (or FA_INVALID); its bytes are charged to the store from then on. FA_WRONG_STATE, FA_UNSUPPORTED: it cannot
 * be taken over, see fa_buffer_detach; a copy can. now, expires: milliseconds of one clock. FA_CONFLICT: there is one already (ADD). FA_FULL: it would not fit if everything else
 * went. FA_OVER_BUDGET, FA_NO_MEMORY. Unless FA_OK the buffer stays the caller's and the store is as it was, but for entries that had to
 * go. */
fa_result fa_store_put(fa_store *store, const void *key, size_t key_length, fa_buffer *buffer, fa_store_mode mode,
                       uint64_t now, uint64_t expires);

/* The same with a copy of `bytes`. */
fa_result fa_store_put_copy(fa_store *store, const void *key, size_t key_length, const void *bytes, size_t length,
                            fa_origin made_at, fa_store_mode mode, uint64_t now, uint64_t expires);

/* Adds to a number; where there is none it begins with `by`, and expires then. FA_INVALID: the entry holds bytes. */
fa_result fa_store_count(fa_store *store, const void *key, size_t key_length, double by, uint64_t now, uint64_t expires,
                         double *number);

/* What is there: *buffer, leased for the caller, who returns it; or NULL and *number. FA_NOT_FOUND. */
fa_result fa_store_get(fa_store *store, const void *key, size_t key_length, uint64_t now, fa_buffer **buffer,
                       double *number);

bool fa_store_remove(fa_store *store, const void *key, size_t key_length, uint64_t now); /* whether there was one */

#endif
