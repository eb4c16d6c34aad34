/* fitnessally.sound_cutter: encoded sound that is still coming, cut into pieces that each play by themselves (audio/cutter.h). No byte
 * becomes a Lua string: what comes are buffers, what goes are sealed buffers.
 *
 * It lies in the scope that was innermost when it was made, with what has come and was not given yet, and goes with its last piece. */
#include <string.h>

#include "audio/cutter.h"
#include "memory/buffer.h"
#include "script/internal.h"

enum { FIRST_CAPACITY = 4096, DEFAULT_PIECE_MS = 500, DEFAULT_MAX = 1024 * 1024, LONGEST_PIECE_MS = 3600 * 1000 };

typedef struct sound_cutter {
    fa_cutter cutter;
    fa_scope *scope;
    fa_handle handle;
    size_t max; /* bytes that may wait */
    uint8_t *bytes;
    size_t capacity, filled;
} sound_cutter;

static void release_cutter(void *object)
{
    sound_cutter *c = object;
    if (c->bytes != NULL)
        fa_account_free(fa_scope_account(c->scope), c->bytes, c->capacity);
    fa_scope_free(c->scope, c);
}

static const fa_handle_type type_cutter = {"sound cutter", release_cutter};

static sound_cutter *check_cutter(lua_State *L)
{
    return fa_lua_check(L, 1, &type_cutter, FA_META_CUTTER);
}

static void release(lua_State *L, const sound_cutter *c)
{
    fa_handle_release(fa_worker_handles(fa_script_of(L)->worker), c->handle, &type_cutter, fa_script_here(L), NULL);
}

static lua_Number number_option(lua_State *L, const char *name, lua_Number fallback, lua_Number most)
{
    lua_getfield(L, 1, name);
    lua_Number value = lua_isnil(L, -1) ? fallback : luaL_checknumber(L, -1);
    if (!(value >= 0 && value <= most))
        luaL_error(L, "sound_cutter: %s is a number from 0 to %d", name, (int)most);
    return value;
}

static int nothing(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int new_cutter(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    fa_scope *scope = fa_task_scope(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_Number piece_ms = number_option(L, "piece_ms", DEFAULT_PIECE_MS, LONGEST_PIECE_MS);
    lua_Number pcm_rate = number_option(L, "pcm_rate", 0, 1000000);
    lua_getfield(L, 1, "max");
    size_t max = lua_isnil(L, -1) ? DEFAULT_MAX : fa_lua_check_size(L, -1, "sound_cutter: max");
    sound_cutter *c = fa_scope_allocate(scope, sizeof(*c));
    if (c == NULL)
        return nothing(L, "no room for a sound cutter");
    fa_cutter_init(&c->cutter, piece_ms, (unsigned)pcm_rate);
    c->scope = scope;
    c->max = max;
    fa_result result = fa_handle_make(fa_worker_handles(script->worker), &type_cutter, c, scope, "sound cutter",
                                      fa_script_here(L), &c->handle);
    if (result != FA_OK) {
        fa_scope_free(scope, c);
        return nothing(L, fa_result_name(result));
    }
    fa_lua_push_handle(L, c->handle, FA_META_CUTTER);
    return 1;
}

static fa_result grow(sound_cutter *c, size_t length)
{
    void *block = c->bytes;
    size_t wanted = c->capacity != 0 ? c->capacity : FIRST_CAPACITY;
    while (wanted < c->filled + length)
        wanted *= 2;
    if (wanted == c->capacity)
        return FA_OK;
    fa_result result = fa_account_resize(fa_scope_account(c->scope), &block, c->capacity, wanted);
    if (result != FA_OK)
        return result;
    c->bytes = block;
    c->capacity = wanted;
    return FA_OK;
}

static int cutter_add(lua_State *L)
{
    sound_cutter *c = check_cutter(L);
    const fa_buffer *from = fa_lua_check(L, 2, &fa_type_buffer, FA_META_BUFFER);
    size_t length = fa_buffer_length(from);
    if (length > c->max - c->filled)
        return nothing(L, "full");
    fa_result result = length != 0 ? grow(c, length) : FA_OK;
    if (result != FA_OK)
        return nothing(L, fa_result_name(result));
    if (length != 0)
        memcpy(c->bytes + c->filled, fa_buffer_data(from), length);
    c->filled += length;
    lua_settop(L, 1);
    return 1;
}

/* The bytes of a piece, sealed, in the scope of whoever asked. */
static fa_result make_piece(lua_State *L, const sound_cutter *c, const fa_sound_piece *piece, fa_buffer **out)
{
    fa_scope *scope = fa_task_scope(L);
    fa_result result = fa_buffer_new(scope, piece->head_length + piece->length, "sound", fa_script_here(L), out);
    if (result != FA_OK)
        return result;
    result = fa_buffer_append(*out, piece->head, piece->head_length);
    if (result == FA_OK)
        result = fa_buffer_append(*out, c->bytes + piece->skip, piece->length);
    if (result == FA_OK)
        fa_buffer_seal(*out);
    else
        fa_buffer_release(*out);
    return result;
}

static void drop(sound_cutter *c, size_t length)
{
    c->filled -= length;
    memmove(c->bytes, c->bytes + length, c->filled);
}

static int cutter_next(lua_State *L)
{
    fa_sound_piece piece;
    fa_buffer *buffer;
    sound_cutter *c = check_cutter(L);
    fa_cut cut = fa_cutter_next(&c->cutter, c->bytes, c->filled, lua_toboolean(L, 2), &piece);
    if (cut != FA_CUT_PIECE) {
        lua_pushnil(L);
        lua_pushstring(L, cut == FA_CUT_MORE ? "more" : cut == FA_CUT_END ? "end" : "garbage");
        return 2;
    }
    fa_result result = make_piece(L, c, &piece, &buffer);
    if (result != FA_OK)
        return nothing(L, fa_result_name(result));
    if (piece.last)
        release(L, c);
    else
        drop(c, piece.skip + piece.length);
    int count = fa_lua_push_buffer(L, buffer, fa_task_scope(L));
    if (count != 1)
        return count;
    fa_lua_push_sound(L, &piece.sound);
    lua_pushboolean(L, piece.last);
    lua_setfield(L, -2, "last");
    return 2;
}

static int cutter_close(lua_State *L)
{
    release(L, check_cutter(L));
    return 0;
}

void fa_open_sound(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"add", cutter_add}, {"next", cutter_next}, {"close", cutter_close}, {NULL, NULL}};
    luaL_getmetatable(L, FA_META_CUTTER);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_getglobal(L, "fitnessally");
    lua_pushcfunction(L, new_cutter);
    lua_setfield(L, -2, "sound_cutter");
    lua_pop(L, 1);
}
