/* Content encodings, and the Accept-Encoding header (RFC 9110 12.5.3). Pure. Thread: any. */
#ifndef FA_MEDIA_ENCODING_H
#define FA_MEDIA_ENCODING_H

#include "exchange/exchange.h"

/* Preferred ones last: the value decides between equal wishes. */
typedef enum fa_encoding { FA_ENCODING_IDENTITY, FA_ENCODING_GZIP, FA_ENCODING_BR, FA_ENCODINGS } fa_encoding;

/* How much a client wants each, in thousandths; 0: not at all, -1: it did not say. */
typedef struct fa_accepted {
    int16_t wish[FA_ENCODINGS];
    int16_t others; /* "*" */
} fa_accepted;

/* Nothing said: that is identity alone. */
void fa_accepted_init(fa_accepted *accepted);

/* Adds one line of the header; of a coding that is named twice the last counts. Members that are malformed are passed
 * over. */
void fa_accepted_read(fa_accepted *accepted, fa_text line);

/* The best of those in `available` (bit 1 << encoding; identity is always there). Identity, when not named, is the last
 * choice; when refused, too, for that is better than no answer. */
fa_encoding fa_accepted_choose(const fa_accepted *accepted, unsigned available);

/* "br" and ".br"; NULL and "" for identity. */
const char *fa_encoding_name(fa_encoding encoding);
const char *fa_encoding_suffix(fa_encoding encoding);

#endif
