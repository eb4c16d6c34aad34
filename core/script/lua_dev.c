/* What lua/fitnessally/dev.lua stands on: pages for who develops, in dev mode only. The page of a failed request is in dev_page.c, which
 * needs no Lua that works. */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

#define MISSING "fitnessally.dev.missing" /* in the registry; nil when it could not be loaded */

enum { LONGEST_PATH = 1000 };

/* escape(text): for HTML; what is a secret of the configuration is hidden. */
static int escape(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (size_t i = 0; i < length;) {
        fa_text piece;
        i += fa_dev_piece(fa_script_of(L), text + i, length - i, &piece);
        luaL_addlstring(&out, piece.data, piece.length);
    }
    luaL_pushresult(&out);
    return 1;
}

/* wants_html(request) */
static int wants_html(lua_State *L)
{
    lua_pushboolean(L, fa_dev_wants_html(fa_lua_check_exchange(L, 1)));
    return 1;
}

void fa_dev_load(fa_script *script)
{
    static const luaL_Reg natives[] = {{"escape", escape}, {"wants_html", wants_html}, {NULL, NULL}};
    char path[SCRIPT_PATH_SIZE];
    lua_State *L = script->lua;
    snprintf(path, sizeof(path), "%s/fitnessally/dev.lua", script->options.library);
    int status = fa_script_load_text(L, path, "=fitnessally");
    if (status == 0) {
        lua_newtable(L);
        luaL_register(L, NULL, natives);
        lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.declare");
        lua_setfield(L, -2, "declare");
        lua_pushstring(L, fa_dev_style);
        lua_setfield(L, -2, "style");
        lua_getglobal(L, "app");
        status = fa_script_call(script, 2, 1, 0);
    }
    if (status == 0)
        lua_setfield(L, LUA_REGISTRYINDEX, MISSING);
    else
        fa_log_write(fa_worker_log(script->worker), FA_LOG_WARN, "the pages of dev mode are missing: %s",
                     lua_tostring(L, -1));
    lua_settop(L, 0);
}

static bool reply_page(fa_exchange *exchange, int status, const char *allow, const char *page, size_t length)
{
    fa_buffer *out;
    const fa_header headers[] = {{FA_TEXT("content-type"), FA_TEXT("text/html; charset=utf-8")},
                                 {FA_TEXT("cache-control"), FA_TEXT("no-store")},
                                 {FA_TEXT("allow"), {allow, allow != NULL ? strlen(allow) : 0}}};
    if (fa_buffer_new(exchange->scope, length, "dev page", FA_HERE, &out) != FA_OK)
        return false;
    fa_buffer_append(out, page, length); /* the room is there */
    fa_buffer_seal(out);
    if (fa_exchange_reply(exchange, status, headers, allow != NULL ? 3 : 2, out) == FA_OK)
        return true;
    fa_buffer_release(out);
    return false;
}

/* On the stack: what MISSING gave. */
static bool reply(lua_State *L, fa_exchange *exchange, const char *allow, bool html)
{
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    const fa_header header = {FA_TEXT("allow"), {allow, allow != NULL ? strlen(allow) : 0}};
    if (text == NULL)
        return false;
    if (html)
        return reply_page(exchange, allow != NULL ? 405 : 404, allow, text, length);
    if (allow != NULL)
        fa_exchange_fail(exchange, 405, "method_not_allowed", text, &header);
    else
        fa_exchange_fail(exchange, 404, "not_found", text, NULL);
    return true;
}

bool fa_dev_missing(fa_script *script, fa_exchange *exchange, const char *allow)
{
    lua_State *L = script->lua;
    int top = lua_gettop(L);
    bool html = script->options.development && fa_dev_wants_html(exchange);
    if (!script->options.development || exchange->path.length > LONGEST_PATH)
        return false;
    lua_getfield(L, LUA_REGISTRYINDEX, MISSING);
    if (lua_isnil(L, -1)) {
        lua_settop(L, top);
        return false;
    }
    lua_pushlstring(L, exchange->method.data, exchange->method.length);
    lua_pushlstring(L, exchange->path.data, exchange->path.length);
    lua_pushstring(L, allow);
    lua_pushboolean(L, html);
    bool done = fa_script_call(script, 4, 1, 0) == 0 && reply(L, exchange, allow, html);
    lua_settop(L, top);
    return done;
}
