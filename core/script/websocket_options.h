/* What a route of app:websocket says: whose pages may connect, what is spoken, and how much is taken. */
#ifndef FA_SCRIPT_WEBSOCKET_OPTIONS_H
#define FA_SCRIPT_WEBSOCKET_OPTIONS_H

#include "exchange/websocket.h"
#include "script/internal.h"

struct fa_websocket_route {
    fa_websocket_policy policy;
    fa_websocket_options options;
};

/* With the configuration's values; lies in the scripts' scope. Raises. */
fa_websocket_route *fa_websocket_route_new(lua_State *L, fa_script *script);

/* Reads the value on top. False when the key is none of a WebSocket's; raises what is wrong with it. route: for the message. */
bool fa_websocket_route_read(lua_State *L, fa_script *script, const char *route, const char *key,
                             fa_websocket_route *to);

#endif
