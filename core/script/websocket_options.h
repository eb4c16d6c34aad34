/* What a route of app:websocket says: whose pages may connect, what is spoken, and how much is taken. */
#ifndef FA_SCRIPT_WEBSOCKET_OPTIONS_H
#define FA_SCRIPT_WEBSOCKET_OPTIONS_H

#include "exchange/websocket.h"
#include "script/internal.h"

struct fa_websocket_route {
    fa_websocket_policy policy;
    fa_websocket_options options;
};

/* For lua/fitnessally/routing.lua: websocket_route(table, label) reads what a route says and gives it back as a pointer, which lies in
 * the scripts' scope; what it does not say is the configuration's. Raises what is wrong, with the label. */
int fa_lua_websocket_route(lua_State *L);

#endif
