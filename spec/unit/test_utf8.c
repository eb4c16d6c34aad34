/* base/utf8.h: what is UTF-8, in one piece and in many (RFC 3629). */
#include "testing.h"

#include <string.h>

#include "base/utf8.h"

static void utf8_is_what_rfc_3629_says(void **state)
{
    uint8_t bytes[4];
    (void)state;
    size_t good = 0;
    for (uint32_t c = 0; c < 0x110000; ++c) { /* every character, and no surrogate */
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n - 1; i > 0; --i)
            bytes[i] = (uint8_t)(0x80 | ((c >> 6 * (n - 1 - i)) & 0x3f));
        bytes[0] = n == 1 ? (uint8_t)c : (uint8_t)(first[n] | (c >> 6 * (n - 1)));
        good += fa_utf8_valid(bytes, n);
        if (fa_utf8_valid(bytes, n - 1) && n > 1)
            fail_msg("half of U+%X is valid", c);
    }
    assert_int_equal(good, 0x110000 - 0x800);
    assert_false(fa_utf8_valid("\xc0\xaf", 2));
    assert_false(fa_utf8_valid("\xf4\x90\x80\x80", 4));
    const char *longer = "eight or more plain bytes \xc3\xbc and more of them\x80";
    assert_true(fa_utf8_valid(longer, strlen(longer) - 1));
    assert_false(fa_utf8_valid(longer, strlen(longer)));
}

/* A byte at a time nothing is skipped over. */
static bool is_valid_byte_by_byte(const uint8_t *bytes, size_t length)
{
    fa_utf8 state = {0};
    for (size_t i = 0; i < length; ++i) {
        if (!fa_utf8_take(&state, bytes + i, 1))
            return false;
    }
    return fa_utf8_complete(&state);
}

static void utf8_is_the_same_in_whatever_pieces(void **state)
{
    static const uint8_t edges[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                    0xc2, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf4, 0xff};
    const size_t count = sizeof(edges);
    (void)state;
    for (unsigned first = 0; first < 256; ++first) {
        for (size_t j = 0; j < count * count * count; ++j) {
            const uint8_t bytes[] = {(uint8_t)first, edges[j / count / count], edges[j / count % count],
                                     edges[j % count], 'b'};
            if (fa_utf8_valid(bytes, 4) != is_valid_byte_by_byte(bytes, 4) ||
                fa_utf8_valid(bytes, 5) != is_valid_byte_by_byte(bytes, 5))
                fail_msg("%02x %02x %02x %02x is judged in two ways", bytes[0], bytes[1], bytes[2], bytes[3]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(utf8_is_the_same_in_whatever_pieces),
    };
    return cmocka_run_group_tests_name("UTF-8", tests, NULL, NULL);
}
