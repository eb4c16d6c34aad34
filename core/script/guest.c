/* Plugins that have a Lua state of their own.
 *
 * A guest is an fa_script that belongs to the half of a plugin in another one, its host: made with it, on the same worker, and closed
 * with it. It has its own heap, its own time, the language and a part of the library that reaches nobody else; of the application and of
 * the other plugins it has nothing. What goes between the two is in lua_guest.c. */
#include <stdio.h>

#include "script/guest.h"

/* ---- what it is made with ---- */

/* What is left out reaches beyond the plugin: the network, what workers share, dialogues, the settings of the server, files. */
static fa_script_options options_of(const fa_script *host, const fa_script_plugin *own, const fa_half *half)
{
    fa_script_options options = host->options;
    options.guest = half->name;
    options.plugins = own;
    options.script_heap = own->state_heap;
    options.slice_ms = own->state_slice_ms != 0 ? own->state_slice_ms : host->options.slice_ms;
    options.natives = NULL;
    options.dialogues = NULL;
    options.media = NULL;
    options.upstreams = NULL;
    options.settings = NULL;
    options.app = NULL;
    options.trusted_count = 0;
    options.turnstiles = NULL;
    options.buckets = NULL;
    options.stores = NULL;
    options.topics = NULL;
    options.draining = NULL;
    options.edge = NULL;
    return options;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        ++names;
    return *names != NULL;
}

/* Of the table on top stays what is named. */
static void keep_only(lua_State *L, const char *const *names)
{
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && is_among(lua_tostring(L, -1), names))
            continue;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -4); /* there is such a key: lua_next goes on */
    }
}

void fa_guest_withhold(lua_State *L)
{
    static const char *const globals[] = {
        "_G",       "_VERSION", "assert",    "error",  "ipairs",       "next",         "pairs",    "pcall",    "print",
        "rawequal", "rawget",   "rawset",    "select", "setmetatable", "getmetatable", "tonumber", "tostring", "type",
        "unpack",   "xpcall",   "coroutine", "string", "table",        "math",         "bit",      "os",       "json",
        "log",      "settings", "app",       "plugin", "require",      "fitnessally",  NULL};
    static const char *const library[] = {"version", "worker", "sleep", "now",    "buffer",   "scope", "with",
                                          "spawn",   "all",    "race",  "crypto", "policies", NULL};
    static const char *const policies[] = {"read", "monotonic", "http_date", "parse_http_date", NULL}; /* for modules */
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    keep_only(L, globals);
    lua_getfield(L, -1, "fitnessally");
    keep_only(L, library);
    lua_getfield(L, -1, "policies");
    keep_only(L, policies);
    lua_pop(L, 3);
}

/* ---- its life ---- */

/* 0, or the problem is on top of its stack. */
static int load(fa_script *guest)
{
    guest->loading = true;
    int status = fa_halves_load_own(guest);
    guest->loading = false;
    guest->options.plugins = NULL; /* it was lent for that long */
    return status != 0 ? status : fa_guest_enter(guest);
}

static void forget(fa_half *half)
{
    fa_script_free(half->guest);
    half->guest = NULL;
}

int fa_guest_load(fa_script *host, const fa_script_plugin *plugin, fa_half *half)
{
    fa_error error = {""};
    fa_script_plugin own[2] = {*plugin, {.name = NULL}};
    own[0].isolated = false; /* it is at home there */
    const fa_script_options options = options_of(host, own, half);
    if (fa_script_new_apart(&options, &half->guest, &error) != FA_OK) {
        lua_pushstring(host->lua, error.text);
        return LUA_ERRRUN;
    }
    if (host->attached)
        fa_script_attach(half->guest);
    int status = load(half->guest);
    if (status != 0) {
        lua_pushstring(host->lua, fa_guest_problem(half->guest, status));
        forget(half);
        return status;
    }
    return fa_guest_push_half(host, half);
}

void fa_guests_free(fa_script *host)
{
    for (size_t i = 0; i < host->half_count; ++i)
        forget(&host->halves[i]);
}

void fa_guests_attach(fa_script *host)
{
    FA_GUEST_EACH(guest, host)
    fa_script_attach(guest);
}

void fa_guests_start(fa_script *host)
{
    FA_GUEST_EACH(guest, host)
    fa_script_start(guest);
}

void fa_guests_stop(fa_script *host)
{
    FA_GUEST_EACH(guest, host)
    fa_script_stop(guest);
}

/* ---- its end, with that of the generation ---- */

static void on_guest_idle(void *host)
{
    fa_script_look_idle(host);
}

void fa_guests_retire(fa_script *host)
{
    FA_GUEST_EACH(guest, host)
    fa_script_retire(guest, on_guest_idle, host);
}

void fa_guests_cut(fa_script *host, const char *reason)
{
    FA_GUEST_EACH(guest, host)
    fa_script_cut(guest, reason);
}

bool fa_guests_idle(const fa_script *host)
{
    bool idle = true;
    FA_GUEST_EACH(guest, host)
    idle = idle && fa_script_idle(guest);
    return idle;
}

/* ---- what they hold ---- */

void fa_guests_read_left(const fa_script *host, fa_script_left *left)
{
    FA_GUEST_EACH(guest, host)
    left->tasks += guest->task_count;
}

void fa_guests_add_figures(const fa_script *host, fa_script_figures *figures)
{
    FA_GUEST_EACH(guest, host)
    {
        figures->heap += guest->heap.bytes;
        figures->heap_peak += guest->heap.peak;
        figures->heap_limit += guest->heap.limit;
        figures->heap_refused += guest->heap.refused;
        figures->tasks += guest->task_count;
        figures->copies += guest->copies;
        figures->copied_bytes += guest->copied_bytes;
    }
}

void fa_guests_take_inventory(const fa_script *host, fa_inventory *inventory, const fa_scope *except)
{
    FA_GUEST_EACH(guest, host)
    fa_script_take_inventory(guest, inventory, except);
}
