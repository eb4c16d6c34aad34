/* require, and how app.lua is loaded. The walk through modules is in lua/fitnessally/loader.lua, so that the body of a module may wait;
 * here are files, and the tasks that wait for a module which another one is loading. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "script/internal.h"

/* ---- files ---- */

typedef struct module {
    char path[SCRIPT_PATH_SIZE], chunk[220];
    bool of_library;
    const fa_half *half; /* NULL: it is of no plugin */
} module;

/* "plugins/NAME/file": a file of that plugin, when there is such a plugin. */
static bool find_in_plugin(const fa_script *script, const char *relative, module *m)
{
    static const char root[] = "plugins/";
    const char *name = relative + sizeof(root) - 1;
    if (strncmp(relative, root, sizeof(root) - 1) != 0 || strchr(name, '/') == NULL)
        return false;
    size_t length = strcspn(name, "/");
    m->half = fa_half_find(script, name, length);
    return m->half != NULL && m->half->folder != NULL &&
           snprintf(m->path, sizeof(m->path), "%s%s.lua", m->half->folder, name + length) < (int)sizeof(m->path) &&
           access(m->path, R_OK) == 0;
}

static bool find_module(const fa_script *script, const char *name, module *m)
{
    char relative[200];
    const char *const roots[] = {script->options.app, script->options.library};
    snprintf(relative, sizeof(relative), "%s", name);
    for (char *c = relative; *c != '\0'; ++c) {
        if (*c == '.')
            *c = '/';
    }
    snprintf(m->chunk, sizeof(m->chunk), "@%s.lua", relative);
    m->of_library = false;
    m->half = NULL;
    if (find_in_plugin(script, relative, m))
        return true;
    m->half = NULL;
    for (size_t i = 0; i < 2; ++i) {
        m->of_library = i == 1;
        if (roots[i] != NULL &&
            snprintf(m->path, sizeof(m->path), "%s/%s.lua", roots[i], relative) < (int)sizeof(m->path) &&
            access(m->path, R_OK) == 0)
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
        lua_pushfstring(L, "cannot open %s: %s", path, strerror(errno));
        return LUA_ERRFILE;
    }
    int status = lua_loadx(L, read_block, &s, chunk, "t");
    fclose(s.file);
    if (status == LUA_ERRSYNTAX &&
        strcmp(lua_tostring(L, -1), "attempt to load chunk with wrong mode") == 0) { /* LuaJIT names no file */
        lua_pop(L, 1);
        lua_pushfstring(L, "%s:1: this is bytecode; only text is loaded", chunk + 1);
    }
    return status;
}

/* find(name): the chunk, or nil, a message, and what is wrong: "name", "missing" or "broken". */
static int find(lua_State *L)
{
    module m;
    const fa_script *script = fa_script_of(L);
    const char *name = luaL_checkstring(L, 1);
    if (!proper_name(name)) {
        lua_pushnil(L);
        lua_pushfstring(L, "require \"%s\": a module's name is made of letters, digits, _ and - with dots between",
                        name);
        lua_pushliteral(L, "name");
        return 3;
    }
    if (!find_module(script, name, &m)) {
        lua_pushnil(L);
        lua_pushfstring(L, "require \"%s\": no such file below %s or %s", name,
                        script->options.app != NULL ? script->options.app : "the plugin's folder",
                        script->options.library);
        lua_pushliteral(L, "missing");
        return 3;
    }
    if (fa_script_load_text(L, m.path, m.chunk) != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        lua_pushliteral(L, "broken");
        return 3;
    }
    if (!m.of_library)
        fa_sandbox_enter(L, fa_sandbox_trusts(script, name));
    if (m.half != NULL)
        fa_half_enter(L, m.half);
    return 1;
}

/* close(chunk): it has been loaded, and makes no globals any more. */
static int close_chunk(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    fa_sandbox_close(L, 1);
    return 0;
}

/* share(name, value): what a module of the server's library returned, as scripts get it. */
static int share(lua_State *L)
{
    module m;
    lua_settop(L, 2);
    const char *name = lua_tostring(L, 1);
    if (lua_istable(L, 2) && find_module(fa_script_of(L), name, &m) && m.of_library)
        fa_sandbox_freeze(L, name);
    return 1;
}

/* ---- tasks that wait ---- */

typedef struct module_wait {
    fa_wait wait;
    fa_list link;
    fa_task *task;
} module_wait;

static void end_wait(module_wait *w)
{
    fa_list_remove(&w->link);
    fa_scope_free(w->task->script->scope, w);
}

static void cancel_await(fa_wait *wait)
{
    end_wait(FA_OBJECT(wait, module_wait, wait));
}

/* await(): until any module has been loaded, or not. */
static int await_module(lua_State *L)
{
    fa_task *task = fa_task_waiting(L, "require");
    module_wait *w = fa_scope_allocate(task->script->scope, sizeof(*w));
    if (w == NULL)
        return luaL_error(L, "no memory to wait");
    w->wait.cancel = cancel_await;
    w->task = task;
    fa_list_append(&task->script->module_waits, &w->link);
    return fa_task_wait(L, task, &w->wait);
}

void fa_loader_wake(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->module_waits)) != NULL;) {
        module_wait *w = FA_OBJECT(node, module_wait, link);
        fa_task *task = w->task;
        task->wait = NULL;
        end_wait(w);
        fa_task_post(task);
    }
}

static int wake(lua_State *L)
{
    fa_loader_wake(fa_script_of(L));
    return 0;
}

/* begin(): the number of the task that is about to load a module; 0: app.lua itself. */
static int begin(lua_State *L)
{
    fa_task *task = fa_script_of(L)->current;
    if (task != NULL)
        task->loads = true;
    lua_pushinteger(L, task != NULL ? (lua_Integer)task->number : 0);
    return 1;
}

static int alive(lua_State *L)
{
    unsigned number = (unsigned)luaL_checkinteger(L, 1);
    FA_LIST_EACH(node, &fa_script_of(L)->tasks)
    {
        if (FA_OBJECT(node, fa_task, link)->number == number) {
            lua_pushboolean(L, 1);
            return 1;
        }
    }
    return 0;
}

void fa_open_loader(lua_State *L)
{
    static const luaL_Reg natives[] = {{"find", find},          {"share", share}, {"close", close_chunk},
                                       {"await", await_module}, {"wake", wake},   {"begin", begin},
                                       {"alive", alive},        {NULL, NULL}};
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/loader.lua", fa_script_of(L)->options.library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    fa_lua_waits(L, (const char *const[]){"await", NULL});
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.structure");
    lua_getfield(L, -1, "note");
    lua_setfield(L, -3, "note");
    lua_pop(L, 1);
    lua_call(L, 1, 2);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.trusted_require");
    lua_setglobal(L, "require");
}

/* ---- app.lua ---- */

int fa_lua_with_traceback(lua_State *L)
{
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    if (!lua_isnil(L, 2) && lua_rawequal(L, 1, 2)) {
        lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
        return 1;
    }
    fa_lua_push_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

static fa_result load_app(fa_script *script, fa_load_failure *failure, fa_error *error)
{
    char path[SCRIPT_PATH_SIZE];
    lua_State *L = script->lua;
    snprintf(path, sizeof(path), "%s/app.lua", script->options.app);
    lua_pushcfunction(L, fa_lua_with_traceback);
    bool strict = fa_heap_strict(script, true);
    int status = fa_script_load_text(L, path, "@app.lua");
    fa_heap_strict(script, strict);
    if (status == 0) {
        fa_sandbox_enter(L, fa_sandbox_trusts(script, "app"));
        lua_pushvalue(L, 2);
        status = fa_script_call(script, 0, 0, 1);
        fa_sandbox_close(L, 2);
    }
    if (status != 0)
        fa_fail(error, FA_INVALID, "%s", lua_tostring(L, -1));
    if (status != 0 && failure != NULL) {
        fa_load_failure_read(failure, lua_tostring(L, -1), script->options.app, script->options.library);
        fa_halves_excerpt(script, failure);
    }
    lua_settop(L, 0);
    return status == 0 ? FA_OK : FA_INVALID;
}

fa_result fa_script_load(fa_script *script, fa_load_failure *failure, fa_error *error)
{
    script->loading = true;
    fa_result result = fa_halves_load(script, failure, error);
    if (result == FA_OK)
        result = load_app(script, failure, error);
    if (result == FA_OK && script->options.development)
        fa_dev_load(script);
    script->loading = false;
    script->options.plugins = NULL; /* it was lent for that long */
    return result;
}
