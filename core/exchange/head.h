/* What the head of an answer gets beside the headers of whoever answers: cookies, policies, what a file is to be called.
 *
 * Two sources. *Added* ones are copied into the request scope before the answer begins. *Defaults* are a table that many
 * exchanges share (security headers): fa_exchange.defaults borrows it, and nothing is allocated for a request.
 *
 * Thread: the worker's.
 */
#ifndef FA_EXCHANGE_HEAD_H
#define FA_EXCHANGE_HEAD_H

#include "exchange/exchange.h"

typedef enum fa_added_kind {
    FA_ADDED_LINE,      /* one more line, whatever else there is: Set-Cookie, Vary */
    FA_ADDED_CONTENT,   /* stands in for the answer's own of that name, and only where the content is what was asked for
                         (2xx): Content-Type, Content-Disposition */
    FA_ADDED_VALIDATOR, /* only where there is none of that name, for 2xx and 304: ETag */
    FA_ADDED_INSTEAD    /* stands in for the answer's own of that name, whatever the status: Cache-Control */
} fa_added_kind;

typedef struct fa_added_header {
    struct fa_added_header *next;
    fa_added_kind kind;
    fa_header header;
} fa_added_header;

enum { FA_MAX_ADDED_HEADERS = 32, FA_MAX_DEFAULT_HEADERS = 12, FA_MAX_HEAD = 40 + 32 + 12 + 2 };

/* name: lower case; both are copied. The same name again replaces the first one, but for lines. FA_WRONG_STATE when the
 * answer has begun, FA_INVALID as for fa_exchange_reply, FA_FULL beyond FA_MAX_ADDED_HEADERS, FA_NO_MEMORY (or a
 * budget). */
fa_result fa_exchange_add_header(fa_exchange *exchange, fa_added_kind kind, fa_text name, fa_text value);

/* Whether a header of an answer may be sent: a token that is not the edge's own, and no CR, LF or NUL. */
bool fa_header_is_clean(const fa_header *header);

/* For exchange.c: the whole head of an answer with this status. Returns how many there are. */
size_t fa_head_assemble(const fa_exchange *exchange, int status, const fa_header *headers, size_t count,
                        fa_header all[FA_MAX_HEAD]);

#endif
