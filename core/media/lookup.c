/* A look at the disk, on the pool: it finds a file, compares it with what the cache has and reads it when it must.
 *
 * Requests for the same file that arrive at the same worker meanwhile wait for the same lookup; lookups of several workers
 * for one file read it once (reading.h). So a hundred clients that open one page read each picture once. A lookup lies in
 * its job and needs none of its waiters: they may all vanish, and the file is still there for whoever asks next. */
#include "media/internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/job.h"

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

/* A request that waits for a lookup. Lies in the request scope. */
typedef struct waiter {
    fa_list link;
    fa_media_request request;
    fa_scope_hook at_end;
} waiter;

/* ---- on the pool ---- */

static void describe(fa_media_file *file)
{
    fa_etag_write(file->etag, &file->id);
    fa_http_date_write(file->modified, file->id.seconds);
}

/* Whether another worker has read it while we waited for our turn. */
static bool has_been_read(lookup *l)
{
    fa_media_file found;
    if (fa_media_cache_get(l->media->cache, &l->key, 0, 0, &found) == FA_MEDIA_MISS)
        return false;
    if (fa_file_same(&found.id, &l->file.id)) {
        l->file.bytes = found.bytes; /* the lease with it */
        fa_media_cache_confirm(l->media->cache, &l->key, &l->file, l->started);
        return true;
    }
    fa_buffer_return(found.bytes);
    return false;
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
    atomic_fetch_add_explicit(&l->media->reads, 1, memory_order_relaxed);
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

static fa_result read_once(lookup *l, int fd)
{
    fa_reading reading;
    fa_reading_begin(&l->media->readings, &reading, &l->key);
    fa_result result = has_been_read(l) ? FA_OK : read_whole(l, fd);
    fa_reading_end(&l->media->readings, &reading);
    return result;
}

/* The cache's copy is out of date (unless another worker has just brought a newer one); what it takes may be needed for
 * the new one. */
static void forget_known(lookup *l)
{
    fa_media_cache_drop(l->media->cache, &l->key, &l->file.id);
    if (l->known.bytes != NULL)
        fa_buffer_return(l->known.bytes);
    l->known.bytes = NULL;
}

/* Which encoded siblings there are. One that is older than the file was made from another version of it. */
static unsigned find_siblings(const lookup *l)
{
    char path[PATH_MAX];
    unsigned found = 0;
    for (fa_encoding i = FA_ENCODING_IDENTITY + 1; l->key.siblings && i < FA_ENCODINGS; ++i) {
        fa_file_id id;
        int fd;
        if (snprintf(path, sizeof(path), "%s%s", l->key.path.data, fa_encoding_suffix(i)) >= (int)sizeof(path) ||
            fa_file_open(l->key.root.data, path, &fd, &id) != FA_OK)
            continue;
        close(fd);
        bool older = id.seconds < l->file.id.seconds ||
                     (id.seconds == l->file.id.seconds && id.nanoseconds < l->file.id.nanoseconds);
        found |= older ? 0 : 1u << i;
    }
    return found;
}

static fa_result look_once(lookup *l)
{
    int fd;
    fa_result result = fa_file_open(l->key.root.data, l->key.path.data, &fd, &l->file.id);
    if (result != FA_OK) {
        if (result == FA_NOT_FOUND)
            fa_media_cache_drop(l->media->cache, &l->key, NULL);
        return result;
    }
    l->file.siblings = find_siblings(l);
    if (l->known.bytes != NULL && fa_file_same(&l->known.id, &l->file.id)) {
        close(fd);
        l->known.siblings = l->file.siblings;
        fa_media_cache_confirm(l->media->cache, &l->key, &l->known, l->started);
        l->file = l->known; /* the lease with it */
        l->known.bytes = NULL;
        return FA_OK;
    }
    forget_known(l);
    describe(&l->file);
    result = l->file.id.size <= l->media->options.file_limit ? read_once(l, fd) : FA_OVER_BUDGET;
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
    return &media->pending[(key->hash >> 32) % FA_MEDIA_PENDING_SLOTS];
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
        fa_media_request request = w->request;
        fa_list_remove(node);
        fa_scope_hook_remove(&w->at_end);
        fa_scope_free(request.exchange->scope, w);
        /* The request may be gone after this, and others with it. */
        fa_media_found_file(&request, l->key.path, l->result, &l->file, open);
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
    const fa_media_request *request;
    const fa_media_key *key;
    fa_media_file *known;
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
    l->media = q->request->media;
    l->worker = q->request->exchange->worker;
    fa_list_init(&l->waiters);
    l->key = *q->key;
    copy_text(copy_text(l->text, q->key->root, &l->key.root), q->key->path, &l->key.path);
    l->started = fa_worker_now(l->worker);
    l->known = *q->known;
    l->fd = -1;
    q->known->bytes = NULL;
    q->started = l;
    pthread_mutex_lock(&l->media->pending_lock);
    fa_list_append(pending_slot(l->media, &l->key), &l->in_pending);
    pthread_mutex_unlock(&l->media->pending_lock);
}

/* The lookup of this worker for the same file that is under way, or NULL. */
static lookup *find_pending(const question *q)
{
    fa_media *media = q->request->media;
    lookup *found = NULL;
    pthread_mutex_lock(&media->pending_lock);
    FA_LIST_EACH(node, pending_slot(media, q->key))
    {
        lookup *l = FA_OBJECT(node, lookup, in_pending);
        if (l->worker == q->request->exchange->worker && fa_media_key_same(&l->key, q->key))
            found = l;
    }
    pthread_mutex_unlock(&media->pending_lock);
    return found;
}

static void on_waiter_end(fa_scope_hook *hook)
{
    fa_list_remove(&FA_OBJECT(hook, waiter, at_end)->link);
}

fa_result fa_media_look(const fa_media_request *request, const fa_media_key *key, fa_media_file *known)
{
    question q = {request, key, known, NULL};
    fa_exchange *exchange = request->exchange;
    waiter *w = fa_scope_allocate(exchange->scope, sizeof(*w));
    if (w == NULL)
        return FA_NO_MEMORY;
    lookup *l = find_pending(&q);
    if (l == NULL) {
        size_t size = sizeof(lookup) + key->root.length + key->path.length + 2;
        fa_result result = fa_job_start(exchange->worker, size, prepare_lookup, &q, look, on_looked, drop_lookup, NULL);
        if (result != FA_OK)
            return result;
        l = q.started;
    }
    w->request = *request;
    fa_list_append(&l->waiters, &w->link);
    fa_scope_hook_add(exchange->scope, &w->at_end, on_waiter_end);
    return FA_OK;
}
