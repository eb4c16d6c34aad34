/* ETag and Last-Modified (RFC 9110 8.8). Thread: any. */
#ifndef FA_MEDIA_VALIDATORS_H
#define FA_MEDIA_VALIDATORS_H

#include "exchange/exchange.h"
#include "media/file.h"

enum { FA_ETAG_SIZE = 56, FA_HTTP_DATE_SIZE = 30 };

/* A strong one, with its quotes: size, time to the nanosecond, inode. */
void fa_etag_write(char out[FA_ETAG_SIZE], const fa_file_id *id);

/* "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale. */
void fa_http_date_write(char out[FA_HTTP_DATE_SIZE], int64_t seconds);

/* Any of the three forms of RFC 9110 5.6.7; false for anything else. */
bool fa_http_date_read(fa_text text, int64_t *seconds);

#endif
