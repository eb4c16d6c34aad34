/* The Range header (RFC 9110 14): which bytes of a file a client asks for. Pure: no exchange, no file. Thread: any. */
#ifndef FA_MEDIA_RANGE_H
#define FA_MEDIA_RANGE_H

#include "exchange/exchange.h"

typedef enum fa_range_answer {
    FA_RANGE_WHOLE, /* 200: no range that we know, a malformed one, or several (a server may ignore those) */
    FA_RANGE_PART,  /* 206 */
    FA_RANGE_NONE   /* 416: well-formed, but nothing of it lies in the file */
} fa_range_answer;

/* What there is to send; length is never 0 but for an empty file. */
typedef struct fa_byte_range {
    uint64_t first, length;
} fa_byte_range;

/* text: the header's value. *range is set in any case: to the part, else to all of the `size` bytes. Of several ranges
 * those that lie outside do not count; when one is left, that is the answer. */
fa_range_answer fa_range_read(fa_text text, uint64_t size, fa_byte_range *range);

#endif
