/* Header values of the form "type/subtype; name=value; name=\"quoted\"", read strictly: RFC 9110 5.6.6 and RFC 7578 4.2. Pure:
 * texts are borrowed, nothing is allocated. Thread: any. */
#ifndef FA_EXCHANGE_MEDIA_TYPE_H
#define FA_EXCHANGE_MEDIA_TYPE_H

#include "exchange/exchange.h"

enum { FA_MOST_PARAMETERS = 8 };

typedef struct fa_parameter {
    fa_text name;
    fa_text value; /* of a quoted one what stands between the quotes, as sent */
    bool quoted;
} fa_parameter;

/* A value with its parameters. */
typedef struct fa_media_type {
    fa_text value; /* "multipart/form-data", "form-data": as sent, without parameters */
    fa_parameter parameters[FA_MOST_PARAMETERS];
    size_t count;
} fa_media_type;

/* False when it is malformed: a value that is no token or pair of them, a parameter without a name or a value, an open quote, a
 * control character, the same parameter twice, more than FA_MOST_PARAMETERS. */
bool fa_media_type_read(fa_text text, fa_media_type *type);

/* The parameter of that name, whatever its case; NULL when absent. name: lower case. */
const fa_parameter *fa_media_type_parameter(const fa_media_type *type, const char *name);

bool fa_is_odd_token_char(char c); /* neither letter nor digit nor "-" */

/* A character that a token may have: RFC 9110 5.6.2. Inline: every name of every header is looked through. */
static inline bool fa_is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           fa_is_odd_token_char(c);
}

#endif
