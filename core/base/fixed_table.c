#include "base/fixed_table.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

typedef struct entry {
    fa_digest key;
    uint64_t expires; /* 0: free */
} entry;

struct fa_fixed_table {
    size_t sets, value_size;
    entry *entries;
    uint8_t *values;
};

fa_digest fa_digest_of(const void *const *parts, const size_t *lengths, size_t count)
{
    unsigned char full[EVP_MAX_MD_SIZE];
    fa_digest digest;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        abort(); /* no memory for a few hundred bytes, or no SHA-256: nothing sensible is left to do */
    for (size_t i = 0; i < count; ++i) {
        uint64_t length = lengths[i];
        EVP_DigestUpdate(context, &length, sizeof(length));
        EVP_DigestUpdate(context, parts[i], lengths[i]);
    }
    EVP_DigestFinal_ex(context, full, NULL);
    EVP_MD_CTX_free(context);
    memcpy(digest.bytes, full, sizeof(digest.bytes));
    return digest;
}

static size_t round_up(size_t entries)
{
    return (entries + WAYS - 1) / WAYS * WAYS;
}

size_t fa_fixed_table_size(size_t entries, size_t value_size)
{
    return sizeof(fa_fixed_table) + round_up(entries) * (sizeof(entry) + value_size);
}

fa_fixed_table *fa_fixed_table_init(void *memory, size_t entries, size_t value_size)
{
    fa_fixed_table *table = memory;
    table->sets = round_up(entries) / WAYS;
    table->value_size = value_size;
    table->entries = (entry *)(table + 1);
    table->values = (uint8_t *)(table->entries + table->sets * WAYS);
    return table;
}

static size_t first_of_set(const fa_fixed_table *table, const fa_digest *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    return (size_t)(hash % table->sets) * WAYS;
}

static entry *find(fa_fixed_table *table, const fa_digest *key)
{
    size_t first = first_of_set(table, key);
    for (size_t i = first; i < first + WAYS; ++i) {
        entry *e = &table->entries[i];
        if (e->expires != 0 && memcmp(&e->key, key, sizeof(*key)) == 0)
            return e;
    }
    return NULL;
}

static void *value_of(fa_fixed_table *table, const entry *e)
{
    return table->values + (size_t)(e - table->entries) * table->value_size;
}

void *fa_fixed_table_get(fa_fixed_table *table, const fa_digest *key, uint64_t now)
{
    entry *e = find(table, key);
    return e != NULL && e->expires > now ? value_of(table, e) : NULL;
}

void *fa_fixed_table_put(fa_fixed_table *table, const fa_digest *key, uint64_t now, uint64_t expires)
{
    entry *e = find(table, key);
    if (e == NULL || e->expires <= now) {
        if (e == NULL) {
            size_t first = first_of_set(table, key);
            e = &table->entries[first];
            for (size_t i = first; i < first + WAYS; ++i) {
                if (table->entries[i].expires < e->expires)
                    e = &table->entries[i];
            }
        }
        e->key = *key;
        memset(value_of(table, e), 0, table->value_size);
    }
    e->expires = expires;
    return value_of(table, e);
}

void fa_fixed_table_remove(fa_fixed_table *table, const fa_digest *key)
{
    entry *e = find(table, key);
    if (e != NULL)
        e->expires = 0;
}
