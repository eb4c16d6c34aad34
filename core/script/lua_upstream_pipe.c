/* upstream.NAME:pipe(req, {...}): an upstream's answer to the client, with no byte in Lua. */
#include <string.h>

#include "script/lua_upstream.h"
#include "upstream/proxy.h"

enum { DEFAULT_QUEUE = 256 * 1024 };

typedef struct pipe_op {
    fa_wait wait;
    fa_task *task;
    fa_transfer *transfer; /* NULL: its scope has ended */
    fa_scope_hook gone;
} pipe_op;

static void free_op(pipe_op *op)
{
    fa_transfer *transfer = op->transfer;
    if (transfer != NULL) {
        fa_scope_hook_remove(&op->gone);
        fa_transfer_end(transfer);
    }
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_pipe(fa_wait *wait)
{
    free_op(FA_OBJECT(wait, pipe_op, wait));
}

/* The client went, and its task with it; or another task's doing, and this one still waits. */
static void on_gone(fa_scope_hook *hook)
{
    pipe_op *op = FA_OBJECT(hook, pipe_op, gone);
    fa_task *task = op->task;
    op->transfer = NULL;
    task->wait = NULL;
    free_op(op);
    fa_lua_push_result(task, "gone");
    fa_task_post(task);
}

/* Perhaps from inside of a send: the task is resumed by the mailbox. */
static void on_done(fa_transfer *t, bool begun, void *context)
{
    pipe_op *op = context;
    fa_task *task = op->task;
    lua_State *co = task->co;
    bool strict = fa_heap_strict(task->script, false);
    if (fa_transfer_failure(t)->kind == FA_FAILED_NOT) {
        lua_pushboolean(co, 1);
        task->arguments = 1;
    } else {
        task->arguments = fa_lua_push_failure(co, t);
        lua_pushboolean(co, begun);
        lua_setfield(co, -2, "begun");
    }
    fa_heap_strict(task->script, strict);
    task->wait = NULL;
    free_op(op);
    fa_task_post(task);
}

/* What the table at `index` says of the answer; texts stay on the stack. */
static void read_options(lua_State *L, int index, fa_lua_headers *headers, fa_proxy_options *options)
{
    size_t queue = fa_script_of(L)->options.answer_queue;
    options->queue = queue != 0 ? queue : DEFAULT_QUEUE;
    luaL_checkstack(L, 8, "options");
    lua_getfield(L, index, "status");
    if (!lua_isnil(L, -1)) {
        options->status = (int)luaL_checkinteger(L, -1);
        if (options->status < 200 || options->status > 599)
            luaL_error(L, "upstream:pipe: status %d is not one that can be answered with", options->status);
    }
    lua_getfield(L, index, "answer_headers");
    fa_lua_read_headers(L, lua_gettop(L), headers);
    options->headers = headers->entries;
    options->header_count = headers->count;
}

int fa_lua_upstream_pipe(lua_State *L)
{
    fa_error error;
    fa_lua_asking asking;
    fa_lua_headers headers = {.count = 0};
    fa_proxy_options options = {.status = 0};
    fa_upstream *u = fa_lua_check_upstream(L);
    fa_task *task = fa_task_waiting(L, "upstream:pipe");
    fa_scope *scope = fa_task_scope(L);
    fa_exchange *exchange = fa_lua_check_exchange(L, 2);
    if (exchange->status != 0 || exchange->promised || exchange->gone)
        return fa_lua_check_answered(L, FA_WRONG_STATE);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    read_options(L, 3, &headers, &options);
    fa_lua_read_asking(L, u, 3, "upstream:pipe", NULL, FA_TRANSFER_WHOLE, &asking); /* every status is passed on */
    pipe_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL) {
        fa_lua_asking_release(&asking);
        return fa_lua_push_no_start(L, FA_NO_MEMORY, "no room for a pipe");
    }
    op->task = task;
    op->wait.cancel = cancel_pipe;
    fa_result result = fa_proxy_start(u, scope, &asking.request, exchange, &options, on_done, op, fa_script_here(L),
                                      &op->transfer, &error);
    fa_lua_asking_release(&asking);
    if (result != FA_OK) {
        fa_scope_free(task->script->scope, op);
        return fa_lua_push_no_start(L, result, error.text);
    }
    fa_scope_hook_add(fa_transfer_scope(op->transfer), &op->gone, on_gone);
    return fa_task_wait(L, task, &op->wait);
}
