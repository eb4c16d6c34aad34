/* The way of a request for a file.
 *
 * A file that was looked at on disk a moment ago is answered on the spot, from the cache, without a system call.
 * Anything else costs one job on the pool, a *lookup*, which finds the file, compares it with what the cache has and
 * reads it when it must. Requests for the same file that arrive at the same worker meanwhile wait for the same lookup:
 * a hundred clients that open one page read each picture once. A lookup lies in its job and needs none of its waiters:
 * they may all vanish, and the file is still there for whoever asks next. */
#include "media/internal.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "worker/job.h"

enum { PENDING_SLOTS = 64, BYTES_PER_SLOT = 16 * 1024, MIN_SLOTS = 64, MAX_SLOTS = 16384 };

struct fa_media {
    fa_scope *scope;
    fa_media_options options;
    fa_media_cache *cache;
    fa_scope_hook at_end;
    pthread_mutex_t pending_lock;
    fa_list pending[PENDING_SLOTS]; /* lookups under way; each is touched by its own worker only */
};

/* Lies in its job. */
typedef struct lookup {
    fa_media *media;
    fa_worker *worker;
    fa_list in_pending;
    fa_list waiters; /* the worker's */
    fa_media_key key;
    uint64_t started;
    fa_media_file known; /* what the cache had, leased; bytes NULL: nothing */
    fa_result result;
    fa_media_file file; /* leased; bytes NULL: to be streamed from fd */
    int fd;
    char text[];
} lookup;

/* An exchange that waits for a lookup. Lies in the request scope. */
typedef struct waiter {
    fa_list link;
    fa_exchange *exchange;
    const fa_media_mount *mount;
    fa_scope_hook at_end;
} waiter;

/* ---- on the pool ---- */

static void describe(fa_media_file *file)
{
    fa_etag_write(file->etag, &file->id);
    fa_http_date_write(file->modified, file->id.seconds);
}

static fa_result read_whole(lookup *l, int fd)
{
    fa_buffer *buffer;
    void *space;
    size_t size = (size_t)l->file.id.size;
    fa_result result = fa_media_cache_allocate(l->media->cache, size, &buffer);
    if (result != FA_OK)
        return result;
    fa_buffer_reserve(buffer, size, &space); /* the room is there */
    result = fa_file_read(fd, &l->file.id, 0, space, size);
    if (result != FA_OK) {
        fa_buffer_release(buffer);
        return result;
    }
    fa_buffer_commit(buffer, size);
    fa_buffer_seal(buffer);
    fa_buffer_lease(buffer);
    l->file.bytes = buffer;
    fa_media_cache_put(l->media->cache, &l->key, &l->file, l->started);
    return FA_OK;
}

/* The cache's copy is out of date; what it takes may be needed for the new one. */
static void forget_known(lookup *l)
{
    fa_media_cache_drop(l->media->cache, &l->key);
    if (l->known.bytes != NULL)
        fa_buffer_return(l->known.bytes);
    l->known.bytes = NULL;
}

static fa_result look_once(lookup *l)
{
    int fd;
    fa_result result = fa_file_open(l->key.root.data, l->key.path.data, &fd, &l->file.id);
    if (result != FA_OK) {
        if (result == FA_NOT_FOUND)
            fa_media_cache_drop(l->media->cache, &l->key);
        return result;
    }
    if (l->known.bytes != NULL && fa_file_same(&l->known.id, &l->file.id)) {
        close(fd);
        fa_media_cache_confirm(l->media->cache, &l->key, &l->known.id, l->started);
        l->file = l->known; /* the lease with it */
        l->known.bytes = NULL;
        return FA_OK;
    }
    forget_known(l);
    describe(&l->file);
    result = l->file.id.size <= l->media->options.file_limit ? read_whole(l, fd) : FA_OVER_BUDGET;
    if (result == FA_OVER_BUDGET) { /* not for the cache */
        l->fd = fd;
        return FA_OK;
    }
    close(fd);
    return result;
}

static void look(void *data)
{
    lookup *l = data;
    l->result = look_once(l);
    if (l->result == FA_CONFLICT) /* somebody was writing it */
        l->result = look_once(l);
}

/* ---- back on the worker ---- */

static fa_list *pending_slot(fa_media *media, const fa_media_key *key)
{
    return &media->pending[(key->hash >> 32) % PENDING_SLOTS];
}

static void answer_waiter(const waiter *w, const lookup *l, fa_open_file *open)
{
    if (l->result == FA_OK)
        fa_media_answer(w->exchange, w->mount, fa_media_type(l->key.path), &l->file, open);
    else
        fa_media_refuse(w->exchange, l->result);
}

static void on_looked(void *data, void *context)
{
    lookup *l = data;
    fa_open_file *open = NULL;
    (void)context; /* it was the asker's, on its stack */
    pthread_mutex_lock(&l->media->pending_lock);
    fa_list_remove(&l->in_pending);
    pthread_mutex_unlock(&l->media->pending_lock);
    if (l->fd >= 0)
        open = fa_open_file_new(l->worker, l->fd);
    l->fd = -1;
    for (fa_list *node; (node = fa_list_first(&l->waiters)) != NULL;) {
        waiter *w = FA_OBJECT(node, waiter, link);
        fa_list_remove(node);
        fa_scope_hook_remove(&w->at_end);
        answer_waiter(w, l, open); /* the waiter may be gone after this, and others with it */
    }
    fa_open_file_drop(open);
}

static void drop_lookup(void *data)
{
    lookup *l = data;
    if (l->file.bytes != NULL)
        fa_buffer_return(l->file.bytes);
    if (l->known.bytes != NULL)
        fa_buffer_return(l->known.bytes);
}

/* ---- asking ---- */

typedef struct question {
    fa_media *media;
    fa_exchange *exchange;
    fa_media_key key;
    fa_media_file known; /* leased; bytes NULL: nothing */
    lookup *started;
} question;

static char *copy_text(char *to, fa_text from, fa_text *copy)
{
    memcpy(to, from.data, from.length);
    to[from.length] = '\0';
    *copy = (fa_text){to, from.length};
    return to + from.length + 1;
}

static void prepare_lookup(void *data, void *context)
{
    lookup *l = data;
    question *q = context;
    l->media = q->media;
    l->worker = q->exchange->worker;
    fa_list_init(&l->waiters);
    l->key.hash = q->key.hash;
    copy_text(copy_text(l->text, q->key.root, &l->key.root), q->key.path, &l->key.path);
    l->started = fa_worker_now(l->worker);
    l->known = q->known;
    l->fd = -1;
    q->known.bytes = NULL;
    q->started = l;
    pthread_mutex_lock(&l->media->pending_lock);
    fa_list_append(pending_slot(l->media, &l->key), &l->in_pending);
    pthread_mutex_unlock(&l->media->pending_lock);
}

/* The lookup of this worker for the same file that is under way, or NULL. */
static lookup *find_pending(const question *q)
{
    lookup *found = NULL;
    pthread_mutex_lock(&q->media->pending_lock);
    FA_LIST_EACH(node, pending_slot(q->media, &q->key))
    {
        lookup *l = FA_OBJECT(node, lookup, in_pending);
        if (l->worker == q->exchange->worker && fa_media_key_same(&l->key, &q->key))
            found = l;
    }
    pthread_mutex_unlock(&q->media->pending_lock);
    return found;
}

static void on_waiter_end(fa_scope_hook *hook)
{
    fa_list_remove(&FA_OBJECT(hook, waiter, at_end)->link);
}

static fa_result wait_for_lookup(question *q, const fa_media_mount *mount)
{
    waiter *w = fa_scope_allocate(q->exchange->scope, sizeof(*w));
    if (w == NULL)
        return FA_NO_MEMORY;
    lookup *l = find_pending(q);
    if (l == NULL) {
        size_t size = sizeof(lookup) + q->key.root.length + q->key.path.length + 2;
        fa_result result =
            fa_job_start(q->exchange->worker, size, prepare_lookup, q, look, on_looked, drop_lookup, NULL);
        if (result != FA_OK)
            return result;
        l = q->started;
    }
    w->exchange = q->exchange;
    w->mount = mount;
    fa_list_append(&l->waiters, &w->link);
    fa_scope_hook_add(q->exchange->scope, &w->at_end, on_waiter_end);
    return FA_OK;
}

/* ---- paths ---- */

/* One spelling a file: no empty, "." or ".." parts, so that nothing is cached twice. The disk tells where it leads. */
static bool path_is_plain(fa_text path)
{
    if (path.length == 0 || path.length >= PATH_MAX || memchr(path.data, '\0', path.length) != NULL)
        return false;
    for (size_t at = 0, end; at <= path.length; at = end + 1) {
        for (end = at; end < path.length && path.data[end] != '/'; ++end) {
        }
        fa_text part = {path.data + at, end - at};
        if (part.length == 0 || fa_text_is(part, ".") || fa_text_is(part, ".."))
            return false;
    }
    return true;
}

/* What a path that names a folder stands for: the index in it. */
static fa_result add_index(fa_exchange *exchange, const fa_media_mount *mount, fa_text *path)
{
    if (path->length != 0 && path->data[path->length - 1] != '/')
        return FA_OK;
    if (mount->index == NULL)
        return FA_NOT_FOUND;
    size_t index_length = strlen(mount->index);
    char *joined = fa_scope_allocate(exchange->scope, path->length + index_length);
    if (joined == NULL)
        return FA_NO_MEMORY;
    if (path->length != 0)
        memcpy(joined, path->data, path->length);
    memcpy(joined + path->length, mount->index, index_length);
    *path = (fa_text){joined, path->length + index_length};
    return FA_OK;
}

/* ---- the interface ---- */

void fa_media_serve(fa_media *media, fa_exchange *exchange, const fa_media_mount *mount, fa_text path)
{
    fa_result result = add_index(exchange, mount, &path);
    if (result == FA_OK && !path_is_plain(path))
        result = FA_NOT_FOUND;
    if (result != FA_OK) {
        fa_media_refuse(exchange, result);
        return;
    }
    question q = {.media = media, .exchange = exchange};
    q.key = fa_media_key_of((fa_text){mount->root, strlen(mount->root)}, path);
    fa_media_found found =
        fa_media_cache_get(media->cache, &q.key, fa_worker_now(exchange->worker), media->options.recheck_ms, &q.known);
    if (found == FA_MEDIA_FRESH)
        fa_media_answer(exchange, mount, fa_media_type(path), &q.known, NULL);
    else if ((result = wait_for_lookup(&q, mount)) != FA_OK)
        fa_media_refuse(exchange, result);
    if (q.known.bytes != NULL)
        fa_buffer_return(q.known.bytes);
}

static void end_media(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_media, at_end)->pending_lock);
}

static size_t slots_for(size_t budget)
{
    size_t slots = MIN_SLOTS;
    while (slots < MAX_SLOTS && slots * BYTES_PER_SLOT < budget)
        slots *= 2;
    return slots;
}

fa_media *fa_media_new(fa_scope *server_scope, const fa_media_options *options)
{
    fa_scope *scope;
    size_t slots = slots_for(options->cache_budget);
    size_t fixed = sizeof(fa_media) + slots * sizeof(void *) + 2048; /* the budget is for files, not for this */
    if (fa_scope_new(fa_scope_ledger(server_scope), server_scope, FA_KIND_CACHE, options->cache_budget + fixed,
                     "media cache", FA_HERE, &scope) != FA_OK)
        return NULL;
    fa_media *media = fa_scope_allocate(scope, sizeof(*media));
    fa_media_cache *cache = fa_media_cache_new(scope, slots);
    if (media == NULL || cache == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    media->scope = scope;
    media->options = *options;
    media->cache = cache;
    pthread_mutex_init(&media->pending_lock, NULL);
    for (size_t i = 0; i < PENDING_SLOTS; ++i)
        fa_list_init(&media->pending[i]);
    fa_scope_hook_add(scope, &media->at_end, end_media);
    return media;
}

void fa_media_free(fa_media *media)
{
    if (media != NULL)
        fa_scope_end(media->scope, "server stopped", NULL);
}

void fa_media_stats(fa_media *media, size_t *files, size_t *bytes)
{
    fa_media_cache_stats(media->cache, files, bytes);
}

void fa_media_shrink(fa_media *media, size_t target)
{
    fa_media_cache_shrink(media->cache, target);
}

size_t fa_media_budget(const fa_media *media)
{
    return media->options.cache_budget;
}
