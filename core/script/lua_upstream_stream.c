/* upstream.NAME:stream: an answer taken event by event, or piece by piece.
 *
 * What a script holds is a userdata whose environment keeps what outlasts the transfer: status, headers, how it ended. The transfer ends
 * when its last event has been asked for and found to be the last, so that a task that opens many streams does not collect them. */
#include <string.h>

#include "memory/buffer.h"
#include "script/lua_upstream.h"

#define META_STREAM "fitnessally.upstream_stream"
#define META_EVENT  "fitnessally.upstream_event"

static const fa_handle_type type_stream = {"upstream stream", NULL};

/* Lies in the scripts' scope, and goes with the transfer's. */
typedef struct reading {
    fa_list link; /* in fa_script.readings */
    fa_wait wait;
    fa_script *script;
    fa_transfer *transfer;
    fa_scope_hook gone;
    fa_task *task; /* that waits; NULL: nobody does */
    fa_stream_format format;
    fa_handle handle;
    int environment; /* registry reference, or LUA_NOREF */
    unsigned serial; /* of the event that is current */
    bool opening;
} reading;

typedef struct lua_event {
    fa_handle handle;
    unsigned serial;
} lua_event;

/* ---- the end ---- */

static void on_gone(fa_scope_hook *hook)
{
    reading *r = FA_OBJECT(hook, reading, gone);
    fa_script *script = r->script;
    fa_task *task = r->task;
    fa_list_remove(&r->link);
    luaL_unref(script->lua, LUA_REGISTRYINDEX, r->environment);
    if (task != NULL) { /* it waits for what will not come: another task has closed it, or its own scope ends */
        task->wait = NULL;
        task->arguments = 0;
        fa_task_post(task);
    }
    fa_scope_free(script->scope, r);
}

/* nil, or nil and the error; the reading is gone after it. */
static int push_end(lua_State *L, reading *r)
{
    int count = 1;
    const fa_failure *f = fa_transfer_failure(r->transfer);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->environment);
    int environment = lua_gettop(L);
    lua_pushboolean(L, 1);
    lua_setfield(L, environment, "over");
    if (f->kind != FA_FAILED_NOT) {
        count = fa_lua_push_failure(L, r->transfer);
        lua_pushvalue(L, -1);
        lua_setfield(L, environment, "failure");
    } else {
        lua_pushnil(L);
    }
    lua_remove(L, environment);
    fa_transfer_end(r->transfer);
    return count;
}

void fa_script_readings_end(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->readings)) != NULL;)
        fa_transfer_end(FA_OBJECT(node, reading, link)->transfer);
}

/* ---- one step ---- */

static int push_event(lua_State *L, reading *r)
{
    lua_event *e = lua_newuserdata(L, sizeof(*e));
    e->handle = r->handle;
    e->serial = ++r->serial;
    luaL_getmetatable(L, META_EVENT);
    lua_setmetatable(L, -2);
    return 1;
}

static int push_piece(lua_State *L, fa_buffer *piece, fa_scope *scope)
{
    if (fa_buffer_adopt(scope, piece) == FA_OK)
        return fa_lua_push_buffer(L, piece, scope);
    fa_buffer_release(piece);
    return fa_lua_push_no_start(L, FA_NO_MEMORY, "no room for a piece of the stream");
}

/* What comes next: how many values were pushed; 0: it is not there yet. The reading may be gone after it. */
static int step(lua_State *L, reading *r, fa_scope *scope)
{
    fa_stream_event event;
    fa_result result = FA_NOT_FOUND;
    bool done = fa_transfer_done(r->transfer); /* before what is left is looked at */
    if (r->format == FA_STREAM_RAW) {
        fa_buffer *piece = fa_transfer_take(r->transfer);
        if (piece != NULL)
            return push_piece(L, piece, scope);
    } else {
        r->serial++; /* the one before is over */
        result = fa_transfer_next(r->transfer, &event);
    }
    if (result == FA_OK)
        return push_event(L, r);
    return done || result == FA_FULL ? push_end(L, r) : 0;
}

/* ---- opening ---- */

static int push_stream(lua_State *L, reading *r)
{
    fa_scope *scope = fa_transfer_scope(r->transfer);
    fa_lua_handle *h = lua_newuserdata(L, sizeof(*h));
    if (fa_handle_make(fa_worker_handles(r->script->worker), &type_stream, r, scope, fa_scope_label(scope),
                       fa_scope_made_at(scope), &r->handle) != FA_OK) {
        lua_pop(L, 1);
        int count = fa_lua_push_no_start(L, FA_NO_MEMORY, "no handle for a stream");
        fa_transfer_end(r->transfer);
        return count;
    }
    h->handle = r->handle;
    luaL_getmetatable(L, META_STREAM);
    lua_setmetatable(L, -2);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, fa_transfer_status(r->transfer));
    lua_setfield(L, -2, "status");
    fa_lua_push_answer_headers(L, r->transfer);
    lua_setfield(L, -2, "headers");
    lua_pushvalue(L, -1);
    r->environment = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setfenv(L, -2);
    return 1;
}

static void on_head(fa_transfer *t, void *context)
{
    reading *r = context;
    fa_task *task = r->task;
    (void)t;
    if (task == NULL || !r->opening)
        return;
    r->opening = false;
    r->task = NULL;
    task->wait = NULL;
    fa_task_resume(task, push_stream(task->co, r));
}

static void on_data(fa_transfer *t, void *context)
{
    reading *r = context;
    fa_task *task = r->task;
    (void)t;
    if (task == NULL || r->opening)
        return;
    r->task = NULL; /* step may end the reading */
    int count = step(task->co, r, fa_task_scope_of(task));
    if (count == 0) {
        r->task = task;
        return;
    }
    task->wait = NULL;
    fa_task_resume(task, count);
}

static void on_done(fa_transfer *t, void *context)
{
    reading *r = context;
    if (r->task == NULL)
        return; /* whoever asks next is told */
    if (!r->opening) {
        on_data(t, context);
    } else if (fa_transfer_failure(t)->kind == FA_FAILED_NOT) {
        on_head(t, context);
    } else {
        int count = fa_lua_push_failure(r->task->co, t);
        fa_task *task = r->task;
        r->task = NULL;
        task->wait = NULL;
        fa_transfer_end(t);
        fa_task_resume(task, count);
    }
}

static const fa_transfer_user user = {.head = on_head, .data = on_data, .done = on_done};

static void cancel_reading(fa_wait *wait)
{
    reading *r = FA_OBJECT(wait, reading, wait);
    r->task = NULL;
    if (r->opening)
        fa_transfer_end(r->transfer);
}

int fa_lua_upstream_stream(lua_State *L, fa_upstream *u, const char *what)
{
    fa_error error;
    fa_lua_asking asking;
    fa_task *task = fa_task_waiting(L, what);
    fa_scope *scope = fa_task_scope(L);
    fa_lua_read_asking(L, u, lua_gettop(L), what, NULL, FA_TRANSFER_STREAM, &asking);
    reading *r = fa_scope_allocate(task->script->scope, sizeof(*r));
    if (r == NULL) {
        fa_lua_asking_release(&asking);
        return fa_lua_push_no_start(L, FA_NO_MEMORY, "no room for a stream");
    }
    r->wait.cancel = cancel_reading;
    r->script = task->script;
    r->task = task;
    r->format = asking.request.format;
    r->environment = LUA_NOREF;
    r->opening = true;
    fa_result result = fa_transfer_start(u, scope, &asking.request, &user, r, fa_script_here(L), &r->transfer, &error);
    fa_lua_asking_release(&asking);
    if (result != FA_OK) {
        fa_scope_free(task->script->scope, r);
        return fa_lua_push_no_start(L, result, error.text);
    }
    fa_list_append(&task->script->readings, &r->link);
    fa_scope_hook_add(fa_transfer_scope(r->transfer), &r->gone, on_gone);
    return fa_task_wait(L, task, &r->wait);
}

static int upstream_stream(lua_State *L)
{
    fa_upstream *u = fa_lua_check_upstream(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    return fa_lua_upstream_stream(L, u, "upstream:stream");
}

/* ---- the methods of a stream ---- */

/* NULL when it is over: then the environment of the userdata says how. */
static reading *check_reading(lua_State *L)
{
    fa_error error;
    const fa_lua_handle *h = luaL_checkudata(L, 1, META_STREAM);
    reading *r = fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, &type_stream, &error);
    if (r != NULL)
        return r;
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "over");
    bool over = lua_toboolean(L, -1);
    lua_pop(L, 2);
    if (!over)
        luaL_error(L, "%s", error.text);
    return NULL;
}

/* What it ended with, or nil. */
static void push_failure_of(lua_State *L)
{
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "failure");
    lua_remove(L, -2);
}

static int stream_next(lua_State *L)
{
    fa_task *task = fa_task_waiting(L, "stream:next");
    reading *r = check_reading(L);
    if (r == NULL) {
        lua_pushnil(L);
        push_failure_of(L);
        return lua_isnil(L, -1) ? 1 : 2;
    }
    if (r->task != NULL)
        return luaL_error(L, "stream:next: another task waits for the next event");
    int count = step(L, r, fa_task_scope(L));
    if (count != 0)
        return count;
    r->task = task;
    return fa_task_wait(L, task, &r->wait);
}

static int stream_each(lua_State *L)
{
    check_reading(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    return 2;
}

static int stream_problem(lua_State *L)
{
    if (check_reading(L) != NULL)
        return 0;
    push_failure_of(L);
    return 1;
}

static int stream_close(lua_State *L)
{
    reading *r = check_reading(L);
    if (r == NULL)
        return 0;
    lua_getfenv(L, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "over");
    fa_scope_end_noted(fa_transfer_scope(r->transfer), fa_script_here(L));
    fa_transfer_end(r->transfer);
    return 0;
}

/* Methods, then what the environment knows. */
static int stream_index(lua_State *L)
{
    luaL_checkudata(L, 1, META_STREAM);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    lua_getfenv(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

/* ---- events ---- */

static void check_event(lua_State *L, fa_stream_event *event)
{
    const lua_event *e = luaL_checkudata(L, 1, META_EVENT);
    const reading *r = fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), e->handle, &type_stream, NULL);
    if (r == NULL || r->serial != e->serial || !fa_transfer_event(r->transfer, event))
        luaL_error(L, "this event is over: keep what is needed of it before the next one is asked for");
}

static int event_json(lua_State *L)
{
    fa_stream_event event;
    check_event(L, &event);
    return fa_lua_decode_json(L, event.data.data, event.data.length);
}

static int push_text(lua_State *L, fa_text text)
{
    fa_lua_count_copy(L, text.length);
    lua_pushlstring(L, text.data, text.length);
    return 1;
}

static int event_index(lua_State *L)
{
    fa_stream_event event;
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "json") == 0) {
        lua_pushcfunction(L, event_json);
        return 1;
    }
    check_event(L, &event);
    if (strcmp(key, "data") == 0)
        return push_text(L, event.data);
    if (strcmp(key, "event") == 0)
        return push_text(L, event.event);
    if (strcmp(key, "id") == 0)
        return event.id.length != 0 ? push_text(L, event.id) : 0;
    return 0;
}

/* ---- opening of the library ---- */

static void open_stream_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"next", stream_next}, {"problem", stream_problem}, {"close", stream_close}, {NULL, NULL}};
    luaL_newmetatable(L, META_STREAM);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, (const char *const[]){"next", NULL});
    lua_getfield(L, -1, "next");
    lua_pushcclosure(L, stream_each, 1);
    lua_setfield(L, -2, "each");
    lua_pushcclosure(L, stream_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void fa_lua_upstream_stream_methods(lua_State *L)
{
    open_stream_methods(L);
    luaL_newmetatable(L, META_EVENT);
    lua_pushcfunction(L, event_index);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, upstream_stream);
    lua_setfield(L, -2, "stream");
    lua_pushcfunction(L, fa_lua_upstream_pipe);
    lua_setfield(L, -2, "pipe");
    fa_lua_waits(L, (const char *const[]){"stream", "pipe", NULL});
}
