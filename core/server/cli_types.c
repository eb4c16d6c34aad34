/* The part of `fitnessally check` that asks lua-language-server. What it asks, and how, is in lua/fitnessally/types.lua. */
#include "server/cli_types.h"

#include <limits.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/home.h"

typedef struct asking {
    const fa_config *config;
    bool json, well;
    char *said; /* of malloc; NULL: it came to nothing */
} asking;

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The folder as it is called in full, at the end of the list on top, unless it lies in the application's. */
static void add_folder(lua_State *L, const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return;
    lua_rawgeti(L, -1, 1);
    bool within = lua_isstring(L, -1) && is_below(real, lua_tostring(L, -1));
    lua_pop(L, 1);
    if (within)
        return;
    lua_pushstring(L, real);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

/* The application, and the enabled plugins that `plugin_path` has: those that come along are ours. */
static void push_folders(lua_State *L, const fa_config *config)
{
    char path[PATH_MAX];
    const char *const *roots, *const *names;
    size_t root_count = fa_config_list(config, "plugin_path", &roots);
    size_t name_count = fa_config_list(config, "plugins_enabled", &names);
    lua_newtable(L);
    fa_home_resolve(fa_config_text(config, "app"), path, sizeof(path));
    add_folder(L, path);
    for (size_t i = 0; i < root_count * name_count; ++i) {
        snprintf(path, sizeof(path), "%s/%s/plugin.lua", roots[i / name_count], names[i % name_count]);
        if (access(path, R_OK) != 0)
            continue;
        *strrchr(path, '/') = '\0';
        add_folder(L, path);
    }
}

static int ask(lua_State *L)
{
    asking *a = lua_touserdata(L, 1);
    char library[PATH_MAX], path[PATH_MAX];
    luaL_openlibs(L);
    snprintf(path, sizeof(path), "%s/lua", fa_home());
    if (realpath(path, library) == NULL)
        return luaL_error(L, "%s is missing", path);
    lua_pushfstring(L, "%s/fitnessally/types.lua", library);
    if (luaL_loadfile(L, lua_tostring(L, -1)) != 0)
        return lua_error(L);
    lua_call(L, 0, 1);
    push_folders(L, a->config);
    lua_pushstring(L, library);
    lua_pushboolean(L, a->json);
    lua_call(L, 3, 2);
    a->well = lua_toboolean(L, -2);
    a->said = strdup(luaL_checkstring(L, -1));
    return 0;
}

char *fa_cli_types(const fa_config *config, bool json, bool *well)
{
    asking a = {.config = config, .json = json};
    lua_State *L = luaL_newstate();
    *well = false;
    if (L == NULL || lua_cpcall(L, ask, &a) != 0)
        fa_cli_failed("types not checked: %s", L != NULL ? lua_tostring(L, -1) : "out of memory");
    else
        *well = a.well;
    if (L != NULL)
        lua_close(L);
    return a.said;
}
