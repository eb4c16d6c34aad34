/* Static media: files below a root, served by C from sealed, budgeted, shared cache buffers.
 *
 * One fa_media a server; its cache is shared by the workers (under its lock), its buffers are leased to the exchanges
 * that send them. Files are looked up and read on the thread pool, never on a loop, and copied, never mapped: a file
 * truncated while it is served is no SIGBUS. Nothing outside of a root is ever answered: the real path must lie below
 * the real root.
 */
#ifndef FA_MEDIA_MEDIA_H
#define FA_MEDIA_MEDIA_H

#include "exchange/exchange.h"

typedef struct fa_media fa_media;

typedef struct fa_media_options {
    size_t cache_budget;    /* bytes; the least recently used file goes first */
    size_t file_limit;      /* a larger file is not cached but streamed in pieces */
    uint64_t recheck_ms;    /* a cached file is served without a look at the disk for so long */
    const char *mime_types; /* a file like /etc/mime.types, read at once; borrowed for the call, NULL: none */
} fa_media_options;

/* One root that is mounted somewhere. */
typedef struct fa_media_mount {
    const char *root;   /* borrowed: an existing folder, absolute or relative to the process */
    bool immutable;     /* Cache-Control: public, max-age=31536000, immutable; else no-cache (with validators) */
    const char *index;  /* file served for a path that ends in "/", or NULL: 404 */
    bool precompressed; /* for "a.css" also "a.css.br" and "a.css.gz" are looked for, for clients that take them */
    bool dotfiles;      /* names that begin with a dot are served, too; else they are 404 */
} fa_media_mount;

/* server_scope: the root of ownership; a cache account below it is charged. NULL: no memory. */
fa_media *fa_media_new(fa_scope *server_scope, const fa_media_options *options);

/* When no worker uses it any more. Buffers still in flight are freed by their last lease. */
void fa_media_free(fa_media *media);

/* Any method but GET and HEAD is 405 for a file that is there, and 404 for one that is not.
 *
 * Answers the exchange with the file `path` (already percent-decoded, relative to the mount, no leading slash) for GET
 * and HEAD: 200, 206 and 416 (one range; GET only), 304 and 412 (the conditions of RFC 9110 13), 404, 503 when a budget
 * is reached. mount: borrowed until the exchange has ended; path: copied. Thread: the exchange's worker. */
void fa_media_serve(fa_media *media, fa_exchange *exchange, const fa_media_mount *mount, fa_text path);

/* Memory runs short: from now on cached files take at most `target` bytes (the least recently used go at once, but for those
 * that are being sent), and what does not fit is streamed. SIZE_MAX: as configured again. Thread: any; the last call counts. */
void fa_media_shrink(fa_media *media, size_t target);
size_t fa_media_budget(const fa_media *media); /* cache_budget, as configured */

/* Cached files and their bytes, a snapshot. Thread: any. */
void fa_media_stats(fa_media *media, size_t *files, size_t *bytes);

/* How often bytes of a file were read into the cache since the start. Thread: any. */
size_t fa_media_reads(const fa_media *media);

#endif
