#include "upstream/health.h"

void fa_bucket_init(fa_bucket *bucket, uint64_t tokens, uint64_t percent)
{
    bucket->hundredths = bucket->most = tokens * 100;
    bucket->percent = percent;
}

void fa_bucket_request(fa_bucket *bucket)
{
    uint64_t room = bucket->most - bucket->hundredths;
    bucket->hundredths += bucket->percent < room ? bucket->percent : room;
}

bool fa_bucket_take(fa_bucket *bucket)
{
    if (bucket->hundredths < 100)
        return false;
    bucket->hundredths -= 100;
    return true;
}

void fa_breaker_init(fa_breaker *breaker, uint64_t limit, uint64_t cooldown_ms)
{
    *breaker = (fa_breaker){.limit = limit, .cooldown_ms = cooldown_ms};
}

bool fa_breaker_open(const fa_breaker *breaker, uint64_t now_ms)
{
    return breaker->open_until_ms != 0 && (now_ms < breaker->open_until_ms || breaker->trying);
}

bool fa_breaker_enter(fa_breaker *breaker, uint64_t now_ms)
{
    if (fa_breaker_open(breaker, now_ms))
        return false;
    breaker->trying = breaker->open_until_ms != 0;
    return true;
}

void fa_breaker_success(fa_breaker *breaker)
{
    breaker->failures = 0;
    breaker->open_until_ms = 0;
    breaker->trying = false;
}

void fa_breaker_failure(fa_breaker *breaker, uint64_t now_ms)
{
    bool tried = breaker->trying;
    breaker->trying = false;
    breaker->failures++;
    if (breaker->limit == 0 || (breaker->failures < breaker->limit && !tried))
        return;
    if (breaker->open_until_ms != 0 && !tried)
        return; /* began before it opened */
    breaker->open_until_ms = now_ms + breaker->cooldown_ms;
    breaker->opened++;
}

void fa_breaker_forget(fa_breaker *breaker)
{
    breaker->trying = false;
}

uint64_t fa_backoff(uint64_t base_ms, uint64_t cap_ms, unsigned n, uint32_t chance)
{
    uint64_t wait = base_ms;
    for (; n > 0 && wait < cap_ms; --n)
        wait *= 2;
    wait = wait < cap_ms ? wait : cap_ms;
    return wait - wait / 2 + ((wait / 2) * (uint64_t)chance >> 32);
}
