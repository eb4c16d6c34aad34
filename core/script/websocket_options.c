#include "script/websocket_options.h"

#include <stdio.h>
#include <string.h>

#include "exchange/media_type.h"

enum { MOST_LISTED = 32, LEAST_BYTES = 1024 };

static const fa_websocket_options fallback = {
    .max_message = 1024 * 1024,
    .queue = 256 * 1024,
    .ping_ms = 20000,
    .pong_ms = 10000,
    .close_ms = 5000,
};

static fa_websocket_route *new_route(lua_State *L, fa_script *script)
{
    fa_websocket_route *route = fa_scope_allocate(script->scope, sizeof(*route));
    if (route == NULL) {
        luaL_error(L, "no memory for a route");
        return NULL; /* not reached */
    }
    route->options = script->options.websocket.max_message != 0 ? script->options.websocket : fallback;
    return route;
}

/* The list of texts on top (a single text is one of one), copied. */
static const char *const *read_list(lua_State *L, fa_script *script, const char *what)
{
    size_t count = lua_istable(L, -1) ? lua_objlen(L, -1) : 1;
    if (count > MOST_LISTED || (!lua_istable(L, -1) && lua_type(L, -1) != LUA_TSTRING))
        luaL_error(L, "%s must be a list of at most %d texts", what, MOST_LISTED);
    const char **list = fa_scope_allocate(script->scope, (count + 1) * sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; ++i) {
        size_t length;
        if (lua_istable(L, -1))
            lua_rawgeti(L, -1, (int)i + 1);
        else
            lua_pushvalue(L, -1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s must be a list of texts", what);
        const char *text = lua_tolstring(L, -1, &length);
        list[i] = fa_scope_copy_text(script->scope, text, length);
        lua_pop(L, 1);
        if (list[i] == NULL)
            list = NULL;
    }
    if (list == NULL)
        luaL_error(L, "no memory for a route");
    return list;
}

static void check_protocols(lua_State *L, const char *what, const char *const *list)
{
    for (; *list != NULL; ++list) {
        for (const char *c = *list; *c != '\0' || c == *list; ++c) {
            if (!fa_is_token_char(*c))
                luaL_error(L, "%s: \"%s\" is no name of a protocol", what, *list);
        }
    }
}

static void check_origins(lua_State *L, const char *what, const char *const *list)
{
    for (; *list != NULL; ++list) {
        const char *host = strstr(*list, "://");
        if (strcmp(*list, "*") != 0 && strcmp(*list, "null") != 0 &&
            (host == NULL || host == *list || host[3] == '\0' || strchr(host + 3, '/') != NULL))
            luaL_error(L, "%s: \"%s\" is no origin as browsers name it, such as \"https://a.example\"", what, *list);
    }
}

static size_t read_size(lua_State *L, const char *what)
{
    size_t size = fa_lua_check_size(L, -1, what);
    if (size < LEAST_BYTES)
        luaL_error(L, "%s must be at least %d bytes", what, LEAST_BYTES);
    return size;
}

/* The value on top. what: "route /x: max_message". */
static void read_option(lua_State *L, fa_script *script, const char *key, const char *what, fa_websocket_route *to)
{
    if (strcmp(key, "max_message") == 0)
        to->options.max_message = read_size(L, what);
    else if (strcmp(key, "send_queue") == 0)
        to->options.queue = read_size(L, what);
    else if (strcmp(key, "ping") == 0)
        to->options.ping_ms = fa_lua_opt_duration(L, -1, what, 0);
    else if (strcmp(key, "pong_timeout") == 0)
        to->options.pong_ms = fa_lua_opt_duration(L, -1, what, 0);
    else if (strcmp(key, "close_timeout") == 0)
        to->options.close_ms = fa_lua_opt_duration(L, -1, what, 0);
    else if (strcmp(key, "protocols") == 0)
        check_protocols(L, what, to->policy.protocols = read_list(L, script, what));
    else if (strcmp(key, "origins") == 0)
        check_origins(L, what, to->policy.origins = read_list(L, script, what));
    else
        luaL_error(L, "%s is not known", what);
}

int fa_lua_websocket_route(lua_State *L)
{
    char what[160];
    fa_script *script = fa_script_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *label = luaL_checkstring(L, 2);
    fa_websocket_route *route = new_route(L, script);
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "a number";
        snprintf(what, sizeof(what), "%s: %s", label, key);
        read_option(L, script, key, what, route);
    }
    lua_pushlightuserdata(L, route);
    return 1;
}
