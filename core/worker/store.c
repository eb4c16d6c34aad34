#include "worker/store.h"

#include <stdio.h>
#include <string.h>

#include "worker/store_internal.h"

struct fa_stores {
    fa_account *account;
    pthread_mutex_t lock;
    fa_list all;
    fa_scope_hook at_end;
};

/* ---- what is asked of a store ---- */

static fa_digest digest_of(const void *key, size_t length)
{
    return fa_digest_of(&key, &length, 1);
}

/* FA_OK: there is room for a new entry that takes `bytes` beside its own, and none of that key any more. */
static fa_result clear_place(fa_store *store, const fa_digest *key, size_t bytes, fa_store_mode mode, uint64_t now)
{
    fa_store_entry *old = fa_store_find(store, key, now);
    if (old != NULL && mode == FA_STORE_ADD)
        return FA_CONFLICT;
    if (bytes + sizeof(fa_store_entry) > store->limits.bytes) {
        store->refused++;
        return FA_FULL;
    }
    if (old != NULL)
        fa_store_remove_entry(store, old);
    if (fa_store_make_room(store, bytes + sizeof(fa_store_entry), true))
        return FA_OK;
    store->refused++;
    return FA_FULL;
}

fa_result fa_store_put_copy(fa_store *store, const void *key, size_t key_length, const void *bytes, size_t length,
                            fa_origin made_at, fa_store_mode mode, uint64_t now, uint64_t expires)
{
    fa_store_entry *e;
    fa_buffer *buffer;
    fa_digest digest = digest_of(key, key_length);
    pthread_mutex_lock(&store->lock);
    fa_result result = clear_place(store, &digest, length + sizeof(fa_store_entry), mode, now);
    if (result == FA_OK)
        result = fa_buffer_new_detached(store->account, length, store->name, made_at, &buffer);
    if (result == FA_OK) {
        fa_buffer_append(buffer, bytes, length);
        fa_buffer_seal(buffer);
        result = fa_store_add_entry(store, &digest, buffer, expires, &e);
        if (result != FA_OK)
            fa_buffer_release(buffer);
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

fa_result fa_store_put(fa_store *store, const void *key, size_t key_length, fa_buffer *buffer, fa_store_mode mode,
                       uint64_t now, uint64_t expires)
{
    fa_store_entry *e;
    if (!fa_buffer_sealed(buffer))
        return FA_INVALID;
    fa_digest digest = digest_of(key, key_length);
    pthread_mutex_lock(&store->lock);
    fa_result result = clear_place(store, &digest, fa_buffer_cost(buffer), mode, now);
    if (result == FA_OK)
        result = fa_store_add_entry(store, &digest, buffer, expires, &e);
    pthread_mutex_unlock(&store->lock);
    return result;
}

fa_result fa_store_count(fa_store *store, const void *key, size_t key_length, double by, uint64_t now, uint64_t expires,
                         double *number)
{
    fa_result result = FA_OK;
    fa_digest digest = digest_of(key, key_length);
    pthread_mutex_lock(&store->lock);
    fa_store_entry *e = fa_store_find(store, &digest, now);
    if (e == NULL && (result = clear_place(store, &digest, 0, FA_STORE_PUT, now)) == FA_OK)
        result = fa_store_add_entry(store, &digest, NULL, expires, &e);
    if (result == FA_OK && e->buffer != NULL)
        result = FA_INVALID;
    if (result == FA_OK) {
        fa_store_use(store, e);
        *number = e->number += by;
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

fa_result fa_store_get(fa_store *store, const void *key, size_t key_length, uint64_t now, fa_buffer **buffer,
                       double *number)
{
    fa_digest digest = digest_of(key, key_length);
    pthread_mutex_lock(&store->lock);
    fa_store_entry *e = fa_store_find(store, &digest, now);
    if (e != NULL) {
        store->found++;
        fa_store_use(store, e);
        *buffer = e->buffer;
        *number = e->number;
        if (e->buffer != NULL)
            fa_buffer_lease(e->buffer);
    } else {
        store->missed++;
    }
    pthread_mutex_unlock(&store->lock);
    return e != NULL ? FA_OK : FA_NOT_FOUND;
}

bool fa_store_remove(fa_store *store, const void *key, size_t key_length, uint64_t now)
{
    fa_digest digest = digest_of(key, key_length);
    pthread_mutex_lock(&store->lock);
    fa_store_entry *e = fa_store_find(store, &digest, now);
    if (e != NULL)
        fa_store_remove_entry(store, e);
    pthread_mutex_unlock(&store->lock);
    return e != NULL;
}

/* ---- beginning and end ---- */

static size_t slots_for(size_t entries)
{
    size_t slots = 16;
    while (slots < entries)
        slots *= 2;
    return slots;
}

static void free_tables(fa_store *store)
{
    fa_account_free(store->account, store->slot, store->slots * sizeof(fa_store_entry *));
    fa_account_free(store->account, store->heap, store->limits.entries * sizeof(fa_store_entry *));
}

/* New tables of the size that the limits want; those of before stand when there is no memory. */
static fa_result resize(fa_store *store, size_t entries)
{
    void *slot, *heap;
    size_t slots = slots_for(entries);
    fa_result result = fa_account_allocate(store->account, slots * sizeof(fa_store_entry *), &slot);
    if (result != FA_OK)
        return result;
    result = fa_account_allocate(store->account, entries * sizeof(fa_store_entry *), &heap);
    if (result != FA_OK) {
        fa_account_free(store->account, slot, slots * sizeof(fa_store_entry *));
        return result;
    }
    while (store->entries > entries) {
        fa_store_remove_entry(store, FA_OBJECT(store->by_use.prev, fa_store_entry, by_use));
        store->evicted++;
    }
    if (store->expiring != 0)
        memcpy(heap, store->heap, store->expiring * sizeof(fa_store_entry *));
    free_tables(store);
    store->slot = memset(slot, 0, slots * sizeof(fa_store_entry *));
    store->heap = heap;
    store->slots = slots;
    store->limits.entries = entries;
    FA_LIST_EACH(node, &store->by_use)
    {
        fa_store_entry *e = FA_OBJECT(node, fa_store_entry, by_use);
        e->next = NULL;
        *fa_store_place_of(store, &e->key) = e;
    }
    return FA_OK;
}

static fa_result set_limits(fa_store *store, const fa_store_limits *limits)
{
    pthread_mutex_lock(&store->lock);
    fa_result result = limits->entries != store->limits.entries ? resize(store, limits->entries) : FA_OK;
    if (result == FA_OK) {
        store->limits.bytes = limits->bytes;
        fa_store_make_room(store, 0, false);
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

static void free_store(fa_store *store)
{
    fa_account *account = store->account;
    while (!fa_list_empty(&store->by_use))
        fa_store_remove_entry(store, FA_OBJECT(fa_list_first(&store->by_use), fa_store_entry, by_use));
    free_tables(store);
    fa_list_remove(&store->link);
    pthread_mutex_destroy(&store->lock);
    fa_account_free(store->stores->account, store, sizeof(*store));
    fa_account_unref(account);
}

static fa_result make_store(fa_stores *stores, const char *name, fa_store **out)
{
    void *memory;
    char label[FA_LABEL_SIZE];
    fa_result result = fa_account_allocate(stores->account, sizeof(fa_store), &memory);
    if (result != FA_OK)
        return result;
    fa_store *store = memset(memory, 0, sizeof(*store));
    snprintf(store->name, sizeof(store->name), "%s", name);
    snprintf(label, sizeof(label), "store %s", store->name);
    result =
        fa_account_open(fa_account_ledger(stores->account), stores->account, FA_KIND_CACHE, 0, label, &store->account);
    if (result != FA_OK) {
        fa_account_free(stores->account, store, sizeof(*store));
        return result;
    }
    store->stores = stores;
    pthread_mutex_init(&store->lock, NULL);
    fa_list_init(&store->by_use);
    fa_list_append(&stores->all, &store->link);
    *out = store;
    return FA_OK;
}

static fa_store *find_store(fa_stores *stores, const char *name)
{
    FA_LIST_EACH(node, &stores->all)
    {
        fa_store *store = FA_OBJECT(node, fa_store, link);
        if (strncmp(store->name, name, sizeof(store->name) - 1) == 0)
            return store;
    }
    return NULL;
}

fa_result fa_store_open(fa_stores *stores, const char *name, const fa_store_limits *limits, fa_store **out)
{
    fa_result result = FA_OK;
    pthread_mutex_lock(&stores->lock);
    fa_store *store = find_store(stores, name);
    if (store == NULL)
        result = make_store(stores, name, &store);
    if (result == FA_OK && (result = set_limits(store, limits)) != FA_OK && store->opened == 0)
        free_store(store);
    if (result == FA_OK) {
        store->opened++;
        *out = store;
    }
    pthread_mutex_unlock(&stores->lock);
    return result;
}

void fa_store_close(fa_store *store)
{
    if (store == NULL)
        return;
    fa_stores *stores = store->stores;
    pthread_mutex_lock(&stores->lock);
    if (--store->opened == 0)
        free_store(store);
    pthread_mutex_unlock(&stores->lock);
}

void fa_store_read(fa_store *store, fa_store_figures *figures)
{
    pthread_mutex_lock(&store->lock);
    *figures = (fa_store_figures){
        .name = store->name,
        .limits = store->limits,
        .entries = store->entries,
        .bytes = store->bytes,
        .found = store->found,
        .missed = store->missed,
        .evicted = store->evicted,
        .expired = store->expired,
        .refused = store->refused,
    };
    pthread_mutex_unlock(&store->lock);
}

bool fa_stores_read(fa_stores *stores, size_t index, fa_store_figures *figures)
{
    bool found = false;
    pthread_mutex_lock(&stores->lock);
    FA_LIST_EACH(node, &stores->all)
    {
        if (index-- == 0) {
            fa_store_read(FA_OBJECT(node, fa_store, link), figures);
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&stores->lock);
    return found;
}

static void on_end(fa_scope_hook *hook)
{
    fa_stores *stores = FA_OBJECT(hook, fa_stores, at_end);
    fa_account *account = stores->account;
    pthread_mutex_destroy(&stores->lock);
    fa_account_unref(account);
}

fa_stores *fa_stores_new(fa_scope *scope, size_t budget)
{
    fa_stores *stores = fa_scope_allocate(scope, sizeof(*stores));
    if (stores == NULL)
        return NULL;
    stores->account = fa_account_new(fa_scope_ledger(scope), fa_scope_account(scope), FA_KIND_CACHE, budget, "stores");
    if (stores->account == NULL) {
        fa_scope_free(scope, stores);
        return NULL;
    }
    pthread_mutex_init(&stores->lock, NULL);
    fa_list_init(&stores->all);
    fa_scope_hook_add(scope, &stores->at_end, on_end);
    return stores;
}
