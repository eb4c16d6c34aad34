/* The repl: lines that run in a state which serves. How values are shown is in lua/fitnessally/repl.lua, which a state loads when the
 * first line comes. */
#include "script/repl.h"

#include <stdio.h>
#include <string.h>

#include "script/internal.h"

#define KEPT   "fitnessally.repl" /* in the registry: run, and the environments by number; nil before the first line */
#define DRIVER "[repl]"           /* the source of repl.lua */

enum { LONGEST_ERROR = 16 * 1024 };

struct fa_repl {
    fa_worker *worker;
    fa_scope *scope, *line; /* line: of the one that runs; NULL: none does */
    fa_repl_listener listener;
    fa_handle handle; /* how its print finds it */
    unsigned number;
    size_t line_budget;
};

static const fa_handle_type repl_type = {"repl", NULL};

/* ---- what a line has ---- */

/* print, as far as there still is somebody who reads it. */
static int print(lua_State *L)
{
    int count = lua_gettop(L);
    const fa_handle *handle = lua_touserdata(L, lua_upvalueindex(1));
    fa_text text;
    luaL_Buffer line;
    fa_lua_check_depth(L); /* __tostring may print */
    lua_getglobal(L, "tostring");
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; ++i) {
        if (i > 1)
            luaL_addchar(&line, '\t');
        lua_pushvalue(L, count + 1);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        luaL_addvalue(&line);
    }
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    text.data = lua_tolstring(L, -1, &text.length);
    const fa_repl *repl = fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), *handle, &repl_type, NULL);
    if (repl != NULL)
        repl->listener.printed(repl->listener.context, text);
    return 0;
}

/* compile(text, environment): the chunk, or nil and a message. */
static int compile(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    if (luaL_loadbufferx(L, text, length, "@repl", "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, 2);
    lua_setfenv(L, -2);
    return 1;
}

/* within(value): the table behind a read-only face, or nil. */
static int within(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1))
        return 0;
    lua_getfield(L, 2, "__metatable");
    bool frozen = lua_type(L, 3) == LUA_TSTRING && strcmp(lua_tostring(L, 3), "read-only") == 0;
    lua_getfield(L, 2, "__index");
    return frozen && lua_istable(L, 4) ? 1 : 0;
}

/* place(function): "routes/voice.lua:31", where it was written. */
static int place(lua_State *L)
{
    lua_Debug at;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_getinfo(L, ">S", &at);
    if (*at.what == 'C' || *at.source == '=')
        lua_pushliteral(L, "of the server");
    else
        lua_pushfstring(L, "%s:%d", at.short_src, at.linedefined);
    return 1;
}

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* Pushes a fresh environment. */
static void push_environment(lua_State *L, fa_handle handle)
{
    lua_pushcfunction(L, nothing);
    fa_sandbox_enter(L, false);
    lua_getfenv(L, -1);
    lua_remove(L, -2);
    lua_pushliteral(L, "print");
    memcpy(lua_newuserdata(L, sizeof(handle)), &handle, sizeof(handle));
    lua_pushcclosure(L, print, 1);
    lua_rawset(L, -3);
}

/* Pushes what is kept in the registry, made when it is missing; raises. */
static void push_kept(lua_State *L)
{
    static const luaL_Reg natives[] = {{"compile", compile}, {"within", within}, {"place", place}, {NULL, NULL}};
    char path[SCRIPT_PATH_SIZE];
    lua_getfield(L, LUA_REGISTRYINDEX, KEPT);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    snprintf(path, sizeof(path), "%s/fitnessally/repl.lua", fa_script_of(L)->options.library);
    lua_newtable(L);
    if (fa_script_load_text(L, path, "=" DRIVER) != 0)
        lua_error(L);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    lua_call(L, 1, 1);
    lua_setfield(L, -2, "run");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, KEPT);
}

typedef struct preparation {
    const fa_repl *repl;
    fa_text chunk;
} preparation;

/* On the stack: the preparation. Gives the text, the environment and the function that runs it. */
static int prepare(lua_State *L)
{
    const preparation *p = lua_touserdata(L, 1);
    lua_settop(L, 0);
    push_kept(L); /* 1 */
    lua_pushlstring(L, p->chunk.data, p->chunk.length);
    lua_rawgeti(L, 1, (int)p->repl->number);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_environment(L, p->repl->handle);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 1, (int)p->repl->number);
    }
    lua_getfield(L, 1, "run");
    return 3;
}

/* ---- a line ---- */

static void tell(const fa_repl *repl, bool well, const char *text, size_t length)
{
    repl->listener.done(repl->listener.context, well, (fa_text){text, length});
}

/* Without the part of the traceback that is ours. */
static void tell_error(const fa_repl *repl, const char *error)
{
    const char *ours = strstr(error, "\n\t" DRIVER ":");
    size_t length = ours != NULL ? (size_t)(ours - error) : strlen(error);
    tell(repl, false, error, length < LONGEST_ERROR ? length : LONGEST_ERROR);
}

/* They may hold what there was of it, and requests need some. It is collected when the task is over. */
static void forget_globals(const fa_repl *repl, fa_script *script)
{
    fa_repl_forget(script, repl->number);
    repl->listener.printed(repl->listener.context, FA_TEXT("(the globals of this repl are forgotten)\n"));
}

/* It has run to its end. What it gave is one text; nil and a message: it is no Lua. */
static void on_done(fa_task *task, const char *error, int results, void *context)
{
    fa_repl *repl = context;
    fa_scope *line = repl->line;
    size_t length = 0;
    const char *text = results > 0 ? lua_tolstring(task->co, -1, &length) : NULL;
    repl->line = NULL;
    fa_scope_end(line, "the line is over", NULL);
    if (error != NULL && strstr(error, "not enough memory") != NULL)
        forget_globals(repl, task->script);
    if (error != NULL)
        tell_error(repl, error);
    else
        tell(repl, results == 1, text != NULL ? text : "", length);
}

static void on_lost(fa_task *task, void *context)
{
    fa_repl *repl = context;
    fa_scope *line = repl->line;
    const char *why = task->why_gone[0] != '\0' ? task->why_gone : "cancelled: the server stops";
    repl->line = NULL;
    fa_scope_end(line, why, NULL); /* ignored when that is why */
    tell(repl, false, why, strlen(why));
}

fa_result fa_repl_new(fa_worker *worker, fa_scope *scope, unsigned number, size_t line_budget,
                      const fa_repl_listener *listener, fa_repl **out)
{
    fa_repl *repl = fa_scope_allocate(scope, sizeof(*repl));
    if (repl == NULL)
        return FA_NO_MEMORY;
    *repl = (fa_repl){
        .worker = worker, .scope = scope, .listener = *listener, .number = number, .line_budget = line_budget};
    *out = repl;
    return fa_handle_make(fa_worker_handles(worker), &repl_type, repl, scope, "repl", FA_HERE, &repl->handle);
}

bool fa_repl_busy(const fa_repl *repl)
{
    return repl->line != NULL;
}

/* NULL: no memory. Text and environment are its arguments. */
static fa_task *make_task(fa_repl *repl, fa_script *script, fa_text chunk)
{
    lua_State *L = script->lua;
    preparation p = {repl, chunk};
    bool strict = fa_heap_strict(script, true);
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, &p);
    int status = lua_pcall(L, 1, 3, 0);
    fa_heap_strict(script, strict);
    if (status != 0) {
        fa_log_write(fa_worker_log(repl->worker), FA_LOG_WARN, "repl: %s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return NULL;
    }
    fa_task *task = fa_task_new(script, L, repl->line, on_done, repl);
    if (task == NULL)
        lua_pop(L, 2);
    else
        lua_xmove(L, task->co, 2);
    return task;
}

fa_result fa_repl_run(fa_repl *repl, fa_script *script, fa_text chunk)
{
    if (repl->line != NULL)
        return FA_WRONG_STATE;
    fa_result result = fa_scope_new(fa_scope_ledger(repl->scope), repl->scope, FA_KIND_SCRIPT, repl->line_budget,
                                    "a line of the repl", FA_HERE, &repl->line);
    if (result != FA_OK)
        return result;
    fa_task *task = make_task(repl, script, chunk);
    if (task == NULL) {
        fa_scope_end(repl->line, "no memory", NULL);
        repl->line = NULL;
        return FA_NO_MEMORY;
    }
    task->lost = on_lost;
    fa_task_resume(task, 2); /* the repl may be gone after it */
    return FA_OK;
}

void fa_repl_stop(fa_repl *repl, const char *reason)
{
    if (repl->line != NULL)
        fa_scope_end(repl->line, reason, NULL);
}

void fa_repl_forget(fa_script *script, unsigned number)
{
    lua_State *L = script->lua;
    lua_getfield(L, LUA_REGISTRYINDEX, KEPT);
    int kept = lua_gettop(L);
    if (!lua_isnil(L, kept))
        lua_rawgeti(L, kept, (int)number);
    if (lua_gettop(L) > kept && !lua_isnil(L, -1)) { /* the place is there: it takes no memory to empty it */
        lua_pushnil(L);
        lua_rawseti(L, kept, (int)number);
    }
    lua_settop(L, kept - 1);
}
