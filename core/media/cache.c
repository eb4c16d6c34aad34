#include "media/cache.h"

#include <string.h>

typedef struct entry {
    struct entry *next; /* in its slot */
    fa_list by_use;
    fa_media_file file; /* bytes: the owner's hold, not a lease */
    uint64_t looked;
    fa_media_key key; /* into text */
    char text[];
} entry;

struct fa_media_cache {
    fa_account *account;
    fa_scope_hook at_end;
    size_t fixed;         /* bytes of the account that are no files' */
    pthread_mutex_t lock; /* guards all below */
    size_t target;        /* bytes of files; SIZE_MAX: the budget alone counts */
    fa_list by_use;       /* the most recently used first */
    size_t files, bytes;
    size_t slots; /* a power of two */
    entry *slot[];
};

/* ---- keys ---- */

/* FNV-1a. Nobody can flood a slot on purpose: only files that exist come in. */
static uint64_t hash_text(uint64_t hash, fa_text text)
{
    for (size_t i = 0; i < text.length; ++i)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool same_text(fa_text a, fa_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

fa_media_key fa_media_key_of(fa_text root, fa_text path, bool siblings)
{
    uint64_t hash = hash_text(hash_text(UINT64_C(0xcbf29ce484222325), root), siblings ? FA_TEXT("+") : FA_TEXT("-"));
    return (fa_media_key){root, path, siblings, hash_text(hash, path)};
}

bool fa_media_key_same(const fa_media_key *a, const fa_media_key *b)
{
    return a->hash == b->hash && a->siblings == b->siblings && same_text(a->path, b->path) &&
           same_text(a->root, b->root);
}

/* ---- entries; all under the lock ---- */

static size_t entry_size(const fa_media_key *key)
{
    return sizeof(entry) + key->root.length + key->path.length;
}

/* Where the pointer to the entry stands, or to the NULL at the end. */
static entry **place_of(fa_media_cache *cache, const fa_media_key *key)
{
    entry **at = &cache->slot[key->hash & (cache->slots - 1)];
    while (*at != NULL && !fa_media_key_same(&(*at)->key, key))
        at = &(*at)->next;
    return at;
}

static void remove_entry(fa_media_cache *cache, entry **at)
{
    entry *e = *at;
    *at = e->next;
    fa_list_remove(&e->by_use);
    cache->files--;
    cache->bytes -= fa_buffer_length(e->file.bytes);
    fa_buffer_release(e->file.bytes); /* leases finish on their own */
    fa_account_free(cache->account, e, entry_size(&e->key));
}

static char *copy_into(char *to, fa_text from, fa_text *copy)
{
    memcpy(to, from.data, from.length);
    *copy = (fa_text){to, from.length};
    return to + from.length;
}

static entry *new_entry(fa_media_cache *cache, const fa_media_key *key)
{
    void *memory;
    if (fa_account_allocate(cache->account, entry_size(key), &memory) != FA_OK)
        return NULL;
    entry *e = memset(memory, 0, entry_size(key));
    e->key = *key;
    copy_into(copy_into(e->text, key->root, &e->key.root), key->path, &e->key.path);
    return e;
}

/* ---- room ---- */

static size_t cost(const entry *e)
{
    return entry_size(&e->key) + fa_buffer_length(e->file.bytes);
}

/* Whether all that could be evicted would give so many bytes. */
static bool could_evict(const fa_media_cache *cache, size_t wanted)
{
    size_t found = 0;
    for (fa_list *node = cache->by_use.prev; node != &cache->by_use && found < wanted; node = node->prev) {
        entry *e = FA_OBJECT(node, entry, by_use);
        if (!fa_buffer_leased(e->file.bytes))
            found += cost(e);
    }
    return found >= wanted;
}

/* Evicts from the old end until so many bytes are free, or nothing is left that may go. */
static void evict(fa_media_cache *cache, size_t wanted)
{
    size_t freed = 0;
    for (fa_list *node = cache->by_use.prev, *newer; node != &cache->by_use && freed < wanted; node = newer) {
        entry *e = FA_OBJECT(node, entry, by_use);
        newer = node->prev;
        if (fa_buffer_leased(e->file.bytes))
            continue;
        freed += cost(e);
        remove_entry(cache, place_of(cache, &e->key));
    }
}

/* Bytes that files still may take: of the budgets, and of the target. */
static size_t room_for_files(const fa_media_cache *cache)
{
    size_t room = fa_account_room(cache->account), used = fa_account_bytes(cache->account) - cache->fixed;
    size_t below_target = used < cache->target ? cache->target - used : 0;
    return room < below_target ? room : below_target;
}

/* Evicts what it takes to have room for `needed` bytes; nothing when that would not be enough. */
static bool make_room(fa_media_cache *cache, size_t needed)
{
    size_t room = room_for_files(cache);
    if (room >= needed)
        return true;
    if (needed > cache->target || !could_evict(cache, needed - room))
        return false;
    evict(cache, needed - room);
    return true;
}

void fa_media_cache_shrink(fa_media_cache *cache, size_t target)
{
    pthread_mutex_lock(&cache->lock);
    cache->target = target;
    size_t used = fa_account_bytes(cache->account) - cache->fixed;
    if (used > target)
        evict(cache, used - target);
    pthread_mutex_unlock(&cache->lock);
}

fa_result fa_media_cache_allocate(fa_media_cache *cache, size_t length, fa_buffer **buffer)
{
    enum { OVERHEAD = 1024 }; /* the buffer's own, and an entry with its key */
    fa_result result = FA_OVER_BUDGET;
    for (int tries = 0; tries < 3 && result == FA_OVER_BUDGET; ++tries) { /* others may take the room in between */
        pthread_mutex_lock(&cache->lock);
        bool room = length < SIZE_MAX / 4 && make_room(cache, length + OVERHEAD);
        pthread_mutex_unlock(&cache->lock);
        if (!room)
            return FA_OVER_BUDGET;
        result = fa_buffer_new_detached(cache->account, length, "media file", FA_HERE, buffer);
    }
    return result;
}

/* ---- the interface ---- */

static void end_cache(fa_scope_hook *hook)
{
    fa_media_cache *cache = FA_OBJECT(hook, fa_media_cache, at_end);
    for (fa_list *node; (node = fa_list_first(&cache->by_use)) != NULL;)
        remove_entry(cache, place_of(cache, &FA_OBJECT(node, entry, by_use)->key));
    pthread_mutex_destroy(&cache->lock);
}

fa_media_cache *fa_media_cache_new(fa_scope *scope, size_t slots)
{
    fa_media_cache *cache = fa_scope_allocate(scope, sizeof(*cache) + slots * sizeof(entry *));
    if (cache == NULL)
        return NULL;
    cache->account = fa_scope_account(scope);
    cache->slots = slots;
    cache->target = SIZE_MAX;
    cache->fixed = fa_account_bytes(cache->account);
    fa_list_init(&cache->by_use);
    pthread_mutex_init(&cache->lock, NULL);
    fa_scope_hook_add(scope, &cache->at_end, end_cache);
    return cache;
}

fa_media_found fa_media_cache_get(fa_media_cache *cache, const fa_media_key *key, uint64_t now, uint64_t recheck_ms,
                                  fa_media_file *file)
{
    fa_media_found found = FA_MEDIA_MISS;
    pthread_mutex_lock(&cache->lock);
    entry *e = *place_of(cache, key);
    if (e != NULL) {
        fa_list_remove(&e->by_use);
        fa_list_prepend(&cache->by_use, &e->by_use);
        *file = e->file;
        fa_buffer_lease(file->bytes);
        /* Workers' clocks differ by a loop turn: `looked` may lie a little ahead. */
        found = now < e->looked + recheck_ms ? FA_MEDIA_FRESH : FA_MEDIA_STALE;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

void fa_media_cache_put(fa_media_cache *cache, const fa_media_key *key, const fa_media_file *file, uint64_t looked)
{
    pthread_mutex_lock(&cache->lock);
    entry **at = place_of(cache, key);
    if (*at != NULL)
        remove_entry(cache, at);
    entry *e = new_entry(cache, key);
    if (e == NULL) {
        fa_buffer_release(file->bytes);
    } else {
        e->file = *file;
        e->looked = looked;
        at = place_of(cache, key);
        e->next = *at;
        *at = e;
        fa_list_prepend(&cache->by_use, &e->by_use);
        cache->files++;
        cache->bytes += fa_buffer_length(file->bytes);
    }
    pthread_mutex_unlock(&cache->lock);
}

void fa_media_cache_confirm(fa_media_cache *cache, const fa_media_key *key, const fa_media_file *file, uint64_t looked)
{
    pthread_mutex_lock(&cache->lock);
    entry *e = *place_of(cache, key);
    if (e != NULL && fa_file_same(&e->file.id, &file->id) && looked > e->looked) {
        e->looked = looked;
        e->file.siblings = file->siblings;
    }
    pthread_mutex_unlock(&cache->lock);
}

void fa_media_cache_drop(fa_media_cache *cache, const fa_media_key *key, const fa_file_id *but)
{
    pthread_mutex_lock(&cache->lock);
    entry **at = place_of(cache, key);
    if (*at != NULL && (but == NULL || !fa_file_same(&(*at)->file.id, but)))
        remove_entry(cache, at);
    pthread_mutex_unlock(&cache->lock);
}

void fa_media_cache_stats(fa_media_cache *cache, size_t *files, size_t *bytes)
{
    pthread_mutex_lock(&cache->lock);
    *files = cache->files;
    *bytes = cache->bytes;
    pthread_mutex_unlock(&cache->lock);
}
