/* A configuration of its own for each test, and the file it may read. */
#ifndef FA_SUPPORT_CONFIG_WORLD_H
#define FA_SUPPORT_CONFIG_WORLD_H

#include "server/config.h"
#include "testing.h"

typedef struct config_world {
    fa_failing memory;
    fa_ledger *ledger;
    fa_scope *scope;
    fa_config *config;
    fa_error error;
    char path[64]; /* written by the functions below, removed at the end */
} config_world;

void config_world_begin(config_world *w);
void config_world_end(config_world *w);

/* For cmocka: *state is a config_world. */
int config_world_set_up(void **state);
int config_world_tear_down(void **state);

#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, config_world_set_up, config_world_tear_down)

void config_write_file(const char *path, const char *bytes, size_t length);
fa_result config_load_text(config_world *w, const char *lua);
void config_accept_text(config_world *w, const char *lua);

/* In a world of its own: the file must be refused with exactly "PATH:LINE: message", line 0: "PATH: message". */
void config_refuse_text(const char *lua, int line, const char *message);

#endif
