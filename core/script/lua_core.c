/* json apart, the small globals: log, settings, fitnessally.sleep and friends. */
#include <string.h>

#include "script/internal.h"

#ifndef FA_VERSION
#error "FA_VERSION is given by the build"
#endif

/* ---- log ---- */

static int write_log(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    fa_log_level level = (fa_log_level)lua_tointeger(L, lua_upvalueindex(1));
    const fa_task *task = script->current;
    const char *message = luaL_checkstring(L, 1);
    if (task != NULL && task->exchange != NULL && task->scope != NULL)
        fa_log_write(fa_worker_log(script->worker), level, "request %s: %s", task->exchange->request_id, message);
    else
        fa_log_write(fa_worker_log(script->worker), level, "%s", message);
    return 0;
}

static void open_log(lua_State *L)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    lua_newtable(L);
    for (int level = 0; level < 4; ++level) {
        lua_pushinteger(L, level);
        lua_pushcclosure(L, write_log, 1);
        lua_setfield(L, -2, names[level]);
    }
    lua_setglobal(L, "log");
}

/* ---- settings ---- */

static void push_list(lua_State *L, const char *items)
{
    lua_newtable(L);
    for (int i = 1; items != NULL && *items != '\0'; ++i) {
        size_t length = strcspn(items, ",");
        lua_pushlstring(L, items, length);
        lua_rawseti(L, -2, i);
        items += length + (items[length] == ',');
    }
}

void fa_lua_push_settings(lua_State *L, const fa_setting *settings)
{
    lua_newtable(L);
    for (const fa_setting *s = settings; s != NULL && s->name != NULL; ++s) {
        if (s->type == FA_SETTING_TEXT && s->text == NULL)
            continue;
        if (s->type == FA_SETTING_TEXT)
            lua_pushstring(L, s->text);
        else if (s->type == FA_SETTING_LIST)
            push_list(L, s->text);
        else if (s->type == FA_SETTING_NUMBER)
            lua_pushnumber(L, s->number);
        else
            lua_pushboolean(L, s->number != 0);
        lua_setfield(L, -2, s->name);
    }
}

static void open_settings(lua_State *L)
{
    fa_lua_push_settings(L, fa_script_of(L)->options.settings);
    lua_setglobal(L, "settings");
}

/* ---- sleep ---- */

enum { LONGEST_SLEEP_MS = 86400000 };

typedef struct sleep_op {
    fa_wait wait;
    fa_timer timer;
    fa_task *task;
} sleep_op;

static void end_sleep(sleep_op *op)
{
    fa_timer_stop(&op->timer);
    fa_scope_free(op->task->script->scope, op);
}

static void cancel_sleep(fa_wait *wait)
{
    end_sleep(FA_OBJECT(wait, sleep_op, wait));
}

static void on_wake(fa_timer *timer)
{
    sleep_op *op = FA_OBJECT(timer, sleep_op, timer);
    fa_task *task = op->task;
    task->wait = NULL;
    end_sleep(op);
    fa_task_resume(task, 0);
}

static int sleep_task(lua_State *L)
{
    luaL_checkany(L, 1);
    uint64_t milliseconds = fa_lua_opt_duration(L, 1, "fitnessally.sleep", UINT64_MAX);
    fa_task *task = fa_task_waiting(L, "fitnessally.sleep");
    if (milliseconds > LONGEST_SLEEP_MS)
        return luaL_error(L, "fitnessally.sleep takes 0 to 86400000 milliseconds, or a text such as \"15s\"");
    sleep_op *op = fa_scope_allocate(task->script->scope, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "no memory to sleep");
    op->wait.cancel = cancel_sleep;
    op->task = task;
    fa_timer_init(&op->timer, task->script->worker, task->script->scope, on_wake);
    if (fa_timer_start(&op->timer, milliseconds) != FA_OK) {
        end_sleep(op);
        return luaL_error(L, "no memory to sleep");
    }
    return fa_task_wait(L, task, &op->wait);
}

/* ---- figures ---- */

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

/* Of each route that lets only so many in. */
static void push_routes(lua_State *L, fa_turnstiles *turnstiles)
{
    fa_turnstile_figures f;
    lua_newtable(L);
    for (size_t i = 0; fa_turnstiles_read(turnstiles, i, &f); ++i) {
        lua_createtable(L, 0, 8);
        lua_pushstring(L, f.name);
        lua_setfield(L, -2, "route");
        set_number(L, "limit", f.limits.inside);
        set_number(L, "queue", f.limits.waiting);
        set_number(L, "running", (double)f.inside);
        set_number(L, "waiting", (double)f.waiting);
        set_number(L, "admitted", (double)f.admitted);
        set_number(L, "refused", (double)f.turned_away);
        set_number(L, "timedOut", (double)f.waited_too_long);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* Into the table on top. */
static void push_edge(lua_State *L, const fa_script_options *options)
{
    fa_edge_figures f = {0};
    if (options->edge != NULL)
        options->edge(options->context, &f);
    set_number(L, "connections", (double)f.connections);
    lua_createtable(L, 0, 2);
    set_number(L, "open", (double)f.websockets);
    set_number(L, "total", (double)f.websockets_total);
    lua_setfield(L, -2, "websockets");
    if (!f.access_log)
        return;
    lua_createtable(L, 0, 2);
    set_number(L, "dropped", (double)f.access_dropped);
    set_number(L, "heldBack", (double)f.access_held_back);
    lua_setfield(L, -2, "access_log");
}

static int status(lua_State *L)
{
    size_t files = 0, bytes = 0;
    const fa_script *script = fa_script_of(L);
    const fa_script_options *o = &script->options;
    lua_newtable(L);
    lua_pushboolean(L, o->draining != NULL && o->draining(o->context));
    lua_setfield(L, -2, "draining");
    set_number(L, "uptime_ms", (double)(fa_worker_now_exact(script->worker) - script->started_ms));
    push_edge(L, o);
    lua_newtable(L);
    set_number(L, "live", (double)fa_directory_live(fa_dialogues_directory(o->dialogues)));
    set_number(L, "running", (double)fa_directory_running(fa_dialogues_directory(o->dialogues)));
    set_number(L, "resting", (double)fa_dialogues_resting(o->dialogues));
    lua_setfield(L, -2, "dialogues");
    fa_media_stats(o->media, &files, &bytes);
    lua_newtable(L);
    set_number(L, "files", (double)files);
    set_number(L, "bytes", (double)bytes);
    lua_setfield(L, -2, "media");
    push_routes(L, script->turnstiles);
    lua_setfield(L, -2, "routes");
    return 1;
}

static int now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)fa_worker_wall(fa_script_of(L)->worker));
    return 1;
}

void fa_open_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", sleep_task},
        {"status", status},
        {"now", now},
        {NULL, NULL},
    };
    open_log(L);
    open_settings(L);
    lua_getglobal(L, "fitnessally");
    luaL_register(L, NULL, functions);
    fa_lua_waits(L, (const char *const[]){"sleep", NULL});
    lua_pushliteral(L, FA_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushinteger(L, (lua_Integer)fa_worker_index(fa_script_of(L)->worker));
    lua_setfield(L, -2, "worker");
    lua_pop(L, 1);
}
