#include "base/random_id.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void fa_random_id(char *out, size_t size, const char *prefix, size_t bytes)
{
    unsigned char raw[32];
    size_t used = strlen(prefix);
    if (bytes > sizeof(raw) || size < used + 2 * bytes + 1 || getrandom(raw, bytes, 0) != (ssize_t)bytes)
        abort(); /* a programming error, or a kernel without randomness: no id may ever be guessable */
    memcpy(out, prefix, used);
    char *at = out + used;
    for (size_t i = 0; i < bytes; ++i) { /* by hand: every request has one */
        *at++ = "0123456789abcdef"[raw[i] >> 4];
        *at++ = "0123456789abcdef"[raw[i] & 15];
    }
    *at = '\0';
}
