/* The Lua state of one worker and generation: what is in it, and what is not.
 *
 * Routes get the language and our functions. They do not get io, os (but for the clock), ffi, debug, package, bytecode or the
 * loaders that would bring them back.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <luajit.h>

#include "base/random_id.h"
#include "exchange/json_depth.h"
#include "script/guest.h"
#include "script/route_options.h"

enum { MAX_REPEAT = 1024 * 1024, CJSON_DEPTH = FA_MOST_JSON_DEPTH };

static const char script_key = 's'; /* its address is the registry key of the fa_script */

fa_script *fa_script_of(lua_State *L)
{
    fa_script *known = fa_heap_script(L);
    if (known != NULL)
        return known;
    lua_pushlightuserdata(L, (void *)&script_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    fa_script *script = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return script;
}

/* ---- the sandbox ---- */

static int capped_rep(lua_State *L)
{
    size_t length, separator;
    luaL_checklstring(L, 1, &length);
    lua_Number times = luaL_checknumber(L, 2);
    luaL_optlstring(L, 3, "", &separator);
    if (times > 0 && (double)(length + separator) * times > MAX_REPEAT)
        return luaL_error(L, "string.rep: the result would be longer than %d bytes", MAX_REPEAT);
    lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 3, 1);
    return 1;
}

static int print_to_log(lua_State *L)
{
    int count = lua_gettop(L);
    fa_lua_check_depth(L); /* __tostring may print */
    lua_getglobal(L, "tostring");
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; ++i) {
        if (i > 1)
            luaL_addchar(&line, ' ');
        lua_pushvalue(L, count + 1);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    fa_log_write(fa_worker_log(fa_script_of(L)->worker), FA_LOG_INFO, "%s", lua_tostring(L, -1));
    return 0;
}

static void open_library(lua_State *L, const char *name, lua_CFunction open)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

/* What no script gets but those that configuration trusts (sandbox.c). */
static void withhold_globals(lua_State *L, const char *const *names)
{
    lua_newtable(L);
    for (; *names != NULL; ++names) {
        lua_getglobal(L, *names);
        lua_setfield(L, -2, *names);
        lua_pushnil(L);
        lua_setglobal(L, *names);
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.withheld");
}

static void keep_only_the_clock(lua_State *L)
{
    static const char *const kept[] = {"time", "clock", "date", "difftime", NULL};
    lua_getglobal(L, "os");
    lua_newtable(L);
    for (const char *const *name = kept; *name != NULL; ++name) {
        lua_getfield(L, -2, *name);
        lua_setfield(L, -2, *name);
    }
    lua_setglobal(L, "os");
    lua_pop(L, 1);
}

static void open_language(lua_State *L)
{
    static const char *const forbidden[] = {"dofile",  "loadfile", "load",   "loadstring", "newproxy", "module",
                                            "require", "package",  "gcinfo", "getfenv",    "setfenv",  "collectgarbage",
                                            "debug",   "io",       "jit",    NULL};
    open_library(L, "", luaopen_base);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    open_library(L, LUA_BITLIBNAME, luaopen_bit);
    open_library(L, LUA_OSLIBNAME, luaopen_os);
    open_library(L, LUA_JITLIBNAME, luaopen_jit); /* switches the compiler on; its table is taken away again */
    keep_only_the_clock(L);
    withhold_globals(L, forbidden);

    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, capped_rep, 1);
    lua_setfield(L, -2, "rep");
    lua_pop(L, 1);
    lua_pushcfunction(L, print_to_log);
    lua_setglobal(L, "print");
}

/* ---- lua-cjson ---- */

static void set_cjson(lua_State *L, const char *option, int value, bool flag)
{
    lua_getfield(L, -1, option);
    if (flag)
        lua_pushboolean(L, value);
    else
        lua_pushinteger(L, value);
    lua_call(L, 1, 0);
}

static int protected_decode(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    if (length > FA_MOST_JSON) {
        lua_pushnil(L);
        lua_pushfstring(L, "it is longer than %d MB", FA_MOST_JSON / 1024 / 1024);
        return 2;
    }
    return fa_lua_decode_json(L, text, length);
}

static int encode_json(lua_State *L)
{
    luaL_checkany(L, 1);
    fa_lua_encode_json(L, 1);
    fa_lua_count_copy(L, lua_objlen(L, -1));
    return 1;
}

/* json: encode raises on what cannot be JSON, decode answers nil and a message. */
static void open_json(lua_State *L)
{
    void *library = dlopen(FA_CJSON_PATH, RTLD_NOW | RTLD_LOCAL); /* stays loaded: its code is shared by all states */
    lua_CFunction open = NULL;
    if (library != NULL)
        *(void **)&open = dlsym(library, "luaopen_cjson");
    if (open == NULL)
        luaL_error(L, "lua-cjson: %s", dlerror());
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    set_cjson(L, "decode_max_depth", CJSON_DEPTH, false);
    set_cjson(L, "decode_invalid_numbers", 0, true);

    lua_newtable(L);
    lua_pushcfunction(L, encode_json);
    lua_setfield(L, -2, "encode");
    lua_pushstring(L, fa_script_of(L)->empty_array);
    lua_setfield(L, -2, "empty_array");
    lua_getfield(L, -2, "null");
    lua_setfield(L, -2, "null");
    lua_pushcfunction(L, protected_decode);
    lua_setfield(L, -2, "decode");
    lua_setglobal(L, "json");
    lua_getfield(L, -1, "decode");
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.decode");
    lua_pop(L, 1);
}

unsigned fa_script_json_depth(const fa_script *script)
{
    unsigned depth = script->options.bodies.json_depth;
    return depth != 0 ? depth : FA_DEFAULT_JSON_DEPTH;
}

int fa_lua_decode_json(lua_State *L, const char *text, size_t length)
{
    return fa_lua_decode_json_within(L, text, length, fa_script_json_depth(fa_script_of(L)));
}

int fa_lua_decode_json_within(lua_State *L, const char *text, size_t length, unsigned depth)
{
    if (fa_json_deeper_than((fa_text){text, length}, depth)) {
        lua_pushnil(L);
        lua_pushfstring(L, "it has too many nested arrays and objects, more than %d deep", (int)depth);
        return 2;
    }
    if (length > 0 &&
        memchr(text, '\0', length) != NULL) { /* lua-cjson takes it for the end and would not see what follows */
        lua_pushnil(L);
        lua_pushliteral(L, "a NUL byte is no JSON");
        return 2;
    }
    fa_lua_count_copy(L, length);
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.decode");
    lua_pushlstring(L, text, length);
    if (lua_pcall(L, 1, 1, 0) == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

void fa_lua_count_copy(lua_State *L, size_t bytes)
{
    fa_script *script = fa_script_of(L);
    script->copies++;
    script->copied_bytes += bytes;
}

/* ---- beginning and end ---- */

static int open_all(lua_State *L)
{
    open_language(L);
    open_json(L);
    fa_open_handles(L);
    fa_open_waits(L);
    fa_open_buffer(L);
    fa_open_sound(L);
    fa_open_scopes(L);
    fa_open_tasks(L);
    fa_open_request(L);
    fa_open_headers(L);
    fa_open_stream(L);
    fa_open_events(L);
    fa_open_websocket(L);
    fa_open_file(L);
    fa_open_app(L);
    fa_open_voice(L);
    fa_open_turn(L);
    fa_open_plugins(L);
    fa_open_core(L);
    fa_open_memory(L);
    fa_open_upstream(L);
    fa_open_loader(L);
    fa_open_store(L);
    fa_open_topics(L);
    fa_open_structure(L);
    fa_open_schedule(L);
    fa_open_halves(L);
    fa_open_routes(L);
    fa_open_crypto(L);
    fa_open_policies(L);
    fa_open_language(L);
    fa_open_patterns(L);
    if (fa_script_of(L)->options.guest != NULL)
        fa_guest_withhold(L);
    fa_sandbox_seal(L); /* last */
    return 0;
}

static fa_result new_scope(const fa_script_options *options, fa_scope **scope)
{
    char label[FA_LABEL_SIZE] = "scripts";
    const fa_scope *parent = fa_worker_scope(options->worker);
    if (options->guest != NULL)
        snprintf(label, sizeof(label), "plugin %s, its own state", options->guest);
    else if (options->generation != 0)
        snprintf(label, sizeof(label), "scripts, generation %u", options->generation);
    return fa_scope_new_apart(fa_scope_ledger(parent), parent, FA_KIND_WORKER, 0, label, FA_HERE, scope);
}

fa_result fa_script_new(const fa_script_options *options, fa_script **out, fa_error *error)
{
    fa_result result = fa_script_new_apart(options, out, error);
    if (result == FA_OK)
        fa_script_attach(*out);
    return result;
}

void fa_script_attach(fa_script *script)
{
    script->attached = true;
    fa_scope_attach(script->scope, fa_worker_scope(script->worker));
    fa_guests_attach(script);
}

fa_result fa_script_new_apart(const fa_script_options *options, fa_script **out, fa_error *error)
{
    fa_scope *scope;
    fa_result result = new_scope(options, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for scripts");
    fa_script *script = fa_scope_allocate(scope, sizeof(*script));
    if (script == NULL || (script->router = fa_router_new(scope)) == NULL ||
        (script->default_options = fa_scope_allocate(scope, sizeof(*script->default_options))) == NULL ||
        (script->turnstiles = options->turnstiles != NULL ? options->turnstiles : fa_turnstiles_new(scope)) == NULL ||
        (script->buckets = options->buckets != NULL ? options->buckets : fa_buckets_new(scope)) == NULL ||
        (script->lua = luaL_newstate()) == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no memory for scripts");
    }
    script->options = *options;
    fa_route_options_default(script, script->default_options);
    script->worker = options->worker;
    script->scope = scope;
    script->started_ms = options->started_ms != 0 ? options->started_ms : fa_worker_now_exact(script->worker);
    fa_list_init(&script->tasks);
    fa_list_init(&script->pending);
    fa_list_init(&script->readings);
    fa_list_init(&script->streams);
    fa_list_init(&script->websockets);
    fa_list_init(&script->holds);
    fa_list_init(&script->module_waits);
    fa_message_init(&script->mail, fa_tasks_deliver);
    fa_phases_init(script);
    fa_heap_begin(&script->heap, script->lua, options->script_heap);
    fa_random_id(script->empty_array, sizeof(script->empty_array), "empty-array-", 12);
    lua_pushlightuserdata(script->lua, (void *)&script_key);
    lua_pushlightuserdata(script->lua, script);
    lua_rawset(script->lua, LUA_REGISTRYINDEX);
    lua_pushcfunction(script->lua, open_all);
    if (lua_pcall(script->lua, 0, 0, 0) != 0) {
        fa_fail(error, FA_INVALID, "the script library: %s", lua_tostring(script->lua, -1));
        fa_script_free(script);
        return FA_INVALID;
    }
    if (!options->jit)
        luaJIT_setmode(script->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (options->lines != NULL)
        fa_script_tell_lines(script);
    *out = script;
    return FA_OK;
}

size_t fa_script_tasks(const fa_script *script)
{
    return script->task_count;
}

void fa_script_stop(fa_script *script)
{
    fa_phases_shut_down(script);
    fa_tasks_end(script);
    fa_guests_stop(script);
}

void fa_script_free(fa_script *script)
{
    if (script == NULL)
        return;
    script->retired = false; /* nobody is to hear of what ends here */
    fa_tasks_end(script);    /* while there still is a state that they can be taken out of */
    fa_script_readings_end(script);
    fa_phases_end(script);
    fa_guests_free(script);
    fa_worker_withdraw(script->worker, &script->mail);
    if (script->draining)
        fa_worker_withdraw(script->worker, &script->drain_mail);
    fa_route_options_free(script);
    fa_heap_end(&script->heap);
    fa_json_forget(script);
    lua_close(script->lua);
    fa_scope_end(script->scope, "scripts closed", NULL);
}
