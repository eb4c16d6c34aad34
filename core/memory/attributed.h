/* Attributed memory: what libraries hold of malloc by hooks of their own (SQLite of a plugin, curl, OpenSSL). It is no memory of
 * ours, so no account pays for it; but it has a name, and what has a name is not residual (DESIGN.md, invariant 1).
 *
 * Whoever knows such a library adds a source to the ledger, once a server, and every report, the tracker and the alarms count it:
 *
 *     fa_attributed_add(ledger, &pool->attributed, "curl", read_curl, NULL);
 *     fa_attributed_remove(ledger, &pool->attributed);
 *
 * A hook that is the process's (CRYPTO_set_mem_functions, curl_global_init_mem) counts for the process: where two servers live in
 * one, both tell the same figure, as both tell the same RSS.
 */
#ifndef FA_MEMORY_ATTRIBUTED_H
#define FA_MEMORY_ATTRIBUTED_H

#include <pthread.h>

#include "base/list.h"
#include "memory/ledger.h"

/* Lies in its owner's object, which removes it before it goes. */
typedef struct fa_attributed {
    fa_list link;
    const char *name; /* a key of `attributedBy` in the report: "curl". Borrowed */
    size_t (*read)(void *context);
    void *context;
} fa_attributed;

/* read: the bytes that it holds now. Called on any thread, more than one at a time; it reads a counter: it does not wait,
 * allocates nothing and adds no source. Thread: any, as below. */
void fa_attributed_add(fa_ledger *ledger, fa_attributed *source, const char *name, size_t (*read)(void *context),
                       void *context);

/* When it returns, no call is under way and none will come. Harmless on a zeroed source that was never added. */
void fa_attributed_remove(fa_ledger *ledger, fa_attributed *source);

/* Reads all sources in the order they were added and answers their sum. each: may be NULL; under a lock, so not for long. */
size_t fa_attributed_read(fa_ledger *ledger, void (*each)(void *context, const char *name, size_t bytes),
                          void *context);

/* Within a ledger. */
typedef struct fa_attributed_sources {
    pthread_mutex_t lock; /* guards the list, and keeps them there while they are read */
    fa_list list;
} fa_attributed_sources;

#endif
