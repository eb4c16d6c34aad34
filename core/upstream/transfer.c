/* The life of a transfer: it waits for a place, flies once or more often, perhaps behind redirects, and is done.
 *
 * Deadlines are one timer, set for the nearest. The total covers everything; the first byte is awaited from when the request goes out, and
 * the next piece from the last one, but not while reading is paused. The connection has libcurl's own.
 *
 * Whoever is told of something may end the transfer: nothing of it is touched after that. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

static uint64_t now_of(const fa_transfer *t)
{
    return fa_worker_now(t->upstream->all->worker);
}

/* ---- the end ---- */

static void drop_attempts(fa_transfer *t)
{
    while (t->attempts[0] != NULL)
        fa_attempt_drop(t->attempts[0]);
}

static void return_request(fa_transfer *t)
{
    if (t->body != NULL)
        fa_buffer_return(t->body);
    t->body = NULL;
    for (size_t i = 0; i < t->part_count; ++i)
        fa_buffer_return(t->parts[i].body);
    t->part_count = 0;
}

/* Everything but what the answer is made of. */
void fa_transfer_let_go(fa_transfer *t)
{
    if (t->state == TRANSFER_DONE)
        return;
    if (t->state == TRANSFER_WAITS)
        t->upstream->waiting--;
    else
        t->upstream->running--;
    t->state = TRANSFER_DONE;
    drop_attempts(t);
    fa_list_remove(&t->link);
    fa_turnstile_leave(&t->pass);
    fa_timer_stop(&t->deadline);
    fa_timer_stop(&t->delay);
    fa_timer_stop(&t->hedge);
    fa_worker_withdraw(t->upstream->all->worker, &t->tell);
    return_request(t);
    fa_settled_unref(t->settled);
    t->settled = NULL;
}

static void on_scope_end(fa_scope_hook *hook)
{
    fa_transfer *t = FA_OBJECT(hook, fa_transfer, at_end);
    fa_transfer_let_go(t);
    fa_reader_free(&t->reader);
}

static void finish(fa_transfer *t)
{
    if (t->failure.kind != FA_FAILED_NOT)
        t->upstream->failed++;
    if (t->excerpt != NULL)
        fa_settled_hide(t->settled, t->excerpt);
    fa_transfer_let_go(t);
    if (t->answer != NULL && t->mode == FA_TRANSFER_WHOLE)
        fa_buffer_seal(t->answer);
    if (t->excerpt != NULL)
        fa_buffer_seal(t->excerpt);
    fa_reader_end(&t->reader, t->failure.kind == FA_FAILED_NOT);
    t->user->done(t, t->context);
}

static void fail(fa_transfer *t, fa_failure_kind kind, const char *which, const char *detail)
{
    if (t->mode == FA_TRANSFER_WHOLE && t->answer != NULL) {
        fa_buffer_release(t->answer); /* half of one is none */
        t->answer = NULL;
    }
    fa_failure_say(t, kind, which, detail);
    finish(t);
}

static void on_tell(fa_message *message)
{
    fa_transfer *t = FA_OBJECT(message, fa_transfer, tell);
    if (t->state == TRANSFER_FAILS)
        finish(t);
    else
        fa_transfer_begin(t);
}

void fa_transfer_cancel(fa_transfer *t)
{
    fail(t, FA_FAILED_CANCELLED, NULL, NULL);
}

/* ---- deadlines ---- */

/* What this attempt waits for, and until when; 0: nothing that we look after. */
static uint64_t attempt_due(const fa_transfer *t, const attempt *a, const char **which)
{
    if (!a->sent || a->paused || t->upstream->all->paused)
        return 0;
    *which = a->answered ? "idle" : "first_byte";
    return a->last_ms + (a->answered ? t->idle_ms : t->first_byte_ms);
}

void fa_transfer_arm(fa_transfer *t)
{
    const char *which;
    uint64_t due = t->total_at_ms, now = now_of(t);
    for (int i = 0; i < MOST_ATTEMPTS; ++i) {
        uint64_t mine = t->attempts[i] != NULL ? attempt_due(t, t->attempts[i], &which) : 0;
        if (mine != 0 && mine < due)
            due = mine;
    }
    if (t->armed_for_ms != 0 && t->armed_for_ms <= due)
        return; /* it looks again then */
    t->armed_for_ms = due;
    fa_timer_start(&t->deadline, due > now ? due - now : 0); /* its memory is there since the start */
}

static void attempt_failed(fa_transfer *t, attempt *a, fa_failure_kind kind, const char *which, const char *detail);

static void on_deadline(fa_timer *timer)
{
    const char *which = NULL;
    fa_transfer *t = FA_OBJECT(timer, fa_transfer, deadline);
    uint64_t now = now_of(t);
    t->armed_for_ms = 0;
    if (now >= t->total_at_ms) {
        fail(t, FA_FAILED_TIMEOUT, "total", NULL);
        return;
    }
    for (int i = 0; i < MOST_ATTEMPTS; ++i) {
        uint64_t due = t->attempts[i] != NULL ? attempt_due(t, t->attempts[i], &which) : 0;
        if (due != 0 && now >= due) {
            attempt_failed(t, t->attempts[i], FA_FAILED_TIMEOUT, which, NULL);
            return;
        }
    }
    fa_transfer_arm(t);
}

void fa_transfer_sent(attempt *a)
{
    fa_transfer_arm(a->transfer);
}

/* ---- flying ---- */

static void on_delay(fa_timer *timer)
{
    fa_transfer_begin(FA_OBJECT(timer, fa_transfer, delay));
}

/* Waits, and flies again. */
static void rest(fa_transfer *t, uint64_t ms)
{
    t->state = TRANSFER_RESTS;
    if (fa_timer_start(&t->delay, ms) != FA_OK)
        fail(t, FA_FAILED_MEMORY, NULL, NULL);
}

static uint64_t next_backoff(fa_transfer *t)
{
    uint32_t chance = 0;
    const fa_upstream_options *o = &t->settled->options;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
        chance = (uint32_t)(now_of(t) * 2654435761U);
    return fa_backoff(o->retry_base_ms, o->retry_cap_ms, t->backoffs++, chance);
}

static void on_hedge(fa_timer *timer)
{
    fa_transfer *t = FA_OBJECT(timer, fa_transfer, hedge);
    if (t->state != TRANSFER_FLIES || t->attempts[0] == NULL || t->attempts[1] != NULL || t->attempts[0]->answered)
        return;
    if (!fa_transfer_may_repeat(t, true))
        return;
    base *b = fa_transfer_choose(t);
    if (b != NULL)
        fa_attempt_start(t, b, true); /* when it cannot be, the first one flies on alone */
}

void fa_transfer_begin(fa_transfer *t)
{
    base *b = NULL;
    t->state = TRANSFER_FLIES;
    if (t->location == NULL && t->settled->base_count > 0) {
        b = fa_transfer_choose(t);
        if (b == NULL) {
            fail(t, FA_FAILED_BREAKER, NULL, NULL);
            return;
        }
    }
    if (t->upstream->all->closing) {
        fail(t, FA_FAILED_CANCELLED, NULL, NULL);
        return;
    }
    t->last_base = b;
    if (fa_attempt_start(t, b, false) != FA_OK) {
        fail(t, FA_FAILED_MEMORY, NULL, NULL);
        return;
    }
    if (t->settled->options.hedge_ms != 0 && t->idempotent && b != NULL && t->mode == FA_TRANSFER_WHOLE)
        fa_timer_start(&t->hedge, t->settled->options.hedge_ms);
}

/* A place has been had: from the loop. */
static void on_admitted(fa_turnstile_pass *pass, fa_result result)
{
    fa_transfer *t = FA_OBJECT(pass, fa_transfer, pass);
    if (result != FA_OK) {
        fail(t, FA_FAILED_BUSY, NULL, "waited too long for a place");
        return;
    }
    t->upstream->waiting--;
    t->upstream->running++;
    fa_transfer_begin(t);
}

/* ---- what comes back ---- */

/* Whether there is time to wait so long and then some. */
static bool has_time(const fa_transfer *t, uint64_t ms)
{
    return now_of(t) + ms < t->total_at_ms;
}

static bool is_redirect(const fa_transfer *t, const attempt *a)
{
    fa_text location;
    bool status = a->status == 301 || a->status == 302 || a->status == 303 || a->status == 307 || a->status == 308;
    return status && t->settled->options.redirects > 0 && fa_head_find(a->head, "location", &location);
}

/* A Retry-After is waited for when it is not too long; else the answer is what the service said. */
static bool may_repeat_status(fa_transfer *t, const attempt *a)
{
    int64_t after = fa_retry_after(a, fa_worker_wall(t->upstream->all->worker));
    uint64_t wait = after > 0 ? (uint64_t)after * 1000 : 0;
    t->retry_after = after;
    if (!fa_status_is_retryable(a->status) || wait > t->settled->options.retry_after_ms || !has_time(t, wait))
        return false;
    return fa_transfer_may_repeat(t, true);
}

fate fa_transfer_judge(fa_transfer *t, attempt *a)
{
    if (t->accepted != NULL)
        return FATE_REPEAT; /* the other one was faster */
    if (is_redirect(t, a))
        return FATE_FOLLOW;
    if (may_repeat_status(t, a))
        return FATE_REPEAT;
    t->status = a->status;
    t->length = a->length;
    if (t->head != NULL)
        fa_buffer_release(t->head);
    t->head = a->head;
    a->head = NULL;
    t->accepted = a;
    if (t->expect_success && (a->status < 200 || a->status > 299))
        return FATE_REFUSE;
    t->head_pending = t->mode == FA_TRANSFER_STREAM;
    fa_attempt_news(a);
    return FATE_ACCEPT;
}

void fa_transfer_news(fa_transfer *t, attempt *a)
{
    for (int i = MOST_ATTEMPTS - 1; i >= 0 && t->accepted == a; --i) {
        if (t->attempts[i] != NULL && t->attempts[i] != a)
            fa_attempt_drop(t->attempts[i]); /* it was slower */
    }
    bool head = t->head_pending, data = t->data_pending;
    t->head_pending = false;
    if (head && data)
        fa_attempt_news(a); /* comes back for the data */
    else
        t->data_pending = false;
    if (head && t->user->head != NULL)
        t->user->head(t, t->context);
    else if (!head && data && t->user->data != NULL)
        t->user->data(t, t->context);
}

/* The attempt is gone after it. */
static void attempt_failed(fa_transfer *t, attempt *a, fa_failure_kind kind, const char *which, const char *detail)
{
    char kept[CURL_ERROR_SIZE];
    bool sent = a->sent, given = t->accepted == a && t->mode == FA_TRANSFER_STREAM, was_accepted = t->accepted == a;
    bool connecting = kind == FA_FAILED_REFUSED || kind == FA_FAILED_DNS || (kind == FA_FAILED_TIMEOUT && !sent);
    bool transient = connecting || kind == FA_FAILED_CUT || kind == FA_FAILED_TIMEOUT;
    snprintf(kept, sizeof(kept), "%s", detail != NULL ? detail : "");
    fa_base_judge(a, kind, now_of(t));
    fa_attempt_drop(a);
    if (t->attempts[0] != NULL && !was_accepted)
        return; /* its twin flies on */
    bool moves = connecting && fa_transfer_may_move(t);
    if (!given && transient && has_time(t, 0) && (moves || fa_transfer_may_repeat(t, !connecting))) {
        if (t->answer != NULL)
            fa_buffer_release(t->answer);
        t->answer = NULL;
        t->status = 0;
        t->upstream->moves += moves;
        rest(t, fa_transfer_may_move(t) ? 0 : next_backoff(t));
        return;
    }
    fail(t, kind, which, kept);
}

static void follow(fa_transfer *t, attempt *a)
{
    fa_text location;
    char from[URL_SIZE], origin[ORIGIN_SIZE], was[ORIGIN_SIZE];
    unsigned port = 0;
    int status = a->status;
    char written[URL_SIZE], *url = NULL;
    if (a->flight.easy != NULL)
        curl_easy_getinfo(a->easy, CURLINFO_EFFECTIVE_URL, &url);
    snprintf(from, sizeof(from), "%s", url != NULL ? url : fa_attempt_url(a, written));
    const char *to = fa_head_find(a->head, "location", &location) ? fa_url_follow(t->scope, from, location) : NULL;
    fa_attempt_drop(a);
    if (t->redirects_left == 0) {
        fail(t, FA_FAILED_REDIRECT, NULL, "too many of them");
        return;
    }
    if (to == NULL || !fa_url_origin(to, origin, &port) || !fa_url_origin(from, was, NULL) ||
        fa_url_downgrades(from, to)) {
        fail(t, FA_FAILED_REDIRECT, NULL, to == NULL ? "it leads nowhere" : "it leads from https to http");
        return;
    }
    t->redirects_left--;
    t->foreign = t->foreign || strcmp(origin, was) != 0;
    if (t->foreign && !fa_guard_allows_port(&t->upstream->all->fetch->settled->guard, port)) {
        fail(t, FA_FAILED_GUARD, NULL, "the port");
        return;
    }
    t->location = to;
    bool becomes_get = status == 303 || ((status == 301 || status == 302) && strcmp(t->method, "POST") == 0);
    if (becomes_get && strcmp(t->method, "HEAD") != 0) {
        t->method = "GET";
        return_request(t);
    }
    fa_transfer_begin(t);
}

/* An answer that is to be asked for again. */
static void repeat(fa_transfer *t, attempt *a)
{
    int64_t after = t->retry_after;
    fa_attempt_drop(a);
    if (t->attempts[0] != NULL || t->accepted != NULL)
        return; /* its twin flies on */
    uint64_t wait = after >= 0 ? (uint64_t)after * 1000 : 0, backoff = next_backoff(t);
    rest(t, wait > backoff ? wait : backoff);
}

void fa_transfer_landed(fa_transfer *t, attempt *a, CURLcode code)
{
    const char *which;
    fa_failure_kind kind = fa_failure_of(a, code, &which);
    if (kind == FA_FAILED_NOT && !a->head_done)
        kind = FA_FAILED_PROTOCOL;
    bool enough = a->fate == FATE_FOLLOW || a->fate == FATE_REPEAT || a->fate == FATE_REFUSE;
    if (kind != FA_FAILED_NOT && !enough) {
        attempt_failed(t, a, kind, which, a->failed != FA_FAILED_NOT || a->guarded ? a->detail : a->error);
        return;
    }
    fa_base_judge(a, FA_FAILED_NOT, now_of(t));
    if (a->fate == FATE_FOLLOW)
        follow(t, a);
    else if (a->fate == FATE_REPEAT)
        repeat(t, a);
    else if (a->fate == FATE_REFUSE)
        fail(t, FA_FAILED_STATUS, NULL, NULL);
    else
        finish(t);
}

/* ---- the beginning ---- */

fa_result fa_transfer_set_up(fa_transfer *t)
{
    fa_worker *worker = t->upstream->all->worker;
    fa_message_init(&t->tell, on_tell);
    fa_scope_hook_add(t->scope, &t->at_end, on_scope_end);
    fa_timer_init(&t->deadline, worker, t->scope, on_deadline);
    fa_timer_init(&t->delay, worker, t->scope, on_delay);
    fa_timer_init(&t->hedge, worker, t->scope, on_hedge);
    return fa_timer_start(&t->deadline, t->total_at_ms - now_of(t));
}

/* In line for a place. From here on what goes wrong is told from the loop. */
void fa_transfer_queue(fa_transfer *t)
{
    fa_upstream *u = t->upstream;
    t->armed_for_ms = t->total_at_ms;
    fa_list_append(&u->all->transfers, &t->link);
    u->requests++;
    fa_shared_bucket_request(u->bucket);
    fa_result result = u->all->closing
                           ? FA_CANCELLED
                           : fa_turnstile_enter(u->turnstile, &t->pass, u->all->worker, t->scope, on_admitted);
    if (result == FA_CONFLICT) {
        t->state = TRANSFER_WAITS;
        u->waiting++;
        return;
    }
    u->running++;
    t->state = TRANSFER_FAILS;
    if (result == FA_FULL)
        fa_failure_say(t, FA_FAILED_BUSY, NULL, "too many wait for a place");
    else if (result == FA_CANCELLED)
        fa_failure_say(t, FA_FAILED_CANCELLED, NULL, NULL);
    else if (result != FA_OK)
        fa_failure_say(t, FA_FAILED_MEMORY, NULL, NULL);
    else
        t->state = TRANSFER_FLIES;
    fa_worker_post(u->all->worker, &t->tell); /* also to begin: nobody is told from inside of the start */
}
