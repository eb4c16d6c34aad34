/* Clients without sockets, as specs hold them. */
#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "memory/buffer.h"
#include "server/spec_lua.h"

#define CLIENT "fitnessally.spec.client"

typedef struct fa_spec_client {
    fa_list link;           /* in fa_spec_handle.clients */
    fa_spec_handle *handle; /* NULL once the app is closed */
    fa_inprocess *client;   /* NULL: let go */
} fa_spec_client;

enum { MOST_HEADERS = 100 };

/* What a wait waits for. */
typedef struct expected {
    const fa_inprocess_answer *answer;
    bool end;    /* that nothing more comes; else */
    size_t more; /* more than so many bytes of the body; with 0 bytes a head is enough */
} expected;

static fa_spec_client *check_client(lua_State *L)
{
    fa_spec_client *c = luaL_checkudata(L, 1, CLIENT);
    if (c->client == NULL)
        luaL_error(L, c->handle == NULL ? "the app is closed" : "this client is gone");
    return c;
}

static void let_go(fa_spec_client *c)
{
    fa_list_remove(&c->link);
    if (c->client != NULL)
        fa_inprocess_free(c->client);
    c->client = NULL;
}

void fa_spec_clients_forget(fa_spec_handle *handle)
{
    for (fa_list *node; (node = fa_list_first(&handle->clients)) != NULL;) {
        fa_spec_client *c = FA_OBJECT(node, fa_spec_client, link);
        let_go(c);
        c->handle = NULL;
    }
}

/* ---- asking ---- */

/* {name, value, name, value, ...} at `index`; the strings stay on the stack. */
static void read_headers(lua_State *L, int index, const char *headers[2 * MOST_HEADERS + 1])
{
    size_t count = lua_objlen(L, index);
    if (count > 2 * MOST_HEADERS || count % 2 != 0)
        luaL_error(L, "at most %d headers, each a name and a value", MOST_HEADERS);
    luaL_checkstack(L, (int)count + 4, "headers");
    for (size_t i = 0; i < count; ++i) {
        lua_rawgeti(L, index, (int)i + 1);
        headers[i] = luaL_checkstring(L, -1);
    }
    headers[count] = NULL;
}

/* app:ask(method, target, headers, body or nil, remote, stepped): a client. */
static int ask(lua_State *L)
{
    fa_spec_handle *handle = fa_spec_check(L, 1);
    const char *headers[2 * MOST_HEADERS + 1];
    size_t body_length = 0;
    const char *body = lua_isnil(L, 5) ? NULL : luaL_checklstring(L, 5, &body_length);
    fa_inprocess_request request = {.method = luaL_checkstring(L, 2),
                                    .target = luaL_checkstring(L, 3),
                                    .headers = headers,
                                    .body = body,
                                    .body_length = body_length,
                                    .remote = luaL_checkstring(L, 6),
                                    .stepped = lua_toboolean(L, 7)};
    read_headers(L, 4, headers);
    fa_spec_client *c = lua_newuserdata(L, sizeof(*c));
    memset(c, 0, sizeof(*c));
    fa_list_init(&c->link);
    c->handle = handle;
    luaL_getmetatable(L, CLIENT);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 0); /* keeps the app alive */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    fa_spec_enter(handle, L);
    fa_result result = fa_spec_app_ask(handle->app, &request, &c->client);
    if (result == FA_OK)
        fa_list_append(&handle->clients, &c->link);
    fa_spec_leave(handle, L);
    return result == FA_OK ? 1 : luaL_error(L, "the request could not be made: %s", fa_result_name(result));
}

/* ---- waiting ---- */

static bool has_come(void *context)
{
    const expected *e = context;
    const fa_inprocess_answer *answer = e->answer;
    if (answer->ended || e->end)
        return answer->ended;
    return e->more == 0 ? answer->status != 0 : fa_buffer_length(answer->body) >= e->more;
}

/* client:wait("end" or bytes, patience in ms): whether that has come. Bytes: the body is at least so long, 0: its head is there; or it has
 * ended. */
static int await(lua_State *L)
{
    fa_spec_client *c = check_client(L);
    expected e = {.answer = fa_inprocess_answered(c->client), .end = lua_type(L, 2) == LUA_TSTRING};
    e.more = e.end ? 0 : (size_t)luaL_checknumber(L, 2);
    fa_spec_enter(c->handle, L);
    bool came = fa_spec_app_wait(c->handle->app, has_come, &e, (uint64_t)luaL_checknumber(L, 3));
    fa_spec_leave(c->handle, L);
    lua_pushboolean(L, came);
    return 1;
}

/* client:take(bytes or nil for all there will be) */
static int take(lua_State *L)
{
    fa_spec_client *c = check_client(L);
    fa_inprocess_take(c->client, lua_isnoneornil(L, 2) ? SIZE_MAX : (size_t)luaL_checknumber(L, 2));
    return 0;
}

static int feed(lua_State *L)
{
    size_t length;
    fa_spec_client *c = check_client(L);
    const char *bytes = luaL_checklstring(L, 2, &length);
    fa_result result = fa_inprocess_feed(c->client, bytes, length);
    return result == FA_OK ? 0 : luaL_error(L, "nothing can be sent any more: %s", fa_result_name(result));
}

static int vanish(lua_State *L)
{
    fa_spec_client *c = check_client(L);
    fa_spec_enter(c->handle, L);
    fa_inprocess_vanish(c->client);
    fa_spec_leave(c->handle, L);
    return 0;
}

static int release(lua_State *L)
{
    fa_spec_client *c = luaL_checkudata(L, 1, CLIENT);
    if (c->client == NULL)
        return 0;
    fa_spec_enter(c->handle, L);
    let_go(c);
    fa_spec_leave(c->handle, L);
    return 0;
}

/* Nobody holds it any more; the module keeps those whose requests run. */
static int collect(lua_State *L)
{
    let_go(luaL_checkudata(L, 1, CLIENT));
    return 0;
}

/* ---- looking ---- */

/* client:state(): status, ended, complete, bytes of the body, bytes that wait to be taken */
static int state(lua_State *L)
{
    const fa_spec_client *c = check_client(L);
    const fa_inprocess_answer *answer = fa_inprocess_answered(c->client);
    lua_pushnumber(L, answer->status);
    lua_pushboolean(L, answer->ended);
    lua_pushboolean(L, answer->complete);
    lua_pushnumber(L, (lua_Number)fa_buffer_length(answer->body));
    lua_pushnumber(L, (lua_Number)fa_inprocess_waiting(c->client));
    return 5;
}

static void push_lower(lua_State *L, fa_text name)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < name.length; ++i) {
        char c = name.data[i];
        luaL_addchar(&b, (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
    luaL_pushresult(&b);
}

/* {["content-type"] = "text/plain"}; several of one name are joined by ", ", cookies by a line feed. */
static int headers_of(lua_State *L)
{
    const fa_inprocess_answer *answer = fa_inprocess_answered(check_client(L)->client);
    lua_newtable(L);
    for (size_t i = 0; i < answer->header_count; ++i) {
        const fa_header *h = &answer->headers[i];
        push_lower(L, h->name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, h->value.data, h->value.length);
        } else {
            lua_pushstring(L, strcasecmp(lua_tostring(L, -2), "set-cookie") == 0 ? "\n" : ", ");
            lua_pushlstring(L, h->value.data, h->value.length);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
    return 1;
}

/* client:body(from): the bytes that have come, from the from-th on (counted from 0). */
static int body(lua_State *L)
{
    const fa_buffer *bytes = fa_inprocess_answered(check_client(L)->client)->body;
    size_t length = fa_buffer_length(bytes), from = (size_t)luaL_optnumber(L, 2, 0);
    from = from < length ? from : length;
    lua_pushlstring(L, length > 0 ? (const char *)fa_buffer_data(bytes) + from : "", length - from);
    return 1;
}

static const luaL_Reg client_methods[] = {
    {"wait", await},  {"take", take},          {"feed", feed}, {"vanish", vanish}, {"release", release},
    {"state", state}, {"headers", headers_of}, {"body", body}, {NULL, NULL},
};

void fa_spec_client_open(lua_State *L)
{
    luaL_newmetatable(L, CLIENT);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, client_methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, ask);
    lua_setfield(L, -2, "ask");
}
