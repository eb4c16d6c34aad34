/* What went wrong, whether the same may be tried again, and where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/internal.h"

const char *fa_failure_name(fa_failure_kind kind)
{
    static const char *const names[] = {"none",    "refused",   "dns",      "tls",      "proxy",    "timeout",
                                        "cut",     "too_large", "protocol", "status",   "redirect", "busy",
                                        "breaker", "guard",     "memory",   "cancelled"};
    return names[kind];
}

/* What a proxy answered to CONNECT; 0: nothing, or it let us through. */
static long proxy_refusal(const attempt *a)
{
    long status = 0;
    curl_easy_getinfo(a->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return a->sent || status / 100 == 2 ? 0 : status;
}

/* With TLS 1.3 a service refuses us, as for want of a certificate, after its part of the handshake: libcurl calls that a failed read. */
static bool is_alert(const attempt *a)
{
    return strstr(a->error, "SSL routines") != NULL && strstr(a->error, " alert ") != NULL;
}

/* What should have been the length of the next chunk is none: a failed read to libcurl as well. */
static bool is_no_chunk(const attempt *a)
{
    return strstr(a->error, "chunked-encoding") != NULL;
}

fa_failure_kind fa_failure_of(const attempt *a, CURLcode code, const char **which)
{
    *which = NULL;
    if (a->failed != FA_FAILED_NOT)
        return a->failed;
    long refusal = code != CURLE_OK ? proxy_refusal(a) : 0;
    if (refusal != 0)
        return refusal >= 500 ? FA_FAILED_REFUSED : FA_FAILED_PROXY; /* from 500 on it tried, and found nobody */
    switch (code) {
    case CURLE_OK:
        return FA_FAILED_NOT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return FA_FAILED_DNS;
    case CURLE_COULDNT_CONNECT:
        return a->guarded ? FA_FAILED_GUARD : FA_FAILED_REFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        *which = "connect"; /* the other deadlines are ours */
        return FA_FAILED_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return FA_FAILED_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
        return FA_FAILED_TLS;
    case CURLE_PROXY: /* of a SOCKS proxy; an HTTP one has said a status */
        return FA_FAILED_PROXY;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return is_alert(a) ? FA_FAILED_TLS : is_no_chunk(a) ? FA_FAILED_PROTOCOL : FA_FAILED_CUT;
    case CURLE_WRITE_ERROR: /* we had it stop, and knew enough by then */
        return FA_FAILED_NOT;
    default:
        return FA_FAILED_PROTOCOL;
    }
}

bool fa_status_is_retryable(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

bool fa_failure_retryable(fa_failure_kind kind, const char *which, int status)
{
    (void)which;
    switch (kind) {
    case FA_FAILED_STATUS:
        return fa_status_is_retryable(status);
    case FA_FAILED_REFUSED:
    case FA_FAILED_DNS:
    case FA_FAILED_TIMEOUT:
    case FA_FAILED_CUT:
    case FA_FAILED_BUSY:
    case FA_FAILED_BREAKER:
    case FA_FAILED_MEMORY:
        return true;
    default:
        return false;
    }
}

void fa_failure_say(fa_transfer *t, fa_failure_kind kind, const char *which, const char *detail)
{
    static const char *const sentences[] = {"",
                                            "no connection",
                                            "the name has no address",
                                            "no secure connection",
                                            "the proxy does not let it through",
                                            "too slow",
                                            "the answer was cut",
                                            "the answer is too large",
                                            "the answer is no proper HTTP",
                                            "the answer is an error",
                                            "the redirect cannot be followed",
                                            "too much to do",
                                            "left alone, because it failed too often just now",
                                            "this address may not be asked",
                                            "no memory",
                                            "cancelled"};
    fa_failure *f = &t->failure;
    f->kind = kind;
    f->which = which;
    f->retryable = fa_failure_retryable(kind, which, t->status);
    int used =
        snprintf(f->message, sizeof(f->message), "upstream %s: %s", fa_upstream_name(t->upstream), sentences[kind]);
    if (kind == FA_FAILED_STATUS)
        snprintf(f->message + used, sizeof(f->message) - (size_t)used, ": status %d", t->status);
    else if (which != NULL)
        snprintf(f->message + used, sizeof(f->message) - (size_t)used, ": %s", which);
    else if (detail != NULL && *detail != '\0')
        snprintf(f->message + used, sizeof(f->message) - (size_t)used, ": %s", detail);
}

bool fa_transfer_may_repeat(fa_transfer *t, bool sent)
{
    if (t->retries_left == 0 || (sent && !t->idempotent) || !fa_shared_bucket_take(t->upstream->bucket))
        return false;
    t->retries_left--;
    t->upstream->retries++;
    return true;
}

static unsigned bit_of(const fa_transfer *t, const base *b)
{
    return b != NULL ? 1u << (unsigned)(b - t->settled->bases) : 0;
}

static base *first_well(fa_transfer *t, unsigned without)
{
    uint64_t now = fa_worker_now(t->upstream->all->worker);
    for (size_t i = 0; i < t->settled->base_count; ++i) {
        base *b = &t->settled->bases[i];
        if ((bit_of(t, b) & without) == 0 && fa_shared_breaker_enter(b->breaker, now))
            return b;
    }
    return NULL;
}

/* The first that is well and has not been asked yet; when all have been, rather not the one that has just failed. */
base *fa_transfer_choose(fa_transfer *t)
{
    base *b = first_well(t, t->asked);
    if (b == NULL)
        b = first_well(t, bit_of(t, t->last_base));
    if (b == NULL)
        b = first_well(t, 0);
    t->asked |= bit_of(t, b);
    return b;
}

bool fa_transfer_may_move(const fa_transfer *t)
{
    uint64_t now = fa_worker_now(t->upstream->all->worker);
    for (size_t i = 0; t->location == NULL && i < t->settled->base_count; ++i) {
        const base *b = &t->settled->bases[i];
        fa_breaker breaker = fa_shared_breaker_read(b->breaker);
        if ((bit_of(t, b) & t->asked) == 0 && !fa_breaker_open(&breaker, now))
            return true;
    }
    return false;
}

/* Statuses that say that the service is not well; 500 says it of one request only. */
static bool is_unwell(int status)
{
    return status == 502 || status == 503 || status == 504;
}

void fa_base_judge(attempt *a, fa_failure_kind kind, uint64_t now_ms)
{
    base *b = a->base;
    a->base = NULL;
    if (b == NULL)
        return;
    bool answered = kind == FA_FAILED_NOT || kind == FA_FAILED_TOO_LARGE || kind == FA_FAILED_STATUS;
    if (kind == FA_FAILED_MEMORY || kind == FA_FAILED_CANCELLED || kind == FA_FAILED_GUARD)
        fa_shared_breaker_forget(b->breaker);
    else if (answered && !is_unwell(a->status))
        fa_shared_breaker_success(b->breaker);
    else
        fa_shared_breaker_failure(b->breaker, now_ms);
}

/* ---- the head ---- */

/* Seconds, or a date. */
int64_t fa_retry_after(const attempt *a, uint64_t wall_ms)
{
    fa_text value;
    char copy[64];
    int64_t seconds = 0;
    if (!fa_head_find(a->head, "retry-after", &value) || value.length == 0 || value.length >= sizeof(copy))
        return -1;
    snprintf(copy, sizeof(copy), "%.*s", (int)value.length, value.data);
    if (strspn(copy, "0123456789") == value.length)
        return value.length > 9 ? 999999999 : strtoll(copy, NULL, 10);
    time_t date = curl_getdate(copy, NULL);
    if (date == (time_t)-1)
        return -1;
    seconds = (int64_t)date - (int64_t)(wall_ms / 1000);
    return seconds > 0 ? seconds : 0;
}
