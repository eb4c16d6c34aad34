/* How a listener comes in: where it starts in the log, its greeting, its pings. */
#include <inttypes.h>
#include <stdio.h>

#include "dialogue/internal.h"
#include "exchange/sse.h"

static fa_result append_ping(const listener *l)
{
    char json[64];
    int used = snprintf(json, sizeof(json), "{\"timestamp\":%" PRIu64 "}", fa_worker_wall(l->exchange->worker));
    return fa_sse_append(l->extra, "ping", NULL, json, (size_t)used);
}

static void on_ping(fa_timer *timer)
{
    listener *l = FA_OBJECT(timer, listener, ping);
    fa_timer_start(&l->ping, l->dialogue->registry->options.ping_ms);
    if (l->exchange->sending || l->current != NULL || l->extra != NULL)
        return; /* bytes are flowing anyway */
    if (fa_buffer_new(l->scope, 64, "ping", FA_HERE, &l->extra) != FA_OK)
        return;
    if (append_ping(l) != FA_OK) {
        fa_buffer_release(l->extra);
        l->extra = NULL;
        return;
    }
    fa_buffer_seal(l->extra);
    listener_pump(l);
}

/* Where the listener starts: after the client's last event, or with the turn; what is gone of that take_next tells by a gap.
 * True when the client's last event is none that we sent: that is told at once. */
static bool place_cursor(listener *l, const dialogue *d, fa_text last_event_id)
{
    uint64_t seq;
    bool named = last_event_id.length > 0, known = named && dialogue_has_sent(d, last_event_id, &seq);
    if (known)
        l->next_seq = seq + 1;
    else if (!named && d->turn == NULL && d->delivered)
        l->next_seq = d->next_seq; /* it came for the turns to come */
    else
        l->next_seq = d->turn_seq;
    l->sent_seq = l->planned_seq = l->next_seq - 1;
    return named && !known;
}

static fa_result write_greeting(listener *l, bool gap)
{
    fa_result result = fa_buffer_new(l->scope, 192, "stream start", FA_HERE, &l->extra);
    if (result == FA_OK)
        result = fa_buffer_append(l->extra, "retry: 500\n\n", 12);
    if (result == FA_OK)
        result = append_ping(l);
    if (result == FA_OK && gap) {
        char json[96], id[48];
        int used = snprintf(json, sizeof(json), "{\"from\":1,\"to\":%" PRIu64 "}", l->next_seq - 1);
        snprintf(id, sizeof(id), "%u.%" PRIu64, l->epoch, l->next_seq - 1);
        result = fa_sse_append(l->extra, "gap", id, json, (size_t)used);
    }
    if (result == FA_OK)
        fa_buffer_seal(l->extra);
    return result;
}

static listener *listener_new(dialogue *d, fa_exchange *exchange)
{
    fa_scope *scope;
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "listener of %s", d->id);
    if (fa_scope_new(fa_scope_ledger(exchange->scope), exchange->scope, FA_KIND_LISTENER, 0, label, FA_HERE, &scope) !=
        FA_OK)
        return NULL;
    listener *l = fa_scope_allocate(scope, sizeof(*l));
    if (l == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    fa_list_init(&l->link);
    l->exchange = exchange;
    l->scope = scope;
    l->epoch = d->epoch;
    fa_timer_init(&l->ping, d->registry->worker, scope, on_ping);
    if (fa_timer_start(&l->ping, d->registry->options.ping_ms) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    return l;
}

const fa_header listener_headers[LISTENER_HEADERS] = {
    {FA_TEXT("content-type"), FA_TEXT("text/event-stream")},
    {FA_TEXT("cache-control"), FA_TEXT("no-cache")},
    {FA_TEXT("x-accel-buffering"), FA_TEXT("no")},
};

const fa_text listener_come_again = FA_TEXT("retry: 500\n\n");

bool dialogue_is_full_for(const dialogue *d, fa_text remote)
{
    return d->listener_count >= d->registry->options.max_listeners || listener_dropped_too_often(d, remote);
}

/* One that has come from another worker has a head already: its stream ends, and an EventSource comes again to be refused as anybody is. */
static bool sent_away(fa_exchange *exchange)
{
    fa_buffer *words;
    if (exchange->status == 0)
        return false;
    fa_result result = fa_buffer_new(exchange->scope, listener_come_again.length, "come again", FA_HERE, &words);
    if (result == FA_OK) {
        fa_buffer_append(words, listener_come_again.data, listener_come_again.length); /* the room is there */
        fa_buffer_seal(words);
        result = fa_exchange_send(exchange, &(fa_piece){words, 0, listener_come_again.length}, 1, true);
        fa_buffer_release(words); /* from here on the lease holds it */
    }
    if (result != FA_OK)
        fa_exchange_abort(exchange);
    return true;
}

void refuse_too_many(fa_exchange *exchange)
{
    if (sent_away(exchange))
        return;
    fa_exchange_fail(exchange, 429, "too_many_listeners", "This dialogue has as many listeners as it may have.",
                     &(fa_header){FA_TEXT("retry-after"), FA_TEXT("5")});
}

void refuse_listener(fa_exchange *exchange)
{
    if (sent_away(exchange))
        return;
    fa_exchange_fail(exchange, 503, "over_budget", "There is no room for another listener now.",
                     &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
}

/* Where it starts, and what it is greeted with; one that comes with its dialogue from another worker just goes on. */
static fa_result prepare(listener *l, const dialogue *d, entrance how)
{
    l->follow = how.follow;
    if (how.next_seq != 0) {
        l->next_seq = how.next_seq;
        l->sent_seq = l->planned_seq = how.next_seq - 1;
        return FA_OK;
    }
    bool gap = place_cursor(l, d, how.last_event_id);
    if (!how.follow && d->turn == NULL)
        l->end_seq = d->terminal_seq;
    return write_greeting(l, gap);
}

void listener_attach(dialogue *d, fa_exchange *exchange, entrance how)
{
    if (dialogue_is_full_for(d, exchange->remote)) {
        refuse_too_many(exchange);
        return;
    }
    listener *l = listener_new(d, exchange);
    if (l == NULL || prepare(l, d, how) != FA_OK) {
        if (l != NULL)
            fa_scope_end(l->scope, "no memory", NULL);
        refuse_listener(exchange);
        dialogue_reconsider(d);
        return;
    }
    exchange->stall_ms = d->registry->options.listener_stall_ms;
    if (exchange->status == 0 && fa_exchange_start(exchange, 200, listener_headers, LISTENER_HEADERS, -1) != FA_OK) {
        fa_scope_end(l->scope, "could not start", NULL);
        fa_exchange_abort(exchange);
        dialogue_reconsider(d);
        return;
    }
    listener_enter(l, d);
    dialogue_reconsider(d);
    fa_exchange_watch(exchange);
    listener_pump(l);
    dialogue_wake(d);
}
