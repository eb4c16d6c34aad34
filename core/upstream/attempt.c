/* One easy handle's worth of a transfer: what libcurl is told, and what it tells. The callbacks only note things, and stop or pause libcurl;
 * what is to be done is done in transfer.c once libcurl has returned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

/* ---- what comes ---- */

static size_t stop(attempt *a, fa_failure_kind kind)
{
    a->failed = kind;
    return 0; /* not what was given: libcurl ends the transfer */
}

static void take_length(attempt *a)
{
    curl_off_t length = -1;
    fa_text declared;
    if (a->stand_in != NULL && fa_head_find(a->head, "content-length", &declared))
        length = strtoll(declared.data, NULL, 10);
    else if (a->stand_in == NULL)
        curl_easy_getinfo(a->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    a->length = strcmp(a->transfer->method, "HEAD") == 0 ? 0 : (int64_t)length;
}

/* The blank line. */
static size_t end_head(attempt *a, size_t given)
{
    long status = 0;
    if (a->stand_in != NULL)
        status = fa_stand_in_status(a->stand_in);
    else
        curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 100 || status == 101 || status > 599) { /* 101: nobody has asked for another protocol */
        a->detail = "a status that is none";
        return stop(a, FA_FAILED_PROTOCOL);
    }
    if (status < 200) /* a provisional one; the head that counts follows */
        return given;
    a->status = (int)status;
    if (!fa_head_lengths_agree(a->head))
        return stop(a, FA_FAILED_PROTOCOL);
    a->head_done = true;
    take_length(a);
    a->fate = fa_transfer_judge(a->transfer, a);
    const fa_transfer *t = a->transfer;
    if (a->fate == FATE_ACCEPT && t->mode == FA_TRANSFER_WHOLE && a->length > 0 &&
        (uint64_t)a->length > t->max_response)
        return stop(a, FA_FAILED_TOO_LARGE);
    return given;
}

/* Nothing but CR LF, or LF, is taken off its end: what is left of CRs is for fa_head_note to refuse. */
static size_t line_length(const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        --length;
    return length > 0 && line[length - 1] == '\r' ? length - 1 : length;
}

static size_t note_line(attempt *a, const char *line, size_t length, size_t given)
{
    if (fa_buffer_length(a->head) + length > a->transfer->settled->options.max_head)
        return stop(a, FA_FAILED_TOO_LARGE);
    fa_result result = fa_head_note(a->head, &a->line_at, line, length);
    if (result == FA_INVALID)
        a->detail = "a malformed header";
    return result == FA_OK ? given : stop(a, result == FA_INVALID ? FA_FAILED_PROTOCOL : FA_FAILED_MEMORY);
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    attempt *a = context;
    size_t given = size * count, length = line_length(line, given);
    fa_pool_count(a->flight.pool, given);
    fa_attempt_touch(a);
    if (!a->answered) {
        a->answered = true;
        fa_transfer_sent(a); /* the next piece may be due sooner than the first byte was */
    }
    if (a->head_done) /* a trailer */
        return given;
    if (length == 0)
        return end_head(a, given);
    if (length > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new head: what a provisional one said does not count */
        if (a->head != NULL)
            fa_buffer_release(a->head);
        a->head = NULL;
        a->line_at = 0;
        return fa_buffer_new(a->transfer->scope, 512, "head", FA_HERE, &a->head) == FA_OK ? given
                                                                                          : stop(a, FA_FAILED_MEMORY);
    }
    return a->head != NULL ? note_line(a, line, length, given) : stop(a, FA_FAILED_PROTOCOL);
}

static fa_result append(fa_transfer *t, const attempt *a, const char *bytes, size_t length)
{
    enum { AT_FIRST = 1024 * 1024 };
    if (t->answer == NULL) {
        size_t room = a->length > 0 ? (size_t)a->length : length;
        room = t->mode == FA_TRANSFER_STREAM || room > AT_FIRST ? length : room;
        fa_result result = fa_buffer_new(t->scope, room, "answer", t->made_at, &t->answer);
        if (result != FA_OK)
            return result;
    }
    return fa_buffer_append(t->answer, bytes, length);
}

static fa_result append_stream(fa_transfer *t, const attempt *a, const char *bytes, size_t length)
{
    if (t->reader.format != FA_STREAM_RAW)
        return fa_reader_write(&t->reader, bytes, length);
    if (t->answer != NULL && fa_buffer_length(t->answer) + length > t->settled->options.window)
        return FA_FULL;
    return append(t, a, bytes, length);
}

static size_t pause_it(attempt *a)
{
    a->paused = true;
    return CURL_WRITEFUNC_PAUSE;
}

static size_t take_accepted(attempt *a, const char *bytes, size_t length)
{
    fa_transfer *t = a->transfer;
    fa_result result = FA_OK;
    if (t->mode == FA_TRANSFER_STREAM) {
        result = append_stream(t, a, bytes, length);
        if (result == FA_OK) {
            t->data_pending = true;
            fa_attempt_news(a);
        }
    } else if (a->received + length > t->max_response) {
        return stop(a, FA_FAILED_TOO_LARGE);
    } else {
        result = append(t, a, bytes, length);
    }
    if (result == FA_FULL)
        return pause_it(a);
    if (result == FA_OVER_BUDGET)
        a->detail = "no room in the budget of who asks, or in another one above it";
    return result == FA_OK ? length : stop(a, FA_FAILED_MEMORY);
}

/* Of an answer that is an error: as much as is told of it. */
static size_t take_excerpt(attempt *a, const char *bytes, size_t length)
{
    fa_transfer *t = a->transfer;
    if (t->excerpt == NULL && fa_buffer_new(t->scope, length < FA_EXCERPT_SIZE ? length : FA_EXCERPT_SIZE, "excerpt",
                                            t->made_at, &t->excerpt) != FA_OK)
        return length; /* then there is none */
    size_t room = FA_EXCERPT_SIZE - fa_buffer_length(t->excerpt);
    fa_buffer_append(t->excerpt, bytes, length < room ? length : room);
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    attempt *a = context;
    size_t length = size * count, taken = length;
    if (a->transfer->upstream->all->paused)
        return pause_it(a);
    if (a->fate == FATE_ACCEPT)
        taken = take_accepted(a, bytes, length);
    else if (a->fate == FATE_REFUSE)
        taken = take_excerpt(a, bytes, length);
    if (taken != length)
        return taken;
    fa_pool_count(a->flight.pool, length);
    fa_attempt_touch(a);
    a->received += length;
    if (a->fate != FATE_ACCEPT && a->received > MAX_DISCARDED)
        return 0; /* its head has said enough */
    return length;
}

/* There is a connection, and the request goes out next. When a kept connection breaks before a byte of the answer has come, libcurl comes
 * here once more, with a new one. Nobody knows whether the service has begun to work on the request by then. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the library's type */
static int on_connected(void *context, char *remote, char *local, int remote_port, int local_port)
{
    attempt *a = context;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    if (a->sent && !a->transfer->idempotent) {
        a->failed = FA_FAILED_CUT;
        return CURL_PREREQFUNC_ABORT;
    }
    a->sent = true;
    fa_attempt_touch(a);
    fa_transfer_sent(a);
    return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    attempt *a = context;
    (void)purpose;
    if (a->guard != NULL && !fa_guard_allows(a->guard, &address->addr)) {
        a->guarded = true;
        return CURL_SOCKET_BAD;
    }
    return fa_pool_open_socket(a->flight.pool, address);
}

/* ---- the same for a stand-in ---- */

size_t fa_attempt_head_line(attempt *a, char *line, size_t length)
{
    return on_header(line, 1, length, a);
}

size_t fa_attempt_bytes(attempt *a, const char *bytes, size_t length)
{
    return on_body((char *)bytes, 1, length, a);
}

void fa_attempt_connected(attempt *a)
{
    on_connected(a, NULL, NULL, 0, 0);
}

void fa_attempt_news(attempt *a)
{
    if (a->stand_in != NULL)
        fa_stand_in_news(a->stand_in);
    else
        fa_pool_news(&a->flight);
}

/* ---- what libcurl is told ---- */

static long seconds(uint64_t ms)
{
    return (long)((ms + 999) / 1000);
}

static bool set_connection(attempt *a, const fa_upstream_options *o)
{
    bool good = true, fresh = !o->keepalive || (!o->reuse_unsafe && !a->transfer->idempotent);
    SET(PROTOCOLS_STR, "http,https");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(PROXY, o->proxy != NULL && a->guard == NULL ? o->proxy : ""); /* "": not the environment's either */
    SET(NOPROXY, "");
    SET(SUPPRESS_CONNECT_HEADERS, 1L); /* what a proxy says is no head of an answer */
    SET(CONNECTTIMEOUT_MS, (long)o->connect_ms);
    SET(MAXAGE_CONN, seconds(o->connection_max_idle_ms));
    SET(MAXLIFETIME_CONN, seconds(o->connection_max_age_ms));
    SET(FORBID_REUSE, o->keepalive ? 0L : 1L);
    SET(FRESH_CONNECT, fresh ? 1L : 0L);
    SET(USERAGENT, o->user_agent);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* a name that is being looked up is left to its thread, not waited for */
    SET(OPENSOCKETFUNCTION, on_open);
    SET(OPENSOCKETDATA, a);
    SET(PREREQFUNCTION, on_connected);
    SET(PREREQDATA, a);
    return good;
}

static bool set_up(attempt *a, const char *url)
{
    bool good = true;
    SET(URL, url);
    SET(ERRORBUFFER, a->error);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, a);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, a);
    return good && set_connection(a, &a->via->settled->options) && fa_attempt_set_request(a);
}

/* ---- beginning and end ---- */

static const char *write_url(const fa_transfer *t, const base *b, char *out)
{
    if (t->location != NULL)
        return t->location;
    if (b == NULL)
        return t->target;
    snprintf(out, URL_SIZE, "%s%s", b->url, t->target); /* whether it fits was seen at the start */
    return out;
}

const char *fa_attempt_url(const attempt *a, char out[URL_SIZE])
{
    const base *b = a->base != NULL ? a->base : a->transfer->last_base; /* it has been judged, and was let go of */
    return write_url(a->transfer, b, out);
}

/* The connection is a pool's, or there is none because somebody else answers. */
static fa_result fly(attempt *a)
{
    fa_pool *pool;
    if (a->via->stand_in != NULL)
        return fa_stand_in_begin(a);
    fa_result result = fa_upstream_pool(a->via, &pool);
    return result == FA_OK ? fa_pool_add(pool, &a->flight, a->easy) : result;
}

static void on_news(fa_flight *flight)
{
    attempt *a = FA_OBJECT(flight, attempt, flight);
    fa_transfer_news(a->transfer, a);
}

static void on_landed(fa_flight *flight, CURLcode code)
{
    attempt *a = FA_OBJECT(flight, attempt, flight);
    fa_transfer_landed(a->transfer, a, code);
}

fa_result fa_attempt_start(fa_transfer *t, base *b, bool hedge)
{
    char url[URL_SIZE];
    fa_upstream *via = t->foreign ? t->upstream->all->fetch : t->upstream;
    attempt **slot = &t->attempts[t->attempts[0] != NULL];
    attempt *a = fa_scope_allocate(t->scope, sizeof(*a));
    if (a == NULL)
        return FA_NO_MEMORY;
    a->transfer = t;
    a->via = via;
    a->base = b;
    a->hedge = hedge;
    a->length = -1;
    a->guard = via == t->upstream->all->fetch || via->settled->options.guard ? &via->settled->guard : NULL;
    a->flight.news = on_news;
    a->flight.landed = on_landed;
    a->last_ms = fa_worker_now(via->all->worker);
    fa_list_init(&a->flight.in_pool);
    fa_list_init(&a->flight.with_news);
    a->easy = fa_easy_take(via->all);
    *slot = a;
    fa_result result = a->easy != NULL && set_up(a, write_url(t, b, url)) ? fly(a) : FA_NO_MEMORY;
    if (result != FA_OK) {
        fa_attempt_drop(a);
        return result;
    }
    t->attempt_count++;
    return FA_OK;
}

void fa_attempt_drop(attempt *a)
{
    fa_transfer *t = a->transfer;
    fa_upstream *via = a->via;
    t->attempts[t->attempts[0] != a] = NULL;
    if (t->attempts[0] == NULL) {
        t->attempts[0] = t->attempts[1];
        t->attempts[1] = NULL;
    }
    if (t->accepted == a)
        t->accepted = NULL;
    fa_pool_remove(&a->flight);
    fa_stand_in_end(a);
    if (a->easy != NULL)
        fa_easy_give(via->all, a->easy);
    curl_mime_free(a->mime);
    curl_slist_free_all(a->headers);
    if (a->head != NULL)
        fa_buffer_release(a->head);
    if (a->base != NULL)
        fa_shared_breaker_forget(a->base->breaker);
    fa_scope_free(t->scope, a);
    fa_upstream_landed(via);
}

void fa_attempt_resume(attempt *a)
{
    if (!a->paused)
        return;
    a->paused = false;
    fa_attempt_touch(a);
    if (a->stand_in != NULL)
        fa_stand_in_resume(a->stand_in);
    else
        fa_pool_resume(&a->flight);
}
