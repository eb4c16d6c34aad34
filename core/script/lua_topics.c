/* fitnessally.publish and fitnessally.subscribe: what one task says, others hear, on whatever worker. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { DEFAULT_QUEUE = 16 };

typedef struct receive_op {
    fa_wait wait;
    fa_list link; /* in subscribed.waiting */
    struct subscribed *from;
    fa_task *task;
} receive_op;

/* What a handle stands for; in memory of its scope. */
typedef struct subscribed {
    fa_subscription subscription;
    fa_script *script;
    fa_list waiting; /* in subscription:receive */
    fa_scope *scope;
    fa_scope_hook at_end;
    fa_handle handle;
    fa_told *queue[];
} subscribed;

const fa_handle_type fa_type_subscription = {"subscription", NULL};

static fa_topics *topics_of(lua_State *L)
{
    fa_topics *topics = fa_script_of(L)->options.topics;
    if (topics == NULL)
        luaL_error(L, "there are no topics here");
    return topics;
}

static const char *check_name(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length > 0 && length < FA_TOPIC_NAME_SIZE && strlen(name) == length, 1,
                  "a topic has 1 to 63 bytes");
    return name;
}

/* ---- telling ---- */

static int push_problem(lua_State *L, fa_result result)
{
    lua_pushnil(L);
    if (result == FA_OVER_BUDGET)
        lua_pushliteral(L, "publish: no room for the message (topic_budget)");
    else
        lua_pushfstring(L, "publish: %s", fa_result_name(result));
    return 2;
}

static int tell(lua_State *L, fa_topics *topics, const char *name, fa_buffer *message, size_t elsewhere)
{
    size_t count;
    fa_result result = fa_topics_publish(topics, name, message, elsewhere, &count);
    if (result != FA_OK)
        return push_problem(L, result);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

/* A text, or a table as JSON, becomes a message; 0, or what was pushed. */
static int make_message(lua_State *L, fa_topics *topics, fa_buffer **message)
{
    size_t length;
    if (lua_istable(L, 2)) {
        fa_lua_encode_json(L, 2);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TSTRING);
    const char *text = lua_tolstring(L, 2, &length);
    fa_result result = fa_topics_message(topics, length, fa_script_here(L), message);
    if (result == FA_OK) {
        fa_buffer_append(*message, text, length);
        fa_lua_count_copy(L, length);
        fa_buffer_seal(*message);
        return 0;
    }
    return push_problem(L, result);
}

/* fitnessally.publish(topic, text | table | buffer) */
static int publish(lua_State *L)
{
    fa_topics *topics = topics_of(L);
    const char *name = check_name(L);
    fa_buffer *message = fa_lua_test(L, 2, &fa_type_buffer, FA_META_BUFFER);
    if (message != NULL) { /* stays the script's; those who listen lease it */
        if (!fa_buffer_sealed(message))
            return luaL_error(L, "only a sealed buffer can be published: call buf:seal() first");
        return tell(L, topics, name, message, fa_buffer_pinned(message));
    }
    int pushed = make_message(L, topics, &message);
    if (pushed != 0)
        return pushed;
    pushed = tell(L, topics, name, message, 0);
    fa_buffer_release(message);
    return pushed;
}

/* ---- listening ---- */

static void free_receive(receive_op *op)
{
    fa_list_remove(&op->link);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_receive(fa_wait *wait)
{
    free_receive(FA_OBJECT(wait, receive_op, wait));
}

/* Those who wait look again. */
static void wake(subscribed *s)
{
    for (fa_list *node; (node = fa_list_first(&s->waiting)) != NULL;) {
        receive_op *op = FA_OBJECT(node, receive_op, link);
        fa_task *task = op->task;
        task->wait = NULL;
        free_receive(op);
        fa_task_post(task);
    }
}

static void on_ready(fa_subscription *subscription)
{
    wake(FA_OBJECT(subscription, subscribed, subscription));
}

static void on_end(fa_scope_hook *hook)
{
    subscribed *s = FA_OBJECT(hook, subscribed, at_end);
    fa_subscription_end(&s->subscription);
    wake(s);
}

/* fitnessally.subscribe(topic, {queue = 16}) */
static int subscribe(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    fa_topics *topics = topics_of(L);
    const char *name = check_name(L);
    lua_Number queue = DEFAULT_QUEUE;
    fa_lua_check_options(L, 2, "fitnessally.subscribe", (const char *const[]){"queue", NULL});
    if (!lua_isnoneornil(L, 2)) {
        lua_getfield(L, 2, "queue");
        queue = luaL_optnumber(L, -1, DEFAULT_QUEUE);
        luaL_argcheck(L, queue >= 1 && queue <= FA_TOPIC_QUEUE_MOST, 2, "queue must be 1 to 1024");
    }
    fa_scope *scope = fa_task_scope(L);
    subscribed *s = fa_scope_allocate(scope, sizeof(*s) + (size_t)queue * sizeof(fa_told *));
    if (s == NULL || fa_handle_make(fa_worker_handles(script->worker), &fa_type_subscription, s, scope, name,
                                    fa_script_here(L), &s->handle) != FA_OK) {
        if (s != NULL)
            fa_scope_free(scope, s);
        lua_pushnil(L);
        lua_pushliteral(L, "subscribe: no memory");
        return 2;
    }
    s->script = script;
    s->scope = scope;
    fa_list_init(&s->waiting);
    fa_topics_subscribe(topics, name, s->queue, (unsigned)queue, script->worker, on_ready, &s->subscription);
    fa_scope_hook_add(scope, &s->at_end, on_end);
    fa_lua_push_handle(L, s->handle, FA_META_SUBSCRIPTION);
    return 1;
}

static int push_message(lua_State *L, fa_buffer *message, size_t missed)
{
    fa_buffer *slice;
    fa_scope *scope = fa_task_scope(L);
    fa_result result = fa_buffer_slice(scope, message, 0, fa_buffer_length(message), fa_script_here(L), &slice);
    fa_buffer_return(message);
    if (result != FA_OK)
        return luaL_error(L, "subscription:receive: %s", fa_result_name(result));
    int count = fa_lua_push_buffer(L, slice, scope);
    if (count == 1)
        lua_pushinteger(L, (lua_Integer)missed);
    return count == 1 ? 2 : count;
}

/* take(subscription): the next message and how many were missed before it; nothing when there is none yet; false once it has ended. */
static int take(lua_State *L)
{
    size_t missed;
    const fa_lua_handle *h = fa_lua_handle_at(L, 1, FA_META_SUBSCRIPTION);
    if (h == NULL)
        return luaL_typerror(L, 1, "subscription");
    subscribed *s =
        fa_handle_resolve(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_subscription, NULL);
    if (s == NULL) {
        lua_pushboolean(L, 0);
        return 1;
    }
    fa_task_scope(L); /* raises before anything is taken */
    fa_buffer *message = fa_subscription_take(&s->subscription, &missed);
    return message != NULL ? push_message(L, message, missed) : 0;
}

/* await(subscription): waits until something has come, or it has ended. */
static int await(lua_State *L)
{
    subscribed *s = fa_lua_check(L, 1, &fa_type_subscription, FA_META_SUBSCRIPTION);
    fa_task *task = fa_task_waiting(L, "subscription:receive");
    receive_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "no memory to wait");
    op->wait.cancel = cancel_receive;
    op->task = task;
    op->from = s;
    fa_list_append(&s->waiting, &op->link);
    return fa_task_wait(L, task, &op->wait);
}

static int close_subscription(lua_State *L)
{
    const fa_lua_handle *h = fa_lua_handle_at(L, 1, FA_META_SUBSCRIPTION);
    if (h == NULL)
        return luaL_typerror(L, 1, "subscription");
    fa_handle_table *handles = fa_worker_handles(fa_script_of(L)->worker);
    subscribed *s = fa_handle_resolve(handles, h->handle, &fa_type_subscription, NULL);
    if (s == NULL)
        return 0;
    fa_handle_release(handles, h->handle, &fa_type_subscription, fa_script_here(L), NULL);
    fa_scope_hook_remove(&s->at_end);
    on_end(&s->at_end);
    fa_scope_free(s->scope, s);
    return 0;
}

/* milliseconds(duration): "30s" or a number of milliseconds; raises. */
static int milliseconds(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushnumber(L, (lua_Number)fa_lua_opt_duration(L, 1, "interval", 0));
    return 1;
}

/* receive is a loop around take and await, in lua/fitnessally/schedule.lua. */
void fa_open_topics(lua_State *L)
{
    static const luaL_Reg natives[] = {
        {"take", take}, {"await", await}, {"close", close_subscription}, {"milliseconds", milliseconds}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"publish", publish}, {"subscribe", subscribe}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    fa_lua_waits(L, (const char *const[]){"await", NULL});
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.topics");
    lua_getglobal(L, "fitnessally");
    luaL_register(L, NULL, functions);
    lua_pop(L, 1);
}

void fa_open_schedule(lua_State *L)
{
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/schedule.lua", fa_script_of(L)->options.library);
    if (fa_script_load_text(L, path, "=fitnessally") != 0)
        lua_error(L);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.structure");
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.topics");
    luaL_getmetatable(L, FA_META_SUBSCRIPTION);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_remove(L, -2);
    lua_getglobal(L, "app");
    lua_getglobal(L, "fitnessally");
    lua_call(L, 5, 0);
}
