#include "exchange/sse.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>

fa_result fa_sse_append(fa_buffer *buffer, const char *event, const char *id, const char *json, size_t length)
{
    char head[160];
    int used = id != NULL ? snprintf(head, sizeof(head), "event: %s\nid: %s\ndata: ", event, id)
                          : snprintf(head, sizeof(head), "event: %s\ndata: ", event);
    if (used < 0 || (size_t)used >= sizeof(head))
        return FA_INVALID;
    fa_result result = fa_buffer_append(buffer, head, (size_t)used);
    if (result == FA_OK)
        result = fa_buffer_append(buffer, json, length);
    if (result == FA_OK)
        result = fa_buffer_append(buffer, "\n\n", 2);
    return result;
}

fa_result fa_sse_append_base64(fa_buffer *buffer, const uint8_t *data, size_t length)
{
    void *space;
    if (length > INT_MAX / 2)
        return FA_INVALID;
    size_t encoded = (length + 2) / 3 * 4;
    fa_result result = fa_buffer_reserve(buffer, encoded + 1, &space); /* EVP_EncodeBlock ends with a NUL */
    if (result != FA_OK)
        return result;
    EVP_EncodeBlock(space, data, (int)length);
    fa_buffer_commit(buffer, encoded);
    return FA_OK;
}

static bool parse_number(const char **text, const char *end, uint64_t *value)
{
    const char *start = *text;
    for (*value = 0; *text < end && **text >= '0' && **text <= '9'; ++*text)
        *value = *value * 10 + (uint64_t)(**text - '0');
    return *text > start && *text - start <= 18;
}

bool fa_sse_parse_id(const char *text, size_t length, uint64_t *epoch, uint64_t *seq)
{
    const char *end = text + length;
    return parse_number(&text, end, epoch) && text < end && *text++ == '.' && parse_number(&text, end, seq) &&
           text == end;
}
