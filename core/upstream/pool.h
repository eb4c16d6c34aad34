/* A pool: a curl multi handle on the worker's loop, and the connections that it keeps.
 *
 * What flies in a pool is told of by `news` and `landed`, always from the loop and never from inside a function of libcurl: so whoever is
 * told may end transfers, start others, and run scripts. Inside of curl's callbacks only fa_pool_news may be called.
 *
 * A pool that has been retired takes nothing new and closes as soon as its last flight has left.
 *
 * Thread: the worker's.
 */
#ifndef FA_UPSTREAM_POOL_H
#define FA_UPSTREAM_POOL_H

#include <curl/curl.h>

#include "worker/timer.h"

typedef struct fa_pool fa_pool;
typedef struct fa_pool_figures fa_pool_figures;

/* An easy handle in a pool; lies in the object that it is about. Everything but the functions is the pool's. */
typedef struct fa_flight {
    fa_list in_pool, with_news;
    fa_pool *pool; /* NULL when it is in none */
    CURL *easy;
    /* Something has come. May end anything. */
    void (*news)(struct fa_flight *flight);
    /* It is over, and no longer in the pool. May end anything. */
    void (*landed)(struct fa_flight *flight, CURLcode code);
} fa_flight;

typedef struct fa_pool_options {
    fa_worker *worker;
    fa_scope *scope; /* of the upstream: the pool's own hangs from it */
    const char *label;
    unsigned connections, connections_per_host, max_idle; /* 0: no limit; max_idle is at least 1 */
    /* How many wait for a place and will fly soon: a connection is kept for each of them, beside max_idle. */
    size_t (*coming)(void *context);
    /* It has closed, and is gone. figures: borrowed. */
    void (*closed)(void *context, const fa_pool_figures *figures);
    void *context;
} fa_pool_options;

struct fa_pool_figures {
    uint64_t born_ms; /* fa_worker_now */
    uint64_t requests;
    uint64_t bytes;    /* received, bodies and heads */
    size_t flying;     /* now */
    size_t sockets;    /* open now */
    size_t opened;     /* since it was made */
    size_t closed_now; /* for `closed`: sockets that its end closed */
    size_t released;   /* and bytes that it gave back */
    const char *why;   /* it was retired */
};

fa_result fa_pool_new(const fa_pool_options *options, fa_pool **pool);

/* easy: all set but what the pool sets (the share, the socket it opens by default, its private pointer, which is the flight). The
 * caller's again after fa_pool_remove or `landed`. FA_NO_MEMORY. */
fa_result fa_pool_add(fa_pool *pool, fa_flight *flight, CURL *easy);

/* Takes it out at once; a connection in the midst of an answer closes. Harmless when it is in no pool. */
void fa_pool_remove(fa_flight *flight);

/* From curl's callbacks: `news` is called once curl has returned. */
void fa_pool_news(fa_flight *flight);

/* Goes on after CURL_WRITEFUNC_PAUSE. */
void fa_pool_resume(fa_flight *flight);

/* For a CURLOPT_OPENSOCKETFUNCTION: opens what curl asks for and counts it. */
curl_socket_t fa_pool_open_socket(fa_pool *pool, const struct curl_sockaddr *address);

void fa_pool_count(fa_pool *pool, uint64_t bytes);

/* why: static. Closes, now or later; the pointer is dead, but for flights that are in it. */
void fa_pool_retire(fa_pool *pool, const char *why);

void fa_pool_figures_read(const fa_pool *pool, fa_pool_figures *figures);

/* Something went wrong with the multi handle as a whole: it takes nothing more, and should be retired. */
bool fa_pool_broken(const fa_pool *pool);

#endif
