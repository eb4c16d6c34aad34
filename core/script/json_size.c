/* How large a value would be as JSON. The text is made where the heap's limit does not reach, and a few tables that hold each other many
 * times over are a text of any length. So only what is of a reasonable size is written; finding that out can be interrupted. */
#include "script/internal.h"

enum {
    EACH = 16 /* bytes counted for a value */,
    DEEPEST = FA_DEFAULT_JSON_DEPTH + 1 /* json_write.c says what is wrong */
};

static size_t measure(lua_State *L, const fa_script *script, int index, int depth, size_t most)
{
    size_t size = EACH;
    if (lua_type(L, index) == LUA_TSTRING)
        return EACH + lua_objlen(L, index);
    if (!lua_istable(L, index) || depth > DEEPEST)
        return EACH;
    luaL_checkstack(L, 3, "JSON");
    lua_pushnil(L);
    while (size <= most && lua_next(L, index) != 0) {
        if (lua_type(L, -2) == LUA_TSTRING)
            size += lua_objlen(L, -2);
        size += measure(L, script, lua_gettop(L), depth + 1, most - (size < most ? size : most));
        lua_pop(L, 1);
    }
    if (size > most) /* the key of a walk that was broken off, when it was; the caller takes all off the stack */
        lua_settop(L, index);
    fa_slice_check(L, script);
    return size;
}

void fa_lua_check_json_size(lua_State *L, int index)
{
    int top = lua_gettop(L);
    if (index < 0)
        index = top + 1 + index;
    size_t size = measure(L, fa_script_of(L), index, 0, FA_MOST_JSON);
    lua_settop(L, top);
    if (size > FA_MOST_JSON)
        luaL_error(L, "json.encode: the text would be longer than %d MB", FA_MOST_JSON / 1024 / 1024);
}
