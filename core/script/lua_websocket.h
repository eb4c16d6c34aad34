/* WebSockets for the other files of core/script. */
#ifndef FA_SCRIPT_LUA_WEBSOCKET_H
#define FA_SCRIPT_LUA_WEBSOCKET_H

#include "script/websocket_options.h"

typedef struct fa_lua_websocket fa_lua_websocket;

/* Answers the request: with 101, or with a refusal (NULL). It lies in the request scope. */
fa_lua_websocket *fa_lua_websocket_open(fa_script *script, fa_exchange *exchange, const fa_websocket_route *route);
void fa_lua_push_websocket(lua_State *L, const fa_lua_websocket *websocket);

/* In lua_request.c, for routing.lua. */
int fa_lua_upgrade(lua_State *L);

/* The handler has returned or failed: 1000 or 1011, unless it has been closed. */
void fa_lua_websocket_end(fa_lua_websocket *websocket, bool failed);

/* The server drains: all are closed with 1001. */
void fa_script_close_websockets(fa_script *script);

#endif
