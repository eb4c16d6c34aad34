/* Cookies: pairs lie inside what was sent; what can be written is read again as it was. */
#include "fuzzing.h"

#include "exchange/cookie.h"
#include "exchange/disposition.h"

static void expect_round_trip(fa_text name, fa_text value)
{
    char out[FA_COOKIE_SIZE];
    size_t length;
    fa_error error = {{0}};
    fa_cookie cookie = {.name = name, .value = value, .path = FA_TEXT("/"), .max_age = -1, .secure = true};
    fa_text read_name, read_value;
    if (fa_cookie_write(&cookie, out, &length, &error) != FA_OK) {
        EXPECT(error.text[0] != '\0');
        return;
    }
    EXPECT(strlen(out) == length && length < FA_COOKIE_SIZE && strpbrk(out, "\r\n") == NULL);
    fa_text rest = {out, (size_t)(strchr(out, ';') - out)};
    EXPECT(fa_cookie_next(&rest, &read_name, &read_value));
    EXPECT(read_name.length == name.length && memcmp(read_name.data, name.data, name.length) == 0);
    EXPECT(read_value.length == value.length && memcmp(read_value.data, value.data, value.length) == 0);
}

static void write_disposition(fa_text text)
{
    char out[FA_DISPOSITION_SIZE];
    size_t length = fa_disposition_write(out, text);
    EXPECT(length < sizeof(out) && strlen(out) == length && strpbrk(out, "\r\n/\\") == NULL);
    fa_location_kind(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    fa_text rest = {text, size}, name, value;
    while (fa_cookie_next(&rest, &name, &value)) {
        EXPECT(name.length != 0 && name.data >= text && name.data + name.length <= text + size);
        EXPECT(value.length == 0 || (value.data >= text && value.data + value.length <= text + size));
        expect_round_trip(name, value);
    }
    write_disposition((fa_text){text, size});
    free(text);
    return 0;
}
