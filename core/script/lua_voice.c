/* voice: how a script opens dialogues, listens to them and ends them; and how the flow of a turn begins and ends. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { LONGEST_MESSAGE = 1000 };

/* ---- asking ---- */

static fa_text optional_text(lua_State *L, int table, const char *name)
{
    fa_text text = {"", 0};
    lua_getfield(L, table, name);
    if (!lua_isnil(L, -1))
        text.data = luaL_checklstring(L, -1, &text.length);
    return text; /* the string stays on the stack, and so alive */
}

static int encode_protected(lua_State *L)
{
    fa_lua_encode_json(L, 1);
    return 1;
}

/* The members of the table that the flow returned, without the braces; pushed on L as a string. */
static fa_text extra_fields(lua_State *L, lua_State *co, int results)
{
    fa_text fields = {NULL, 0};
    lua_pushcfunction(L, encode_protected);
    if (results < 1 || !lua_istable(co, -results)) {
        return fields;
    }
    lua_pushvalue(co, -results);
    lua_xmove(co, L, 1);
    if (lua_pcall(L, 1, 1, 0) != 0) {
        fa_log_write(fa_worker_log(fa_script_of(L)->worker), FA_LOG_ERROR, "what a flow returned is no JSON: %s",
                     lua_tostring(L, -1));
        return fields;
    }
    fields.data = lua_tolstring(L, -1, &fields.length);
    if (fields.length < 4 || fields.data[0] != '{') /* "{}" has no members */
        return (fa_text){NULL, 0};
    return (fa_text){fields.data + 1, fields.length - 2};
}

/* {code, message} of `error`; pushed on L as a string. What has gone wrong is the log's; in dev mode whoever listens reads the first line. */
static fa_text error_fields(lua_State *L, bool development, const char *error)
{
    const fa_text silent =
        FA_TEXT("\"error\":{\"code\":\"flow_failed\",\"message\":\"The answer could not be finished.\"}");
    size_t length = strcspn(error, "\n");
    fa_text fields;
    if (!development)
        return silent;
    lua_pushcfunction(L, encode_protected);
    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "flow_failed");
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, error, length < LONGEST_MESSAGE ? length : LONGEST_MESSAGE);
    lua_setfield(L, -2, "message");
    lua_setfield(L, -2, "error");
    if (lua_pcall(L, 1, 1, 0) != 0)
        return silent;
    fields.data = lua_tolstring(L, -1, &fields.length);
    return (fa_text){fields.data + 1, fields.length - 2};
}

static void on_flow_done(fa_task *task, const char *error, int results, void *context)
{
    fa_turn_state *state = context;
    fa_turn *turn = state->turn;
    lua_State *L = task->script->lua;
    int top = lua_gettop(L);
    state->task = NULL;
    if (error != NULL) {
        fa_log_write(fa_worker_log(task->script->worker), FA_LOG_ERROR, "turn %u of dialogue %s: %s",
                     fa_turn_number(turn), fa_turn_dialogue_id(turn), error);
        fa_turn_finish(turn, FA_TURN_FAILED, error_fields(L, task->script->options.development, error));
    } else {
        fa_turn_finish(turn, FA_TURN_COMPLETED, extra_fields(L, task->co, results));
    }
    lua_settop(L, top);
}

static void on_start(fa_timer *timer)
{
    fa_turn_state *state = FA_OBJECT(timer, fa_turn_state, start);
    fa_timer_stop(timer);
    fa_task_resume(state->task, 2); /* the turn's handle and the context are on its stack */
}

/* The flow starts from the loop, after the question has been answered. Returns false when there is no memory. */
static bool start_flow(lua_State *L, fa_script *script, fa_turn *turn, int flow, int context)
{
    char label[32];
    fa_scope *scope = fa_turn_scope(turn);
    fa_turn_state *state = fa_scope_allocate(scope, sizeof(*state));
    snprintf(label, sizeof(label), "turn %u", fa_turn_number(turn));
    if (state == NULL || fa_handle_make(fa_worker_handles(script->worker), &fa_type_turn, state, scope, label,
                                        fa_script_here(L), &state->handle) != FA_OK)
        return false;
    state->turn = turn;
    lua_pushvalue(L, flow);
    state->task = fa_task_new(script, L, scope, on_flow_done, state);
    if (state->task == NULL)
        return false;
    state->task->turn = turn;
    fa_lua_push_handle(state->task->co, state->handle, FA_META_TURN);
    lua_pushvalue(L, context);
    lua_xmove(L, state->task->co, 1);
    fa_timer_init(&state->start, script->worker, scope, on_start);
    return fa_timer_start(&state->start, 0) == FA_OK;
}

static int refuse_ask(lua_State *L, fa_result result, const fa_error *error)
{
    lua_pushnil(L);
    lua_pushstring(L, result == FA_NOT_FOUND ? "unknown_dialogue"
                      : result == FA_FULL    ? "too_many_dialogues"
                                             : "over_budget");
    lua_pushstring(L, error->text);
    return 3;
}

static fa_question question_of(const fa_exchange *exchange, fa_text dialogue_id, fa_text text)
{
    fa_question question = {
        .dialogue_id = dialogue_id,
        .text = text,
        .idempotency_key = fa_exchange_header(exchange, "idempotency-key"),
        .authorization = fa_exchange_header(exchange, "authorization"),
        .user_agent = fa_exchange_header(exchange, "user-agent"),
        .remote = exchange->remote,
    };
    if (exchange->body != NULL)
        question.body = (fa_text){(const char *)fa_buffer_data(exchange->body), fa_buffer_length(exchange->body)};
    return question;
}

static int push_asked(lua_State *L, const fa_asked *asked)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, asked->dialogue_id);
    lua_setfield(L, -2, "dialogueId");
    lua_pushboolean(L, asked->joined);
    lua_setfield(L, -2, "joined");
    return 1;
}

/* flow, context: places on L; behind the context stand the buffers that go over to the turn. Answers how many values it has pushed; ELSEWHERE: none, the dialogue must be fetched first. */
enum { ELSEWHERE = -1, MOST_FETCHES = 8 };

static int take_up(lua_State *L, const fa_question *question, fa_asked *asked, int flow, int context)
{
    fa_error error;
    fa_script *script = fa_script_of(L);
    fa_result result = fa_dialogues_take_up(script->options.dialogues, question, asked, &error);
    if (result == FA_CONFLICT)
        return ELSEWHERE;
    if (result != FA_OK)
        return refuse_ask(L, result, &error);
    if (fa_lua_move_buffers(L, context + 1, fa_turn_scope(asked->turn)) != FA_OK ||
        !start_flow(L, script, asked->turn, flow, context)) {
        fa_dialogues_take_back(script->options.dialogues, asked);
        return refuse_ask(L, FA_NO_MEMORY, &(fa_error){"There is no memory for another turn now."});
    }
    return push_asked(L, asked);
}

/* ---- what has to be done on another worker ---- */

/* In memory of the scripts' scope. */
typedef struct remote_op {
    fa_wait wait;
    fa_task *task;
    fa_remote *remote;
    fa_remote_kind kind;
    /* FETCH: the question goes on when the dialogue is here */
    fa_asked asked;
    fa_exchange *exchange;
    char *text;
    size_t text_length;
    int flow, context, buffers; /* references */
    unsigned fetches;
} remote_op;

static void free_remote_op(remote_op *op)
{
    fa_script *script = op->task->script;
    luaL_unref(script->lua, LUA_REGISTRYINDEX, op->flow);
    luaL_unref(script->lua, LUA_REGISTRYINDEX, op->context);
    luaL_unref(script->lua, LUA_REGISTRYINDEX, op->buffers);
    fa_scope_free(script->scope, op->text);
    fa_scope_free(script->scope, op);
}

static void cancel_remote(fa_wait *wait)
{
    remote_op *op = FA_OBJECT(wait, remote_op, wait);
    fa_remote_cancel(op->remote);
    if (op->kind == FA_REMOTE_FETCH)
        fa_dialogues_unclaim(op->task->script->options.dialogues, &op->asked);
    free_remote_op(op);
}

static int push_interrupted(lua_State *L, const fa_interrupted *what)
{
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)what->dropped_events);
    lua_setfield(L, -2, "events");
    lua_pushinteger(L, (lua_Integer)what->dropped_bytes);
    lua_setfield(L, -2, "bytes");
    lua_setfield(L, -2, "dropped");
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, what->heard_ms);
    lua_setfield(L, -2, "ms");
    lua_pushstring(L, what->heard_text);
    lua_setfield(L, -2, "text");
    lua_setfield(L, -2, "heard");
    return 1;
}

static void on_remote_done(void *context, fa_result result, const fa_interrupted *interrupted);

/* False: the dialogue has to be fetched once more, which is under way. */
static bool go_on_asking(remote_op *op, int *count)
{
    lua_State *L = op->task->co;
    fa_dialogues *dialogues = op->task->script->options.dialogues;
    fa_text id = {op->asked.dialogue_id, strlen(op->asked.dialogue_id)};
    fa_question question = question_of(op->exchange, id, (fa_text){op->text, op->text_length});
    lua_rawgeti(L, LUA_REGISTRYINDEX, op->flow);
    lua_rawgeti(L, LUA_REGISTRYINDEX, op->context);
    lua_rawgeti(L, LUA_REGISTRYINDEX, op->buffers);
    int top = lua_gettop(L);
    *count = take_up(L, &question, &op->asked, top - 2, top - 1);
    if (*count != ELSEWHERE)
        return true;
    lua_settop(L, top - 3);
    fa_remote_request again = {.kind = FA_REMOTE_FETCH, .dialogue_id = id};
    if (++op->fetches < MOST_FETCHES && fa_remote_start(dialogues, &again, on_remote_done, op, &op->remote) == FA_OK)
        return false;
    fa_dialogues_unclaim(dialogues, &op->asked);
    *count = refuse_ask(L, FA_OVER_BUDGET, &(fa_error){"The dialogue is asked too much at this moment."});
    return true;
}

static void on_remote_done(void *context, fa_result result, const fa_interrupted *interrupted)
{
    remote_op *op = context;
    fa_task *task = op->task;
    int count = 0;
    switch (op->kind) {
    case FA_REMOTE_FETCH:
        if (!go_on_asking(op, &count))
            return;
        break;
    case FA_REMOTE_DELETE:
        lua_pushboolean(task->co, result == FA_OK);
        count = 1;
        break;
    case FA_REMOTE_INTERRUPT:
        count = result == FA_OK ? push_interrupted(task->co, interrupted) : 0;
        break;
    case FA_REMOTE_LISTEN:
        break;
    }
    task->wait = NULL;
    free_remote_op(op);
    fa_task_resume(task, count);
}

/* NULL when there is no memory. The caller fills in what its kind needs, and then waits; in between nothing may raise. */
static remote_op *try_remote(fa_task *task, const fa_remote_request *request)
{
    fa_script *script = task->script;
    remote_op *op = fa_scope_allocate(script->scope, sizeof(*op));
    if (op == NULL)
        return NULL;
    op->wait.cancel = cancel_remote;
    op->task = task;
    op->kind = request->kind;
    op->flow = op->context = op->buffers = LUA_NOREF;
    if (fa_remote_start(script->options.dialogues, request, on_remote_done, op, &op->remote) == FA_OK)
        return op;
    fa_scope_free(script->scope, op);
    return NULL;
}

/* Raises when there is no memory. */
static remote_op *start_remote(lua_State *L, const char *what, const fa_remote_request *request)
{
    remote_op *op = try_remote(fa_task_waiting(L, what), request);
    if (op == NULL)
        luaL_error(L, "%s: no memory", what);
    return op;
}

/* Without memory the question is as if it had not been asked. */
static int fetch_and_ask(lua_State *L, const fa_asked *asked, fa_exchange *exchange, fa_text text)
{
    fa_task *task = fa_task_waiting(L, "voice.ask");
    fa_remote_request request = {.kind = FA_REMOTE_FETCH,
                                 .dialogue_id = {asked->dialogue_id, strlen(asked->dialogue_id)}};
    char *copy = fa_scope_copy_text(task->script->scope, text.data, text.length);
    remote_op *op = copy != NULL ? try_remote(task, &request) : NULL;
    if (op == NULL) {
        fa_scope_free(task->script->scope, copy);
        fa_dialogues_unclaim(task->script->options.dialogues, asked);
        return refuse_ask(L, FA_NO_MEMORY, &(fa_error){"There is no memory for another turn now."});
    }
    op->asked = *asked;
    op->exchange = exchange;
    op->text = copy;
    op->text_length = text.length;
    bool strict = fa_heap_strict(task->script, false); /* the references are not refused: nothing may raise now */
    lua_pushvalue(L, 3);
    op->flow = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 4);
    op->context = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 5);
    op->buffers = luaL_ref(L, LUA_REGISTRYINDEX);
    fa_heap_strict(task->script, strict);
    return fa_task_wait(L, op->task, &op->wait);
}

static int voice_ask(lua_State *L)
{
    fa_asked asked;
    fa_error error;
    fa_dialogues *dialogues = fa_script_of(L)->options.dialogues;
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "flow");    /* 3 */
    lua_getfield(L, 2, "context"); /* 4 */
    lua_getfield(L, 2, "buffers"); /* 5 */
    luaL_checktype(L, 3, LUA_TFUNCTION);
    fa_lua_check_buffers(L, 5);
    fa_text id = optional_text(L, 2, "dialogueId"), text = optional_text(L, 2, "text");
    fa_question question = question_of(exchange, id, text);
    fa_lua_count_copy(L, text.length);
    if (id.length > 0)
        fa_task_waiting(
            L, "voice.ask"); /* or it raises, before anything is claimed: the dialogue may have to be fetched */
    fa_result result = fa_dialogues_claim(dialogues, &question, &asked, &error);
    if (result != FA_OK)
        return refuse_ask(L, result, &error);
    fa_exchange_note_dialogue(exchange, (fa_text){asked.dialogue_id, strlen(asked.dialogue_id)});
    if (asked.joined)
        return push_asked(L, &asked);
    int count = fa_dialogues_elsewhere(dialogues, id) ? ELSEWHERE : take_up(L, &question, &asked, 3, 4);
    return count == ELSEWHERE ? fetch_and_ask(L, &asked, exchange, text) : count;
}

/* ---- listening, deleting, interrupting ---- */

static fa_text dialogue_id(lua_State *L, int index)
{
    fa_text id;
    id.data = luaL_checklstring(L, index, &id.length);
    return id;
}

static int voice_listen(lua_State *L)
{
    bool follow = false;
    fa_dialogues *dialogues = fa_script_of(L)->options.dialogues;
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    fa_text id = dialogue_id(L, 2);
    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "follow");
        follow = lua_toboolean(L, -1);
    }
    if (exchange->status != 0)
        return luaL_error(L, "this request has been answered already");
    fa_exchange_note_dialogue(exchange, id);
    if (!fa_dialogues_elsewhere(dialogues, id) && fa_dialogues_listen(dialogues, exchange, id, follow) == FA_OK)
        return 0;
    remote_op *op = start_remote(
        L, "voice.listen",
        &(fa_remote_request){.kind = FA_REMOTE_LISTEN, .dialogue_id = id, .exchange = exchange, .follow = follow});
    return fa_task_wait(L, op->task, &op->wait);
}

/* For the access log: of the request whose handler runs. */
static void note_dialogue(lua_State *L, fa_text id)
{
    const fa_task *task = fa_script_of(L)->current;
    if (task != NULL && task->exchange != NULL && task->scope != NULL)
        fa_exchange_note_dialogue(task->exchange, id);
}

static int voice_delete(lua_State *L)
{
    fa_text id = dialogue_id(L, 1);
    note_dialogue(L, id);
    fa_dialogues *dialogues = fa_script_of(L)->options.dialogues;
    bool deleted = fa_dialogues_delete(dialogues, id) == FA_OK;
    if (deleted || !fa_dialogues_elsewhere(dialogues, id)) {
        lua_pushboolean(L, deleted);
        return 1;
    }
    remote_op *op = start_remote(L, "voice.delete", &(fa_remote_request){.kind = FA_REMOTE_DELETE, .dialogue_id = id});
    return fa_task_wait(L, op->task, &op->wait);
}

static int voice_interrupt(lua_State *L)
{
    fa_interrupted what;
    fa_text id = dialogue_id(L, 1);
    double played_ms = luaL_optnumber(L, 2, -1);
    note_dialogue(L, id);
    fa_dialogues *dialogues = fa_script_of(L)->options.dialogues;
    if (fa_dialogues_interrupt(dialogues, id, played_ms, &what) == FA_OK)
        return push_interrupted(L, &what);
    if (!fa_dialogues_elsewhere(dialogues, id))
        return 0;
    remote_op *op =
        start_remote(L, "voice.interrupt",
                     &(fa_remote_request){.kind = FA_REMOTE_INTERRUPT, .dialogue_id = id, .played_ms = played_ms});
    return fa_task_wait(L, op->task, &op->wait);
}

void fa_open_voice(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"ask", voice_ask}, {"listen", voice_listen}, {"delete", voice_delete}, {"interrupt", voice_interrupt},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fa_lua_waits(L, (const char *const[]){"ask", "listen", "delete", "interrupt", NULL});
    lua_setglobal(L, "voice");
}
