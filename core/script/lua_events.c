/* req:events: streams of server-sent events that a script makes. Heartbeats, framing and the good-bye are the core's
 * (exchange/events.h). */
#include <string.h>

#include "exchange/sse.h"
#include "memory/buffer.h"
#include "script/lua_websocket.h"

enum { DEFAULT_QUEUE = 256 * 1024 };

const fa_handle_type fa_type_events = {"events", NULL};

/* ---- events:wait ---- */

typedef struct wait_op {
    fa_wait wait;
    fa_list link; /* in fa_lua_stream.waiting */
    fa_task *task;
} wait_op;

static void free_wait(wait_op *op)
{
    fa_list_remove(&op->link);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_wait(fa_wait *wait)
{
    free_wait(FA_OBJECT(wait, wait_op, wait));
}

void fa_lua_stream_tell(fa_lua_stream *s, const char *reason)
{
    for (fa_list *node; (node = fa_list_first(&s->waiting)) != NULL;) {
        wait_op *op = FA_OBJECT(node, wait_op, link);
        fa_task *task = op->task;
        task->wait = NULL;
        free_wait(op);
        bool strict = fa_heap_strict(task->script, false);
        lua_pushstring(task->co, reason);
        task->arguments = 1;
        fa_heap_strict(task->script, strict);
        fa_task_post(task);
    }
}

static int events_wait(lua_State *L)
{
    fa_lua_stream *s = fa_lua_stream_at(L, FA_META_EVENTS);
    fa_task *task = fa_task_waiting(L, "events:wait");
    if (s == NULL || fa_outlet_finished(s->outlet)) {
        lua_pushstring(L, s == NULL || s->exchange->gone ? "gone" : s->drained ? "draining" : "finished");
        return 1;
    }
    wait_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "events:wait: no memory");
    op->wait.cancel = cancel_wait;
    op->task = task;
    fa_list_append(&s->waiting, &op->link);
    return fa_task_wait(L, task, &op->wait);
}

/* ---- events:send ---- */

/* A plain text, or NULL; a number is a text. */
static const char *plain_field(lua_State *L, int index, const char *name)
{
    size_t length;
    if (lua_isnil(L, index))
        return NULL;
    const char *text = luaL_checklstring(L, index, &length);
    if (!fa_sse_is_plain(text, length))
        luaL_error(L, "events:send: %s has a line break or a NUL in it", name);
    return text;
}

/* 3: event, 4: id, 5: data as text or nil, 6: wait. From what send was given: a text, or a table of the four. */
static void read_event(lua_State *L)
{
    lua_settop(L, 2);
    if (!lua_istable(L, 2)) {
        luaL_checkstring(L, 2);
        lua_pushnil(L);
        lua_pushnil(L);
        lua_pushvalue(L, 2);
        lua_pushnil(L);
        return;
    }
    lua_getfield(L, 2, "event");
    lua_getfield(L, 2, "id");
    lua_getfield(L, 2, "data");
    if (lua_istable(L, 5)) {
        fa_lua_encode_json(L, 5);
        lua_replace(L, 5);
    } else if (!lua_isnil(L, 5)) {
        luaL_checkstring(L, 5);
    }
    lua_getfield(L, 2, "wait");
}

static fa_result make_frame(lua_State *L, const fa_lua_stream *s, fa_buffer **out)
{
    size_t length = 0;
    const char *event = plain_field(L, 3, "event"), *id = plain_field(L, 4, "id");
    const char *data = lua_isnil(L, 5) ? NULL : lua_tolstring(L, 5, &length);
    size_t room = length + 64 + (event != NULL ? strlen(event) : 0) + (id != NULL ? strlen(id) : 0);
    if (event == NULL && id == NULL && data == NULL)
        luaL_error(L, "events:send: nothing to send");
    fa_lua_count_copy(L, length);
    fa_result result = fa_buffer_new(s->exchange->scope, room, "event", fa_script_here(L), out);
    if (result != FA_OK)
        return result;
    result = fa_sse_append_text(*out, event, id, data, length);
    if (result != FA_OK)
        fa_buffer_release(*out);
    else
        fa_buffer_seal(*out);
    return result;
}

static int push_problem(lua_State *L, const char *problem)
{
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
}

static int events_send(lua_State *L)
{
    fa_lua_write write = {.what = "events:send", .release = true};
    fa_lua_stream *s = fa_lua_stream_at(L, FA_META_EVENTS);
    read_event(L);
    write.at_once = lua_isboolean(L, 6) && !lua_toboolean(L, 6);
    if (!write.at_once)
        fa_task_waiting(L, write.what);
    if (s == NULL)
        return push_problem(L, "gone");
    fa_result result = make_frame(L, s, &write.buffer);
    return result == FA_OK ? fa_lua_write_to(L, s, &write) : push_problem(L, fa_result_name(result));
}

static int events_finish(lua_State *L)
{
    fa_lua_stream *s = fa_lua_stream_at(L, FA_META_EVENTS);
    if (s == NULL)
        return 0;
    fa_events_close(s->events, s->script->draining);
    fa_lua_stream_tell(s, "finished");
    return 0;
}

static int events_index(lua_State *L)
{
    const fa_lua_stream *s = fa_lua_stream_at(L, FA_META_EVENTS);
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    if (strcmp(key, "last_id") != 0)
        return luaL_error(L, "a stream of events has no \"%s\"", key);
    fa_text id = s != NULL ? fa_exchange_header(s->exchange, "last-event-id") : FA_TEXT("");
    if (id.length == 0)
        return 0;
    lua_pushlstring(L, id.data, id.length);
    return 1;
}

/* ---- req:events ---- */

static int request_events(lua_State *L)
{
    fa_events *events;
    fa_lua_headers headers = {.count = 0};
    fa_script *script = fa_script_of(L);
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    fa_lua_check_options(L, 2, "req:events", (const char *const[]){"headers", "retry", "heartbeat", NULL});
    lua_getfield(L, 2, "headers");   /* 3 */
    lua_getfield(L, 2, "retry");     /* 4 */
    lua_getfield(L, 2, "heartbeat"); /* 5 */
    fa_lua_read_headers(L, 3, &headers);
    fa_events_options options = {
        .retry_ms = fa_lua_opt_duration(L, 4, "req:events: retry", 0),
        .heartbeat_ms = fa_lua_opt_duration(L, 5, "req:events: heartbeat", script->options.heartbeat_ms),
        .cap = script->options.answer_queue != 0 ? script->options.answer_queue : DEFAULT_QUEUE,
        .headers = headers.entries,
        .header_count = headers.count,
    };
    fa_lua_check_answered(L, fa_events_open(exchange, &options, &events));
    fa_lua_stream *s = fa_lua_push_stream(L, exchange, fa_events_outlet(events), events);
    fa_list_append(&script->streams, &s->link);
    if (script->draining) {
        s->drained = true;
        fa_events_close(events, true);
    }
    return 1;
}

/* ---- draining ---- */

/* After those who wait have been told, and had their last word. */
static void close_streams(fa_message *mail)
{
    fa_script *script = FA_OBJECT(mail, fa_script, drain_mail);
    for (fa_list *node; (node = fa_list_first(&script->streams)) != NULL;) {
        fa_lua_stream *s = FA_OBJECT(node, fa_lua_stream, link);
        fa_list_remove(node);
        s->drained = true;
        fa_events_close(s->events, true);
    }
}

void fa_script_drain(fa_script *script)
{
    if (script->draining)
        return;
    script->draining = true;
    FA_LIST_EACH(node, &script->streams)
    fa_lua_stream_tell(FA_OBJECT(node, fa_lua_stream, link), "draining");
    fa_script_close_websockets(script);
    fa_message_init(&script->drain_mail, close_streams);
    fa_worker_post(script->worker, &script->drain_mail);
}

void fa_open_events(lua_State *L)
{
    static const luaL_Reg request_methods[] = {{"events", request_events}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"send", events_send}, {"wait", events_wait}, {"finish", events_finish}, {NULL, NULL}};
    fa_lua_request_methods(L, request_methods, (const char *const[]){NULL});
    luaL_getmetatable(L, FA_META_EVENTS);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, (const char *const[]){"send", "wait", NULL});
    lua_pushcclosure(L, events_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
