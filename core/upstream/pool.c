/* libcurl asks for two things: to be called when a socket is ready, and when a time has come. Both are given by the worker's loop. After
 * each call into libcurl that may have moved bytes, the pool tells its flights what came (pump). */
#include "upstream/pool.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream/curl_memory.h"

struct fa_pool {
    fa_pool_options options;
    fa_scope *scope;
    fa_worker *worker;
    CURLM *multi;
    CURLSH *share;
    fa_timer timer;
    fa_message poke; /* news came outside of the loop's own calls */
    fa_scope_hook at_end;
    fa_list flights, news;
    fa_pool_figures figures;
    unsigned pumping;
    bool broken, retired, closing;
};

/* A socket that libcurl waits for. The uv handle lives on for a loop turn after uv_close, so it is the worker's. */
typedef struct watch {
    uv_poll_t uv;
    fa_pool *pool; /* NULL once it is closing */
    curl_socket_t fd;
    fa_account *account;
} watch;

static void pump(fa_pool *pool);
static void close_pool(fa_pool *pool);

/* ---- sockets ---- */

static void on_watch_closed(uv_handle_t *handle)
{
    watch *w = (watch *)handle;
    fa_account *account = w->account;
    fa_account_free(account, w, sizeof(*w));
    fa_account_unref(account);
}

static void call_multi(fa_pool *pool, curl_socket_t fd, int what)
{
    int running;
    if (curl_multi_socket_action(pool->multi, fd, what, &running) != CURLM_OK)
        pool->broken = true;
    pump(pool);
}

static void on_ready(uv_poll_t *uv, int status, int events)
{
    const watch *w = (watch *)uv;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    if (w->pool != NULL)
        call_multi(w->pool, w->fd, what);
}

static watch *make_watch(fa_pool *pool, curl_socket_t fd)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(pool->worker));
    if (fa_account_allocate(account, sizeof(watch), &memory) != FA_OK)
        return NULL;
    watch *w = memset(memory, 0, sizeof(*w));
    if (uv_poll_init_socket(fa_worker_loop(pool->worker), &w->uv, fd) != 0) {
        fa_account_free(account, w, sizeof(*w));
        return NULL;
    }
    w->account = fa_account_ref(account);
    w->pool = pool;
    w->fd = fd;
    return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    fa_pool *pool = context;
    watch *w = socket_context;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            curl_multi_assign(pool->multi, fd, NULL);
            w->pool = NULL;
            uv_close((uv_handle_t *)&w->uv, on_watch_closed);
        }
        return 0;
    }
    if (w == NULL) {
        w = make_watch(pool, fd);
        if (w == NULL)
            return -1; /* every flight of the pool fails by that: call_multi sees it */
        curl_multi_assign(pool->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->uv, events, on_ready) == 0 ? 0 : -1;
}

curl_socket_t fa_pool_open_socket(fa_pool *pool, const struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    pool->figures.sockets++;
    pool->figures.opened++;
    return fd;
}

static int on_close_socket(void *context, curl_socket_t fd)
{
    fa_pool *pool = context;
    pool->figures.sockets--;
    return close(fd);
}

/* ---- time ---- */

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *context)
{
    fa_pool *pool = context;
    (void)multi;
    if (timeout_ms < 0)
        fa_timer_pause(&pool->timer);
    else
        fa_timer_start(&pool->timer, (uint64_t)timeout_ms); /* its memory is there since the pool was made */
    return 0;
}

static void on_time(fa_timer *timer)
{
    call_multi(FA_OBJECT(timer, fa_pool, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- telling ---- */

static void tell_news(fa_pool *pool)
{
    for (fa_list *node; (node = fa_list_first(&pool->news)) != NULL;) {
        fa_flight *flight = FA_OBJECT(node, fa_flight, with_news);
        fa_list_remove(node);
        flight->news(flight);
    }
}

static void land(fa_flight *flight, CURLcode code)
{
    fa_pool_remove(flight);
    flight->landed(flight, code);
}

static void tell_landed(fa_pool *pool)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(pool->multi, &left)) != NULL;) {
        void *flight = NULL;
        CURLcode code = message->data.result; /* the message is gone when the handle is removed */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flight);
        land(flight, code);
    }
}

static void fail_all(fa_pool *pool)
{
    for (fa_list *node; (node = fa_list_first(&pool->flights)) != NULL;)
        land(FA_OBJECT(node, fa_flight, in_pool), CURLE_OUT_OF_MEMORY);
}

static void close_if_over(fa_pool *pool)
{
    if (pool->retired && pool->pumping == 0 && fa_list_empty(&pool->flights))
        close_pool(pool);
}

/* Landing and news may add and remove flights, and retire this pool. */
static void pump(fa_pool *pool)
{
    pool->pumping++;
    tell_news(pool);
    tell_landed(pool);
    if (pool->broken)
        fail_all(pool);
    tell_news(pool);
    pool->pumping--;
    close_if_over(pool);
}

static void on_poke(fa_message *message)
{
    pump(FA_OBJECT(message, fa_pool, poke));
}

void fa_pool_news(fa_flight *flight)
{
    if (flight->pool != NULL && fa_list_empty(&flight->with_news))
        fa_list_append(&flight->pool->news, &flight->with_news);
}

/* ---- flights ---- */

/* libcurl counts connections that are in use, too, and looks when one comes back: that one's flight is not over yet for us. Several may come
 * back before the first of those who wait is let in. */
static void keep_idle(const fa_pool *pool)
{
    const fa_pool_options *o = &pool->options;
    size_t others = pool->figures.flying + (o->coming != NULL ? o->coming(o->context) : 0);
    others -= others > 0;
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)(pool->options.max_idle + others));
}

fa_result fa_pool_add(fa_pool *pool, fa_flight *flight, CURL *easy)
{
    if (pool->retired || pool->broken)
        return FA_WRONG_STATE;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, flight);
    curl_easy_setopt(easy, CURLOPT_SHARE, pool->share);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, pool);
    flight->pool = pool;
    flight->easy = easy;
    fa_list_init(&flight->with_news);
    if (curl_multi_add_handle(pool->multi, easy) != CURLM_OK) {
        flight->pool = NULL;
        curl_easy_setopt(easy, CURLOPT_SHARE, NULL);
        return FA_NO_MEMORY;
    }
    fa_list_append(&pool->flights, &flight->in_pool);
    pool->figures.requests++;
    pool->figures.flying++;
    keep_idle(pool);
    return FA_OK;
}

void fa_pool_remove(fa_flight *flight)
{
    fa_pool *pool = flight->pool;
    if (pool == NULL)
        return;
    flight->pool = NULL;
    fa_list_remove(&flight->in_pool);
    fa_list_remove(&flight->with_news);
    curl_multi_remove_handle(pool->multi, flight->easy);
    pool->figures.flying--;
    keep_idle(pool);
    curl_easy_setopt(flight->easy, CURLOPT_SHARE, NULL);
    if (!pool->closing)
        close_if_over(pool);
}

void fa_pool_resume(fa_flight *flight)
{
    fa_pool *pool = flight->pool;
    if (pool == NULL)
        return;
    curl_easy_pause(flight->easy, CURLPAUSE_CONT); /* it may hand over what it kept, from inside */
    if (!fa_list_empty(&pool->news) && pool->pumping == 0)
        fa_worker_post(pool->worker, &pool->poke);
}

void fa_pool_count(fa_pool *pool, uint64_t bytes)
{
    if (pool != NULL) /* a stand-in has none */
        pool->figures.bytes += bytes;
}

/* ---- beginning and end ---- */

static void on_scope_end(fa_scope_hook *hook)
{
    fa_pool *pool = FA_OBJECT(hook, fa_pool, at_end);
    long long before = fa_curl_memory_here();
    size_t open = pool->figures.sockets;
    pool->closing = true;
    fa_worker_withdraw(pool->worker, &pool->poke);
    for (fa_list *node; (node = fa_list_first(&pool->flights)) != NULL;)
        fa_pool_remove(FA_OBJECT(node, fa_flight, in_pool));
    if (pool->multi != NULL)
        curl_multi_cleanup(pool->multi);
    if (pool->share != NULL)
        curl_share_cleanup(pool->share);
    pool->figures.closed_now = open - pool->figures.sockets;
    long long after = fa_curl_memory_here();
    pool->figures.released = before > after ? (size_t)(before - after) : 0;
    if (pool->options.closed != NULL && pool->retired)
        pool->options.closed(pool->options.context, &pool->figures);
}

static void close_pool(fa_pool *pool)
{
    pool->pumping++; /* once */
    fa_scope_end(pool->scope, pool->figures.why, NULL);
}

static bool set_up(fa_pool *pool)
{
    const fa_pool_options *o = &pool->options;
    pool->multi = curl_multi_init();
    pool->share = curl_share_init();
    if (pool->multi == NULL || pool->share == NULL)
        return false;
    /* Sessions of TLS; connections and names are the multi handle's already. */
    bool good = curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted) == CURLM_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK;
    good = good && curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)o->connections) == CURLM_OK;
    good = good &&
           curl_multi_setopt(pool->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)o->connections_per_host) == CURLM_OK;
    return good && curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)o->max_idle) == CURLM_OK;
}

fa_result fa_pool_new(const fa_pool_options *options, fa_pool **out)
{
    fa_scope *scope;
    fa_result result = fa_scope_new(fa_scope_ledger(options->scope), options->scope, FA_KIND_WORKER, 0, options->label,
                                    FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    fa_pool *pool = fa_scope_allocate(scope, sizeof(*pool));
    if (pool == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    pool->options = *options;
    pool->scope = scope;
    pool->worker = options->worker;
    pool->figures.born_ms = fa_worker_now(options->worker);
    fa_list_init(&pool->flights);
    fa_list_init(&pool->news);
    fa_message_init(&pool->poke, on_poke);
    fa_timer_init(&pool->timer, options->worker, scope, on_time);
    fa_scope_hook_add(scope, &pool->at_end, on_scope_end);
    if (fa_timer_start(&pool->timer, 0) != FA_OK || !set_up(pool)) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    fa_timer_pause(&pool->timer);
    *out = pool;
    return FA_OK;
}

void fa_pool_retire(fa_pool *pool, const char *why)
{
    if (pool->retired)
        return;
    pool->retired = true;
    pool->figures.why = why;
    close_if_over(pool);
}

void fa_pool_figures_read(const fa_pool *pool, fa_pool_figures *figures)
{
    *figures = pool->figures;
}

bool fa_pool_broken(const fa_pool *pool)
{
    return pool->broken;
}
