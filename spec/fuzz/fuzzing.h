/* What every fuzz target shares. A target is one function over bytes; what it expects is said with EXPECT, and whatever breaks that, or
 * upsets a sanitizer, is a finding. Bytes are handed on in copies of exactly their length, so that one byte too far is seen. */
#ifndef FA_FUZZ_FUZZING_H
#define FA_FUZZ_FUZZING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                                   \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The caller frees it. */
static inline char *fuzz_copy(const void *data, size_t size)
{
    char *copy = malloc(size != 0 ? size : 1);
    EXPECT(copy != NULL);
    if (size != 0)
        memcpy(copy, data, size);
    return copy;
}

#endif
