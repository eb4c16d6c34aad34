/* It plays libcurl's part towards an attempt: the lines of a head, pieces of a body, the end, each from the loop, and news after that. */
#include "upstream/stand_in.h"

#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

enum { MOST_AT_ONCE = CURL_MAX_WRITE_SIZE };

typedef enum stage { STAGE_ASK, STAGE_HEAD, STAGE_BODY } stage;

/* In the upstream's scope: what is said in the place of a service is nothing that a transfer holds. */
struct fa_stand_in_flight {
    attempt *attempt;
    fa_scope *scope;
    fa_timer timer;
    fa_stand_in asked;
    void *context;
    stage stage;
    bool said, waited, news;
    bool playing, ended; /* ended while it was playing, by whom it has told: the memory goes when that is over */
    fa_stand_in_answer answer;
    void *memory; /* of what the answer points to */
    size_t at, offset;
};

/* ---- what is asked ---- */

static fa_text text_of(const char *text)
{
    return text != NULL ? (fa_text){text, strlen(text)} : FA_TEXT("");
}

static void describe(const attempt *a, const char *url, fa_stand_in_request *request)
{
    const fa_transfer *t = a->transfer;
    request->method = t->method;
    request->url = url;
    request->body = t->body;
    for (const struct curl_slist *line = a->headers; line != NULL; line = line->next) {
        size_t length = strlen(line->data);
        if (request->header_count < FA_STAND_IN_HEADERS && length > 0 && line->data[length - 1] != ':')
            request->headers[request->header_count++] = line->data;
    }
    for (size_t i = 0; i < t->part_count && i < FA_STAND_IN_PARTS; ++i) {
        const form_item *item = &t->parts[i];
        request->parts[request->part_count++] = (fa_form_item){.name = text_of(item->name),
                                                               .filename = text_of(item->filename),
                                                               .type = text_of(item->type),
                                                               .body = item->body,
                                                               .offset = item->offset,
                                                               .length = item->length};
    }
}

static char *copy(char *to, const char *from, size_t length)
{
    if (length > 0)
        memcpy(to, from, length);
    return to + length;
}

fa_result fa_stand_in_say(fa_stand_in_flight *s, const fa_stand_in_answer *answer)
{
    size_t head = answer->head != NULL ? strlen(answer->head) : 0;
    size_t size = answer->step_count * sizeof(fa_stand_in_step) + head + 1;
    for (size_t i = 0; i < answer->step_count; ++i)
        size += answer->steps[i].length;
    fa_stand_in_step *steps = s->said ? NULL : fa_scope_allocate(s->scope, size);
    if (steps == NULL)
        return s->said ? FA_WRONG_STATE : FA_NO_MEMORY;
    s->said = true;
    s->memory = steps;
    s->answer = *answer;
    s->answer.steps = steps;
    char *text = (char *)(steps + answer->step_count);
    s->answer.head = text;
    text = copy(text, answer->head, head);
    *text++ = '\0';
    for (size_t i = 0; i < answer->step_count; ++i) {
        steps[i] = answer->steps[i];
        steps[i].bytes = text;
        text = copy(text, answer->steps[i].bytes, steps[i].length);
    }
    return FA_OK;
}

/* ---- what comes ---- */

static void tell_news(fa_stand_in_flight *s)
{
    while (!s->ended && s->news) {
        s->news = false;
        s->attempt->flight.news(&s->attempt->flight);
    }
}

static void land(fa_stand_in_flight *s, CURLcode code)
{
    attempt *a = s->attempt;
    fa_stand_in_end(a); /* as curl: it is out of the pool when it is told */
    a->flight.landed(&a->flight, code);
}

static CURLcode code_of(fa_failure_kind failure)
{
    switch (failure) {
    case FA_FAILED_DNS:
        return CURLE_COULDNT_RESOLVE_HOST;
    case FA_FAILED_TLS:
        return CURLE_SSL_CONNECT_ERROR;
    case FA_FAILED_TIMEOUT:
        return CURLE_OPERATION_TIMEDOUT;
    default:
        return CURLE_COULDNT_CONNECT;
    }
}

/* False: it has landed. */
static bool ask(fa_stand_in_flight *s)
{
    char url[URL_SIZE];
    fa_stand_in_request request = {0};
    describe(s->attempt, fa_attempt_url(s->attempt, url), &request);
    s->asked(s->context, &request, s);
    if (s->said && s->answer.failure == FA_FAILED_NOT) {
        fa_attempt_connected(s->attempt);
        s->stage = STAGE_HEAD;
        return true;
    }
    land(s, s->said ? code_of(s->answer.failure) : CURLE_COULDNT_CONNECT);
    return false;
}

/* False: the attempt has had enough, and has landed. */
static bool give_head(fa_stand_in_flight *s)
{
    char line[2048];
    size_t taken = 1;
    int length = snprintf(line, sizeof(line), "HTTP/1.1 %d \r\n", s->answer.status);
    const char *at = s->answer.head;
    taken = fa_attempt_head_line(s->attempt, line, (size_t)length);
    while (taken != 0 && *at != '\0') {
        size_t given = strcspn(at, "\n");
        length = snprintf(line, sizeof(line), "%.*s\r\n", (int)(given < 2000 ? given : 2000), at);
        taken = fa_attempt_head_line(s->attempt, line, (size_t)length);
        at += given + (at[given] == '\n' ? 1 : 0);
    }
    if (taken != 0) {
        memcpy(line, "\r\n", 3);
        taken = fa_attempt_head_line(s->attempt, line, 2);
    }
    s->stage = STAGE_BODY;
    if (taken != 0)
        return true;
    land(s, CURLE_WRITE_ERROR);
    return false;
}

typedef enum outcome { GOES_ON, WAITS, LANDED } outcome;

/* A piece of the step that it is at. */
static outcome give_bytes(fa_stand_in_flight *s)
{
    const fa_stand_in_step *step = &s->answer.steps[s->at];
    size_t length = step->length - s->offset;
    length = length < MOST_AT_ONCE ? length : MOST_AT_ONCE;
    if (length > 0) {
        size_t taken = fa_attempt_bytes(s->attempt, step->bytes + s->offset, length);
        if (taken == CURL_WRITEFUNC_PAUSE)
            return WAITS; /* for fa_stand_in_resume */
        if (taken != length) {
            land(s, CURLE_WRITE_ERROR);
            return LANDED;
        }
        s->offset += length;
    }
    if (s->offset < step->length)
        return GOES_ON;
    if (step->cut) {
        land(s, CURLE_RECV_ERROR);
        return LANDED;
    }
    s->at++;
    s->offset = 0;
    s->waited = false;
    return GOES_ON;
}

/* Sees to it that the time has come for what is next. */
static bool must_wait(fa_stand_in_flight *s, uint64_t ms)
{
    if (s->waited)
        return false;
    s->waited = true;
    return ms > 0 && fa_timer_start(&s->timer, ms) == FA_OK;
}

static outcome step(fa_stand_in_flight *s)
{
    if (s->stage == STAGE_ASK)
        return ask(s) ? GOES_ON : LANDED;
    if (s->stage == STAGE_HEAD) {
        if (s->answer.silent || must_wait(s, s->answer.after_ms))
            return WAITS;
        s->waited = false;
        return give_head(s) ? GOES_ON : LANDED;
    }
    if (s->at < s->answer.step_count)
        return must_wait(s, s->answer.steps[s->at].after_ms) ? WAITS : give_bytes(s);
    land(s, CURLE_OK);
    return LANDED;
}

static void release(fa_stand_in_flight *s)
{
    fa_scope_free(s->scope, s->memory);
    fa_scope_free(s->scope, s);
}

static void on_time(fa_timer *timer)
{
    fa_stand_in_flight *s = FA_OBJECT(timer, fa_stand_in_flight, timer);
    outcome now = GOES_ON;
    s->playing = true;
    while (!s->ended && now == GOES_ON) {
        now = step(s);
        tell_news(s);
    }
    s->playing = false;
    if (s->ended)
        release(s);
}

/* ---- for attempt.c ---- */

fa_result fa_stand_in_begin(attempt *a)
{
    fa_upstream *via = a->via;
    fa_stand_in_flight *s = fa_scope_allocate(via->scope, sizeof(*s));
    if (s == NULL)
        return FA_NO_MEMORY;
    s->attempt = a;
    s->scope = via->scope;
    s->asked = via->stand_in;
    s->context = via->stand_in_context;
    a->stand_in = s;
    fa_timer_init(&s->timer, via->all->worker, via->scope, on_time);
    return fa_timer_start(&s->timer, 0);
}

void fa_stand_in_news(fa_stand_in_flight *s)
{
    s->news = true;
}

void fa_stand_in_resume(fa_stand_in_flight *s)
{
    fa_timer_start(&s->timer, 0); /* its memory is there */
}

int fa_stand_in_status(const fa_stand_in_flight *s)
{
    return s->answer.status;
}

void fa_stand_in_end(attempt *a)
{
    fa_stand_in_flight *s = a->stand_in;
    if (s == NULL)
        return;
    a->stand_in = NULL;
    s->ended = true;
    fa_timer_stop(&s->timer);
    if (!s->playing)
        release(s);
}

void fa_upstream_stand_in(fa_upstream *upstream, fa_stand_in asked, void *context)
{
    upstream->stand_in = asked;
    upstream->stand_in_context = context;
}
