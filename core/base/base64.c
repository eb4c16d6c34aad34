#include "base/base64.h"

#include <stdint.h>

static const char alphabets[2][65] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};

size_t fa_base64_encode(fa_base64_kind kind, const void *data, size_t length, char *out)
{
    const uint8_t *in = data;
    const char *alphabet = alphabets[kind];
    size_t written = 0;
    for (size_t i = 0; i < length; i += 3) {
        size_t here = length - i < 3 ? length - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        bits |= here > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        bits |= here > 2 ? in[i + 2] : 0;
        for (size_t k = 0; k <= here; ++k)
            out[written++] = alphabet[(bits >> (18 - 6 * k)) & 63];
        for (size_t k = here; k < 3 && kind == FA_BASE64; ++k)
            out[written++] = '=';
    }
    return written;
}

static int value_of(fa_base64_kind kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == alphabets[kind][62])
        return 62;
    return c == alphabets[kind][63] ? 63 : -1;
}

bool fa_base64_decode(fa_base64_kind kind, const char *text, size_t length, void *out, size_t *written)
{
    uint8_t *to = out;
    uint32_t bits = 0;
    size_t have = 0, padding = 0;
    while (length > 0 && padding < 2 && text[length - 1] == '=') {
        --length;
        ++padding;
    }
    if (length % 4 == 1 || (padding != 0 && (length + padding) % 4 != 0) ||
        (kind == FA_BASE64 && padding == 0 && length % 4 != 0))
        return false;
    *written = 0;
    for (size_t i = 0; i < length; ++i) {
        int value = value_of(kind, text[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[(*written)++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & ((1u << have) - 1)) == 0;
}
