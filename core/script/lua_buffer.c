/* fitnessally.buffer and the methods of buffers. */
#include <stdio.h>

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

static int new_buffer(lua_State *L)
{
    fa_buffer *buffer;
    const char *label = "buffer";
    size_t capacity = 0;
    fa_scope *scope = fa_task_scope(L);
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        lua_getfield(L, 1, "label");
        lua_getfield(L, 1, "capacity");
        if (!lua_isnil(L, -2))
            label = luaL_checkstring(L, -2);
        lua_Number wanted = luaL_optnumber(L, -1, 0);
        if (wanted < 0 || wanted > 1e12)
            return luaL_error(L, "fitnessally.buffer: capacity must be a number of bytes");
        capacity = (size_t)wanted;
    }
    fa_result result = fa_buffer_new(scope, capacity, label, fa_script_here(L), &buffer);
    return result == FA_OK ? fa_lua_push_buffer(L, buffer, scope) : answer_error(L, result, "no room for a buffer");
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
    lua_Number max = luaL_checknumber(L, -1);
    if ((double)length > max) {
        lua_pushnil(L);
        lua_pushfstring(L, "the buffer has %d bytes, more than the %d that may be copied", (int)length, (int)max);
        return 2;
    }
    fa_lua_count_copy(L, length);
    lua_pushlstring(L, (const char *)fa_buffer_data(buffer), length);
    return 1;
}

static int buffer_json(lua_State *L)
{
    fa_buffer *buffer = check_buffer(L, 1);
    return fa_lua_decode_json(L, (const char *)fa_buffer_data(buffer), fa_buffer_length(buffer));
}

void fa_open_buffer(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"len", buffer_len},   {"append", buffer_append}, {"seal", buffer_seal}, {"release", buffer_release},
        {"copy", buffer_copy}, {"json", buffer_json},     {NULL, NULL},
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
