#include "server/manifest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/units.h"
#include "server/config_convert.h"
#include "server/config_file.h"
#include "server/config_value.h"
#include "server/home.h"

enum { VALUE_SIZE = 4096, STATE_HEAP = 16 * 1024 * 1024, LEAST_STATE_HEAP = 1024 * 1024 };

#define OWN_HALF "init.lua"

/* Keys that every plugin has and no manifest declares. */
static const fa_config_key common[] = {
    {.name = "memory_budget", .type = FA_CONFIG_SIZE},
    {.name = "required", .type = FA_CONFIG_FLAG},
    {.name = "isolation", .type = FA_CONFIG_TEXT, .choices = "none|state"},
    {.name = "state_heap", .type = FA_CONFIG_SIZE, .minimum = LEAST_STATE_HEAP, .maximum = 64.0 * 1024 * 1024 * 1024},
    {.name = "state_slice", .type = FA_CONFIG_DURATION, .minimum = 1, .maximum = 60000},
    {.name = NULL},
};

static const char *const phase_names[] = {"init", "request", "response", "log", "shutdown", NULL};

fa_manifest *fa_manifest_new(fa_scope *scope, const char *name)
{
    fa_manifest *manifest = fa_scope_allocate(scope, sizeof(*manifest));
    if (manifest == NULL || (manifest->plugin.name = fa_scope_copy_text(scope, name, strlen(name))) == NULL)
        return NULL;
    manifest->plugin.provides = manifest->provides;
    manifest->plugin.config = manifest->settings;
    return manifest;
}

bool fa_manifest_find(const fa_config *config, const char *name, char *folder, size_t size)
{
    char path[4200];
    const char *const *paths;
    size_t count = fa_config_list(config, "plugin_path", &paths);
    for (size_t i = 0; i <= count; ++i) {
        if (i < count)
            snprintf(folder, size, "%s/%s", paths[i], name);
        else
            snprintf(folder, size, "%s/plugins/%s", fa_home(), name);
        snprintf(path, sizeof(path), "%s/plugin.lua", folder);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* ---- values ---- */

fa_result fa_manifest_add(fa_manifest *m, fa_scope *scope, const char *key, const char *value, fa_error *error)
{
    if (m->count == FA_MANIFEST_KEYS)
        return fa_fail(error, FA_FULL, "plugin %s: more than %d keys", m->plugin.name, FA_MANIFEST_KEYS);
    m->keys[m->count] = fa_scope_copy_text(scope, key, strlen(key));
    m->values[m->count] = fa_scope_copy_text(scope, value, strlen(value));
    if (m->keys[m->count] == NULL || m->values[m->count] == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory for its configuration", m->plugin.name);
    m->count++;
    return FA_OK;
}

const char *fa_manifest_value(void *manifest, const char *key)
{
    const fa_manifest *m = manifest;
    for (size_t i = 0; i < m->count; ++i) {
        if (strcmp(m->keys[i], key) == 0)
            return m->values[i];
    }
    return NULL;
}

static fa_setting setting_of(const fa_config_key *key, const char *name, const char *text, double number)
{
    fa_setting setting = {.name = name, .type = FA_SETTING_NUMBER, .text = text, .number = number};
    if (key->type == FA_CONFIG_TEXT)
        setting.type = FA_SETTING_TEXT;
    else if (key->type == FA_CONFIG_LIST)
        setting.type = FA_SETTING_LIST;
    else if (key->type == FA_CONFIG_FLAG)
        setting.type = FA_SETTING_FLAG;
    return setting;
}

/* ---- the file ---- */

typedef struct reading {
    fa_manifest *manifest;
    fa_scope *scope;
    const fa_config *config;
    fa_result result; /* what is wrong with the configuration; in the reader's error then */
} reading;

static bool type_of(const char *name, fa_config_type *type)
{
    static const struct {
        const char *name;
        fa_config_type type;
    } types[] = {{"text", FA_CONFIG_TEXT}, {"number", FA_CONFIG_NUMBER},     {"flag", FA_CONFIG_FLAG},
                 {"size", FA_CONFIG_SIZE}, {"duration", FA_CONFIG_DURATION}, {"list", FA_CONFIG_LIST}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        if (name != NULL && strcmp(types[i].name, name) == 0) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

static const char *text_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (text == NULL && !lua_isnil(L, -1))
        luaL_error(L, "%s is a text, not a %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return text; /* the table holds it */
}

static double number_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "%s is a number, not a %s", name, luaL_typename(L, -1));
    double number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

static bool flag_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        luaL_error(L, "%s is true or false, not a %s", name, luaL_typename(L, -1));
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static const char *keep(lua_State *L, const reading *r, const char *text)
{
    const char *copy = text != NULL ? fa_scope_copy_text(r->scope, text, strlen(text)) : NULL;
    if (text != NULL && copy == NULL)
        luaL_error(L, "no memory");
    return copy;
}

/* A text, or a list of them, becomes a list in the manifest. */
static void read_provides(lua_State *L, const reading *r)
{
    fa_manifest *m = r->manifest;
    lua_getfield(L, -1, "provides");
    if (lua_type(L, -1) == LUA_TSTRING) {
        m->provides[0] = keep(L, r, lua_tostring(L, -1));
    } else if (lua_istable(L, -1)) {
        if (lua_objlen(L, -1) > FA_MANIFEST_PROVIDES)
            luaL_error(L, "provides: at most %d", FA_MANIFEST_PROVIDES);
        for (size_t i = 1; i <= lua_objlen(L, -1); ++i) {
            lua_rawgeti(L, -1, (int)i);
            if (lua_type(L, -1) != LUA_TSTRING)
                luaL_error(L, "provides is a text or a list of texts");
            m->provides[i - 1] = keep(L, r, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "provides is a text or a list of texts");
    }
    lua_pop(L, 1);
}

static void read_phases(lua_State *L, fa_manifest *m)
{
    lua_getfield(L, -1, "phases");
    if (!lua_isnil(L, -1) && !lua_istable(L, -1))
        luaL_error(L, "phases is a list, as in { \"init\", \"request\" }");
    for (size_t i = 1; lua_istable(L, -1) && i <= lua_objlen(L, -1); ++i) {
        lua_rawgeti(L, -1, (int)i);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        unsigned phase = 0;
        while (phase_names[phase] != NULL && strcmp(phase_names[phase], name) != 0)
            phase++;
        if (phase_names[phase] == NULL)
            luaL_error(L, "phases: there is no \"%s\"; there are init, request, response, log and shutdown", name);
        m->plugin.phases |= 1U << phase;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void refuse_unknown(lua_State *L)
{
    static const char *const known[] = {"name",     "version", "doc",      "provides",  "native", "lua",
                                        "required", "phases",  "priority", "isolation", "config", NULL};
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], name) != 0)
            ++i;
        if (known[i] == NULL)
            luaL_error(L, "there is no \"%s\" in a manifest", name);
    }
}

static void find_half(lua_State *L, const reading *r)
{
    fa_manifest *m = r->manifest;
    char path[4200];
    const char *named = text_field(L, "lua");
    if (named != NULL && (strstr(named, "..") != NULL || *named == '/' || *named == '\0'))
        luaL_error(L, "lua is the name of a file in the folder of the plugin");
    snprintf(path, sizeof(path), "%s/%s", m->folder, named != NULL ? named : OWN_HALF);
    if (access(path, R_OK) == 0)
        m->plugin.half = keep(L, r, named != NULL ? named : OWN_HALF);
    else if (named != NULL)
        luaL_error(L, "there is no %s", named);
    else if (!m->native)
        luaL_error(L, "there is neither an " OWN_HALF " nor a C half (native = true)");
    if (m->plugin.half == NULL && m->plugin.phases != 0)
        luaL_error(L, "phases belong to an " OWN_HALF ", and there is none");
}

/* What the configuration says of it has been read before. */
static void read_isolation(lua_State *L, const reading *r)
{
    fa_manifest *m = r->manifest;
    const char *where, *said = text_field(L, "isolation");
    if (said != NULL && strcmp(said, "none") != 0 && strcmp(said, "state") != 0)
        luaL_error(L, "isolation is \"none\" or \"state\"");
    if (said != NULL && fa_config_plugin(r->config, m->plugin.name, "isolation", &where) == NULL)
        m->plugin.isolated = strcmp(said, "state") == 0;
    if (m->plugin.isolated && m->native)
        luaL_error(
            L, "isolation = \"state\" is for plugins in Lua alone: nothing keeps a C half from the rest of the server");
}

/* The manifest is on top. */
static void read_head(lua_State *L, const reading *r)
{
    fa_manifest *m = r->manifest;
    const char *name = text_field(L, "name");
    if (name == NULL || strcmp(name, m->plugin.name) != 0)
        luaL_error(L, "it is for \"%s\"", name != NULL ? name : "(no name)");
    refuse_unknown(L);
    m->plugin.version = keep(L, r, text_field(L, "version"));
    m->plugin.priority = number_field(L, "priority");
    m->native = flag_field(L, "native");
    m->required = m->required || flag_field(L, "required");
    read_isolation(L, r);
    read_provides(L, r);
    read_phases(L, m);
    find_half(L, r);
}

/* ---- its keys, and what the configuration says of them ---- */

/* One value; where: NULL: it is the manifest's own. */
static void take_value(lua_State *L, const fa_config_reader *reader, const fa_config_key *key, const char *value,
                       const char *where)
{
    reading *r = reader->context;
    fa_manifest *m = r->manifest;
    char number_text[32];
    double number;
    fa_error why;
    if (*value == '\0' && (key->type == FA_CONFIG_TEXT || key->type == FA_CONFIG_LIST)) {
        number = 0;
    } else if (fa_config_value_parse(key, value, &number, &why) != FA_OK) {
        if (where == NULL)
            luaL_error(L, "config.%s: default: %s", key->name, why.text);
        r->result =
            fa_fail(reader->error, FA_INVALID, "%s: plugins.%s.%s: %s", where, m->plugin.name, key->name, why.text);
        return;
    }
    if (key->type == FA_CONFIG_SIZE || key->type == FA_CONFIG_DURATION) {
        snprintf(number_text, sizeof(number_text), "%.0f", number);
        value = number_text;
    }
    size_t at = m->count;
    r->result = fa_manifest_add(m, r->scope, key->name, value, reader->error);
    if (r->result == FA_OK)
        m->settings[at] = setting_of(key, m->keys[at], m->values[at], number);
}

/* Its description is on top. */
static void read_key(lua_State *L, const fa_config_reader *reader, const char *name)
{
    const reading *r = reader->context;
    char fallback[VALUE_SIZE];
    const char *where = NULL, *plugin = r->manifest->plugin.name;
    fa_config_key key = {.name = name, .minimum = number_field(L, "min"), .maximum = number_field(L, "max")};
    if (!type_of(text_field(L, "type"), &key.type))
        luaL_error(L, "config.%s: type is text, number, flag, size, duration or list", name);
    key.choices = text_field(L, "choices");
    lua_getfield(L, -1, "default");
    bool has_default = !lua_isnil(L, -1);
    if (has_default && !fa_config_copy_value(L, lua_gettop(L), key.type, fallback, sizeof(fallback)))
        luaL_error(L, "config.%s: default is %s", name, fa_config_wanted(key.type));
    lua_pop(L, 1);
    const char *value = fa_config_plugin(r->config, plugin, name, &where);
    if (value != NULL)
        take_value(L, reader, &key, value, where);
    else if (has_default)
        take_value(L, reader, &key, fallback, NULL);
}

/* The manifest is on top. */
static void read_keys(lua_State *L, const fa_config_reader *reader)
{
    reading *r = reader->context;
    lua_getfield(L, -1, "config");
    if (!lua_istable(L, -1) && !lua_isnil(L, -1))
        luaL_error(L, "config is a table of named tables");
    lua_pushnil(L);
    while (r->result == FA_OK && lua_istable(L, -2) && lua_next(L, -2) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
            luaL_error(L, "config is a table of named tables");
        read_key(L, reader, lua_tostring(L, -2));
        lua_pop(L, 1);
    }
}

static const fa_config_key *common_key(const char *name)
{
    const fa_config_key *key = common;
    while (key->name != NULL && strcmp(key->name, name) != 0)
        ++key;
    return key->name != NULL ? key : NULL;
}

/* What is configured and not declared. The manifest is on top. */
static void refuse_undeclared(lua_State *L, const fa_config_reader *reader)
{
    reading *r = reader->context;
    const char *key, *where, *plugin = r->manifest->plugin.name;
    lua_getfield(L, -1, "config");
    for (size_t i = 0; (key = fa_config_plugin_key(r->config, plugin, i, &where)) != NULL; ++i) {
        bool known = common_key(key) != NULL;
        if (!known && lua_istable(L, -1)) {
            lua_getfield(L, -1, key);
            known = !lua_isnil(L, -1);
            lua_pop(L, 1);
        }
        if (!known) {
            r->result = fa_fail(reader->error, FA_INVALID, "%s: plugin %s has no key \"%s\"", where, plugin, key);
            return;
        }
    }
    lua_pop(L, 1);
}

static int run(lua_State *L)
{
    const fa_config_reader *reader = lua_touserdata(L, 1);
    reading *r = reader->context;
    fa_config_push_chunk(reader, L);
    lua_setfenv(L, -2);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "it does not return a table");
    read_head(L, r);
    refuse_undeclared(L, reader);
    if (r->result == FA_OK)
        read_keys(L, reader);
    return 0;
}

/* A common key's value, or NULL. */
static fa_result read_common(const fa_manifest *m, const fa_config *config, const char *name, double *number,
                             fa_error *error)
{
    fa_error why;
    const char *where, *value = fa_config_plugin(config, m->plugin.name, name, &where);
    if (value != NULL && fa_config_value_parse(common_key(name), value, number, &why) != FA_OK)
        return fa_fail(error, FA_INVALID, "%s: plugins.%s.%s: %s", where, m->plugin.name, name, why.text);
    return FA_OK;
}

/* What the configuration says of its state. */
static fa_result read_state(fa_manifest *m, const fa_config *config, fa_error *error)
{
    const char *where, *isolation;
    double unused, heap = STATE_HEAP, slice = 0;
    fa_result result = read_common(m, config, "isolation", &unused, error);
    if (result == FA_OK)
        result = read_common(m, config, "state_heap", &heap, error);
    if (result == FA_OK)
        result = read_common(m, config, "state_slice", &slice, error);
    isolation = fa_config_plugin(config, m->plugin.name, "isolation", &where);
    m->plugin.isolated = isolation != NULL && strcmp(isolation, "state") == 0;
    m->plugin.state_heap = (size_t)heap;
    m->plugin.state_slice_ms = (uint64_t)slice;
    return result;
}

fa_result fa_manifest_read(fa_manifest *m, fa_scope *scope, const fa_config *config, fa_error *error)
{
    char folder[4000], path[4100];
    fa_error why = {""};
    reading r = {.manifest = m, .scope = scope, .config = config};
    double budget = (double)fa_config_size(config, "plugin_budget"), required = 0;
    m->found = fa_manifest_find(config, m->plugin.name, folder, sizeof(folder));
    snprintf(path, sizeof(path), "%s/plugin.lua", folder);
    const char *where, *searched = fa_config_written(config, "plugin_path", &where);
    if (!m->found && searched != NULL && *searched != '\0')
        return fa_fail(error, FA_NOT_FOUND, "plugin %s: there is no %s, nor such a folder in plugin_path (%s)",
                       m->plugin.name, path, searched);
    if (!m->found)
        return fa_fail(error, FA_NOT_FOUND, "plugin %s: there is no %s, and plugin_path is not set", m->plugin.name,
                       path);
    fa_result result = read_common(m, config, "memory_budget", &budget, error);
    if (result == FA_OK)
        result = read_common(m, config, "required", &required, error);
    if (result == FA_OK)
        result = read_state(m, config, error);
    if (result != FA_OK)
        return result;
    m->budget = (size_t)budget;
    m->required = required != 0;
    if ((m->folder = fa_scope_copy_text(scope, folder, strlen(folder))) == NULL)
        return fa_fail(error, FA_NO_MEMORY, "plugin %s: no memory", m->plugin.name);
    m->plugin.folder = m->folder;
    m->plugin.budget = m->budget;
    fa_config_reader reader = {.path = path, .error = &why, .context = &r};
    result = fa_config_evaluate(&reader, scope, run);
    if (r.result != FA_OK)
        return fa_fail(error, r.result, "%s", why.text);
    m->broken = result == FA_INVALID;
    if (result != FA_OK)
        fa_fail(error, result, "plugin %s: %s", m->plugin.name, why.text);
    return result;
}
