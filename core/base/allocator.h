/* Which malloc this process runs on, and what it says of itself. The library does not choose one: the program does
 * (core/main.c, docs/embedding.md), or whoever starts it with LD_PRELOAD. So it is looked for at run time.
 *
 * Thread: any. Nothing is kept between calls. */
#ifndef FA_BASE_ALLOCATOR_H
#define FA_BASE_ALLOCATOR_H

#include <stddef.h>

/* Bytes of the whole process, libraries and embedder included. */
typedef struct fa_allocator_figures {
    size_t in_use;   /* what callers have now. mimalloc does not tell: all that it has committed */
    size_t cached;   /* freed or never handed out, and kept: fragmentation is in here too */
    size_t overhead; /* what the allocator needs for itself; 0 where it does not tell */
} fa_allocator_figures;

enum { FA_ALLOCATOR_NAME_SIZE = 64 };

/* "jemalloc 5.3.0", "mimalloc 2.0.9", "glibc 2.36", into `name`, which is returned. */
const char *fa_allocator_name(char name[FA_ALLOCATOR_NAME_SIZE]);

/* May take the allocator's locks, each for a moment; about 20 us. */
void fa_allocator_read(fa_allocator_figures *figures);

#endif
