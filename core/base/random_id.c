#include "base/random_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void fa_random_id(char *out, size_t size, const char *prefix, size_t bytes)
{
    unsigned char raw[32];
    size_t used = strlen(prefix);
    if (bytes > sizeof(raw) || size < used + 2 * bytes + 1 || getrandom(raw, bytes, 0) != (ssize_t)bytes)
        abort(); /* a programming error, or a kernel without randomness: no id may ever be guessable */
    memcpy(out, prefix, used + 1);
    for (size_t i = 0; i < bytes; ++i)
        snprintf(out + used + 2 * i, 3, "%02x", raw[i]);
}
