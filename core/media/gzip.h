/* Answers compressed on the way out: those that fa_exchange_reply gives whole, of a type that compresses, neither small nor large, to
 * clients that take it. Streams, events and files that are sent piece by piece never are. An ETag becomes a weak one, for the bytes are
 * not the same; Vary says that it depends on the client. Thread: the worker's. */
#ifndef FA_MEDIA_GZIP_H
#define FA_MEDIA_GZIP_H

#include "exchange/exchange.h"

typedef struct fa_gzip_limits {
    size_t least, most; /* bytes of a body that is worth it, and that the loop has time for */
    int level;          /* 1 to 9 */
} fa_gzip_limits;

/* Of the answer to come. limits: borrowed until then. */
void fa_gzip_wish(fa_exchange *exchange, const fa_gzip_limits *limits);

#endif
