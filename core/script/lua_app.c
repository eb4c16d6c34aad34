/* app: what a script declares while it is loaded; and require, which loads its files. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "script/internal.h"
#include "script/route_options.h"
#include "script/websocket_options.h"

/* ---- routes ---- */

static fa_script *loading(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    if (!script->loading)
        luaL_error(L, "routes are declared while app.lua is loaded, not later");
    return script;
}

static const char *intern(fa_script *script, const char *text)
{
    return fa_ledger_intern(fa_scope_ledger(script->scope), text);
}

/* Of the route that is the next one to be declared. */
static void read_options(lua_State *L, int index, fa_script *script, const char *method, const char *pattern,
                         fa_websocket_route *websocket)
{
    fa_route_options *options = fa_scope_allocate(script->scope, sizeof(*options));
    if (options == NULL)
        luaL_error(L, "no memory for a route");
    fa_route_options_read(L, index, script, method, pattern, websocket, options);
    script->route_options[script->handler_count] = options;
}

static int declare_as(lua_State *L, const char *method, bool websocket)
{
    fa_error error;
    char place[160];
    fa_script *script = loading(L);
    const char *pattern = luaL_checkstring(L, 2);
    int handler = lua_istable(L, 3) ? 4 : 3;
    luaL_checktype(L, handler, LUA_TFUNCTION);
    if (script->handler_count == MAX_HANDLERS)
        return luaL_error(L, "more than %d routes", MAX_HANDLERS);
    fa_origin here = fa_script_here(L);
    if (websocket)
        read_options(L, handler == 4 ? 3 : 0, script, "WEBSOCKET", pattern, fa_websocket_route_new(L, script));
    else if (handler == 4)
        read_options(L, 3, script, method, pattern, NULL);
    if (fa_router_add(script->router, method, pattern, script->handler_count, here, &error) != FA_OK)
        return luaL_error(L, "%s", error.text);
    snprintf(place, sizeof(place), "%s:%u", here.name, (unsigned)here.line);
    lua_pushvalue(L, handler);
    script->handler_names[script->handler_count] = intern(script, place);
    script->handlers[script->handler_count++] = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int declare(lua_State *L, const char *method)
{
    return declare_as(L, method, false);
}

static int app_get(lua_State *L)
{
    return declare(L, "GET");
}

static int app_post(lua_State *L)
{
    return declare(L, "POST");
}

static int app_put(lua_State *L)
{
    return declare(L, "PUT");
}

static int app_delete(lua_State *L)
{
    return declare(L, "DELETE");
}

/* A handshake is a GET. */
static int app_websocket(lua_State *L)
{
    return declare_as(L, "GET", true);
}

static const char *copy_option(lua_State *L, fa_script *script, const char *name)
{
    const char *copy = NULL;
    lua_getfield(L, 3, name);
    if (!lua_isnil(L, -1)) {
        const char *value = luaL_checkstring(L, -1);
        copy = fa_scope_copy_text(script->scope, value, strlen(value));
        if (copy == NULL)
            luaL_error(L, "no memory for a mount");
    }
    lua_pop(L, 1);
    return copy;
}

static int app_static(lua_State *L)
{
    fa_error error;
    char pattern[200];
    fa_script *script = loading(L);
    const char *prefix = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    size_t length = strlen(prefix);
    while (length > 0 && prefix[length - 1] == '/')
        --length;
    if (prefix[0] != '/' || length > sizeof(pattern) - 8)
        return luaL_error(L, "app:static: a prefix begins with /");
    if (script->mount_count == MAX_MOUNTS)
        return luaL_error(L, "more than %d static folders", MAX_MOUNTS);
    mount *m = &script->mounts[script->mount_count];
    m->media.root = copy_option(L, script, "root");
    m->media.index = copy_option(L, script, "index");
    lua_getfield(L, 3, "immutable");
    m->media.immutable = lua_toboolean(L, -1);
    lua_getfield(L, 3, "precompressed");
    m->media.precompressed = lua_toboolean(L, -1);
    lua_getfield(L, 3, "dotfiles");
    m->media.dotfiles = lua_toboolean(L, -1);
    m->prefix_length = length + 1;
    if (m->media.root == NULL)
        return luaL_error(L, "app:static(\"%s\"): root is missing", prefix);
    snprintf(pattern, sizeof(pattern), "%.*s/*file", (int)length, prefix);
    if (fa_router_add(script->router, "GET", pattern, MAX_HANDLERS + script->mount_count, fa_script_here(L), &error) !=
        FA_OK)
        return luaL_error(L, "%s", error.text);
    script->mount_count++;
    return 0;
}

static int app_on_start(lua_State *L)
{
    fa_script *script = loading(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (script->starter_count == MAX_STARTERS)
        return luaL_error(L, "app:on_start: at most %d functions", MAX_STARTERS);
    lua_settop(L, 2);
    script->starters[script->starter_count++] = luaL_ref(L, LUA_REGISTRYINDEX);
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
        lua_rawgeti(script->lua, LUA_REGISTRYINDEX, script->starters[i]);
        fa_task *task = fa_task_new(script, script->lua, script->scope, on_started, NULL);
        if (task != NULL)
            fa_task_resume(task, 0);
    }
}

void fa_open_app(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"get", app_get},
        {"post", app_post},
        {"put", app_put},
        {"delete", app_delete},
        {"static", app_static},
        {"on_start", app_on_start},
        {"websocket", app_websocket},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setglobal(L, "app");
}

/* ---- require ---- */

static bool find_module(const fa_script *script, const char *name, char *path, size_t size, char *chunk,
                        size_t chunk_size)
{
    char relative[200];
    const char *const roots[] = {script->options.app, script->options.library};
    snprintf(relative, sizeof(relative), "%s", name);
    for (char *c = relative; *c != '\0'; ++c) {
        if (*c == '.')
            *c = '/';
    }
    snprintf(chunk, chunk_size, "@%s.lua", relative);
    for (size_t i = 0; i < 2; ++i) {
        if (roots[i] != NULL && snprintf(path, size, "%s/%s.lua", roots[i], relative) < (int)size &&
            access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static bool proper_name(const char *name)
{
    return *name != '\0' && *name != '.' && strlen(name) < 150 && strstr(name, "..") == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == strlen(name);
}

typedef struct source {
    FILE *file;
    char block[4096];
} source;

static const char *read_block(lua_State *L, void *data, size_t *size)
{
    source *s = data;
    (void)L;
    *size = fread(s->block, 1, sizeof(s->block), s->file);
    return *size > 0 ? s->block : NULL;
}

/* Text only: bytecode could do anything. Pushes the chunk or an error message. */
int fa_script_load_text(lua_State *L, const char *path, const char *chunk)
{
    source s = {.file = fopen(path, "rb")};
    if (s.file == NULL) {
        lua_pushfstring(L, "cannot open %s", path);
        return LUA_ERRFILE;
    }
    int status = lua_loadx(L, read_block, &s, chunk, "t");
    fclose(s.file);
    return status;
}

static int require_module(lua_State *L)
{
    char path[SCRIPT_PATH_SIZE], chunk[220];
    const fa_script *script = fa_script_of(L);
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1)); /* 2: loaded modules */
    lua_getfield(L, 2, name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    if (!proper_name(name))
        return luaL_error(L, "require \"%s\": a module's name is made of letters, digits, _ and - with dots between",
                          name);
    if (!find_module(script, name, path, sizeof(path), chunk, sizeof(chunk)))
        return luaL_error(L, "require \"%s\": no such file below %s or %s", name, script->options.app,
                          script->options.library);
    if (fa_script_load_text(L, path, chunk) != 0)
        return lua_error(L);
    lua_pushboolean(L, 1); /* what a circular require gets */
    lua_setfield(L, 2, name);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

void fa_open_loader(lua_State *L)
{
    lua_newtable(L);
    lua_pushcclosure(L, require_module, 1);
    lua_setglobal(L, "require");
}

static int with_traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);
    luaL_traceback(L, L, message != NULL ? message : "an error that is not a text", 1);
    return 1;
}

fa_result fa_script_load_app(fa_script *script, fa_error *error)
{
    char path[SCRIPT_PATH_SIZE];
    lua_State *L = script->lua;
    snprintf(path, sizeof(path), "%s/app.lua", script->options.app);
    lua_pushcfunction(L, with_traceback);
    script->loading = true;
    bool strict = fa_heap_strict(script, true);
    int status = fa_script_load_text(L, path, "@app.lua");
    if (status == 0)
        status = lua_pcall(L, 0, 0, -2);
    script->loading = false;
    fa_heap_strict(script, strict);
    if (status != 0)
        fa_fail(error, FA_INVALID, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
    return status == 0 ? FA_OK : FA_INVALID;
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
