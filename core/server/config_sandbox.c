/* The Lua state of a configuration file. It is for the operator's own file, so nothing in it is secret from the file;
 * the limits are there because a server that hangs or dies on a slip of its configuration tells nobody what the slip
 * was. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "server/config_file.h"

enum {
    MAX_HEAP = 8 * 1024 * 1024,
    HOOK_EVERY = 1000, /* instructions */
    MAX_STEPS = 5000,  /* of the hook: 5 million instructions */
    MAX_SECONDS = 2,   /* of this thread's processor time: one instruction may call a slow function */
};

static const char reader_key; /* its address is the key of the reader in Lua's registry */

static void *capped_allocate(void *context, void *block, size_t old_size, size_t size)
{
    fa_config_heap *heap = context;
    if (size > old_size && heap->used + (size - old_size) > MAX_HEAP) {
        heap->refused = true;
        return NULL;
    }
    void *moved = heap->allocate(heap->context, block, old_size, size);
    if (moved != NULL || size == 0)
        heap->used += size - old_size;
    return moved;
}

static fa_config_reader *reader_of(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&reader_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    fa_config_reader *reader = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return reader;
}

static bool out_of_time(fa_config_reader *reader)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return ++reader->steps > MAX_STEPS || used.tv_sec - reader->started >= MAX_SECONDS;
}

/* On every line, to know it when memory runs out (Lua cannot tell then), and every HOOK_EVERY instructions. */
static void watch(lua_State *L, lua_Debug *at)
{
    fa_config_reader *reader = reader_of(L);
    lua_getinfo(L, "l", at);
    if (at->currentline > 0)
        reader->line = at->currentline;
    if (at->event == LUA_HOOKCOUNT && out_of_time(reader))
        fa_config_wrong(reader, FA_INVALID, reader->line, "the file does not come to an end (an endless loop?)");
    fa_config_raise(reader, L);
}

/* Argument: the reader. */
static int limit(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&reader_key);
    lua_pushvalue(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* compiled code never calls hooks */
    lua_sethook(L, watch, LUA_MASKCOUNT | LUA_MASKLINE, HOOK_EVERY);
    return 0;
}

lua_State *fa_config_sandbox_open(fa_config_reader *reader)
{
    struct timespec now;
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return NULL;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    reader->started = now.tv_sec;
    reader->heap.allocate = lua_getallocf(L, &reader->heap.context);
    reader->heap.used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua_setallocf(L, capped_allocate, &reader->heap);
    if (lua_cpcall(L, limit, reader) != 0) {
        fa_config_sandbox_close(reader, L);
        return NULL;
    }
    return L;
}

void fa_config_sandbox_close(fa_config_reader *reader, lua_State *L)
{
    /* LuaJIT gives its arena back at once only when it finds its own allocator. */
    lua_setallocf(L, reader->heap.allocate, reader->heap.context);
    lua_close(L);
}

static int read_environment(lua_State *L)
{
    const char *value = getenv(luaL_checkstring(L, 1));
    lua_pushstring(L, value); /* nil when there is none */
    return 1;
}

/* Opens a library and leaves of it what is named. Left out is what reaches files, other code or other environments,
 * what can swallow the errors of the limits (pcall), and what can run long inside one C function (patterns). */
static void push_library(lua_State *L, lua_CFunction open, const char *name, const char *const *allowed)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_newtable(L);
    for (; *allowed != NULL; ++allowed) {
        lua_getfield(L, -2, *allowed);
        lua_setfield(L, -2, *allowed);
    }
    lua_remove(L, -2);
}

void fa_config_sandbox_helpers(lua_State *L)
{
    static const char *const base[] = {"assert",   "error",    "ipairs", "next",   "pairs", "select",
                                       "tonumber", "tostring", "type",   "unpack", NULL};
    static const char *const string[] = {"byte", "char",    "format", "len",   "lower",
                                         "rep",  "reverse", "sub",    "upper", NULL};
    static const char *const table[] = {"concat", "insert", "maxn", "remove", "sort", NULL};
    static const char *const math[] = {"abs", "ceil", "floor", "fmod", "huge", "max", "min", "pi", "pow", "sqrt", NULL};
    push_library(L, luaopen_base, "", base);
    push_library(L, luaopen_table, LUA_TABLIBNAME, table);
    lua_setfield(L, -2, LUA_TABLIBNAME);
    push_library(L, luaopen_math, LUA_MATHLIBNAME, math);
    lua_setfield(L, -2, LUA_MATHLIBNAME);
    push_library(L, luaopen_string, LUA_STRLIBNAME, string);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index"); /* ("x"):rep(3) finds the same few functions */
    lua_pop(L, 2);
    lua_setfield(L, -2, LUA_STRLIBNAME);
    lua_pushcfunction(L, read_environment);
    lua_setfield(L, -2, "env");
}
