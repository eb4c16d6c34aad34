/* What lua/fitnessally/routing.lua stands on: it sees to groups, options and middleware, and each route arrives here in one piece. */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"
#include "script/lua_websocket.h"
#include "script/route_options.h"

/* ---- declaring ---- */

static const char *intern(fa_script *script, const char *text)
{
    return fa_ledger_intern(fa_scope_ledger(script->scope), text);
}

/* The next free place; raises when the app has declared too many. */
static fa_script_route *next_route(lua_State *L, fa_script *script)
{
    size_t most = script->options.max_routes != 0 ? script->options.max_routes : DEFAULT_ROUTES;
    if (script->route_count == most)
        luaL_error(L, "more than %d routes: max_routes says how many there may be", (int)most);
    if (script->route_count == script->route_room) {
        size_t room = script->route_room != 0 ? 2 * script->route_room : 16;
        fa_script_route *routes = fa_scope_allocate(script->scope, room * sizeof(*routes));
        if (routes == NULL)
            luaL_error(L, "no memory for a route");
        if (script->route_count != 0)
            memcpy(routes, script->routes, script->route_count * sizeof(*routes));
        fa_scope_free(script->scope, script->routes);
        script->routes = routes;
        script->route_room = room;
    }
    return &script->routes[script->route_count];
}

/* The table at 4; label: "GET /x". */
static const fa_route_options *read_options(lua_State *L, fa_script *script, const char *label)
{
    lua_pushnil(L);
    if (lua_next(L, 4) == 0)
        return script->default_options;
    lua_pop(L, 2);
    fa_route_options *options = fa_scope_allocate(script->scope, sizeof(*options));
    if (options == NULL)
        luaL_error(L, "no memory for a route");
    fa_route_options_read(L, 4, script, label, options);
    return options;
}

/* The function or nil at `index`. */
static int keep(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return LUA_NOREF;
    luaL_checktype(L, index, LUA_TFUNCTION);
    lua_pushvalue(L, index);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void add_methods(lua_State *L, fa_script *script, fa_route_declaration *declaration)
{
    fa_error error;
    for (size_t i = 1; i <= lua_objlen(L, 1); ++i) {
        lua_rawgeti(L, 1, (int)i);
        declaration->method = luaL_checkstring(L, -1);
        if (fa_router_add(script->router, declaration, &error) != FA_OK)
            luaL_error(L, "%s", error.text);
        lua_pop(L, 1);
    }
}

static const char *copy_field(lua_State *L, const fa_script *script, int index, const char *name)
{
    const char *copy = NULL;
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1)) {
        const char *value = luaL_checkstring(L, -1);
        copy = fa_scope_copy_text(script->scope, value, strlen(value));
        if (copy == NULL)
            luaL_error(L, "no memory for a mount");
    }
    lua_pop(L, 1);
    return copy;
}

static bool flag_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

/* The table at `index`, or NULL; the pattern ends with the star that takes the path below the folder. */
static const mount *read_folder(lua_State *L, const fa_script *script, int index, const char *pattern)
{
    if (lua_isnoneornil(L, index))
        return NULL;
    luaL_checktype(L, index, LUA_TTABLE);
    mount *folder = fa_scope_allocate(script->scope, sizeof(*folder));
    if (folder == NULL)
        luaL_error(L, "no memory for a mount");
    *folder = (mount){.media = {.root = copy_field(L, script, index, "root"),
                                .index = copy_field(L, script, index, "index"),
                                .immutable = flag_field(L, index, "immutable"),
                                .precompressed = flag_field(L, index, "precompressed"),
                                .dotfiles = flag_field(L, index, "dotfiles")},
                      .prefix_length = (size_t)(strrchr(pattern, '*') - pattern)};
    if (folder->media.root == NULL)
        luaL_error(L, "app:static(\"%s\"): root is missing", pattern);
    return folder;
}

/* declare(methods, pattern, host, options, label, handler, preflight, folder): raises without a place in front. */
static int declare(lua_State *L)
{
    char place[160];
    fa_script *script = fa_script_loading(L, "app");
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 8);
    fa_route_declaration declaration = {.pattern = luaL_checkstring(L, 2),
                                        .host = luaL_optstring(L, 3, NULL),
                                        .target = (int)script->route_count,
                                        .made_at = fa_script_here(L)};
    fa_script_route route = {.options = read_options(L, script, luaL_checkstring(L, 5)),
                             .folder = read_folder(L, script, 8, declaration.pattern)};
    fa_script_route *slot = next_route(L, script);
    add_methods(L, script, &declaration);
    snprintf(place, sizeof(place), "%s:%u", declaration.made_at.name, (unsigned)declaration.made_at.line);
    route.place = intern(script, place);
    route.pattern = intern(script, declaration.pattern);
    route.handler = keep(L, 6);
    route.preflight = keep(L, 7);
    *slot = route;
    script->route_count++;
    return 0;
}

/* ---- for the library ---- */

/* loading(what): raises unless routes may be declared now. */
static int check_loading(lua_State *L)
{
    fa_script_loading(L, luaL_checkstring(L, 1));
    return 0;
}

/* check_options(table, label): raises for what no route could bear. */
static int check_options(lua_State *L)
{
    fa_route_options_check(L, 1, fa_script_of(L), luaL_checkstring(L, 2));
    return 0;
}

/* here(): "app.lua:12", the script line that called. */
static int here(lua_State *L)
{
    fa_origin origin = fa_script_here(L);
    lua_pushfstring(L, "%s:%d", origin.name, (int)origin.line);
    return 1;
}

/* place_of(function): where it begins. */
static int place_of(lua_State *L)
{
    lua_Debug info;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_getinfo(L, ">S", &info);
    lua_pushfstring(L, info.linedefined > 0 ? "%s:%d" : "%s", info.short_src, info.linedefined);
    return 1;
}

/* face(table): what scripts have in its place. */
static int face(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    fa_sandbox_face(L, 1);
    return 1;
}

/* answered(request): by somebody, or about to be. */
static int answered(lua_State *L)
{
    const fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    lua_pushboolean(L, exchange->status != 0 || exchange->promised || exchange->gone);
    return 1;
}

void fa_open_routes(lua_State *L)
{
    static const luaL_Reg natives[] = {
        {"declare", declare},
        {"loading", check_loading},
        {"check_options", check_options},
        {"here", here},
        {"place_of", place_of},
        {"face", face},
        {"current", fa_lua_current_request},
        {"answered", answered},
        {"serve_folder", fa_lua_serve_folder},
        {"answer_options", fa_lua_answer_options},
        {"websocket_route", fa_lua_websocket_route},
        {"upgrade", fa_lua_upgrade},
        {NULL, NULL},
    };
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/routing.lua", fa_script_of(L)->options.library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    lua_getfield(L, -1, "declare");
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.declare"); /* for the pages of dev mode */
    lua_getglobal(L, "app");
    lua_getglobal(L, "fitnessally");
    fa_halves_push_library(L);
    lua_call(L, 4, 0);
}
