/* Tasks: coroutines that belong to a scope.
 *
 * A task's memory is the worker's, not its scope's: the scope may end while the coroutine is running (a handler that deletes its own
 * dialogue), and then the task is only marked and freed once control is back here.
 *
 * A task that waits while its scope ends, or that is cancelled, is resumed once more: its wait raises "cancelled: ...", so that what
 * the script has wrapped in pcall, with or scope runs. That happens from the loop, never inside another task or a scope's end. By
 * then its handles are stale and it owns nothing; what it does late is an error, and when it waits again it is dropped. The clean-up
 * itself never depends on it: that is the scope's. A task that has not begun, and every task of a server that stops, is just dropped,
 * as are coroutines that a script makes and leaves.
 */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

static void uncount(fa_task *task)
{
    if (task->counted)
        task->script->task_count--;
    task->counted = false;
}

/* ---- coroutines ----
 *
 * One that has returned is as good as a new one, and spares the collector the most of what a request leaves behind. Not one that failed,
 * nor one that a script may still know (coroutine.running): it would see another task's. */

static void new_coroutine(fa_task *task, lua_State *from)
{
    fa_script *script = task->script;
    if (script->idle_count > 0) {
        const idle_coroutine *idle = &script->idle[--script->idle_count];
        task->co = idle->co;
        task->reference = idle->reference;
        lua_pushvalue(from, LUA_GLOBALSINDEX); /* as a new one has those of its maker */
        lua_xmove(from, task->co, 1);
        lua_replace(task->co, LUA_GLOBALSINDEX);
        return;
    }
    bool strict = fa_heap_strict(script, false);
    task->co = lua_newthread(from);
    task->reference = luaL_ref(from, LUA_REGISTRYINDEX);
    fa_heap_strict(script, strict);
}

static void leave_coroutine(fa_task *task)
{
    fa_script *script = task->script;
    if (task->well && !task->named && script->idle_count < IDLE_COROUTINES) {
        lua_settop(task->co, 0);
        script->idle[script->idle_count++] = (idle_coroutine){task->co, task->reference};
    } else {
        luaL_unref(script->lua, LUA_REGISTRYINDEX, task->reference);
    }
}

static void free_task(fa_task *task)
{
    fa_script *script = task->script;
    fa_script_scopes_end(task, "its task has ended");
    fa_script_scopes_free(task);
    leave_coroutine(task);
    fa_list_remove(&task->link);
    fa_list_remove(&task->pending);
    uncount(task);
    bool loads = task->loads;
    fa_scope_free(script->scope, task);
    if (loads)
        fa_loader_wake(script);
    fa_script_look_idle(script);
}

static void cancel_wait(fa_task *task)
{
    fa_wait *wait = task->wait;
    task->wait = NULL;
    if (wait != NULL)
        wait->cancel(wait);
}

void fa_task_raise(fa_task *task)
{
    cancel_wait(task);
    task->raise = true;
    fa_task_post(task);
}

/* Nobody owns it any more. May free it. */
static void abandon(fa_task *task)
{
    task->scope = NULL;
    fa_script_scopes_end(task, "its task was cancelled");
    cancel_wait(task);
    if (task->lost != NULL)
        task->lost(task, task->context);
    if (task->running)
        return;
    if (!task->started) {
        free_task(task);
        return;
    }
    uncount(task);
    fa_task_raise(task);
}

static void on_scope_end(fa_scope_hook *hook)
{
    fa_task *task = FA_OBJECT(hook, fa_task, at_end);
    snprintf(task->why_gone, sizeof(task->why_gone), "cancelled: %s ended (%s)", fa_scope_label(task->scope),
             fa_scope_reason(task->scope));
    abandon(task);
}

void fa_task_cancel(fa_task *task, const char *reason)
{
    if (task->scope == NULL)
        return;
    fa_scope_hook_remove(&task->at_end);
    snprintf(task->why_gone, sizeof(task->why_gone), "cancelled: %s", reason);
    abandon(task);
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
    new_coroutine(task, from);
    lua_xmove(from, task->co, 1);
    task->scope = scope;
    task->done = done;
    task->context = context;
    task->counted = true;
    task->number = ++script->task_number;
    fa_list_init(&task->pending);
    fa_list_init(&task->scopes);
    fa_list_append(&script->tasks, &task->link);
    script->task_count++;
    fa_scope_hook_add(scope, &task->at_end, on_scope_end);
    return task;
}

/* Pushes the message with the traceback: the one that was noted where the error was raised, if it came through a scope or a task. */
static const char *push_traceback(lua_State *L, lua_State *of)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    lua_pushvalue(of, -1);
    lua_xmove(of, L, 1);
    bool noted = !lua_isnil(L, -1) && lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (noted) {
        lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
    } else {
        fa_lua_push_traceback(L, of, lua_tostring(of, -1), 0);
    }
    return lua_tostring(L, -1);
}

static void forget_traceback(lua_State *L)
{
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
}

static void finish(fa_task *task, int status)
{
    fa_script *script = task->script;
    lua_State *L = script->lua;
    const char *error = status != 0 ? push_traceback(L, task->co) : NULL;
    task->well = status == 0;
    if (task->scope != NULL)
        fa_scope_hook_remove(&task->at_end);
    if (task->scope != NULL && task->done != NULL)
        task->done(task, error, status == 0 ? lua_gettop(task->co) : 0, task->context);
    else if (error != NULL && strstr(error, task->why_gone) == NULL)
        fa_log_write(fa_worker_log(script->worker), FA_LOG_WARN, "a task failed after its owner had ended: %s", error);
    if (error != NULL) {
        lua_pop(L, 1);
        forget_traceback(L);
    }
    free_task(task);
    fa_heap_relieve(script);
}

static int run(fa_task *task, int arguments)
{
    fa_script *script = task->script;
    fa_task *outer = script->current;
    fa_handle_table *handles = fa_worker_handles(script->worker);
    fa_locator locator = fa_handle_table_locate(handles, (fa_locator){fa_task_locate, task});
    fa_slice slice;
    script->current = task;
    task->running = task->started = true;
    fa_slice_begin(script, &slice);
    int status = lua_resume(task->co, arguments);
    fa_slice_end(script, &slice);
    task->running = false;
    script->current = outer;
    fa_handle_table_locate(handles, locator);
    return status;
}

void fa_task_resume(fa_task *task, int arguments)
{
    fa_list_remove(&task->pending);
    int status = run(task, arguments);
    if (status == LUA_YIELD &&
        task->scope == NULL) { /* its owner ended while it ran, or it was told so and waits again */
        cancel_wait(task);
        free_task(task);
        return;
    }
    if (status == LUA_YIELD && task->failed) {
        lua_settop(task->co, 0);
        lua_pushstring(task->co, task->why_gone);
        status = LUA_ERRRUN;
    } else if (status == LUA_YIELD && (task->wait != NULL || task->raise)) {
        fa_heap_relieve(task->script);
        return;
    } else if (status == LUA_YIELD) { /* coroutine.yield at the top of a task: nobody would ever resume it */
        lua_settop(task->co, 0);
        lua_pushliteral(task->co, "attempt to yield from a task: only functions of the server may wait");
        status = LUA_ERRRUN;
    }
    finish(task, status);
}

void fa_task_post(fa_task *task)
{
    fa_script *script = task->script;
    if (!fa_list_empty(&task->pending))
        return;
    fa_list_append(&script->pending, &task->pending);
    fa_worker_post(script->worker, &script->mail);
}

void fa_tasks_deliver(fa_message *mail)
{
    fa_script *script = FA_OBJECT(mail, fa_script, mail);
    size_t count = 0;
    FA_LIST_EACH(node, &script->pending)
    count++;
    for (; count > 0 && !fa_list_empty(&script->pending);
         --count) { /* what these post waits for the next turn of the loop */
        fa_task *task = FA_OBJECT(fa_list_first(&script->pending), fa_task, pending);
        int arguments = task->arguments;
        task->arguments = 0;
        fa_task_resume(task, arguments);
    }
    if (!fa_list_empty(&script->pending))
        fa_worker_post(script->worker, &script->mail);
}

void fa_tasks_end(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->tasks)) != NULL;) {
        fa_task *task = FA_OBJECT(node, fa_task, link);
        if (task->scope != NULL)
            fa_scope_hook_remove(&task->at_end);
        task->scope = NULL;
        cancel_wait(task);
        if (task->lost != NULL)
            task->lost(task, task->context);
        free_task(task);
    }
}

fa_scope *fa_task_scope_of(const fa_task *task)
{
    const fa_script_scope *inner = fa_script_scope_in(task, task->co);
    return task->scope != NULL && inner != NULL ? inner->scope : task->scope;
}

fa_scope *fa_task_scope(lua_State *L)
{
    fa_task *task = fa_script_of(L)->current;
    if (task == NULL || task->scope == NULL) {
        luaL_error(L, task == NULL ? "this needs a request or a turn to own it" : "the owner of this task has ended");
        return NULL; /* not reached */
    }
    const fa_script_scope *inner = fa_script_scope_in(task, L);
    if (inner != NULL && inner->scope == NULL)
        luaL_error(L, "%s", inner->why);
    return inner != NULL ? inner->scope : task->scope;
}
