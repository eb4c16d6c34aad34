/* Scopes that scripts open: fitnessally.scope. The shape of it (open, run protected, close, raise again) is in
 * lua/fitnessally/structure.lua; here is what it opens and closes.
 *
 * A scope belongs to the coroutine that opened it: what that coroutine makes belongs to the innermost scope it has open. Its record
 * outlives the scope, so that a scope that has ended under a running function is known to have ended. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "script/internal.h"

enum { MAX_OPEN = 32 }; /* of one task, nested or in coroutines that it has left */

const fa_handle_type fa_type_scope = {"scope", NULL};

fa_script_scope *fa_script_scope_in(const fa_task *task, const lua_State *L)
{
    fa_script_scope *of_task = NULL;
    FA_LIST_EACH(node, &task->scopes)
    {
        fa_script_scope *s = FA_OBJECT(node, fa_script_scope, link);
        if (s->opened_in == L)
            return s;
        if (of_task == NULL && s->opened_in == task->co)
            of_task = s;
    }
    return of_task;
}

static void on_end(fa_scope_hook *hook)
{
    fa_script_scope *s = FA_OBJECT(hook, fa_script_scope, at_end);
    fa_task *task = s->task;
    snprintf(s->why, sizeof(s->why), "cancelled: scope '%.60s' ended (%s)", fa_scope_label(s->scope),
             fa_scope_reason(s->scope));
    s->scope = NULL;
    if (task->wait != NULL && task->scope != NULL && s->opened_in == task->co)
        fa_task_raise(task); /* it waits inside */
}

static void on_deadline(fa_timer *timer)
{
    fa_script_scope *s = FA_OBJECT(timer, fa_script_scope, deadline);
    fa_scope_end(s->scope, "its deadline has passed", NULL);
}

void fa_script_scopes_end(fa_task *task, const char *reason)
{
    FA_LIST_EACH(node, &task->scopes)
    {
        const fa_script_scope *s = FA_OBJECT(node, fa_script_scope, link);
        if (s->scope != NULL)
            fa_scope_end(s->scope, reason, NULL); /* removes nothing from the list */
    }
}

static void free_record(fa_script_scope *s)
{
    fa_list_remove(&s->link);
    fa_scope_free(s->task->script->scope, s);
}

void fa_script_scopes_free(fa_task *task)
{
    for (fa_list *node; (node = fa_list_first(&task->scopes)) != NULL;)
        free_record(FA_OBJECT(node, fa_script_scope, link));
}

/* ---- options ---- */

size_t fa_lua_check_size(lua_State *L, int index, const char *what)
{
    fa_error error;
    uint64_t bytes;
    if (lua_type(L, index) == LUA_TSTRING && !lua_isnumber(L, index)) {
        if (fa_parse_size(lua_tostring(L, index), &bytes, &error) != FA_OK)
            luaL_error(L, "%s: %s", what, error.text);
        return (size_t)bytes;
    }
    lua_Number number = lua_tonumber(L, index);
    if (!lua_isnumber(L, index) || !(number >= 0 && number <= 1e12))
        luaL_error(L, "%s must be a number of bytes, or a size such as \"64KB\"", what);
    return (size_t)number;
}

static uint64_t check_duration(lua_State *L, int index, const char *what)
{
    fa_error error;
    uint64_t milliseconds = 0;
    if (lua_type(L, index) == LUA_TSTRING && !lua_isnumber(L, index)) {
        if (fa_parse_duration(lua_tostring(L, index), &milliseconds, &error) != FA_OK)
            luaL_error(L, "%s: %s", what, error.text);
        return milliseconds;
    }
    lua_Number number = lua_tonumber(L, index);
    if (!lua_isnumber(L, index) || !(number >= 0 && number <= 86400000.0))
        luaL_error(L, "%s must be milliseconds, or a duration such as \"5s\"", what);
    return (uint64_t)number;
}

/* ---- opening and closing ---- */

static int count_open(const fa_task *task)
{
    int count = 0;
    FA_LIST_EACH(node, &task->scopes)
    count++;
    return count;
}

static bool set_up(fa_script_scope *s, lua_State *L, fa_script *script, bool limited, uint64_t deadline)
{
    if (fa_handle_make(fa_worker_handles(script->worker), &fa_type_scope, s, s->scope, fa_scope_label(s->scope),
                       fa_script_here(L), &s->handle) != FA_OK)
        return false;
    fa_timer_init(&s->deadline, script->worker, s->scope, on_deadline);
    return !limited || fa_timer_start(&s->deadline, deadline) == FA_OK;
}

/* open(name, options): the scope's handle; raises. */
static int open_scope(lua_State *L)
{
    size_t budget = 0;
    uint64_t deadline = 0;
    const char *name = luaL_checkstring(L, 1);
    fa_scope *parent = fa_task_scope(L);
    fa_script *script = fa_script_of(L);
    fa_task *task = script->current;
    lua_settop(L, 2);
    lua_pushnil(L); /* 3: deadline */
    fa_lua_check_options(L, 2, "fitnessally.scope", (const char *const[]){"deadline", "budget", NULL});
    if (!lua_isnil(L, 2)) {
        lua_getfield(L, 2, "deadline");
        lua_replace(L, 3);
        lua_getfield(L, 2, "budget");
        if (!lua_isnil(L, -1))
            budget = fa_lua_check_size(L, -1, "scope: budget");
        if (!lua_isnil(L, 3))
            deadline = check_duration(L, 3, "scope: deadline");
    }
    if (count_open(task) >= MAX_OPEN)
        return luaL_error(L, "more than %d scopes open in one task", MAX_OPEN);
    fa_lua_handle *h = lua_newuserdata(L, sizeof(*h)); /* before anything that a full Lua heap could leave behind */
    luaL_getmetatable(L, FA_META_SCOPE);
    lua_setmetatable(L, -2);
    fa_script_scope *s = fa_scope_allocate(script->scope, sizeof(*s));
    if (s == NULL)
        return luaL_error(L, "no memory for scope '%s'", name);
    fa_result result =
        fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SCRIPT, budget, name, fa_script_here(L), &s->scope);
    if (result != FA_OK) {
        fa_scope_free(script->scope, s);
        return luaL_error(L, "no room for scope '%s': %s", name, fa_result_name(result));
    }
    s->task = task;
    s->opened_in = L;
    fa_list_prepend(&task->scopes, &s->link);
    fa_scope_hook_add(s->scope, &s->at_end, on_end);
    if (!set_up(s, L, script, !lua_isnil(L, 3), deadline)) {
        fa_scope_end(s->scope, "no memory", NULL);
        free_record(s);
        return luaL_error(L, "no memory for scope '%s'", name);
    }
    h->handle = s->handle;
    return 1;
}

/* The record behind a handle whose scope has perhaps ended: the handle is stale then, and the record still in its task's list. */
static fa_script_scope *find_record(const fa_task *task, fa_handle handle)
{
    FA_LIST_EACH(node, &task->scopes)
    {
        fa_script_scope *s = FA_OBJECT(node, fa_script_scope, link);
        if (s->handle.index == handle.index && s->handle.generation == handle.generation)
            return s;
    }
    return NULL;
}

/* close(scope, ok, ...): ends it and returns the rest, or raises the error. Works on a scope that has ended, too. */
static int close_scope(lua_State *L)
{
    fa_task *task = fa_script_of(L)->current;
    const fa_lua_handle *h = lua_touserdata(L, 1);
    fa_script_scope *s = find_record(task, h->handle);
    if (s != NULL && s->scope != NULL) {
        fa_scope_end_noted(s->scope, fa_script_here(L));
        fa_scope_end(s->scope, lua_toboolean(L, 2) ? "its function returned" : "its function failed", NULL);
    }
    if (s != NULL)
        free_record(s);
    if (!lua_toboolean(L, 2)) {
        lua_settop(L, 3);
        return lua_error(L);
    }
    return lua_gettop(L) - 2;
}

/* note(error): keeps the traceback of where the error was raised; the error itself goes on as it is. */
static int note_error(lua_State *L)
{
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    if (lua_isnil(L, 1) || lua_rawequal(L, 1, 2)) {
        lua_settop(L, 1);
        return 1;
    }
    fa_lua_push_traceback(L, L, lua_tostring(L, 1), 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    lua_settop(L, 1);
    return 1;
}

/* scope:buffer(options): as fitnessally.buffer, but of this scope, whichever is the innermost. */
static int scope_buffer(lua_State *L)
{
    const fa_script_scope *s = fa_lua_check(L, 1, &fa_type_scope, FA_META_SCOPE);
    return fa_lua_new_buffer(L, 2, s->scope);
}

void fa_open_scopes(lua_State *L)
{
    static const luaL_Reg natives[] = {
        {"open", open_scope}, {"close", close_scope}, {"note", note_error}, {NULL, NULL}};
    luaL_getmetatable(L, FA_META_SCOPE);
    lua_newtable(L);
    lua_pushcfunction(L, scope_buffer);
    lua_setfield(L, -2, "buffer");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.structure"); /* what structure.lua gets; lua_tasks.c adds to it */
}
