/* The memory report: every byte has an owner, or is named as having none (DESIGN.md, invariant 1). The shape is that of
 * GET /api/health/memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/allocator.h"
#include "base/clock.h"
#include "script/internal.h"

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_bytes(lua_State *L, const char *name, size_t bytes)
{
    lua_createtable(L, 0, 2);
    set_number(L, "bytes", (double)bytes);
    size_t hundredths = bytes * 100 / (1024 * 1024);
    set_number(L, "mb", (double)hundredths / 100);
    lua_setfield(L, -2, name);
}

/* Resident bytes, from the kernel's own count: the second number of statm, in pages. */
static size_t resident(void)
{
    char text[128];
    FILE *statm = fopen("/proc/self/statm", "re");
    size_t length = statm != NULL ? fread(text, 1, sizeof(text) - 1, statm) : 0;
    if (statm != NULL)
        fclose(statm);
    text[length] = '\0';
    const char *second = strchr(text, ' ');
    return second != NULL ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static size_t attributed(lua_State *L, const fa_script *script, size_t *from_malloc)
{
    size_t lua = script->heap.bytes;
    *from_malloc = 0; /* LuaJIT maps its own pages; plugins' libraries use malloc */
    lua_newtable(L);
    set_number(L, "lua", (double)lua);
    for (fa_native *const *native = script->options.natives; native != NULL && *native != NULL; ++native) {
        size_t bytes = fa_native_attributed(*native);
        *from_malloc += bytes;
        set_number(L, fa_native_name(*native), (double)bytes);
    }
    return lua + *from_malloc;
}

/* What the asking request itself has, so that a quiet server says zero. */
typedef struct self {
    size_t bytes, scopes, handles;
} self;

static void push_kinds(lua_State *L, fa_ledger *ledger, const self *asking)
{
    lua_newtable(L);
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(ledger, (fa_kind)kind);
        size_t less_bytes = kind == FA_KIND_REQUEST ? asking->bytes : 0,
               less = kind == FA_KIND_REQUEST ? asking->scopes : 0;
        lua_createtable(L, 0, 6);
        set_number(L, "bytes", (double)(c->bytes - less_bytes));
        set_number(L, "count", (double)(c->count - less));
        set_number(L, "peakBytes", (double)c->peak_bytes);
        set_number(L, "inFlightBytes", (double)c->in_flight_bytes);
        set_number(L, "inFlightCount", (double)c->in_flight_count);
        set_number(L, "ended", (double)c->ended);
        lua_setfield(L, -2, fa_kind_name((fa_kind)kind));
    }
}

static void push_allocator(lua_State *L, const fa_allocator_figures *heap)
{
    char name[FA_ALLOCATOR_NAME_SIZE];
    lua_createtable(L, 0, 4);
    lua_pushstring(L, fa_allocator_name(name));
    lua_setfield(L, -2, "name");
    set_number(L, "inUse", (double)heap->in_use);
    set_number(L, "cached", (double)heap->cached);
    set_number(L, "overhead", (double)heap->overhead);
}

static void push_ledger(lua_State *L, const fa_script *script, const self *asking)
{
    fa_ledger *ledger = fa_scope_ledger(script->scope);
    fa_allocator_figures heap;
    fa_allocator_read(&heap);
    size_t ours = fa_ledger_bytes(ledger), from_malloc;
    lua_newtable(L);
    size_t named = attributed(L, script, &from_malloc); /* leaves its table */
    lua_setfield(L, -2, "attributedBy");
    size_t in_use = heap.in_use, known = ours + from_malloc;
    set_number(L, "ours", (double)(ours - asking->bytes));
    set_number(L, "attributed", (double)named);
    set_number(L, "residual", in_use > known ? (double)(in_use - known) : 0);
    set_number(L, "cachedAndMapped", (double)heap.cached); /* freed, kept by the allocator */
    push_allocator(L, &heap);
    lua_setfield(L, -2, "allocator");
    set_number(L, "inFlight", (double)fa_ledger_in_flight(ledger));
    set_number(L, "scopes", (double)(fa_ledger_scopes(ledger) - asking->scopes));
    set_number(L, "handles", (double)(*fa_ledger_handles(ledger) - asking->handles));
    push_kinds(L, ledger, asking);
    lua_setfield(L, -2, "byKind");
}

static size_t count_list(const fa_list *list)
{
    size_t count = 0;
    FA_LIST_EACH(node, list)
    count++;
    return count;
}

void fa_push_memory_report(lua_State *L, fa_script *script, const fa_exchange *asking)
{
    self me = {0};
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    if (asking != NULL)
        me = (self){fa_account_total(fa_scope_account(asking->scope)), 1, count_list(fa_scope_handles(asking->scope))};
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
    lua_newtable(L);
    lua_pushliteral(L, "healthy");
    lua_setfield(L, -2, "status");
    lua_pushstring(L, script->empty_array);
    lua_setfield(L, -2, "warnings");
    lua_pushstring(L, stamp);
    lua_setfield(L, -2, "timestamp");
    set_number(L, "uptime", (double)(fa_now_ms() - script->started_ms) / 1000);
    lua_createtable(L, 0, 2);
    set_bytes(L, "rss", resident());
    set_bytes(L, "lua", script->heap.bytes);
    lua_setfield(L, -2, "memory");
    push_ledger(L, script, &me);
    lua_setfield(L, -2, "ledger");
    lua_createtable(L, 0, 3);
    set_number(L, "tasks", (double)(script->task_count - me.scopes));
    set_number(L, "heapPeakBytes", (double)script->heap.peak);
    set_number(L, "heapLimitBytes", (double)script->heap.limit);
    set_number(L, "heapRefusals", (double)script->heap.refused);
    set_number(L, "copies", (double)script->copies);
    set_number(L, "copiedBytes", (double)script->copied_bytes);
    lua_setfield(L, -2, "scripts");
}

static int report_as_json(lua_State *L)
{
    fa_buffer *out = lua_touserdata(L, 1);
    size_t length;
    fa_push_memory_report(L, fa_script_of(L), NULL);
    fa_lua_encode_json(L, -1);
    const char *json = lua_tolstring(L, -1, &length);
    lua_pushinteger(L, (lua_Integer)fa_buffer_append(out, json, length));
    return 1;
}

fa_result fa_script_memory_report(fa_script *script, fa_buffer *out)
{
    lua_State *L = script->lua;
    lua_pushcfunction(L, report_as_json);
    lua_pushlightuserdata(L, out);
    fa_result result = lua_pcall(L, 1, 1, 0) == 0 ? (fa_result)lua_tointeger(L, -1) : FA_NO_MEMORY;
    lua_pop(L, 1);
    return result;
}
