/* A worker with upstreams on it, turned by the test itself, and a service that they ask (origin.h).
 *
 *     upstream_world *w = upstream_world_begin("retries=0", NULL);
 *     asked a = {.path = "/hello"};
 *     upstream_ask(w, &a);
 *     assert_string_equal(a.body, "hello");
 *     upstream_world_end(w);
 */
#ifndef FA_SUPPORT_UPSTREAM_WORLD_H
#define FA_SUPPORT_UPSTREAM_WORLD_H

#include "origin.h"
#include "testing.h"
#include "upstream/upstream.h"

typedef struct upstream_world {
    origin service;
    fa_failing memory;
    fa_ledger *ledger;
    bool own_ledger;
    fa_log log;
    char logged[8000];
    size_t used;
    fa_scope *server, *clients; /* clients: what transfers hang from */
    fa_worker *worker;
    fa_turnstiles *places;
    fa_healths *healths;
    fa_upstreams *upstreams;
    fa_upstream *it; /* "it": the service */
    fa_error error;
} upstream_world;

/* settings: "key=value", NULL at the end, on top of url and of short waits. */
upstream_world *upstream_world_begin_with(const char *const *settings);
#define upstream_world_begin(...) upstream_world_begin_with((const char *const[]){__VA_ARGS__})
void upstream_world_end(
    upstream_world *w); /* nothing may be left: no transfer, no socket of ours once the pools are closed */

/* The same in parts, for a ledger that may refuse; the service stands already. */
bool upstream_world_try(upstream_world *w, fa_ledger *ledger);
void upstream_world_close(upstream_world *w);
fa_result upstream_world_set(upstream_world *w, const char *name, const char *setting); /* "key=value" */

/* One transfer and what became of it. */
typedef struct asked {
    const char *method, *path; /* GET */
    const char *send;          /* body */
    fa_upstream *upstream;     /* NULL: w->it */
    fa_transfer_request request;
    bool keep; /* the transfer is not ended when it is done */
    bool once; /* it must not be sent twice */
    /* after it */
    upstream_world *w;
    fa_transfer *transfer; /* NULL once it has ended */
    bool done;
    fa_result started;
    fa_failure_kind kind;
    const char *which;
    int status;
    unsigned attempts;
    bool retryable;
    char message[240], body[4200];
    size_t length;
} asked;

void upstream_start(upstream_world *w, asked *a);
void upstream_await(upstream_world *w, asked *a);
void upstream_ask(upstream_world *w, asked *a); /* both */

/* The request's body as a buffer of w->clients. */
fa_buffer *upstream_text(upstream_world *w, const char *text, size_t length);

size_t upstream_transfers(const upstream_world *w);

#define UPSTREAM_UNTIL(w, condition)                                                                                   \
    do {                                                                                                               \
        for (uint64_t start_ = fa_now_ms(); !(condition); fa_test_run_for((w)->worker, 1)) {                           \
            if (fa_now_ms() - start_ > 20000)                                                                          \
                fail_msg("not within 20 s: %s\n%s", #condition, (w)->logged);                                          \
        }                                                                                                              \
    } while (0)

#endif
