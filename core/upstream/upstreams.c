/* The upstreams of one worker, their pools, and the easy handles that are used again. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "upstream/curl_memory.h"
#include "upstream/internal.h"

/* ---- easy handles ---- */

/* Before 8.1.1 (curl pull request 11103) a handle remembers the last header of its former transfer, which is freed by then: a service whose
 * first line behind the status is a folded one had libcurl write there. */
static bool may_serve_again(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num >= 0x080101;
}

CURL *fa_easy_take(fa_upstreams *all)
{
    return all->easy_count > 0 ? all->easies[--all->easy_count] : curl_easy_init();
}

void fa_easy_give(fa_upstreams *all, CURL *easy)
{
    if (all->easy_count == MAX_FREE_EASIES || all->closing || !may_serve_again()) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    all->easies[all->easy_count++] = easy;
}

/* ---- pools ---- */

static void on_pool_closed(void *context, const fa_pool_figures *f)
{
    fa_upstream *u = context;
    char bytes[16], released[16];
    u->pools--;
    u->closed_requests += f->requests;
    u->closed_bytes += f->bytes;
    fa_log_write(fa_worker_log(u->all->worker), FA_LOG_INFO,
                 "upstream %s: pool closed (%s): age %llu s, %llu requests, %s received, %zu connections closed, %s "
                 "released",
                 u->name, f->why, (unsigned long long)(fa_worker_now(u->all->worker) - f->born_ms) / 1000,
                 (unsigned long long)f->requests, fa_format_size(f->bytes, bytes), f->closed_now,
                 fa_format_size(f->released, released));
}

static void retire(fa_upstream *u, const char *why)
{
    fa_pool *pool = u->pool;
    u->pool = NULL;
    if (pool != NULL)
        fa_pool_retire(pool, why);
}

/* Limits of the whole server, cut into the workers' shares. */
static unsigned share(const fa_upstreams *all, uint64_t limit)
{
    return limit == 0 ? 0 : (unsigned)((limit + all->options.workers - 1) / all->options.workers);
}

static const char *worn_out(const fa_upstream *u)
{
    fa_pool_figures f;
    const fa_upstream_options *o = &u->settled->options;
    fa_pool_figures_read(u->pool, &f);
    if (fa_pool_broken(u->pool))
        return "out of memory";
    if (o->recycle_age_ms != 0 && fa_worker_now(u->all->worker) - f.born_ms >= o->recycle_age_ms)
        return "its age";
    if (o->recycle_requests != 0 && f.requests >= o->recycle_requests)
        return "its requests";
    if (o->recycle_bytes != 0 && f.bytes >= o->recycle_bytes)
        return "its bytes";
    return NULL;
}

static size_t coming(void *context)
{
    const fa_upstream *u = context;
    return u->waiting;
}

fa_result fa_upstream_pool(fa_upstream *u, fa_pool **pool)
{
    const fa_upstream_options *o = &u->settled->options;
    const char *why = u->pool != NULL ? worn_out(u) : NULL;
    if (why != NULL) {
        retire(u, why);
        u->recycled++;
    }
    fa_timer_pause(&u->close_idle);
    if (u->pool == NULL) {
        fa_pool_options options = {.worker = u->all->worker,
                                   .scope = u->scope,
                                   .label = u->name,
                                   .connections = share(u->all, o->connections),
                                   .connections_per_host = share(u->all, o->connections_per_host),
                                   .max_idle = (unsigned)o->max_idle,
                                   .coming = coming,
                                   .closed = on_pool_closed,
                                   .context = u};
        fa_result result = fa_pool_new(&options, &u->pool);
        if (result != FA_OK)
            return result;
        u->pools++;
    }
    *pool = u->pool;
    return FA_OK;
}

void fa_upstream_landed(fa_upstream *u)
{
    fa_pool_figures f;
    if (u->pool == NULL || u->all->closing)
        return;
    fa_pool_figures_read(u->pool, &f);
    if (fa_pool_broken(u->pool))
        retire(u, "out of memory");
    else if (f.flying == 0 && u->settled->options.close_idle_ms != 0)
        fa_timer_start(&u->close_idle, u->settled->options.close_idle_ms); /* its memory is there */
}

static void on_idle(fa_timer *timer)
{
    fa_pool_figures f;
    fa_upstream *u = FA_OBJECT(timer, fa_upstream, close_idle);
    if (u->pool == NULL)
        return;
    fa_pool_figures_read(u->pool, &f);
    if (f.flying == 0)
        retire(u, "nothing to do");
}

/* ---- defining ---- */

static void on_upstream_end(fa_scope_hook *hook)
{
    fa_upstream *u = FA_OBJECT(hook, fa_upstream, at_end);
    fa_turnstile_unref(u->turnstile);
    fa_shared_bucket_unref(u->bucket);
}

static fa_result make_upstream(fa_upstreams *all, const char *name, fa_upstream **out)
{
    fa_scope *scope;
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "upstream %.40s", name);
    fa_result result = fa_scope_new(fa_scope_ledger(all->scope), all->scope, FA_KIND_WORKER, 0, label, FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    fa_upstream *u = fa_scope_allocate(scope, sizeof(*u));
    if (u == NULL || (u->name = fa_scope_copy_text(scope, name, strlen(name))) == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    u->all = all;
    u->scope = scope;
    fa_list_init(&u->link);
    fa_scope_hook_add(scope, &u->at_end, on_upstream_end);
    fa_timer_init(&u->close_idle, all->worker, scope, on_idle);
    if (fa_timer_start(&u->close_idle, 0) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    fa_timer_pause(&u->close_idle);
    *out = u;
    return FA_OK;
}

static fa_result settle(fa_upstream *u, settled *fresh)
{
    char name[FA_LABEL_SIZE];
    const fa_upstream_options *o = &fresh->options;
    fa_turnstile_limits limits = {(unsigned)o->concurrency, (unsigned)o->queue, o->queue_wait_ms};
    snprintf(name, sizeof(name), "%.60s", u->name);
    fa_result result =
        u->turnstile == NULL ? fa_turnstiles_find(u->all->options.turnstiles, name, &limits, &u->turnstile) : FA_OK;
    fa_shared_bucket *bucket = NULL;
    if (result == FA_OK)
        result = fa_healths_bucket(u->all->options.healths, u->name, o->retry_budget, o->retry_percent, &bucket);
    if (result != FA_OK)
        return result;
    fa_shared_bucket_unref(u->bucket);
    u->bucket = bucket;
    fa_turnstile_limit(u->turnstile, &limits); /* another worker may have made it */
    fa_settled_unref(u->settled);
    u->settled = fresh;
    retire(u, "its settings changed");
    return FA_OK;
}

/* A secret that lies in a file may be another one by now. */
static void read_again(fa_upstream *u)
{
    settled *fresh;
    fa_error error = {""};
    bool needs_url = u != u->all->fetch;
    if (u->settled->options.token_file == NULL)
        return;
    if (fa_settled_make(u->all, u->name, u->settled, NULL, 0, needs_url, &fresh, &error) != FA_OK) {
        fa_log_write(fa_worker_log(u->all->worker), FA_LOG_ERROR, "%s: the old one is kept", error.text);
        return;
    }
    fa_settled_unref(u->settled);
    u->settled = fresh;
}

void fa_upstream_recycle(fa_upstream *u, const char *why)
{
    u->recycled++;
    read_again(u);
    retire(u, why);
}

/* Whether all that is said is what holds already. */
static bool says_nothing_new(const settled *s, const fa_upstream_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        bool same = false;
        for (size_t k = 0; k < s->setting_count && !same; ++k)
            same =
                strcmp(s->settings[k].key, settings[i].key) == 0 &&
                ((s->settings[k].fixed && !settings[i].fixed) || strcmp(s->settings[k].value, settings[i].value) == 0);
        if (!same)
            return false;
    }
    return true;
}

static void add(fa_upstreams *all, fa_upstream *made)
{
    pthread_mutex_lock(&all->lock);
    fa_list_append(&all->list, &made->link);
    all->count++;
    pthread_mutex_unlock(&all->lock);
}

fa_result fa_upstreams_define(fa_upstreams *all, const char *name, const fa_upstream_setting *settings, size_t count,
                              fa_error *error)
{
    settled *fresh;
    bool fetch = strcmp(name, "fetch") == 0;
    fa_upstream *u = fetch ? all->fetch : fa_upstreams_find(all, name), *made = NULL;
    if (!fa_upstream_name_is_good(name, strlen(name)))
        return fa_fail(error, FA_INVALID,
                       "\"%.60s\" is no name of an upstream: lower-case letters, digits, \"_\" and \"-\"", name);
    if (u == NULL && all->count == MAX_UPSTREAMS)
        return fa_fail(error, FA_FULL, "more than %d upstreams", MAX_UPSTREAMS);
    if (u != NULL && u->settled != NULL && says_nothing_new(u->settled, settings, count))
        return FA_OK;
    fa_result result =
        fa_settled_make(all, name, u != NULL ? u->settled : NULL, settings, count, !fetch, &fresh, error);
    if (result != FA_OK)
        return result;
    if (u == NULL && (result = make_upstream(all, name, &made)) == FA_OK)
        u = made;
    if (result == FA_OK)
        result = settle(u, fresh);
    if (result != FA_OK) {
        fa_settled_unref(fresh);
        if (made != NULL)
            fa_scope_end(made->scope, "no memory", NULL);
        return fa_fail(error, result, "no memory for upstream %s", name);
    }
    if (made != NULL && fetch)
        all->fetch = made;
    else if (made != NULL)
        add(all, made);
    return FA_OK;
}

/* ---- finding ---- */

fa_upstream *fa_upstreams_find(fa_upstreams *all, const char *name)
{
    fa_upstream *found = NULL;
    pthread_mutex_lock(&all->lock);
    FA_LIST_EACH(node, &all->list)
    {
        fa_upstream *u = FA_OBJECT(node, fa_upstream, link);
        if (strcmp(u->name, name) == 0)
            found = u;
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

fa_upstream *fa_upstreams_at(fa_upstreams *all, size_t index)
{
    FA_LIST_EACH(node, &all->list)
    {
        if (index-- == 0)
            return FA_OBJECT(node, fa_upstream, link);
    }
    return NULL;
}

fa_upstream *fa_upstreams_fetch(fa_upstreams *all)
{
    return all->fetch;
}

const char *fa_upstream_name(const fa_upstream *u)
{
    return u->name;
}

const fa_upstream_options *fa_upstream_options_of(const fa_upstream *u)
{
    return &u->settled->options;
}

void fa_upstream_read(const fa_upstream *u, fa_upstream_figures *out)
{
    fa_pool_figures f = {0};
    uint64_t now = fa_worker_now(u->all->worker);
    if (u->pool != NULL)
        fa_pool_figures_read(u->pool, &f);
    *out = (fa_upstream_figures){.name = u->name,
                                 .requests = u->requests,
                                 .bytes = u->closed_bytes + f.bytes,
                                 .failed = u->failed,
                                 .retries = u->retries,
                                 .moves = u->moves,
                                 .recycled = u->recycled,
                                 .running = u->running,
                                 .waiting = u->waiting,
                                 .sockets = f.sockets,
                                 .pools = u->pools,
                                 .breaker_open = u->settled->base_count > 0};
    for (size_t i = 0; i < u->settled->base_count; ++i) {
        fa_breaker breaker = fa_shared_breaker_read(u->settled->bases[i].breaker);
        out->breaker_opened += breaker.opened;
        out->breaker_open = out->breaker_open && fa_breaker_open(&breaker, now);
    }
}

/* ---- pausing ---- */

void fa_upstreams_pause(fa_upstreams *all, bool pause)
{
    if (all->paused == pause)
        return;
    all->paused = pause;
    if (pause)
        return;
    FA_LIST_EACH(node, &all->transfers)
    {
        const fa_transfer *t = FA_OBJECT(node, fa_transfer, link);
        for (int i = 0; i < MOST_ATTEMPTS; ++i) {
            if (t->attempts[i] != NULL)
                fa_attempt_resume(t->attempts[i]); /* tells nobody from here */
        }
    }
}

/* ---- beginning and end ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_upstreams *all = FA_OBJECT(hook, fa_upstreams, at_end);
    all->closing = true;
    while (all->easy_count > 0)
        curl_easy_cleanup(all->easies[--all->easy_count]);
    pthread_mutex_destroy(&all->lock);
}

fa_result fa_upstreams_new(const fa_upstreams_options *options, fa_upstreams **out, fa_error *error)
{
    fa_scope *scope, *parent = fa_worker_scope(options->worker);
    fa_result result = fa_curl_begin();
    if (result == FA_OK)
        result = fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_WORKER, 0, "upstreams", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for upstreams");
    fa_upstreams *all = fa_scope_allocate(scope, sizeof(*all));
    if (all == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no memory for upstreams");
    }
    all->options = *options;
    if (all->options.workers == 0)
        all->options.workers = 1;
    all->scope = scope;
    all->worker = options->worker;
    pthread_mutex_init(&all->lock, NULL);
    fa_list_init(&all->list);
    fa_list_init(&all->transfers);
    fa_scope_hook_add(scope, &all->at_end, on_end);
    result = fa_upstreams_define(all, "fetch", NULL, 0, error);
    if (result != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return result;
    }
    *out = all;
    return FA_OK;
}

/* A transfer that is told of it may start no other: no pool takes it. */
void fa_upstreams_free(fa_upstreams *all)
{
    if (all == NULL)
        return;
    all->closing = true;
    for (fa_list *node; (node = fa_list_first(&all->transfers)) != NULL;) {
        fa_transfer *t = FA_OBJECT(node, fa_transfer, link);
        fa_list_remove(node);
        fa_transfer_cancel(t);
    }
    fa_scope_end(all->scope, "upstreams closed", NULL);
}
