/* application/x-www-form-urlencoded, and the other small readers of texts that clients send: a text decodes to the length that was said,
 * and pieces lie inside. */
#include "fuzzing.h"

#include "exchange/form.h"
#include "exchange/media_type.h"

static void expect_decodes(fa_text text, size_t length)
{
    char *out = malloc(length != 0 ? length : 1);
    EXPECT(out != NULL && fa_form_decode(text, out) == length);
    EXPECT(memchr(out, '\0', length) == NULL);
    free(out);
}

static void read_media_type(fa_text text)
{
    fa_media_type type;
    if (!fa_media_type_read(text, &type))
        return;
    EXPECT(type.value.length != 0 && type.count <= FA_MOST_PARAMETERS);
    for (size_t i = 0; i < type.count; ++i)
        EXPECT(type.parameters[i].value.data + type.parameters[i].value.length <= text.data + text.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fa_form_limits limits = {.fields = 100, .name = 64, .value = 1000};
    fa_form form;
    fa_form_field field;
    fa_error error = {{0}};
    char *body = fuzz_copy(data, size);
    size_t fields = 0;
    fa_result result;
    fa_form_begin(&form, (fa_text){body, size}, &limits);
    while ((result = fa_form_next(&form, &field, &error)) == FA_OK) {
        EXPECT(field.name_length <= limits.name && field.value_length <= limits.value);
        expect_decodes(field.name, field.name_length);
        expect_decodes(field.value, field.value_length);
        EXPECT(++fields <= limits.fields);
    }
    EXPECT(result == FA_NOT_FOUND || error.text[0] != '\0');
    read_media_type((fa_text){body, size});
    free(body);
    return 0;
}
