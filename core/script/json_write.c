/* Values of scripts as JSON. lua-cjson reads, but does not write: it gives numbers 14 digits, and a whole number of more (an identifier, a time in
 * microseconds) comes out as another one. What it makes of tables is kept: keys 1 to n are an array, a few holes in it are null, an empty
 * table is {}; so are its messages. fa_lua_check_json_size has been asked before. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

enum { FIRST_ROOM = 1024, SPARSE_RATIO = 2, SPARSE_SAFE = 10, LONGEST_NUMBER = 32 };

static const double LARGEST_WHOLE = 9007199254740992.0; /* 2^53: up to there every whole number is a double */

/* Short texts are made on the stack of C, longer ones beside the heap of Lua, which is to hold the text and not the making of it. What raises in
 * between leaves the bytes with the script: they go with its slice, not when a collector comes by (fa_slice_end). */
typedef struct writer {
    lua_State *L;
    fa_script *script;
    char *bytes;
    size_t used, room;
    char first[FIRST_ROOM];
} writer;

void fa_json_forget(fa_script *script)
{
    free(script->json_text);
    script->json_text = NULL;
}

static char *make_room(writer *w, size_t more)
{
    if (w->room - w->used < more) {
        size_t room = 2 * w->room > w->used + more ? 2 * w->room : w->used + more;
        bool is_first = w->bytes == w->first;
        char *larger = realloc(w->script->json_text, room);
        if (larger == NULL)
            luaL_error(w->L, "json.encode: no memory");
        if (is_first)
            memcpy(larger, w->first, w->used);
        w->script->json_text = w->bytes = larger;
        w->room = room;
    }
    return w->bytes + w->used;
}

static void put(writer *w, const char *text, size_t length)
{
    memcpy(make_room(w, length), text, length);
    w->used += length;
}

static void put_char(writer *w, char c)
{
    *make_room(w, 1) = c;
    w->used++;
}

static const char *escape_of(unsigned char c, char out[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '/':
        return "\\/"; /* </script> in a page */
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        snprintf(out, 8, "\\u%04x", c);
        return out;
    }
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c != '"' && c != '\\' && c != '/' && c != 0x7f;
}

static void write_text(writer *w, const char *text, size_t length)
{
    char code[8];
    put_char(w, '"');
    for (size_t i = 0; i < length;) {
        size_t from = i;
        while (i < length && is_plain((unsigned char)text[i]))
            ++i;
        put(w, text + from, i - from);
        if (i < length) {
            const char *escape = escape_of((unsigned char)text[i++], code);
            put(w, escape, strlen(escape));
        }
    }
    put_char(w, '"');
}

static void refuse(const writer *w, int index, const char *why)
{
    luaL_error(w->L, "Cannot serialise %s: %s", luaL_typename(w->L, index), why);
}

/* Whole numbers as they are, others to 15 digits: as many as every double keeps, and 0.1 + 0.2 is 0.3. */
static void write_number(writer *w, int index)
{
    double number = lua_tonumber(w->L, index);
    if (isnan(number) || isinf(number))
        refuse(w, index, "must not be NaN or Inf");
    char *out = make_room(w, LONGEST_NUMBER);
    if (fabs(number) <= LARGEST_WHOLE && number == floor(number))
        w->used += (size_t)snprintf(out, LONGEST_NUMBER, "%lld", (long long)number);
    else
        w->used += (size_t)snprintf(out, LONGEST_NUMBER, "%.15g", number);
}

/* How long the array is, or -1 when the table is an object. */
static lua_Number array_length(const writer *w, int index)
{
    lua_State *L = w->L;
    lua_Number most = 0, items = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        lua_Number key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (key < 1 || key != floor(key)) {
            lua_pop(L, 1);
            return -1;
        }
        most = key > most ? key : most;
        ++items;
    }
    if (most > items * SPARSE_RATIO && most > SPARSE_SAFE)
        refuse(w, index, "excessively sparse array");
    return items > 0 ? most : -1;
}

static void write_value(writer *w, int depth);

static void write_array(writer *w, int index, lua_Number length, int depth)
{
    put_char(w, '[');
    for (int i = 1; i <= (int)length; ++i) {
        if (i > 1)
            put_char(w, ',');
        lua_rawgeti(w->L, index, i);
        write_value(w, depth);
        lua_pop(w->L, 1);
    }
    put_char(w, ']');
}

static void write_key(writer *w, int index)
{
    size_t length;
    if (lua_type(w->L, index) == LUA_TSTRING) {
        const char *key = lua_tolstring(w->L, index, &length);
        write_text(w, key, length);
    } else if (lua_type(w->L, index) == LUA_TNUMBER) {
        put_char(w, '"');
        write_number(w, index);
        put_char(w, '"');
    } else {
        refuse(w, index, "table key must be a number or string");
    }
}

static void write_object(writer *w, int index, int depth)
{
    lua_State *L = w->L;
    bool first = true;
    put_char(w, '{');
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (!first)
            put_char(w, ',');
        first = false;
        write_key(w, lua_gettop(L) - 1);
        put_char(w, ':');
        write_value(w, depth);
    }
    put_char(w, '}');
}

static void write_table(writer *w, int index, int depth)
{
    if (depth > FA_DEFAULT_JSON_DEPTH)
        luaL_error(w->L, "Cannot serialise, excessive nesting (%d)", depth);
    luaL_checkstack(w->L, 6, "JSON");
    fa_slice_check(w->L, w->script);
    lua_Number length = array_length(w, index);
    if (length > 0)
        write_array(w, index, length, depth);
    else
        write_object(w, index, depth);
}

static void write_string(writer *w, int index)
{
    size_t length;
    const char *text = lua_tolstring(w->L, index, &length);
    if (length == strlen(w->script->empty_array) && memcmp(text, w->script->empty_array, length) == 0)
        put(w, "[]", 2);
    else
        write_text(w, text, length);
}

/* What is on top of the stack; it stays there. */
static void write_value(writer *w, int depth)
{
    lua_State *L = w->L;
    int index = lua_gettop(L);
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        write_string(w, index);
        return;
    case LUA_TNUMBER:
        write_number(w, index);
        return;
    case LUA_TBOOLEAN:
        put(w, lua_toboolean(L, index) ? "true" : "false", lua_toboolean(L, index) ? 4 : 5);
        return;
    case LUA_TTABLE:
        write_table(w, index, depth + 1);
        return;
    case LUA_TNIL:
        put(w, "null", 4);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) { /* json.null */
            put(w, "null", 4);
            return;
        }
        break;
    default:
        break;
    }
    refuse(w, index, "type not supported");
}

void fa_lua_encode_json(lua_State *L, int index)
{
    index = index < 0 ? lua_gettop(L) + 1 + index : index;
    luaL_checkstack(L, 6, "JSON");
    writer w;
    w.L = L;
    w.script = fa_script_of(L);
    w.bytes = w.first;
    w.used = 0;
    w.room = sizeof(w.first);
    fa_json_forget(w.script); /* of one that has raised in this slice */
    fa_lua_check_json_size(L, index);
    lua_pushvalue(L, index);
    write_value(&w, 0);
    lua_pushlstring(L, w.bytes, w.used);
    lua_remove(L, -2);
    fa_json_forget(w.script);
}
