/* "Did you mean ...?": which of the names that there are somebody may have meant. Thread: any. */
#ifndef FA_BASE_NEAREST_H
#define FA_BASE_NEAREST_H

#include <stddef.h>

typedef struct fa_nearest {
    const char *name; /* borrowed */
    size_t length, best;
    const char *found; /* one of those that were offered; NULL: none is near */
} fa_nearest;

fa_nearest fa_nearest_to(const char *name);
void fa_nearest_offer(fa_nearest *nearest, const char *candidate);

#endif
