/* The configuration: its schema and documentation, and the sources beside the file.
 * `test_config --docs` prints the table of docs/configuration.md. */
#include "config_world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the schema and its documentation
 * -------------------------------------------------------------------------------- */

static const char *type_name(fa_config_type type)
{
    static const char *const names[] = {"text", "number", "flag", "size", "duration", "list"};
    return names[type];
}

static void write_bound(const fa_config_key *key, double value, char out[32])
{
    static const struct {
        double factor;
        const char *name;
    } units[] = {{1073741824, "GB"}, {1048576, "MB"}, {1024, "KB"}, {3600000, "h"},
                 {60000, "min"},     {1000, "s"},     {1, "ms"}};
    snprintf(out, 32, key->type == FA_CONFIG_SIZE && value != 0 ? "%.10gB" : "%.10g", value);
    if (value == 0 || (key->type != FA_CONFIG_SIZE && key->type != FA_CONFIG_DURATION))
        return;
    size_t first = key->type == FA_CONFIG_SIZE ? 0 : 3, end = key->type == FA_CONFIG_SIZE ? 3 : 7;
    for (size_t i = first; i < end; ++i) {
        double count = value / units[i].factor;
        if (count >= 1 && count == (double)(long long)count) {
            snprintf(out, 32, "%.10g%s", count, units[i].name);
            return;
        }
    }
}

/* The row of docs/configuration.md for one key. */
static void write_row(const fa_config_key *key, char *out, size_t size)
{
    char low[32], high[32], range[128] = "", fallback[64] = "not set";
    if (key->fallback != NULL)
        snprintf(fallback, sizeof(fallback), "`%s`", key->fallback);
    write_bound(key, key->minimum, low);
    write_bound(key, key->maximum, high);
    if (key->choices != NULL) {
        snprintf(range, sizeof(range), "%s", key->choices);
        for (char *bar = range; (bar = strchr(bar, '|')) != NULL;)
            *bar = '/';
    } else if (key->type == FA_CONFIG_TEXT && key->maximum != 0) {
        snprintf(range, sizeof(range), "must be set");
    } else if (key->maximum != 0) {
        snprintf(range, sizeof(range), key->minimum == key->maximum ? "%s" : "%s to %s", low, high);
    }
    snprintf(out, size, "| `%s` | %s | %s | %s | %s |\n", key->name, type_name(key->type), fallback, range, key->doc);
}

static void docs_say_what_the_schema_says(void **state)
{
    char row[600], line[600];
    FILE *docs = fopen(FA_SOURCE_HOME "/docs/configuration.md", "r");
    const fa_config_key *key = fa_config_keys();
    (void)state;
    assert_non_null(docs);
    while (fgets(line, sizeof(line), docs) != NULL) {
        if (strncmp(line, "| `", 3) != 0 || key->name == NULL)
            continue;
        write_row(key++, row, sizeof(row));
        assert_string_equal(line, row);
    }
    fclose(docs);
    if (key->name != NULL)
        fail_msg("docs/configuration.md does not name %s", key->name);
}

static void declarations_are_sound(void **state)
{
    (void)state;
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key) {
        assert_true(key->doc != NULL && strlen(key->doc) > 10);
        assert_true(key->minimum <= key->maximum);
        if (key->fallback != NULL)
            assert_int_equal(fa_config_check(key, key->fallback, NULL), FA_OK);
        for (const fa_config_key *other = key + 1; other->name != NULL; ++other)
            assert_string_not_equal(key->name, other->name);
    }
}

static void defaults_stand(void **state)
{
    config_world *w = *state;
    const char *where, *const *items;
    assert_int_equal(fa_config_list(w->config, "listen", &items), 1);
    assert_string_equal(items[0], "127.0.0.1:3005");
    assert_int_equal(fa_config_list(w->config, "plugins_enabled", &items), 2);
    assert_string_equal(items[1], "records");
    assert_int_equal(fa_config_list(w->config, "plugin_path", &items), 0);
    assert_true(fa_config_number(w->config, "workers") == 0);
    assert_string_equal(fa_config_text(w->config, "tts"), "espeak");
    assert_null(fa_config_text(w->config, "data"));
    assert_int_equal(fa_config_size(w->config, "listener_queue"), 512 * 1024);
    assert_int_equal(fa_config_duration(w->config, "history_ttl"), 30 * 60 * 1000);
    assert_string_equal(fa_config_written(w->config, "linger", &where), "8s");
    assert_string_equal(where, "default");
    assert_null(fa_config_plugin(w->config, "espeak", "voice", &where));
    assert_null(fa_config_plugin_name(w->config, 0));
}

static void the_shipped_file_is_right(void **state)
{
    config_world *w = *state;
    fa_result result = fa_config_load(w->config, FA_SOURCE_HOME "/fitnessally.conf.lua", &w->error);
    assert_string_equal(w->error.text, "");
    assert_int_equal(result, FA_OK);
}

/* ---- the other sources
 * ------------------------------------------------------------------------------------------------ */

static void refuse_override(config_world *w, const char *assignment, const char *message)
{
    assert_int_equal(fa_config_override(w->config, assignment, &w->error), FA_INVALID);
    assert_string_equal(w->error.text, message);
}

static void accept_override(config_world *w, const char *assignment)
{
    if (fa_config_override(w->config, assignment, &w->error) != FA_OK)
        fail_msg("%s refused: %s", assignment, w->error.text);
}

static void overrides_win(void **state)
{
    config_world *w = *state;
    const char *where, *const *items;
    config_accept_text(w, "linger = '1s' plugins.espeak.voice = 'en'");
    char *environment[] = {"PATH=/bin",
                           "FITNESSALLY_LINGER=2s",
                           "FITNESSALLY_PLUGINS_ESPEAK_VOICE=de",
                           "FITNESSALLY_DRAIN=3s",
                           "FITNESSALLY_PLUGINS_ENABLED=records",
                           "FITNESSALLY_CONFIG=x",
                           "FITNESSALLY_=1",
                           "FITNESSALLY_PLUGINS_X",
                           "FITNESSALLY_PLUGINS__=1",
                           "FITNESSALLY_LISTEN=a:1, b:2",
                           "LINGER=9s",
                           NULL};
    assert_int_equal(fa_config_environment(w->config, environment, &w->error), FA_OK);
    accept_override(w, "linger=4s");
    accept_override(w, "plugins.espeak.voice=fr=x");
    accept_override(w, "data=/some where/a,b");
    assert_int_equal(fa_config_duration(w->config, "linger"), 4000);
    fa_config_written(w->config, "linger", &where);
    assert_string_equal(where, "--set");
    assert_int_equal(fa_config_duration(w->config, "drain"), 3000);
    fa_config_written(w->config, "drain", &where);
    assert_string_equal(where, "FITNESSALLY_DRAIN");
    assert_string_equal(fa_config_plugin(w->config, "espeak", "voice", &where), "fr=x");
    assert_string_equal(where, "--set");
    assert_string_equal(fa_config_text(w->config, "data"), "/some where/a,b");
    assert_int_equal(fa_config_list(w->config, "plugins_enabled", &items), 1);
    assert_int_equal(fa_config_list(w->config, "listen", &items), 2);
    assert_string_equal(items[1], "b:2");
    accept_override(w, "plugins_enabled=");
    assert_int_equal(fa_config_list(w->config, "plugins_enabled", &items), 0);
    accept_override(w, "tts=");
    assert_null(fa_config_text(w->config, "tts"));
}

static void wrong_overrides_are_named(void **state)
{
    config_world *w = *state;
    char long_value[5000] = "app=", *environment[] = {"FITNESSALLY_MAX_BODY=5", NULL};
    refuse_override(w, "linger", "--set: \"linger\" is not key=value");
    refuse_override(w, "=x", "--set: \"=x\" is not key=value");
    refuse_override(
        w, "linger=", "--set: linger: \"\" is not a duration: write a number and ms, s, min or h, as in \"30s\"");
    refuse_override(w, "lnger=8s", "--set: unknown key \"lnger\"; did you mean \"linger\"?");
    refuse_override(w, "workers=0x1", "--set: workers: \"0x1\" is not a number");
    refuse_override(w, "workers=inf", "--set: workers: \"inf\" is not a number");
    refuse_override(w, "workers=1e999", "--set: workers: \"1e999\" is not a number");
    refuse_override(w, "workers=", "--set: workers: \"\" is not a number");
    refuse_override(w, "listen=a:1,,b:2", "--set: listen: \"a:1,,b:2\" has an empty item between its commas");
    refuse_override(w, "plugins.espeak=x", "--set: \"plugins.espeak\" is not plugins.NAME.KEY in lower-case letters");
    refuse_override(w, "plugins..x=1", "--set: \"plugins..x\" is not plugins.NAME.KEY in lower-case letters");
    refuse_override(w, "plugins.a.b.c=1", "--set: \"plugins.a.b.c\" is not plugins.NAME.KEY in lower-case letters");
    memset(long_value + 4, 'x', sizeof(long_value) - 5);
    refuse_override(w, long_value, "--set: app: longer than 4000 bytes");
    assert_int_equal(fa_config_environment(w->config, environment, &w->error), FA_INVALID);
    assert_string_equal(w->error.text,
                        "FITNESSALLY_MAX_BODY: max_body: \"5\" is not a size: write a number and B, KB, MB or GB, "
                        "as in \"2MB\"");
    /* What was there still stands. */
    assert_int_equal(fa_config_duration(w->config, "linger"), 8000);
}

static void plugin_settings_are_capped(void **state)
{
    config_world *w = *state;
    assert_int_equal(config_load_text(w, "for i = 1, 1000 do plugins.p['k' .. i] = i end"), FA_FULL);
    assert_non_null(strstr(w->error.text, ".lua:1: plugins.p.k513: more than 512 settings of things with names"));
}

static void values_of_manifests_are_checked(void **state)
{
    fa_config_key rate = {.name = "rate", .type = FA_CONFIG_NUMBER, .minimum = 80, .maximum = 450.5};
    fa_config_key flag = {.name = "flag", .type = FA_CONFIG_FLAG};
    fa_error error;
    (void)state;
    assert_int_equal(fa_config_check(&rate, "100.5", &error), FA_OK);
    assert_int_equal(fa_config_check(&rate, "79", &error), FA_INVALID);
    assert_string_equal(error.text, "79 is out of range: it goes from 80 to 450.5");
    assert_int_equal(fa_config_check(&flag, "true", &error), FA_OK);
    assert_int_equal(fa_config_check(&flag, "false", &error), FA_OK);
    assert_int_equal(fa_config_check(&flag, "yes", &error), FA_INVALID);
    assert_string_equal(error.text, "\"yes\" is neither true nor false");
}

/* ---- when memory runs out
 * --------------------------------------------------------------------------------------------- */

/* Every source once. True when all of it went through. */
static bool fill(fa_ledger *ledger, const char *path)
{
    static char *const environment[] = {"FITNESSALLY_LINGER=2s", "FITNESSALLY_PLUGINS_ESPEAK_VOICE=de", NULL};
    bool filled = false;
    fa_scope *scope = NULL;
    fa_config *config;
    NEED(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope) == FA_OK);
    NEED((config = fa_config_new(scope)) != NULL);
    const fa_result results[] = {
        fa_config_load(config, path, NULL),
        fa_config_environment(config, environment, NULL),
        fa_config_override(config, "listen=d:4", NULL),
        fa_config_override(config, "plugins.records.file=x", NULL),
    };
    filled = true;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); ++i) {
        filled = filled && results[i] == FA_OK;
        assert_true(results[i] == FA_OK || results[i] == FA_NO_MEMORY);
    }
    assert_non_null(fa_config_text(config, "app")); /* what could not be set is as it was */
out:
    if (scope != NULL)
        fa_scope_end(scope, "test", NULL);
    return filled;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    static const char lua[] = "listen = { 'a:1', 'b:2' } linger = '1s'\nplugins.espeak = { voice = 'en', rate = 1 }\n"
                              "return { app = 'x', listen = 'c:3' }";
    config_world *w = *state;
    bool filled = false;
    config_write_file(w->path, lua, strlen(lua));
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        filled = fill(ledger, w->path);
    }
    assert_true(filled);
    assert_true(fa_failing_runs() > 200);
}

/* For the documentation: the rows as they must be. */
static int print_docs(void)
{
    char row[600];
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key) {
        write_row(key, row, sizeof(row));
        fputs(row, stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        CONFIG_TEST(docs_say_what_the_schema_says),
        CONFIG_TEST(declarations_are_sound),
        CONFIG_TEST(defaults_stand),
        CONFIG_TEST(the_shipped_file_is_right),
        CONFIG_TEST(overrides_win),
        CONFIG_TEST(wrong_overrides_are_named),
        CONFIG_TEST(plugin_settings_are_capped),
        CONFIG_TEST(values_of_manifests_are_checked),
        CONFIG_TEST(running_out_of_memory_leaks_nothing),
    };
    if (argc > 1 && strcmp(argv[1], "--docs") == 0)
        return print_docs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
