#include "server/config_convert.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

const char *fa_config_wanted(fa_config_type type)
{
    static const char *const names[] = {
        [FA_CONFIG_TEXT] = "a text in quotes",
        [FA_CONFIG_NUMBER] = "a number without quotes",
        [FA_CONFIG_FLAG] = "true or false",
        [FA_CONFIG_SIZE] = "a size in quotes with its unit, as in \"2MB\"",
        [FA_CONFIG_DURATION] = "a duration in quotes with its unit, as in \"30s\"",
        [FA_CONFIG_LIST] = "a list of texts, as in { \"a\", \"b\" }",
    };
    return names[type];
}

/* Copies a Lua string or number. False when it is neither, too long, or has a NUL inside. */
static bool copy_scalar(lua_State *L, int index, char *out, size_t size)
{
    size_t length;
    if (lua_type(L, index) == LUA_TNUMBER)
        return snprintf(out, size, "%.14g", lua_tonumber(L, index)) < (int)size;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    if (text == NULL || length >= size || strlen(text) != length)
        return false;
    memcpy(out, text, length + 1);
    return true;
}

/* The items with commas between them. */
static bool copy_list(lua_State *L, int index, char *out, size_t size)
{
    size_t used = 0, count = lua_objlen(L, index), pairs = 0;
    *out = '\0';
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        ++pairs;
    if (pairs != count) /* named keys, or holes */
        return false;
    for (size_t i = 1; i <= count; ++i) {
        if (i > 1 && used + 1 < size)
            out[used++] = ',';
        lua_rawgeti(L, index, (int)i);
        bool good = lua_type(L, -1) == LUA_TSTRING && copy_scalar(L, -1, out + used, size - used);
        lua_pop(L, 1);
        if (!good || out[used] == '\0' || strchr(out + used, ',') != NULL)
            return false;
        used += strlen(out + used);
    }
    return true;
}

bool fa_config_copy_value(lua_State *L, int index, fa_config_type type, char *out, size_t size)
{
    int given = lua_type(L, index);
    switch (type) {
    case FA_CONFIG_NUMBER:
        return given == LUA_TNUMBER && copy_scalar(L, index, out, size);
    case FA_CONFIG_FLAG:
        snprintf(out, size, "%s", lua_toboolean(L, index) ? "true" : "false");
        return given == LUA_TBOOLEAN;
    case FA_CONFIG_LIST:
        if (given == LUA_TTABLE)
            return copy_list(L, index, out, size);
        break;
    case FA_CONFIG_SIZE:
    case FA_CONFIG_DURATION:
        if (given == LUA_TNUMBER && lua_tonumber(L, index) == 0) /* nothing needs no unit */
            return copy_scalar(L, index, out, size);
        break;
    case FA_CONFIG_TEXT:
        break;
    }
    return given == LUA_TSTRING && copy_scalar(L, index, out, size);
}

bool fa_config_copy_any(lua_State *L, int index, char *out, size_t size)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return fa_config_copy_value(L, index, FA_CONFIG_FLAG, out, size);
    case LUA_TTABLE:
        return copy_list(L, index, out, size);
    default:
        return copy_scalar(L, index, out, size);
    }
}

const char *fa_config_given(lua_State *L, int index, char out[FA_CONFIG_GIVEN_SIZE])
{
    if (lua_type(L, index) == LUA_TNUMBER)
        snprintf(out, FA_CONFIG_GIVEN_SIZE, "the number %.14g", lua_tonumber(L, index));
    else if (lua_type(L, index) == LUA_TSTRING)
        snprintf(out, FA_CONFIG_GIVEN_SIZE, "the text \"%.24s\"", lua_tostring(L, index));
    else if (lua_type(L, index) == LUA_TBOOLEAN)
        snprintf(out, FA_CONFIG_GIVEN_SIZE, "%s", lua_toboolean(L, index) ? "true" : "false");
    else
        snprintf(out, FA_CONFIG_GIVEN_SIZE, "a %s", luaL_typename(L, index));
    return out;
}
