/* app:websocket: what a handler has of its connection. Frames, pings and closing are the core's (exchange/websocket.h).
 *
 * A message belongs to the request, and to whoever received it until the next one is received: then it is released, unless it has
 * been transferred. So a loop over a million messages holds one of them.
 *
 * Whoever waits lies in the scripts' scope and is resumed by the mailbox, as in lua_stream.c. */
#include "script/lua_websocket.h"

#include <string.h>

#include "base/utf8.h"
#include "memory/buffer.h"

const fa_handle_type fa_type_websocket = {"websocket", NULL};

/* In memory of the request's scope. */
struct fa_lua_websocket {
    fa_list link; /* in fa_script.websockets */
    fa_hold hold;
    fa_script *script;
    fa_exchange *exchange;
    fa_websocket *websocket;
    const char *protocol;
    struct receive_op *receiving;
    fa_handle handle, last; /* last: of the message that was received last, while has_last */
    bool has_last;
    fa_scope_hook at_end;
};

/* A task in ws:receive. */
typedef struct receive_op {
    fa_wait wait;
    fa_task *task;
    fa_lua_websocket *w;
    fa_origin made_at;
} receive_op;

static fa_handle_table *handles_of(const fa_lua_websocket *w)
{
    return fa_worker_handles(w->script->worker);
}

/* ---- receiving ---- */

static void release_last(fa_lua_websocket *w, fa_origin at)
{
    fa_buffer *buffer = w->has_last ? fa_handle_resolve(handles_of(w), w->last, &fa_type_buffer, NULL) : NULL;
    w->has_last = false;
    if (buffer != NULL && fa_buffer_owner(buffer) == w->exchange->scope)
        fa_handle_release(handles_of(w), w->last, &fa_type_buffer, at, NULL);
}

static int push_end(lua_State *L, const fa_lua_websocket *w)
{
    unsigned code = FA_WEBSOCKET_ABNORMAL;
    const char *reason = "";
    bool closed = w != NULL && fa_websocket_closed(w->websocket, &code, &reason);
    lua_pushnil(L);
    lua_pushstring(L, closed ? "closed" : "gone");
    lua_pushinteger(L, (lua_Integer)code);
    lua_pushstring(L, reason);
    return 4;
}

static int push_message(lua_State *L, fa_lua_websocket *w, const fa_websocket_message *message, fa_origin made_at)
{
    fa_result result = fa_handle_make(handles_of(w), &fa_type_buffer, message->buffer, w->exchange->scope,
                                      fa_buffer_label(message->buffer), made_at, &w->last);
    if (result != FA_OK) {
        fa_buffer_release(message->buffer);
        fa_websocket_close(w->websocket, FA_WEBSOCKET_TRY_LATER, "there is no memory for this message");
        return push_end(L, w);
    }
    w->has_last = true;
    fa_lua_push_handle(L, w->last, FA_META_BUFFER);
    lua_pushstring(L, message->text ? "text" : "binary");
    return 2;
}

static void free_receive(receive_op *op)
{
    op->w->receiving = NULL;
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_receive(fa_wait *wait)
{
    free_receive(FA_OBJECT(wait, receive_op, wait));
}

/* message: NULL for the end. */
static void resume_receive(receive_op *op, const fa_websocket_message *message)
{
    fa_task *task = op->task;
    fa_lua_websocket *w = op->w;
    fa_origin made_at = op->made_at;
    task->wait = NULL;
    free_receive(op);
    bool strict = fa_heap_strict(task->script, false);
    task->arguments = message != NULL ? push_message(task->co, w, message, made_at) : push_end(task->co, w);
    fa_heap_strict(task->script, strict);
    fa_task_post(task);
}

static void on_changed(fa_websocket *websocket, void *context)
{
    fa_lua_websocket *w = context;
    fa_websocket_message message;
    if (w->receiving == NULL)
        return;
    if (fa_websocket_take(websocket, &message))
        resume_receive(w->receiving, &message);
    else if (fa_websocket_closed(websocket, NULL, NULL))
        resume_receive(w->receiving, NULL);
}

/* NULL when it is gone; raises when it is no such handle. */
static fa_lua_websocket *websocket_at(lua_State *L)
{
    const fa_lua_handle *h = fa_lua_handle_at(L, 1, FA_META_WEBSOCKET);
    if (h == NULL) {
        luaL_typerror(L, 1, fa_type_websocket.name);
        return NULL; /* not reached */
    }
    return fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_websocket, NULL);
}

static int websocket_receive(lua_State *L)
{
    fa_websocket_message message;
    fa_lua_websocket *w = websocket_at(L);
    fa_task *task = fa_task_waiting(L, "ws:receive");
    if (w == NULL)
        return push_end(L, NULL);
    if (w->receiving != NULL)
        return luaL_error(L, "ws:receive: another task is receiving");
    release_last(w, fa_script_here(L));
    if (fa_websocket_take(w->websocket, &message))
        return push_message(L, w, &message, fa_script_here(L));
    if (fa_websocket_closed(w->websocket, NULL, NULL))
        return push_end(L, w);
    receive_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "ws:receive: no memory");
    *op = (receive_op){.wait.cancel = cancel_receive, .task = task, .w = w, .made_at = fa_script_here(L)};
    w->receiving = op;
    return fa_task_wait(L, task, &op->wait);
}

/* for message, kind in ws:messages() do ... end */
static int websocket_messages(lua_State *L)
{
    websocket_at(L);
    luaL_getmetatable(L, FA_META_WEBSOCKET);
    lua_getfield(L, -1, "methods");
    lua_getfield(L, -1, "receive");
    lua_pushvalue(L, 1);
    return 2;
}

/* ---- sending ---- */

typedef struct send_op {
    fa_wait wait;
    fa_outlet_waiter waiter;
    fa_task *task;
    fa_lua_websocket *w;
    fa_buffer *buffer; /* a lease */
    bool text;
} send_op;

static void free_send(send_op *op)
{
    fa_list_remove(&op->waiter.link);
    fa_buffer_return(op->buffer);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_send(fa_wait *wait)
{
    free_send(FA_OBJECT(wait, send_op, wait));
}

static const char *problem_of(fa_result result)
{
    return result == FA_OK                                      ? NULL
           : result == FA_CANCELLED || result == FA_WRONG_STATE ? "closed"
           : result == FA_FULL                                  ? "full"
                                                                : fa_result_name(result);
}

static void on_room(fa_outlet_waiter *waiter, bool gone)
{
    send_op *op = FA_OBJECT(waiter, send_op, waiter);
    fa_task *task = op->task;
    fa_result result = gone ? FA_CANCELLED : fa_websocket_send(op->w->websocket, op->text, op->buffer);
    task->wait = NULL;
    free_send(op);
    fa_lua_push_result(task, problem_of(result));
    fa_task_post(task);
}

static int push_outcome(lua_State *L, fa_result result)
{
    if (result == FA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, problem_of(result));
    return 2;
}

static int wait_for_room(lua_State *L, fa_lua_websocket *w, bool text, fa_buffer *buffer)
{
    fa_task *task = fa_script_of(L)->current;
    send_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    fa_result result = op != NULL ? fa_buffer_lease(buffer) : FA_NO_MEMORY;
    if (result != FA_OK) {
        fa_scope_free(task->script->scope, op);
        return push_outcome(L, result);
    }
    *op = (send_op){.wait.cancel = cancel_send, .waiter.wake = on_room, .task = task, .w = w, .buffer = buffer};
    op->text = text;
    fa_websocket_wait(w->websocket, fa_buffer_length(buffer), &op->waiter);
    return fa_task_wait(L, task, &op->wait);
}

/* What is to be sent: a sealed buffer of the script, or its text. */
typedef struct words {
    bool text, at_once;
    fa_buffer *buffer;
    fa_text bytes;
} words;

static void read_value(lua_State *L, words *w)
{
    w->buffer = fa_lua_test(L, -1, &fa_type_buffer, FA_META_BUFFER);
    if (w->buffer != NULL && !fa_buffer_sealed(w->buffer))
        luaL_error(L, "only a sealed buffer can be sent: call buf:seal() first");
    if (w->buffer == NULL && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "ws:send takes a buffer or a text");
    if (w->buffer == NULL)
        w->bytes.data = lua_tolstring(L, -1, &w->bytes.length);
}

static void check_text(lua_State *L, const words *w)
{
    const void *data = w->buffer != NULL ? fa_buffer_data(w->buffer) : (const void *)w->bytes.data;
    if (w->text && !fa_utf8_valid(data, w->buffer != NULL ? fa_buffer_length(w->buffer) : w->bytes.length))
        luaL_error(L, "ws:send: a text message must be UTF-8; send it as binary");
}

/* ws:send(buffer), ws:send("text"), ws:send{text=, binary= or json=, wait=}. The text stays on the stack. */
static void read_words(lua_State *L, words *w)
{
    lua_settop(L, 2);
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "wait");
        w->at_once = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
        w->text = true;
        lua_getfield(L, 2, "json");
        if (lua_istable(L, -1)) {
            fa_lua_encode_json(L, -1);
        } else {
            lua_getfield(L, 2, "text");
            w->text = !lua_isnil(L, -1);
            if (!w->text)
                lua_getfield(L, 2, "binary");
        }
    } else {
        w->text = lua_type(L, 2) == LUA_TSTRING;
    }
    read_value(L, w);
    check_text(L, w);
}

static fa_result buffer_of(lua_State *L, const fa_lua_websocket *w, const words *said, fa_buffer **buffer)
{
    fa_result result =
        fa_buffer_new(w->exchange->scope, said->bytes.length, "WebSocket message", fa_script_here(L), buffer);
    if (result != FA_OK)
        return result;
    if (said->bytes.length != 0)
        fa_buffer_append(*buffer, said->bytes.data, said->bytes.length); /* the room is there */
    fa_buffer_seal(*buffer);
    fa_lua_count_copy(L, said->bytes.length);
    return FA_OK;
}

static int websocket_send(lua_State *L)
{
    words said = {0};
    fa_lua_websocket *w = websocket_at(L);
    read_words(L, &said);
    if (!said.at_once)
        fa_task_waiting(L, "ws:send");
    if (w == NULL)
        return push_outcome(L, FA_CANCELLED);
    fa_buffer *buffer = said.buffer;
    fa_result result = buffer == NULL ? buffer_of(L, w, &said, &buffer) : FA_OK;
    if (result != FA_OK)
        return push_outcome(L, result);
    result = fa_websocket_send(w->websocket, said.text, buffer);
    int pushed = result == FA_FULL && !said.at_once ? wait_for_room(L, w, said.text, buffer) : push_outcome(L, result);
    if (said.buffer == NULL)
        fa_buffer_release(buffer);
    return pushed;
}

/* ---- closing ---- */

static int websocket_close(lua_State *L)
{
    size_t length;
    fa_lua_websocket *w = websocket_at(L);
    lua_Integer code = luaL_optinteger(L, 2, FA_WEBSOCKET_NORMAL);
    const char *reason = luaL_optlstring(L, 3, "", &length);
    if (code < 0 || !fa_websocket_code_allowed((unsigned)code))
        return luaL_error(L, "ws:close: %d is no code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999",
                          (int)code);
    if (strlen(reason) != length || !fa_utf8_valid(reason, length))
        return luaL_error(L, "ws:close: the reason must be UTF-8, without a NUL");
    if (w != NULL)
        fa_websocket_close(w->websocket, (unsigned)code, reason);
    return 0;
}

void fa_lua_websocket_end(fa_lua_websocket *w, bool failed)
{
    if (failed)
        fa_websocket_close(w->websocket, FA_WEBSOCKET_ERROR, "the server made a mistake");
    else
        fa_websocket_close(w->websocket, FA_WEBSOCKET_NORMAL, "");
}

void fa_script_close_websockets(fa_script *script)
{
    FA_LIST_EACH(node, &script->websockets)
    fa_websocket_close(FA_OBJECT(node, fa_lua_websocket, link)->websocket, FA_WEBSOCKET_GOING_AWAY,
                       "the server is going away");
}

/* ---- making ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_lua_websocket *w = FA_OBJECT(hook, fa_lua_websocket, at_end);
    fa_list_remove(&w->link);
    if (w->receiving != NULL)
        resume_receive(w->receiving, NULL);
}

static fa_result attach(fa_script *script, fa_exchange *exchange, fa_websocket *websocket, fa_lua_websocket **out)
{
    fa_lua_websocket *w = fa_scope_allocate(exchange->scope, sizeof(*w));
    if (w == NULL)
        return FA_NO_MEMORY;
    w->script = script;
    w->exchange = exchange;
    w->websocket = websocket;
    fa_hold_begin(&w->hold, script, exchange->scope, exchange, FA_HOLD_STREAM);
    fa_result result = fa_handle_make(fa_worker_handles(script->worker), &fa_type_websocket, w, exchange->scope,
                                      exchange->request_id, FA_HERE, &w->handle);
    if (result != FA_OK)
        return result;
    fa_list_append(&script->websockets, &w->link);
    fa_scope_hook_add(exchange->scope, &w->at_end, on_end);
    fa_websocket_listen(websocket, on_changed, w);
    *out = w;
    return FA_OK;
}

static fa_result open_websocket(fa_script *script, fa_exchange *exchange, const fa_websocket_route *route,
                                const fa_websocket_handshake *handshake, fa_lua_websocket **w)
{
    fa_websocket *websocket;
    fa_result result = fa_websocket_open(exchange, handshake, &route->options, &websocket);
    if (result == FA_OK)
        result = attach(script, exchange, websocket, w);
    if (result == FA_OK)
        (*w)->protocol = handshake->protocol;
    return result;
}

fa_lua_websocket *fa_lua_websocket_open(fa_script *script, fa_exchange *exchange, const fa_websocket_route *route)
{
    static const fa_header later = {FA_TEXT("retry-after"), FA_TEXT("1")};
    fa_websocket_handshake handshake;
    fa_lua_websocket *w = NULL;
    fa_websocket_judge(exchange, &route->policy, &handshake);
    if (handshake.status != 101) {
        fa_websocket_refuse(exchange, &handshake);
        return NULL;
    }
    if (script->draining) {
        fa_exchange_fail(exchange, 503, "draining", "The server is going away.", &later);
        return NULL;
    }
    fa_result result = open_websocket(script, exchange, route, &handshake, &w);
    if (result == FA_OK)
        return w;
    if (result == FA_UNSUPPORTED)
        fa_exchange_fail(exchange, 426, "websocket_wanted", "A WebSocket begins with HTTP/1.1.", NULL);
    else
        fa_exchange_fail(exchange, 503, "over_budget", "There is no memory for this connection now.", &later);
    return NULL;
}

void fa_lua_push_websocket(lua_State *L, const fa_lua_websocket *w)
{
    fa_lua_push_handle(L, w->handle, FA_META_WEBSOCKET);
}

static int websocket_index(lua_State *L)
{
    const fa_lua_websocket *w = websocket_at(L);
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    if (strcmp(key, "protocol") != 0)
        return luaL_error(L, "a WebSocket has no \"%s\"", key);
    if (w == NULL || w->protocol == NULL)
        return 0;
    lua_pushstring(L, w->protocol);
    return 1;
}

void fa_open_websocket(lua_State *L)
{
    static const luaL_Reg methods[] = {{"receive", websocket_receive},
                                       {"messages", websocket_messages},
                                       {"send", websocket_send},
                                       {"close", websocket_close},
                                       {NULL, NULL}};
    luaL_getmetatable(L, FA_META_WEBSOCKET);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, (const char *const[]){"receive", "send", NULL});
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods");
    lua_pushcclosure(L, websocket_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
