/* Inside core/media: what its files share.
 *
 *   media.c   the way of a request: path, cache, or a look at the disk that others wait for too
 *   answer.c  a file that was found becomes an answer
 *   stream.c  a file that is too large for the cache, piece by piece
 *   cache.c   whole files in memory          file.c  finding and reading, on the pool
 *   type.c    MIME types                     validators.c  ETag, dates, conditions
 */
#ifndef FA_MEDIA_INTERNAL_H
#define FA_MEDIA_INTERNAL_H

#include "media/cache.h"
#include "media/media.h"

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

enum { FA_MEDIA_MAX_HEADERS = 5 };

/* The headers of a 200 (or of a 304: without those that describe a body). Valid as long as file, type and mount. */
size_t fa_media_headers(const fa_media_mount *mount, const char *type, const fa_media_file *file, bool with_body,
                        fa_header headers[FA_MEDIA_MAX_HEADERS]);

/* 200 or 304 with file->bytes, or 200 streamed from `open` when there are none. type: static. file, open: borrowed for
 * the call. The exchange may be gone after it. */
void fa_media_answer(fa_exchange *exchange, const fa_media_mount *mount, const char *type, const fa_media_file *file,
                     fa_open_file *open);

/* 404 for FA_NOT_FOUND, else 503. */
void fa_media_refuse(fa_exchange *exchange, fa_result result);

/* Streams the file; holds `open` as long as it needs it. */
void fa_media_stream(fa_exchange *exchange, const fa_media_mount *mount, const char *type, const fa_media_file *file,
                     fa_open_file *open);

#endif
