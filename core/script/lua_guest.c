/* What goes between a state and the plugins that have states of their own (guest.c).
 *
 * A call is a task in the guest, in a scope of its own below the caller's: the caller waits, and whichever of the two ends first takes
 * the other along. Both run from the loop, each in its own slice, so that a guest that does not come back costs its own time only. The
 * phases in which nothing can wait go over at once, and are timed apart from what they interrupt.
 *
 * What fails in the guest is nil and a problem here. Values cross by crossing.c. */
#include <stdio.h>

#include "script/guest.h"

#define ENTRIES "fitnessally.entries" /* what guest.lua gives: functions, phases; in the guest's registry */

enum { DEFAULT_MOST_CALLS = 10000, MOST_FUNCTIONS = 256, PROBLEM_SIZE = 400 };

/* ---- what a guest has ---- */

/* Pushes a table of the guest's entries on its stack. */
static void push_entries(fa_script *guest, const char *kind)
{
    lua_getfield(guest->lua, LUA_REGISTRYINDEX, ENTRIES);
    lua_getfield(guest->lua, -1, kind);
    lua_remove(guest->lua, -2);
}

static void push_entry(fa_script *guest, const char *kind, const char *name)
{
    push_entries(guest, kind);
    lua_getfield(guest->lua, -1, name);
    lua_remove(guest->lua, -2);
}

static int load_library(fa_script *script, const char *name)
{
    char path[SCRIPT_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/fitnessally/%s.lua", script->options.library, name);
    return fa_script_load_text(script->lua, path, "=fitnessally");
}

int fa_guest_enter(fa_script *guest)
{
    lua_State *L = guest->lua;
    int status = load_library(guest, "guest");
    if (status != 0)
        return status;
    fa_halves_push_library(L);
    lua_getfield(L, -1, "parts");
    lua_remove(L, -2);
    lua_call(L, 0, 2); /* ours: raises nothing */
    if ((status = lua_pcall(L, 2, 1, 0)) == 0)
        lua_setfield(L, LUA_REGISTRYINDEX, ENTRIES);
    return status;
}

/* ---- problems ---- */

const char *fa_guest_problem(fa_script *guest, int status)
{
    if (status == LUA_ERRMEM) /* no handler has seen it */
        fa_lua_push_traceback(guest->lua, guest->lua, "not enough memory", 0);
    const char *text = lua_tostring(guest->lua, -1);
    return text != NULL ? text : "an error that is not a text";
}

/* nil, {code, message, detail}: detail names the line, for the log and not for clients. */
static int push_failure(lua_State *L, const fa_half *half, const char *detail)
{
    char message[120];
    snprintf(message, sizeof(message), "The plugin %s failed.", half->name);
    fa_lua_push_problem(L, "failed", message);
    lua_pushlstring(L, detail, strcspn(detail, "\n"));
    lua_setfield(L, -2, "detail");
    return 2;
}

/* NULL: one more call may go over. */
static const char *check_room(fa_script *guest)
{
    unsigned most = guest->options.max_tasks != 0 ? guest->options.max_tasks : DEFAULT_MOST_CALLS;
    if (guest->task_count >= most)
        return "busy";
    return fa_heap_full(guest) ? "over_budget" : NULL;
}

/* ---- calls that wait ---- */

typedef struct call_op {
    fa_wait wait;
    fa_task *caller;
    fa_task *callee; /* in the guest; NULL once it has ended */
    fa_scope *scope; /* of the call; NULL once it has ended */
    const fa_half *half;
    char what[80]; /* "plugin.shout.shout" */
} call_op;

static void end_scope(call_op *op, const char *reason)
{
    fa_scope *scope = op->scope;
    op->scope = NULL;
    if (scope != NULL)
        fa_scope_end(scope, reason, NULL);
}

/* The callee, if there still is one, is told by the end of its scope. */
static void free_op(call_op *op, const char *reason)
{
    if (op->callee != NULL) {
        op->callee->done = NULL;
        op->callee->lost = NULL;
    }
    end_scope(op, reason);
    fa_scope_free(op->caller->script->scope, op);
}

static void cancel_call(fa_wait *wait)
{
    free_op(FA_OBJECT(wait, call_op, wait), "nobody waits for it any more");
}

/* The caller goes on, from the loop, with what lies on its stack. */
static void come_back(call_op *op, int results)
{
    fa_task *caller = op->caller;
    op->callee = NULL;
    caller->wait = NULL;
    caller->arguments = results;
    free_op(op, "it has come back");
    fa_task_post(caller);
}

static int fail_call(const call_op *op, const char *detail)
{
    fa_script *host = op->caller->script;
    bool strict = fa_heap_strict(host, false);
    fa_log_write(fa_worker_log(host->worker), FA_LOG_ERROR, "%s: %s", op->what, detail);
    int count = push_failure(op->caller->co, op->half, detail);
    fa_heap_strict(host, strict);
    return count;
}

static void on_done(fa_task *callee, const char *error, int results, void *context)
{
    call_op *op = context;
    fa_crossing c = {.from = callee->co,
                     .to = op->caller->co,
                     .scope = fa_task_scope_of(op->caller),
                     .gives = true,
                     .what = "result"};
    callee->scope = NULL; /* it ends before the task is freed */
    if (error != NULL)
        results = fail_call(op, error);
    else if (!fa_cross(&c, lua_gettop(callee->co) - results + 1, results))
        results = fail_call(op, c.why);
    come_back(op, results);
}

/* Its scope ends, because one above it does in which the caller waits: the caller is told by that. Or the guest ends. */
static void on_lost(fa_task *callee, void *context)
{
    call_op *op = context;
    if (!fa_scope_live(op->scope)) {
        op->callee = NULL;
        op->scope = NULL;
        return;
    }
    bool strict = fa_heap_strict(op->caller->script, false);
    int count = fa_lua_push_problem(op->caller->co, "cancelled", "The call was cancelled.");
    fa_heap_strict(op->caller->script, strict);
    callee->done = NULL;
    callee->lost = NULL;
    come_back(op, count);
}

/* NULL: no memory. Raises nothing. */
static call_op *new_call(fa_task *caller, fa_scope *parent, const fa_half *half, const char *kind, const char *name)
{
    char label[FA_LABEL_SIZE];
    fa_script *guest = half->guest;
    fa_scope *own = caller->script->scope;
    call_op *op = fa_scope_allocate(own, sizeof(*op));
    if (op == NULL)
        return NULL;
    snprintf(op->what, sizeof(op->what), "plugin.%s.%s", half->name, name);
    snprintf(label, sizeof(label), "a call of %.40s", op->what);
    op->wait.cancel = cancel_call;
    op->caller = caller;
    op->half = half;
    if (fa_scope_new(fa_scope_ledger(own), parent, FA_KIND_PLUGIN, half->budget, label, fa_script_here(caller->co),
                     &op->scope) == FA_OK) {
        push_entry(guest, kind, name);
        op->callee = fa_task_new(guest, guest->lua, op->scope, on_done, op);
    }
    if (op->callee == NULL) {
        free_op(op, "no memory");
        return NULL;
    }
    op->callee->lost = on_lost;
    return op;
}

/* Upvalues: the half, the kind of entry, its name, what messages call it. */
static int call(lua_State *L)
{
    const fa_half *half = lua_touserdata(L, lua_upvalueindex(1));
    const char *kind = lua_tostring(L, lua_upvalueindex(2)), *name = lua_tostring(L, lua_upvalueindex(3));
    const char *what = lua_tostring(L, lua_upvalueindex(4));
    fa_task *task = fa_task_waiting(L, what);
    fa_scope *parent = fa_task_scope(L);
    luaL_checkstack(L, FA_CROSSING_STACK, what); /* for what comes back, too */
    const char *full = check_room(half->guest);
    if (full != NULL)
        return fa_lua_push_problem(L, full, "The plugin has too much to do.");
    bool strict = fa_heap_strict(task->script, false); /* nothing may raise with the call made */
    call_op *op = new_call(task, parent, half, kind, name);
    fa_heap_strict(task->script, strict);
    if (op == NULL)
        return fa_lua_push_problem(L, "over_budget", "There is no memory for this call now.");
    fa_crossing c = {.from = L, .to = op->callee->co, .scope = op->scope, .what = "argument"};
    if (!fa_cross(&c, 1, lua_gettop(L))) {
        free_op(op, "it was not made");
        return luaL_error(L, "%s: %s", what, c.why);
    }
    op->callee->arguments = lua_gettop(L);
    fa_task_post(op->callee);
    return fa_task_wait(L, task, &op->wait);
}

/* ---- phases in which nothing can wait ---- */

/* Calls the entry that lies below `arguments` on the guest's stack; its result goes to L. False with the problem. */
static bool run_apart(fa_script *guest, lua_State *L, int arguments, char problem[PROBLEM_SIZE])
{
    lua_State *G = guest->lua;
    fa_crossing c = {.from = G, .to = L, .what = "result"};
    int handler = lua_gettop(G) - arguments;
    lua_pushcfunction(G, fa_lua_with_traceback);
    lua_insert(G, handler);
    guest->stack_base = fa_script_of(L)->stack_base; /* one stack of C for both */
    int status = fa_script_call_apart(guest, arguments, 1, handler);
    guest->stack_base = NULL;
    bool well = status == 0 && fa_cross(&c, lua_gettop(G), 1);
    if (!well)
        snprintf(problem, PROBLEM_SIZE, "%s", status == 0 ? c.why : fa_guest_problem(guest, status));
    return well;
}

/* Upvalues: the half, the name of the phase. */
static int call_phase(lua_State *L)
{
    char problem[PROBLEM_SIZE] = "it is called while it runs";
    const fa_half *half = lua_touserdata(L, lua_upvalueindex(1));
    fa_script *guest = half->guest;
    fa_crossing c = {.from = L, .to = guest->lua, .what = "argument"};
    int base = lua_gettop(guest->lua), arguments = lua_gettop(L);
    luaL_checkstack(L, FA_CROSSING_STACK, half->name);
    bool well = false, idle = guest->current == NULL && guest->stack_base == NULL, strict;
    strict = fa_heap_strict(fa_script_of(L), false); /* what lies on the guest's stack must be taken away again */
    if (idle && !fa_heap_full(guest)) {
        push_entry(guest, "phases", lua_tostring(L, lua_upvalueindex(2)));
        well = fa_cross(&c, 1, arguments);
        if (!well)
            snprintf(problem, sizeof(problem), "%s", c.why);
        well = well && run_apart(guest, L, arguments, problem);
    } else if (idle) {
        snprintf(problem, sizeof(problem), "not enough memory");
    }
    lua_settop(guest->lua, base);
    fa_heap_relieve(guest);
    fa_heap_strict(fa_script_of(L), strict);
    if (well)
        return 1;
    lua_pushstring(L, problem);
    return lua_error(L);
}

/* ---- what the host gets ---- */

/* Into the table on top, by name; with a shell, for it waits. */
static void add_call(lua_State *L, fa_half *half, const char *kind, const char *name)
{
    lua_pushlightuserdata(L, half);
    lua_pushstring(L, kind);
    lua_pushstring(L, name);
    lua_pushfstring(L, "plugin.%s.%s", half->name, name);
    lua_pushcclosure(L, call, 4);
    lua_setfield(L, -2, name);
    fa_lua_waits(L, (const char *const[]){name, NULL});
}

static void push_functions(lua_State *L, fa_half *half)
{
    lua_State *G = half->guest->lua;
    lua_newtable(L);
    push_entries(half->guest, "functions");
    int left = MOST_FUNCTIONS;
    for (lua_pushnil(G); lua_next(G, -2) != 0; lua_pop(G, 1)) {
        if (left-- == 0)
            luaL_error(L, "plugins/%s: a plugin with a state of its own gives at most %d functions", half->name,
                       MOST_FUNCTIONS);
        add_call(L, half, "functions", lua_tostring(G, -2));
    }
    lua_pop(G, 1);
}

static void push_phases(lua_State *L, fa_half *half)
{
    lua_State *G = half->guest->lua;
    lua_newtable(L);
    push_entries(half->guest, "phases");
    for (lua_pushnil(G); lua_next(G, -2) != 0; lua_pop(G, 1)) {
        const char *name = lua_tostring(G, -2);
        if (strcmp(name, "request") == 0) {
            add_call(L, half, "phases", name);
            continue;
        }
        lua_pushlightuserdata(L, half);
        lua_pushstring(L, name);
        lua_pushcclosure(L, call_phase, 2);
        lua_setfield(L, -2, name);
    }
    lua_pop(G, 1);
}

/* headers(request): names in lower case; those that come several times with commas between them. */
static int headers(lua_State *L)
{
    const fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    lua_createtable(L, 0, (int)exchange->header_count);
    for (size_t i = 0; i < exchange->header_count; ++i) {
        const fa_header *h = &exchange->headers[i];
        lua_pushlstring(L, h->name.data, h->name.length);
        lua_pushvalue(L, -1);
        lua_rawget(L, 2);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, h->value.data, h->value.length);
        } else {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, h->value.data, h->value.length);
            lua_concat(L, 3);
        }
        lua_rawset(L, 2);
    }
    return 1;
}

static int query(lua_State *L)
{
    fa_text text = fa_lua_check_exchange(L, 1)->query;
    lua_pushlstring(L, text.data, text.length);
    return 1;
}

static int push_half(lua_State *L)
{
    static const luaL_Reg natives[] = {{"headers", headers}, {"query", query}, {NULL, NULL}};
    fa_half *half = lua_touserdata(L, 1);
    if (load_library(fa_script_of(L), "host") != 0)
        return lua_error(L);
    push_functions(L, half);
    push_phases(L, half);
    lua_newtable(L);
    luaL_register(L, NULL, natives);
    lua_pushstring(L, half->name);
    lua_call(L, 4, 1);
    return 1;
}

int fa_guest_push_half(fa_script *host, fa_half *half)
{
    int base = lua_gettop(half->guest->lua);
    lua_pushcfunction(host->lua, push_half);
    lua_pushlightuserdata(host->lua, half);
    int status = lua_pcall(host->lua, 1, 1, 0);
    lua_settop(half->guest->lua, base);
    return status;
}
