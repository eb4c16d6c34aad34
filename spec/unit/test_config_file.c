/* Configuration files: what they may say, and that what is refused is named with file and line. */
#include "config_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

static void every_type_is_read(void **state)
{
    config_world *w = *state;
    char expected[80];
    const char *where, *const *items;
    config_accept_text(w, "listen = {\n"
                          "  \"127.0.0.1:80\", '[::1]:0',\n"
                          "}\n"
                          "workers = 1\n"
                          "linger, media_cache = '1.5s', \"2 MB\"\n"
                          "state_dir = 'here, there' tts = ''\n"
                          "reconnect_grace = 0\n"
                          "max_listeners = 5 * 1000\n"
                          "plugins.espeak = { voice = 'en', rate = 175, words = true, list = { 'a', 'b' } }\n"
                          "plugins.records.file = state_dir .. '/db'\n"
                          "plugins = { other = { x = 1.5, y = max_listeners, z = -1e20 } }\n");
    assert_int_equal(fa_config_list(w->config, "listen", &items), 2);
    assert_string_equal(items[0], "127.0.0.1:80");
    assert_string_equal(items[1], "[::1]:0");
    assert_int_equal(fa_config_duration(w->config, "linger"), 1500);
    assert_int_equal(fa_config_duration(w->config, "reconnect_grace"), 0);
    assert_int_equal(fa_config_size(w->config, "media_cache"), 2 * 1024 * 1024);
    assert_true(fa_config_number(w->config, "max_listeners") == 5000);
    assert_string_equal(fa_config_text(w->config, "state_dir"), "here, there");
    assert_null(fa_config_text(w->config, "tts"));
    assert_string_equal(fa_config_plugin(w->config, "espeak", "voice", &where), "en");
    snprintf(expected, sizeof(expected), "%s:9", w->path);
    assert_string_equal(where, expected);
    assert_string_equal(fa_config_plugin(w->config, "espeak", "rate", NULL), "175");
    assert_string_equal(fa_config_plugin(w->config, "espeak", "words", NULL), "true");
    assert_string_equal(fa_config_plugin(w->config, "espeak", "list", NULL), "a,b");
    assert_string_equal(fa_config_plugin(w->config, "records", "file", NULL), "here, there/db");
    assert_string_equal(fa_config_plugin(w->config, "other", "x", NULL), "1.5");
    assert_string_equal(fa_config_plugin(w->config, "other", "y", NULL), "5000");
    assert_string_equal(fa_config_plugin(w->config, "other", "z", NULL), "-1e+20");
    assert_string_equal(fa_config_plugin_name(w->config, 0), "espeak");
    assert_string_equal(fa_config_plugin_name(w->config, 1), "records");
    assert_string_equal(fa_config_plugin_name(w->config, 2), "other");
    assert_null(fa_config_plugin_name(w->config, 3));
    size_t keys = 0;
    while (fa_config_plugin_key(w->config, "espeak", keys, &where) != NULL)
        ++keys;
    assert_int_equal(keys, 4);
    fa_config_written(w->config, "linger", &where);
    snprintf(expected, sizeof(expected), "%s:5", w->path);
    assert_string_equal(where, expected);
}

static void a_file_may_return_a_table(void **state)
{
    config_world *w = *state;
    const char *where, *const *items;
    char expected[80];
    config_accept_text(w, "local local_only = 'debug'\n"
                          "return {\n"
                          "  log_level = local_only, -- linger = '1s'\n"
                          "  plugin_path = {},\n"
                          "  ['linger'] = '2s',\n"
                          "  plugins = { espeak = {\n"
                          "    voice = 'de' } },\n"
                          "}\n");
    assert_string_equal(fa_config_text(w->config, "log_level"), "debug");
    assert_int_equal(fa_config_list(w->config, "plugin_path", &items), 0);
    assert_string_equal(fa_config_written(w->config, "linger", &where), "2s");
    snprintf(expected, sizeof(expected), "%s:5", w->path);
    assert_string_equal(where, expected);
    assert_string_equal(fa_config_plugin(w->config, "espeak", "voice", &where), "de");
    snprintf(expected, sizeof(expected), "%s:7", w->path);
    assert_string_equal(where, expected);
}

static void harmless_helpers_are_there(void **state)
{
    config_world *w = *state;
    setenv("TEST_CONFIG_SECRET", "hush", 1);
    unsetenv("TEST_CONFIG_ABSENT");
    config_accept_text(w, "plugins.llm.key = env('TEST_CONFIG_SECRET')\n"
                          "data = env 'TEST_CONFIG_ABSENT'\n"
                          "plugins.llm.other = env('TEST_CONFIG_ABSENT')\n"
                          "local sum = 0\n"
                          "for _, n in ipairs { 1, 2, 3 } do sum = sum + n end\n"
                          "for k in pairs { a = 1 } do plugins.x[k] = tostring(sum):rep(2) end\n"
                          "max_dialogues = math.max(tonumber '7', sum)\n"
                          "app = string.upper(table.concat({ 'a', 'b' }, '/'))\n"
                          "if plugins.llm.key ~= 'hush' or plugins.llm.none then error('read back') end\n");
    assert_string_equal(fa_config_plugin(w->config, "llm", "key", NULL), "hush");
    assert_null(fa_config_plugin(w->config, "llm", "other", NULL));
    assert_null(fa_config_text(w->config, "data"));
    assert_string_equal(fa_config_plugin(w->config, "x", "a", NULL), "66");
    assert_true(fa_config_number(w->config, "max_dialogues") == 7);
    assert_string_equal(fa_config_text(w->config, "app"), "A/B");
}

static void unknown_keys_are_named_with_the_nearest(void **state)
{
    (void)state;
    config_refuse_text("linger = '8s'\nlistn = {}\n", 2, "unknown key \"listn\"; did you mean \"listen\"?");
    config_refuse_text("\n\n\nfirst_listner_grace = '8s'", 4,
                       "unknown key \"first_listner_grace\"; did you mean \"first_listener_grace\"?");
    config_refuse_text("return {\n linger = '8s',\n  media_rot = '/x',\n}", 3,
                       "unknown key \"media_rot\"; did you mean \"media_root\"?");
    config_refuse_text("zzzzzzzzzzzzzzzzzzzz = 1", 1,
                       "unknown key \"zzzzzzzzzzzzzzzzzzzz\"; docs/configuration.md lists the known ones");
    config_refuse_text("function helper() end", 1,
                       "unknown key \"helper\"; docs/configuration.md lists the known ones");
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    config_refuse_text("\nlinger = 8", 2,
                       "linger: needs a duration in quotes with its unit, as in \"30s\", not the number 8");
    config_refuse_text("media_cache = true", 1,
                       "media_cache: needs a size in quotes with its unit, as in \"2MB\", not true");
    config_refuse_text("workers = '1'", 1, "workers: needs a number without quotes, not the text \"1\"");
    config_refuse_text("app = 5", 1, "app: needs a text in quotes, not the number 5");
    config_refuse_text("app = 'a\\0b'", 1, "app: needs a text in quotes, not the text \"a\"");
    config_refuse_text("app = function() end", 1, "app: needs a text in quotes, not a function");
    config_refuse_text("listen = 3005", 1,
                       "listen: needs a list of texts, as in { \"a\", \"b\" }, not the number 3005");
    config_refuse_text("listen = {\n  'a:1',\n  2,\n}\n", 1,
                       "listen: needs a list of texts, as in { \"a\", \"b\" }, not a table");
    config_refuse_text("plugin_path = { a = 'x' }", 1,
                       "plugin_path: needs a list of texts, as in { \"a\", \"b\" }, not a table");
    config_refuse_text("plugin_path = { 'a,b' }", 1,
                       "plugin_path: needs a list of texts, as in { \"a\", \"b\" }, not a table");
    config_refuse_text("plugins = 'espeak'", 1, "plugins: needs a table, not the text \"espeak\"");
    config_refuse_text("\nplugins.espeak = true", 2, "plugins.espeak: needs a table, as in { key = value }, not true");
    config_refuse_text("plugins.espeak = { 'en' }", 1, "plugins.espeak has a value without a name; write key = value");
    config_refuse_text("plugins.espeak.voice = print", 1, "\"print\" is not available in a configuration file");
    config_refuse_text("plugins.espeak.voice = tostring", 1,
                       "plugins.espeak.voice: needs a text, a number, true, false or a list of texts, not a function");
    config_refuse_text("return 5", 1, "the file returns the number 5: return a table of keys, or nothing");
    config_refuse_text("table.insert(listen, 'x:1')", 1, "listen: a list is assigned as a whole, not read");
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    config_refuse_text("linger = '8'", 1,
                       "linger: \"8\" is not a duration: write a number and ms, s, min or h, as in \"30s\"");
    config_refuse_text("linger = '8m'", 1,
                       "linger: \"8m\" is not a duration: write a number and ms, s, min or h, as in \"30s\"");
    config_refuse_text("media_cache = '8s'", 1,
                       "media_cache: \"8s\" is not a size: write a number and B, KB, MB or GB, as in \"2MB\"");
    config_refuse_text("workers = 65", 1, "workers: 65 is out of range: it goes from 0 to 64");
    config_refuse_text("max_listeners = 10001", 1, "max_listeners: 10001 is out of range: it goes from 1 to 10000");
    config_refuse_text("max_listeners = 1.5", 1, "max_listeners: 1.5 is not a whole number");
    config_refuse_text("max_listeners = 0/0", 1, "max_listeners: \"-nan\" is not a number");
    config_refuse_text("ping_interval = '31s'", 1, "ping_interval: 31s is out of range: it goes from 1s to 30s");
    config_refuse_text("turn_limit = '99ms'", 1, "turn_limit: 99ms is out of range: it goes from 100ms to 1h");
    config_refuse_text("max_body = '26MB'", 1, "max_body: 26MB is out of range: it goes from 1KB to 25MB");
    config_refuse_text("mode = 'fast'", 1, "mode: \"fast\" is none of production|dev");
    config_refuse_text("mode = ''", 1, "mode: \"\" is none of production|dev");
    config_refuse_text("app = ''", 1, "app: must be set");
    config_refuse_text("state_dir = ''", 1, "state_dir: must be set");
    config_refuse_text("log_level = 'inf'", 1, "log_level: \"inf\" is none of debug|info|warn|error");
    config_refuse_text("listen = { 'localhost' }", 1,
                       "listen: \"localhost\" is not HOST:PORT, as in \"127.0.0.1:3005\"");
    config_refuse_text("listen = 'a:65536'", 1, "listen: \"a:65536\" is not HOST:PORT, as in \"127.0.0.1:3005\"");
    config_refuse_text("listen = '::1:80'", 1, "listen: \"::1:80\" is not HOST:PORT, as in \"127.0.0.1:3005\"");
    config_refuse_text("plugins.Upper.x = 1", 1, "\"plugins.Upper.x\" is not plugins.NAME.KEY in lower-case letters");
}

/* The line is the key's own, however the table around it is written. */
static void the_line_is_the_keys_own(void **state)
{
    (void)state;
    config_refuse_text("plugins.espeak = {\n  voice = 'en',\n  rate = {\n    1 },\n}\n", 3,
                       "plugins.espeak.rate: needs a text, a number, true, false or a list of texts, not a table");
    config_refuse_text("plugins = {\n  a = { rate = 1 },\n  b = { a = 1,\n    rate = tostring,\n  },\n}\n", 4,
                       "plugins.b.rate: needs a text, a number, true, false or a list of texts, not a function");
    config_refuse_text("plugins = {\n  b = { a = 1 },\n  a = 5,\n  c = {}\n}\n", 3,
                       "plugins.a: needs a table, as in { key = value }, not the number 5");
    config_refuse_text(
        "plugins = {\n  ['b'] = {\n --[[ x = 1\n ]] y = [==[\n x = 2 ]] ]==],\n  z = 1 == 1, x = tostring }\n}\n", 6,
        "plugins.b.x: needs a text, a number, true, false or a list of texts, not a function");
    config_refuse_text("listen =\n{\n 'nowhere'\n}\nlinger = '8s'\n", 1,
                       "listen: \"nowhere\" is not HOST:PORT, as in \"127.0.0.1:3005\"");
    config_refuse_text("linger = '8s'\nreturn {\n  -- linger = 9\n  app = 'x linger = 9',\n  plugins = { linger = {} "
                       "},\n  linger = 9,\n}\n",
                       6, "linger: needs a duration in quotes with its unit, as in \"30s\", not the number 9");
    config_refuse_text("local t = {\n  app = 'x',\n  linger = 9,\n}\nreturn t\n", 3,
                       "linger: needs a duration in quotes with its unit, as in \"30s\", not the number 9");
    /* Of several mistakes the first in the file, not the first in the order of hashing. */
    config_refuse_text("return {\n  tts = 1,\n  llm = 2,\n  stt = 3,\n  app = 4,\n  data = 5,\n  mode = 6,\n}\n", 2,
                       "tts: needs a text in quotes, not the number 1");
    config_refuse_text("linger = '8s'\nlinger, drain = '8s', 5\n", 2,
                       "drain: needs a duration in quotes with its unit, as in \"30s\", not the number 5");
    config_refuse_text("local function f(x)\n  drain = x\nend\nf('1s')\nf(2)\n", 2,
                       "drain: needs a duration in quotes with its unit, as in \"30s\", not the number 2");
}

static void mistakes_of_lua_are_named(void **state)
{
    (void)state;
    config_refuse_text("linger = '8s'\nlisten = {\n", 3, "unexpected symbol near '<eof>'");
    config_refuse_text("\nlocal x = nil\nx.y = 1\n", 3, "attempt to index local 'x' (a nil value)");
    config_refuse_text("\nerror('no ' .. 'good')", 2, "no good");
    config_refuse_text("\nerror('no place', 0)", 2, "no place");
    config_refuse_text("\nerror({})", 2, "the file raised an error that is not a text");
    config_refuse_text("local a = 1\nassert(false)", 2, "assertion failed!");
}

static void files_that_are_none(void **state)
{
    config_world *w = *state;
    char expected[160];
    assert_int_equal(fa_config_load(w->config, "/nowhere/x.lua", &w->error), FA_NOT_FOUND);
    assert_string_equal(w->error.text, "/nowhere/x.lua: No such file or directory");
    assert_int_equal(fa_config_load(w->config, "/tmp", &w->error), FA_IO);
    assert_string_equal(w->error.text, "/tmp: Is a directory");
    assert_int_equal(fa_config_load(w->config, "/nowhere/x.lua", NULL), FA_NOT_FOUND);

    config_write_file(w->path, "", 0);
    assert_int_equal(fa_config_load(w->config, w->path, &w->error), FA_OK);

    char *large = malloc(70000);
    memset(large, '\n', 70000);
    config_write_file(w->path, large, 70000);
    free(large);
    assert_int_equal(fa_config_load(w->config, w->path, &w->error), FA_INVALID);
    snprintf(expected, sizeof(expected), "%s: larger than 64 KB", w->path);
    assert_string_equal(w->error.text, expected);

    config_write_file(w->path, "linger = '8s'\n\0drain = 'x'", 26);
    assert_int_equal(fa_config_load(w->config, w->path, &w->error), FA_INVALID);
}

/* ---- hostile files
 * ---------------------------------------------------------------------------------------------------- */

static void bytecode_is_refused(void **state)
{
    config_world *w = *state;
    char expected[160];
    static const char plain[] = "\x1bLJ\2\2\0", behind_bom[] = "\xef\xbb\xbf\x1bLJ\2\2\0";
    config_write_file(w->path, plain, sizeof(plain));
    assert_int_equal(fa_config_load(w->config, w->path, &w->error), FA_INVALID);
    snprintf(expected, sizeof(expected), "%s:1: compiled Lua is not accepted, only text", w->path);
    assert_string_equal(w->error.text, expected);
    config_write_file(w->path, behind_bom, sizeof(behind_bom));
    assert_int_equal(fa_config_load(w->config, w->path, &w->error), FA_INVALID);
}

static void endless_loops_end(void **state)
{
    uint64_t start = fa_now_ms();
    (void)state;
    config_refuse_text("\nwhile true do end", 2, "the file does not come to an end (an endless loop?)");
    config_refuse_text("local function f()\n return f() end f()", 2,
                       "the file does not come to an end (an endless loop?)");
    config_refuse_text("\nfor i = 1, 1e18 do end", 2, "the file does not come to an end (an endless loop?)");
    config_refuse_text("\nrepeat local s = ('x'):rep(2e6) until false", 2,
                       "the file does not come to an end (an endless loop?)");
    config_refuse_text("\nwhile true do linger = '8s' end", 2, "the file does not come to an end (an endless loop?)");
    assert_true(fa_now_ms() - start < 60000); /* under valgrind, too */
}

static void memory_bombs_end(void **state)
{
    (void)state;
    config_refuse_text("\n\nlocal s = ('x'):rep(1e9)", 3, "the file needs too much memory");
    config_refuse_text("local s = 'x'\nwhile true do\n s = s .. s\nend", 3, "the file needs too much memory");
    config_refuse_text("local t = {}\nfor i = 1, 1e9 do\n t[i] = { i } end", 3, "the file needs too much memory");
    config_refuse_text("local function f()\n return 1 + f() end f()", 2, "stack overflow");
}

static void the_outside_is_out_of_reach(void **state)
{
    static const char *const names[] = {"io",       "os",         "require",      "ffi",          "debug",
                                        "load",     "loadstring", "loadfile",     "dofile",       "package",
                                        "jit",      "bit",        "pcall",        "xpcall",       "setfenv",
                                        "getfenv",  "_G",         "setmetatable", "getmetatable", "rawset",
                                        "rawget",   "print",      "module",       "newproxy",     "collectgarbage",
                                        "coroutine"};
    char lua[80], message[80];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        snprintf(lua, sizeof(lua), "\nlocal x = %s", names[i]);
        snprintf(message, sizeof(message), "\"%s\" is not available in a configuration file", names[i]);
        config_refuse_text(lua, 2, message);
    }
    config_refuse_text("os.execute('true')", 1, "\"os\" is not available in a configuration file");
    config_refuse_text("local x = string.dump(function() end)", 1, "attempt to call field 'dump' (a nil value)");
    config_refuse_text("local x = (''):gsub('', '')", 1, "attempt to call method 'gsub' (a nil value)");
    config_refuse_text("string.rep = nil app = ('x'):rep(3) ", 1,
                       "attempt to call method 'rep' (a nil value)"); /* its own loss */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CONFIG_TEST(every_type_is_read),          CONFIG_TEST(a_file_may_return_a_table),
        CONFIG_TEST(harmless_helpers_are_there),  CONFIG_TEST(unknown_keys_are_named_with_the_nearest),
        CONFIG_TEST(wrong_types_are_named),       CONFIG_TEST(wrong_values_are_named),
        CONFIG_TEST(the_line_is_the_keys_own),    CONFIG_TEST(mistakes_of_lua_are_named),
        CONFIG_TEST(files_that_are_none),         CONFIG_TEST(bytecode_is_refused),
        CONFIG_TEST(endless_loops_end),           CONFIG_TEST(memory_bombs_end),
        CONFIG_TEST(the_outside_is_out_of_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
