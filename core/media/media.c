/* The way of a request for a file.
 *
 * A file that was looked at on disk a moment ago is answered on the spot, from the cache, without a system call.
 * Anything else costs a look at the disk (lookup.c). On a mount with encoded siblings the file itself comes first, for it
 * tells which of them there are; then, when the client would rather have one of those, that one is sought the same way. */
#include "media/internal.h"

#include <limits.h>
#include <string.h>

enum { BYTES_PER_SLOT = 16 * 1024, MIN_SLOTS = 64, MAX_SLOTS = 16384 };

/* ---- paths ---- */

/* One spelling a file: no empty, "." or ".." parts, so that nothing is cached twice. The disk tells where it leads. What
 * begins with a dot is nobody's business (.git, .env), unless the mount says so. */
static bool path_is_plain(fa_text path, bool dotfiles)
{
    if (path.length == 0 || path.length >= PATH_MAX || memchr(path.data, '\0', path.length) != NULL)
        return false;
    for (size_t at = 0, end; at <= path.length; at = end + 1) {
        for (end = at; end < path.length && path.data[end] != '/'; ++end) {
        }
        fa_text part = {path.data + at, end - at};
        if (part.length == 0 || fa_text_is(part, ".") || fa_text_is(part, ".."))
            return false;
        if (part.data[0] == '.' && !dotfiles)
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

/* ---- seeking ---- */

static void seek(fa_media_request *request, fa_text path);

/* The file at `plain` in request->encoding. */
static void seek_encoded(fa_media_request *request, fa_text plain)
{
    char path[PATH_MAX];
    const char *suffix = fa_encoding_suffix(request->encoding);
    size_t length = strlen(suffix);
    memcpy(path, plain.data, plain.length); /* below PATH_MAX, and with its suffix, too, else it would not be there */
    memcpy(path + plain.length, suffix, length + 1);
    seek(request, (fa_text){path, plain.length + length});
}

void fa_media_found_file(fa_media_request *request, fa_text path, fa_result result, const fa_media_file *file,
                         fa_open_file *open)
{
    fa_encoding encoding = request->encoding;
    if (encoding != FA_ENCODING_IDENTITY)
        path.length -= strlen(fa_encoding_suffix(encoding));
    if (result != FA_OK && encoding != FA_ENCODING_IDENTITY) { /* gone meanwhile: what else is there? */
        request->accepted.wish[encoding] = 0;
        request->encoding = FA_ENCODING_IDENTITY;
        seek(request, path);
        return;
    }
    if (result != FA_OK) {
        fa_media_refuse(request->exchange, result);
        return;
    }
    if (encoding == FA_ENCODING_IDENTITY)
        request->encoding = fa_accepted_choose(&request->accepted, file->siblings);
    if (request->encoding != encoding) {
        seek_encoded(request, path);
        return;
    }
    fa_media_view view = {.mount = request->mount,
                          .type = fa_media_types_find(request->media->types, path),
                          .encoding = encoding,
                          .varies = encoding != FA_ENCODING_IDENTITY || file->siblings != 0};
    fa_media_answer(request->exchange, &view, file, open);
}

/* path: with the suffix of request->encoding. */
static void seek(fa_media_request *request, fa_text path)
{
    fa_media *media = request->media;
    fa_exchange *exchange = request->exchange;
    fa_media_file known = {.bytes = NULL};
    fa_result result = FA_OK;
    bool siblings = request->mount->precompressed && request->encoding == FA_ENCODING_IDENTITY;
    fa_media_key key = fa_media_key_of((fa_text){request->mount->root, strlen(request->mount->root)}, path, siblings);
    fa_media_found found =
        fa_media_cache_get(media->cache, &key, fa_worker_now(exchange->worker), media->options.recheck_ms, &known);
    if (found == FA_MEDIA_FRESH)
        fa_media_found_file(request, path, FA_OK, &known, NULL);
    else
        result = fa_media_look(request, &key, &known);
    if (result != FA_OK)
        fa_media_refuse(exchange, result);
    if (known.bytes != NULL)
        fa_buffer_return(known.bytes);
}

static void read_accepted(const fa_exchange *exchange, fa_accepted *accepted)
{
    fa_accepted_init(accepted);
    for (size_t i = 0; i < exchange->header_count; ++i) {
        if (fa_text_is(exchange->headers[i].name, "accept-encoding"))
            fa_accepted_read(accepted, exchange->headers[i].value);
    }
}

/* ---- the interface ---- */

void fa_media_serve(fa_media *media, fa_exchange *exchange, const fa_media_mount *mount, fa_text path)
{
    fa_result result = add_index(exchange, mount, &path);
    if (result == FA_OK && !path_is_plain(path, mount->dotfiles))
        result = FA_NOT_FOUND;
    if (result != FA_OK) {
        fa_media_refuse(exchange, result);
        return;
    }
    fa_media_request request = {.media = media, .exchange = exchange, .mount = mount};
    if (mount->precompressed)
        read_accepted(exchange, &request.accepted);
    seek(&request, path);
}

static void end_media(fa_scope_hook *hook)
{
    fa_media *media = FA_OBJECT(hook, fa_media, at_end);
    fa_readings_destroy(&media->readings);
    pthread_mutex_destroy(&media->pending_lock);
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
    media->types = options->mime_types != NULL ? fa_media_types_read(server_scope, options->mime_types) : NULL;
    fa_readings_init(&media->readings);
    pthread_mutex_init(&media->pending_lock, NULL);
    for (size_t i = 0; i < FA_MEDIA_PENDING_SLOTS; ++i)
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

size_t fa_media_reads(const fa_media *media)
{
    return atomic_load_explicit(&media->reads, memory_order_relaxed);
}
