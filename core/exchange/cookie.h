/* Cookies: reading the Cookie header and writing Set-Cookie (RFC 6265, and 6265bis for prefixes, SameSite and Partitioned).
 * Pure: no memory, no state. Thread: any. */
#ifndef FA_EXCHANGE_COOKIE_H
#define FA_EXCHANGE_COOKIE_H

#include "exchange/exchange.h"

/* Takes the next pair off the front of `rest` (a Cookie header's value). Both texts point into it; quotes around a value
 * are taken off. What is no pair, or has a name that is no token, is skipped. False at the end. */
bool fa_cookie_next(fa_text *rest, fa_text *name, fa_text *value);

/* The first cookie of that name in all Cookie headers of the request. */
bool fa_cookie_find(const fa_exchange *exchange, fa_text name, fa_text *value);

typedef struct fa_cookie {
    fa_text name, value;
    fa_text path, domain; /* empty: none */
    int64_t max_age;      /* seconds; -1: none, the cookie goes with the browser's session */
    bool secure, http_only, partitioned;
    const char *same_site; /* "Strict", "Lax", "None"; NULL: none */
} fa_cookie;

enum { FA_COOKIE_SIZE = 4096 + 1024 + 256 + 160 };

/* Writes the value of a Set-Cookie header, NUL-terminated; *length without it. FA_INVALID with what is wrong: a name that
 * is no token; a value with a control character, space, quote, comma, semicolon, backslash or a byte beyond ASCII; name and
 * value above 4096 bytes together; a path that does not begin with "/" or holds ";"; a domain that is no host name; __Secure-
 * without secure; __Host- without secure, with a domain or with another path than "/"; SameSite=None or Partitioned without
 * secure. error: may be NULL. */
fa_result fa_cookie_write(const fa_cookie *cookie, char out[FA_COOKIE_SIZE], size_t *length, fa_error *error);

#endif
