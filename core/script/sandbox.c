/* What a script can reach, and that it can change none of it.
 *
 * The functions of the language and of the server are shared by everything that runs in a state. Scripts see them through frozen
 * tables: userdata whose index is the real table, so that neither assignment nor rawset, next or table.insert gets at it. The pieces of
 * Lua that the server brings along keep the real tables, which are faster.
 *
 * Each file has an environment of its own: the globals that it makes while it is loaded are seen by this file only. Later it can make
 * none: a forgotten `local` in a handler is an error, not something that all requests share.
 */
#include <string.h>

#include "script/internal.h"

#define NAMES   "fitnessally.names"   /* what scripts see; in the registry, as are the others */
#define TRUSTED "fitnessally.trusted" /* the same for modules that configuration trusts; nil before the first one */
#define FROZEN  "fitnessally.frozen"  /* tables to their frozen faces */

enum { MAX_DEPTH = 8 };

static int refuse_key(lua_State *L)
{
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    if (strcmp(name, "settings") == 0)
        return luaL_error(L, "settings are read-only: change the configuration file");
    return luaL_error(L, "%s is read-only: %s.%s cannot be set", name, name, key);
}

static int refuse_global(lua_State *L)
{
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "global '%s' is not declared; use local (all requests would share a global)", key);
}

static int declare_global(lua_State *L)
{
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

/* Replaces the table on top by its frozen face. Tables within it are frozen likewise, but for those that have a metatable. */
static void freeze(lua_State *L, const char *name, int depth)
{
    int table = lua_gettop(L);
    luaL_checkstack(L, 10, "freezing tables");
    lua_getfield(L, LUA_REGISTRYINDEX, FROZEN); /* table + 1 */
    lua_pushvalue(L, table);
    lua_rawget(L, table + 1);
    if (!lua_isnil(L, -1)) {
        lua_replace(L, table);
        lua_settop(L, table);
        return;
    }
    lua_pop(L, 1);
    lua_newuserdata(L, 1); /* table + 2 */
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, table);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, refuse_key, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "read-only");
    lua_setfield(L, -2, "__metatable"); /* what getmetatable gives */
    lua_setmetatable(L, -2);
    lua_pushvalue(L, table);
    lua_pushvalue(L, table + 2);
    lua_rawset(L, table + 1); /* before what is within: it may lead back here */
    lua_pushnil(L);
    while (depth < MAX_DEPTH && lua_next(L, table) != 0) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1) && !lua_getmetatable(L, -1)) {
            const char *within = lua_pushfstring(L, "%s.%s", name, lua_tostring(L, -2)); /* key, value, within */
            lua_pushvalue(L, -2);
            freeze(L, within, depth + 1);
            lua_pushvalue(L, -4);
            lua_insert(L, -2);
            lua_rawset(L, table); /* there is such a key: lua_next goes on */
            lua_settop(L, table + 3);
        } else {
            lua_settop(L, table + 3); /* the key */
        }
    }
    lua_pushvalue(L, table + 2);
    lua_replace(L, table);
    lua_settop(L, table);
}

void fa_sandbox_freeze(lua_State *L, const char *name)
{
    freeze(L, name, 0);
}

void fa_sandbox_freeze_top(lua_State *L, const char *name)
{
    freeze(L, name, MAX_DEPTH);
}

void fa_sandbox_face(lua_State *L, int table)
{
    lua_getfield(L, LUA_REGISTRYINDEX, FROZEN);
    lua_pushvalue(L, table);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* The chunk on top gets an environment in which every name is looked up that is not its own. names: on the stack. */
static void set_environment(lua_State *L, int names)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, names);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, declare_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfenv(L, -2);
}

void fa_sandbox_close(lua_State *L, int chunk)
{
    lua_getfenv(L, chunk);
    if (lua_getmetatable(L, -1)) { /* those of the server's library have none */
        lua_pushcfunction(L, refuse_global);
        lua_setfield(L, -2, "__newindex");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void fa_sandbox_seal(lua_State *L)
{
    int names = lua_gettop(L) + 1;
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, FROZEN);
    lua_pushnil(L);
    while (lua_next(L, LUA_GLOBALSINDEX) != 0) { /* key, value */
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        if (strcmp(key, "_G") == 0)
            lua_pop(L, 2);
        else {
            if (lua_istable(L, -1))
                fa_sandbox_freeze(L, key);
            lua_rawset(L, names);
        }
    }
    lua_pushvalue(L, names);
    freeze(L, "_G", MAX_DEPTH);
    lua_setfield(L, names, "_G");
    lua_pushliteral(L, "");
    if (lua_getmetatable(L, -1)) { /* of all strings: its index is the real table */
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_settop(L, names);
    lua_setfield(L, LUA_REGISTRYINDEX, NAMES);
}

/* ---- trusted modules ---- */

/* Calls what is on top, below its arguments, with the names of trusted modules as the globals of this coroutine: there the libraries
 * register themselves, and there the code that they load looks for its own. */
static void call_with_globals(lua_State *L, int names, int arguments, int results)
{
    int function = lua_gettop(L) - arguments;
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_insert(L, function); /* the old ones, below the function */
    lua_pushvalue(L, names);
    lua_replace(L, LUA_GLOBALSINDEX);
    int status = lua_pcall(L, arguments, results, 0);
    lua_pushvalue(L, function);
    lua_replace(L, LUA_GLOBALSINDEX);
    lua_remove(L, function);
    if (status != 0)
        lua_error(L);
}

/* require of trusted modules, for what neither the application nor the server's library has. Upvalues: their names, the library's. */
static int system_require(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    call_with_globals(L, 1, 1, 1);
    return 1;
}

static void open_everything(lua_State *L, int names)
{
    static const luaL_Reg libraries[] = {{LUA_LOADLIBNAME, luaopen_package}, {LUA_OSLIBNAME, luaopen_os},
                                         {LUA_IOLIBNAME, luaopen_io},        {LUA_DBLIBNAME, luaopen_debug},
                                         {LUA_FFILIBNAME, luaopen_ffi},      {NULL, NULL}};
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.withheld");
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, names);
    }
    for (const luaL_Reg *library = libraries; library->name != NULL; ++library) {
        lua_pushcfunction(L, library->func);
        lua_pushstring(L, library->name);
        call_with_globals(L, names, 1, 1);
        lua_setfield(L, names, library->name);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.trusted_require"); /* made by loader.lua: ours first */
    lua_pushvalue(L, names);
    lua_getfield(L, names, "require");
    lua_pushcclosure(L, system_require, 2);
    lua_call(L, 1, 1);
    lua_setfield(L, names, "require");
}

static void push_trusted(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, TRUSTED);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int names = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, LUA_GLOBALSINDEX) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, names);
    }
    open_everything(L, names);
    lua_settop(L, names);
    lua_pushvalue(L, names);
    lua_setfield(L, LUA_REGISTRYINDEX, TRUSTED);
}

bool fa_sandbox_trusts(const fa_script *script, const char *module)
{
    for (size_t i = 0; i < script->options.trusted_count; ++i) {
        if (strcmp(script->options.trusted[i], module) == 0)
            return true;
    }
    return false;
}

void fa_sandbox_enter(lua_State *L, bool trusted)
{
    if (trusted)
        push_trusted(L);
    else
        lua_getfield(L, LUA_REGISTRYINDEX, NAMES);
    lua_insert(L, -2);
    set_environment(L, lua_gettop(L) - 1);
    lua_remove(L, -2);
}
