/* Two small judges: how often may be repeated (a token bucket), and whether an address is worth asking (a breaker).
 * Times are milliseconds of whatever clock the caller uses throughout. Pure. Thread: the caller's; healths.h
 * has them for all workers. */
#ifndef FA_UPSTREAM_HEALTH_H
#define FA_UPSTREAM_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* Each request puts `percent` hundredths of a token in, each repetition takes one out. It is full at the beginning. */
typedef struct fa_bucket {
    uint64_t hundredths, most, percent;
} fa_bucket;

void fa_bucket_init(fa_bucket *bucket, uint64_t tokens, uint64_t percent);
void fa_bucket_request(fa_bucket *bucket);
bool fa_bucket_take(fa_bucket *bucket); /* false: not now */

/* Closed (all well) until `limit` failures have come in a row; then open for the cool-down; then half open: one request tries it, and
 * what becomes of that decides. */
typedef struct fa_breaker {
    uint64_t limit, cooldown_ms; /* limit 0: never opens */
    uint64_t failures;           /* in a row */
    uint64_t open_until_ms;      /* 0: closed */
    bool trying;                 /* the one request is under way */
    uint64_t opened;             /* how often, since the start */
} fa_breaker;

void fa_breaker_init(fa_breaker *breaker, uint64_t limit, uint64_t cooldown_ms);

/* Whether a request may go; it is counted as the trial when it is one, and ends with fa_breaker_success, _failure or _forget. */
bool fa_breaker_enter(fa_breaker *breaker, uint64_t now_ms);
void fa_breaker_success(fa_breaker *breaker);
void fa_breaker_failure(fa_breaker *breaker, uint64_t now_ms);
void fa_breaker_forget(fa_breaker *breaker); /* cancelled: it says nothing */
bool fa_breaker_open(const fa_breaker *breaker, uint64_t now_ms);

/* The wait before repetition n (from 0): base doubled n times, cut at cap; half of it is taken by chance (0 to 2^32 - 1). */
uint64_t fa_backoff(uint64_t base_ms, uint64_t cap_ms, unsigned n, uint32_t chance);

#endif
