/* What lua/fitnessally/language.lua needs of C: how deep the stack is, and the tracebacks of coroutines that a script has made. */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

enum {
    DEEPEST = 1024 * 1024
}; /* bytes of C stack: LuaJIT has no limit for coroutines that resume each other, nor for string.gsub */

void fa_lua_check_depth(lua_State *L)
{
    char here;
    const char *base = fa_script_of(L)->stack_base;
    ptrdiff_t depth = base - &here; /* the stack grows downwards */
    if (base != NULL && (depth > DEEPEST || depth < -DEEPEST)) {
        lua_pushliteral(L, "stack overflow (of C)"); /* without a line: that of the script is found when it is told */
        lua_error(L);
    }
}

static int check_depth(lua_State *L)
{
    fa_lua_check_depth(L);
    return 0;
}

/* "file:12: " at the beginning, as luaL_error puts it there. */
static bool names_line(const char *message)
{
    const char *colon = strchr(message, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    return digits > 0 && colon[1 + digits] == ':';
}

/* What LuaJIT raises on its own when memory or stack is at an end names no line. */
static const char *name_line(lua_State *of, const char *message, char *out, size_t size)
{
    const fa_script *script = fa_script_of(of);
    char place[80];
    bool memory = strcmp(message, "not enough memory") == 0;
    if (names_line(message) || (!memory && strstr(message, "stack overflow") == NULL))
        return message;
    if (memory && script->heap.refused_at[0] != '\0')
        snprintf(place, sizeof(place), "%s", script->heap.refused_at);
    else
        fa_lua_place(of, place, sizeof(place));
    snprintf(out, size, "%s: %s", place, message);
    return out;
}

void fa_lua_push_traceback(lua_State *L, lua_State *of, const char *message, int level)
{
    char line[300];
    if (message == NULL) { /* error(nil), error({}) */
        char place[80];
        fa_lua_place(of, place, sizeof(place));
        snprintf(line, sizeof(line), "%s: an error that is not a text", place);
        luaL_traceback(L, of, line, level);
        return;
    }
    luaL_traceback(L, of, name_line(of, message, line, sizeof(line)), level);
}

/* Pushes the traceback of L from `level` on, without its head line, or with another. */
static void push_lines(lua_State *L, lua_State *of, const char *head, int level)
{
    luaL_traceback(L, of, NULL, level);
    const char *lines = lua_tostring(L, -1), *first = strchr(lines, '\n');
    lua_pushfstring(L, "%s%s", head, first != NULL ? first : "");
    lua_remove(L, -2);
}

void fa_lua_note_failure(lua_State *L, lua_State *of, int index)
{
    if (lua_isnil(L, index))
        return;
    lua_pushvalue(L, index);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    bool noted = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (noted) {
        lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
    } else {
        fa_lua_push_traceback(L, of, lua_tostring(L, -1), 0);
    }
    size_t length;
    lua_tolstring(L, -1, &length);
    if (length < FA_LONGEST_TRACEBACK) {
        push_lines(L, L, "\nresumed from:", 1);
        lua_concat(L, 2);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
}

/* failed(co, error): it is dead; its stack still stands. */
static int failed(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lua_settop(L, 2);
    if (co != NULL)
        fa_lua_note_failure(L, co, 2);
    return 0;
}

/* coroutine.running. Whoever has the coroutine of a task may look at it as long as they like: it is not used again (task.c). */
static int running(lua_State *L)
{
    fa_task *task = fa_script_of(L)->current;
    if (lua_pushthread(L)) { /* the state itself */
        lua_pushnil(L);
        return 1;
    }
    if (task != NULL && task->co == L)
        task->named = true;
    return 1;
}

void fa_open_language(lua_State *L)
{
    static const luaL_Reg natives[] = {
        {"check_depth", check_depth}, {"failed", failed}, {"running", running}, {NULL, NULL}};
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/language.lua", fa_script_of(L)->options.library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    lua_call(L, 1, 0);
}
