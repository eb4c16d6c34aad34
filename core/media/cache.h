/* The media cache: whole files in sealed buffers, found by mount root and path, within a byte budget, least recently
 * used first to go.
 *
 * The budget is a hard one, on the cache's own account: bytes of a file that has been replaced or dropped, and that
 * some slow client still holds by a lease, count until they are freed. Therefore files in flight are not evicted: that
 * would give no room back. When nothing else is left to evict, the file at hand is not cached.
 *
 * Thread: any; one mutex guards all of it, held for memory work only, never over a system call.
 */
#ifndef FA_MEDIA_CACHE_H
#define FA_MEDIA_CACHE_H

#include "media/validators.h"

typedef struct fa_media_cache fa_media_cache;

/* What a cached file is found by. Two mounts with the same root share their files, unless only one of them looks for
 * encoded ones beside them. */
typedef struct fa_media_key {
    fa_text root, path; /* as configured; relative to it */
    bool siblings;      /* a look at the disk also tells which encoded siblings there are */
    uint64_t hash;
} fa_media_key;

fa_media_key fa_media_key_of(fa_text root, fa_text path, bool siblings);
bool fa_media_key_same(const fa_media_key *a, const fa_media_key *b);

/* A file as it is answered. */
typedef struct fa_media_file {
    fa_file_id id;
    char etag[FA_ETAG_SIZE], modified[FA_HTTP_DATE_SIZE];
    unsigned siblings; /* bit 1 << fa_encoding: there is such a one, no older than this */
    fa_buffer *bytes;  /* leased by whoever holds this struct; NULL: not in memory */
} fa_media_file;

typedef enum fa_media_found { FA_MEDIA_MISS, FA_MEDIA_STALE, FA_MEDIA_FRESH } fa_media_found;

/* Lives in `scope`, whose account pays for the files and whose budget is theirs; ends with it. slots: of the hash
 * table. NULL: no memory. */
fa_media_cache *fa_media_cache_new(fa_scope *scope, size_t slots);

/* FRESH: looked at on disk less than recheck_ms before `now` (milliseconds, monotonic). But for MISS, *file is filled
 * and its bytes are leased to the caller. */
fa_media_found fa_media_cache_get(fa_media_cache *cache, const fa_media_key *key, uint64_t now, uint64_t recheck_ms,
                                  fa_media_file *file);

/* A mutable buffer of the cache's account with room for `length` bytes; evicts what must go for it. The caller owns it.
 * FA_OVER_BUDGET with nothing evicted, FA_NO_MEMORY. */
fa_result fa_media_cache_allocate(fa_media_cache *cache, size_t length, fa_buffer **buffer);

/* Keeps file->bytes, a buffer from fa_media_cache_allocate, sealed by now, in place of what there was under this key.
 * Takes the owner's hold over in any case; without room for an entry the buffer is simply let go. looked: when the disk
 * was asked. */
void fa_media_cache_put(fa_media_cache *cache, const fa_media_key *key, const fa_media_file *file, uint64_t looked);

/* The file on disk is still file->id, with file->siblings: fresh again from `looked` on. */
void fa_media_cache_confirm(fa_media_cache *cache, const fa_media_key *key, const fa_media_file *file, uint64_t looked);

/* There is no such file any more, or not for the cache. but: the version that stays when it is this one, or NULL. */
void fa_media_cache_drop(fa_media_cache *cache, const fa_media_key *key, const fa_file_id *but);

/* From now on the files take at most `target` bytes (SIZE_MAX: what the budget allows): the least recently used go until
 * they do, but for those in flight, and no file is taken in that does not fit. Beside the budget this is a soft limit: each
 * thread that is reading a file at that moment may go over it with that one. */
void fa_media_cache_shrink(fa_media_cache *cache, size_t target);

void fa_media_cache_stats(fa_media_cache *cache, size_t *files, size_t *bytes);

#endif
