/* What can be said about an upstream, against docs/upstreams.md. `test_upstream_options --docs` prints the table of that file. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing.h"
#include "upstream/options.h"

typedef struct options_world {
    fa_failing memory;
    fa_ledger *ledger;
    fa_scope *scope;
    fa_upstream_options options;
    fa_error error;
} options_world;

static int begin(void **state)
{
    options_world *w = calloc(1, sizeof(*w));
    w->ledger = fa_test_ledger(&w->memory);
    assert_ok(fa_scope_new(w->ledger, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &w->scope));
    fa_upstream_options_default(&w->options);
    *state = w;
    return 0;
}

static int end(void **state)
{
    options_world *w = *state;
    fa_scope_end(w->scope, "test", NULL);
    fa_test_ledger_free(&w->memory, w->ledger);
    free(w);
    return 0;
}

static fa_result set(options_world *w, const char *key, const char *value)
{
    return fa_upstream_options_set(&w->options, w->scope, key, value, &w->error);
}

static void write_row(const fa_upstream_key *key, char *out, size_t size)
{
    char fallback[64] = "not set";
    if (key->fallback != NULL)
        snprintf(fallback, sizeof(fallback), "`%s`", key->fallback);
    snprintf(out, size, "| `%s` | %s | %s | %s |\n", key->name, fa_upstream_key_type_name(key->type), fallback,
             key->doc);
}

static void docs_say_what_the_table_says(void **state)
{
    bool there = false;
    char row[600], line[600];
    const fa_upstream_key *key = fa_upstream_keys();
    FILE *docs = fopen(FA_SOURCE_HOME "/docs/upstreams.md", "r");
    (void)state;
    assert_non_null(docs);
    while (fgets(line, sizeof(line), docs) != NULL) {
        if (strncmp(line, "## ", 3) == 0)
            there = strcmp(line, "## Keys\n") == 0;
        if (!there || strncmp(line, "| `", 3) != 0 || key->name == NULL)
            continue;
        write_row(key++, row, sizeof(row));
        assert_string_equal(line, row);
    }
    fclose(docs);
    if (key->name != NULL)
        fail_msg("docs/upstreams.md does not name %s", key->name);
}

static void defaults_are_as_written(void **state)
{
    options_world *w = *state;
    assert_int_equal(w->options.connect_ms, 5000);
    assert_int_equal(w->options.max_response, 8 * 1024 * 1024);
    assert_true(w->options.keepalive);
    assert_false(w->options.guard);
    assert_null(w->options.token);
    for (const fa_upstream_key *key = fa_upstream_keys(); key->name != NULL; ++key) {
        if (key->fallback != NULL)
            assert_ok(set(w, key->name, key->fallback));
    }
}

static void refuse(options_world *w, const char *key, const char *value, fa_result result, const char *message)
{
    assert_int_equal(set(w, key, value), result);
    assert_string_equal(w->error.text, message);
}

static void what_is_wrong_is_said(void **state)
{
    options_world *w = *state;
    refuse(w, "urls", "x", FA_NOT_FOUND, "\"urls\" is no key of an upstream");
    refuse(w, "keepalive", "yes", FA_INVALID, "needs true or false, not \"yes\"");
    refuse(w, "retries", "-1", FA_INVALID, "needs a whole number, not \"-1\"");
    refuse(w, "retries", "1.5", FA_INVALID, "needs a whole number, not \"1.5\"");
    refuse(w, "retries", "11", FA_INVALID, "\"11\" is out of range");
    refuse(w, "retries", "99999999999999999999", FA_INVALID, "needs a whole number, not \"99999999999999999999\"");
    refuse(w, "auth", "digest", FA_INVALID, "is one of bearer|basic|header");
    refuse(w, "auth", "bear", FA_INVALID, "is one of bearer|basic|header");
    assert_int_equal(set(w, "connect_timeout", "5"), FA_INVALID);
    assert_int_equal(set(w, "connect_timeout", "0"), FA_INVALID);
    assert_int_equal(set(w, "window", "1GB"), FA_INVALID);
    assert_ok(set(w, "proxy", "http://p:1"));
    assert_ok(set(w, "proxy", ""));
    assert_null(w->options.proxy);
}

static void what_does_not_hold_together_is_said(void **state)
{
    options_world *w = *state;
    assert_int_equal(fa_upstream_options_check(&w->options, true, &w->error), FA_INVALID);
    assert_string_equal(w->error.text, "url is not set");
    assert_ok(fa_upstream_options_check(&w->options, false, &w->error));
    assert_ok(set(w, "auth", "basic"));
    assert_int_equal(fa_upstream_options_check(&w->options, false, &w->error), FA_INVALID);
    assert_ok(set(w, "token", "t"));
    assert_int_equal(fa_upstream_options_check(&w->options, false, &w->error), FA_INVALID);
    assert_ok(set(w, "user", "u"));
    assert_ok(fa_upstream_options_check(&w->options, false, &w->error));
    assert_ok(set(w, "token_env", "X"));
    assert_int_equal(fa_upstream_options_check(&w->options, false, &w->error), FA_INVALID);
}

static void secrets_come_from_three_places(void **state)
{
    options_world *w = *state;
    const char *secret;
    char path[] = "/tmp/fa-secret-XXXXXX";
    assert_ok(fa_upstream_secret(&w->options, w->scope, &secret, &w->error));
    assert_null(secret);
    assert_ok(set(w, "token", "one"));
    assert_ok(fa_upstream_secret(&w->options, w->scope, &secret, &w->error));
    assert_string_equal(secret, "one");
    assert_ok(set(w, "token", ""));

    setenv("FA_TEST_SECRET", "two", 1);
    assert_ok(set(w, "token_env", "FA_TEST_SECRET"));
    assert_ok(fa_upstream_secret(&w->options, w->scope, &secret, &w->error));
    assert_string_equal(secret, "two");
    unsetenv("FA_TEST_SECRET");
    assert_int_equal(fa_upstream_secret(&w->options, w->scope, &secret, &w->error), FA_NOT_FOUND);
    assert_non_null(strstr(w->error.text, "FA_TEST_SECRET"));
    assert_ok(set(w, "token_env", ""));

    int fd = mkstemp(path);
    assert_int_equal(write(fd, "three\r\n", 7), 7);
    assert_ok(set(w, "token_file", path));
    assert_ok(fa_upstream_secret(&w->options, w->scope, &secret, &w->error));
    assert_string_equal(secret, "three");
    assert_int_equal(pwrite(fd, "th\nee", 5, 0), 5);
    assert_int_equal(fa_upstream_secret(&w->options, w->scope, &secret, &w->error), FA_INVALID);
    assert_null(strstr(w->error.text, "ee\n"));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(fa_upstream_secret(&w->options, w->scope, &secret, &w->error), FA_NOT_FOUND);
    close(fd);
    unlink(path);
    assert_int_equal(fa_upstream_secret(&w->options, w->scope, &secret, &w->error), FA_NOT_FOUND);
}

static void names_are_plain(void **state)
{
    (void)state;
    assert_true(fa_upstream_name_is_good("llm-2_b", 7));
    assert_false(fa_upstream_name_is_good("", 0));
    assert_false(fa_upstream_name_is_good("2llm", 4));
    assert_false(fa_upstream_name_is_good("LLM", 3));
    assert_false(fa_upstream_name_is_good("a.b", 3));
}

static int print_docs(void)
{
    char row[600];
    for (const fa_upstream_key *key = fa_upstream_keys(); key->name != NULL; ++key) {
        write_row(key, row, sizeof(row));
        fputs(row, stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docs_say_what_the_table_says),
        cmocka_unit_test_setup_teardown(defaults_are_as_written, begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_hold_together_is_said, begin, end),
        cmocka_unit_test_setup_teardown(secrets_come_from_three_places, begin, end),
        cmocka_unit_test(names_are_plain),
    };
    if (argc > 1 && strcmp(argv[1], "--docs") == 0)
        return print_docs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
