/* Forms and JSON's depth: what is read, what is refused, and that nothing is ever read outside of the body. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "exchange/form.h"
#include "exchange/json_depth.h"

static const fa_form_limits no_limits;

/* The form in brackets: "[a=1][b=two words]", or the result's name. The body is a copy of exactly its length. */
static const char *read_form(const char *body, size_t length, const fa_form_limits *limits)
{
    static char out[4096];
    size_t used = 0;
    fa_form form;
    fa_form_field field;
    fa_error error = {""};
    fa_result result;
    char *copy = malloc(length != 0 ? length : 1);
    memcpy(copy, body, length);
    fa_form_begin(&form, (fa_text){copy, length}, limits);
    out[0] = '\0';
    while ((result = fa_form_next(&form, &field, &error)) == FA_OK) {
        char name[512], value[512];
        assert_int_equal(fa_form_decode(field.name, name), field.name_length);
        assert_int_equal(fa_form_decode(field.value, value), field.value_length);
        used += (size_t)snprintf(out + used, sizeof(out) - used, "[%.*s=%.*s]", (int)field.name_length, name,
                                 (int)field.value_length, value);
    }
    free(copy);
    if (result == FA_NOT_FOUND)
        return out;
    assert_true(error.text[0] != '\0');
    return fa_result_name(result);
}

static void forms_are_read(void **state)
{
    static const struct {
        const char *body, *fields;
    } table[] = {
        {"", ""},
        {"&", ""},
        {"&&&", ""},
        {"a", "[a=]"},
        {"a=", "[a=]"},
        {"=", "[=]"},
        {"=1", "[=1]"},
        {"a=1", "[a=1]"},
        {"a=1&", "[a=1]"},
        {"&a=1", "[a=1]"},
        {"a=1&&b=2", "[a=1][b=2]"},
        {"a=1&a=2&a", "[a=1][a=2][a=]"},
        {"a=1=2", "[a=1=2]"},
        {"a+b=c+d", "[a b=c d]"},
        {"a%20b=c%2Bd", "[a b=c+d]"},
        {"%61=%e2%82%AC", "[a=\xe2\x82\xac]"},
        {"a=%26%3d", "[a=&=]"},
        {"a=%25zz", "[a=%zz]"},
        {"a=;b=2", "[a=;b=2]"},
        {"a=\r\n", "[a=\r\n]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
        assert_string_equal(read_form(table[i].body, strlen(table[i].body), &no_limits), table[i].fields);
}

static void malformed_ones_are_refused(void **state)
{
    static const char *const table[] = {"%",         "a=%",   "a=%4",  "a=%4g", "a=%g4", "a%=1",
                                        "a=1&b=%zz", "a=%00", "%00=1", "a=% 1", "a=%+1"};
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
        assert_string_equal(read_form(table[i], strlen(table[i]), &no_limits), "invalid");
    assert_string_equal(read_form("a=\0b", 4, &no_limits), "invalid");
}

static void limits_are_limits(void **state)
{
    (void)state;
    fa_form_limits two = {.fields = 2}, name = {.name = 3}, value = {.value = 3};
    assert_string_equal(read_form("a=1&b=2", 7, &two), "[a=1][b=2]");
    assert_string_equal(read_form("a=1&b=2&c", 9, &two), "full");
    assert_string_equal(read_form("a=1&&&&b=2", 10, &two), "[a=1][b=2]");
    assert_string_equal(read_form("abc=12345", 9, &name), "[abc=12345]");
    assert_string_equal(read_form("%61bc=1", 7, &name), "[abc=1]"); /* decoded */
    assert_string_equal(read_form("abcd=1", 6, &name), "full");
    assert_string_equal(read_form("abcd=%31%32%33", 14, &value), "[abcd=123]");
    assert_string_equal(read_form("a=1234", 6, &value), "full");
}

/* What is written as browsers write it is read as it was. */
static void random_forms_come_back(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 2000; ++round) {
        char body[2048], wanted[2048];
        size_t b = 0, w = 0;
        for (int field = rand() % 6; field > 0; --field) {
            w += (size_t)snprintf(wanted + w, sizeof(wanted) - w, "[");
            for (int part = 0; part < 2; ++part) {
                for (int i = part == 0 ? 1 + rand() % 5 : rand() % 9; i > 0; --i) {
                    int c = 1 + rand() % 255;
                    bool plain = (c >= 'a' && c <= 'z') || c == '-';
                    wanted[w++] = (char)c;
                    b += (size_t)snprintf(body + b, sizeof(body) - b,
                                          plain        ? "%c"
                                          : c == ' '   ? "+"
                                          : rand() % 2 ? "%%%02x"
                                                       : "%%%02X",
                                          c);
                }
                wanted[w++] = part == 0 ? '=' : ']';
                body[b++] = part == 0 ? '=' : '&';
            }
        }
        wanted[w] = '\0';
        if (b > 0 && rand() % 2)
            --b; /* without the last & */
        assert_string_equal(read_form(body, b, &no_limits), wanted);
        for (size_t cut = 0; cut < b; ++cut)
            read_form(body, cut, &no_limits); /* anything but a crash */
    }
}

static bool deeper(const char *text, unsigned most)
{
    return fa_json_deeper_than((fa_text){text, strlen(text)}, most);
}

static void depth_is_seen_before_decoding(void **state)
{
    (void)state;
    assert_false(deeper("", 0));
    assert_false(deeper("5", 0));
    assert_true(deeper("[]", 0));
    assert_false(deeper("[]", 1));
    assert_false(deeper("[[],[],{}]", 2));
    assert_true(deeper("[[],[],{}]", 1));
    assert_true(deeper("{\"a\":{\"b\":[1]}}", 2));
    assert_false(deeper("{\"a\":{\"b\":[1]}}", 3));
    assert_false(deeper("[\"[[[[\"]", 1));
    assert_false(deeper("[\"\\\"[[[[\"]", 1));
    assert_true(deeper("[\"\\\\\",[[[", 2));
    assert_false(deeper("]]]][", 1)); /* no JSON */
    assert_false(deeper("\"\\", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(limits_are_limits),
        cmocka_unit_test(random_forms_come_back),
        cmocka_unit_test(depth_is_seen_before_decoding),
    };
    return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
