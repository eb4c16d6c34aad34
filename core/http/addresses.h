/* How many connections each address has, over all workers: a table of fixed size behind a lock, which is taken twice in
 * the life of a connection. An IPv6 client is its /64, for it may take any address in there. */
#ifndef FA_HTTP_ADDRESSES_H
#define FA_HTTP_ADDRESSES_H

#include <sys/socket.h>

#include "memory/scope.h"

typedef struct fa_addresses fa_addresses;

typedef struct fa_address {
    unsigned char bytes[8]; /* IPv4: the first four are zero */
} fa_address;

fa_address fa_address_of(const struct sockaddr_storage *socket_address);
fa_address fa_address_parse(const char *text); /* what inet_ntop wrote */

/* Room for so many connections at once. Lives in the scope, which must outlast every edge that uses it. FA_NO_MEMORY,
 * FA_OVER_BUDGET. */
fa_result fa_addresses_new(fa_scope *scope, size_t connections, fa_addresses **addresses);

/* One more of that address; false when it has `most` already (0: no limit) or there is no room. Thread: any. */
bool fa_addresses_take(fa_addresses *addresses, fa_address address, size_t most);
void fa_addresses_give_back(fa_addresses *addresses, fa_address address);

size_t fa_addresses_count(fa_addresses *addresses, fa_address address);

#endif
