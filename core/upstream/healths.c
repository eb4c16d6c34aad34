#include "upstream/healths.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"

struct fa_healths {
    fa_scope *scope;
    pthread_mutex_t lock; /* guards all that is in it, and the scope */
    fa_list all;          /* of shared */
    fa_scope_hook at_end;
};

typedef struct shared {
    fa_list link;
    fa_healths *healths;
    size_t references;
    char *name;
} shared;

struct fa_shared_breaker {
    shared shared;
    fa_breaker breaker;
};

struct fa_shared_bucket {
    shared shared;
    fa_bucket bucket;
};

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_healths, at_end)->lock);
}

fa_healths *fa_healths_new(fa_scope *parent)
{
    fa_scope *scope;
    if (fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SERVER, 0, "health of upstreams", FA_HERE, &scope) !=
        FA_OK)
        return NULL;
    fa_healths *healths = fa_scope_allocate(scope, sizeof(*healths));
    if (healths == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    healths->scope = scope;
    pthread_mutex_init(&healths->lock, NULL);
    fa_list_init(&healths->all);
    fa_scope_hook_add(scope, &healths->at_end, on_end);
    return healths;
}

/* ---- finding ---- */

/* Made, zeroed, of `size` bytes, when there is none of that name; then *fresh. */
static shared *find_locked(fa_healths *healths, const char *name, size_t size, bool *fresh)
{
    *fresh = false;
    FA_LIST_EACH(node, &healths->all)
    {
        shared *s = FA_OBJECT(node, shared, link);
        if (strcmp(s->name, name) == 0) {
            s->references++;
            return s;
        }
    }
    shared *s = fa_scope_allocate(healths->scope, size);
    if (s == NULL)
        return NULL;
    s->name = fa_scope_copy_text(healths->scope, name, strlen(name));
    if (s->name == NULL) {
        fa_scope_free(healths->scope, s);
        return NULL;
    }
    s->healths = healths;
    s->references = 1;
    fa_list_append(&healths->all, &s->link);
    *fresh = true;
    return s;
}

static void unref(shared *s)
{
    fa_healths *healths = s->healths;
    pthread_mutex_lock(&healths->lock);
    if (--s->references == 0) {
        fa_list_remove(&s->link);
        fa_scope_free(healths->scope, s->name);
        fa_scope_free(healths->scope, s);
    }
    pthread_mutex_unlock(&healths->lock);
}

enum {
    NAME_SIZE = 8192
}; /* longer addresses share a breaker when they begin alike: nobody is asked at so long a one */

fa_result fa_healths_breaker(fa_healths *healths, const char *upstream, const char *url, uint64_t limit,
                             uint64_t cooldown_ms, fa_shared_breaker **breaker)
{
    bool fresh;
    char name[NAME_SIZE];
    snprintf(name, sizeof(name), "%s %s", upstream, url);
    pthread_mutex_lock(&healths->lock);
    fa_shared_breaker *b = (fa_shared_breaker *)(void *)find_locked(healths, name, sizeof(*b), &fresh);
    if (b != NULL && (fresh || b->breaker.limit != limit || b->breaker.cooldown_ms != cooldown_ms))
        fa_breaker_init(&b->breaker, limit, cooldown_ms);
    pthread_mutex_unlock(&healths->lock);
    *breaker = b;
    return b != NULL ? FA_OK : FA_NO_MEMORY;
}

fa_result fa_healths_bucket(fa_healths *healths, const char *upstream, uint64_t tokens, uint64_t percent,
                            fa_shared_bucket **bucket)
{
    bool fresh;
    pthread_mutex_lock(&healths->lock);
    fa_shared_bucket *b = (fa_shared_bucket *)(void *)find_locked(healths, upstream, sizeof(*b), &fresh);
    if (b != NULL && (fresh || b->bucket.most != tokens * 100 || b->bucket.percent != percent))
        fa_bucket_init(&b->bucket, tokens, percent);
    pthread_mutex_unlock(&healths->lock);
    *bucket = b;
    return b != NULL ? FA_OK : FA_NO_MEMORY;
}

void fa_shared_breaker_unref(fa_shared_breaker *b)
{
    if (b != NULL)
        unref(&b->shared);
}

void fa_shared_bucket_unref(fa_shared_bucket *b)
{
    if (b != NULL)
        unref(&b->shared);
}

/* ---- the judges ---- */

static void lock(const shared *s)
{
    pthread_mutex_lock(&s->healths->lock);
}

static void unlock(const shared *s)
{
    pthread_mutex_unlock(&s->healths->lock);
}

bool fa_shared_breaker_enter(fa_shared_breaker *b, uint64_t now_ms)
{
    lock(&b->shared);
    bool may = fa_breaker_enter(&b->breaker, now_ms);
    unlock(&b->shared);
    return may;
}

void fa_shared_breaker_success(fa_shared_breaker *b)
{
    lock(&b->shared);
    fa_breaker_success(&b->breaker);
    unlock(&b->shared);
}

void fa_shared_breaker_failure(fa_shared_breaker *b, uint64_t now_ms)
{
    lock(&b->shared);
    fa_breaker_failure(&b->breaker, now_ms);
    unlock(&b->shared);
}

void fa_shared_breaker_forget(fa_shared_breaker *b)
{
    lock(&b->shared);
    fa_breaker_forget(&b->breaker);
    unlock(&b->shared);
}

fa_breaker fa_shared_breaker_read(fa_shared_breaker *b)
{
    lock(&b->shared);
    fa_breaker copy = b->breaker;
    unlock(&b->shared);
    return copy;
}

void fa_shared_bucket_request(fa_shared_bucket *b)
{
    lock(&b->shared);
    fa_bucket_request(&b->bucket);
    unlock(&b->shared);
}

bool fa_shared_bucket_take(fa_shared_bucket *b)
{
    lock(&b->shared);
    bool had = fa_bucket_take(&b->bucket);
    unlock(&b->shared);
    return had;
}
