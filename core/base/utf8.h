/* Whether bytes that come in pieces are UTF-8: well-formed, shortest form, no surrogates, nothing above U+10FFFF. A wrong byte is
 * found when it comes, not at the end. Pure: no allocation. */
#ifndef FA_BASE_UTF8_H
#define FA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: at the beginning of a text. */
typedef struct fa_utf8 {
    uint8_t missing;     /* bytes that the character under way still needs */
    uint8_t least, most; /* bounds of the next one */
} fa_utf8;

/* False: no text begins so. Do not go on then. */
bool fa_utf8_take(fa_utf8 *state, const uint8_t *bytes, size_t length);

/* Whether a text may end here: no character is half there. */
bool fa_utf8_complete(const fa_utf8 *state);

bool fa_utf8_valid(const void *bytes, size_t length);

#endif
