/* Turns: what the flow of a turn asks of it and says in it. Whatever may have to wait for room in the dialogue's log is an
 * operation that is tried, and tried again each time that something has changed. */
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { LONGEST_CHUNK_MS = 24 * 60 * 60 * 1000 };

const fa_handle_type fa_type_turn = {"turn", NULL};

static fa_turn_state *check_turn(lua_State *L)
{
    return fa_lua_check(L, 1, &fa_type_turn, FA_META_TURN);
}

/* A waiting push, or a wait for room; in memory of the scripts' scope, for it may be freed while its turn ends. */
typedef struct turn_op {
    fa_wait wait;
    fa_turn_waiter waiter;
    fa_task *task;
    fa_turn_state *state;
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

/* The turn's own task, or one that goes with the turn. */
static bool is_of_turn(const fa_task *task, const fa_turn *turn)
{
    const fa_scope *scope = task->scope;
    while (scope != NULL && scope != fa_turn_scope(turn))
        scope = fa_scope_parent(scope);
    return scope != NULL;
}

static turn_op *new_op(lua_State *L, const char *what, fa_result (*attempt)(turn_op *op))
{
    fa_turn_state *state = check_turn(L);
    fa_task *task = fa_task_waiting(L, what);
    if (!is_of_turn(task, state->turn))
        luaL_error(L, "%s: only the turn's own flow may do that, or what it has spawned", what);
    turn_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL) {
        luaL_error(L, "%s: no memory", what);
        return NULL; /* not reached */
    }
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
    free_op(op); /* first: a full Lua heap raises at the push */
    return push_outcome(L, result);
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
    const char *json = lua_tolstring(L, 4, &length);
    if (memchr(json, '\r', length) != NULL || memchr(json, '\n', length) != NULL)
        return luaL_error(L, "an event's data is one line of JSON");
    turn_op *op = new_op(L, "turn:push", attempt_push);
    op->event = copy_for(L, op, 2, &length);
    op->json = copy_for(L, op, 4, &op->json_length);
    fa_lua_count_copy(L, op->json_length);
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
        if (length > 2 && op->fields[0] == '{') /* an empty table may have become an array */
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
    fa_lua_encode_json(L, 4);         /* 5 */
    lua_getfield(L, 3, "isFinal");    /* 6 */
    lua_getfield(L, 3, "durationMs"); /* 7 */
    lua_getfield(L, 3, "fields");     /* 8 */
    lua_Number duration = luaL_optnumber(L, 7, 0);
    if (!(duration >= 0 && duration <= LONGEST_CHUNK_MS)) /* it goes into the JSON of done as a number */
        return luaL_error(L, "turn:audio: durationMs must be 0 to %d", LONGEST_CHUNK_MS);
    if (!lua_isnil(L, 8)) {
        luaL_checktype(L, 8, LUA_TTABLE);
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
    fa_turn_state *state = check_turn(L);
    fa_text text;
    text.data = luaL_checklstring(L, 2, &text.length);
    fa_turn_said(state->turn, text);
    fa_lua_count_copy(L, text.length);
    return 0;
}

static int turn_history(lua_State *L)
{
    const char *role;
    fa_text text;
    fa_turn_state *state = check_turn(L);
    lua_newtable(L);
    for (size_t i = 0; fa_turn_history(state->turn, i, &role, &text); ++i) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, role);
        lua_setfield(L, -2, "role");
        fa_lua_count_copy(L, text.length);
        lua_pushlstring(L, text.data, text.length);
        lua_setfield(L, -2, "content");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int turn_index(lua_State *L)
{
    fa_turn_state *state = check_turn(L);
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

void fa_open_turn(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"push", turn_push}, {"audio", turn_audio},     {"room", turn_room},
        {"said", turn_said}, {"history", turn_history}, {NULL, NULL},
    };
    luaL_getmetatable(L, FA_META_TURN);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fa_lua_waits(L, (const char *const[]){"push", "audio", "room", NULL});
    lua_pushcclosure(L, turn_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
