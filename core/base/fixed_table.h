/* A table of fixed size with entries that expire: it never grows, and when a place is needed the entry that would expire first
 * among a few goes (set-associative, 8 ways). Keys are 16-byte digests. Not synchronised. */
#ifndef FA_BASE_FIXED_TABLE_H
#define FA_BASE_FIXED_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct fa_digest {
    uint8_t bytes[16];
} fa_digest;

/* A 128-bit digest (SHA-256, cut) of `count` texts; their borders count, so ("ab","c") is not ("a","bc"). */
fa_digest fa_digest_of(const void *const *parts, const size_t *lengths, size_t count);

typedef struct fa_fixed_table fa_fixed_table;

/* Bytes that a table of `entries` (rounded up to a multiple of 8) with values of `value_size` takes. The caller provides them,
 * zeroed: fa_fixed_table_init makes the table in place. */
size_t fa_fixed_table_size(size_t entries, size_t value_size);
fa_fixed_table *fa_fixed_table_init(void *memory, size_t entries, size_t value_size);

/* The value of a live entry, or NULL. now: milliseconds of whatever clock the caller uses throughout. */
void *fa_fixed_table_get(fa_fixed_table *table, const fa_digest *key, uint64_t now);

/* The place for the value of `key`, an existing one or a fresh, zeroed one that expires at `expires`. Never NULL. */
void *fa_fixed_table_put(fa_fixed_table *table, const fa_digest *key, uint64_t now, uint64_t expires);

void fa_fixed_table_remove(fa_fixed_table *table, const fa_digest *key);

#endif
