#include "worker/buckets.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/list.h"

typedef struct bucket {
    double spent; /* tokens that are missing; 0: full */
    uint64_t at;  /* when that was so */
} bucket;

struct fa_bucket_table {
    fa_list link;
    fa_buckets *buckets;
    const char *name;
    fa_fixed_table *keys;
};

struct fa_buckets {
    fa_scope *scope;
    pthread_mutex_t lock; /* guards all that follows, and the tables */
    fa_list tables;
    size_t count;
    fa_scope_hook at_end;
};

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_buckets, at_end)->lock);
}

fa_buckets *fa_buckets_new(fa_scope *parent)
{
    fa_scope *scope;
    if (fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SERVER, 0, "buckets", FA_HERE, &scope) != FA_OK)
        return NULL;
    fa_buckets *buckets = fa_scope_allocate(scope, sizeof(*buckets));
    if (buckets == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    buckets->scope = scope;
    pthread_mutex_init(&buckets->lock, NULL);
    fa_list_init(&buckets->tables);
    fa_scope_hook_add(scope, &buckets->at_end, on_end);
    return buckets;
}

static fa_result make_locked(fa_buckets *buckets, const char *name, size_t keys, fa_bucket_table **out)
{
    if (buckets->count == FA_MOST_BUCKET_TABLES)
        return FA_FULL;
    fa_bucket_table *table = fa_scope_allocate(buckets->scope, sizeof(*table));
    void *memory = fa_scope_allocate(buckets->scope, fa_fixed_table_size(keys, sizeof(bucket)));
    char *copy = fa_scope_copy_text(buckets->scope, name, strlen(name));
    if (table == NULL || memory == NULL || copy == NULL) {
        fa_scope_free(buckets->scope, table);
        fa_scope_free(buckets->scope, memory);
        fa_scope_free(buckets->scope, copy);
        return FA_NO_MEMORY;
    }
    *table =
        (fa_bucket_table){.buckets = buckets, .name = copy, .keys = fa_fixed_table_init(memory, keys, sizeof(bucket))};
    fa_list_append(&buckets->tables, &table->link);
    buckets->count++;
    *out = table;
    return FA_OK;
}

fa_result fa_buckets_find(fa_buckets *buckets, const char *name, size_t keys, fa_bucket_table **out)
{
    fa_result result = FA_NOT_FOUND;
    pthread_mutex_lock(&buckets->lock);
    FA_LIST_EACH(node, &buckets->tables)
    {
        fa_bucket_table *table = FA_OBJECT(node, fa_bucket_table, link);
        if (strcmp(table->name, name) == 0) {
            *out = table;
            result = FA_OK;
        }
    }
    if (result == FA_NOT_FOUND)
        result = make_locked(buckets, name, keys, out);
    pthread_mutex_unlock(&buckets->lock);
    return result;
}

static uint64_t ms_for(double tokens, const fa_bucket_rule *rule)
{
    return tokens > 0 ? (uint64_t)ceil(tokens * 1000 / rule->rate) : 0;
}

static fa_bucket_answer take_locked(fa_bucket_table *table, const fa_digest *key, const fa_bucket_rule *rule,
                                    uint64_t now)
{
    const bucket *known = fa_fixed_table_get(table->keys, key, now);
    double spent = known != NULL ? known->spent : 0;
    if (known != NULL && now > known->at)
        spent = fmax(0, spent - (double)(now - known->at) * rule->rate / 1000);
    bool taken = spent + 1 <= rule->burst;
    spent = fmin(spent + (taken ? 1 : 0), rule->burst);
    bucket *place = fa_fixed_table_put(table->keys, key, now, now + ms_for(spent, rule) + 1);
    *place = (bucket){spent, now};
    return (fa_bucket_answer){.taken = taken,
                              .left = rule->burst - spent,
                              .wait_ms = ms_for(spent + 1 - rule->burst, rule),
                              .reset_ms = ms_for(spent, rule)};
}

fa_bucket_answer fa_buckets_take(fa_bucket_table *table, const fa_digest *key, const fa_bucket_rule *rule, uint64_t now)
{
    pthread_mutex_lock(&table->buckets->lock);
    fa_bucket_answer answer = take_locked(table, key, rule, now);
    pthread_mutex_unlock(&table->buckets->lock);
    return answer;
}
