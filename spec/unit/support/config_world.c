#include "config_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void config_world_begin(config_world *w)
{
    memset(w, 0, sizeof(*w));
    snprintf(w->path, sizeof(w->path), "/tmp/test_config.%d.lua", (int)getpid());
    w->ledger = fa_test_ledger(&w->memory);
    assert_ok(fa_scope_new(w->ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &w->scope));
    w->config = fa_config_new(w->scope);
    assert_non_null(w->config);
}

void config_world_end(config_world *w)
{
    fa_scope_end(w->scope, "test", NULL);
    fa_test_ledger_free(&w->memory, w->ledger);
    unlink(w->path);
}

int config_world_set_up(void **state)
{
    config_world *w = malloc(sizeof(*w));
    assert_non_null(w);
    config_world_begin(w);
    *state = w;
    return 0;
}

int config_world_tear_down(void **state)
{
    config_world_end(*state);
    free(*state);
    return 0;
}

void config_write_file(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

fa_result config_load_text(config_world *w, const char *lua)
{
    config_write_file(w->path, lua, strlen(lua));
    return fa_config_load(w->config, w->path, &w->error);
}

void config_accept_text(config_world *w, const char *lua)
{
    if (config_load_text(w, lua) != FA_OK)
        fail_msg("%s refused: %s", lua, w->error.text);
}

void config_refuse_text(const char *lua, int line, const char *message)
{
    config_world w;
    char expected[600];
    config_world_begin(&w);
    fa_result result = config_load_text(&w, lua);
    if (result != FA_INVALID)
        fail_msg("not invalid but %s: %s", fa_result_name(result), lua);
    if (line > 0)
        snprintf(expected, sizeof(expected), "%s:%d: %s", w.path, line, message);
    else
        snprintf(expected, sizeof(expected), "%s: %s", w.path, message);
    assert_string_equal(w.error.text, expected);
    config_world_end(&w);
}
