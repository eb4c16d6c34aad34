/* What the middleware of lua/fitnessally needs of the core: buckets that all workers share, and compression. */
#include "http/addresses.h"
#include "media/gzip.h"
#include "script/internal.h"

enum { MOST_BUCKET_KEYS = 10000000 };

typedef struct limiter {
    fa_bucket_table *table;
    fa_bucket_rule rule;
} limiter;

/* An address is what it is to the edge: of IPv6 the /64. */
static fa_digest digest_of(lua_State *L, bool is_address)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    fa_address address;
    const void *part = text;
    if (is_address) {
        address = fa_address_parse(text);
        part = &address;
        length = sizeof(address);
    }
    return fa_digest_of(&part, &length, 1);
}

/* take(key, is_address): whether a token was there, how many are left, and seconds until one is there and until all are. */
static int take(lua_State *L)
{
    const limiter *l = lua_touserdata(L, lua_upvalueindex(1));
    fa_digest key = digest_of(L, lua_toboolean(L, 2));
    fa_bucket_answer answer = fa_buckets_take(l->table, &key, &l->rule, fa_worker_now(fa_script_of(L)->worker));
    lua_pushboolean(L, answer.taken);
    lua_pushnumber(L, answer.left);
    lua_pushnumber(L, (lua_Number)answer.wait_ms / 1000);
    lua_pushnumber(L, (lua_Number)answer.reset_ms / 1000);
    return 4;
}

/* bucket(name, rate, burst, keys): take. */
static int new_bucket(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    fa_bucket_rule rule = {luaL_checknumber(L, 2), luaL_checknumber(L, 3)};
    lua_Number keys = luaL_checknumber(L, 4);
    if (!(rule.rate > 0 && rule.burst >= 1 && rule.burst <= 1e9))
        return luaL_error(L, "a bucket has a rate above 0, and room for at least 1");
    if (!(keys >= 8 && keys <= MOST_BUCKET_KEYS))
        return luaL_error(L, "a bucket counts 8 to %d keys", MOST_BUCKET_KEYS);
    limiter *l = lua_newuserdata(L, sizeof(*l));
    l->rule = rule;
    fa_result result = fa_buckets_find(fa_script_of(L)->buckets, name, (size_t)keys, &l->table);
    if (result == FA_FULL)
        return luaL_error(L, "more than %d buckets", FA_MOST_BUCKET_TABLES);
    if (result != FA_OK)
        return luaL_error(L, "no room for a bucket of %d keys: %s", (int)keys, fa_result_name(result));
    lua_pushcclosure(L, take, 1);
    return 1;
}

/* wish(req): its answer is compressed when it is whole, of such a type and size, and the client takes it. */
static int wish(lua_State *L)
{
    fa_gzip_wish(fa_lua_check_exchange(L, 1), lua_touserdata(L, lua_upvalueindex(1)));
    return 0;
}

/* gzip(least, most, level): wish. The limits live as long as the function, which the route keeps. */
static int new_gzip(lua_State *L)
{
    fa_gzip_limits limits = {fa_lua_check_size(L, 1, "gzip: least"), fa_lua_check_size(L, 2, "gzip: most"),
                             (int)luaL_checkinteger(L, 3)};
    if (limits.level < 1 || limits.level > 9)
        return luaL_error(L, "gzip: level is 1 to 9");
    fa_gzip_limits *kept = fa_scope_allocate(fa_script_of(L)->scope, sizeof(*kept));
    if (kept == NULL)
        return luaL_error(L, "gzip: no memory");
    *kept = limits;
    lua_pushlightuserdata(L, kept);
    lua_pushcclosure(L, wish, 1);
    return 1;
}

void fa_open_policies(lua_State *L)
{
    static const luaL_Reg functions[] = {{"bucket", new_bucket}, {"gzip", new_gzip}, {NULL, NULL}};
    lua_getglobal(L, "fitnessally");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "policies");
    lua_pop(L, 1);
}
