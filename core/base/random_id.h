/* Unguessable names (request ids, dialogue ids). Thread: any. */
#ifndef FA_BASE_RANDOM_ID_H
#define FA_BASE_RANDOM_ID_H

#include <stddef.h>

/* Writes `prefix` and 2*bytes lower-case hex digits of the kernel's randomness, with a NUL; size must hold them.
 * bytes <= 32. */
void fa_random_id(char *out, size_t size, const char *prefix, size_t bytes);

/* Randomness of the kernel's, fetched ahead: for ids that every request has, so that not each of them calls the kernel. Zeroed, it is empty. Thread: its owner's. What has been given out is wiped. */
typedef struct fa_random_pool {
    unsigned char bytes[256];
    size_t left; /* at the end of `bytes` */
} fa_random_pool;

void fa_random_pool_id(fa_random_pool *pool, char *out, size_t size, const char *prefix, size_t bytes);

#endif
