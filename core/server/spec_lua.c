/* Apps, as specs hold them. Everything here is one step; what reads well is made of it in lua/fitnessally/testing. */
#include "server/spec_lua.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "memory/census.h"
#include "server/settings.h"

fa_spec_handle *fa_spec_check(lua_State *L, int index)
{
    fa_spec_handle *handle = luaL_checkudata(L, index, FA_SPEC_APP);
    if (handle->app == NULL)
        luaL_error(L, "the app is closed");
    return handle;
}

void fa_spec_enter(fa_spec_handle *handle, lua_State *L)
{
    if (handle->lua != NULL)
        luaL_error(L, "a function that answers for an upstream cannot use its app meanwhile");
    handle->lua = L;
    handle->trouble[0] = '\0';
}

void fa_spec_leave(fa_spec_handle *handle, lua_State *L)
{
    handle->lua = NULL;
    if (handle->trouble[0] != '\0') {
        lua_pushstring(L, handle->trouble);
        lua_error(L);
    }
}

/* ---- opening and closing ---- */

enum { MOST_OVERRIDES = 200 };

/* open(file or nil, {"key=value", ...}, real_time): the app, or nil and what is wrong. */
static int open_app(lua_State *L)
{
    const fa_spec_run *run = lua_touserdata(L, lua_upvalueindex(1));
    const char *overrides[MOST_OVERRIDES];
    size_t count = 0, given = lua_objlen(L, 2);
    fa_error error = {""};
    for (size_t i = 0; i < run->override_count; ++i)
        overrides[count++] = run->overrides[i];
    if (count + given > MOST_OVERRIDES)
        return luaL_error(L, "more than %d settings", MOST_OVERRIDES);
    luaL_checkstack(L, (int)given + 4, "settings");
    for (size_t i = 1; i <= given; ++i) {
        lua_rawgeti(L, 2, (int)i);
        overrides[count++] = luaL_checkstring(L, -1);
    }
    fa_spec_options options = {.file = lua_isnil(L, 1) ? run->file : luaL_checkstring(L, 1),
                               .overrides = overrides,
                               .override_count = count,
                               .coverage = run->coverage,
                               .real_time = lua_toboolean(L, 3)};
    fa_spec_handle *handle = lua_newuserdata(L, sizeof(*handle));
    memset(handle, 0, sizeof(*handle));
    handle->run = run;
    fa_list_init(&handle->clients);
    luaL_getmetatable(L, FA_SPEC_APP);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setfenv(L, -2);
    if (fa_spec_app_open(&options, &handle->app, &error) == FA_OK)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, error.text);
    return 2;
}

static void push_item(lua_State *L, const fa_item *item)
{
    char text[500], place[220];
    lua_createtable(L, 0, 5);
    lua_pushstring(L, item->what);
    lua_setfield(L, -2, "what");
    lua_pushfstring(L, "%s|%s|%s", item->what, item->name, fa_origin_text(item->at, place, sizeof(place)));
    lua_setfield(L, -2, "key");
    lua_pushnumber(L, (lua_Number)item->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushstring(L, fa_kind_name(item->kind));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, fa_item_text(item, text, sizeof(text)));
    lua_setfield(L, -2, "text");
}

/* A list of what there is, and how many of them did not fit. */
static int push_inventory(lua_State *L, const fa_inventory *left)
{
    size_t kept = left->count < FA_INVENTORY_ITEMS ? left->count : FA_INVENTORY_ITEMS;
    lua_createtable(L, (int)kept, 0);
    for (size_t i = 0; i < kept; ++i) {
        push_item(L, &left->items[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushnumber(L, (lua_Number)(left->count - kept));
    return 2;
}

/* app:close(). Harmless twice. */
static int close_app(lua_State *L)
{
    fa_spec_handle *handle = luaL_checkudata(L, 1, FA_SPEC_APP);
    fa_spec_app *app = handle->app;
    fa_spec_enter(handle, L);
    fa_spec_clients_forget(handle);
    handle->app = NULL;
    fa_spec_app_close(app);
    handle->lua = NULL;
    return 0;
}

static int collect_app(lua_State *L)
{
    fa_spec_handle *handle = luaL_checkudata(L, 1, FA_SPEC_APP);
    fa_spec_clients_forget(handle);
    fa_spec_app_close(handle->app);
    handle->app = NULL;
    return 0;
}

/* ---- time ---- */

static int settle(lua_State *L)
{
    fa_spec_handle *handle = fa_spec_check(L, 1);
    fa_spec_enter(handle, L);
    fa_spec_app_settle(handle->app);
    fa_spec_leave(handle, L);
    return 0;
}

/* app:advance("10s") */
static int advance(lua_State *L)
{
    fa_spec_handle *handle = fa_spec_check(L, 1);
    const char *text = luaL_checkstring(L, 2);
    uint64_t ms;
    fa_error error = {""};
    if (fa_parse_duration(text, &ms, &error) != FA_OK)
        return luaL_error(L, "%s", error.text);
    fa_spec_enter(handle, L);
    fa_spec_app_advance(handle->app, ms);
    fa_spec_leave(handle, L);
    return 0;
}

/* Seconds since 1970, by the app's clock. */
static int now(lua_State *L)
{
    const fa_spec_handle *handle = fa_spec_check(L, 1);
    lua_pushnumber(L, (lua_Number)fa_worker_wall(fa_spec_app_worker(handle->app)) / 1000);
    return 1;
}

/* ---- looking ---- */

static int left(lua_State *L)
{
    fa_inventory inventory = {0};
    fa_spec_app_left(fa_spec_check(L, 1)->app, &inventory);
    return push_inventory(L, &inventory);
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static int figures(lua_State *L)
{
    const fa_spec_handle *handle = fa_spec_check(L, 1);
    fa_script_figures f = {0};
    fa_script_read_figures(fa_spec_app_script(handle->app), &f);
    lua_newtable(L);
    set_number(L, "heap", (double)f.heap);
    set_number(L, "tasks", (double)f.tasks);
    set_number(L, "copies", (double)f.copies);
    set_number(L, "copied_bytes", (double)f.copied_bytes);
    set_number(L, "copiedBytes", (double)f.copied_bytes);
    return 1;
}

/* {request = {bytes, count, inFlight}, ...} */
static int ledger(lua_State *L)
{
    const fa_spec_handle *handle = fa_spec_check(L, 1);
    fa_ledger *all = fa_scope_ledger(fa_worker_scope(fa_spec_app_worker(handle->app)));
    lua_newtable(L);
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(all, (fa_kind)kind);
        lua_newtable(L);
        set_number(L, "bytes", (double)c->bytes);
        set_number(L, "count", (double)c->count);
        set_number(L, "inFlight", (double)c->in_flight_bytes);
        lua_setfield(L, -2, fa_kind_name((fa_kind)kind));
    }
    return 1;
}

static int log_text(lua_State *L)
{
    size_t length;
    char *text = fa_spec_app_log(fa_spec_check(L, 1)->app, &length);
    lua_pushlstring(L, text != NULL ? text : "", length);
    free(text);
    return 1;
}

/* What a setting is, as scripts see it; folders are definite. */
static int setting(lua_State *L)
{
    const fa_spec_handle *handle = fa_spec_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const fa_settings *settings = fa_runtime_settings(fa_server_runtime(fa_spec_app_server(handle->app)));
    for (const fa_setting *s = settings->list; s->name != NULL; ++s) {
        if (strcmp(s->name, name) != 0)
            continue;
        if (s->type == FA_SETTING_TEXT)
            lua_pushstring(L, s->text);
        else if (s->type == FA_SETTING_NUMBER)
            lua_pushnumber(L, s->number);
        else
            lua_pushboolean(L, s->number != 0);
        return 1;
    }
    return 0;
}

static const luaL_Reg methods[] = {
    {"close", close_app}, {"settle", settle}, {"advance", advance}, {"now", now},         {"left", left},
    {"figures", figures}, {"ledger", ledger}, {"log", log_text},    {"setting", setting}, {NULL, NULL},
};

/* coverage(): {path = {line = hits}}, or nil when it is not wanted. */
static int coverage(lua_State *L)
{
    const fa_spec_run *run = lua_touserdata(L, lua_upvalueindex(1));
    const fa_covered_file *files;
    if (run->coverage == NULL)
        return 0;
    size_t count = fa_spec_coverage_files(run->coverage, &files);
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; ++i) {
        lua_newtable(L);
        for (int line = 1; line <= files[i].lines; ++line) {
            if (files[i].hits[line] == 0)
                continue;
            lua_pushnumber(L, files[i].hits[line]);
            lua_rawseti(L, -2, line);
        }
        lua_setfield(L, -2, files[i].path);
    }
    return 1;
}

static int open_module(lua_State *L)
{
    const fa_spec_run *run = lua_touserdata(L, lua_upvalueindex(1));
    luaL_newmetatable(L, FA_SPEC_APP);
    lua_pushcfunction(L, collect_app);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_spec_client_open(L);
    fa_spec_upstream_open(L);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushlightuserdata(L, (void *)run);
    lua_pushcclosure(L, open_app, 1);
    lua_setfield(L, -2, "open");
    lua_pushlightuserdata(L, (void *)run);
    lua_pushcclosure(L, coverage, 1);
    lua_setfield(L, -2, "coverage");
    lua_pushstring(L, run->state_dir);
    lua_setfield(L, -2, "state_dir");
    return 1;
}

void fa_spec_lua_open(lua_State *L, const fa_spec_run *run)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushlightuserdata(L, (void *)run);
    lua_pushcclosure(L, open_module, 1);
    lua_setfield(L, -2, "fitnessally.testing.native");
    lua_pop(L, 2);
}
