#include "base/random_id.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* No id may ever be guessable. */
static void fetch(unsigned char *raw, size_t bytes)
{
    if (getrandom(raw, bytes, 0) != (ssize_t)bytes) /* up to 256 bytes it is all or nothing */
        abort();                                    /* a kernel without randomness */
}

static void check_room(size_t size, const char *prefix, size_t bytes, size_t most)
{
    if (bytes > most || size < strlen(prefix) + 2 * bytes + 1)
        abort(); /* a programming error */
}

static void write_id(char *out, const char *prefix, const unsigned char *raw, size_t bytes)
{
    char *at = out;
    while (*prefix != '\0')
        *at++ = *prefix++;
    for (size_t i = 0; i < bytes; ++i) { /* by hand: every request has one */
        *at++ = "0123456789abcdef"[raw[i] >> 4];
        *at++ = "0123456789abcdef"[raw[i] & 15];
    }
    *at = '\0';
}

enum { MOST = 32 };

void fa_random_id(char *out, size_t size, const char *prefix, size_t bytes)
{
    unsigned char raw[MOST];
    check_room(size, prefix, bytes, MOST);
    fetch(raw, bytes);
    write_id(out, prefix, raw, bytes);
}

void fa_random_pool_id(fa_random_pool *pool, char *out, size_t size, const char *prefix, size_t bytes)
{
    check_room(size, prefix, bytes, MOST);
    if (pool->left < bytes) {
        fetch(pool->bytes, sizeof(pool->bytes));
        pool->left = sizeof(pool->bytes);
    }
    unsigned char *raw = pool->bytes + sizeof(pool->bytes) - pool->left;
    write_id(out, prefix, raw, bytes);
    memset(raw, 0, bytes);
    pool->left -= bytes;
}
