/* fitnessally.memory: asks the server what holds memory, and waits until every worker has been heard. fitnessally.reload, generations and
 * recycle ask in the same way. The answer is made above us (server/memory_report.c, server/reloader.c), as JSON text. */
#include <stdio.h>
#include <string.h>

#include "script/guest.h"

typedef struct memory_op {
    fa_memory_question question;
    fa_task *task; /* NULL once nobody waits any more */
    fa_script *script;
    fa_wait wait;
    fa_hold hold;
    bool as_json;
    char about[FA_UPSTREAM_NAME_MAX + 2]; /* a name that does not fit is nobody's, cut off too */
} memory_op;

static void free_op(memory_op *op)
{
    fa_script *script = op->script;
    fa_hold_end(&op->hold); /* whoever hears of it comes back later, from the loop */
    fa_scope_free(script->scope, op);
}

/* The question is still on its way and lies in the operation: it is freed when it is back. */
static void cancel_memory(fa_wait *wait)
{
    memory_op *op = FA_OBJECT(wait, memory_op, wait);
    op->task = NULL;
    op->question.asking = NULL;
}

/* On the stack: the text, the length and whether it is to be a table. */
static int push_answer(lua_State *L)
{
    const char *text = lua_touserdata(L, 1);
    size_t length = (size_t)lua_tointeger(L, 2);
    fa_lua_count_copy(L, length);
    if (lua_toboolean(L, 3)) {
        lua_pushlstring(L, text, length);
        return 1;
    }
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.decode");
    lua_pushlstring(L, text, length);
    lua_call(L, 1, 1);
    return 1;
}

/* In the state itself: a coroutine that waits cannot be called into. */
static int answer_task(const fa_task *task, fa_result result, const fa_buffer *json, bool as_json)
{
    lua_State *L = task->script->lua;
    if (result == FA_OK) {
        lua_pushcfunction(L, push_answer);
        lua_pushlightuserdata(L, (void *)fa_buffer_data(json));
        lua_pushinteger(L, (lua_Integer)fa_buffer_length(json));
        lua_pushboolean(L, as_json);
        bool pushed = lua_pcall(L, 3, 1, 0) == 0;
        if (pushed)
            lua_xmove(L, task->co, 1);
        else
            lua_pop(L, 1);
        if (pushed)
            return 1;
    }
    lua_pushnil(task->co);
    lua_pushliteral(task->co, "there is no memory for the answer");
    return 2;
}

static void on_answered(fa_memory_question *question, fa_result result, const fa_buffer *json)
{
    memory_op *op = FA_OBJECT(question, memory_op, question);
    fa_task *task = op->task;
    bool as_json = op->as_json;
    free_op(op);
    if (task == NULL)
        return;
    task->wait = NULL;
    fa_task_resume(task, answer_task(task, result, json, as_json));
}

static int ask(lua_State *L, const char *name, const char *what, const char *about, int format_at)
{
    static const char *const formats[] = {"table", "json", NULL};
    int format = luaL_checkoption(L, format_at, "table", formats);
    fa_task *task = fa_task_waiting(L, name);
    fa_script *script = task->script;
    memory_op *op = script->memory != NULL ? fa_scope_allocate(script->scope, sizeof(*op)) : NULL;
    if (op == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, script->memory == NULL ? "nobody here knows" : "there is no memory to ask");
        return 2;
    }
    op->task = task;
    op->script = script;
    op->as_json = format == 1;
    op->wait.cancel = cancel_memory;
    snprintf(op->about, sizeof(op->about), "%s", about != NULL ? about : "");
    op->question = (fa_memory_question){.what = what,
                                        .about = about != NULL ? op->about : NULL,
                                        .worker = script->worker,
                                        .asking = task->exchange != NULL ? task->exchange->scope : NULL,
                                        .answered = on_answered};
    fa_hold_begin(&op->hold, script, NULL, NULL, FA_HOLD_QUESTION);
    if (script->memory(script->memory_context, &op->question) != FA_OK) {
        free_op(op);
        lua_pushnil(L);
        lua_pushliteral(L, "there is no memory to ask");
        return 2;
    }
    return fa_task_wait(L, task, &op->wait);
}

static int memory(lua_State *L)
{
    static const char *const whats[] = {"report", "analysis", "tracker", "doctor", NULL};
    return ask(L, "fitnessally.memory", whats[luaL_checkoption(L, 1, "report", whats)], NULL, 2);
}

static int reload(lua_State *L)
{
    return ask(L, "fitnessally.reload", "reload", NULL, 1);
}

static int generations(lua_State *L)
{
    return ask(L, "fitnessally.generations", "generations", NULL, 1);
}

static int recycle(lua_State *L)
{
    return ask(L, "fitnessally.recycle", "recycle", luaL_checkstring(L, 1), 2);
}

void fa_open_memory(lua_State *L)
{
    lua_getglobal(L, "fitnessally");
    static const luaL_Reg functions[] = {
        {"memory", memory}, {"reload", reload}, {"generations", generations}, {"recycle", recycle}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
    fa_lua_waits(L, (const char *const[]){"memory", "reload", "generations", "recycle", NULL});
    lua_pop(L, 1);
}

/* ---- for whoever answers ---- */

void fa_script_set_memory(fa_script *script, fa_memory_source source, void *context)
{
    script->memory = source;
    script->memory_context = context;
}

void fa_script_read_figures(const fa_script *script, fa_script_figures *figures)
{
    figures->heap = script->heap.bytes;
    figures->heap_peak = script->heap.peak;
    figures->heap_limit = script->heap.limit;
    figures->heap_refused = script->heap.refused;
    figures->tasks = script->task_count;
    figures->copies = script->copies;
    figures->copied_bytes = script->copied_bytes;
    fa_guests_add_figures(script, figures);
}

void fa_script_take_inventory(fa_script *script, fa_inventory *inventory, const fa_scope *except)
{
    FA_LIST_EACH(node, &script->tasks)
    {
        fa_task *task = FA_OBJECT(node, fa_task, link);
        fa_item item = {.what = "task", .kind = FA_KIND_WORKER, .worker = fa_worker_index(script->worker)};
        if (task->scope != NULL && fa_scope_within(task->scope, except))
            continue;
        if (task->scope != NULL)
            item.kind = fa_scope_kind(task->scope);
        item.at = fa_task_locate(task);
        snprintf(item.name, sizeof(item.name), "of %s", task->scope != NULL ? fa_scope_label(task->scope) : "nobody");
        fa_inventory_add(inventory, &item);
    }
    fa_guests_take_inventory(script, inventory, except);
}

fa_dialogues *fa_script_dialogues(const fa_script *script)
{
    return script->options.dialogues;
}
