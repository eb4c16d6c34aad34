/* What the library in lua/fitnessally needs of the core for itself: buckets that all workers share, compression, files of the app
 * while it is loaded, dates as in headers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/addresses.h"
#include "media/gzip.h"
#include "media/validators.h"
#include "script/internal.h"

enum { MOST_BUCKET_KEYS = 10000000, MOST_FILE = 1024 * 1024 };

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
    fa_gzip_limits limits = {fa_lua_check_size(L, 1, "gzip: min"), fa_lua_check_size(L, 2, "gzip: max"),
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

/* ---- files of the app ---- */

/* The file, open, when it lies below the app's folder, links followed; -1. */
static int open_below(const char *folder, const char *name)
{
    char path[PATH_MAX], real[PATH_MAX], root[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) || realpath(path, real) == NULL ||
        realpath(folder, root) == NULL)
        return -1;
    size_t length = strlen(root);
    if (strncmp(real, root, length) != 0 || real[length] != '/') {
        errno = EACCES;
        return -1;
    }
    return open(real, O_RDONLY | O_CLOEXEC);
}

static int answer_problem(lua_State *L, const char *name, const char *problem)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", name, problem);
    return 2;
}

/* read(name): the text of a file of the app, at most 1 MB; nil and a message. While the app is loaded: it blocks. */
static int read_file(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const fa_script *script = fa_script_of(L);
    if (script->options.app == NULL)
        return answer_problem(L, name, "a plugin in a state of its own reads no files");
    if (!script->loading)
        return answer_problem(L, name, "files of the app are read while it is loaded, not later");
    char *text = lua_newuserdata(L, MOST_FILE + 1);
    int fd = open_below(script->options.app, name);
    if (fd < 0)
        return answer_problem(L, name, strerror(errno));
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length <= MOST_FILE) {
        got = read(fd, text + length, MOST_FILE + 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    int problem = errno;
    close(fd);
    if (got < 0)
        return answer_problem(L, name, strerror(problem));
    if (length > MOST_FILE)
        return answer_problem(L, name, "it is larger than 1 MB");
    fa_lua_count_copy(L, length);
    lua_pushlstring(L, text, length);
    return 1;
}

/* ---- time ---- */

static int monotonic(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)fa_worker_now_us(fa_script_of(L)->worker) / 1000);
    return 1;
}

static int http_date(lua_State *L)
{
    char out[FA_HTTP_DATE_SIZE];
    lua_Number seconds = luaL_checknumber(L, 1);
    if (!(seconds >= 0 && seconds < 253402300800.0))
        return luaL_error(L, "a date in a header is of the years 1970 to 9999");
    fa_http_date_write(out, (int64_t)seconds);
    lua_pushstring(L, out);
    return 1;
}

static int parse_http_date(lua_State *L)
{
    int64_t seconds;
    fa_text text;
    text.data = luaL_checklstring(L, 1, &text.length);
    if (fa_http_date_read(text, &seconds))
        lua_pushnumber(L, (lua_Number)seconds);
    else
        lua_pushnil(L);
    return 1;
}

void fa_open_policies(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"bucket", new_bucket},
        {"gzip", new_gzip},
        {"read", read_file},
        {"monotonic", monotonic},
        {"http_date", http_date},
        {"parse_http_date", parse_http_date},
        {NULL, NULL},
    };
    lua_getglobal(L, "fitnessally");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "policies");
    lua_pop(L, 1);
}
