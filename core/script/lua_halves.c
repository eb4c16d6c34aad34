/* The Lua halves of plugins: a file for each, loaded before app.lua into every state. lua/fitnessally/plugins.lua sees to what they return.
 *
 * A half has an environment of its own, as a module of the application has, with its configuration and its C functions. Its functions run
 * in the task that calls them, and what they make belongs to that task's scope; what a plugin makes for itself (app:on_start, and
 * whatever that spawns) belongs to a scope of the plugin's own, that ends with the state.
 */
#include <stdio.h>
#include <string.h>

#include "script/guest.h"

#define LIBRARY "fitnessally.plugins"      /* what plugins.lua gives: take, start, fail; in the registry */
#define NAMES   "fitnessally.plugin_names" /* by plugin: the names that its files have */

static fa_half *find(const fa_script *script, const char *name, size_t length)
{
    for (size_t i = 0; i < script->half_count; ++i) {
        if (strncmp(script->halves[i].name, name, length) == 0 && script->halves[i].name[length] == '\0')
            return &script->halves[i];
    }
    return NULL;
}

const fa_half *fa_half_find(const fa_script *script, const char *name, size_t length)
{
    return find(script, name, length);
}

bool fa_script_owns(const fa_script *script, const fa_scope *scope)
{
    for (size_t i = 0; i < script->half_count; ++i) {
        if (script->halves[i].scope == scope)
            return true;
    }
    return scope == script->scope;
}

/* ---- loading one ---- */

void fa_half_enter(lua_State *L, const fa_half *half)
{
    lua_getfenv(L, -1);
    lua_getfield(L, LUA_REGISTRYINDEX, NAMES);
    lua_getfield(L, -1, half->name);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) { /* environment, all, names, key, value */
        fa_sandbox_freeze_top(L, lua_tostring(L, -2));
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -6);
    }
    lua_pop(L, 3);
}

void fa_halves_push_library(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LIBRARY);
}

int fa_halves_call(fa_script *script, const char *function, int base)
{
    lua_State *L = script->lua;
    int arguments = lua_gettop(L) - base, handler = base + 1;
    lua_pushcfunction(L, fa_lua_with_traceback);
    lua_insert(L, handler);
    fa_halves_push_library(L);
    lua_getfield(L, -1, function);
    lua_remove(L, -2);
    lua_insert(L, handler + 1);
    int status = fa_script_call(script, arguments, 1, handler);
    lua_remove(L, handler);
    if (status == 0 && lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    return status != 0 ? status : LUA_ERRRUN;
}

/* The same with a plugin's name and what is on top. */
static int tell_library(fa_script *script, const char *function, const char *name)
{
    int base = lua_gettop(script->lua) - 1;
    lua_pushstring(script->lua, name);
    lua_insert(script->lua, base + 1);
    return fa_halves_call(script, function, base);
}

/* The Lua half, from its file to what it returns, which is on top then. Else the problem is. */
static int load_file(fa_script *script, const fa_script_plugin *plugin, const fa_half *half)
{
    char path[SCRIPT_PATH_SIZE], chunk[220], module[120];
    lua_State *L = script->lua;
    if (snprintf(path, sizeof(path), "%s/%s", plugin->folder, plugin->half) >= (int)sizeof(path)) {
        lua_pushliteral(L, "the path of its folder is too long");
        return LUA_ERRFILE;
    }
    snprintf(chunk, sizeof(chunk), "@plugins/%s/%s", plugin->name, plugin->half);
    snprintf(module, sizeof(module), "plugins.%s", plugin->name);
    bool strict = fa_heap_strict(script, true);
    int status = fa_script_load_text(L, path, chunk);
    fa_heap_strict(script, strict);
    if (status != 0)
        return status;
    int handler = lua_gettop(L);
    fa_sandbox_enter(L, fa_sandbox_trusts(script, module));
    fa_half_enter(L, half);
    lua_pushcfunction(L, fa_lua_with_traceback);
    lua_insert(L, handler); /* handler, chunk */
    lua_pushvalue(L, handler + 1);
    status = fa_script_call(script, 0, 1, handler);
    fa_sandbox_close(L, handler + 1);
    lua_replace(L, handler);
    lua_settop(L, handler);
    return status;
}

static int load_one(fa_script *script, const fa_script_plugin *plugin, fa_half *half)
{
    int status;
    script->half = half;
    status = plugin->isolated ? fa_guest_load(script, plugin, half) : load_file(script, plugin, half);
    if (status == 0)
        status = tell_library(script, "take", plugin->name);
    script->half = NULL;
    return status;
}

static int begin_one(fa_script *script, fa_half *half)
{
    script->half = half;
    lua_pushnil(script->lua);
    int status = tell_library(script, "begin", half->name);
    script->half = NULL;
    return status;
}

/* ---- what cannot be used ---- */

static void set_problem(fa_script *script, fa_half *half, const char *text)
{
    lua_State *L = script->lua;
    const char *kept = fa_scope_copy_text(script->scope, text, strcspn(text, "\n"));
    half->problem = kept != NULL ? kept : "there is no memory to say why";
    lua_pushstring(L, half->problem);
    if (tell_library(script, "fail", half->name) != 0)
        lua_pop(L, 1);
}

/* The problem is on top, and taken. */
static fa_result take_failure(fa_script *script, const fa_script_plugin *plugin, fa_half *half,
                              fa_load_failure *failure, fa_error *error)
{
    lua_State *L = script->lua;
    const char *text = lua_tostring(L, -1);
    text = text != NULL ? text : "an error that is not a text";
    if (plugin->required) {
        fa_fail(error, FA_INVALID, "plugin %s: %s", plugin->name, text);
        if (failure != NULL) {
            fa_load_failure_read(failure, text, script->options.app, script->options.library);
            fa_halves_excerpt(script, failure);
        }
        lua_settop(L, 0);
        return FA_INVALID;
    }
    set_problem(script, half, text);
    lua_settop(L, 0);
    return FA_OK;
}

void fa_halves_excerpt(const fa_script *script, fa_load_failure *failure)
{
    char path[2 * SCRIPT_PATH_SIZE];
    static const char root[] = "plugins/";
    if (strncmp(failure->file, root, sizeof(root) - 1) != 0 || failure->excerpt[0] != '\0')
        return;
    const char *name = failure->file + sizeof(root) - 1;
    size_t length = strcspn(name, "/");
    const fa_half *half = find(script, name, length);
    if (half == NULL || half->folder == NULL || name[length] == '\0')
        return;
    snprintf(path, sizeof(path), "%s%s", half->folder, name + length);
    fa_load_failure_excerpt(failure, path);
}

void fa_script_plugin_problems(const fa_script *script,
                               void (*each)(void *context, const char *name, const char *problem), void *context)
{
    for (size_t i = 0; i < script->half_count; ++i) {
        if (script->halves[i].problem != NULL)
            each(context, script->halves[i].name, script->halves[i].problem);
    }
}

/* ---- all of them ---- */

static size_t count_plugins(const fa_script_options *options)
{
    size_t count = 0;
    while (options->plugins != NULL && options->plugins[count].name != NULL)
        count++;
    return count;
}

static fa_result make_half(fa_script *script, const fa_script_plugin *plugin, fa_half *half)
{
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "plugin %s, in Lua", plugin->name);
    if ((half->name = fa_scope_copy_text(script->scope, plugin->name, strlen(plugin->name))) == NULL)
        return FA_NO_MEMORY;
    if (plugin->folder == NULL)
        return FA_OK;
    half->budget = plugin->budget;
    half->folder = fa_scope_copy_text(script->scope, plugin->folder, strlen(plugin->folder));
    if (half->folder == NULL)
        return FA_NO_MEMORY;
    if (plugin->half == NULL || plugin->problem != NULL)
        return FA_OK;
    return fa_scope_new(fa_scope_ledger(script->scope), script->scope, FA_KIND_PLUGIN, plugin->budget, label, FA_HERE,
                        &half->scope);
}

static fa_result make_halves(fa_script *script, size_t count)
{
    fa_result result = FA_OK;
    script->halves = fa_scope_allocate(script->scope, count * sizeof(*script->halves));
    if (script->halves == NULL)
        return FA_NO_MEMORY;
    for (size_t i = 0; i < count && result == FA_OK; ++i)
        result = make_half(script, &script->options.plugins[i], &script->halves[i]);
    if (result == FA_OK)
        script->half_count = count;
    return result;
}

int fa_halves_load_own(fa_script *script)
{
    if (make_halves(script, 1) != FA_OK) {
        lua_pushliteral(script->lua, "no memory for plugins");
        return LUA_ERRMEM;
    }
    int status = load_one(script, script->options.plugins, script->halves);
    return status == 0 ? begin_one(script, script->halves) : status;
}

fa_result fa_halves_load(fa_script *script, fa_load_failure *failure, fa_error *error)
{
    fa_result result = FA_OK;
    const fa_script_plugin *plugins = script->options.plugins;
    size_t count = count_plugins(&script->options);
    if (count > 0 && make_halves(script, count) != FA_OK)
        return fa_fail(error, FA_NO_MEMORY, "no memory for plugins");
    for (size_t i = 0; i < count; ++i) {
        if (plugins[i].problem != NULL)
            set_problem(script, &script->halves[i], plugins[i].problem);
    }
    for (size_t i = 0; i < count && result == FA_OK; ++i) {
        if (script->halves[i].scope != NULL && load_one(script, &plugins[i], &script->halves[i]) != 0)
            result = take_failure(script, &plugins[i], &script->halves[i], failure, error);
    }
    for (size_t i = 0; i < count && result == FA_OK; ++i) {
        if (script->halves[i].scope != NULL && script->halves[i].problem == NULL &&
            begin_one(script, &script->halves[i]) != 0)
            result = take_failure(script, &plugins[i], &script->halves[i], failure, error);
        if (script->halves[i].scope != NULL && script->halves[i].problem == NULL)
            script->phases |= plugins[i].phases;
    }
    return result;
}

/* ---- the library ---- */

static void set_text(lua_State *L, const char *key, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void push_provides(lua_State *L, const fa_script_plugin *plugin)
{
    lua_newtable(L);
    for (int i = 0; plugin->provides != NULL && plugin->provides[i] != NULL; ++i) {
        lua_pushstring(L, plugin->provides[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_phases(lua_State *L, const fa_script_plugin *plugin)
{
    static const char *const names[] = {"init", "request", "response", "log", "shutdown"};
    unsigned phases = plugin->phases;
    if (plugin->isolated)
        phases &= ~(unsigned)FA_PHASE_INIT; /* it is over when the state has been made */
    lua_newtable(L);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if (phases & 1U << i) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, names[i]);
        }
    }
}

/* What plugins.lua is told of a plugin. */
static void push_plugin(lua_State *L, const fa_script_plugin *plugin)
{
    lua_newtable(L);
    set_text(L, "name", plugin->name);
    set_text(L, "version", plugin->version);
    push_provides(L, plugin);
    lua_setfield(L, -2, "provides");
    push_phases(L, plugin);
    lua_setfield(L, -2, "phases");
    lua_pushnumber(L, plugin->priority);
    lua_setfield(L, -2, "priority");
    lua_pushboolean(L, plugin->isolated);
    lua_setfield(L, -2, "isolated");
    lua_pushfstring(L, "plugins/%s/%s", plugin->name, plugin->half != NULL ? plugin->half : "plugin.lua");
    lua_setfield(L, -2, "file");
    fa_lua_push_settings(L, plugin->config);
    lua_setfield(L, -2, "config");
}

void fa_open_halves(lua_State *L)
{
    char path[SCRIPT_PATH_SIZE];
    const fa_script_options *options = &fa_script_of(L)->options;
    snprintf(path, sizeof(path), "%s/fitnessally/plugins.lua", options->library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_newtable(L);
    for (size_t i = 0; i < count_plugins(options); ++i) {
        push_plugin(L, &options->plugins[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_getglobal(L, "plugin");
    lua_getglobal(L, "fitnessally");
    lua_call(L, 3, 2);
    lua_setfield(L, LUA_REGISTRYINDEX, NAMES);
    lua_setfield(L, LUA_REGISTRYINDEX, LIBRARY);
}
