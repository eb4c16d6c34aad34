/* Names of hosts: what a route is declared for, and what a client says in Host. "api.example" is that host, "*.example" every host
 * below example, however deep, but not example itself. Thread: any. */
#ifndef FA_EXCHANGE_HOST_PATTERN_H
#define FA_EXCHANGE_HOST_PATTERN_H

#include "exchange/exchange.h"

enum { FA_HOST_SIZE = 256 };

/* Letters in lower case, digits, dots, hyphens and underscores, perhaps behind "*."; or an IPv6 address in brackets. No port. */
bool fa_host_pattern_is_sound(fa_text pattern);

/* A Host header in lower case, without port and the dot that may end a name. Its length; 0: there is none, or it is too long. */
size_t fa_host_plain(fa_text sent, char out[FA_HOST_SIZE]);

/* host: as fa_host_plain makes it. */
bool fa_host_pattern_matches(fa_text pattern, fa_text host);

/* Whether `a` is to be asked before `b`: the one without a star, then the longer one. */
bool fa_host_pattern_before(fa_text a, fa_text b);

#endif
