/* core/base: units, sizes for people, lists, random ids, the log, results. */
#include "testing.h"

#include <stdio.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/random_id.h"
#include "base/units.h"

static void durations_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t milliseconds;
    } good[] = {{"250ms", 250},   {"30s", 30000},  {"1.5s", 1500},
                {"5min", 300000}, {"2h", 7200000}, {"30 s", 30000},
                {"0", 0},         {"0s", 0},       {"366h", 366 * UINT64_C(3600000)}};
    static const char *const bad[] = {"",    "30",  "-1s",   "s",    "30sec", "0x10s",  "0X10s", "1e999s",
                                      "nan", "inf", "9000h", " 30s", "30s ",  "30 s x", "30S",   "1,5s"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
        uint64_t value = 77;
        assert_ok(fa_parse_duration(good[i].text, &value, NULL));
        assert_int_equal(value, good[i].milliseconds);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        fa_error error;
        uint64_t value;
        assert_int_equal(fa_parse_duration(bad[i], &value, &error), FA_INVALID);
        assert_non_null(strstr(error.text, "ms, s, min or h"));
    }
}

static void sizes_need_a_unit(void **state)
{
    uint64_t value;
    fa_error error;
    (void)state;
    assert_ok(fa_parse_size("512KB", &value, NULL));
    assert_int_equal(value, 512 * 1024);
    assert_ok(fa_parse_size("1.5MB", &value, NULL));
    assert_int_equal(value, 1536 * 1024);
    assert_ok(fa_parse_size("2GB", &value, NULL));
    assert_int_equal(value, UINT64_C(2) << 30);
    assert_ok(fa_parse_size("7B", &value, NULL));
    assert_int_equal(value, 7);
    assert_int_equal(fa_parse_size("2097152", &value, &error), FA_INVALID);
    assert_string_equal(error.text, "\"2097152\" is not a size: write a number and B, KB, MB or GB, as in \"2MB\"");
    assert_int_equal(fa_parse_size("2m", &value, NULL), FA_INVALID);
    assert_int_equal(fa_parse_size("99999999GB", &value, NULL), FA_INVALID);
}

static void sizes_for_people(void **state)
{
    char text[16];
    (void)state;
    assert_string_equal(fa_format_size(0, text), "0 B");
    assert_string_equal(fa_format_size(1023, text), "1023 B");
    assert_string_equal(fa_format_size(1536, text), "1.5 KB");
    assert_string_equal(fa_format_size(1468006, text), "1.4 MB");
    assert_true(strlen(fa_format_size(UINT64_MAX, text)) < 16);
}

static void lists_link_and_unlink(void **state)
{
    fa_list head, a, b, c;
    (void)state;
    fa_list_init(&head);
    assert_true(fa_list_empty(&head));
    assert_null(fa_list_first(&head));
    fa_list_append(&head, &b);
    fa_list_prepend(&head, &a);
    fa_list_insert_after(&b, &c);
    fa_list *const expected[] = {&a, &b, &c};
    size_t i = 0;
    FA_LIST_EACH(node, &head)
    assert_ptr_equal(node, expected[i++]);
    assert_int_equal(i, 3);
    fa_list_remove(&b);
    fa_list_remove(&b); /* harmless */
    assert_ptr_equal(fa_list_first(&head), &a);
    fa_list_remove(&a);
    assert_ptr_equal(fa_list_first(&head), &c);
    fa_list_remove(&c);
    assert_true(fa_list_empty(&head));
}

static void ids_are_hex_and_differ(void **state)
{
    char one[40], two[40];
    (void)state;
    fa_random_id(one, sizeof(one), "d-", 16);
    fa_random_id(two, sizeof(two), "d-", 16);
    assert_int_equal(strlen(one), 34);
    assert_memory_equal(one, "d-", 2);
    assert_int_equal(strspn(one + 2, "0123456789abcdef"), 32);
    assert_string_not_equal(one, two);
}

static void ids_of_a_pool_differ_and_leave_nothing_in_it(void **state)
{
    static const unsigned char nothing[sizeof(((fa_random_pool *)NULL)->bytes)];
    fa_random_pool pool = {.left = 0};
    char ids[100][40];
    (void)state;
    for (int i = 0; i < 100; ++i) { /* of 12 bytes: several times what is fetched at once, and no part of it */
        fa_random_pool_id(&pool, ids[i], sizeof(ids[i]), "d-", 12);
        assert_int_equal(strspn(ids[i] + 2, "0123456789abcdef"), 24);
        assert_int_equal(strlen(ids[i]), 26);
        for (int k = 0; k < i; ++k)
            assert_string_not_equal(ids[i], ids[k]);
        assert_memory_equal(pool.bytes, nothing, sizeof(pool.bytes) - pool.left);
    }
}

static char last_line[1200];
static unsigned lines;

static void keep_line(void *context, fa_log_level level, const char *line)
{
    *(fa_log_level *)context = level;
    snprintf(last_line, sizeof(last_line), "%s", line);
    lines++;
}

static void log_goes_to_the_sink(void **state)
{
    fa_log_level level = FA_LOG_DEBUG;
    fa_log log = {.level = FA_LOG_INFO, .fd = -1, .sink = keep_line, .sink_context = &level};
    (void)state;
    lines = 0;
    fa_log_write(&log, FA_LOG_DEBUG, "not this");
    assert_int_equal(lines, 0);
    fa_log_write(&log, FA_LOG_WARN, "turn %d\nended\r: \x1b[31m", 7);
    assert_int_equal(lines, 1);
    assert_int_equal(level, FA_LOG_WARN);
    assert_string_equal(last_line, "turn 7 ended :  [31m");
    fa_log_write(NULL, FA_LOG_ERROR, "nowhere");
}

static void log_lines_leave_in_one_piece(void **state)
{
    int ends[2];
    char text[3000], long_text[2000];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    fa_log log = {.level = FA_LOG_DEBUG, .fd = ends[1]};
    fa_log_write(&log, FA_LOG_INFO, "hello");
    ssize_t length = read(ends[0], text, sizeof(text));
    assert_int_equal(length, (ssize_t)strlen("2026-01-01T00:00:00.000Z info  hello\n"));
    text[length] = '\0';
    assert_string_equal(text + strlen("2026-01-01T00:00:00.000Z "), "info  hello\n");

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    fa_log_write(&log, FA_LOG_ERROR, "%s", long_text);
    length = read(ends[0], text, sizeof(text));
    assert_in_range(length, 990, 1000);
    assert_int_equal(text[length - 1], '\n');
    close(ends[0]);
    close(ends[1]);
}

static void log_levels_have_names(void **state)
{
    fa_log_level level;
    (void)state;
    assert_true(fa_log_level_parse("warn", &level));
    assert_int_equal(level, FA_LOG_WARN);
    assert_false(fa_log_level_parse("loud", &level));
}

static void results_have_names(void **state)
{
    fa_error error;
    (void)state;
    assert_string_equal(fa_result_name(FA_OVER_BUDGET), "over budget");
    assert_string_equal(fa_result_name((fa_result)1000), "unknown");
    for (int i = 0; i <= FA_CONFLICT; ++i)
        assert_non_null(fa_result_name((fa_result)i));
    assert_int_equal(fa_fail(&error, FA_FULL, "%0500d", 1), FA_FULL);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    assert_int_equal(fa_fail(NULL, FA_IO, "nobody listens"), FA_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_need_a_unit),  cmocka_unit_test(sizes_need_a_unit),
        cmocka_unit_test(sizes_for_people),       cmocka_unit_test(lists_link_and_unlink),
        cmocka_unit_test(ids_are_hex_and_differ), cmocka_unit_test(ids_of_a_pool_differ_and_leave_nothing_in_it),
        cmocka_unit_test(log_goes_to_the_sink),   cmocka_unit_test(log_lines_leave_in_one_piece),
        cmocka_unit_test(log_levels_have_names),  cmocka_unit_test(results_have_names),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
