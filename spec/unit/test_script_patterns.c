/* core/script/pattern.c: our string.find, match, gmatch and gsub say what LuaJIT's say. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#include "script_world.h"

enum { CASES = 60000, AT_ONCE = 100 };

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 20000);
    assert_non_null(file);
    assert_true(fread(text, 1, 19999, file) > 0);
    fclose(file);
    return text;
}

static void they_say_what_luajit_says(void **state)
{
    (void)state;
    char what[100];
    char *source = read_file(FA_SOURCE_HOME "/spec/unit/support/patterns.lua");
    static const char app[] = "local run = require 'patterns'\n"
                              "app:get('/:n', function(req) req:reply { text = run(tonumber(req.params.n)) } end)\n";
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_loadbuffer(L, source, strlen(source), "@patterns.lua"), 0);
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    script_world_write(w, "patterns.lua", source, strlen(source));
    assert_true(script_world_try(w, NULL, WITH_DEVELOPMENT));
    for (int i = 0; i < CASES; i += AT_ONCE) {
        size_t length;
        lua_pushvalue(L, -1);
        lua_pushinteger(L, i);
        assert_int_equal(lua_pcall(L, 1, 1, 0), 0);
        const char *expected = lua_tolstring(L, -1, &length);
        snprintf(what, sizeof(what), "GET /%d", i);
        fa_inprocess *client = script_start(w, (asking){.what = what});
        const fa_inprocess_answer *answer = fa_inprocess_answered(client);
        SCRIPT_UNTIL(w, answer->ended);
        if (answer->status != 200 || fa_buffer_length(answer->body) != length ||
            memcmp(fa_buffer_data(answer->body), expected, length) != 0)
            fail_msg("cases from %d:\n%s\nours: %.*s", i, expected, (int)fa_buffer_length(answer->body),
                     (const char *)fa_buffer_data(answer->body));
        fa_inprocess_free(client);
        lua_pop(L, 1);
    }
    lua_close(L);
    free(source);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_say_what_luajit_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
