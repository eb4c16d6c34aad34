/* Options of functions that scripts call, in a table. One that is not known would be forgotten in silence: a cookie without `secure`, a store
 * whose entries never go. */
#include <string.h>

#include "script/internal.h"

static bool is_known(const char *name, const char *const *known)
{
    while (*known != NULL && strcmp(*known, name) != 0)
        ++known;
    return *known != NULL;
}

static int refuse(lua_State *L, const char *what, const char *name, const char *const *known)
{
    luaL_Buffer names;
    luaL_buffinit(L, &names);
    for (size_t i = 0; known[i] != NULL; ++i) {
        luaL_addstring(&names, i == 0 ? "" : known[i + 1] == NULL ? " and " : ", ");
        luaL_addstring(&names, known[i]);
    }
    luaL_pushresult(&names);
    return luaL_error(L, "%s: there is no option %s; there are %s", what, name, lua_tostring(L, -1));
}

void fa_lua_check_options(lua_State *L, int index, const char *what, const char *const *known)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "of no name";
        if (!is_known(name, known))
            refuse(L, what, name, known);
    }
}
