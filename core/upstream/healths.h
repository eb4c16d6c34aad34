/* What the workers know together of the services that they ask: how well each address is (a breaker), and how many repetitions each
 * upstream has left (a bucket). So a service that is down is tried by one request of the whole server after each cool-down, and not by one
 * of each worker.
 *
 * A set finds them by name, so that all workers, and settings that follow others, share them; each lives as long as somebody refers to
 * it. One lock for all; nothing is done under it but counting. Thread: any.
 */
#ifndef FA_UPSTREAM_HEALTHS_H
#define FA_UPSTREAM_HEALTHS_H

#include "memory/scope.h"
#include "upstream/health.h"

typedef struct fa_healths fa_healths;
typedef struct fa_shared_breaker fa_shared_breaker;
typedef struct fa_shared_bucket fa_shared_bucket;

/* In a scope of its own below `scope`, which must outlive every reference. NULL: no memory. */
fa_healths *fa_healths_new(fa_scope *scope);

/* The breaker of an address of an upstream; these limits hold for all from now on. The caller owns a reference. upstream, url: copied.
 * FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_healths_breaker(fa_healths *healths, const char *upstream, const char *url, uint64_t limit,
                             uint64_t cooldown_ms, fa_shared_breaker **breaker);
void fa_shared_breaker_unref(fa_shared_breaker *breaker); /* NULL is ignored */

/* As in health.h. */
bool fa_shared_breaker_enter(fa_shared_breaker *breaker, uint64_t now_ms);
void fa_shared_breaker_success(fa_shared_breaker *breaker);
void fa_shared_breaker_failure(fa_shared_breaker *breaker, uint64_t now_ms);
void fa_shared_breaker_forget(fa_shared_breaker *breaker);
fa_breaker fa_shared_breaker_read(fa_shared_breaker *breaker);

/* The bucket of an upstream: the same. It is full anew when its limits change. */
fa_result fa_healths_bucket(fa_healths *healths, const char *upstream, uint64_t tokens, uint64_t percent,
                            fa_shared_bucket **bucket);
void fa_shared_bucket_unref(fa_shared_bucket *bucket);
void fa_shared_bucket_request(fa_shared_bucket *bucket);
bool fa_shared_bucket_take(fa_shared_bucket *bucket);

#endif
