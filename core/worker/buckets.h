/* Token buckets: each key may take `burst` at once and `rate` a second in the long run. Tables of fixed size, found by name, so that the
 * states of all workers, and a generation that follows another, count together. When a table is full, the key goes first whose
 * bucket will be full soonest: it loses least. A key that is forgotten begins with a full bucket.
 *
 * Thread: any; there is one lock.
 */
#ifndef FA_WORKER_BUCKETS_H
#define FA_WORKER_BUCKETS_H

#include "base/fixed_table.h"
#include "memory/scope.h"

typedef struct fa_buckets fa_buckets;
typedef struct fa_bucket_table fa_bucket_table;

enum { FA_MOST_BUCKET_TABLES = 64 };

typedef struct fa_bucket_rule {
    double rate;  /* tokens a second; above 0 */
    double burst; /* at least 1 */
} fa_bucket_rule;

typedef struct fa_bucket_answer {
    bool taken;
    double left;       /* tokens, after this one */
    uint64_t wait_ms;  /* until one can be taken; 0 now */
    uint64_t reset_ms; /* until it is full */
} fa_bucket_answer;

/* In the scope, which must outlast every table's use. NULL: no memory. */
fa_buckets *fa_buckets_new(fa_scope *scope);

/* The table of that name, made when there is none yet with room for so many keys; later its size stays. name: copied. FA_FULL beyond
 * FA_MOST_BUCKET_TABLES, FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_buckets_find(fa_buckets *buckets, const char *name, size_t keys, fa_bucket_table **table);

/* Takes one token. now: milliseconds of one clock. */
fa_bucket_answer fa_buckets_take(fa_bucket_table *table, const fa_digest *key, const fa_bucket_rule *rule,
                                 uint64_t now);

#endif
