/* plugin.NAME.FUNCTION{...}: calls to native plugins. The task waits; arguments are copied, results come as values and handles. */
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

typedef struct call_op {
    fa_wait wait;
    fa_task *task;
    fa_call *call;
    int progress; /* a registry reference, or LUA_NOREF */
} call_op;

static void free_op(call_op *op)
{
    fa_script *script = op->task->script;
    luaL_unref(script->lua, LUA_REGISTRYINDEX, op->progress);
    fa_scope_free(script->scope, op);
}

static void cancel_call(fa_wait *wait)
{
    call_op *op = FA_OBJECT(wait, call_op, wait);
    fa_call_cancel(op->call);
    free_op(op);
}

int fa_lua_push_problem(lua_State *L, const char *code, const char *message)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    return 2;
}

/* Pushes the result's value; false when a buffer could not become the task's. */
static bool push_result(lua_State *co, fa_call *call, size_t index, fa_scope *scope)
{
    const fa_value *value = fa_call_result(call, index);
    switch (value->type) {
    case FA_VALUE_TEXT:
        fa_lua_count_copy(co, value->length);
        lua_pushlstring(co, value->text, value->length);
        return true;
    case FA_VALUE_BUFFER: {
        fa_buffer *buffer = fa_call_take_buffer(call, index);
        if (fa_buffer_adopt(scope, buffer) != FA_OK) {
            fa_buffer_release(buffer);
            return false;
        }
        return fa_lua_push_buffer(co, buffer, scope) == 1;
    }
    case FA_VALUE_FLAG:
        lua_pushboolean(co, value->number != 0);
        return true;
    default:
        lua_pushnumber(co, value->number);
        return true;
    }
}

static int push_results(lua_State *co, fa_call *call, fa_scope *scope)
{
    const char *code, *message;
    if (fa_call_failed(call, &code, &message))
        return fa_lua_push_problem(co, code, message);
    int top = lua_gettop(co);
    lua_newtable(co);
    for (size_t i = 0; i < fa_call_result_count(call); ++i) {
        if (!push_result(co, call, i, scope)) {
            lua_settop(co, top);
            return fa_lua_push_problem(co, "over_budget", "There is no room for the results.");
        }
        lua_setfield(co, -2, fa_call_result(call, i)->key);
    }
    return 1;
}

static void on_done(fa_call *call, void *context)
{
    call_op *op = context;
    fa_task *task = op->task;
    int count = push_results(task->co, call, fa_task_scope_of(task));
    task->wait = NULL;
    free_op(op);
    fa_task_resume(task, count);
}

static void on_progress(fa_call *call, void *context, uint64_t done_units, uint64_t total_units)
{
    const call_op *op = context;
    fa_script *script = op->task->script;
    lua_State *L = script->lua;
    (void)call;
    lua_rawgeti(L, LUA_REGISTRYINDEX, op->progress);
    lua_pushnumber(L, (lua_Number)done_units);
    lua_pushnumber(L, (lua_Number)total_units);
    if (fa_script_call(script, 2, 0, 0) != 0) { /* it may have ended its own task, and op with it */
        const char *message = lua_tostring(L, -1);
        fa_log_write(fa_worker_log(script->worker), FA_LOG_ERROR, "progress: %s",
                     message != NULL ? message : "an error that is not a text");
        lua_pop(L, 1);
    }
}

static fa_result add_argument(lua_State *L, fa_call *call, const char *key)
{
    size_t length;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, -1, &length);
        fa_lua_count_copy(L, length);
        return fa_call_add_text(call, key, text, length);
    }
    case LUA_TNUMBER:
        return fa_call_add_number(call, key, lua_tonumber(L, -1));
    case LUA_TBOOLEAN:
        return fa_call_add_flag(call, key, lua_toboolean(L, -1));
    default:
        return FA_UNSUPPORTED;
    }
}

/* Copies the argument table; raises with the call freed. */
static void add_arguments(lua_State *L, call_op *op, const char *name)
{
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        fa_result result = FA_INVALID;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (key != NULL && strcmp(key, "progress") == 0 && lua_isfunction(L, -1)) {
            bool strict =
                fa_heap_strict(fa_script_of(L), false); /* not refused: nothing may raise with the call made */
            lua_pushvalue(L, -1);
            op->progress = luaL_ref(L, LUA_REGISTRYINDEX);
            fa_heap_strict(fa_script_of(L), strict);
            result = FA_OK;
        } else if (key != NULL) {
            result = add_argument(L, op->call, key);
        }
        if (result != FA_OK) {
            const char *shown = key != NULL ? key : "(not a name)";
            cancel_call(&op->wait);
            luaL_error(L, "%s: argument %s: %s", name, shown, fa_result_name(result));
        }
        lua_pop(L, 1);
    }
}

static int call_plugin(lua_State *L)
{
    fa_native *native = lua_touserdata(L, lua_upvalueindex(1));
    size_t index = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    const char *name = lua_tostring(L, lua_upvalueindex(3));
    fa_task *task = fa_task_waiting(L, name);
    fa_script *script = task->script;
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        luaL_checktype(L, 1, LUA_TTABLE);
    call_op *op = fa_scope_allocate(script->scope, sizeof(*op));
    if (op == NULL || fa_call_new(native, index, script->worker, task->scope, &op->call) != FA_OK) {
        fa_scope_free(script->scope, op);
        return fa_lua_push_problem(L, "over_budget", "There is no memory for this call now.");
    }
    bool strict = fa_heap_strict(script, false); /* a full Lua heap must not raise past the call */
    op->task = task;
    op->wait.cancel = cancel_call;
    op->progress = LUA_NOREF;
    if (!lua_isnil(L, 1))
        add_arguments(L, op, name);
    fa_heap_strict(script, strict);
    if (fa_call_start(op->call, on_done, op->progress != LUA_NOREF ? on_progress : NULL, op) != FA_OK) {
        free_op(op); /* the call is gone already */
        return fa_lua_push_problem(L, "busy", "The plugin has too much to do.");
    }
    return fa_task_wait(L, task, &op->wait);
}

void fa_open_plugins(lua_State *L)
{
    lua_newtable(L);
    for (fa_native *const *native = fa_script_of(L)->options.natives; native != NULL && *native != NULL; ++native) {
        lua_newtable(L);
        for (size_t i = 0; i < fa_native_function_count(*native); ++i) {
            const char *function = fa_native_function_name(*native, i);
            lua_pushlightuserdata(L, *native);
            lua_pushinteger(L, (lua_Integer)i);
            lua_pushfstring(L, "plugin.%s.%s", fa_native_name(*native), function);
            lua_pushcclosure(L, call_plugin, 3);
            lua_setfield(L, -2, function);
            fa_lua_waits(L, (const char *const[]){function, NULL});
        }
        lua_setfield(L, -2, fa_native_name(*native));
    }
    lua_setglobal(L, "plugin");
}
