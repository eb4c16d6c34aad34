#include "base/utf8.h"

#include <string.h>

/* The first byte of a character decides how many follow, and the bounds of the second. (RFC 3629, section 4.) */
static bool begin(fa_utf8 *state, uint8_t byte)
{
    state->least = 0x80;
    state->most = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        state->missing = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        state->missing = 2;
        if (byte == 0xe0)
            state->least = 0xa0; /* else two bytes would have done */
        else if (byte == 0xed)
            state->most = 0x9f; /* surrogates */
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        state->missing = 3;
        if (byte == 0xf0)
            state->least = 0x90;
        else if (byte == 0xf4)
            state->most = 0x8f; /* above U+10FFFF */
    } else {
        return false;
    }
    return true;
}

static size_t plain_bytes(const uint8_t *bytes, size_t length)
{
    size_t count = 0;
    for (uint64_t eight; length - count >= sizeof(eight); count += sizeof(eight)) {
        memcpy(&eight, bytes + count, sizeof(eight));
        if ((eight & 0x8080808080808080u) != 0)
            break;
    }
    while (count < length && bytes[count] < 0x80)
        ++count;
    return count;
}

static bool follows(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the characters of two and three bytes that begin here and need no second look: all but those whose second byte has bounds of
 * its own. At a byte at a time a text that is not English would cost four times as much. */
static size_t common_bytes(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (length - at >= 3) {
        uint8_t first = bytes[at];
        if (first >= 0xc2 && first <= 0xdf && follows(bytes[at + 1]))
            at += 2;
        else if (first > 0xe0 && first <= 0xef && first != 0xed && follows(bytes[at + 1]) && follows(bytes[at + 2]))
            at += 3;
        else
            break;
    }
    return at;
}

bool fa_utf8_take(fa_utf8 *state, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        if (state->missing == 0) {
            i += plain_bytes(bytes + i, length - i);
            i += common_bytes(bytes + i, length - i);
            if (i < length && bytes[i] >= 0x80 && !begin(state, bytes[i]))
                return false;
            continue;
        }
        if (bytes[i] < state->least || bytes[i] > state->most)
            return false;
        state->missing--;
        state->least = 0x80;
        state->most = 0xbf;
    }
    return true;
}

bool fa_utf8_complete(const fa_utf8 *state)
{
    return state->missing == 0;
}

bool fa_utf8_valid(const void *bytes, size_t length)
{
    fa_utf8 state = {0};
    return fa_utf8_take(&state, bytes, length) && fa_utf8_complete(&state);
}
