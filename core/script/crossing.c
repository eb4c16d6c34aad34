/* Values that go from one Lua state to another.
 *
 * Only what is plain crosses: nil, booleans, numbers, texts, and tables of these without their metatables. They are copied, so that
 * nothing is ever seen from both sides. A buffer crosses as a handle of its own: lent, when it is sealed, as long as the call lasts; or
 * given, and then it is stale where it came from. How much crosses at once is limited, whatever the limits of the two states are.
 *
 * Nothing here raises, in either state. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { MOST_BYTES = 1024 * 1024, MOST_VALUES = 32, MOST_DEPTH = 16, PER_VALUE = 16, PER_TABLE = 64 };

static bool copy(fa_crossing *c, int index, int depth);

/* why: what is said after "argument 1.list[3] ". */
static bool refuse(fa_crossing *c, const char *why)
{
    snprintf(c->why, sizeof(c->why), "%s %s", c->path, why);
    return false;
}

static bool spend(fa_crossing *c, size_t bytes)
{
    if (bytes > c->room)
        return refuse(c, "and what comes with it are more than the 1 MB that cross at once");
    c->room -= bytes;
    return true;
}

/* json.empty_array is another text in every state. */
static void push_text(const fa_crossing *c, const char *text, size_t length)
{
    const char *empty = fa_script_of(c->from)->empty_array;
    if (length == strlen(empty) && memcmp(text, empty, length) == 0)
        lua_pushstring(c->to, fa_script_of(c->to)->empty_array);
    else
        lua_pushlstring(c->to, text, length);
}

static bool copy_text(fa_crossing *c, int index)
{
    size_t length;
    const char *text = lua_tolstring(c->from, index, &length);
    if (!spend(c, length))
        return false;
    push_text(c, text, length);
    fa_lua_count_copy(c->to, length);
    return true;
}

/* ---- tables ---- */

static void extend_path(fa_crossing *c, size_t length, int key)
{
    char *end = c->path + length;
    size_t room = sizeof(c->path) - length;
    if (lua_type(c->from, key) == LUA_TSTRING)
        snprintf(end, room, ".%s", lua_tostring(c->from, key));
    else if (lua_type(c->from, key) == LUA_TNUMBER)
        snprintf(end, room, "[%.14g]", lua_tonumber(c->from, key));
}

static bool copy_key(fa_crossing *c, int key)
{
    int type = lua_type(c->from, key);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        return refuse(c, "has a key that is no text, number or boolean");
    return copy(c, key, 0);
}

static bool copy_table(fa_crossing *c, int index, int depth)
{
    size_t length = strlen(c->path);
    if (depth == MOST_DEPTH)
        return refuse(c, "is nested too deep: 16 tables within each other is the most");
    if (!spend(c, PER_TABLE))
        return false;
    if (!lua_checkstack(c->from, 8) || !lua_checkstack(c->to, 8))
        return refuse(c, "does not fit on the stack");
    lua_newtable(c->to);
    lua_pushnil(c->from);
    for (int key = lua_gettop(c->from); lua_next(c->from, index) != 0; lua_settop(c->from, key)) {
        if (!copy_key(c, key))
            return false;
        extend_path(c, length, key);
        if (!copy(c, key + 1, depth + 1))
            return false;
        c->path[length] = '\0';
        lua_rawset(c->to, -3);
    }
    return true;
}

/* ---- buffers ---- */

static bool lend(fa_crossing *c, fa_buffer *buffer)
{
    fa_buffer *slice;
    if (!fa_buffer_sealed(buffer))
        return refuse(c, "is a buffer that is not sealed");
    if (fa_buffer_slice(c->scope, buffer, 0, fa_buffer_length(buffer), fa_script_here(c->from), &slice) != FA_OK ||
        fa_lua_push_buffer(c->to, slice, c->scope) != 1)
        return refuse(c, "is a buffer for which there is no room");
    return true;
}

static bool give(fa_crossing *c, fa_buffer *buffer, fa_handle handle)
{
    fa_handle_table *handles = fa_worker_handles(fa_script_of(c->from)->worker);
    if (fa_buffer_adopt(c->scope, buffer) != FA_OK)
        return refuse(c, "is a buffer that is in use, or for which there is no room");
    fa_handle_give_up(handles, handle, &fa_type_buffer, fa_script_here(c->from), NULL);
    if (fa_lua_push_buffer(c->to, buffer, c->scope) != 1)
        return refuse(c, "is a buffer for which there is no room");
    return true;
}

static bool copy_buffer(fa_crossing *c, int index)
{
    char why[100];
    const fa_lua_handle *h = fa_lua_handle_at(c->from, index, FA_META_BUFFER);
    if (h == NULL || c->scope == NULL) {
        snprintf(why, sizeof(why), "is a %s: only plain values%s cross",
                 h != NULL ? "buffer" : lua_typename(c->from, lua_type(c->from, index)),
                 c->scope != NULL ? " and buffers" : "");
        return refuse(c, why);
    }
    fa_buffer *buffer =
        fa_handle_resolve(fa_worker_handles(fa_script_of(c->from)->worker), h->handle, &fa_type_buffer, NULL);
    if (buffer == NULL)
        return refuse(c, "is a buffer that is gone");
    return c->gives ? give(c, buffer, h->handle) : lend(c, buffer);
}

/* ---- everything ---- */

/* index: from the bottom. */
static bool copy(fa_crossing *c, int index, int depth)
{
    if (!spend(c, PER_VALUE))
        return false;
    switch (lua_type(c->from, index)) {
    case LUA_TNIL:
        lua_pushnil(c->to);
        return true;
    case LUA_TBOOLEAN:
        lua_pushboolean(c->to, lua_toboolean(c->from, index));
        return true;
    case LUA_TNUMBER:
        lua_pushnumber(c->to, lua_tonumber(c->from, index));
        return true;
    case LUA_TSTRING:
        return copy_text(c, index);
    case LUA_TTABLE:
        return copy_table(c, index, depth);
    case LUA_TLIGHTUSERDATA: /* json.null is the same in all states */
        if (lua_touserdata(c->from, index) == NULL) {
            lua_pushlightuserdata(c->to, NULL);
            return true;
        } /* fall through */
    default:
        return copy_buffer(c, index);
    }
}

static bool copy_all(fa_crossing *c, int first, int count)
{
    c->room = MOST_BYTES;
    snprintf(c->path, sizeof(c->path), "%s %d", c->what, MOST_VALUES);
    if (count > MOST_VALUES)
        return refuse(c, "is the last that there may be");
    if (!lua_checkstack(c->from, 8) || !lua_checkstack(c->to, count + 8))
        return refuse(c, "does not fit on the stack");
    for (int i = 0; i < count; ++i) {
        snprintf(c->path, sizeof(c->path), "%s %d", c->what, i + 1);
        if (!copy(c, first + i, 0))
            return false;
    }
    return true;
}

bool fa_cross(fa_crossing *c, int first, int count)
{
    fa_script *from = fa_script_of(c->from), *to = fa_script_of(c->to);
    int from_top = lua_gettop(c->from), to_top = lua_gettop(c->to);
    bool from_strict = fa_heap_strict(from, false), to_strict = fa_heap_strict(to, false); /* nothing may raise */
    bool crossed = copy_all(c, first, count);
    lua_settop(c->from, from_top);
    if (!crossed)
        lua_settop(c->to, to_top);
    fa_heap_strict(from, from_strict);
    fa_heap_strict(to, to_strict);
    return crossed;
}
