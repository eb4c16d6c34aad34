/* Headers that every answer gets unless its script says otherwise: `security_headers` and `hsts` of the configuration. */
#ifndef FA_SERVER_SECURITY_HEADERS_H
#define FA_SERVER_SECURITY_HEADERS_H

#include "exchange/exchange.h"
#include "server/config.h"

enum { FA_SECURITY_HEADERS = 6 };

typedef struct fa_security_headers {
    fa_header list[FA_SECURITY_HEADERS]; /* with TLS the last one is told, too */
    size_t plain, secure;                /* how many without TLS, and with it */
    char hsts[48];
} fa_security_headers;

/* The headers point into `headers`, which must stay where it is. FA_INVALID names what is not known. */
fa_result fa_security_headers_read(fa_security_headers *headers, const fa_config *config, fa_error *error);

#endif
