/* Waiting: how a C function of ours yields, and how a wait that has been cancelled raises in the script.
 *
 * A coroutine that is resumed cannot be made to raise from outside. So each function that waits has a shell around it, in Lua: it calls
 * the function protected and hands what comes back to settle, which returns it or raises. The place in the message is the caller's, as
 * if there were no shell.
 */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

static const char shell[] = "local pcall = ...\n"
                            "return function(raw, settle)\n"
                            "  return function(...) return settle(pcall(raw, ...)) end\n"
                            "end\n";

/* What L waits in is gone: the flag that says whether it was told, and why. NULL while all is well. */
static bool *gone(fa_task *task, const lua_State *L, const char **why)
{
    fa_script_scope *inner = fa_script_scope_in(task, L);
    if (task->scope != NULL && (inner == NULL || inner->scope != NULL))
        return NULL;
    *why = task->scope == NULL ? task->why_gone : inner->why;
    return task->scope == NULL ? &task->told : &inner->told;
}

/* A second wait after it was told: whoever catches the error and goes on in a loop would never come back. */
static int drop(lua_State *L, fa_task *task, const char *why)
{
    if (task->scope != NULL)
        snprintf(task->why_gone, sizeof(task->why_gone), "%s", why);
    lua_settop(L, 0);
    return lua_yield(L, 0);
}

/* The error as if the shell had not been there: with the caller's line, and the name of the function. */
static int raise_as_caller(lua_State *L, int index)
{
    char name[60];
    const char *message = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    if (message == NULL || strcmp(message, "not enough memory") == 0) {
        lua_pushvalue(L, index);
        return lua_error(L);
    }
    snprintf(name, sizeof(name), "'%.50s'", lua_tostring(L, lua_upvalueindex(1)));
    luaL_where(L, 1);
    luaL_gsub(L, message, "'?'", name);
    lua_concat(L, 2);
    return lua_error(L);
}

static int settle(lua_State *L)
{
    const char *why = "cancelled";
    fa_task *task = fa_script_of(L)->current;
    bool well = lua_toboolean(L, 1), mine = task != NULL && task->co == L;
    if (mine && well && task->raise) {
        task->raise = false;
        bool *told = gone(task, L, &why);
        if (told != NULL)
            *told = true;
        lua_settop(L, 0);
        lua_pushstring(L, why);
        return raise_as_caller(L, 1);
    }
    if (mine && task->failed) {
        gone(task, L, &why);
        return drop(L, task, why);
    }
    if (!well)
        return raise_as_caller(L, 2);
    lua_remove(L, 1);
    return lua_gettop(L);
}

void fa_lua_waits(lua_State *L, const char *const *names)
{
    for (; *names != NULL; ++names) {
        lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.shell");
        lua_getfield(L, -2, *names);
        lua_pushstring(L, *names);
        lua_pushcclosure(L, settle, 1);
        lua_call(L, 2, 1);
        lua_setfield(L, -2, *names);
    }
}

void fa_open_waits(lua_State *L)
{
    if (luaL_loadbuffer(L, shell, sizeof(shell) - 1, "=fitnessally") != 0)
        lua_error(L);
    lua_getglobal(L, "pcall");
    lua_call(L, 1, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.shell");
}

fa_task *fa_task_waiting(lua_State *L, const char *what)
{
    fa_task *task = fa_script_of(L)->current;
    if (task == NULL) {
        luaL_error(L, "%s waits, and nothing can wait while scripts are loaded", what);
        return NULL; /* luaL_error does not come back, which its declaration does not say */
    }
    if (task->co != L)
        luaL_error(L, "%s waits, and cannot be called in a coroutine that the script made", what);
    const char *why;
    bool *told = gone(task, L, &why);
    if (told != NULL) {
        task->failed = *told;
        *told = true;
        luaL_error(L, "%s: %s", what, task->scope == NULL ? "the owner of this task has ended" : why);
    }
    /* Before anything waits: a yield that fails would leave the operation behind, to resume the task at the wrong place. */
    if (!lua_isyieldable(L))
        luaL_error(L, "%s waits, and nothing can wait inside a function that C calls (table.sort, string.gsub)", what);
    return task;
}

int fa_task_wait(lua_State *L, fa_task *task, fa_wait *wait)
{
    task->wait = wait;
    return lua_yield(L, 0);
}
