/* Between store.c (what is asked of a store) and store_table.c (how entries are found, used, and go). All under the store's lock. */
#ifndef FA_WORKER_STORE_INTERNAL_H
#define FA_WORKER_STORE_INTERNAL_H

#include <pthread.h>

#include "base/fixed_table.h"
#include "base/list.h"
#include "worker/store.h"

typedef struct fa_store_entry {
    struct fa_store_entry *next; /* in its slot */
    fa_list by_use;
    fa_digest key;
    uint64_t expires;
    size_t in_heap;    /* its place there, from 1; 0: it does not expire */
    fa_buffer *buffer; /* the store's own hold, not a lease; NULL: a number */
    double number;
} fa_store_entry;

struct fa_store {
    fa_list link;
    fa_stores *stores;
    size_t opened; /* guarded by the set's lock, like the link */
    char name[FA_STORE_NAME_SIZE];
    fa_account *account;
    pthread_mutex_t lock; /* guards all below */
    fa_store_limits limits;
    fa_list by_use; /* the most recently used first */
    size_t slots;   /* a power of two */
    fa_store_entry **slot;
    fa_store_entry **heap; /* limits.entries of them, the next to expire first */
    size_t expiring;
    size_t bytes; /* of the entries: what has been taken out and is still leased is no longer the store's */
    size_t entries, found, missed, evicted, expired, refused;
};

/* Where the pointer to the entry of that key stands, or to the NULL at the end. */
fa_store_entry **fa_store_place_of(fa_store *store, const fa_digest *key);

/* The entry, after those that have expired are gone; NULL. */
fa_store_entry *fa_store_find(fa_store *store, const fa_digest *key, uint64_t now);
void fa_store_use(fa_store *store, fa_store_entry *e); /* it is the most recently used one now */

/* The least recently used ones go until `bytes` more fit and, with `place`, one more entry. False: they never would. */
bool fa_store_make_room(fa_store *store, size_t bytes, bool place);

/* There is none of that key yet, and a place. Takes the buffer over, when there is one; errors of fa_buffer_detach among others. */
fa_result fa_store_add_entry(fa_store *store, const fa_digest *key, fa_buffer *buffer, uint64_t expires,
                             fa_store_entry **out);
void fa_store_remove_entry(fa_store *store, fa_store_entry *e);

#endif
