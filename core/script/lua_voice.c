/* voice and turns: how a script opens dialogues and makes their answers. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

const fa_handle_type fa_type_turn = {"turn", NULL};

/* What core/script keeps of a turn; in memory of the turn's scope. */
typedef struct turn_state {
    fa_turn *turn;
    fa_task *task; /* NULL once it has ended */
    fa_timer start;
    fa_handle handle;
} turn_state;

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
        fa_log_write(fa_worker_log(fa_script_of(L)->worker), FA_LOG_ERROR, "what a flow returned is no JSON: %s", lua_tostring(L, -1));
        return fields;
    }
    fields.data = lua_tolstring(L, -1, &fields.length);
    if (fields.length < 4 || fields.data[0] != '{') /* "{}" has no members */
        return (fa_text){NULL, 0};
    return (fa_text){fields.data + 1, fields.length - 2};
}

static void on_flow_done(fa_task *task, const char *error, int results, void *context)
{
    turn_state *state = context;
    fa_turn *turn = state->turn;
    lua_State *L = task->script->lua;
    int top = lua_gettop(L);
    state->task = NULL;
    if (error != NULL) {
        fa_log_write(fa_worker_log(task->script->worker), FA_LOG_ERROR, "turn %u of dialogue %s: %s", fa_turn_number(turn),
                     fa_turn_dialogue_id(turn), error);
        fa_turn_finish(turn, FA_TURN_FAILED, (fa_text){NULL, 0});
    } else {
        fa_turn_finish(turn, FA_TURN_COMPLETED, extra_fields(L, task->co, results));
    }
    lua_settop(L, top);
}

static void on_start(fa_timer *timer)
{
    turn_state *state = FA_OBJECT(timer, turn_state, start);
    fa_timer_stop(timer);
    fa_task_resume(state->task, 2); /* the turn's handle and the context are on its stack */
}

/* The flow starts from the loop, after the question has been answered. Returns false when there is no memory. */
static bool start_flow(lua_State *L, fa_script *script, fa_turn *turn, int flow, int context)
{
    char label[32];
    fa_scope *scope = fa_turn_scope(turn);
    turn_state *state = fa_scope_allocate(scope, sizeof(*state));
    snprintf(label, sizeof(label), "turn %u", fa_turn_number(turn));
    if (state == NULL || fa_handle_make(fa_worker_handles(script->worker), &fa_type_turn, state, scope, label, fa_script_here(L),
                                        &state->handle) != FA_OK)
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
    lua_pushstring(L, result == FA_NOT_FOUND ? "unknown_dialogue" : result == FA_FULL ? "too_many_dialogues" : "over_budget");
    lua_pushstring(L, error->text);
    return 3;
}

static int voice_ask(lua_State *L)
{
    fa_asked asked;
    fa_error error;
    fa_script *script = fa_script_of(L);
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_getfield(L, 2, "flow");    /* 3 */
    lua_getfield(L, 2, "context"); /* 4 */
    luaL_checktype(L, 3, LUA_TFUNCTION);
    fa_question question = {
        .dialogue_id = optional_text(L, 2, "dialogueId"),
        .text = optional_text(L, 2, "text"),
        .idempotency_key = fa_exchange_header(exchange, "idempotency-key"),
        .authorization = fa_exchange_header(exchange, "authorization"),
        .user_agent = fa_exchange_header(exchange, "user-agent"),
        .remote = exchange->remote,
    };
    if (exchange->body != NULL)
        question.body = (fa_text){(const char *)fa_buffer_data(exchange->body), fa_buffer_length(exchange->body)};
    fa_result result = fa_dialogues_ask(script->options.dialogues, &question, &asked, &error);
    if (result != FA_OK)
        return refuse_ask(L, result, &error);
    if (!asked.joined && !start_flow(L, script, asked.turn, 3, 4)) {
        fa_turn_finish(asked.turn, FA_TURN_FAILED, (fa_text){NULL, 0});
        return refuse_ask(L, FA_NO_MEMORY, &(fa_error){"There is no memory for another turn now."});
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, asked.dialogue_id);
    lua_setfield(L, -2, "dialogueId");
    lua_pushboolean(L, asked.joined);
    lua_setfield(L, -2, "joined");
    return 1;
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
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    fa_text id = dialogue_id(L, 2);
    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "follow");
        follow = lua_toboolean(L, -1);
    }
    if (exchange->status != 0)
        return luaL_error(L, "this request has been answered already");
    fa_dialogues_listen(fa_script_of(L)->options.dialogues, exchange, id, follow);
    return 0;
}

static int voice_delete(lua_State *L)
{
    lua_pushboolean(L, fa_dialogues_delete(fa_script_of(L)->options.dialogues, dialogue_id(L, 1)) == FA_OK);
    return 1;
}

static int voice_interrupt(lua_State *L)
{
    fa_interrupted what;
    double played_ms = luaL_optnumber(L, 2, -1);
    if (fa_dialogues_interrupt(fa_script_of(L)->options.dialogues, dialogue_id(L, 1), played_ms, &what) != FA_OK)
        return 0;
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)what.dropped_events);
    lua_setfield(L, -2, "events");
    lua_pushinteger(L, (lua_Integer)what.dropped_bytes);
    lua_setfield(L, -2, "bytes");
    lua_setfield(L, -2, "dropped");
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, what.heard_ms);
    lua_setfield(L, -2, "ms");
    lua_pushstring(L, what.heard_text);
    lua_setfield(L, -2, "text");
    lua_setfield(L, -2, "heard");
    return 1;
}

/* ---- turns ---- */

static turn_state *check_turn(lua_State *L)
{
    return fa_lua_check(L, 1, &fa_type_turn, FA_META_TURN);
}

/* A waiting push, or a wait for room; in memory of the scripts' scope, for it may be freed while its turn ends. */
typedef struct turn_op {
    fa_wait wait;
    fa_turn_waiter waiter;
    fa_task *task;
    turn_state *state;
    fa_result (*attempt)(struct turn_op *op); /* FA_FULL: not yet */
    fa_handle audio_handle;
    bool has_audio;
    char *event, *json; /* of a push */
    size_t json_length;
    fa_audio_chunk chunk;
    char *spoken, *text, *fields;
} turn_op;

static void free_op(turn_op *op)
{
    fa_scope *scope = op->task->script->scope;
    fa_list_remove(&op->waiter.link);
    fa_scope_free(scope, op->event);
    fa_scope_free(scope, op->json);
    fa_scope_free(scope, op->spoken);
    fa_scope_free(scope, op->text);
    fa_scope_free(scope, op->fields);
    fa_scope_free(scope, op);
}

static void cancel_op(fa_wait *wait)
{
    free_op(FA_OBJECT(wait, turn_op, wait));
}

/* What the call answers: true, or nil and a message when there will never be room. */
static int push_outcome(lua_State *L, fa_result result)
{
    if (result == FA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, result == FA_INVALID ? "larger than a dialogue's budget" : fa_result_name(result));
    return 2;
}

static void on_room(fa_turn_waiter *waiter)
{
    turn_op *op = FA_OBJECT(waiter, turn_op, waiter);
    fa_result result = op->attempt(op);
    if (result == FA_FULL) {
        fa_turn_wait(op->state->turn, &op->waiter);
        return;
    }
    fa_task *task = op->task;
    int count = push_outcome(task->co, result);
    task->wait = NULL;
    free_op(op);
    fa_task_resume(task, count);
}

static turn_op *new_op(lua_State *L, const char *what, fa_result (*attempt)(turn_op *op))
{
    turn_state *state = check_turn(L);
    fa_task *task = fa_task_waiting(L, what);
    if (task->turn != state->turn)
        luaL_error(L, "%s: only the turn's own flow may do that", what);
    turn_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        luaL_error(L, "%s: no memory", what);
    fa_list_init(&op->waiter.link);
    op->waiter.wake = on_room;
    op->wait.cancel = cancel_op;
    op->task = task;
    op->state = state;
    op->attempt = attempt;
    return op;
}

static int run_op(lua_State *L, turn_op *op)
{
    fa_result result = op->attempt(op);
    if (result == FA_FULL) {
        fa_turn_wait(op->state->turn, &op->waiter);
        return fa_task_wait(L, op->task, &op->wait);
    }
    int count = push_outcome(L, result);
    free_op(op);
    return count;
}

static char *copy_for(lua_State *L, turn_op *op, int index, size_t *length)
{
    const char *text = lua_tolstring(L, index, length);
    char *copy = fa_scope_copy_text(op->task->script->scope, text, *length);
    if (copy == NULL) {
        free_op(op);
        luaL_error(L, "no memory for an event");
    }
    return copy;
}

static fa_result attempt_push(turn_op *op)
{
    return fa_turn_push(op->state->turn, op->event, (fa_text){op->json, op->json_length});
}

static int turn_push(lua_State *L)
{
    size_t length;
    const char *event = luaL_checkstring(L, 2);
    if (strlen(event) > 60 || strpbrk(event, "\r\n") != NULL)
        return luaL_error(L, "an event's name is one line of at most 60 characters");
    lua_settop(L, 3);
    if (lua_istable(L, 3)) {
        fa_lua_encode_json(L, 3);
    } else {
        luaL_checktype(L, 3, LUA_TSTRING);
        lua_pushvalue(L, 3);
    }
    if (strpbrk(lua_tostring(L, 4), "\r\n") != NULL)
        return luaL_error(L, "an event's data is one line of JSON");
    turn_op *op = new_op(L, "turn:push", attempt_push);
    op->event = copy_for(L, op, 2, &length);
    op->json = copy_for(L, op, 4, &op->json_length);
    return run_op(L, op);
}

static fa_result attempt_audio(turn_op *op)
{
    fa_handle_table *handles = fa_worker_handles(op->task->script->worker);
    op->chunk.audio = op->has_audio ? fa_handle_resolve(handles, op->audio_handle, &fa_type_buffer, NULL) : NULL;
    fa_result result = fa_turn_push_audio(op->state->turn, &op->chunk);
    if (result != FA_FULL && op->chunk.audio != NULL)
        fa_handle_release(handles, op->audio_handle, &fa_type_buffer, FA_HERE, NULL);
    return result;
}

static void read_chunk(lua_State *L, turn_op *op)
{
    /* 4: text, 5: its JSON, 6: isFinal, 7: durationMs, 8: fields as JSON or nil */
    size_t length;
    op->spoken = copy_for(L, op, 4, &length);
    op->chunk.spoken = (fa_text){op->spoken, length};
    op->text = copy_for(L, op, 5, &length);
    op->chunk.text = (fa_text){op->text, length};
    op->chunk.is_final = lua_toboolean(L, 6);
    op->chunk.duration_ms = lua_tonumber(L, 7);
    if (lua_isstring(L, 8)) {
        op->fields = copy_for(L, op, 8, &length);
        if (length > 2)
            op->chunk.fields = (fa_text){op->fields + 1, length - 2};
    }
}

/* cjson encodes a lone string too, so the text is escaped by the same hand as everything else. */
static int turn_audio(lua_State *L)
{
    fa_buffer *audio = lua_isnil(L, 2) ? NULL : fa_lua_check(L, 2, &fa_type_buffer, FA_META_BUFFER);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (audio != NULL && !fa_buffer_sealed(audio))
        return luaL_error(L, "only sealed audio can be sent: call audio:seal() first");
    lua_getfield(L, 3, "text"); /* 4 */
    luaL_checktype(L, 4, LUA_TSTRING);
    fa_lua_encode_json(L, 4);        /* 5 */
    lua_getfield(L, 3, "isFinal");    /* 6 */
    lua_getfield(L, 3, "durationMs"); /* 7 */
    lua_getfield(L, 3, "fields");     /* 8 */
    if (lua_istable(L, 8)) {
        fa_lua_encode_json(L, 8);
        lua_replace(L, 8);
    }
    turn_op *op = new_op(L, "turn:audio", attempt_audio);
    if (audio != NULL) {
        op->has_audio = true;
        op->audio_handle = ((const fa_lua_handle *)lua_touserdata(L, 2))->handle;
    }
    read_chunk(L, op);
    return run_op(L, op);
}

static fa_result attempt_room(turn_op *op)
{
    return fa_turn_wants_audio(op->state->turn) ? FA_OK : FA_FULL;
}

static int turn_room(lua_State *L)
{
    return run_op(L, new_op(L, "turn:room", attempt_room));
}

static int turn_said(lua_State *L)
{
    turn_state *state = check_turn(L);
    fa_text text;
    text.data = luaL_checklstring(L, 2, &text.length);
    fa_turn_said(state->turn, text);
    return 0;
}

static int turn_history(lua_State *L)
{
    const char *role;
    fa_text text;
    turn_state *state = check_turn(L);
    lua_newtable(L);
    for (size_t i = 0; fa_turn_history(state->turn, i, &role, &text); ++i) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, role);
        lua_setfield(L, -2, "role");
        lua_pushlstring(L, text.data, text.length);
        lua_setfield(L, -2, "content");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int turn_index(lua_State *L)
{
    turn_state *state = check_turn(L);
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    if (strcmp(key, "text") == 0)
        lua_pushstring(L, fa_turn_question(state->turn));
    else if (strcmp(key, "dialogueId") == 0)
        lua_pushstring(L, fa_turn_dialogue_id(state->turn));
    else if (strcmp(key, "number") == 0)
        lua_pushinteger(L, (lua_Integer)fa_turn_number(state->turn));
    else
        return luaL_error(L, "a turn has no \"%s\"", key);
    return 1;
}

void fa_open_voice(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"ask", voice_ask}, {"listen", voice_listen}, {"delete", voice_delete}, {"interrupt", voice_interrupt}, {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"push", turn_push}, {"audio", turn_audio},     {"room", turn_room},
        {"said", turn_said}, {"history", turn_history}, {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setglobal(L, "voice");
    luaL_getmetatable(L, FA_META_TURN);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_pushcclosure(L, turn_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
