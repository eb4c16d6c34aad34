/* Upstreams: named services that a worker asks, each with its limits and its pool of connections; and transfers, one request each.
 *
 *     fa_upstreams_new(&options, &upstreams, error);                      one a worker
 *     fa_upstreams_define(upstreams, "llm", settings, count, error);      url and the rest: upstream/options.h
 *     fa_upstream *llm = fa_upstreams_find(upstreams, "llm");
 *     fa_transfer_start(llm, scope, &request, &user, me, FA_HERE, &transfer);
 *     ... user->head, user->data, user->done ...
 *     fa_transfer_end(transfer);                                          or the end of `scope`
 *
 * A transfer lies in a scope of its own (kind transfer) below the one that it was started for. The end of that scope takes it out at
 * once: its connection closes, its place goes to the next one, its bytes are freed. Nobody is told then.
 *
 * Whoever is told is told from the loop, never from inside fa_transfer_start and never from inside libcurl, and may end this transfer and
 * any other there.
 *
 * Thread: the worker's, all of it. Several workers share the places of an upstream (its concurrency), through a turnstile, how well its
 * addresses are, and its budget of repetitions (healths.h), and nothing else.
 */
#ifndef FA_UPSTREAM_UPSTREAM_H
#define FA_UPSTREAM_UPSTREAM_H

#include "upstream/healths.h"
#include "upstream/options.h"
#include "upstream/reader.h"
#include "worker/turnstile.h"

typedef struct fa_upstreams fa_upstreams;
typedef struct fa_upstream fa_upstream;
typedef struct fa_transfer fa_transfer;

/* Everything is borrowed for the life of the upstreams. */
typedef struct fa_upstreams_options {
    fa_worker *worker;
    fa_turnstiles *turnstiles;
    fa_healths *healths;
    unsigned workers; /* how many share the limits of connections */
} fa_upstreams_options;

/* In a scope below the worker's. FA_NO_MEMORY. Initialises libcurl. */
fa_result fa_upstreams_new(const fa_upstreams_options *options, fa_upstreams **upstreams, fa_error *error);

/* Every transfer that is still under way is cut and told "cancelled"; every pool closes. Before the worker's loop ends. NULL is
 * ignored. */
void fa_upstreams_free(fa_upstreams *upstreams);

/* One key of an upstream. fixed: what is said about it later does not count (the configuration goes before the application). */
typedef struct fa_upstream_setting {
    const char *key, *value, *where; /* where: for messages, may be NULL */
    bool fixed;
} fa_upstream_setting;

/* Makes the upstream, or says more about it. What has changed holds for transfers that start from now on. settings: copied. FA_INVALID
 * with a sentence that names the key and, if given, where it was written; FA_NOT_FOUND for an unknown key or a secret that is not
 * there; FA_NO_MEMORY. On failure the upstream is as it was. */
fa_result fa_upstreams_define(fa_upstreams *upstreams, const char *name, const fa_upstream_setting *settings,
                              size_t count, fa_error *error);

/* The same without doing it, as far as it can be told by itself. scope: for what it needs meanwhile. Thread: that of the scope. */
fa_result fa_upstream_settings_check(fa_scope *scope, const char *name, const fa_upstream_setting *settings,
                                     size_t count, fa_error *error);

fa_upstream *fa_upstreams_find(fa_upstreams *upstreams, const char *name); /* NULL: there is none. Thread: any */
fa_upstream *fa_upstreams_at(fa_upstreams *upstreams, size_t index); /* NULL at the end; fetch is not among them */
fa_upstream *fa_upstreams_fetch(fa_upstreams *upstreams); /* the one without an address of its own, behind the guard */

const char *fa_upstream_name(const fa_upstream *upstream);
const fa_upstream_options *fa_upstream_options_of(const fa_upstream *upstream);

/* Memory is short: nothing is read until it is not any more. Deadlines between two pieces do not run meanwhile. */
void fa_upstreams_pause(fa_upstreams *upstreams, bool pause);

/* New transfers get a new pool from now on; the old one closes with its last transfer, and logs what that gave back. why: static. */
void fa_upstream_recycle(fa_upstream *upstream, const char *why);

typedef struct fa_upstream_figures {
    const char *name;
    uint64_t requests, bytes, failed, recycled, breaker_opened; /* since the start */
    uint64_t retries;                                           /* repetitions that took from the budget, hedges too */
    uint64_t moves;          /* to another address, because nobody was at the one before: no repetition */
    size_t running, waiting; /* transfers on this worker */
    size_t sockets, pools;
    bool breaker_open; /* of every address */
} fa_upstream_figures;
void fa_upstream_read(const fa_upstream *upstream, fa_upstream_figures *figures);

/* ---- transfers ---- */

typedef enum fa_failure_kind {
    FA_FAILED_NOT, /* it has not failed */
    FA_FAILED_REFUSED,
    FA_FAILED_DNS,
    FA_FAILED_TLS,
    FA_FAILED_PROXY,
    FA_FAILED_TIMEOUT,
    FA_FAILED_CUT,
    FA_FAILED_TOO_LARGE,
    FA_FAILED_PROTOCOL,
    FA_FAILED_STATUS,
    FA_FAILED_REDIRECT,
    FA_FAILED_BUSY,
    FA_FAILED_BREAKER,
    FA_FAILED_GUARD,
    FA_FAILED_MEMORY,
    FA_FAILED_CANCELLED
} fa_failure_kind;

const char *fa_failure_name(fa_failure_kind kind); /* "too_large" */

enum { FA_EXCERPT_SIZE = 4096 };

typedef struct fa_failure {
    fa_failure_kind kind;
    const char *which; /* of a timeout: "connect", "first_byte", "idle", "total"; else NULL */
    bool retryable;
    char message[240];
} fa_failure;

/* One part of a multipart body. Borrowed for the call of fa_transfer_start, but that buffers are leased. */
typedef struct fa_form_item {
    fa_text name, filename, type; /* empty: none */
    fa_buffer *body;              /* sealed */
    size_t offset, length;        /* of it */
} fa_form_item;

typedef enum fa_transfer_mode {
    FA_TRANSFER_WHOLE, /* the body is one buffer, at the end */
    FA_TRANSFER_STREAM /* it is taken as it comes */
} fa_transfer_mode;

/* Borrowed for the call of fa_transfer_start; buffers are leased until the transfer ends. */
typedef struct fa_transfer_request {
    const char *method;
    fa_text
        path; /* behind the base address: empty or beginning with "/", percent-encoded, perhaps with a query; of fetch: the URL */
    fa_text query; /* added to it; empty: none */
    const fa_header *headers;
    size_t header_count;
    fa_buffer *body;           /* sealed, or NULL */
    const fa_form_item *parts; /* multipart instead */
    size_t part_count;
    fa_transfer_mode mode;
    fa_stream_format format; /* of a stream */
    bool expect_success;     /* any status but 2xx is a failure */
    int idempotent;          /* 1: may be sent twice, 0: must not, -1: as the method says */
    int retries;             /* -1: as the upstream says */
    /* 0: as the upstream says */
    uint64_t total_ms, first_byte_ms, idle_ms;
    size_t max_response, event_max;
} fa_transfer_request;

/* All may be NULL but done. context: of fa_transfer_start. */
typedef struct fa_transfer_user {
    /* Of a stream: status and headers are there. */
    void (*head)(fa_transfer *transfer, void *context);
    /* Of a stream: something has come since it was last found empty. */
    void (*data)(fa_transfer *transfer, void *context);
    /* It is over: whole, or failed (fa_transfer_failure). Once. It stands until it is ended. */
    void (*done)(fa_transfer *transfer, void *context);
} fa_transfer_user;

/* What fails later is told to `done`. FA_INVALID: a request that cannot be sent, with a sentence; FA_UNSUPPORTED: an address, for
 * an upstream without one of its own, that may not be asked or is none; FA_WRONG_STATE: the scope has ended, or a buffer is not sealed; FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_transfer_start(fa_upstream *upstream, fa_scope *scope, const fa_transfer_request *request,
                            const fa_transfer_user *user, void *context, fa_origin made_at, fa_transfer **transfer,
                            fa_error *error);

/* Ends its scope; the pointer is dead. */
void fa_transfer_end(fa_transfer *transfer);

bool fa_transfer_done(const fa_transfer *transfer);
const fa_failure *fa_transfer_failure(const fa_transfer *transfer); /* kind FA_FAILED_NOT while and when all is well */

/* Of the answer. 0 when none came. */
int fa_transfer_status(const fa_transfer *transfer);
unsigned fa_transfer_attempts(const fa_transfer *transfer);
int64_t fa_transfer_retry_after(const fa_transfer *transfer); /* seconds; -1: it said nothing */
int64_t fa_transfer_length(const fa_transfer *transfer);      /* of the body as declared; -1: unknown */
/* The i-th header, in the order in which they came; names in lower case. Borrowed. False at the end. */
bool fa_transfer_header(const fa_transfer *transfer, size_t index, fa_header *header);
/* The first bytes of the body of an answer that `expect_success` did not allow; NULL: none. Sealed, the transfer's. */
fa_buffer *fa_transfer_excerpt(const fa_transfer *transfer);

/* The whole body: sealed, owned by the transfer's scope until somebody adopts it. NULL when there is none, or no more. Of a raw
 * stream: what has come and was not taken yet; NULL when nothing waits. The caller adopts it, or releases it. */
fa_buffer *fa_transfer_take(fa_transfer *transfer);

/* Of a stream of events: as fa_reader_next, but that FA_NOT_FOUND on one that is over means that there are no more. FA_FULL has
 * failed the transfer. */
fa_result fa_transfer_next(fa_transfer *transfer, fa_stream_event *event);
bool fa_transfer_event(const fa_transfer *transfer, fa_stream_event *event); /* as fa_reader_event */

fa_upstream *fa_transfer_upstream(const fa_transfer *transfer);
fa_scope *fa_transfer_scope(const fa_transfer *transfer);

#endif
