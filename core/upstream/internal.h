/* What the files of core/upstream share. */
#ifndef FA_UPSTREAM_INTERNAL_H
#define FA_UPSTREAM_INTERNAL_H

#include "upstream/guard.h"
#include "upstream/healths.h"
#include "upstream/pool.h"
#include "upstream/stand_in.h"
#include "upstream/upstream.h"

enum {
    MAX_FREE_EASIES = 32,
    MAX_UPSTREAMS = 64,
    MAX_SETTINGS = 80,
    URL_SIZE = 8192,
    ORIGIN_SIZE = 300,
    MAX_DISCARDED = 64 * 1024, /* of an answer that nobody wants, so that its connection can be used again */
    AT_ONCE_BODY = 64 * 1024,  /* sent together with the head */
    MOST_ATTEMPTS = 2          /* at a time */
};

/* One address of an upstream. */
typedef struct base {
    const char *url; /* without a "/" at its end */
    char origin[ORIGIN_SIZE];
    fa_shared_breaker *breaker; /* a reference */
} base;

/* What has been said about an upstream, made ready. Transfers that began with it keep it. */
typedef struct settled {
    fa_scope *scope;
    fa_scope_hook at_end;
    size_t references;
    fa_upstream_options options;
    fa_upstream_setting settings[MAX_SETTINGS];
    size_t setting_count;
    base bases[FA_UPSTREAM_MOST_BASES];
    size_t base_count;
    fa_guard guard;          /* for fetch, redirects, and where options.guard says so */
    const char *secret;      /* the header line that carries it, "Authorization: Bearer ..."; NULL: none */
    size_t secret_name;      /* bytes of its name */
    const char *secret_text; /* the secret alone */
} settled;

struct fa_upstream {
    fa_list link;
    fa_upstreams *all;
    fa_scope *scope;
    const char *name;
    settled *settled;
    fa_pool *pool;           /* NULL: the next transfer makes one */
    fa_turnstile *turnstile; /* a reference */
    fa_scope_hook at_end;
    fa_shared_bucket *bucket; /* a reference */
    fa_timer close_idle;      /* nothing has flown since */
    size_t pools;             /* with those that are closing */
    size_t running, waiting;
    uint64_t requests, failed, retries, moves, recycled;
    uint64_t closed_requests, closed_bytes; /* of pools that are gone */
    fa_stand_in stand_in;                   /* who answers instead; NULL: nobody */
    void *stand_in_context;
};

struct fa_upstreams {
    fa_upstreams_options options;
    fa_scope *scope;
    fa_worker *worker;
    pthread_mutex_t lock; /* guards list and count, which scripts that are loaded aside look at */
    fa_list list;         /* of fa_upstream: it only grows */
    size_t count;
    fa_upstream *fetch;
    fa_list transfers;
    CURL *easies[MAX_FREE_EASIES];
    size_t easy_count;
    fa_scope_hook at_end;
    bool paused, closing;
};

/* What is to become of the answer to an attempt, known with its head. */
typedef enum fate { FATE_UNKNOWN, FATE_ACCEPT, FATE_REPEAT, FATE_FOLLOW, FATE_REFUSE } fate;

/* One easy handle's worth of a transfer. */
typedef struct attempt {
    fa_flight flight;
    fa_transfer *transfer;
    fa_upstream *via; /* whose pool: the transfer's upstream, or fetch */
    base *base;       /* NULL: behind a redirect, or fetch */
    CURL *easy;
    struct curl_slist *headers;
    curl_mime *mime;
    const fa_guard *guard; /* NULL: none */
    fa_buffer *head;       /* "name: value\n" */
    size_t line_at;        /* where its last line begins */
    int status;
    int64_t length; /* of the body, -1: unknown */
    bool head_done, paused, guarded, sent, answered, hedge;
    fate fate;
    size_t received, body_at;     /* body_at: read by curl so far */
    uint64_t last_ms;             /* when something moved last */
    fa_failure_kind failed;       /* decided in a callback, which made curl stop */
    const char *detail;           /* of that; static, NULL: none */
    fa_stand_in_flight *stand_in; /* it flies there and in no pool; NULL: it does not */
    char error[CURL_ERROR_SIZE];
} attempt;

typedef enum transfer_state {
    TRANSFER_WAITS,
    TRANSFER_FLIES,
    TRANSFER_RESTS,
    TRANSFER_FAILS,
    TRANSFER_DONE
} transfer_state;

typedef struct form_item {
    fa_transfer *transfer;
    const char *name, *filename, *type;
    fa_buffer *body;
    size_t offset, length;
} form_item;

struct fa_transfer {
    fa_list link; /* in fa_upstreams.transfers */
    fa_scope *scope;
    fa_upstream *upstream;
    settled *settled;
    const fa_transfer_user *user;
    void *context;
    transfer_state state;
    fa_origin made_at;

    /* the request */
    const char *method;
    const char *target;  /* path and query, or the URL */
    const char *headers; /* "Name: value\0", ended by an empty one */
    fa_buffer *body;     /* leased */
    form_item *parts;
    size_t part_count;
    fa_transfer_mode mode;
    bool expect_success, idempotent;
    unsigned retries_left, redirects_left;
    uint64_t first_byte_ms, idle_ms;
    size_t max_response;

    /* under way */
    fa_scope_hook at_end;
    fa_turnstile_pass pass;
    fa_timer deadline, delay, hedge;
    uint64_t total_at_ms, armed_for_ms; /* armed_for: what `deadline` waits for, 0: nothing */
    fa_message tell;                    /* a failure that is told from the loop */
    attempt *attempts[MOST_ATTEMPTS];
    unsigned attempt_count; /* so far */
    const base *last_base;
    unsigned asked;       /* addresses, a bit for each */
    const char *location; /* behind a redirect: the URL */
    bool foreign;         /* and it is another host's */
    unsigned backoffs;

    /* the answer */
    attempt *accepted;
    int status;
    int64_t length, retry_after;
    fa_buffer *head, *answer, *excerpt; /* answer: the whole body, or the bytes of a raw stream */
    fa_reader reader;
    bool head_pending, data_pending;
    fa_failure failure;
};

/* ---- settled.c ---- */
fa_result fa_settled_make(fa_upstreams *all, const char *name, const settled *before,
                          const fa_upstream_setting *settings, size_t count, bool needs_url, settled **out,
                          fa_error *error);
settled *fa_settled_ref(settled *settled);
void fa_settled_unref(settled *settled);
/* Makes what an answer repeats of the secret unreadable, also one that is cut off at its end. */
void fa_settled_hide(const settled *settled, fa_buffer *excerpt);

/* ---- head.c: of an answer; NULL is an empty one. What is given is borrowed from it ---- */
/* Adds a line as it came, without its end. last: where the last one begins, 0 at first; a folded line goes on with that one, after a space.
 * FA_INVALID: no header, a control character, or one of those that say where the body ends in a form that libcurl reads otherwise. */
fa_result fa_head_note(fa_buffer *head, size_t *last, const char *line, size_t length);
/* The line at *at, which moves on. False at the end. */
bool fa_head_next(const fa_buffer *head, size_t *at, fa_header *header);
bool fa_head_find(const fa_buffer *head, const char *name, fa_text *value);
/* What it says of the body's length, if it does, is one number, however often it says it. Of two, or of one that is beyond all numbers,
 * libcurl takes one or none, and the body would end elsewhere than the service means. */
bool fa_head_lengths_agree(const fa_buffer *head);

/* ---- url.c ---- */
/* "https://host:443". False when it is no http or https URL, or has user information. */
bool fa_url_origin(const char *url, char out[ORIGIN_SIZE], unsigned *port);
/* The URL that a Location leads to from `url`, in memory of the scope; NULL when it is none that may be followed. */
const char *fa_url_follow(fa_scope *scope, const char *url, fa_text location);
bool fa_url_target_is_good(fa_text path);
bool fa_url_downgrades(const char *from, const char *to);

/* ---- upstreams.c ---- */
CURL *fa_easy_take(fa_upstreams *all);
void fa_easy_give(fa_upstreams *all, CURL *easy);
fa_result fa_upstream_pool(fa_upstream *upstream, fa_pool **pool); /* the one for new transfers */
void fa_upstream_landed(fa_upstream *upstream);                    /* perhaps it is to be recycled, or idle now */

/* ---- attempt.c ---- */
/* Sends the transfer once more. Anything but FA_OK: nothing flies. */
fa_result fa_attempt_start(fa_transfer *transfer, base *base, bool hedge);
/* Takes it out of its pool and frees it. Not from inside of curl. */
void fa_attempt_drop(attempt *attempt);
void fa_attempt_resume(attempt *attempt);
void fa_attempt_news(attempt *attempt); /* the transfer is told once whoever calls has returned */
const char *fa_attempt_url(const attempt *attempt, char out[URL_SIZE]);

/* What curl's callbacks do, for stand_in.c. The bytes taken, or what curl would be told. */
size_t fa_attempt_head_line(attempt *attempt, char *line, size_t length);
size_t fa_attempt_bytes(attempt *attempt, const char *bytes, size_t length);
void fa_attempt_connected(attempt *attempt);

/* ---- stand_in.c ---- */
fa_result fa_stand_in_begin(attempt *attempt);
void fa_stand_in_news(fa_stand_in_flight *flight);
void fa_stand_in_resume(fa_stand_in_flight *flight);
int fa_stand_in_status(const fa_stand_in_flight *flight);
void fa_stand_in_end(attempt *attempt); /* harmless when it has none */

/* ---- attempt_request.c ---- */
bool fa_attempt_set_request(attempt *attempt); /* method, body, headers, certificates; false: no memory */
void fa_attempt_touch(attempt *attempt);       /* something has moved */

#define SET(option, value) good = good && curl_easy_setopt(a->easy, CURLOPT_##option, value) == CURLE_OK

/* ---- transfer.c: what an attempt tells ---- */
fa_result fa_transfer_set_up(fa_transfer *transfer); /* hooks and timers */
void fa_transfer_queue(fa_transfer *transfer);
void fa_transfer_begin(fa_transfer *transfer);
void fa_transfer_arm(fa_transfer *transfer);                     /* the deadline, for what is waited for by now */
void fa_transfer_let_go(fa_transfer *transfer);                  /* of everything but the answer: it is done */
void fa_transfer_cancel(fa_transfer *transfer);                  /* the upstreams close */
fate fa_transfer_judge(fa_transfer *transfer, attempt *attempt); /* inside of curl */
void fa_transfer_sent(attempt *attempt);                         /* inside of curl: another deadline holds */
void fa_transfer_news(fa_transfer *transfer, attempt *attempt);
void fa_transfer_landed(fa_transfer *transfer, attempt *attempt, CURLcode code);

/* ---- retry.c ---- */
fa_failure_kind fa_failure_of(const attempt *attempt, CURLcode code, const char **which);
bool fa_status_is_retryable(int status);
void fa_failure_say(fa_transfer *transfer, fa_failure_kind kind, const char *which, const char *detail);
bool fa_failure_retryable(fa_failure_kind kind, const char *which, int status);
/* Whether it may be repeated now; a token is taken when it is. sent: the service may have begun to work on it. */
bool fa_transfer_may_repeat(fa_transfer *transfer, bool sent);
base *fa_transfer_choose(fa_transfer *transfer); /* entered; NULL: all are left alone */
/* Whether an address is left that is well and has not been asked. What never left may go there for nothing: it is no repetition. */
bool fa_transfer_may_move(const fa_transfer *transfer);
void fa_base_judge(attempt *attempt, fa_failure_kind kind, uint64_t now_ms);
int64_t fa_retry_after(const attempt *attempt, uint64_t wall_ms); /* seconds, -1 */

#endif
