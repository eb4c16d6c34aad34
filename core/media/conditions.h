/* What a client makes a request depend on: If-Match, If-None-Match and the rest of RFC 9110 13, in its order.
 * Thread: the exchange's worker; the functions on texts: any. */
#ifndef FA_MEDIA_CONDITIONS_H
#define FA_MEDIA_CONDITIONS_H

#include "exchange/exchange.h"

typedef enum fa_condition {
    FA_CONDITION_MET,          /* answer as if there were none */
    FA_CONDITION_NOT_MODIFIED, /* 304 */
    FA_CONDITION_FAILED        /* 412 */
} fa_condition;

/* For GET and HEAD. etag: a strong one; modified: seconds since 1970. */
fa_condition fa_conditions_check(const fa_exchange *exchange, const char *etag, int64_t modified);

/* Whether a Range may be answered with a part: there is no If-Range, or it names exactly this file. now: the time of day;
 * a file changed within its last second can change again without its date telling. */
bool fa_conditions_allow_range(const fa_exchange *exchange, const char *etag, int64_t modified, int64_t now);

/* Whether a list of entity tags names `etag`, a strong one. weak: W/"x" counts as "x". False from where on it is
 * malformed. "*" is no tag. */
bool fa_etag_listed(fa_text list, const char *etag, bool weak);

#endif
