#include "server/spec_run.h"

#include <ftw.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/home.h"
#include "server/spec_lua.h"

/* ---- the folder for what its servers write ---- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    return remove(path);
}

static bool make_folder(fa_spec_run *run)
{
    snprintf(run->state_dir, sizeof(run->state_dir), "/tmp/fitnessally-spec.XXXXXX");
    return mkdtemp(run->state_dir) != NULL;
}

static void remove_folder(const fa_spec_run *run)
{
    nftw(run->state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the state ---- */

/* What comes along with the server is found before anything else of the same name. */
static void set_path(lua_State *L)
{
    char library[4200];
    snprintf(library, sizeof(library), "%s/lua", fa_home());
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;./?.lua;%s", library, library, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

static void require(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

typedef struct running {
    const fa_spec_wish *wish;
    const fa_spec_run *run;
    int status;
} running;

static int run_protected(lua_State *L)
{
    running *r = lua_touserdata(L, 1);
    luaL_openlibs(L);
    set_path(L);
    fa_spec_lua_open(L, r->run);
    require(L, "fitnessally.testing.run");
    lua_createtable(L, r->wish->argument_count, 0);
    for (int i = 0; i < r->wish->argument_count; ++i) {
        lua_pushstring(L, r->wish->arguments[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_call(L, 1, 1);
    r->status = (int)lua_tonumber(L, -1);
    return 0;
}

/* What specs stand on beside the server itself; Debian has it in these packages. */
static int find_busted(lua_State *L)
{
    static const char *const needed[][2] = {
        {"busted.runner", "lua-busted"}, {"luassert", "lua-luassert"}, {"cjson", "lua-cjson"}};
    luaL_openlibs(L);
    set_path(L);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); ++i) {
        lua_getglobal(L, "require");
        lua_pushstring(L, needed[i][0]);
        if (lua_pcall(L, 1, 0, 0) != 0)
            return luaL_error(L, "specs need the Debian package %s: %s", needed[i][1], lua_tostring(L, -1));
    }
    return 0;
}

static int in_state(lua_CFunction function, void *argument)
{
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return fa_cli_failed("no memory for a Lua state");
    int status = FA_EXIT_DONE;
    if (lua_cpcall(L, function, argument) != 0) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "fitnessally: %s\n", message != NULL ? message : "specs could not be run");
        status = FA_EXIT_FAILED;
    }
    lua_close(L);
    return status;
}

int fa_spec_run_all(const fa_spec_wish *wish)
{
    fa_spec_run run = {.file = wish->file, .overrides = wish->overrides, .override_count = wish->override_count};
    running r = {.wish = wish, .run = &run, .status = FA_EXIT_FAILED};
    int status = in_state(find_busted, NULL);
    if (status != FA_EXIT_DONE)
        return status;
    if (!make_folder(&run))
        return fa_cli_failed("%s: no folder can be made", run.state_dir);
    if (wish->coverage && (run.coverage = fa_spec_coverage_new()) == NULL)
        status = fa_cli_failed("no memory to count lines");
    else
        status = in_state(run_protected, &r);
    fa_spec_coverage_free(run.coverage);
    remove_folder(&run);
    return status == FA_EXIT_DONE ? r.status : status;
}
