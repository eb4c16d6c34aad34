#include "server/plugins.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "server/home.h"

enum { QUEUE = 2048, MAX_KEYS = 64 };

/* The one key that every plugin has and no manifest names. */
#define BUDGET_KEY "memory_budget"

/* A plugin's values as it will ask for them; lives in the server's scope as long as the plugin. */
typedef struct values {
    size_t count;
    struct {
        const char *key, *value;
    } entries[MAX_KEYS];
} values;

static const char *find_value(void *context, const char *key)
{
    const values *v = context;
    for (size_t i = 0; i < v->count; ++i) {
        if (strcmp(v->entries[i].key, key) == 0)
            return v->entries[i].value;
    }
    return NULL;
}

static fa_result add_value(fa_scope *scope, values *v, const char *key, const char *value, fa_error *error)
{
    if (v->count == MAX_KEYS)
        return fa_fail(error, FA_FULL, "more than %d keys", MAX_KEYS);
    v->entries[v->count].key = fa_scope_copy_text(scope, key, strlen(key));
    v->entries[v->count].value = fa_scope_copy_text(scope, value, strlen(value));
    if (v->entries[v->count].key == NULL || v->entries[v->count].value == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for its configuration");
    v->count++;
    return FA_OK;
}

/* ---- the manifest ---- */

static bool find_manifest(const fa_config *config, const char *name, char *folder, size_t size, char *manifest,
                          size_t manifest_size)
{
    const char *const *paths;
    size_t count = fa_config_list(config, "plugin_path", &paths);
    for (size_t i = 0; i <= count; ++i) {
        if (i < count)
            snprintf(folder, size, "%s/%s", paths[i], name);
        else
            snprintf(folder, size, "%s/plugins/%s", fa_home(), name);
        snprintf(manifest, manifest_size, "%s/plugin.lua", folder);
        if (access(manifest, R_OK) == 0)
            return true;
    }
    return false;
}

static bool type_of(const char *name, fa_config_type *type)
{
    static const struct {
        const char *name;
        fa_config_type type;
    } types[] = {{"text", FA_CONFIG_TEXT}, {"number", FA_CONFIG_NUMBER},     {"flag", FA_CONFIG_FLAG},
                 {"size", FA_CONFIG_SIZE}, {"duration", FA_CONFIG_DURATION}, {NULL, FA_CONFIG_TEXT}};
    for (size_t i = 0; types[i].name != NULL; ++i) {
        if (name != NULL && strcmp(types[i].name, name) == 0) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

/* Field `name` of the table on top as a text that lives as long as the state, or NULL. */
static const char *field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    if (lua_isboolean(L, -1)) {
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
        lua_replace(L, -2);
    }
    const char *text = lua_tostring(L, -1);
    if (text == NULL) {
        lua_pop(L, 1);
        return NULL;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, text); /* keeps it alive */
    return text;
}

static double number_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    double number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

/* Plugins get sizes in bytes and durations in milliseconds. */
static const char *in_base_unit(fa_config_type type, const char *value, char out[32])
{
    uint64_t number;
    if ((type == FA_CONFIG_SIZE && fa_parse_size(value, &number, NULL) == FA_OK) ||
        (type == FA_CONFIG_DURATION && fa_parse_duration(value, &number, NULL) == FA_OK)) {
        snprintf(out, 32, "%llu", (unsigned long long)number);
        return out;
    }
    return value;
}

/* One key of the manifest's config table; its description is on top. */
static fa_result read_key(lua_State *L, const char *name, const fa_config *config, const char *plugin, fa_scope *scope,
                          values *v, fa_error *error)
{
    char number[32];
    fa_error why;
    fa_config_key key;
    const char *where = NULL;
    memset(&key, 0, sizeof(key));
    key.name = name;
    key.minimum = number_field(L, "min");
    key.maximum = number_field(L, "max");
    if (!type_of(field(L, "type"), &key.type))
        return fa_fail(error, FA_INVALID, "plugin %s: plugin.lua: config.%s has no known type", plugin, name);
    key.fallback = field(L, "default");
    const char *value = fa_config_plugin(config, plugin, name, &where);
    if (value == NULL) {
        value = key.fallback;
        where = "plugin.lua";
    }
    if (value == NULL)
        return FA_OK;
    if (*value != '\0' && fa_config_check(&key, value, &why) != FA_OK)
        return fa_fail(error, FA_INVALID, "%s: plugins.%s.%s: %s", where, plugin, name, why.text);
    return add_value(scope, v, name, in_base_unit(key.type, value, number), error);
}

/* The manifest's table is on top: checks name and native, then reads every declared key. */
static fa_result read_manifest(lua_State *L, const char *plugin, const fa_config *config, fa_scope *scope, values *v,
                               fa_error *error)
{
    const char *name = field(L, "name"), *native = field(L, "native");
    if (name == NULL || strcmp(name, plugin) != 0)
        return fa_fail(error, FA_INVALID, "plugin %s: its plugin.lua is for \"%s\"", plugin,
                       name != NULL ? name : "(no name)");
    if (native == NULL || strcmp(native, "true") != 0)
        return fa_fail(error, FA_UNSUPPORTED, "plugin %s: plugins without a C half come with the Scripting work",
                       plugin);
    lua_getfield(L, -1, "config");
    if (!lua_istable(L, -1))
        return FA_OK;
    fa_result result = FA_OK;
    lua_pushnil(L);
    while (result == FA_OK && lua_next(L, -2) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
            return fa_fail(error, FA_INVALID, "plugin %s: plugin.lua: config is a table of named tables", plugin);
        result = read_key(L, lua_tostring(L, -2), config, plugin, scope, v, error);
        lua_pop(L, 1);
    }
    return result;
}

static fa_result check_unknown(const fa_config *config, const char *plugin, lua_State *L, fa_error *error)
{
    const char *key, *where;
    for (size_t i = 0; (key = fa_config_plugin_key(config, plugin, i, &where)) != NULL; ++i) {
        if (strcmp(key, BUDGET_KEY) == 0)
            continue;
        lua_getfield(L, -1, "config");
        bool known = lua_istable(L, -1);
        if (known) {
            lua_getfield(L, -1, key);
            known = !lua_isnil(L, -1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
        if (!known)
            return fa_fail(error, FA_INVALID, "%s: plugin %s has no key \"%s\"", where, plugin, key);
    }
    return FA_OK;
}

static fa_result load_manifest(const char *manifest, const char *plugin, const fa_config *config, fa_scope *scope,
                               values *v, fa_error *error)
{
    fa_result result;
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", plugin);
    if (luaL_loadfilex(L, manifest, "t") != 0 || lua_pcall(L, 0, 1, 0) != 0)
        result = fa_fail(error, FA_INVALID, "plugin %s: %s", plugin, lua_tostring(L, -1));
    else if (!lua_istable(L, -1))
        result = fa_fail(error, FA_INVALID, "plugin %s: %s does not return a table", plugin, manifest);
    else if ((result = check_unknown(config, plugin, L, error)) == FA_OK)
        result = read_manifest(L, plugin, config, scope, v, error);
    lua_close(L);
    return result;
}

/* ---- starting ---- */

static void library_path(const char *folder, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s.so", folder, name);
    if (access(path, R_OK) != 0)
        snprintf(path, size, "%s/%s.so", fa_home_plugins(), name);
}

static fa_result add_server_values(fa_scope *scope, values *v, const fa_config *config, fa_error *error)
{
    fa_result result = FA_OK;
    const char *data = fa_config_text(config, "data"), *state = fa_config_text(config, "state_dir");
    char own[4096];
    if (data == NULL) {
        char app[4000];
        snprintf(own, sizeof(own), "%s/data", fa_home_resolve(fa_config_text(config, "app"), app, sizeof(app)));
        data = own;
    }
    result = add_value(scope, v, "data", data, error);
    if (result == FA_OK)
        result = add_value(scope, v, "state_dir", state, error);
    return result;
}

/* What the plugin may keep: its own key, or the one for all. */
static fa_result find_budget(const fa_config *config, const char *plugin, size_t *budget, fa_error *error)
{
    static const fa_config_key key = {.name = BUDGET_KEY, .type = FA_CONFIG_SIZE};
    const char *where, *value = fa_config_plugin(config, plugin, BUDGET_KEY, &where);
    uint64_t bytes = fa_config_size(config, "plugin_budget");
    fa_error why;
    if (value != NULL && (fa_config_check(&key, value, &why) != FA_OK || fa_parse_size(value, &bytes, &why) != FA_OK))
        return fa_fail(error, FA_INVALID, "%s: plugins.%s.%s: %s", where, plugin, BUDGET_KEY, why.text);
    *budget = bytes;
    return FA_OK;
}

static fa_result start_one(fa_plugins *plugins, fa_scope *scope, const char *name, const fa_config *config,
                           const fa_log *log, fa_error *error)
{
    char folder[4000], manifest[4096], library[4096];
    values *v = fa_scope_allocate(scope, sizeof(*v));
    if (v == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", name);
    if (!find_manifest(config, name, folder, sizeof(folder), manifest, sizeof(manifest)))
        return fa_fail(error, FA_NOT_FOUND, "plugin %s: there is no %s", name, manifest);
    fa_result result = load_manifest(manifest, name, config, scope, v, error);
    if (result == FA_OK)
        result = add_server_values(scope, v, config, error);
    if (result != FA_OK)
        return result;
    library_path(folder, name, library, sizeof(library));
    fa_native_options options = {
        .name = name, .path = library, .queue = QUEUE, .config = find_value, .context = v, .log = log};
    if ((result = find_budget(config, name, &options.budget, error)) != FA_OK)
        return result;
    return fa_native_start(scope, &options, &plugins->natives[plugins->count], error);
}

fa_result fa_plugins_start(fa_plugins *plugins, fa_scope *scope, const fa_config *config, const fa_log *log,
                           fa_error *error)
{
    const char *const *names;
    size_t count = fa_config_list(config, "plugins_enabled", &names);
    memset(plugins, 0, sizeof(*plugins));
    if (count > FA_MAX_PLUGINS)
        return fa_fail(error, FA_INVALID, "plugins_enabled: at most %d plugins", FA_MAX_PLUGINS);
    for (size_t i = 0; i < count; ++i) {
        fa_result result = start_one(plugins, scope, names[i], config, log, error);
        if (result != FA_OK) {
            fa_plugins_close(plugins);
            return result;
        }
        plugins->count++;
    }
    return FA_OK;
}

/* "plugin NAME: /somewhere/plugin.lua:3: ..." */
static void tell_failure(fa_load_failure *failure, const char *text, const char *folder, const char *name)
{
    const char *at = strstr(text, "plugin.lua:");
    fa_load_failure_read(failure, at != NULL ? at : text, folder, NULL);
    if (failure->line != 0)
        snprintf(failure->file, sizeof(failure->file), "plugins/%s/plugin.lua", name);
}

fa_result fa_plugins_check(const fa_config *config, fa_scope *scope, fa_load_failure *failure, fa_error *error)
{
    const char *const *names;
    fa_result result = FA_OK;
    size_t count = fa_config_list(config, "plugins_enabled", &names);
    for (size_t i = 0; i < count && result == FA_OK; ++i) {
        char folder[4000], manifest[4096];
        size_t budget;
        values *v = fa_scope_allocate(scope, sizeof(*v));
        if (v == NULL)
            return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", names[i]);
        if (!find_manifest(config, names[i], folder, sizeof(folder), manifest, sizeof(manifest)))
            return fa_fail(error, FA_INVALID, "plugin %s: there is no %s", names[i], manifest);
        result = load_manifest(manifest, names[i], config, scope, v, error);
        if (result == FA_OK)
            result = find_budget(config, names[i], &budget, error);
        if (result != FA_OK && result != FA_NO_MEMORY) {
            tell_failure(failure, error->text, folder, names[i]);
            result = FA_INVALID;
        }
    }
    return result;
}

fa_result fa_plugins_wait(fa_plugins *plugins, fa_error *error)
{
    for (size_t i = 0; i < plugins->count; ++i) {
        fa_result result = fa_native_wait(plugins->natives[i], error);
        if (result != FA_OK)
            return result;
    }
    return FA_OK;
}

void fa_plugins_close(fa_plugins *plugins)
{
    while (plugins->count > 0)
        fa_native_close(plugins->natives[--plugins->count]);
}
