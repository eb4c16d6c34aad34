/* Entries are found by a digest of their key (nobody can make keys that collide), stand in a list by use, and those that expire in a heap by
 * time. Both tables have their full size from the start: a store that fills up takes memory for its entries only. */
#include "worker/store_internal.h"

#include <string.h>

/* ---- the heap: by time, the least first ---- */

static void heap_set(fa_store *store, size_t place, fa_store_entry *e)
{
    store->heap[place - 1] = e;
    e->in_heap = place;
}

static void heap_rise(fa_store *store, size_t place, fa_store_entry *e)
{
    for (; place > 1 && store->heap[place / 2 - 1]->expires > e->expires; place /= 2)
        heap_set(store, place, store->heap[place / 2 - 1]);
    heap_set(store, place, e);
}

static void heap_sink(fa_store *store, size_t place, fa_store_entry *e)
{
    for (size_t child; (child = place * 2) <= store->expiring; place = child) {
        if (child < store->expiring && store->heap[child]->expires < store->heap[child - 1]->expires)
            child++;
        if (store->heap[child - 1]->expires >= e->expires)
            break;
        heap_set(store, place, store->heap[child - 1]);
    }
    heap_set(store, place, e);
}

static void heap_add(fa_store *store, fa_store_entry *e)
{
    if (e->expires != FA_STORE_NEVER)
        heap_rise(store, ++store->expiring, e);
}

static void heap_remove(fa_store *store, fa_store_entry *e)
{
    size_t place = e->in_heap;
    if (place == 0)
        return;
    fa_store_entry *last = store->heap[--store->expiring];
    e->in_heap = 0;
    if (last == e)
        return;
    if (place > 1 && store->heap[place / 2 - 1]->expires > last->expires)
        heap_rise(store, place, last);
    else
        heap_sink(store, place, last);
}

/* ---- entries; all under the lock ---- */

static size_t slot_of(const fa_digest *key, size_t slots)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    return (size_t)hash & (slots - 1);
}

fa_store_entry **fa_store_place_of(fa_store *store, const fa_digest *key)
{
    fa_store_entry **at = &store->slot[slot_of(key, store->slots)];
    while (*at != NULL && memcmp(&(*at)->key, key, sizeof(*key)) != 0)
        at = &(*at)->next;
    return at;
}

static size_t cost(const fa_store_entry *e)
{
    return sizeof(*e) + (e->buffer != NULL ? fa_buffer_cost(e->buffer) : 0);
}

void fa_store_remove_entry(fa_store *store, fa_store_entry *e)
{
    *fa_store_place_of(store, &e->key) = e->next;
    fa_list_remove(&e->by_use);
    heap_remove(store, e);
    store->entries--;
    store->bytes -= cost(e);
    if (e->buffer != NULL)
        fa_buffer_release(e->buffer); /* leases finish on their own */
    fa_account_free(store->account, e, sizeof(*e));
}

static void drop_expired(fa_store *store, uint64_t now)
{
    while (store->expiring > 0 && store->heap[0]->expires <= now) {
        fa_store_remove_entry(store, store->heap[0]);
        store->expired++;
    }
}

bool fa_store_make_room(fa_store *store, size_t bytes, bool place)
{
    if (bytes > store->limits.bytes)
        return false;
    while (store->bytes + bytes > store->limits.bytes || (place && store->entries == store->limits.entries)) {
        if (fa_list_empty(&store->by_use))
            return false;
        fa_store_remove_entry(store, FA_OBJECT(store->by_use.prev, fa_store_entry, by_use));
        store->evicted++;
    }
    return true;
}

void fa_store_use(fa_store *store, fa_store_entry *e)
{
    fa_list_remove(&e->by_use);
    fa_list_prepend(&store->by_use, &e->by_use);
}

fa_result fa_store_add_entry(fa_store *store, const fa_digest *key, fa_buffer *buffer, uint64_t expires,
                             fa_store_entry **out)
{
    void *memory;
    fa_result result = fa_account_allocate(store->account, sizeof(fa_store_entry), &memory);
    if (result == FA_OK && buffer != NULL && (result = fa_buffer_detach(store->account, buffer)) != FA_OK)
        fa_account_free(store->account, memory, sizeof(fa_store_entry));
    if (result != FA_OK)
        return result;
    fa_store_entry *e = memset(memory, 0, sizeof(*e));
    e->key = *key;
    e->expires = expires;
    e->buffer = buffer;
    *fa_store_place_of(store, key) = e;
    fa_list_prepend(&store->by_use, &e->by_use);
    heap_add(store, e);
    store->entries++;
    store->bytes += cost(e);
    *out = e;
    return FA_OK;
}

fa_store_entry *fa_store_find(fa_store *store, const fa_digest *key, uint64_t now)
{
    drop_expired(store, now);
    return *fa_store_place_of(store, key);
}
