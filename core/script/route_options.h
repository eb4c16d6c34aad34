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
};

/* Of a route that says nothing: the configuration's. */
void fa_route_options_default(const fa_script *script, fa_route_options *options);

/* Reads the table at `index` of a route that is being declared. A key that is not known, a value of the wrong kind or out of range
 * raises, with the line of the script that declares it. */
void fa_route_options_read(lua_State *L, int index, fa_script *script, const char *method, const char *pattern,
                           fa_route_options *options);

/* The limits of all turnstiles are those that this script has declared: they are shared with the generation before, whose limits hold
 * until the script takes the requests. */
void fa_route_options_apply(const fa_script *script);

/* Lets go of the turnstiles. Thread: any. */
void fa_route_options_free(const fa_script *script);

/* Whether a request may go on now. False: it has been answered (413, 503), or waits for its turn, and `go` will be called with it. It
 * keeps its place until its scope ends. */
bool fa_route_admit(fa_script *script, fa_exchange *exchange, const fa_route_options *options,
                    void (*go)(fa_exchange *exchange));

#endif
