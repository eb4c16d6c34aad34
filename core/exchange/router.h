/* The route table: patterns to targets, as a tree of path segments for each host. Built once at load, then only read. Thread: its
 * owner's.
 *
 * A pattern is made of "/literal" and "/:name" segments and may end in a slash, a star and a name: the rest, slashes included. A
 * literal beats a name, a name beats a rest; a path that a literal or a name has is never answered by a rest, even for another
 * method (it is 405 then). There is no other order to know.
 *
 * A route may be declared for a host (exchange/host_pattern.h). The host's own routes are asked first, then those of patterns with a
 * star, the longest first, then those for every host.
 */
#ifndef FA_EXCHANGE_ROUTER_H
#define FA_EXCHANGE_ROUTER_H

#include "exchange/exchange.h"

typedef struct fa_router fa_router;

enum { FA_ROUTE_PARAMETERS = 8, FA_ALLOW_SIZE = 64 };

/* What is declared; borrowed for the call. */
typedef struct fa_route_declaration {
    const char *method;  /* "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH" or "OPTIONS" */
    const char *host;    /* "api.example", "*.example"; NULL: every host */
    const char *pattern; /* "/records/:id" */
    int target;          /* not negative */
    fa_origin made_at;
} fa_route_declaration;

/* What a request is routed by. */
typedef struct fa_route_key {
    fa_text method;
    fa_text host; /* as sent; looked at only where there are routes for hosts */
    fa_text path; /* decoded */
} fa_route_key;

typedef struct fa_route {
    int target; /* what was given to fa_router_add */
    size_t parameter_count;
    struct {
        fa_text name, value; /* borrowed from the router and the path */
    } parameters[FA_ROUTE_PARAMETERS];
} fa_route;

/* In memory of the scope. NULL: no memory. */
fa_router *fa_router_new(fa_scope *scope);

/* FA_CONFLICT with both places when host, method and pattern are taken, or a segment has another name already; FA_INVALID for a
 * malformed host or pattern; FA_NO_MEMORY. */
fa_result fa_router_add(fa_router *router, const fa_route_declaration *declaration, fa_error *error);

/* FA_OK; FA_NOT_FOUND; FA_UNSUPPORTED when the path is there but not for this method: allow gets the Allow header, in which OPTIONS
 * always is, for that is what the server answers itself. HEAD is served by GET where there is no HEAD. */
fa_result fa_router_match(const fa_router *router, const fa_route_key *key, fa_route *route, char allow[FA_ALLOW_SIZE]);

/* What is served at this path, as for an Allow header; false when nothing is. */
bool fa_router_methods(const fa_router *router, const fa_route_key *key, char allow[FA_ALLOW_SIZE]);

#endif
