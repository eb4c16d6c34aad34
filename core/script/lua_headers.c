/* What a script says in the head of an answer: headers, cookies, redirects, validators, the name of a download. Cookies and the
 * like are noted in the exchange, so that they come along with whatever answers it. */
#include <string.h>

#include "base/units.h"
#include "exchange/cookie.h"
#include "exchange/disposition.h"
#include "exchange/head.h"
#include "media/conditions.h"
#include "media/validators.h"
#include "script/internal.h"

/* ---- helpers for all who answer ---- */

void fa_lua_add_header(lua_State *L, fa_lua_headers *list, fa_text name, fa_text value)
{
    if (list->count == MAX_RESPONSE_HEADERS)
        luaL_error(L, "more than %d response headers", MAX_RESPONSE_HEADERS);
    list->entries[list->count++] = (fa_header){name, value};
}

static fa_text text_at(lua_State *L, int index)
{
    fa_text text;
    text.data = luaL_checklstring(L, index, &text.length);
    return text;
}

/* On top of the stack. */
static fa_text value_at(lua_State *L, fa_text name)
{
    if (!lua_isstring(L, -1))
        luaL_error(L, "the header %s has a %s for its value, not a text", name.data, luaL_typename(L, -1));
    return text_at(L, -1);
}

/* The value, or the list of values, on top stays there: its texts are borrowed. */
static void read_values(lua_State *L, fa_lua_headers *list, fa_text name)
{
    if (!lua_istable(L, -1)) {
        fa_lua_add_header(L, list, name, value_at(L, name));
        return;
    }
    int table = lua_gettop(L), count = (int)lua_objlen(L, table);
    luaL_checkstack(L, count + 4, "too many headers");
    for (int i = 1; i <= count; ++i) {
        lua_rawgeti(L, table, i);
        fa_lua_add_header(L, list, name, value_at(L, name));
    }
    lua_pushvalue(L, table);
}

/* The texts stay on the Lua stack, so they live until the answer is made. */
void fa_lua_read_headers(lua_State *L, int index, fa_lua_headers *list)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        int key = lua_gettop(L) - 1;
        luaL_checkstack(L, 4, "too many headers");
        if (lua_type(L, key) != LUA_TSTRING) /* and lua_next would not bear a number that becomes a text */
            luaL_error(L, "the name of a header is a text");
        read_values(L, list, text_at(L, key));
        lua_pushvalue(L, key); /* the values stay below, the key goes on */
    }
}

int fa_lua_check_answered(lua_State *L, fa_result result)
{
    if (result == FA_INVALID)
        return luaL_error(
            L, "a response header has a name that is no token or the server's own, or a line break or a NUL in it");
    if (result == FA_WRONG_STATE)
        return luaL_error(L, "this request has been answered already, or its client is gone");
    if (result != FA_OK)
        return luaL_error(L, "the answer could not be made: %s", fa_result_name(result));
    return 0;
}

fa_exchange *fa_lua_check_unanswered(lua_State *L)
{
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    if (exchange->status != 0 || exchange->promised || exchange->gone)
        fa_lua_check_answered(L, FA_WRONG_STATE);
    return exchange;
}

uint64_t fa_lua_opt_duration(lua_State *L, int index, const char *what, uint64_t fallback)
{
    fa_error error;
    uint64_t milliseconds = fallback;
    if (lua_isnoneornil(L, index))
        return fallback;
    if (lua_type(L, index) == LUA_TSTRING) {
        if (fa_parse_duration(lua_tostring(L, index), &milliseconds, &error) != FA_OK)
            luaL_error(L, "%s: %s", what, error.text);
        return milliseconds;
    }
    lua_Number number = luaL_checknumber(L, index);
    if (!(number >= 0 && number <= 86400000.0))
        luaL_error(L, "%s is 0 to 86400000 milliseconds, or a text such as \"15s\"", what);
    return (uint64_t)number;
}

static void note(lua_State *L, fa_exchange *exchange, fa_added_kind kind, fa_text name, fa_text value)
{
    fa_result result = fa_exchange_add_header(exchange, kind, name, value);
    if (result == FA_WRONG_STATE && exchange->status != 0 && !exchange->gone)
        luaL_error(
            L,
            "this header comes too late: the answer, %d, has been made; add it before next(req), or in the phase "
            "`response` of a plugin",
            exchange->status);
    if (result == FA_FULL)
        luaL_error(L, "more than %d headers are added to one answer", FA_MAX_ADDED_HEADERS);
    fa_lua_check_answered(L, result);
}

/* ---- headers that whatever answers bears ---- */

static int add_noted(lua_State *L, fa_added_kind kind)
{
    char lower[64];
    fa_exchange *exchange = fa_lua_check_exchange(L, 1); /* it may be promised: there is no head yet */
    fa_text name = text_at(L, 2);
    if (name.length > sizeof(lower))
        return luaL_error(L, "the name of a header is longer than %d bytes", (int)sizeof(lower));
    for (size_t i = 0; i < name.length; ++i)
        lower[i] = name.data[i] >= 'A' && name.data[i] <= 'Z' ? (char)(name.data[i] - 'A' + 'a') : name.data[i];
    note(L, exchange, kind, (fa_text){lower, name.length}, text_at(L, 3));
    return 0;
}

static int request_add_header(lua_State *L)
{
    return add_noted(L, FA_ADDED_LINE);
}

static int request_set_header(lua_State *L)
{
    return add_noted(L, FA_ADDED_INSTEAD);
}

/* ---- cookies ---- */

static int request_cookie(lua_State *L)
{
    fa_text value;
    const fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    if (!fa_cookie_find(exchange, text_at(L, 2), &value)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, value.data, value.length);
    return 1;
}

static fa_text text_option(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name); /* stays on the stack */
    return lua_isnil(L, -1) ? FA_TEXT("") : text_at(L, -1);
}

static bool flag_option(lua_State *L, const char *name, bool fallback)
{
    lua_getfield(L, 4, name);
    bool flag = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

/* Seconds, or a text such as "12h". */
static int64_t age_option(lua_State *L)
{
    lua_getfield(L, 4, "max_age");
    if (lua_isnil(L, -1))
        return -1;
    if (lua_type(L, -1) == LUA_TSTRING)
        return (int64_t)(fa_lua_opt_duration(L, -1, "max_age", 0) / 1000);
    lua_Number seconds = luaL_checknumber(L, -1);
    if (!(seconds >= 0 && seconds <= 34560000.0)) /* 400 days: what browsers cut it to */
        luaL_error(L, "max_age is 0 to 34560000 seconds, or a text such as \"12h\"");
    return (int64_t)seconds;
}

static const char *same_site_option(lua_State *L)
{
    static const char *const known[] = {"Strict", "Lax", "None"};
    lua_getfield(L, 4, "same_site");
    if (lua_isnil(L, -1))
        return "Lax";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        if (lua_isstring(L, -1) && fa_text_is(text_at(L, -1), known[i]))
            return known[i];
    }
    luaL_error(L, "same_site is Strict, Lax or None");
    return NULL; /* not reached */
}

static const char *const cookie_options[] = {"path",      "domain",      "max_age",   "secure",
                                             "http_only", "partitioned", "same_site", NULL};

static int request_set_cookie(lua_State *L)
{
    fa_error error;
    size_t length;
    char line[FA_COOKIE_SIZE];
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    lua_settop(L, 4);
    if (lua_isnil(L, 4)) {
        lua_newtable(L);
        lua_replace(L, 4);
    }
    fa_lua_check_options(L, 4, "req:set_cookie", cookie_options);
    fa_cookie cookie = {.name = text_at(L, 2),
                        .value = text_at(L, 3),
                        .path = text_option(L, "path"),
                        .domain = text_option(L, "domain"),
                        .max_age = age_option(L),
                        .secure = flag_option(L, "secure", false),
                        .http_only = flag_option(L, "http_only", true),
                        .partitioned = flag_option(L, "partitioned", false),
                        .same_site = same_site_option(L)};
    if (cookie.path.length == 0)
        cookie.path = FA_TEXT("/");
    if (fa_cookie_write(&cookie, line, &length, &error) != FA_OK)
        return luaL_error(L, "%s", error.text);
    note(L, exchange, FA_ADDED_LINE, FA_TEXT("set-cookie"), (fa_text){line, length});
    return 0;
}

/* ---- redirects and downloads ---- */

static int redirect_status(lua_State *L, const fa_exchange *exchange)
{
    bool safe = exchange->head_only || fa_text_is(exchange->method, "GET");
    int status = (int)luaL_optinteger(L, -1, safe ? 302 : 303);
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        luaL_error(L, "%d is no status of a redirect: 301, 302, 303, 307 or 308", status);
    return status;
}

static int request_redirect(lua_State *L)
{
    bool external = false;
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    fa_text location = text_at(L, 2);
    lua_settop(L, 3);
    if (!lua_isnumber(L, 3))
        fa_lua_check_options(L, 3, "req:redirect", (const char *const[]){"external", "status", NULL});
    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "external");
        external = lua_toboolean(L, -1);
        lua_getfield(L, 3, "status");
    }
    int status = redirect_status(L, exchange);
    fa_location kind = fa_location_kind(location);
    if (kind == FA_LOCATION_BAD)
        return luaL_error(
            L, "req:redirect: no address that a browser may be sent to: http, https or a path, percent-encoded");
    if (kind == FA_LOCATION_ANOTHER && !external)
        return luaL_error(L, "req:redirect: this leads to another host; say external = true when that is meant");
    fa_header header = {FA_TEXT("location"), location};
    return fa_lua_check_answered(L, fa_exchange_reply(exchange, status, &header, 1, NULL));
}

static int request_download(lua_State *L)
{
    char line[FA_DISPOSITION_SIZE];
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    size_t length = fa_disposition_write(line, text_at(L, 2));
    note(L, exchange, FA_ADDED_CONTENT, FA_TEXT("content-disposition"), (fa_text){line, length});
    return 0;
}

/* ---- what the client has already ---- */

/* With its quotes, on top of the stack. */
static fa_text push_etag(lua_State *L, int index)
{
    fa_text tag = text_at(L, index);
    for (size_t i = 0; i < tag.length; ++i) {
        if (tag.data[i] <= ' ' || tag.data[i] == 0x7f || tag.data[i] == '"')
            luaL_error(L, "req:fresh: an etag has no spaces, quotes or control characters");
    }
    lua_pushfstring(L, "\"%s\"", tag.data);
    return text_at(L, -1);
}

static bool has_current(const fa_exchange *exchange, const char *etag, bool dated, int64_t modified)
{
    bool named = fa_exchange_header(exchange, "if-none-match").length != 0;
    if (!exchange->head_only && !fa_text_is(exchange->method, "GET"))
        return false;
    return (named || dated) && fa_conditions_check(exchange, etag, modified) == FA_CONDITION_NOT_MODIFIED;
}

static int request_fresh(lua_State *L)
{
    int64_t modified = 0;
    char date[FA_HTTP_DATE_SIZE];
    fa_text etag = FA_TEXT("");
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "etag");     /* 3 */
    lua_getfield(L, 2, "modified"); /* 4: seconds since 1970 */
    bool dated = !lua_isnil(L, 4);
    if (!lua_isnil(L, 3)) {
        etag = push_etag(L, 3);
        note(L, exchange, FA_ADDED_VALIDATOR, FA_TEXT("etag"), etag);
    }
    if (dated) {
        modified = (int64_t)luaL_checknumber(L, 4);
        fa_http_date_write(date, modified);
        note(L, exchange, FA_ADDED_VALIDATOR, FA_TEXT("last-modified"), (fa_text){date, strlen(date)});
    }
    bool current = has_current(exchange, etag.data, dated, modified);
    if (current)
        fa_lua_check_answered(L, fa_exchange_reply(exchange, 304, NULL, 0, NULL));
    lua_pushboolean(L, current);
    return 1;
}

void fa_open_headers(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"cookie", request_cookie},         {"set_cookie", request_set_cookie},
        {"redirect", request_redirect},     {"download", request_download},
        {"fresh", request_fresh},           {"add_header", request_add_header},
        {"set_header", request_set_header}, {NULL, NULL},
    };
    fa_lua_request_methods(L, methods, (const char *const[]){NULL});
}
