/* Time: monotonic for deadlines, wall clock for what people and files see. Thread: any. */
#ifndef FA_BASE_CLOCK_H
#define FA_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Monotonic milliseconds since an arbitrary start. */
static inline uint64_t fa_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Wall clock, milliseconds since 1970 UTC. */
static inline uint64_t fa_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
