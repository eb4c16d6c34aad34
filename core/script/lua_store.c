/* fitnessally.store: what all workers and later generations of scripts share. A buffer that is put in goes over to the store; one that is
 * read is a slice of the store's, in the scope of whoever reads it. */
#include <string.h>

#include "memory/buffer.h"
#include "script/internal.h"

enum { LONGEST_KEY = 1024, MOST_STORES = 64, DEFAULT_ENTRIES = 1000, DEFAULT_BYTES = 1024 * 1024 };

/* One that this state has open; in memory of its scope, and closed at its end. */
typedef struct opened {
    fa_store *store;
    fa_scope_hook at_end;
} opened;

static void on_end(fa_scope_hook *hook)
{
    fa_store_close(FA_OBJECT(hook, opened, at_end)->store);
}

static fa_store *check_store(lua_State *L)
{
    fa_store *const *store = luaL_checkudata(L, 1, FA_META_STORE);
    return *store;
}

static const char *check_key(lua_State *L, size_t *length)
{
    const char *key = luaL_checklstring(L, 2, length);
    luaL_argcheck(L, *length > 0 && *length <= LONGEST_KEY, 2, "a key has 1 to 1024 bytes");
    return key;
}

static uint64_t now_ms(lua_State *L)
{
    return fa_worker_now(fa_script_of(L)->worker);
}

/* The moment after `ttl` of the options at `index`. */
static uint64_t read_expiry(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return FA_STORE_NEVER;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "ttl");
    uint64_t expires = FA_STORE_NEVER;
    if (!lua_isnil(L, -1))
        expires = now_ms(L) + fa_lua_opt_duration(L, -1, "store: ttl", 0);
    lua_pop(L, 1);
    return expires;
}

static fa_store_mode read_mode(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return FA_STORE_PUT;
    lua_getfield(L, index, "add");
    bool add = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return add ? FA_STORE_ADD : FA_STORE_PUT;
}

static int answer(lua_State *L, fa_result result)
{
    if (result == FA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, result == FA_CONFLICT ? "there is one already" : fa_result_name(result));
    return 2;
}

/* The buffer goes over; one that cannot (a slice, a body in a file, one that is being sent) is copied and stays. */
static fa_result put_buffer(lua_State *L, fa_store *store, const char *key, size_t length, fa_buffer *buffer,
                            fa_store_mode mode, uint64_t expires)
{
    if (!fa_buffer_sealed(buffer))
        luaL_error(L, "only a sealed buffer can be put into a store: call buf:seal() first");
    const fa_lua_handle *h = lua_touserdata(L, 3);
    uint64_t now = now_ms(L);
    fa_result result = fa_store_put(store, key, length, buffer, mode, now, expires);
    if (result == FA_WRONG_STATE || result == FA_UNSUPPORTED)
        return fa_store_put_copy(store, key, length, fa_buffer_data(buffer), fa_buffer_length(buffer),
                                 fa_buffer_made_at(buffer), mode, now, expires);
    if (result == FA_OK)
        fa_handle_give_up(fa_worker_handles(fa_script_of(L)->worker), h->handle, &fa_type_buffer, fa_script_here(L),
                          NULL);
    return result;
}

static int store_put(lua_State *L)
{
    size_t length, bytes;
    fa_store *store = check_store(L);
    const char *key = check_key(L, &length);
    fa_lua_check_options(L, 4, "store:put", (const char *const[]){"ttl", "add", NULL});
    uint64_t expires = read_expiry(L, 4);
    fa_store_mode mode = read_mode(L, 4);
    fa_buffer *buffer = fa_lua_test(L, 3, &fa_type_buffer, FA_META_BUFFER);
    if (buffer != NULL)
        return answer(L, put_buffer(L, store, key, length, buffer, mode, expires));
    luaL_checktype(L, 3, LUA_TSTRING);
    const char *text = lua_tolstring(L, 3, &bytes);
    fa_lua_count_copy(L, bytes);
    return answer(L, fa_store_put_copy(store, key, length, text, bytes, fa_script_here(L), mode, now_ms(L), expires));
}

static int push_shared(lua_State *L, fa_buffer *buffer)
{
    fa_buffer *slice;
    fa_scope *scope = fa_task_scope(L);
    fa_result result = fa_buffer_slice(scope, buffer, 0, fa_buffer_length(buffer), fa_script_here(L), &slice);
    fa_buffer_return(buffer);
    return result == FA_OK ? fa_lua_push_buffer(L, slice, scope) : answer(L, result);
}

static int store_get(lua_State *L)
{
    size_t length;
    double number;
    fa_buffer *buffer;
    fa_store *store = check_store(L);
    const char *key = check_key(L, &length);
    fa_task_scope(L); /* raises before anything is leased */
    if (fa_store_get(store, key, length, now_ms(L), &buffer, &number) != FA_OK) {
        lua_pushnil(L); /* and not nothing: tostring(store:get("none")) */
        return 1;
    }
    if (buffer != NULL)
        return push_shared(L, buffer);
    lua_pushnumber(L, number);
    return 1;
}

static int store_count(lua_State *L)
{
    size_t length;
    double number;
    fa_store *store = check_store(L);
    const char *key = check_key(L, &length);
    lua_Number by = luaL_optnumber(L, 3, 1);
    fa_lua_check_options(L, 4, "store:count", (const char *const[]){"ttl", NULL});
    fa_result result = fa_store_count(store, key, length, by, now_ms(L), read_expiry(L, 4), &number);
    if (result == FA_INVALID)
        return luaL_error(L, "store:count: the entry holds bytes, not a number");
    if (result != FA_OK)
        return answer(L, result);
    lua_pushnumber(L, number);
    return 1;
}

static int store_remove(lua_State *L)
{
    size_t length;
    fa_store *store = check_store(L);
    const char *key = check_key(L, &length);
    lua_pushboolean(L, fa_store_remove(store, key, length, now_ms(L)));
    return 1;
}

static int store_figures(lua_State *L)
{
    fa_store_figures f;
    fa_store_read(check_store(L), &f);
    const struct {
        const char *name;
        double value;
    } all[] = {{"entries", (double)f.entries}, {"bytes", (double)f.bytes},     {"found", (double)f.found},
               {"missed", (double)f.missed},   {"evicted", (double)f.evicted}, {"expired", (double)f.expired},
               {"refused", (double)f.refused}};
    lua_createtable(L, 0, sizeof(all) / sizeof(all[0]));
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        lua_pushnumber(L, all[i].value);
        lua_setfield(L, -2, all[i].name);
    }
    return 1;
}

/* ---- opening ---- */

static fa_store_limits read_limits(lua_State *L)
{
    fa_store_limits limits = {.bytes = DEFAULT_BYTES, .entries = DEFAULT_ENTRIES};
    fa_lua_check_options(L, 2, "fitnessally.store", (const char *const[]){"size", "entries", NULL});
    if (lua_isnoneornil(L, 2))
        return limits;
    lua_getfield(L, 2, "size");
    if (!lua_isnil(L, -1))
        limits.bytes = fa_lua_check_size(L, -1, "fitnessally.store: size");
    lua_getfield(L, 2, "entries");
    lua_Number entries = luaL_optnumber(L, -1, DEFAULT_ENTRIES);
    luaL_argcheck(L, entries >= 1 && entries <= 1e6, 2, "entries must be 1 to 1000000");
    limits.entries = (size_t)entries;
    lua_pop(L, 2);
    return limits;
}

static void check_name(lua_State *L, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t length = strlen(name);
    luaL_argcheck(L, length > 0 && length < FA_STORE_NAME_SIZE && strspn(name, letters) == length, 1,
                  "a store's name is made of letters, digits, dots, _ and -, fewer than 48");
}

/* The store is the state's until that ends. Raises. */
static fa_store *open_store(lua_State *L, const char *name, const fa_store_limits *limits)
{
    fa_script *script = fa_script_of(L);
    if (script->options.stores == NULL)
        luaL_error(L, "fitnessally.store: there are no stores here");
    opened *o = fa_scope_allocate(script->scope, sizeof(*o));
    fa_result result = o != NULL ? fa_store_open(script->options.stores, name, limits, &o->store) : FA_NO_MEMORY;
    if (result != FA_OK) {
        fa_scope_free(script->scope, o);
        luaL_error(L, "fitnessally.store(\"%s\"): %s", name, fa_result_name(result));
    }
    fa_scope_hook_add(script->scope, &o->at_end, on_end);
    return o->store;
}

/* fitnessally.store(name, {size = "1MB", entries = 1000}) */
static int get_store(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    check_name(L, name);
    lua_settop(L, 2); /* the limits are where they are looked for, or nil */
    lua_getfield(L, LUA_REGISTRYINDEX, FA_META_STORE "s");
    lua_getfield(L, -1, name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    fa_store_limits limits = read_limits(L);
    int count = (int)lua_objlen(L, -1);
    if (count == MOST_STORES)
        return luaL_error(L, "more than %d stores", MOST_STORES);
    fa_store **store = lua_newuserdata(L, sizeof(fa_store *));
    *store = open_store(L, name, &limits);
    luaL_getmetatable(L, FA_META_STORE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    lua_pushboolean(L, 1);
    lua_rawseti(L, -3, count + 1);
    return 1;
}

void fa_open_store(lua_State *L)
{
    static const luaL_Reg methods[] = {{"put", store_put},       {"get", store_get},         {"count", store_count},
                                       {"remove", store_remove}, {"figures", store_figures}, {NULL, NULL}};
    luaL_newmetatable(L, FA_META_STORE);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, FA_META_STORE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, FA_META_STORE "s");
    lua_getglobal(L, "fitnessally");
    lua_pushcfunction(L, get_store);
    lua_setfield(L, -2, "store");
    lua_pop(L, 1);
}
