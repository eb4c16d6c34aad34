/* The guard: which addresses may be asked when the URL came from a record, a user, or another service's redirect.
 *
 * It looks at the address that a socket is about to be opened for, after the name was resolved: what is checked is what is connected to, so
 * a name cannot mean one thing when it is checked and another when it is used. Refused: everything that is not on the public internet
 * (IANA's special-purpose registries), in IPv6's disguises for IPv4 too. Pure. Thread: any.
 */
#ifndef FA_UPSTREAM_GUARD_H
#define FA_UPSTREAM_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "fitnessally/result.h"

enum { FA_GUARD_MOST = 16 };

typedef struct fa_guard {
    struct fa_network {
        uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;
    } allowed[FA_GUARD_MOST];
    size_t allowed_count;
    uint16_t ports[FA_GUARD_MOST];
    size_t port_count; /* 0: any */
} fa_guard;

/* networks: "10.1.0.0/16,fd00::/8", NULL for none. ports: "80,443", "any". FA_INVALID with a sentence; FA_FULL beyond FA_GUARD_MOST. */
fa_result fa_guard_read(fa_guard *guard, const char *networks, const char *ports, fa_error *error);

bool fa_guard_allows(const fa_guard *guard, const struct sockaddr *address);
bool fa_guard_allows_port(const fa_guard *guard, unsigned port);

#endif
