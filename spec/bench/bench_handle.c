/* What a handle costs, made and released, and what its provenance adds. Built with the tests; run by hand on a release build:
 *
 *     cmake --preset release -DFA_TESTS=ON && ninja -C build bench_handle && build/bench/bench_handle
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "memory/handle.h"
#include "script/internal.h"

enum { ROUNDS = 2000000 };

static const fa_handle_type type = {"buffer", NULL};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void say(const char *what, double start)
{
    printf("%-58s %6.1f ns\n", what, (now_ns() - start) / ROUNDS);
}

static fa_scope *scope;
static fa_handle_table *table;

static void make_and_release(fa_origin made_at, fa_origin released_at)
{
    static int thing;
    fa_handle handle;
    if (fa_handle_make(table, &type, &thing, scope, "tts chunk 3", made_at, &handle) != FA_OK)
        abort();
    fa_handle_release(table, handle, &type, released_at, NULL);
}

/* As script code does it: both lines are looked up. */
static int with_lines(lua_State *L)
{
    make_and_release(fa_script_here(L), fa_script_here(L));
    return 0;
}

static int without_lines(lua_State *L)
{
    (void)L;
    make_and_release(FA_HERE, FA_HERE);
    return 0;
}

static void time_lua(lua_State *L, const char *what, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_setglobal(L, "f");
    double start = now_ns();
    if (luaL_loadbuffer(L, "local f = f for i = 1, 2000000 do f() end", 41, "@routes/bench.lua") != 0 ||
        lua_pcall(L, 0, 0, 0) != 0)
        abort();
    say(what, start);
}

int main(void)
{
    fa_error error;
    fa_worker *worker;
    fa_script *script;
    fa_setting none = {.name = NULL};
    fa_ledger *ledger = fa_ledger_new(NULL);
    if (fa_worker_new(ledger, NULL, 0, NULL, &worker, &error) != FA_OK)
        return 1;
    scope = fa_worker_scope(worker);
    table = fa_worker_handles(worker);
    fa_script_options options = {.worker = worker, .settings = &none, .app = ".", .library = FA_SOURCE_HOME "/lua"};
    if (fa_script_new(&options, &script, &error) != FA_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    double start = now_ns();
    for (int i = 0; i < ROUNDS; ++i)
        make_and_release(FA_HERE, FA_HERE);
    say("C: make and release, places known", start);
    time_lua(script->lua, "Lua: make and release, without lines", without_lines);
    time_lua(script->lua, "Lua: make and release, with both lines", with_lines);
    fa_script_free(script);
    fa_worker_free(worker);
    fa_ledger_free(ledger);
    return 0;
}
