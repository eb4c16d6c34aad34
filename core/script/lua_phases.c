/* The phases of plugins that lie outside of a handler: `response`, when a head is about to be made; `log`, when the exchange is over;
 * `shutdown`, when the generation is.
 *
 * They run in the state itself, not in a task: they cannot wait. An exchange ends in the midst of other things, so that what is to be
 * logged is noted there and told from the loop. */
#include <string.h>

#include "script/internal.h"

enum { MOST_ENTRIES = 1024, LONGEST_PATH = 256 };

/* A request of which somebody will be told; in memory of its scope. */
typedef struct watched {
    fa_list link;
    fa_script *script;
    fa_exchange *exchange;
    fa_handle handle;
    fa_scope_hook at_end;
    fa_hold hold;
} watched;

/* What the phase `log` gets. */
typedef struct entry {
    fa_list link;
    char id[FA_REQUEST_ID_SIZE], method[16], path[LONGEST_PATH], remote[48];
    const char *route; /* interned */
    int status;
    bool complete;
    uint64_t sent;
    double ms;
} entry;

/* Pops the problem of a call into the library. */
static void log_problem(fa_script *script, const char *phase)
{
    const char *problem = lua_tostring(script->lua, -1);
    fa_log_write(fa_worker_log(script->worker), FA_LOG_ERROR, "plugins: %s: %s", phase,
                 problem != NULL ? problem : "an error that is not a text");
    lua_pop(script->lua, 1);
}

/* ---- response ---- */

static void on_heading(fa_exchange *exchange, int status, void *context)
{
    const watched *w = context;
    fa_script *script = w->script;
    lua_State *L = script->lua;
    int base = lua_gettop(L);
    bool strict = fa_heap_strict(script, false), promised = exchange->promised;
    if (!lua_checkstack(L, 8)) {
        fa_heap_strict(script, strict);
        return;
    }
    fa_lua_push_handle(L, w->handle, FA_META_REQUEST);
    lua_pushinteger(L, status);
    fa_heap_strict(script, strict);
    exchange->promised = true; /* it is being answered: nobody answers instead */
    if (fa_halves_call(script, "response", base) != 0)
        log_problem(script, "response");
    exchange->promised = promised;
}

/* ---- log ---- */

static void set_text(lua_State *L, const char *key, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void tell_entry(fa_script *script, const entry *e)
{
    lua_State *L = script->lua;
    int base = lua_gettop(L);
    bool strict = fa_heap_strict(script, false);
    lua_createtable(L, 0, 9);
    set_text(L, "id", e->id);
    set_text(L, "method", e->method);
    set_text(L, "path", e->path);
    set_text(L, "remote", e->remote);
    set_text(L, "route", e->route);
    lua_pushinteger(L, e->status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, e->complete);
    lua_setfield(L, -2, "complete");
    lua_pushnumber(L, (lua_Number)e->sent);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, e->ms);
    lua_setfield(L, -2, "ms");
    fa_heap_strict(script, strict);
    if (fa_halves_call(script, "log", base) != 0)
        log_problem(script, "log");
}

static void tell_entries(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->entries)) != NULL;) {
        entry *e = FA_OBJECT(node, entry, link);
        fa_list_remove(&e->link);
        script->entry_count--;
        tell_entry(script, e);
        fa_scope_free(script->scope, e);
    }
    if (script->entries_lost > 0)
        fa_log_write(fa_worker_log(script->worker), FA_LOG_WARN,
                     "plugins: log: %zu requests were not told: too many at once", script->entries_lost);
    script->entries_lost = 0;
}

static void deliver_entries(fa_message *mail)
{
    fa_script *script = FA_OBJECT(mail, fa_script, entries_mail);
    script->entries_posted = false;
    tell_entries(script);
}

static void copy_text(char *out, size_t size, fa_text text)
{
    size_t length = text.length < size ? text.length : size - 1;
    if (length > 0)
        memcpy(out, text.data, length);
    out[length] = '\0';
}

static void note_entry(fa_script *script, const fa_exchange *exchange)
{
    entry *e = script->entry_count < MOST_ENTRIES ? fa_scope_allocate(script->scope, sizeof(*e)) : NULL;
    if (e == NULL) {
        script->entries_lost++;
        return;
    }
    memcpy(e->id, exchange->request_id, sizeof(e->id));
    copy_text(e->method, sizeof(e->method), exchange->method);
    copy_text(e->path, sizeof(e->path), exchange->path);
    copy_text(e->remote, sizeof(e->remote), exchange->remote);
    e->route = exchange->story.route != NULL ? exchange->story.route : "";
    e->status = exchange->status;
    e->complete = exchange->finished && !exchange->gone;
    e->sent = exchange->body_sent;
    if (exchange->story.began_us != 0)
        e->ms = (double)(fa_worker_now_us(script->worker) - exchange->story.began_us) / 1000;
    fa_list_append(&script->entries, &e->link);
    script->entry_count++;
    if (!script->entries_posted)
        fa_worker_post(script->worker, &script->entries_mail);
    script->entries_posted = true;
}

void fa_phases_init(fa_script *script)
{
    fa_list_init(&script->entries);
    fa_list_init(&script->watched);
    fa_message_init(&script->entries_mail, deliver_entries);
}

/* ---- requests ---- */

static void on_scope_end(fa_scope_hook *hook)
{
    watched *w = FA_OBJECT(hook, watched, at_end);
    fa_list_remove(&w->link);
    w->exchange->heading = NULL;
    if (w->script->phases & FA_PHASE_LOG)
        note_entry(w->script, w->exchange);
    fa_hold_end(&w->hold);
}

bool fa_phases_watch(fa_script *script, fa_exchange *exchange, fa_handle handle, bool holds)
{
    if ((script->phases & (FA_PHASE_RESPONSE | FA_PHASE_LOG)) == 0)
        return true;
    watched *w = fa_scope_allocate(exchange->scope, sizeof(*w));
    if (w == NULL)
        return false;
    w->script = script;
    w->exchange = exchange;
    w->handle = handle;
    fa_list_append(&script->watched, &w->link);
    if (holds && (script->phases & FA_PHASE_LOG))
        fa_hold_begin(&w->hold, script, NULL, exchange, FA_HOLD_REQUEST);
    fa_scope_hook_add(exchange->scope, &w->at_end, on_scope_end);
    if (script->phases & FA_PHASE_RESPONSE) {
        exchange->heading = on_heading;
        exchange->heading_context = w;
    }
    return true;
}

/* ---- the end ---- */

void fa_phases_shut_down(fa_script *script)
{
    if (script->shut_down)
        return;
    script->shut_down = true;
    tell_entries(script);
    if ((script->phases & FA_PHASE_SHUTDOWN) && fa_halves_call(script, "shutdown", lua_gettop(script->lua)) != 0)
        log_problem(script, "shutdown");
}

void fa_phases_end(fa_script *script)
{
    for (fa_list *node; (node = fa_list_first(&script->watched)) != NULL;) {
        watched *w = FA_OBJECT(node, watched, link);
        fa_list_remove(&w->link);
        fa_scope_hook_remove(&w->at_end);
        w->exchange->heading = NULL;
        fa_hold_end(&w->hold);
    }
    if (script->entries_posted)
        fa_worker_withdraw(script->worker, &script->entries_mail);
    script->phases = 0;
}
