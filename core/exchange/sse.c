#include "exchange/sse.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

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

bool fa_sse_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0')
            return false;
    }
    return true;
}

static fa_result append_field(fa_buffer *buffer, const char *name, const char *value, size_t length)
{
    fa_result result = fa_buffer_append(buffer, name, strlen(name));
    if (result == FA_OK && length != 0)
        result = fa_buffer_append(buffer, value, length);
    return result == FA_OK ? fa_buffer_append(buffer, "\n", 1) : result;
}

static fa_result append_lines(fa_buffer *buffer, const char *data, size_t length)
{
    fa_result result = FA_OK;
    for (size_t at = 0, end; result == FA_OK && at <= length; at = end + 1) {
        for (end = at; end < length && data[end] != '\n' && data[end] != '\r'; ++end) {
        }
        result = append_field(buffer, "data: ", data + at, end - at);
        if (end + 1 < length && data[end] == '\r' && data[end + 1] == '\n')
            ++end;
    }
    return result;
}

fa_result fa_sse_append_text(fa_buffer *buffer, const char *event, const char *id, const char *data, size_t length)
{
    fa_result result = FA_OK;
    if (event != NULL)
        result = append_field(buffer, "event: ", event, strlen(event));
    if (result == FA_OK && id != NULL)
        result = append_field(buffer, "id: ", id, strlen(id));
    if (result == FA_OK && data != NULL)
        result = append_lines(buffer, data, length);
    return result == FA_OK ? fa_buffer_append(buffer, "\n", 1) : result;
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
