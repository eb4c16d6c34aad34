/* upstream.NAME: requests that are answered as a whole, and what else there is to say about an upstream. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/lua_upstream.h"

#define META_UPSTREAM "fitnessally.upstream"
#define META_ERROR    "fitnessally.upstream_error"

/* What scripts hold of an upstream: its name, so that it may be defined anew. */
typedef struct named {
    char name[FA_UPSTREAM_NAME_MAX + 1];
} named;

typedef struct request_op {
    fa_wait wait;
    fa_task *task;
    fa_transfer *transfer; /* NULL: its scope has ended */
    fa_scope_hook gone;
} request_op;

/* ---- errors ---- */

/* Text for people, of an answer that may be anything. */
static bool is_text(const fa_buffer *excerpt)
{
    const uint8_t *bytes = fa_buffer_data(excerpt);
    for (size_t i = 0; i < fa_buffer_length(excerpt); ++i) {
        if ((bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t') || bytes[i] == 0x7f)
            return false;
    }
    return true;
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

static void set_error_meta(lua_State *L)
{
    luaL_getmetatable(L, META_ERROR);
    lua_setmetatable(L, -2);
}

int fa_lua_push_failure(lua_State *L, const fa_transfer *t)
{
    const fa_failure *f = fa_transfer_failure(t);
    const fa_buffer *excerpt = fa_transfer_excerpt(t);
    lua_pushnil(L);
    lua_createtable(L, 0, 8);
    set_text(L, "kind", fa_failure_name(f->kind));
    set_text(L, "message", f->message);
    if (f->which != NULL)
        set_text(L, "which", f->which);
    if (fa_transfer_status(t) != 0)
        set_number(L, "status", fa_transfer_status(t));
    if (fa_transfer_retry_after(t) >= 0)
        set_number(L, "retry_after", (double)fa_transfer_retry_after(t));
    if (excerpt != NULL && fa_buffer_length(excerpt) > 0 && is_text(excerpt)) {
        fa_lua_count_copy(L, fa_buffer_length(excerpt));
        lua_pushlstring(L, (const char *)fa_buffer_data(excerpt), fa_buffer_length(excerpt));
        lua_setfield(L, -2, "excerpt");
    }
    lua_pushboolean(L, f->retryable);
    lua_setfield(L, -2, "retryable");
    set_number(L, "attempts", fa_transfer_attempts(t));
    set_error_meta(L);
    return 2;
}

/* Expected failures only: what a script cannot know beforehand. */
int fa_lua_push_no_start(lua_State *L, fa_result result, const char *message)
{
    if (result == FA_INVALID || result == FA_WRONG_STATE)
        return luaL_error(L, "%s", message);
    lua_pushnil(L);
    lua_createtable(L, 0, 4);
    set_text(L, "kind", fa_failure_name(result == FA_UNSUPPORTED ? FA_FAILED_GUARD : FA_FAILED_MEMORY));
    set_text(L, "message", message);
    lua_pushboolean(L, result != FA_UNSUPPORTED);
    lua_setfield(L, -2, "retryable");
    set_number(L, "attempts", 0);
    set_error_meta(L);
    return 2;
}

static int error_text(lua_State *L)
{
    lua_getfield(L, 1, "message");
    return 1;
}

/* ---- answers ---- */

void fa_lua_push_answer_headers(lua_State *L, const fa_transfer *t)
{
    fa_header h;
    lua_newtable(L);
    for (size_t i = 0; fa_transfer_header(t, i, &h); ++i) {
        lua_pushlstring(L, h.name.data, h.name.length);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, h.value.data, h.value.length);
        } else { /* several of one name */
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, h.value.data, h.value.length);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

/* The whole body as a buffer of the task's scope. False: no room. */
static bool push_body(lua_State *co, fa_transfer *t, fa_scope *scope)
{
    fa_buffer *body = fa_transfer_take(t);
    if (body == NULL) {
        if (fa_buffer_new(scope, 0, "answer", fa_script_here(co), &body) != FA_OK)
            return false;
        fa_buffer_seal(body);
    } else if (fa_buffer_adopt(scope, body) != FA_OK) {
        return false; /* it goes with the transfer */
    }
    return fa_lua_push_buffer(co, body, scope) == 1;
}

static int push_answer(lua_State *co, fa_transfer *t, fa_scope *scope)
{
    if (fa_transfer_failure(t)->kind != FA_FAILED_NOT)
        return fa_lua_push_failure(co, t);
    int top = lua_gettop(co);
    lua_createtable(co, 0, 4);
    if (!push_body(co, t, scope)) {
        lua_settop(co, top);
        return fa_lua_push_no_start(co, FA_NO_MEMORY, "no room for the answer");
    }
    lua_setfield(co, -2, "body");
    set_number(co, "status", fa_transfer_status(t));
    set_number(co, "attempts", fa_transfer_attempts(t));
    fa_lua_push_answer_headers(co, t);
    lua_setfield(co, -2, "headers");
    return 1;
}

/* ---- requests ---- */

static void free_op(request_op *op)
{
    fa_scope_free(op->task->script->scope, op);
}

static void end_transfer(request_op *op)
{
    fa_transfer *transfer = op->transfer;
    if (transfer == NULL)
        return;
    fa_scope_hook_remove(&op->gone);
    fa_transfer_end(transfer);
}

static void cancel_request(fa_wait *wait)
{
    request_op *op = FA_OBJECT(wait, request_op, wait);
    end_transfer(op);
    free_op(op);
}

static void on_gone(fa_scope_hook *hook)
{
    FA_OBJECT(hook, request_op, gone)->transfer = NULL;
}

static void on_done(fa_transfer *t, void *context)
{
    request_op *op = context;
    fa_task *task = op->task;
    int count = push_answer(task->co, t, fa_task_scope_of(task));
    task->wait = NULL;
    end_transfer(op);
    free_op(op);
    fa_task_resume(task, count);
}

static const fa_transfer_user user = {.done = on_done};

static int ask(lua_State *L, fa_upstream *u, const char *what, const char *method)
{
    fa_error error;
    fa_lua_asking asking;
    fa_task *task = fa_task_waiting(L, what);
    fa_scope *scope = fa_task_scope(L);
    fa_lua_read_asking(L, u, lua_gettop(L), what, method, FA_TRANSFER_WHOLE, &asking);
    request_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL) {
        fa_lua_asking_release(&asking);
        return fa_lua_push_no_start(L, FA_NO_MEMORY, "no room for a request");
    }
    op->task = task;
    op->wait.cancel = cancel_request;
    fa_result result =
        fa_transfer_start(u, scope, &asking.request, &user, op, fa_script_here(L), &op->transfer, &error);
    fa_lua_asking_release(&asking);
    if (result != FA_OK) {
        free_op(op);
        return fa_lua_push_no_start(L, result, error.text);
    }
    fa_scope_hook_add(fa_transfer_scope(op->transfer), &op->gone, on_gone);
    return fa_task_wait(L, task, &op->wait);
}

fa_upstream *fa_lua_check_upstream(lua_State *L)
{
    const named *n = luaL_checkudata(L, 1, META_UPSTREAM);
    fa_upstream *u = fa_upstreams_find(fa_script_of(L)->options.upstreams, n->name);
    if (u == NULL)
        luaL_error(L, "there is no upstream \"%s\" any more", n->name);
    return u;
}

/* The options on top: a table, a path, or nothing. */
static void settle_options(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_istable(L, 2))
        return;
    lua_createtable(L, 0, 1);
    if (!lua_isnil(L, 2)) {
        luaL_checkstring(L, 2);
        lua_pushvalue(L, 2);
        lua_setfield(L, -2, "path");
    }
    lua_replace(L, 2);
}

#define METHOD(name, method)                                                                                           \
    static int upstream_##name(lua_State *L)                                                                           \
    {                                                                                                                  \
        fa_upstream *u = fa_lua_check_upstream(L);                                                                     \
        settle_options(L);                                                                                             \
        return ask(L, u, "upstream:" #name, method);                                                                   \
    }
METHOD(get, "GET")
METHOD(head, "HEAD")
METHOD(post, "POST")
METHOD(put, "PUT")
METHOD(patch, "PATCH")
METHOD(delete, "DELETE")
METHOD(request, NULL)

/* fitnessally.fetch{url=} */
static int fetch(lua_State *L)
{
    fa_upstreams *all = fa_script_of(L)->options.upstreams;
    if (all == NULL)
        return luaL_error(L, "fitnessally.fetch: there are no upstreams here");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_getfield(L, 1, "url");
    luaL_checkstring(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, 1, "stream");
    bool stream = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return stream ? fa_lua_upstream_stream(L, fa_upstreams_fetch(all), "fitnessally.fetch")
                  : ask(L, fa_upstreams_fetch(all), "fitnessally.fetch", NULL);
}

/* ---- the rest ---- */

static int upstream_recycle(lua_State *L)
{
    fa_upstream_recycle(fa_lua_check_upstream(L), "asked for");
    return 0;
}

static int upstream_stats(lua_State *L)
{
    fa_upstream_figures f;
    fa_upstream_read(fa_lua_check_upstream(L), &f);
    lua_createtable(L, 0, 13);
    set_text(L, "name", f.name);
    set_number(L, "requests", (double)f.requests);
    set_number(L, "bytes", (double)f.bytes);
    set_number(L, "failed", (double)f.failed);
    set_number(L, "retries", (double)f.retries);
    set_number(L, "moves", (double)f.moves);
    set_number(L, "recycled", (double)f.recycled);
    set_number(L, "running", (double)f.running);
    set_number(L, "waiting", (double)f.waiting);
    set_number(L, "sockets", (double)f.sockets);
    set_number(L, "pools", (double)f.pools);
    lua_pushboolean(L, f.breaker_open);
    lua_setfield(L, -2, "breaker_open");
    return 1;
}

static int upstream_text(lua_State *L)
{
    const named *n = luaL_checkudata(L, 1, META_UPSTREAM);
    lua_pushfstring(L, "upstream %s", n->name);
    return 1;
}

/* up.name, and methods from the table that is the upvalue. */
static int upstream_index(lua_State *L)
{
    const named *n = luaL_checkudata(L, 1, META_UPSTREAM);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "name") == 0) {
        lua_pushstring(L, n->name);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

void fa_lua_push_upstream(lua_State *L, const char *name)
{
    named *n = lua_newuserdata(L, sizeof(*n));
    snprintf(n->name, sizeof(n->name), "%s", name);
    luaL_getmetatable(L, META_UPSTREAM);
    lua_setmetatable(L, -2);
}

/* upstream.NAME: nil when there is none. */
static int find_upstream(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    fa_upstreams *all = fa_script_of(L)->options.upstreams;
    if (all == NULL || (fa_upstreams_find(all, name) == NULL && !fa_script_defines_upstream(fa_script_of(L), name)))
        return 0;
    fa_lua_push_upstream(L, name);
    return 1;
}

/* ---- opening ---- */

static const char *const waiting[] = {"get", "head", "post", "put", "patch", "delete", "request", NULL};

static void open_upstream_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get", upstream_get},         {"head", upstream_head},
        {"post", upstream_post},       {"put", upstream_put},
        {"patch", upstream_patch},     {"delete", upstream_delete},
        {"request", upstream_request}, {"recycle", upstream_recycle},
        {"stats", upstream_stats},     {NULL, NULL},
    };
    luaL_newmetatable(L, META_UPSTREAM);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, waiting);
    fa_lua_upstream_stream_methods(L);
    lua_pushcclosure(L, upstream_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, upstream_text);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "upstreams are defined in the configuration, or by fitnessally.upstream");
}

static void open_upstream_table(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, find_upstream);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "upstream");
}

void fa_open_upstream(lua_State *L)
{
    luaL_newmetatable(L, META_ERROR);
    lua_pushcfunction(L, error_text);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    open_upstream_methods(L);
    open_upstream_table(L);
    lua_getglobal(L, "fitnessally");
    lua_pushcfunction(L, fetch);
    lua_setfield(L, -2, "fetch");
    fa_lua_waits(L, (const char *const[]){"fetch", NULL});
    lua_pushcfunction(L, fa_lua_define_upstream);
    lua_setfield(L, -2, "upstream");
    lua_pop(L, 1);
}
