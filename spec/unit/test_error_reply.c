/* The one shape of errors: whatever the texts are, it is JSON and it fits. */
#include "testing.h"

#include <stdio.h>

#include "exchange/error_reply.h"
#include "exchange/exchange.h"

static void error_texts_are_escaped_and_cut(void **state)
{
    static const struct {
        const char *message, *json;
    } table[] = {
        {"a\"b\\c", "a\\\"b\\\\c"},
        {"\x01\n\r\t\x7f", "\\u0001\\n\\u000d\\u0009\\u007f"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff", "\\ufffd"},
        {"a\xc3", "a\\ufffd"},
        {"\xe2\x82", "\\ufffd\\ufffd"},
        {"\xc0\x80", "\\ufffd\\ufffd"},
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"</script>", "</script>"},
    };
    char out[FA_ERROR_JSON_SIZE], wanted[FA_ERROR_JSON_SIZE], longest[4000];
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        size_t length = fa_error_json(out, "c", table[i].message, "r");
        snprintf(wanted, sizeof(wanted), "{\"error\":{\"code\":\"c\",\"message\":\"%s\",\"requestId\":\"r\"}}",
                 table[i].json);
        assert_string_equal(out, wanted);
        assert_int_equal(length, strlen(wanted));
    }
    memset(longest, '\x02', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    size_t length = fa_error_json(out, longest, longest, "0123456789012345678901234567890123456789");
    assert_true(length < FA_ERROR_JSON_SIZE);
    assert_string_equal(out + length - 44, "\"0123456789012345678901234567890123456789\"}}");
}

static void statuses_have_words(void **state)
{
    (void)state;
    assert_string_equal(fa_status_text(404), "Not Found");
    assert_string_equal(fa_status_text(299), "Success");
    assert_string_equal(fa_status_text(-5), "Unknown");
    assert_string_equal(fa_status_code_name(413), "body_too_large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_texts_are_escaped_and_cut),
        cmocka_unit_test(statuses_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
