/* Tasks: coroutines that belong to a scope.
 *
 * A task's memory is the worker's, not its scope's: the scope may end while the coroutine is running (a handler that deletes its own
 * dialogue), and then the task is only marked and freed once control is back here. When the scope ends while the task waits, the wait
 * is cancelled and the coroutine dropped: it never runs again.
 */
#include "script/internal.h"

static void free_task(fa_task *task)
{
    fa_script *script = task->script;
    luaL_unref(script->lua, LUA_REGISTRYINDEX, task->reference);
    fa_list_remove(&task->link);
    script->task_count--;
    fa_scope_free(script->scope, task);
}

static void on_scope_end(fa_scope_hook *hook)
{
    fa_task *task = FA_OBJECT(hook, fa_task, at_end);
    task->scope = NULL;
    if (task->wait != NULL) {
        fa_wait *wait = task->wait;
        task->wait = NULL;
        wait->cancel(wait);
    }
    if (!task->running)
        free_task(task);
}

fa_task *fa_task_new(fa_script *script, lua_State *from, fa_scope *scope,
                     void (*done)(fa_task *task, const char *error, int results, void *context), void *context)
{
    fa_task *task = fa_scope_live(scope) ? fa_scope_allocate(script->scope, sizeof(*task)) : NULL;
    if (task == NULL) {
        lua_pop(from, 1);
        return NULL;
    }
    task->script = script;
    task->co = lua_newthread(from);
    task->reference = luaL_ref(from, LUA_REGISTRYINDEX);
    lua_xmove(from, task->co, 1);
    task->scope = scope;
    task->done = done;
    task->context = context;
    fa_list_append(&script->tasks, &task->link);
    script->task_count++;
    fa_scope_hook_add(scope, &task->at_end, on_scope_end);
    return task;
}

static void finish(fa_task *task, int status)
{
    const char *error = NULL;
    if (status != 0) {
        lua_State *L = task->script->lua;
        const char *message = lua_tostring(task->co, -1);
        fa_script_push_traceback(L, task->co, message != NULL ? message : "an error that is not a text");
        error = lua_tostring(L, -1);
    }
    if (task->scope != NULL)
        fa_scope_hook_remove(&task->at_end);
    if (task->scope != NULL && task->done != NULL)
        task->done(task, error, status == 0 ? lua_gettop(task->co) : 0, task->context);
    else if (error != NULL)
        fa_log_write(fa_worker_log(task->script->worker), FA_LOG_WARN, "a task failed after its owner had ended: %s",
                     error);
    if (error != NULL)
        lua_pop(task->script->lua, 1);
    free_task(task);
}

void fa_task_resume(fa_task *task, int arguments)
{
    fa_script *script = task->script;
    fa_task *outer = script->current;
    script->current = task;
    task->running = true;
    int status = lua_resume(task->co, arguments);
    task->running = false;
    script->current = outer;
    if (status == LUA_YIELD && task->scope != NULL && task->wait != NULL)
        return;
    if (status == LUA_YIELD &&
        task->scope != NULL) { /* coroutine.yield at the top of a task: nobody would ever resume it */
        lua_settop(task->co, 0);
        lua_pushliteral(task->co, "attempt to yield from a task: only functions of the server may wait");
        status = LUA_ERRRUN;
    } else if (status == LUA_YIELD) { /* its owner ended while it ran */
        if (task->wait != NULL)
            task->wait->cancel(task->wait);
        free_task(task);
        return;
    }
    finish(task, status);
}

void fa_tasks_end(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->tasks)) != NULL;) {
        fa_task *task = FA_OBJECT(node, fa_task, link);
        fa_scope_hook_remove(&task->at_end);
        on_scope_end(&task->at_end);
    }
}

fa_task *fa_task_waiting(lua_State *L, const char *what)
{
    fa_task *task = fa_script_of(L)->current;
    if (task == NULL) {
        luaL_error(L, "%s waits, and nothing can wait while scripts are loaded", what);
        return NULL; /* luaL_error does not come back, which its declaration does not say */
    }
    if (task->co != L)
        luaL_error(L, "%s waits, and cannot be called in a coroutine that the script made", what);
    if (task->scope == NULL)
        luaL_error(L, "%s: the owner of this task has ended", what);
    /* Before anything waits: a yield that fails would leave the operation behind, to resume the task at the wrong place. */
    if (!lua_isyieldable(L))
        luaL_error(L,
                   "%s waits, and nothing can wait inside a function that C calls (table.sort, string.gsub, require)",
                   what);
    return task;
}

int fa_task_wait(lua_State *L, fa_task *task, fa_wait *wait)
{
    task->wait = wait;
    return lua_yield(L, 0);
}

fa_scope *fa_task_scope(lua_State *L)
{
    fa_task *task = fa_script_of(L)->current;
    if (task != NULL && task->scope != NULL)
        return task->scope;
    luaL_error(L, task == NULL ? "this needs a request or a turn to own it" : "the owner of this task has ended");
    return NULL;
}
