/* The end of a generation: who still needs a state that another one has replaced, and how it is brought to let go.
 *
 * A state is needed by its tasks, and by what it has under way without one: each of those has a hold. When a retired state has neither,
 * it can be closed. Nobody looks for that moment: whoever goes last says so. */
#include "script/guest.h"

static void on_scope_end(fa_scope_hook *hook)
{
    fa_hold *hold = FA_OBJECT(hook, fa_hold, at_end);
    hold->hooked = false;
    fa_hold_end(hold);
}

void fa_hold_begin(fa_hold *hold, fa_script *script, fa_scope *scope, fa_exchange *exchange, fa_hold_kind kind)
{
    hold->script = script;
    hold->exchange = exchange;
    hold->kind = kind;
    hold->hooked = scope != NULL;
    if (scope != NULL)
        fa_scope_hook_add(scope, &hold->at_end, on_scope_end);
    fa_list_append(&script->holds, &hold->link);
}

void fa_hold_end(fa_hold *hold)
{
    fa_script *script = hold->script;
    if (script == NULL)
        return;
    if (hold->hooked)
        fa_scope_hook_remove(&hold->at_end);
    hold->script = NULL;
    fa_list_remove(&hold->link);
    fa_script_look_idle(script);
}

bool fa_script_idle(const fa_script *script)
{
    return fa_list_empty(&script->tasks) && fa_list_empty(&script->holds) && fa_guests_idle(script);
}

void fa_script_look_idle(fa_script *script)
{
    if (script->retired && fa_script_idle(script))
        script->on_idle(script->idle_context);
}

unsigned fa_script_generation(const fa_script *script)
{
    return script->options.generation;
}

void fa_script_read_left(const fa_script *script, fa_script_left *left)
{
    *left = (fa_script_left){.tasks = script->task_count};
    FA_LIST_EACH(node, &script->tasks)
    {
        const fa_task *task = FA_OBJECT(node, fa_task, link);
        if (task->scope == NULL || task->lost != NULL) /* told of its end, or spawned by another one */
            continue;
        left->turns += task->turn != NULL ? 1 : 0;
        left->requests += task->exchange != NULL ? 1 : 0;
    }
    FA_LIST_EACH(node, &script->holds)
    {
        const fa_hold *hold = FA_OBJECT(node, fa_hold, link);
        left->streams += hold->kind == FA_HOLD_STREAM ? 1 : 0;
        left->requests += hold->kind == FA_HOLD_REQUEST ? 1 : 0;
    }
    fa_guests_read_left(script, left);
}

/* ---- retiring ---- */

/* The first task for which `wanted` is true. A task that has been cancelled has no scope any more. */
static fa_task *find(fa_script *script, bool (*wanted)(const fa_task *task))
{
    FA_LIST_EACH(node, &script->tasks)
    {
        fa_task *task = FA_OBJECT(node, fa_task, link);
        if (task->scope != NULL && wanted(task))
            return task;
    }
    return NULL;
}

static bool of_the_state(const fa_task *task)
{
    return fa_script_owns(task->script, task->scope);
}

static bool of_anybody(const fa_task *task)
{
    (void)task;
    return true;
}

void fa_script_retire(fa_script *script, void (*on_idle)(void *context), void *context)
{
    script->retired = true;
    script->on_idle = on_idle;
    script->idle_context = context;
    for (fa_task *task; (task = find(script, of_the_state)) != NULL;)
        fa_task_cancel(task, "newer scripts have been loaded");
    fa_guests_retire(script);
    fa_script_look_idle(script);
}

/* ---- cutting ---- */

static void cut_exchange(fa_exchange *exchange)
{
    if (exchange->status != 0)
        fa_exchange_abort(exchange);
    else
        fa_exchange_fail(exchange, 503, "reloaded", "The scripts of this server were replaced. Please try again.",
                         &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
}

/* Its task is not to be seen again with a scope after this. */
static void cut_task(fa_task *task, const char *reason)
{
    fa_exchange *exchange = task->exchange;
    fa_turn *turn = task->turn;
    fa_task_cancel(task, reason);
    if (turn != NULL)
        fa_turn_finish(turn, FA_TURN_CANCELLED, FA_TEXT("\"reason\":\"reloaded\""));
    else if (exchange != NULL && !exchange->finished && !exchange->promised && !exchange->gone)
        cut_exchange(exchange);
}

void fa_script_cut(fa_script *script, const char *reason)
{
    for (fa_task *task; (task = find(script, of_anybody)) != NULL;)
        cut_task(task, reason);
    fa_guests_cut(script, reason);
    FA_LIST_EACH(node,
                 &script->holds) /* they end with their requests, from the loop; a question comes back by itself */
    {
        fa_exchange *exchange = FA_OBJECT(node, fa_hold, link)->exchange;
        if (exchange != NULL && !exchange->finished && !exchange->gone)
            cut_exchange(exchange);
    }
}
