/* fitnessally.buffer and the methods of buffers. */
#include <stdio.h>

#include "audio/probe.h"
#include "memory/buffer.h"
#include "script/internal.h"

static void release_buffer(void *object)
{
    fa_buffer_release(object);
}

const fa_handle_type fa_type_buffer = {"buffer", release_buffer};

static fa_buffer *check_buffer(lua_State *L, int index)
{
    return fa_lua_check(L, index, &fa_type_buffer, FA_META_BUFFER);
}

static int answer_error(lua_State *L, fa_result result, const char *what)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, fa_result_name(result));
    return 2;
}

int fa_lua_push_buffer(lua_State *L, fa_buffer *buffer, fa_scope *scope)
{
    fa_handle handle;
    fa_script *script = fa_script_of(L);
    fa_result result = fa_handle_make(fa_worker_handles(script->worker), &fa_type_buffer, buffer, scope,
                                      fa_buffer_label(buffer), fa_script_here(L), &handle);
    if (result != FA_OK) {
        fa_buffer_release(buffer);
        return answer_error(L, result, "no handle for a buffer");
    }
    fa_lua_push_handle(L, handle, FA_META_BUFFER);
    return 1;
}

int fa_lua_new_buffer(lua_State *L, int index, fa_scope *scope)
{
    fa_buffer *buffer;
    const char *label = "buffer";
    size_t capacity = 0;
    fa_lua_check_options(L, index, "fitnessally.buffer", (const char *const[]){"label", "capacity", NULL});
    if (!lua_isnoneornil(L, index)) {
        lua_getfield(L, index, "label");
        lua_getfield(L, index, "capacity");
        if (!lua_isnil(L, -2))
            label = luaL_checkstring(L, -2);
        if (!lua_isnil(L, -1))
            capacity = fa_lua_check_size(L, -1, "fitnessally.buffer: capacity");
    }
    fa_result result = fa_buffer_new(scope, capacity, label, fa_script_here(L), &buffer);
    return result == FA_OK ? fa_lua_push_buffer(L, buffer, scope) : answer_error(L, result, "no room for a buffer");
}

static int new_buffer(lua_State *L)
{
    return fa_lua_new_buffer(L, 1, fa_task_scope(L));
}

static int buffer_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)fa_buffer_length(check_buffer(L, 1)));
    return 1;
}

static int buffer_append(lua_State *L)
{
    fa_result result;
    fa_buffer *buffer = check_buffer(L, 1), *other = fa_lua_test(L, 2, &fa_type_buffer, FA_META_BUFFER);
    if (other == buffer)
        return luaL_error(L, "a buffer cannot be appended to itself");
    if (other != NULL) {
        result = fa_buffer_append(buffer, fa_buffer_data(other), fa_buffer_length(other));
    } else {
        size_t length;
        const char *data = luaL_checklstring(L, 2, &length);
        result = fa_buffer_append(buffer, data, length);
        fa_lua_count_copy(L, length);
    }
    if (result == FA_WRONG_STATE)
        return luaL_error(L, "%s is sealed: it cannot change any more", fa_buffer_label(buffer));
    if (result != FA_OK)
        return answer_error(L, result, "append");
    lua_settop(L, 1);
    return 1;
}

static int buffer_seal(lua_State *L)
{
    fa_buffer_seal(check_buffer(L, 1));
    lua_settop(L, 1);
    return 1;
}

static int buffer_release(lua_State *L)
{
    fa_error error;
    check_buffer(L, 1);
    const fa_lua_handle *h = lua_touserdata(L, 1);
    if (fa_handle_release(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_buffer, fa_script_here(L),
                          &error) != FA_OK)
        return luaL_error(L, "%s", error.text);
    return 0;
}

static int buffer_copy(lua_State *L)
{
    fa_buffer *buffer = check_buffer(L, 1);
    size_t length = fa_buffer_length(buffer);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "max");
    size_t max = fa_lua_check_size(L, -1, "buffer:copy: max");
    if (length > max) {
        lua_pushnil(L);
        lua_pushfstring(L, "the buffer has %d bytes, more than the %d that may be copied", (int)length, (int)max);
        return 2;
    }
    fa_lua_count_copy(L, length);
    lua_pushlstring(L, (const char *)fa_buffer_data(buffer), length);
    return 1;
}

/* As string.sub counts: from 1, from the end when negative, cut to what is there. */
static void cut(lua_State *L, size_t length, size_t *from, size_t *count)
{
    lua_Number first = luaL_optnumber(L, 2, 1), last = luaL_optnumber(L, 3, -1);
    if (first != first || last != last) /* not a number */
        luaL_error(L, "buffer:slice takes whole numbers");
    first = first < 0 ? first + (lua_Number)length + 1 : first;
    last = last < 0 ? last + (lua_Number)length + 1 : last;
    first = first < 1 ? 1 : first;
    last = last > (lua_Number)length ? (lua_Number)length : last;
    *from = first > last ? 0 : (size_t)first - 1;
    *count = first > last ? 0 : (size_t)last - *from;
}

static int buffer_slice(lua_State *L)
{
    size_t from, count;
    fa_buffer *slice, *buffer = check_buffer(L, 1);
    fa_scope *scope = fa_task_scope(L);
    cut(L, fa_buffer_length(buffer), &from, &count);
    fa_result result = fa_buffer_slice(scope, buffer, from, count, fa_script_here(L), &slice);
    if (result == FA_WRONG_STATE)
        return luaL_error(L, "only a sealed buffer can be sliced: call buf:seal() first");
    return result == FA_OK ? fa_lua_push_buffer(L, slice, scope) : answer_error(L, result, "slice");
}

/* The scope that a scope, turn or request handle at `index` stands for; raises. */
static fa_scope *target_scope(lua_State *L, int index)
{
    const fa_script_scope *scope = fa_lua_test(L, index, &fa_type_scope, FA_META_SCOPE);
    if (scope != NULL)
        return scope->scope;
    const fa_turn_state *turn = fa_lua_test(L, index, &fa_type_turn, FA_META_TURN);
    if (turn != NULL)
        return fa_turn_scope(turn->turn);
    if (fa_lua_test(L, index, &fa_type_request, FA_META_REQUEST) == NULL)
        luaL_typerror(L, index, "scope, turn or request");
    return fa_lua_check_exchange(L, index)->scope;
}

static int buffer_transfer(lua_State *L)
{
    fa_error error;
    fa_buffer *buffer = check_buffer(L, 1);
    fa_scope *to = target_scope(L, 2);
    if (!fa_scope_live(to))
        return luaL_error(L, "%s has ended", fa_scope_label(to));
    fa_result result = fa_buffer_adopt(to, buffer);
    if (result == FA_WRONG_STATE)
        return answer_error(L, result, "it is being sent or has slices, and stays where it is until they are gone");
    if (result != FA_OK)
        return answer_error(L, result, "transfer");
    const fa_lua_handle *h = lua_touserdata(L, 1);
    if (fa_handle_move(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_buffer, to, &error) != FA_OK)
        return luaL_error(L, "%s", error.text);
    lua_settop(L, 1);
    return 1;
}

void fa_lua_check_buffers(lua_State *L, int index)
{
    if (lua_isnil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 1; i <= lua_objlen(L, index); ++i) {
        lua_rawgeti(L, index, (int)i);
        if (!fa_buffer_sealed(fa_lua_check(L, -1, &fa_type_buffer, FA_META_BUFFER)))
            luaL_error(L, "only a sealed buffer can be given away");
        lua_pop(L, 1);
    }
}

fa_result fa_lua_move_buffers(lua_State *L, int index, fa_scope *to)
{
    fa_handle_table *handles = fa_worker_handles(fa_script_of(L)->worker);
    size_t count = lua_istable(L, index) ? lua_objlen(L, index) : 0;
    for (size_t i = 1; i <= count; ++i) {
        lua_rawgeti(L, index, (int)i);
        const fa_lua_handle *h = fa_lua_handle_at(L, -1, FA_META_BUFFER); /* the list keeps it */
        lua_pop(L, 1);
        fa_buffer *buffer = h != NULL ? fa_handle_resolve(handles, h->handle, &fa_type_buffer, NULL) : NULL;
        fa_result result = buffer != NULL ? fa_buffer_adopt(to, buffer) : FA_WRONG_STATE;
        if (result == FA_OK)
            result = fa_handle_move(handles, h->handle, &fa_type_buffer, to, NULL);
        if (result != FA_OK)
            return result;
    }
    return FA_OK;
}

static int buffer_json(lua_State *L)
{
    fa_buffer *buffer = check_buffer(L, 1);
    return fa_lua_decode_json(L, (const char *)fa_buffer_data(buffer), fa_buffer_length(buffer));
}

void fa_lua_push_sound(lua_State *L, const fa_sound *sound)
{
    lua_createtable(L, 0, 7);
    lua_pushstring(L, sound->format);
    lua_setfield(L, -2, "format");
    lua_pushstring(L, sound->mime);
    lua_setfield(L, -2, "mime");
    lua_pushnumber(L, sound->sample_rate);
    lua_setfield(L, -2, "sample_rate");
    lua_pushnumber(L, sound->channels);
    lua_setfield(L, -2, "channels");
    lua_pushnumber(L, sound->samples);
    lua_setfield(L, -2, "samples");
    lua_pushnumber(L, sound->duration_ms);
    lua_setfield(L, -2, "duration_ms");
}

/* buffer:sound(): what encoded sound the bytes are, without a copy. */
static int buffer_sound(lua_State *L)
{
    fa_sound sound;
    const fa_buffer *buffer = check_buffer(L, 1);
    if (!fa_sound_probe(fa_buffer_data(buffer), fa_buffer_length(buffer), &sound)) {
        lua_pushnil(L);
        lua_pushliteral(L, "these bytes are no sound of a known format");
        return 2;
    }
    fa_lua_push_sound(L, &sound);
    return 1;
}

void fa_open_buffer(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"len", buffer_len},     {"append", buffer_append},
        {"seal", buffer_seal},   {"release", buffer_release},
        {"copy", buffer_copy},   {"json", buffer_json},
        {"slice", buffer_slice}, {"transfer", buffer_transfer},
        {"sound", buffer_sound}, {NULL, NULL},
    };
    luaL_getmetatable(L, FA_META_BUFFER);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, buffer_len);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
    lua_newtable(L); /* the fitnessally table, which lua_core.c fills further */
    lua_pushcfunction(L, new_buffer);
    lua_setfield(L, -2, "buffer");
    lua_setglobal(L, "fitnessally");
}
