/* Unguessable names (request ids, dialogue ids). Thread: any. */
#ifndef FA_BASE_RANDOM_ID_H
#define FA_BASE_RANDOM_ID_H

#include <stddef.h>

/* Writes `prefix` and 2*bytes lower-case hex digits of the kernel's randomness, with a NUL; size must hold them.
 * bytes <= 32. */
void fa_random_id(char *out, size_t size, const char *prefix, size_t bytes);

#endif
