/* Functions of a spec that answer in the place of an upstream. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "memory/buffer.h"
#include "server/spec_lua.h"
#include "upstream/stand_in.h"

/* In memory of the state, kept by the app's environment. */
typedef struct seat {
    fa_spec_handle *handle;
    fa_upstream *upstream;
    int function; /* in the registry */
} seat;

enum { MOST_STEPS = 4096 };

/* ---- what it is asked ---- */

static void set_text(lua_State *L, const char *key, const char *text, size_t length)
{
    lua_pushlstring(L, text, length);
    lua_setfield(L, -2, key);
}

/* "Name: value" becomes name = value. */
static void set_header(lua_State *L, const char *line)
{
    char name[128];
    size_t length = strcspn(line, ":;");
    const char *value = line + length + (line[length] == ':' ? 1 : 0);
    length = length < sizeof(name) - 1 ? length : sizeof(name) - 1;
    for (size_t i = 0; i < length; ++i)
        name[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + ('a' - 'A') : line[i]);
    name[length] = '\0';
    set_text(L, name, value + strspn(value, " "), strlen(value + strspn(value, " ")));
}

static void push_parts(lua_State *L, const fa_stand_in_request *request)
{
    lua_createtable(L, (int)request->part_count, 0);
    for (size_t i = 0; i < request->part_count; ++i) {
        const fa_form_item *part = &request->parts[i];
        lua_createtable(L, 0, 4);
        set_text(L, "name", part->name.data, part->name.length);
        if (part->filename.length > 0)
            set_text(L, "filename", part->filename.data, part->filename.length);
        if (part->type.length > 0)
            set_text(L, "type", part->type.data, part->type.length);
        set_text(L, "body", (const char *)fa_buffer_data(part->body) + part->offset, part->length);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void push_request(lua_State *L, const fa_stand_in_request *request)
{
    lua_createtable(L, 0, 5);
    set_text(L, "method", request->method, strlen(request->method));
    set_text(L, "url", request->url, strlen(request->url));
    lua_createtable(L, 0, (int)request->header_count);
    for (size_t i = 0; i < request->header_count; ++i)
        set_header(L, request->headers[i]);
    lua_setfield(L, -2, "headers");
    if (request->body != NULL)
        set_text(L, "body", (const char *)fa_buffer_data(request->body), fa_buffer_length(request->body));
    if (request->part_count > 0) {
        push_parts(L, request);
        lua_setfield(L, -2, "parts");
    }
}

/* ---- what it says ---- */

static double number_at(lua_State *L, int index, const char *key, double fallback)
{
    lua_getfield(L, index, key);
    double value = lua_isnil(L, -1) ? fallback : lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static bool flag_at(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The text stays where it is: in the table, as long as that is on the stack. */
static const char *text_at(lua_State *L, int index, const char *key, size_t *length)
{
    lua_getfield(L, index, key);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, length) : NULL;
    lua_pop(L, 1);
    return text;
}

static fa_failure_kind read_failure(lua_State *L, int index)
{
    static const fa_failure_kind kinds[] = {FA_FAILED_REFUSED, FA_FAILED_DNS, FA_FAILED_TLS, FA_FAILED_TIMEOUT};
    size_t length;
    const char *name = text_at(L, index, "failure", &length);
    for (size_t i = 0; name != NULL && i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        if (strcmp(name, fa_failure_name(kinds[i])) == 0)
            return kinds[i];
    }
    if (name != NULL)
        luaL_error(L, "an upstream fails as \"refused\", \"dns\", \"tls\" or \"timeout\", not as \"%s\"", name);
    return FA_FAILED_NOT;
}

static size_t read_steps(lua_State *L, int index, fa_stand_in_step *steps)
{
    size_t count = lua_objlen(L, index);
    for (size_t i = 0; i < count; ++i) {
        lua_rawgeti(L, index, (int)i + 1);
        int at = lua_gettop(L);
        steps[i] = (fa_stand_in_step){.after_ms = (uint64_t)number_at(L, at, "after", 0), .cut = flag_at(L, at, "cut")};
        steps[i].bytes = text_at(L, at, "data", &steps[i].length);
        lua_pop(L, 1);
    }
    return count;
}

/* The table on top; it has been made by the module fitnessally.testing. */
static void say(lua_State *L, fa_stand_in_flight *flight)
{
    int index = lua_gettop(L);
    size_t length;
    fa_stand_in_answer answer = {.failure = read_failure(L, index),
                                 .silent = flag_at(L, index, "silent"),
                                 .after_ms = (uint64_t)number_at(L, index, "after", 0),
                                 .status = (int)number_at(L, index, "status", 200),
                                 .head = text_at(L, index, "head", &length)};
    lua_getfield(L, index, "steps");
    if (lua_istable(L, -1)) {
        if (lua_objlen(L, -1) > MOST_STEPS)
            luaL_error(L, "an upstream says at most %d pieces", MOST_STEPS);
        int steps = lua_gettop(L);
        answer.steps = lua_newuserdata(L, (lua_objlen(L, steps) + 1) * sizeof(fa_stand_in_step));
        answer.step_count = read_steps(L, steps, (fa_stand_in_step *)answer.steps);
    }
    fa_result result = fa_stand_in_say(flight, &answer);
    if (result != FA_OK)
        luaL_error(L, "an upstream's answer: %s", fa_result_name(result));
}

typedef struct asking {
    const seat *seat;
    const fa_stand_in_request *request;
    fa_stand_in_flight *flight;
} asking;

static int ask_protected(lua_State *L)
{
    const asking *a = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->seat->function);
    push_request(L, a->request);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1))
        say(L, a->flight);
    return 0;
}

static void on_asked(void *context, const fa_stand_in_request *request, fa_stand_in_flight *flight)
{
    const seat *s = context;
    fa_spec_handle *handle = s->handle;
    lua_State *L = handle->lua;
    asking a = {s, request, flight};
    if (L == NULL || !lua_checkstack(L, 10))
        return;
    if (lua_cpcall(L, ask_protected, &a) == 0)
        return;
    const char *message = lua_tostring(L, -1);
    if (handle->trouble[0] == '\0')
        snprintf(handle->trouble, sizeof(handle->trouble), "%s",
                 message != NULL ? message : "an error without a message");
    lua_pop(L, 1);
}

/* ---- taking its place ---- */

static fa_upstream *find(lua_State *L, fa_spec_handle *handle, const char *name)
{
    char url[200];
    fa_error error = {""};
    fa_upstreams *all = fa_runtime_upstreams(fa_server_runtime(fa_spec_app_server(handle->app)), 0);
    fa_upstream *found = strcmp(name, "fetch") == 0 ? fa_upstreams_fetch(all) : fa_upstreams_find(all, name);
    if (found != NULL)
        return found;
    snprintf(url, sizeof(url), "http://%.100s.invalid", name);
    const fa_upstream_setting setting = {.key = "url", .value = url};
    if (fa_upstreams_define(all, name, &setting, 1, &error) != FA_OK)
        luaL_error(L, "%s", error.text);
    return fa_upstreams_find(all, name);
}

/* app:stand_in(name, function(request)): the function answers for the upstream from now on. */
static int stand_in(lua_State *L)
{
    fa_spec_handle *handle = fa_spec_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    fa_upstream *upstream = find(L, handle, name);
    seat *s = lua_newuserdata(L, sizeof(*s));
    lua_getfenv(L, 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1); /* it is kept */
    lua_pushvalue(L, 3);
    *s = (seat){handle, upstream, luaL_ref(L, LUA_REGISTRYINDEX)}; /* once an upstream and app */
    fa_upstream_stand_in(upstream, on_asked, s);
    return 0;
}

void fa_spec_upstream_open(lua_State *L)
{
    lua_pushcfunction(L, stand_in);
    lua_setfield(L, -2, "stand_in");
}
