/* What a route says of its requests: app:post(pattern, {max_body = "2MB", max_concurrent = 8, ...}, handler). */
#ifndef FA_SCRIPT_ROUTE_OPTIONS_H
#define FA_SCRIPT_ROUTE_OPTIONS_H

#include "exchange/exchange.h"
#include "script/internal.h"
#include "worker/turnstile.h"

struct fa_route_options {
    size_t max_body; /* bytes; a longer body is answered 413 */
    size_t max_json; /* bytes that req:json decodes */
    unsigned json_depth;
    fa_turnstile *turnstile; /* a reference; NULL: as many at once as come */
    fa_turnstile_limits limits;
    uint64_t queue_ms; /* the longest wait there */
    const fa_route_options *next_limited;
};

/* Of a route that says nothing: the configuration's. */
void fa_route_options_default(const fa_script *script, fa_route_options *options);

/* Reads the table at `index` of a route that is being declared. label: "GET /x", of errors and of the turnstile. A key that is not
 * known, a value of the wrong kind or out of range raises. */
void fa_route_options_read(lua_State *L, int index, fa_script *script, const char *label, fa_route_options *options);

/* Raises for what no route could bear: of a group, whose routes get these. */
void fa_route_options_check(lua_State *L, int index, fa_script *script, const char *label);

/* The limits of all turnstiles are those that this script has declared: they are shared with the generation before, whose limits hold
 * until the script takes the requests. */
void fa_route_options_apply(const fa_script *script);

/* Lets go of the turnstiles. Thread: any. */
void fa_route_options_free(fa_script *script);

/* Whether a request may go on now. False: it has been answered (413, 503), or waits for its turn, and `go` will be called with it. It
 * keeps its place until its scope ends. */
bool fa_route_admit(fa_script *script, fa_exchange *exchange, const fa_route_options *options,
                    void (*go)(fa_exchange *exchange));

#endif
