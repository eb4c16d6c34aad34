/* string.find, match, gmatch and gsub over our own matcher (pattern.c). They do what LuaJIT's do. */
#include <ctype.h>
#include <string.h>

#include "script/pattern.h"

/* ---- find and match ---- */

/* From 1, or from the end when negative; at least 0. */
static size_t begin_at(lua_State *L, int index, size_t length)
{
    lua_Integer at = luaL_optinteger(L, index, 1);
    if (at < 0)
        at += (lua_Integer)length + 1;
    return at > 0 ? (size_t)at - 1 : 0;
}

static int found(lua_State *L, const char *subject, const char *from, const char *to)
{
    lua_pushinteger(L, from - subject + 1);
    lua_pushinteger(L, to - subject);
    return 2;
}

static int search(lua_State *L, bool find)
{
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    size_t begin = begin_at(L, 3, length);
    const char *end = subject + length;
    if (begin > length)
        begin = length;
    if (find && (lua_toboolean(L, 4) || strcspn(pattern, "^$*+?.([%-") == pattern_length)) {
        const char *at = memmem(subject + begin, length - begin, pattern, pattern_length);
        return at != NULL ? found(L, subject, at, at + pattern_length) : (lua_pushnil(L), 1);
    }
    fa_match m;
    bool anchored = *pattern == '^' && pattern_length > 0;
    fa_match_init(&m, L, subject, length, pattern_length, pattern);
    for (const char *at = subject + begin; at <= end; ++at) {
        const char *to = fa_match_at(&m, at, pattern + anchored);
        if (to != NULL && find)
            return found(L, subject, at, to) + fa_match_push(&m, NULL, NULL, false);
        if (to != NULL)
            return fa_match_push(&m, at, to, true);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int find(lua_State *L)
{
    return search(L, true);
}

static int match(lua_State *L)
{
    return search(L, false);
}

/* ---- gmatch: upvalues are subject, pattern, where to go on ---- */

static int next_match(lua_State *L)
{
    fa_match m;
    size_t length, pattern_length;
    const char *subject = lua_tolstring(L, lua_upvalueindex(1), &length);
    const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_length);
    size_t begin = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    fa_match_init(&m, L, subject, length, pattern_length, pattern);
    for (const char *at = subject + begin; begin <= length && at <= m.subject_end; ++at) {
        const char *to = fa_match_at(&m, at, pattern);
        if (to == NULL)
            continue;
        lua_pushinteger(L, to - subject + (to == at)); /* an empty match is not found again */
        lua_replace(L, lua_upvalueindex(3));
        return fa_match_push(&m, at, to, true);
    }
    return 0;
}

static int gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* ---- gsub ---- */

static void add_text(fa_match *m, luaL_Buffer *out, const char *from, const char *to)
{
    size_t length;
    const char *text = lua_tolstring(m->L, 3, &length);
    for (size_t i = 0; i < length; ++i) {
        if (text[i] != '%' || i + 1 >= length || !isdigit((unsigned char)text[i + 1])) {
            i += text[i] == '%' && i + 1 < length;
            luaL_addchar(out, text[i]);
        } else if (text[++i] == '0') {
            luaL_addlstring(out, from, (size_t)(to - from));
        } else {
            fa_match_push_one(m, text[i] - '1', from, to);
            luaL_addvalue(out);
        }
    }
}

static void add_replacement(fa_match *m, luaL_Buffer *out, const char *from, const char *to)
{
    lua_State *L = m->L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, fa_match_push(m, from, to, true), 1);
        break;
    case LUA_TTABLE:
        fa_match_push_one(m, 0, from, to);
        lua_gettable(L, 3);
        break;
    default:
        add_text(m, out, from, to);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, from, (size_t)(to - from));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(out);
}

static int gsub(lua_State *L)
{
    fa_match m;
    luaL_Buffer out;
    size_t length, pattern_length;
    const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &pattern_length);
    int kind = lua_type(L, 3);
    bool anchored = *pattern == '^' && pattern_length > 0;
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
    if (kind != LUA_TNUMBER && kind != LUA_TSTRING && kind != LUA_TFUNCTION && kind != LUA_TTABLE)
        return luaL_typerror(L, 3, "string/function/table");
    fa_lua_check_depth(L); /* the buffer takes 8 KB of C stack, and the replacement may call gsub again */
    lua_settop(L, 3);
    fa_match_init(&m, L, subject, length, pattern_length, pattern);
    luaL_buffinit(L, &out);
    const char *at = subject;
    while (count < most) {
        const char *to = fa_match_at(&m, at, pattern + anchored);
        if (to != NULL) {
            ++count;
            add_replacement(&m, &out, at, to);
        }
        if (to != NULL && to > at)
            at = to;
        else if (at < m.subject_end)
            luaL_addchar(&out, *at++);
        else
            break;
        if (anchored)
            break;
    }
    luaL_addlstring(&out, at, (size_t)(m.subject_end - at));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

void fa_open_patterns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", find}, {"match", match}, {"gmatch", gmatch}, {"gsub", gsub}, {NULL, NULL}};
    lua_getglobal(L, LUA_STRLIBNAME);
    luaL_register(L, NULL, functions);
    lua_pop(L, 1);
}
