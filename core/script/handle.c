/* Handles as userdata: a slot number and a generation, made only here, checked at every use. */
#include <string.h>

#include "script/internal.h"

static int to_string(lua_State *L)
{
    char text[200];
    const fa_lua_handle *h = lua_touserdata(L, 1);
    fa_handle_describe(fa_worker_handles(fa_script_of(L)->worker), h->handle, text, sizeof(text));
    lua_pushstring(L, text);
    return 1;
}

static int equal(lua_State *L)
{
    const fa_lua_handle *a = lua_touserdata(L, 1), *b = lua_touserdata(L, 2);
    lua_pushboolean(L, a != NULL && b != NULL && a->handle.index == b->handle.index &&
                           a->handle.generation == b->handle.generation);
    return 1;
}

void fa_open_handles(lua_State *L)
{
    static const char *const metatables[] = {FA_META_BUFFER,    FA_META_REQUEST, FA_META_TURN,   FA_META_SCOPE,
                                             FA_META_TASK,      FA_META_STREAM,  FA_META_EVENTS, FA_META_SUBSCRIPTION,
                                             FA_META_WEBSOCKET, FA_META_CUTTER};
    for (size_t i = 0; i < sizeof(metatables) / sizeof(metatables[0]); ++i) {
        luaL_newmetatable(L, metatables[i]);
        lua_pushcfunction(L, to_string);
        lua_setfield(L, -2, "__tostring");
        lua_pushcfunction(L, equal);
        lua_setfield(L, -2, "__eq");
        lua_pushstring(L, metatables[i]);
        lua_setfield(L, -2, "__metatable"); /* getmetatable gives the name, not the table */
        lua_pop(L, 1);
    }
}

/* Looking a name up in the registry costs more than all the rest of a check. The names are literals, so their addresses are enough to
 * know them by; one that finds its place taken is looked up each time. */
static const known_metatable *known(lua_State *L, const char *name)
{
    fa_script *script = fa_script_of(L);
    known_metatable *at =
        &script->metatables[((uintptr_t)name >> 3) % (sizeof(script->metatables) / sizeof(script->metatables[0]))];
    if (at->name == NULL) {
        luaL_getmetatable(L, name);
        if (lua_isnil(L, -1)) { /* not made yet */
            lua_pop(L, 1);
            return NULL;
        }
        *at = (known_metatable){name, lua_topointer(L, -1), luaL_ref(L, LUA_REGISTRYINDEX)};
    }
    return at->name == name ? at : NULL;
}

static void push_metatable(lua_State *L, const char *name)
{
    const known_metatable *at = known(L, name);
    if (at != NULL)
        lua_rawgeti(L, LUA_REGISTRYINDEX, at->reference);
    else
        luaL_getmetatable(L, name);
}

void fa_lua_push_handle(lua_State *L, fa_handle handle, const char *metatable)
{
    fa_lua_handle *h = lua_newuserdata(L, sizeof(*h));
    h->handle = handle;
    push_metatable(L, metatable);
    lua_setmetatable(L, -2);
}

const fa_lua_handle *fa_lua_handle_at(lua_State *L, int index, const char *metatable)
{
    const fa_lua_handle *h = lua_touserdata(L, index);
    if (h == NULL || !lua_getmetatable(L, index))
        return NULL;
    const void *own = lua_topointer(L, -1);
    const known_metatable *at = known(L, metatable);
    if (at == NULL)
        luaL_getmetatable(L, metatable);
    bool same = own == (at != NULL ? at->table : lua_topointer(L, -1));
    lua_pop(L, at != NULL ? 1 : 2);
    return same ? h : NULL;
}

void *fa_lua_test(lua_State *L, int index, const fa_handle_type *type, const char *metatable)
{
    fa_error error;
    const fa_lua_handle *h = fa_lua_handle_at(L, index, metatable);
    if (h == NULL)
        return NULL;
    void *object = fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, type, &error);
    if (object == NULL)
        luaL_error(L, "%s", error.text);
    return object;
}

void *fa_lua_check(lua_State *L, int index, const fa_handle_type *type, const char *metatable)
{
    void *object = fa_lua_test(L, index, type, metatable);
    if (object == NULL && index == 1) /* most often req.json() for req:json() */
        luaL_argerror(L, 1,
                      lua_pushfstring(L, "%s expected, got %s; is it called with a colon, as in req:json()?",
                                      type->name, luaL_typename(L, 1)));
    if (object == NULL)
        luaL_typerror(L, index, type->name);
    return object;
}
