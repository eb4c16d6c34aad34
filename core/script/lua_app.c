/* app: what a script declares while it is loaded, but for routes (lua_routes.c); and the tools of the command line. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "script/guest.h"

/* ---- app ---- */

fa_script *fa_script_loading(lua_State *L, const char *what)
{
    fa_script *script = fa_script_of(L);
    if (!script->loading)
        luaL_error(L, "%s: routes are declared while app.lua is loaded, not later", what);
    if (script->half != NULL && strncmp(what, "app", 3) == 0 && strcmp(what, "app:on_start") != 0)
        luaL_error(L, "%s: a plugin declares no routes: it gives the application functions that do", what);
    return script;
}

static int app_on_start(lua_State *L)
{
    fa_script *script = fa_script_loading(L, "app:on_start");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (script->starter_count == MAX_STARTERS)
        return luaL_error(L, "app:on_start: at most %d functions", MAX_STARTERS);
    lua_settop(L, 2);
    script->starters[script->starter_count++] = (fa_starter){luaL_ref(L, LUA_REGISTRYINDEX), script->half};
    return 0;
}

static void on_started(fa_task *task, const char *error, int results, void *context)
{
    (void)results;
    (void)context;
    if (error != NULL)
        fa_log_write(fa_worker_log(task->script->worker), FA_LOG_ERROR, "app:on_start: %s", error);
}

void fa_script_start(fa_script *script)
{
    for (int i = 0; i < script->starter_count; ++i) {
        const fa_starter *starter = &script->starters[i];
        if (starter->half != NULL && starter->half->problem != NULL)
            continue; /* it failed after it had said what is to run */
        lua_rawgeti(script->lua, LUA_REGISTRYINDEX, starter->function);
        fa_scope *scope = starter->half != NULL ? starter->half->scope : script->scope;
        fa_task *task = fa_task_new(script, script->lua, scope, on_started, NULL);
        if (task != NULL)
            fa_task_resume(task, 0);
    }
    fa_guests_start(script);
}

void fa_open_app(lua_State *L)
{
    static const luaL_Reg functions[] = {{"on_start", app_on_start}, {NULL, NULL}}; /* more in lua_routes.c */
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setglobal(L, "app");
}

/* ---- tools ---- */

typedef struct tool {
    void (*done)(void *context, int status);
    void *context;
} tool;

static void on_tool_done(fa_task *task, const char *error, int results, void *context)
{
    tool *t = context;
    int status = results > 0 ? (int)lua_tointeger(task->co, -results) : 0;
    if (error != NULL) {
        fprintf(stderr, "fitnessally: %s\n", error);
        status = 1;
    }
    t->done(t->context, status);
}

static int write_to(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    FILE *file = lua_touserdata(L, lua_upvalueindex(1));
    fwrite(text, 1, length, file);
    fflush(file);
    return 0;
}

static void set_tool_globals(lua_State *L, int argc, char *const *argv)
{
    lua_newtable(L);
    for (int i = 0; i < argc; ++i) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
    lua_pushlightuserdata(L, stdout);
    lua_pushcclosure(L, write_to, 1);
    lua_setglobal(L, "out");
    lua_pushlightuserdata(L, stderr);
    lua_pushcclosure(L, write_to, 1);
    lua_setglobal(L, "err");
    lua_pushboolean(L, isatty(STDERR_FILENO));
    lua_setglobal(L, "tty");
}

fa_result fa_script_run_tool(fa_script *script, const char *file, int argc, char *const *argv,
                             void (*done)(void *context, int status), void *context, fa_error *error)
{
    char path[SCRIPT_PATH_SIZE];
    lua_State *L = script->lua;
    tool *t = fa_scope_allocate(script->scope, sizeof(*t));
    if (t == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a tool");
    *t = (tool){done, context};
    set_tool_globals(L, argc, argv);
    snprintf(path, sizeof(path), "%s/fitnessally/tools/%s.lua", script->options.library, file);
    if (fa_script_load_text(L, path, "@tool") != 0) {
        fa_fail(error, FA_INVALID, "%s", lua_tostring(L, -1));
        lua_settop(L, 0);
        return FA_INVALID;
    }
    fa_task *task = fa_task_new(script, L, script->scope, on_tool_done, t);
    if (task == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a tool");
    fa_task_resume(task, 0);
    return FA_OK;
}
