/* Tasks that scripts start: fitnessally.spawn, and what join, all and race are made of (lua/fitnessally/structure.lua).
 *
 * A child belongs to the scope in which it was spawned and is cancelled when that ends. Its record lives as long as it runs; how it ended
 * (its results, or its error) is kept in the environment of its userdata, so that a child that nobody asks for again is nothing but
 * garbage. */
#include <stdio.h>

#include "script/internal.h"

enum { DEFAULT_MAX_TASKS = 10000 };

const fa_handle_type fa_type_task = {"task", NULL};

typedef struct child {
    fa_task *task;
    fa_handle handle;
    int reference; /* to its userdata */
    fa_list joiners;
} child;

/* A task that waits for the first of some children to end. */
typedef struct await_op {
    fa_wait wait;
    fa_task *task;
    size_t count;
    struct joiner {
        fa_list link;
        struct await_op *op;
    } joiners[];
} await_op;

static void free_await(await_op *op)
{
    for (size_t i = 0; i < op->count; ++i)
        fa_list_remove(&op->joiners[i].link);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_await(fa_wait *wait)
{
    free_await(FA_OBJECT(wait, await_op, wait));
}

static void wake_joiners(child *c)
{
    for (fa_list *node; (node = fa_list_first(&c->joiners)) != NULL;) {
        await_op *op = FA_OBJECT(node, struct joiner, link)->op;
        fa_task *task = op->task;
        task->wait = NULL;
        free_await(op);
        fa_task_post(task);
    }
}

/* The table on top of L becomes what is known of the child; the child is gone after it. */
static void settle_child(lua_State *L, child *c, fa_script *script)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->reference);
    lua_insert(L, -2);
    lua_setfenv(L, -2);
    lua_pop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, c->reference);
    fa_handle_release(fa_worker_handles(script->worker), c->handle, &fa_type_task, FA_HERE, NULL);
    wake_joiners(c);
    fa_scope_free(script->scope, c);
}

/* {n = results, ...} or {failed = true, error, traceback} */
static void on_done(fa_task *task, const char *error, int results, void *context)
{
    child *c = context;
    lua_State *L = task->script->lua, *co = task->co;
    lua_createtable(L, results, 1);
    if (error != NULL) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "failed");
        lua_pushvalue(co, -1);
        lua_xmove(co, L, 1);
        lua_rawseti(L, -2, 1);
        lua_pushstring(L, error);
        lua_rawseti(L, -2, 2);
        if (fa_list_empty(&c->joiners))
            fa_log_write(fa_worker_log(task->script->worker), FA_LOG_WARN,
                         "%s%s: a task that nobody waits for failed: %s",
                         task->exchange != NULL ? "request " : "a script",
                         task->exchange != NULL ? task->exchange->request_id : "", error);
    } else {
        lua_pushinteger(L, results);
        lua_setfield(L, -2, "n");
        for (int i = results; i > 0; --i) {
            lua_xmove(co, L, 1);
            lua_rawseti(L, -2, i);
        }
    }
    settle_child(L, c, task->script);
}

static void on_lost(fa_task *task, void *context)
{
    bool strict = fa_heap_strict(task->script, false);
    lua_State *L = task->script->lua;
    lua_createtable(L, 1, 1);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "failed");
    lua_pushstring(L, task->why_gone);
    lua_rawseti(L, -2, 1);
    settle_child(L, context, task->script);
    fa_heap_strict(task->script, strict);
    task->lost = NULL; /* the child is gone */
    task->done = NULL;
}

/* NULL when it has ended; raises when the value is no task. */
static child *check_child(lua_State *L, int index)
{
    const fa_lua_handle *h = fa_lua_handle_at(L, index, FA_META_TASK);
    if (h == NULL) {
        luaL_typerror(L, index, "task");
        return NULL; /* not reached */
    }
    return fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_task, NULL);
}

/* The child without its task; raises. Leaves its userdata on top. */
static child *make_child(lua_State *L, fa_script *script, fa_scope *scope)
{
    fa_lua_handle *h = lua_newuserdata(L, sizeof(*h));
    luaL_getmetatable(L, FA_META_TASK);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setfenv(L, -2);
    h->handle = (fa_handle){0, 0};
    child *c = fa_scope_allocate(script->scope, sizeof(*c));
    if (c == NULL || fa_handle_make(fa_worker_handles(script->worker), &fa_type_task, c, scope, "spawned",
                                    fa_script_here(L), &c->handle) != FA_OK) {
        fa_scope_free(script->scope, c);
        luaL_error(L, "no memory for a task");
        return NULL; /* not reached */
    }
    h->handle = c->handle;
    fa_list_init(&c->joiners);
    return c;
}

static int spawn(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    unsigned limit = script->options.max_tasks != 0 ? script->options.max_tasks : DEFAULT_MAX_TASKS;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    fa_scope *scope = fa_task_scope(L);
    if (script->task_count >= limit)
        return luaL_error(L, "too many tasks: max_tasks is %d", (int)limit);
    int arguments = lua_gettop(L) - 1;
    bool strict = fa_heap_strict(script, false); /* nothing may raise between here and a whole task */
    lua_checkstack(L, 4);
    child *c = make_child(L, script, scope);
    lua_insert(L, 1);
    lua_pushvalue(L, 2);
    c->task = fa_task_new(script, L, scope, on_done, c);
    if (c->task == NULL || !lua_checkstack(c->task->co, arguments + 4)) {
        fa_heap_strict(script, strict);
        fa_handle_release(fa_worker_handles(script->worker), c->handle, &fa_type_task, FA_HERE, NULL);
        if (c->task != NULL)
            fa_task_cancel(c->task, "no memory");
        fa_scope_free(script->scope, c);
        return luaL_error(L, "no memory for a task");
    }
    lua_xmove(L, c->task->co, arguments);
    lua_pushvalue(L, 1);
    c->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    c->task->lost = on_lost;
    c->task->exchange = script->current->exchange;
    c->task->arguments = arguments;
    fa_task_post(c->task);
    fa_heap_strict(script, strict);
    lua_settop(L, 1);
    return 1;
}

/* await(task, ...): waits until one of them has ended; at once when one has. */
static int await(lua_State *L)
{
    int count = lua_gettop(L);
    fa_task *task = fa_task_waiting(L, "join");
    for (int i = 1; i <= count; ++i) {
        const child *c = check_child(L, i);
        if (c == NULL)
            return 0;
        if (c->task == task)
            return luaL_error(L, "a task cannot wait for itself");
    }
    await_op *op = fa_scope_allocate(task->script->scope, sizeof(*op) + (size_t)count * sizeof(op->joiners[0]));
    if (op == NULL)
        return luaL_error(L, "no memory to wait");
    op->wait.cancel = cancel_await;
    op->task = task;
    op->count = (size_t)count;
    for (int i = 1; i <= count; ++i) {
        op->joiners[i - 1].op = op;
        fa_list_append(&check_child(L, i)->joiners, &op->joiners[i - 1].link);
    }
    return fa_task_wait(L, task, &op->wait);
}

/* ended(task): nil while it runs; true when it has returned, false when it has failed or was cancelled. */
static int ended(lua_State *L)
{
    if (check_child(L, 1) != NULL)
        return 0;
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "failed");
    lua_pushboolean(L, !lua_toboolean(L, -1));
    return 1;
}

/* results(task): what an ended one returned; raises its error, with its traceback. */
static int results(lua_State *L)
{
    if (check_child(L, 1) != NULL)
        return luaL_error(L, "the task has not ended");
    lua_settop(L, 1);
    lua_getfenv(L, 1); /* 2 */
    lua_getfield(L, 2, "failed");
    if (lua_toboolean(L, -1)) {
        lua_rawgeti(L, 2, 2);
        lua_rawgeti(L, 2, 1);
        if (!lua_isnil(L, -2) && !lua_isnil(L, -1)) {
            lua_pushvalue(L, -2);
            lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
            lua_pushvalue(L, -1);
            lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
            fa_lua_note_failure(L, L, lua_gettop(L));
        }
        return lua_error(L);
    }
    lua_getfield(L, 2, "n");
    int count = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, count, "too many results");
    for (int i = 1; i <= count; ++i)
        lua_rawgeti(L, 2, i);
    return count;
}

static int cancel(lua_State *L)
{
    const child *c = check_child(L, 1);
    const char *reason = luaL_optstring(L, 2, "by another task");
    if (c != NULL)
        fa_task_cancel(c->task, reason);
    lua_pushboolean(L, c != NULL);
    return 1;
}

/* finish(thing): a buffer is released, a task cancelled; one that is gone already is fine. */
static int finish_thing(lua_State *L)
{
    const fa_lua_handle *buffer = fa_lua_handle_at(L, 1, FA_META_BUFFER);
    lua_settop(L, 1);
    if (buffer == NULL)
        return fa_lua_handle_at(L, 1, FA_META_TASK) != NULL ? cancel(L) : 0;
    fa_handle_release(fa_worker_handles(fa_script_of(L)->worker), buffer->handle, &fa_type_buffer, fa_script_here(L),
                      NULL);
    return 0;
}

void fa_open_tasks(lua_State *L)
{
    static const luaL_Reg natives[] = {
        {"spawn", spawn},   {"await", await},         {"ended", ended}, {"results", results},
        {"cancel", cancel}, {"finish", finish_thing}, {NULL, NULL},
    };
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.structure");
    luaL_register(L, NULL, natives);
    fa_lua_waits(L, (const char *const[]){"await", NULL});
    lua_pop(L, 1);
}

/* The rest is Lua: protected calls around what is above. */
void fa_open_structure(lua_State *L)
{
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/structure.lua", fa_script_of(L)->options.library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.structure");
    luaL_getmetatable(L, FA_META_TASK);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_remove(L, -2);
    lua_getglobal(L, "fitnessally");
    lua_call(L, 3, 0); /* natives, methods of tasks, where the functions go */
}
