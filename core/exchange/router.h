/* The route table: patterns to targets, as a tree of path segments. Built once at load, then only read. Thread: its owner's.
 *
 * A pattern is made of "/literal" and "/:name" segments and may end in a slash, a star and a name: the rest, slashes included. A
 * literal beats a name, a name beats a rest; a path that a literal or a name has is never answered by a rest, even for another
 * method (it is 405 then). There is no other order to know.
 */
#ifndef FA_EXCHANGE_ROUTER_H
#define FA_EXCHANGE_ROUTER_H

#include "exchange/exchange.h"

typedef struct fa_router fa_router;

enum { FA_ROUTE_PARAMETERS = 8 };

typedef struct fa_route {
    int target; /* what was given to fa_router_add */
    size_t parameter_count;
    struct {
        fa_text name, value; /* borrowed from the router and the path */
    } parameters[FA_ROUTE_PARAMETERS];
} fa_route;

/* In memory of the scope. NULL: no memory. */
fa_router *fa_router_new(fa_scope *scope);

/* method: "GET", "POST", "PUT", "DELETE", "PATCH" or "OPTIONS". target: not negative. FA_CONFLICT with both places when method and
 * pattern are taken; FA_INVALID for a malformed pattern; FA_NO_MEMORY. */
fa_result fa_router_add(fa_router *router, const char *method, const char *pattern, int target, fa_origin made_at,
                        fa_error *error);

/* FA_OK; FA_NOT_FOUND; FA_UNSUPPORTED when the path is there but not for this method: allow (at least 64 bytes) gets the Allow
 * header. HEAD is served by GET. */
fa_result fa_router_match(const fa_router *router, fa_text method, fa_text path, fa_route *route, char allow[64]);

#endif
