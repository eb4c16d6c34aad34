/* Inside core/media: what its files share.
 *
 *   media.c       the way of a request: path, cache, look at the disk, encoded sibling
 *   lookup.c      the look at the disk, which others wait for too      reading.c  one read at a time of one file
 *   answer.c      a file that was found becomes an answer
 *   stream.c      a file that is too large for the cache, piece by piece
 *   cache.c       whole files in memory          file.c      finding and reading, on the pool
 *   types.c       MIME types                     validators.c  ETag and dates
 *   conditions.c  If-Match and its kin           range.c, encoding.c  two headers of requests
 */
#ifndef FA_MEDIA_INTERNAL_H
#define FA_MEDIA_INTERNAL_H

#include <stdatomic.h>

#include "media/cache.h"
#include "media/encoding.h"
#include "media/media.h"
#include "media/range.h"
#include "media/reading.h"
#include "media/types.h"

/* An open file that several streams of one worker read. Thread: the worker's; reads by jobs hold it too. */
typedef struct fa_open_file {
    int fd;
    unsigned holds;
    fa_account *account;
} fa_open_file;

/* Takes fd over (and closes it when it fails: NULL). The caller has the first hold. */
fa_open_file *fa_open_file_new(fa_worker *worker, int fd);
fa_open_file *fa_open_file_hold(fa_open_file *open);
void fa_open_file_drop(fa_open_file *open); /* NULL is ignored */

enum { FA_MEDIA_MAX_HEADERS = 10, FA_MEDIA_PENDING_SLOTS = 64 };

struct fa_media {
    fa_scope *scope;
    fa_media_options options;
    fa_media_cache *cache;
    fa_media_types *types; /* or NULL */
    fa_readings readings;
    _Atomic size_t reads;
    fa_scope_hook at_end;
    pthread_mutex_t pending_lock;
    fa_list pending[FA_MEDIA_PENDING_SLOTS]; /* lookups under way; each is touched by its own worker only */
};

/* Who wants what. On a stack, or in the request scope while it waits. */
typedef struct fa_media_request {
    fa_media *media;
    fa_exchange *exchange;
    const fa_media_mount *mount;
    fa_accepted accepted; /* of a mount with encoded siblings */
    fa_encoding encoding; /* of the file that is sought now */
} fa_media_request;

/* How a file is shown. */
typedef struct fa_media_view {
    const fa_media_mount *mount;
    const char *type; /* lives as long as the fa_media */
    fa_encoding encoding;
    bool varies; /* another client might get it in another encoding */
} fa_media_view;

/* The head of an answer; refers to the view and the file, and to itself: not to be copied. */
typedef struct fa_media_head {
    fa_header headers[FA_MEDIA_MAX_HEADERS];
    size_t count;
    char content_range[80];
} fa_media_head;

/* status: 200, 206 with `range`, or 304: without what describes a body. */
void fa_media_make_head(fa_media_head *head, const fa_media_view *view, const fa_media_file *file, int status,
                        const fa_byte_range *range);

/* lookup.c. Looks at the disk, or waits for a look under way; then, from the loop, fa_media_found_file. Otherwise than
 * FA_OK nothing follows. request, key: copied. known: what the cache had; its lease is taken over when it is needed
 * (bytes is NULL then). */
fa_result fa_media_look(const fa_media_request *request, const fa_media_key *key, fa_media_file *known);

/* media.c. path: as in the key, with the suffix of request->encoding. file, open: borrowed; for FA_OK only. The exchange
 * may be gone after it. */
void fa_media_found_file(fa_media_request *request, fa_text path, fa_result result, const fa_media_file *file,
                         fa_open_file *open);

/* answer.c. The file, or what the request's conditions and range make of it: from file->bytes, or streamed from `open`
 * when there are none. file, open, view: borrowed for the call. The exchange may be gone after it. */
void fa_media_answer(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, fa_open_file *open);

/* 404 for FA_NOT_FOUND, else 503. */
void fa_media_refuse(fa_exchange *exchange, fa_result result);

/* stream.c. Streams that part of the file; status: 200 or 206. Holds `open` as long as it needs it. */
void fa_media_stream(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, fa_open_file *open,
                     int status, const fa_byte_range *range);

#endif
