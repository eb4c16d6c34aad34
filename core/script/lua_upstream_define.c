/* fitnessally.upstream: an application says which services it asks.
 *
 * Pools belong to the worker, not to a generation of scripts, and a generation is loaded aside, on another thread: what it says is looked
 * at and noted there, and holds from the moment that the generation takes requests. */
#include <string.h>

#include "script/lua_upstream.h"

enum { MOST_SETTINGS = 80 };

/* In memory of the script. */
typedef struct definition {
    struct definition *next;
    const char *name;
    size_t count;
    fa_upstream_setting settings[];
} definition;

bool fa_script_defines_upstream(const fa_script *script, const char *name)
{
    for (const definition *d = script->upstreams; d != NULL; d = d->next) {
        if (strcmp(d->name, name) == 0)
            return true;
    }
    return false;
}

/* One value of the table, as the configuration would write it; on the stack from now on. */
static const char *setting_text(lua_State *L, const char *key)
{
    if (lua_isboolean(L, -1))
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    else if (lua_isstring(L, -1))
        lua_pushstring(L, lua_tostring(L, -1));
    else
        luaL_error(L, "fitnessally.upstream: %s is a text, a number, true or false", key);
    return lua_tostring(L, -1);
}

/* The table at 2; its texts stay on the stack. */
static size_t read_settings(lua_State *L, fa_upstream_setting settings[MOST_SETTINGS])
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, 2) != 0;) {
        if (lua_type(L, -2) != LUA_TSTRING || count == MOST_SETTINGS)
            luaL_error(L, "fitnessally.upstream: a table of names and values");
        luaL_checkstack(L, 6, "too many keys");
        const char *key = lua_tostring(L, -2), *value = setting_text(L, key);
        settings[count++] = (fa_upstream_setting){key, value, NULL, false};
        lua_pushvalue(L, -3); /* key and texts stay below, borrowed */
    }
    return count;
}

static definition *note(fa_script *script, const char *name, const fa_upstream_setting *settings, size_t count)
{
    fa_scope *scope = script->scope;
    definition *d = fa_scope_allocate(scope, sizeof(*d) + count * sizeof(d->settings[0]));
    if (d == NULL || (d->name = fa_scope_copy_text(scope, name, strlen(name))) == NULL)
        return NULL;
    d->count = count;
    for (size_t i = 0; i < count; ++i) {
        d->settings[i].key = fa_scope_copy_text(scope, settings[i].key, strlen(settings[i].key));
        d->settings[i].value = fa_scope_copy_text(scope, settings[i].value, strlen(settings[i].value));
        if (d->settings[i].key == NULL || d->settings[i].value == NULL)
            return NULL;
    }
    d->next = script->upstreams;
    script->upstreams = d;
    return d;
}

int fa_lua_define_upstream(lua_State *L)
{
    fa_error error = {""};
    fa_upstream_setting settings[MOST_SETTINGS];
    fa_script *script = fa_script_loading(L, "fitnessally.upstream");
    fa_upstreams *all = script->options.upstreams;
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    if (all == NULL)
        return luaL_error(L, "fitnessally.upstream: there are no upstreams here");
    size_t count = read_settings(L, settings);
    if (fa_upstream_settings_check(script->scope, name, settings, count, &error) != FA_OK)
        return luaL_error(L, "fitnessally.upstream: %s", error.text);
    if (note(script, name, settings, count) == NULL)
        return luaL_error(L, "fitnessally.upstream: no memory");
    if (script->attached && fa_upstreams_define(all, name, settings, count, &error) != FA_OK)
        return luaL_error(L, "fitnessally.upstream: %s", error.text);
    fa_lua_push_upstream(L, name);
    return 1;
}

void fa_script_upstreams_apply(const fa_script *script)
{
    fa_error error = {""};
    for (const definition *d = script->upstreams; d != NULL; d = d->next) {
        if (fa_upstreams_define(script->options.upstreams, d->name, d->settings, d->count, &error) != FA_OK)
            fa_log_write(fa_worker_log(script->worker), FA_LOG_ERROR, "%s: it stays as it was", error.text);
    }
}
