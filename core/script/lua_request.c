/* Requests: dispatch by the route table, and what a handler can ask of and answer to its request. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/lua_websocket.h"
#include "script/route_options.h"

const fa_handle_type fa_type_request = {"request", NULL};

/* What core/script keeps of a request; in memory of the request's scope. */
typedef struct request {
    fa_exchange *exchange;
    fa_script *script;
    fa_route route;
    const fa_script_route *declared;
    bool preflight; /* OPTIONS, answered by what stands around the route that the browser is about to ask */
    fa_handle handle, body;
    bool has_body_handle;
    fa_lua_websocket *websocket; /* NULL: it is answered as a request */
    fa_hold hold;                /* until its task has begun */
    int locals;                  /* registry reference of what its scripts keep with it; LUA_NOREF: nothing yet */
    fa_hold locals_hold;
    fa_scope_hook at_end;
} request;

static request *check_request_at(lua_State *L, int index)
{
    request *r = fa_lua_check(L, index, &fa_type_request, FA_META_REQUEST);
    /* A script that has released the body has none any more. */
    if (r->has_body_handle &&
        fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), r->body, &fa_type_buffer, NULL) == NULL)
        r->exchange->body = NULL;
    return r;
}

static request *check_request(lua_State *L)
{
    return check_request_at(L, 1);
}

fa_exchange *fa_lua_check_exchange(lua_State *L, int index)
{
    return check_request_at(L, index)->exchange;
}

/* ---- dispatch ---- */

/* ---- what its scripts keep with it ---- */

static void drop_locals(request *r)
{
    if (r->locals == LUA_NOREF)
        return;
    luaL_unref(r->script->lua, LUA_REGISTRYINDEX, r->locals);
    r->locals = LUA_NOREF;
    fa_scope_hook_remove(&r->at_end);
    fa_hold_end(&r->locals_hold); /* last: the state may go then */
}

static void on_locals_end(fa_scope_hook *hook)
{
    drop_locals(FA_OBJECT(hook, request, at_end));
}

static void push_locals(lua_State *L, request *r)
{
    if (r->locals == LUA_NOREF) {
        lua_newtable(L);
        r->locals = luaL_ref(L, LUA_REGISTRYINDEX);
        fa_hold_begin(&r->locals_hold, r->script, NULL, r->exchange, FA_HOLD_LOCALS);
        fa_scope_hook_add(r->exchange->scope, &r->at_end, on_locals_end);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->locals);
}

static void on_handler_done(fa_task *task, const char *error, int results, void *context)
{
    request *r = context;
    fa_exchange *exchange = r->exchange;
    const fa_log *log = fa_worker_log(task->script->worker);
    (void)results;
    if (exchange->promised || exchange->finished) /* it may last long, and must not keep the state so long */
        drop_locals(r);
    if (error != NULL) {
        fa_log_write(log, FA_LOG_ERROR, "request %s: %.*s %.*s: %s", exchange->request_id, (int)exchange->method.length,
                     exchange->method.data, (int)exchange->path.length, exchange->path.data, error);
        if (r->websocket != NULL)
            fa_lua_websocket_end(r->websocket, true);
        else if (!exchange->finished &&
                 !exchange->promised && /* a whole answer is not cut for what went wrong after it */
                 !(task->script->options.development &&
                   fa_dev_page_answer(task->script, exchange, error, r->declared->place)))
            fa_exchange_fail(exchange, 500, "script_error",
                             task->script->options.development ? error : "The server made a mistake.", NULL);
    } else if (r->websocket != NULL) {
        fa_lua_websocket_end(r->websocket, false);
    } else if (fa_lua_stream_finish(exchange) || exchange->promised) {
        return;
    } else if (exchange->status == 0) {
        fa_log_write(log, FA_LOG_ERROR, "request %s: the handler at %s returned without an answer",
                     exchange->request_id, r->declared->place);
        fa_exchange_fail(exchange, 500, "no_answer",
                         task->script->options.development
                             ? "The handler returned without an answer (req:reply, req:fail)."
                             : "The server made a mistake.",
                         NULL);
    }
}

static void out_of_room(fa_exchange *exchange)
{
    fa_exchange_fail(exchange, 503, "over_budget", "There is no memory for this request now.",
                     &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
}

const fa_route_options *fa_lua_route_options(lua_State *L, int index)
{
    return check_request_at(L, index)->declared->options;
}

static void run_handler(fa_exchange *exchange)
{
    request *r = exchange->route_state;
    fa_script *script = r->script;
    lua_State *L = script->lua;
    if (fa_handle_make(fa_worker_handles(script->worker), &fa_type_request, r, exchange->scope, exchange->request_id,
                       FA_HERE, &r->handle) != FA_OK) {
        out_of_room(exchange);
        return;
    }
    if (!fa_phases_watch(script, exchange, r->handle, r->declared->folder == NULL)) {
        out_of_room(exchange);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->preflight ? r->declared->preflight : r->declared->handler);
    fa_task *task = fa_task_new(script, L, exchange->scope, on_handler_done, r);
    if (task == NULL) {
        out_of_room(exchange);
        return;
    }
    fa_hold_end(&r->hold);
    task->exchange = exchange;
    exchange->story.handler_us = fa_worker_now_us(script->worker);
    fa_lua_push_handle(task->co, r->handle, FA_META_REQUEST);
    fa_task_resume(task, 1);
}

/* NULL: it has been answered. */
static request *take_up(fa_script *script, fa_exchange *exchange, const fa_route *route)
{
    request *r = fa_scope_allocate(exchange->scope, sizeof(*r));
    if (r == NULL) {
        out_of_room(exchange);
        return NULL;
    }
    r->script = script;
    r->exchange = exchange;
    r->route = *route;
    r->declared = &script->routes[route->target];
    r->locals = LUA_NOREF;
    exchange->route_state = r;
    fa_hold_begin(&r->hold, script, exchange->scope, exchange, FA_HOLD_REQUEST);
    return r;
}

/* The media floor wants the mount until the end of the exchange, and the state may be gone before: what it needs then is copied, so that
 * no download keeps old scripts. */
static void serve_folder(const fa_script *script, fa_exchange *exchange, const mount *folder)
{
    fa_text path = exchange->path;
    size_t length = strlen(folder->media.root) + 1;
    fa_media_mount *own = fa_scope_allocate(exchange->scope, sizeof(*own) + length);
    if (own == NULL) {
        out_of_room(exchange);
        return;
    }
    *own = folder->media;
    own->root = memcpy(own + 1, folder->media.root, length);
    path.data += folder->prefix_length;
    path.length -= folder->prefix_length;
    fa_media_serve(script->options.media, exchange, own, path); /* the index is asked for at once only */
}

static void serve(fa_script *script, fa_exchange *exchange, const fa_route *route)
{
    const fa_script_route *declared = &script->routes[route->target];
    exchange->story.route = declared->pattern;
    if (declared->handler == LUA_NOREF)
        serve_folder(script, exchange, declared->folder);
    else if (take_up(script, exchange, route) != NULL &&
             fa_route_admit(script, exchange, declared->options, run_handler))
        run_handler(exchange);
}

static fa_route_key key_of(const fa_exchange *exchange, fa_text method)
{
    return (fa_route_key){method, fa_exchange_header(exchange, "host"), exchange->path};
}

static void reply_methods(fa_exchange *exchange, const char *allow)
{
    fa_header header = {FA_TEXT("allow"), {allow, strlen(allow)}};
    fa_exchange_reply(exchange, 204, &header, 1, NULL);
}

/* OPTIONS where no route answers it. A browser says which method it is about to ask for: what stands around that route (a policy of
 * origins, above all) has its say. */
static void serve_options(fa_script *script, fa_exchange *exchange, const char *allow)
{
    char unused[FA_ALLOW_SIZE];
    fa_route route;
    fa_route_key asked = key_of(exchange, fa_exchange_header(exchange, "access-control-request-method"));
    request *r;
    if (asked.method.length == 0 || fa_router_match(script->router, &asked, &route, unused) != FA_OK ||
        script->routes[route.target].preflight == LUA_NOREF) {
        reply_methods(exchange, allow);
    } else if ((r = take_up(script, exchange, &route)) != NULL) {
        r->preflight = true;
        run_handler(exchange);
    }
}

static void serve_other_method(fa_script *script, fa_exchange *exchange, const char *allow)
{
    char unused[FA_ALLOW_SIZE];
    fa_route route;
    fa_route_key get = key_of(exchange, FA_TEXT("GET"));
    /* Whether a path below a static folder exists at all, only the folder knows: unknown is 404, not 405. */
    if (fa_router_match(script->router, &get, &route, unused) == FA_OK && script->routes[route.target].folder != NULL &&
        !fa_text_is(exchange->method, "OPTIONS"))
        serve(script, exchange, &route);
    else if (fa_text_is(exchange->method, "OPTIONS"))
        serve_options(script, exchange, allow);
    else if (!fa_dev_missing(script, exchange, allow))
        fa_exchange_fail(exchange, 405, "method_not_allowed", "This path does not answer to this method.",
                         &(fa_header){FA_TEXT("allow"), {allow, strlen(allow)}});
}

void fa_script_handle(fa_exchange *exchange, void *context)
{
    char allow[FA_ALLOW_SIZE];
    fa_route route;
    fa_script *script = context;
    fa_route_key key = key_of(exchange, exchange->method);
    exchange->story.generation = script->options.generation;
    if (fa_text_is(exchange->target, "*")) { /* the edge lets only OPTIONS have it: it asks about the whole server */
        fa_exchange_reply(exchange, 204, NULL, 0, NULL);
        return;
    }
    if (exchange->path.length == 0) {
        fa_exchange_fail(exchange, 400, "bad_path", "The path of this request is malformed.", NULL);
        return;
    }
    switch (fa_router_match(script->router, &key, &route, allow)) {
    case FA_OK:
        serve(script, exchange, &route);
        break;
    case FA_UNSUPPORTED:
        serve_other_method(script, exchange, allow);
        break;
    default:
        if (fa_dev_missing(script, exchange, NULL))
            break;
        fa_exchange_fail(exchange, 404, "not_found", "There is nothing at this path.", NULL);
    }
}

/* ---- handlers of ours, behind what an app puts before them ---- */

int fa_lua_serve_folder(lua_State *L)
{
    fa_lua_check_unanswered(L);
    const request *r = check_request(L);
    r->exchange->promised = true; /* the disk may be asked first */
    serve_folder(r->script, r->exchange, r->declared->folder);
    return 0;
}

int fa_lua_answer_options(lua_State *L)
{
    char allow[FA_ALLOW_SIZE];
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    fa_route_key key = key_of(exchange, exchange->method);
    fa_router_methods(check_request(L)->script->router, &key, allow);
    reply_methods(exchange, allow);
    return 0;
}

/* upgrade(request, what its route says): the WebSocket; nothing when the request has been refused. */
int fa_lua_upgrade(lua_State *L)
{
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    request *r = check_request(L);
    r->websocket = fa_lua_websocket_open(r->script, exchange, lua_touserdata(L, 2));
    if (r->websocket == NULL)
        return 0;
    fa_lua_push_websocket(L, r->websocket);
    return 1;
}

int fa_lua_current_request(lua_State *L)
{
    const fa_task *task = fa_script_of(L)->current;
    if (task == NULL || task->exchange == NULL || task->scope == NULL)
        return luaL_error(L, "next: this is not the task of a request; say next(req)");
    const request *r = task->exchange->route_state;
    fa_lua_push_handle(L, r->handle, FA_META_REQUEST);
    return 1;
}

/* ---- reading ---- */

static void push_text(lua_State *L, fa_text text)
{
    lua_pushlstring(L, text.data, text.length);
}

static int push_params(lua_State *L, const request *r)
{
    lua_createtable(L, 0, (int)r->route.parameter_count);
    for (size_t i = 0; i < r->route.parameter_count; ++i) {
        push_text(L, r->route.parameters[i].name);
        push_text(L, r->route.parameters[i].value);
        lua_rawset(L, -3);
    }
    return 1;
}

static int push_body(lua_State *L, request *r)
{
    fa_exchange *exchange = r->exchange;
    if (exchange->body == NULL)
        return 0;
    if (!r->has_body_handle) {
        if (fa_handle_make(fa_worker_handles(fa_script_of(L)->worker), &fa_type_buffer, exchange->body, exchange->scope,
                           "request body", fa_script_here(L), &r->body) != FA_OK)
            return luaL_error(L, "no handle for the request body");
        r->has_body_handle = true;
    }
    fa_lua_push_handle(L, r->body, FA_META_BUFFER);
    return 1;
}

/* nil until it is answered. */
static void push_status(lua_State *L, const fa_exchange *exchange)
{
    if (exchange->status != 0)
        lua_pushinteger(L, exchange->status);
    else
        lua_pushnil(L);
}

static void push_traceparent(lua_State *L, fa_exchange *exchange)
{
    char text[FA_TRACEPARENT_SIZE];
    lua_pushstring(L, fa_trace_parent(fa_exchange_trace(exchange), text));
}

/* What it is called elsewhere. */
static int no_such_member(lua_State *L, const char *key)
{
    static const char *const here[][2] = {{"headers", "req:header(\"name\")"},
                                          {"cookies", "req:cookie(\"name\")"},
                                          {"send", "req:reply { text = ... }"},
                                          {"url", "req.path, req:query(\"name\")"},
                                          {"ip", "req.remote"}};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); ++i) {
        if (strcmp(key, here[i][0]) == 0)
            return luaL_error(L, "a request has no \"%s\"; it is %s", key, here[i][1]);
    }
    return luaL_error(L, "a request has no \"%s\"", key);
}

static int request_index(lua_State *L)
{
    request *r = check_request(L);
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1)); /* methods */
    if (!lua_isnil(L, -1))
        return 1;
    if (strcmp(key, "method") == 0)
        push_text(L, r->exchange->method);
    else if (strcmp(key, "path") == 0)
        push_text(L, r->exchange->path);
    else if (strcmp(key, "remote") == 0)
        push_text(L, r->exchange->remote);
    else if (strcmp(key, "id") == 0)
        lua_pushstring(L, r->exchange->request_id);
    else if (strcmp(key, "locals") == 0)
        push_locals(L, r);
    else if (strcmp(key, "status") == 0)
        push_status(L, r->exchange);
    else if (strcmp(key, "trace_id") == 0)
        lua_pushstring(L, fa_exchange_trace(r->exchange)->trace_id);
    else if (strcmp(key, "traceparent") == 0)
        push_traceparent(L, r->exchange);
    else if (strcmp(key, "params") == 0)
        return push_params(L, r);
    else if (strcmp(key, "body") == 0)
        return push_body(L, r);
    else
        return no_such_member(L, key);
    return 1;
}

/* nil, and not no value at all: tonumber(req:query("none")) would be an error. */
static int push_nothing(lua_State *L)
{
    lua_pushnil(L);
    return 1;
}

static int request_header(lua_State *L)
{
    request *r = check_request(L);
    fa_text value = fa_exchange_header(r->exchange, luaL_checkstring(L, 2));
    if (value.length == 0)
        return push_nothing(L);
    push_text(L, value);
    return 1;
}

static int request_query(lua_State *L)
{
    size_t length;
    request *r = check_request(L);
    const char *value = fa_exchange_query(r->exchange, luaL_checkstring(L, 2), &length);
    if (value == NULL)
        return push_nothing(L);
    lua_pushlstring(L, value, length);
    fa_scope_free(r->exchange->scope, (void *)value); /* else a script that asks in a loop fills the request */
    return 1;
}

/* ---- answering ---- */

static fa_text text_at(lua_State *L, int index)
{
    fa_text text;
    text.data = luaL_checklstring(L, index, &text.length);
    return text;
}

static fa_buffer *buffer_of_text(lua_State *L, fa_exchange *exchange, fa_text text)
{
    fa_buffer *buffer;
    fa_result result = fa_buffer_new(exchange->scope, text.length, "answer", fa_script_here(L), &buffer);
    if (result == FA_OK)
        result = fa_buffer_append(buffer, text.data, text.length);
    fa_lua_check_answered(L, result);
    fa_buffer_seal(buffer);
    fa_lua_count_copy(L, text.length);
    return buffer;
}

/* Upvalues: the names of its fields. They are interned, and pushed for a third of what lua_getfield takes to find them. */
static const char *const reply_fields[] = {"status", "headers", "type", "body", "json", "text", NULL};

static void get_reply_fields(lua_State *L)
{
    for (int i = 1; reply_fields[i - 1] != NULL; ++i) {
        lua_pushvalue(L, lua_upvalueindex(i));
        lua_gettable(L, 2);
    }
}

/* A misspelt field would be forgotten in silence. It costs what a hundredth of a request does, so production looks only at answers that have
 * nothing to say, which most often have it in the wrong place. */
static int check_reply_fields(lua_State *L)
{
    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
        int i = 0;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "of no name";
        while (reply_fields[i] != NULL && strcmp(reply_fields[i], key) != 0)
            ++i;
        if (reply_fields[i] == NULL)
            return luaL_error(
                L, "reply: there is no field %s; an answer has status, headers, type, and json, text or body", key);
    }
    return 0;
}

static int reply_status(lua_State *L, bool has_body)
{
    if (!lua_isnil(L, 3) && !lua_isnumber(L, 3))
        return luaL_error(L, "reply: status is a %s, not a number", luaL_typename(L, 3));
    int status = (int)luaL_optinteger(L, 3, has_body ? 200 : 204);
    if (status < 200 || status > 599)
        return luaL_error(L, "status %d is not one that a handler can answer with", status);
    return status;
}

static int request_reply(lua_State *L)
{
    fa_buffer *body = NULL;
    fa_lua_headers headers = {.count = 0};
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    get_reply_fields(L); /* 3 status, 4 headers, 5 type, 6 body, 7 json, 8 text */
    if (((const request *)exchange->route_state)->script->options.development ||
        (lua_isnil(L, 6) && lua_isnil(L, 7) && lua_isnil(L, 8)))
        check_reply_fields(L);
    const char *type = lua_tostring(L, 5);
    if (lua_isstring(L, 6))
        return luaL_error(L, "reply: body takes a buffer; a text is given as text");
    if (!lua_isnil(L, 6)) {
        body = fa_lua_check(L, 6, &fa_type_buffer, FA_META_BUFFER);
        if (!fa_buffer_sealed(body))
            return luaL_error(L, "only a sealed buffer can be sent: call body:seal() first");
        type = type != NULL ? type : "application/octet-stream";
    } else if (!lua_isnil(L, 7)) {
        fa_lua_encode_json(L, 7);
        body = buffer_of_text(L, exchange, text_at(L, -1));
        type = type != NULL ? type : "application/json";
    } else if (!lua_isnil(L, 8)) {
        if (!lua_isstring(L, 8))
            return luaL_error(L, "reply: text is a %s, not a text", luaL_typename(L, 8));
        body = buffer_of_text(L, exchange, text_at(L, 8));
        type = type != NULL ? type : "text/plain; charset=utf-8";
    }
    int status = reply_status(L, body != NULL);
    if (type != NULL)
        fa_lua_add_header(L, &headers, FA_TEXT("content-type"), (fa_text){type, strlen(type)});
    fa_lua_read_headers(L, 4, &headers);
    return fa_lua_check_answered(L, fa_exchange_reply(exchange, status, headers.entries, headers.count, body));
}

static void push_reply(lua_State *L)
{
    int count = 0;
    for (; reply_fields[count] != NULL; ++count)
        lua_pushstring(L, reply_fields[count]);
    lua_pushcclosure(L, request_reply, count);
}

static int request_fail(lua_State *L)
{
    fa_lua_headers headers = {.count = 0};
    fa_exchange *exchange = check_request(L)->exchange;
    fa_lua_check_unanswered(L);
    int status = (int)luaL_checkinteger(L, 2);
    const char *code = luaL_checkstring(L, 3), *message = luaL_checkstring(L, 4);
    lua_settop(L, 5);
    fa_lua_read_headers(L, 5, &headers);
    if (headers.count > 1)
        return luaL_error(L, "req:fail takes one header");
    if (status < 400 || status > 599)
        return luaL_error(L, "status %d is not an error", status);
    fa_exchange_fail(exchange, status, code, message, headers.count > 0 ? headers.entries : NULL);
    return 0;
}

void fa_lua_request_methods(lua_State *L, const luaL_Reg *methods, const char *const *waiting)
{
    luaL_getmetatable(L, FA_META_REQUEST);
    lua_getfield(L, -1, "methods");
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, waiting);
    lua_pop(L, 2);
}

void fa_open_request(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"header", request_header},
        {"query", request_query},
        {"json", fa_lua_request_json},
        {"form", fa_lua_request_form},
        {"multipart", fa_lua_request_multipart},
        {"fail", request_fail},
        {NULL, NULL},
    };
    luaL_getmetatable(L, FA_META_REQUEST);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    push_reply(L);
    lua_setfield(L, -2, "reply");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods"); /* other files add theirs: fa_lua_request_methods */
    lua_pushcclosure(L, request_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
