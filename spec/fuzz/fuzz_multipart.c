/* multipart/form-data: parts lie in the body, one behind the other, and names end where they say. The first line of the input is the
 * Content-Type. */
#include "fuzzing.h"

#include "exchange/multipart.h"

static void expect_part(const fa_part *part, const char *body, size_t size, size_t behind)
{
    EXPECT(part->offset >= behind && part->offset <= size && part->length <= size - part->offset);
    EXPECT(strlen(part->name) == part->name_length && part->name_length < FA_PART_NAME_SIZE);
    EXPECT(strlen(part->filename) == part->filename_length && part->filename_length < FA_PART_NAME_SIZE);
    EXPECT(part->has_filename || part->filename_length == 0);
    for (size_t i = 0; i < part->header_count; ++i) {
        const fa_header *h = &part->headers[i];
        EXPECT(h->name.data >= body && h->name.data + h->name.length <= body + size);
        EXPECT(h->value.length == 0 || (h->value.data >= body && h->value.data + h->value.length <= body + size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fa_multipart_limits limits = {.parts = 50, .head = 2048, .field = 1000, .file = 100000};
    static fa_part part;
    fa_multipart multipart;
    fa_error error = {{0}};
    const uint8_t *end = size != 0 ? memchr(data, '\n', size) : NULL;
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - data), length = size - head - 1;
    char *type = fuzz_copy(data, head), *body = fuzz_copy(end + 1, length);
    size_t parts = 0, behind = 0;
    fa_result result = fa_multipart_begin(&multipart, (fa_text){type, head}, (fa_text){body, length}, &limits, &error);
    while (result == FA_OK && (result = fa_multipart_next(&multipart, &part, &error)) == FA_OK) {
        expect_part(&part, body, length, behind);
        behind = part.offset + part.length;
        EXPECT(++parts <= limits.parts);
    }
    EXPECT(result == FA_NOT_FOUND || error.text[0] != '\0');
    free(type);
    free(body);
    return 0;
}
