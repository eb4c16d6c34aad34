/* Takes the assignments of a configuration file, each at the moment it is made, so that the line is known.
 *
 * The environment is an empty table, so every global name that the file reads or writes passes through here. `plugins`
 * and `plugins.NAME`, and their like, are userdata, so that nothing can be written into them past us (table.insert).
 */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "server/config_convert.h"
#include "server/config_file.h"
#include "server/config_locate.h"
#include "server/config_named.h"

enum {
    TEXT_SIZE = 4096,
    NAME_SIZE = 256,
    MAX_DEPTH = 4, /* return { plugins = { NAME = { KEY = ... } } } */
};

/* The way to a value: names[0] is what was assigned on `line` (or "return"), the rest are keys of the tables in it. */
typedef struct place {
    const char *names[MAX_DEPTH];
    size_t count;
    int line;
} place;

static int locate(const fa_config_reader *reader, const place *at)
{
    return fa_config_locate(reader->source, reader->length, at->names, at->count, at->line);
}

static place below(const place *at, const char *name)
{
    place inner = *at;
    inner.names[inner.count++] = name;
    return inner;
}

static void set(fa_config_reader *reader, const place *at, const char *name, const char *value)
{
    char where[TEXT_SIZE];
    fa_error error;
    int line = locate(reader, at);
    snprintf(where, sizeof(where), "%s:%d", reader->path, line);
    fa_result result = fa_config_set(reader->config, name, value, where, &error);
    if (result == FA_OK || (reader->result != FA_OK && reader->wrong_line <= line))
        return;
    reader->result = result;
    reader->wrong_line = line;
    fa_fail(reader->error, result, "%s", error.text);
}

static const fa_config_key *find_key(const char *name)
{
    const fa_config_key *key = fa_config_keys();
    while (key->name != NULL && strcmp(key->name, name) != 0)
        ++key;
    return key->name != NULL ? key : NULL;
}

/* name: "GROUP.NAME.KEY" */
static void assign_named_key(fa_config_reader *reader, lua_State *L, const place *at, const char *name, int index)
{
    char value[TEXT_SIZE], what[FA_CONFIG_GIVEN_SIZE];
    if (lua_isnil(L, index))
        return;
    if (fa_config_copy_any(L, index, value, sizeof(value)))
        set(reader, at, name, value);
    else
        fa_config_wrong(reader, FA_INVALID, locate(reader, at),
                        "%s: needs a text, a number, true, false or a list of texts, not %s", name,
                        fa_config_given(L, index, what));
}

/* What each_pair does with one pair; the value is on the top. */
typedef void pair_function(fa_config_reader *reader, lua_State *L, const place *at, const char *context,
                           const char *key);

/* Walks the table at the absolute `index`, to the end, so that the first mistake in the file is found, not the first in
 * the order of hashing. what: names the table in the message for keys that are no names. */
static void each_pair(fa_config_reader *reader, lua_State *L, const place *at, int index, const char *what,
                      const char *context, pair_function *take)
{
    luaL_checkstack(L, 6, "configuration");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            fa_config_wrong(reader, FA_INVALID, locate(reader, at), "%s has a value without a name; write key = value",
                            what);
            continue;
        }
        const char *key = lua_tostring(L, -2);
        place inner = below(at, key);
        take(reader, L, &inner, context, key);
    }
}

/* owner: "GROUP.NAME" */
static void take_named_key(fa_config_reader *reader, lua_State *L, const place *at, const char *owner, const char *key)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof(name), "%.120s.%.100s", owner, key);
    assign_named_key(reader, L, at, name, lua_gettop(L));
}

/* GROUP.NAME = the value at `index` */
static void assign_named(fa_config_reader *reader, lua_State *L, const place *at, const char *owner, int index)
{
    char what[FA_CONFIG_GIVEN_SIZE];
    if (lua_istable(L, index))
        each_pair(reader, L, at, index, owner, owner, take_named_key);
    else
        fa_config_wrong(reader, FA_INVALID, locate(reader, at), "%s: needs a table, as in { key = value }, not %s",
                        owner, fa_config_given(L, index, what));
}

static void take_named(fa_config_reader *reader, lua_State *L, const place *at, const char *group, const char *key)
{
    char owner[NAME_SIZE];
    snprintf(owner, sizeof(owner), "%s.%.100s", group, key);
    assign_named(reader, L, at, owner, lua_gettop(L));
}

/* name = the value at `index`, for a name of the file's own level. nil leaves what was there: env("X") may find
 * nothing. */
static void assign(fa_config_reader *reader, lua_State *L, const place *at, const char *name, int index)
{
    char value[TEXT_SIZE], what[FA_CONFIG_GIVEN_SIZE];
    if (lua_isnil(L, index) && find_key(name) != NULL)
        return;
    const char *group = fa_named_group_of(name);
    if (group != NULL && strcmp(name, group) == 0) {
        if (lua_istable(L, index))
            each_pair(reader, L, at, index, group, group, take_named);
        else
            fa_config_wrong(reader, FA_INVALID, locate(reader, at), "%s: needs a table, not %s", group,
                            fa_config_given(L, index, what));
        return;
    }
    const fa_config_key *key = find_key(name);
    if (group != NULL) /* ["plugins.espeak.voice"] = ... */
        assign_named_key(reader, L, at, name, index);
    else if (key == NULL)
        set(reader, at, name, ""); /* it knows what is near */
    else if (fa_config_copy_value(L, index, key->type, value, sizeof(value)))
        set(reader, at, name, value);
    else
        fa_config_wrong(reader, FA_INVALID, locate(reader, at), "%s: needs %s, not %s", name,
                        fa_config_wanted(key->type), fa_config_given(L, index, what));
}

static void take_name(fa_config_reader *reader, lua_State *L, const place *at, const char *context, const char *key)
{
    (void)context;
    assign(reader, L, at, key, lua_gettop(L));
}

void fa_config_assign_returned(fa_config_reader *reader, lua_State *L)
{
    char what[FA_CONFIG_GIVEN_SIZE];
    place at = {{"return"}, 1, 0};
    int index = lua_gettop(L);
    if (lua_istable(L, index))
        each_pair(reader, L, &at, index, "the returned table", NULL, take_name);
    else if (!lua_isnil(L, index))
        fa_config_wrong(reader, FA_INVALID, locate(reader, &at),
                        "the file returns %s: return a table of keys, or nothing", fa_config_given(L, index, what));
}

/* ---- the environment
 * ------------------------------------------------------------------------------------------------ */

static fa_config_reader *reader_here(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static place place_here(lua_State *L, const char *name)
{
    lua_Debug at;
    place here = {{name}, 1, 0};
    for (int level = 1; here.line <= 0 && lua_getstack(L, level, &at); ++level) {
        lua_getinfo(L, "l", &at);
        here.line = at.currentline;
    }
    return here;
}

/* Pushes an empty userdata whose reading and writing are the two closures below it, which are taken. */
static void push_proxy(lua_State *L)
{
    lua_newuserdata(L, 0);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* GROUP.NAME.KEY, read. Upvalues: reader, GROUP, NAME. */
static int read_named_key(lua_State *L)
{
    const fa_config_reader *reader = reader_here(L);
    lua_pushstring(L, fa_config_named(reader->config, lua_tostring(L, lua_upvalueindex(2)),
                                      lua_tostring(L, lua_upvalueindex(3)), luaL_checkstring(L, 2), NULL));
    return 1;
}

/* GROUP.NAME.KEY = value. Upvalues: reader, GROUP, NAME. */
static int write_named_key(lua_State *L)
{
    char owner[NAME_SIZE];
    fa_config_reader *reader = reader_here(L);
    const char *key = luaL_checkstring(L, 2);
    place at = place_here(L, key);
    snprintf(owner, sizeof(owner), "%s.%.100s", lua_tostring(L, lua_upvalueindex(2)),
             lua_tostring(L, lua_upvalueindex(3)));
    take_named_key(reader, L, &at, owner, key);
    fa_config_raise(reader, L);
    return 0;
}

static void push_closure(lua_State *L, lua_CFunction function, int name)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, name);
    lua_pushcclosure(L, function, 3);
}

/* GROUP.NAME, read. Upvalues: reader, GROUP. */
static int read_named(lua_State *L)
{
    luaL_checkstring(L, 2);
    push_closure(L, read_named_key, 2);
    push_closure(L, write_named_key, 2);
    push_proxy(L);
    return 1;
}

/* GROUP.NAME = value. Upvalues: reader, GROUP. */
static int write_named(lua_State *L)
{
    char owner[NAME_SIZE];
    fa_config_reader *reader = reader_here(L);
    const char *name = luaL_checkstring(L, 2);
    place at = place_here(L, name);
    snprintf(owner, sizeof(owner), "%s.%.100s", lua_tostring(L, lua_upvalueindex(2)), name);
    assign_named(reader, L, &at, owner, 3);
    fa_config_raise(reader, L);
    return 0;
}

/* A declared key, read: what it is so far, in the form in which it is written. */
static void push_setting(fa_config_reader *reader, lua_State *L, const fa_config_key *key)
{
    if (key->type == FA_CONFIG_NUMBER)
        lua_pushnumber(L, fa_config_number(reader->config, key->name));
    else if (key->type == FA_CONFIG_FLAG)
        lua_pushboolean(L, fa_config_flag(reader->config, key->name));
    else
        lua_pushstring(L, fa_config_written(reader->config, key->name, NULL));
    if (key->type == FA_CONFIG_LIST) /* a copy would be changed in vain */
        fa_config_wrong(reader, FA_INVALID, place_here(L, key->name).line,
                        "%s: a list is assigned as a whole, not read", key->name);
}

/* A name, read. Upvalues: reader, the helpers, the groups by name. */
static int read_name(lua_State *L)
{
    fa_config_reader *reader = reader_here(L);
    const char *name = luaL_checkstring(L, 2);
    const fa_config_key *key = find_key(name);
    lua_getfield(L, lua_upvalueindex(3), name);
    if (!lua_isnil(L, -1)) {
        return 1;
    } else if (key != NULL) {
        push_setting(reader, L, key);
    } else {
        lua_getfield(L, lua_upvalueindex(2), name);
        if (lua_isnil(L, -1))
            fa_config_wrong(reader, FA_INVALID, place_here(L, name).line,
                            "\"%.60s\" is not available in a configuration file", name);
    }
    fa_config_raise(reader, L);
    return 1;
}

/* name = value. Upvalue: reader. */
static int write_name(lua_State *L)
{
    fa_config_reader *reader = reader_here(L);
    const char *name = luaL_checkstring(L, 2);
    place at = place_here(L, name);
    assign(reader, L, &at, name, 3);
    fa_config_raise(reader, L);
    return 0;
}

/* A table of the proxies, by group. */
static void push_groups(fa_config_reader *reader, lua_State *L)
{
    lua_newtable(L);
    for (const char *const *group = fa_named_groups; *group != NULL; ++group) {
        lua_pushlightuserdata(L, reader);
        lua_pushstring(L, *group);
        lua_pushcclosure(L, read_named, 2);
        lua_pushlightuserdata(L, reader);
        lua_pushstring(L, *group);
        lua_pushcclosure(L, write_named, 2);
        push_proxy(L);
        lua_setfield(L, -2, *group);
    }
}

void fa_config_assign_environment(fa_config_reader *reader, lua_State *L)
{
    int helpers = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 2);

    lua_pushlightuserdata(L, reader);
    lua_pushvalue(L, helpers);
    push_groups(reader, L);
    lua_pushcclosure(L, read_name, 3);
    lua_setfield(L, -2, "__index");

    lua_pushlightuserdata(L, reader);
    lua_pushcclosure(L, write_name, 1);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_remove(L, helpers);
}
