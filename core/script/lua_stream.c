/* Answers that a script gives in pieces: req:start, out:write, out:finish; and what streams of events share with them.
 *
 * A write that waits lies in the scripts' scope, because it is freed while the request ends. What it wants to say lies in the
 * request, and is paid for there. Whoever waits is resumed by the mailbox, never inside of a send or of a scope's end. */
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { DEFAULT_QUEUE = 256 * 1024 };

const fa_handle_type fa_type_stream = {"stream", NULL};

/* ---- the handle ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_lua_stream *s = FA_OBJECT(hook, fa_lua_stream, at_end);
    fa_list_remove(&s->link);
    fa_lua_stream_tell(s, "gone");
}

static fa_result make_stream(lua_State *L, fa_exchange *exchange, fa_events *events, fa_lua_stream **out)
{
    fa_script *script = fa_script_of(L);
    fa_lua_stream *s = fa_scope_allocate(exchange->scope, sizeof(*s));
    if (s == NULL)
        return FA_NO_MEMORY;
    s->script = script;
    s->exchange = exchange;
    s->events = events;
    fa_list_init(&s->link);
    fa_list_init(&s->waiting);
    fa_scope_hook_add(exchange->scope, &s->at_end, on_end);
    fa_hold_begin(&s->hold, script, exchange->scope, exchange, FA_HOLD_STREAM);
    *out = s;
    return fa_handle_make(fa_worker_handles(script->worker), events != NULL ? &fa_type_events : &fa_type_stream, s,
                          exchange->scope, exchange->request_id, fa_script_here(L), &s->handle);
}

fa_lua_stream *fa_lua_push_stream(lua_State *L, fa_exchange *exchange, fa_outlet *outlet, fa_events *events)
{
    fa_lua_stream *s;
    fa_result result = make_stream(L, exchange, events, &s);
    if (result != FA_OK) {
        fa_exchange_abort(exchange);
        luaL_error(L, "no handle for a stream: %s", fa_result_name(result));
        return NULL; /* not reached */
    }
    s->outlet = outlet;
    fa_outlet_set_owner(outlet, s);
    fa_lua_push_handle(L, s->handle, events != NULL ? FA_META_EVENTS : FA_META_STREAM);
    return s;
}

fa_lua_stream *fa_lua_stream_at(lua_State *L, const char *metatable)
{
    const fa_handle_type *type = strcmp(metatable, FA_META_EVENTS) == 0 ? &fa_type_events : &fa_type_stream;
    const fa_lua_handle *h = fa_lua_handle_at(L, 1, metatable);
    if (h == NULL) {
        luaL_typerror(L, 1, type->name);
        return NULL; /* not reached */
    }
    return fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, type, NULL);
}

bool fa_lua_stream_finish(fa_exchange *exchange)
{
    fa_outlet *outlet = fa_outlet_of(exchange);
    const fa_lua_stream *s = outlet != NULL ? fa_outlet_owner(outlet) : NULL;
    if (outlet == NULL)
        return false;
    if (s != NULL && s->events != NULL)
        fa_events_close(s->events, s->script->draining);
    else if (fa_outlet_finish(outlet) == FA_INVALID)
        fa_log_write(fa_worker_log(exchange->worker), FA_LOG_ERROR,
                     "request %s: cut, the handler returned before the declared length was written",
                     exchange->request_id);
    return true;
}

/* ---- writing ---- */

typedef struct write_op {
    fa_wait wait;
    fa_outlet_waiter waiter;
    fa_task *task;
    fa_lua_stream *stream;
    fa_buffer *buffer; /* a lease */
    bool cut;
} write_op;

static void free_op(write_op *op)
{
    fa_list_remove(&op->waiter.link);
    fa_buffer_return(op->buffer);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_op(fa_wait *wait)
{
    free_op(FA_OBJECT(wait, write_op, wait));
}

static const char *problem_of(fa_result result)
{
    return result == FA_OK          ? NULL
           : result == FA_CANCELLED ? "gone"
           : result == FA_FULL      ? "full"
                                    : fa_result_name(result);
}

static bool lacks_memory(fa_result result)
{
    return result == FA_NO_MEMORY || result == FA_OVER_BUDGET;
}

void fa_lua_push_result(fa_task *task, const char *problem)
{
    bool strict = fa_heap_strict(task->script, false);
    if (problem == NULL) {
        lua_pushboolean(task->co, 1);
    } else {
        lua_pushnil(task->co);
        lua_pushstring(task->co, problem);
    }
    task->arguments = problem == NULL ? 1 : 2;
    fa_heap_strict(task->script, strict);
}

static void on_room(fa_outlet_waiter *waiter, bool gone)
{
    write_op *op = FA_OBJECT(waiter, write_op, waiter);
    fa_task *task = op->task;
    fa_result result = gone ? FA_CANCELLED : fa_outlet_write(op->stream->outlet, op->buffer);
    if (op->cut && lacks_memory(result))
        fa_exchange_abort(op->stream->exchange);
    task->wait = NULL;
    free_op(op);
    fa_lua_push_result(task, problem_of(result));
    fa_task_post(task);
}

/* What is to be written, as a buffer that this function's caller holds a lease of. */
static fa_result lease_of(lua_State *L, const fa_lua_stream *s, const fa_lua_write *write, fa_buffer **buffer)
{
    *buffer = write->buffer;
    if (write->buffer != NULL)
        return fa_buffer_lease(write->buffer);
    fa_result result = fa_buffer_new(s->exchange->scope, write->text.length, "answer", fa_script_here(L), buffer);
    if (result != FA_OK)
        return result;
    fa_buffer_append(*buffer, write->text.data, write->text.length); /* the room is there */
    fa_buffer_seal(*buffer);
    result = fa_buffer_lease(*buffer);
    fa_buffer_release(*buffer);
    return result;
}

static fa_result wait_for_room(lua_State *L, fa_task *task, fa_lua_stream *s, const fa_lua_write *write, write_op **out)
{
    write_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        return FA_NO_MEMORY;
    fa_result result = lease_of(L, s, write, &op->buffer);
    if (result != FA_OK) {
        fa_scope_free(task->script->scope, op);
        return result;
    }
    op->wait.cancel = cancel_op;
    op->waiter.wake = on_room;
    op->waiter.wanted = fa_buffer_length(op->buffer);
    op->task = task;
    op->stream = s;
    op->cut = write->cut;
    fa_outlet_wait(s->outlet, &op->waiter);
    *out = op;
    return FA_OK;
}

static int outcome(lua_State *L, const fa_lua_stream *s, fa_result result, const char *what)
{
    if (result == FA_WRONG_STATE && !s->drained)
        return luaL_error(L, "%s: this stream has been finished", what);
    if (result == FA_INVALID)
        return luaL_error(L, "%s: more than the length that was declared", what);
    if (result == FA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, result == FA_WRONG_STATE ? "gone" : problem_of(result));
    return 2;
}

int fa_lua_write_to(lua_State *L, fa_lua_stream *s, const fa_lua_write *write)
{
    write_op *op = NULL;
    fa_task *task = fa_script_of(L)->current;
    fa_result result = write->buffer != NULL ? fa_outlet_write(s->outlet, write->buffer)
                                             : fa_outlet_write_bytes(s->outlet, write->text.data, write->text.length);
    if (result == FA_FULL && !write->at_once)
        result = wait_for_room(L, task, s, write, &op);
    if (write->release)
        fa_buffer_release(write->buffer);
    if (op != NULL)
        return fa_task_wait(L, task, &op->wait);
    if (write->cut && lacks_memory(result))
        fa_exchange_abort(s->exchange);
    return outcome(L, s, result, write->what);
}

static int push_gone(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "gone");
    return 2;
}

static int stream_write(lua_State *L)
{
    fa_lua_write write = {.what = "out:write", .cut = true};
    fa_lua_stream *s = fa_lua_stream_at(L, FA_META_STREAM);
    fa_task_waiting(L, write.what);
    write.buffer = fa_lua_test(L, 2, &fa_type_buffer, FA_META_BUFFER);
    if (write.buffer == NULL)
        write.text.data = luaL_checklstring(L, 2, &write.text.length);
    else if (!fa_buffer_sealed(write.buffer))
        return luaL_error(L, "only a sealed buffer can be sent: call buf:seal() first");
    if (s == NULL)
        return push_gone(L);
    if (write.buffer == NULL)
        fa_lua_count_copy(L, write.text.length);
    return fa_lua_write_to(L, s, &write);
}

static int stream_finish(lua_State *L)
{
    fa_lua_stream *s = fa_lua_stream_at(L, FA_META_STREAM);
    if (s == NULL)
        return push_gone(L);
    fa_result result = fa_outlet_finish(s->outlet);
    if (result == FA_INVALID)
        return luaL_error(L, "out:finish: less than the length that was declared; the connection has been cut");
    return outcome(L, s, result, "out:finish");
}

/* ---- req:start ---- */

static int64_t length_option(lua_State *L)
{
    if (lua_isnil(L, -1))
        return -1;
    lua_Number length = luaL_checknumber(L, -1);
    if (!(length >= 0 && length <= 9007199254740992.0) || length != (lua_Number)(int64_t)length)
        luaL_error(L, "length is a whole number of bytes");
    return (int64_t)length;
}

static int request_start(lua_State *L)
{
    fa_outlet *outlet;
    fa_lua_headers headers = {.count = 0};
    size_t queue = fa_script_of(L)->options.answer_queue;
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    fa_lua_check_options(L, 2, "req:start", (const char *const[]){"status", "headers", "type", "length", NULL});
    lua_getfield(L, 2, "status");  /* 3 */
    lua_getfield(L, 2, "headers"); /* 4 */
    lua_getfield(L, 2, "type");    /* 5 */
    lua_getfield(L, 2, "length");  /* 6 */
    int64_t length = length_option(L);
    int status = (int)luaL_optinteger(L, 3, 200);
    if (status < 200 || status > 599)
        return luaL_error(L, "status %d is not one that a handler can answer with", status);
    const char *type = luaL_optstring(L, 5, "application/octet-stream");
    fa_lua_add_header(L, &headers, FA_TEXT("content-type"), (fa_text){type, strlen(type)});
    fa_lua_read_headers(L, 4, &headers);
    fa_lua_check_answered(L, fa_outlet_open(exchange, status, headers.entries, headers.count, length,
                                            queue != 0 ? queue : DEFAULT_QUEUE, &outlet));
    fa_lua_push_stream(L, exchange, outlet, NULL);
    return 1;
}

static void open_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {{"write", stream_write}, {"finish", stream_finish}, {NULL, NULL}};
    luaL_getmetatable(L, FA_META_STREAM);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, (const char *const[]){"write", NULL});
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void fa_open_stream(lua_State *L)
{
    static const luaL_Reg methods[] = {{"start", request_start}, {NULL, NULL}};
    fa_lua_request_methods(L, methods, (const char *const[]){NULL});
    open_methods(L);
}
