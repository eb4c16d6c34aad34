/* Listeners: each is a cursor into the log and a window of bytes on their way into its socket.
 *
 * A listener lives in a scope below its request's, so it ends with its connection; when its dialogue ends first it is told so by
 * a farewell and only finishes what it has. It takes frames by lease: an event may leave the log while its last bytes are still
 * being sent to somebody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dialogue/internal.h"
#include "exchange/sse.h"

enum { WINDOW = 128 * 1024 }; /* small enough that progress is seen often, large enough to fill a fast socket */

static void drop_current(listener *l)
{
    if (l->current != NULL)
        fa_buffer_return(l->current);
    l->current = NULL;
    l->current_offset = 0;
}

static void detach(listener *l)
{
    if (l->dialogue == NULL)
        return;
    fa_timer_stop(&l->ping);
    fa_list_remove(&l->link);
    l->dialogue->listener_count--;
    l->dialogue = NULL;
}

/* The connection is over, or the stream has ended: the request's scope ends and takes the listener with it. */
static void on_end(fa_scope_hook *hook)
{
    listener *l = FA_OBJECT(hook, listener, at_end);
    dialogue *d = l->dialogue;
    l->exchange->on_sent = NULL;
    l->exchange->on_gone = NULL;
    drop_current(l);
    for (size_t i = 0; i < l->farewell_count; ++i)
        fa_buffer_return(l->farewell[i]);
    l->farewell_count = 0;
    detach(l);
    if (d != NULL) {
        dialogue_reconsider(d);
        dialogue_wake(d); /* last: the producer may end the dialogue */
    }
}

/* ---- what is sent next ---- */

typedef struct batch {
    fa_piece pieces[FA_MAX_PIECES];
    size_t count, room;
} batch;

static void add_piece(batch *b, fa_buffer *buffer, size_t offset, size_t length)
{
    b->pieces[b->count++] = (fa_piece){buffer, offset, length};
    b->room -= length;
}

static bool has_space(const batch *b)
{
    return b->count < FA_MAX_PIECES && b->room > 0;
}

/* The rest of the frame that is sent in part, as far as the window goes. */
static void add_current(listener *l, batch *b)
{
    size_t left = fa_buffer_length(l->current) - l->current_offset;
    size_t length = left < b->room ? left : b->room;
    add_piece(b, l->current, l->current_offset, length);
    l->current_offset += length;
}

static void add_gap(listener *l, uint64_t to)
{
    char json[96], id[48];
    int used = snprintf(json, sizeof(json), "{\"from\":%" PRIu64 ",\"to\":%" PRIu64 "}", l->next_seq, to);
    snprintf(id, sizeof(id), "%u.%" PRIu64, l->dialogue->epoch, to);
    if (l->extra == NULL && fa_buffer_new(l->scope, 160, "gap", FA_HERE, &l->extra) == FA_OK) {
        if (fa_sse_append(l->extra, "gap", id, json, (size_t)used) != FA_OK) {
            fa_buffer_release(l->extra);
            l->extra = NULL;
        } else {
            fa_buffer_seal(l->extra);
        }
    }
    l->next_seq = to + 1;
}

static void add_extra(listener *l, batch *b)
{
    add_piece(b, l->extra, 0, fa_buffer_length(l->extra));
}

static void claim(dialogue *d, const log_event *e)
{
    if (e->seq <= d->claimed_seq)
        return;
    for (log_event *it = dialogue_event_from(d, d->claimed_seq + 1); it != NULL && it->seq <= e->seq;) {
        d->audio_unclaimed -= it->audio;
        it = it->link.next == &d->events ? NULL : FA_OBJECT(it->link.next, log_event, link);
    }
    d->claimed_seq = e->seq;
}

/* Takes the next event as current; false when there is none for this listener now. */
static bool take_next(listener *l)
{
    dialogue *d = l->dialogue;
    if (d == NULL || (l->end_seq != 0 && l->next_seq > l->end_seq))
        return false;
    log_event *e = dialogue_event_from(d, l->next_seq);
    if (e == NULL)
        return false;
    if (e->seq > l->next_seq) { /* what it needs next is gone: say so first */
        add_gap(l, e->seq - 1);
        if (l->extra != NULL)
            return false;
    }
    if (fa_buffer_lease(e->frame) != FA_OK)
        return false;
    l->current = e->frame;
    l->current_offset = 0;
    l->next_seq = e->seq + 1;
    claim(d, e);
    return true;
}

static void fill(listener *l, batch *b, fa_buffer **spent, size_t *spent_count)
{
    while (has_space(b)) {
        if (l->current == NULL) {
            if (l->extra != NULL) {
                add_extra(l, b);
                spent[(*spent_count)++] = l->extra;
                l->extra = NULL;
                continue;
            }
            if (!take_next(l)) {
                if (l->extra != NULL) /* a gap came up */
                    continue;
                break;
            }
        }
        add_current(l, b);
        if (l->current_offset < fa_buffer_length(l->current))
            break;
        /* Wholly planned: the exchange's lease holds it from here. Keep ours until the send has been made. */
        spent[(*spent_count)++] = l->current;
        l->current = NULL;
        l->planned_seq = l->next_seq - 1;
    }
}

/* ---- sending ---- */

static void finish_stream(listener *l)
{
    fa_exchange *exchange = l->exchange;
    dialogue *d = l->dialogue;
    detach(l);
    exchange->on_sent = NULL;
    exchange->on_gone = NULL;
    fa_exchange_send(exchange, NULL, 0, true); /* may end the request's scope and the listener with it */
    if (d != NULL)
        dialogue_reconsider(d);
}

static void say_farewell(listener *l)
{
    fa_piece pieces[2];
    for (size_t i = 0; i < l->farewell_count; ++i)
        pieces[i] = (fa_piece){l->farewell[i], 0, fa_buffer_length(l->farewell[i])};
    fa_exchange_send(l->exchange, pieces, l->farewell_count, true);
}

static void pump(listener *l)
{
    batch b = {.room = WINDOW};
    fa_buffer *spent[FA_MAX_PIECES];
    size_t spent_count = 0;
    fa_exchange *exchange = l->exchange;
    if (exchange->sending || exchange->gone || exchange->finished)
        return;
    if (l->dialogue != NULL && l->dialogue->registry->options.listener_queue < b.room)
        b.room = l->dialogue->registry->options.listener_queue;
    fill(l, &b, spent, &spent_count);
    if (b.count == 0) {
        if (l->dialogue == NULL)
            say_farewell(l);
        return;
    }
    fa_result result = fa_exchange_send(exchange, b.pieces, b.count, false);
    for (size_t i = 0; i < spent_count; ++i) {
        if (fa_buffer_owner(spent[i]) == l->scope)
            fa_buffer_release(spent[i]); /* a frame of its own */
        else
            fa_buffer_return(spent[i]);
    }
    if (result != FA_OK)
        fa_exchange_abort(exchange);
}

static void on_sent(fa_exchange *exchange, void *context)
{
    listener *l = context;
    dialogue *d = l->dialogue;
    (void)exchange;
    l->sent_seq = l->planned_seq;
    if (d == NULL) {
        pump(l);
        return;
    }
    if (d->terminal_seq != 0 && l->sent_seq >= d->terminal_seq)
        dialogue_delivered(d);
    if (l->end_seq != 0 && l->sent_seq >= l->end_seq) {
        finish_stream(l);
        return;
    }
    pump(l);
    dialogue_wake(d);
}

void listeners_pump(dialogue *d)
{
    for (fa_list *node = d->listeners.next; node != &d->listeners;) {
        listener *l = FA_OBJECT(node, listener, link);
        node = node->next;
        pump(l);
    }
}

void listeners_turn_over(dialogue *d)
{
    FA_LIST_EACH(node, &d->listeners)
    {
        listener *l = FA_OBJECT(node, listener, link);
        if (!l->follow && l->end_seq == 0)
            l->end_seq = d->terminal_seq;
    }
}

/* The terminal events that it has not been given yet. */
static void take_farewell(listener *l)
{
    const dialogue *d = l->dialogue;
    FA_LIST_EACH(node, &d->events)
    {
        log_event *e = FA_OBJECT(node, log_event, link);
        if (e->terminal && e->epoch == d->epoch && e->seq >= l->next_seq && l->farewell_count < 2 &&
            fa_buffer_lease(e->frame) == FA_OK)
            l->farewell[l->farewell_count++] = e->frame;
    }
}

void listeners_farewell(dialogue *d)
{
    for (fa_list *node; (node = fa_list_first(&d->listeners)) != NULL;) {
        listener *l = FA_OBJECT(node, listener, link);
        take_farewell(l);
        detach(l);
        pump(l);
    }
}

/* ---- the slow ---- */

static void note_slow(dialogue *d, fa_text remote)
{
    fa_digest digest = fa_digest_of((const void *const[]){remote.data}, &remote.length, 1);
    slow_remote *place = &d->slow[0];
    for (size_t i = 0; i < SLOW_REMOTES; ++i) {
        if (memcmp(&d->slow[i].remote, &digest, sizeof(digest)) == 0) {
            d->slow[i].drops++;
            return;
        }
        if (d->slow[i].drops < place->drops)
            place = &d->slow[i];
    }
    *place = (slow_remote){digest, 1};
}

static bool dropped_too_often(const dialogue *d, fa_text remote)
{
    fa_digest digest = fa_digest_of((const void *const[]){remote.data}, &remote.length, 1);
    for (size_t i = 0; i < SLOW_REMOTES; ++i) {
        if (memcmp(&d->slow[i].remote, &digest, sizeof(digest)) == 0)
            return d->slow[i].drops > MAX_REJOINS;
    }
    return false;
}

void listeners_drop_slowest(dialogue *d)
{
    uint64_t slowest = dialogue_passed_seq(d);
    for (fa_list *node = d->listeners.next; node != &d->listeners;) {
        listener *l = FA_OBJECT(node, listener, link);
        node = node->next;
        if (l->sent_seq != slowest)
            continue;
        fa_log_write(fa_worker_log(d->registry->worker), FA_LOG_WARN,
                     "dialogue %s: a listener at %.*s was dropped: too slow (it has event %" PRIu64 " of %" PRIu64 ")", d->id,
                     (int)l->exchange->remote.length, l->exchange->remote.data, l->sent_seq, d->next_seq - 1);
        note_slow(d, l->exchange->remote);
        detach(l);
        /* The socket is full, or it would not be slow: the event that says why cannot be written, so the connection is cut. */
        fa_exchange_abort(l->exchange);
    }
    dialogue_reconsider(d);
    dialogue_wake(d);
}

/* ---- joining ---- */

static fa_result append_ping(fa_buffer *buffer)
{
    char json[64];
    int used = snprintf(json, sizeof(json), "{\"timestamp\":%" PRIu64 "}", fa_wall_ms());
    return fa_sse_append(buffer, "ping", NULL, json, (size_t)used);
}

static void on_ping(fa_timer *timer)
{
    listener *l = FA_OBJECT(timer, listener, ping);
    fa_timer_start(&l->ping, l->dialogue->registry->options.ping_ms);
    if (l->exchange->sending || l->current != NULL || l->extra != NULL)
        return; /* bytes are flowing anyway */
    if (fa_buffer_new(l->scope, 64, "ping", FA_HERE, &l->extra) != FA_OK)
        return;
    if (append_ping(l->extra) != FA_OK) {
        fa_buffer_release(l->extra);
        l->extra = NULL;
        return;
    }
    fa_buffer_seal(l->extra);
    pump(l);
}

/* Where the listener starts. True when the client's last event is not one we can go on from: it is told by a gap. */
static bool place_cursor(listener *l, const dialogue *d, fa_text last_event_id)
{
    uint64_t epoch, seq;
    log_event *first = dialogue_event_from(d, 0);
    l->next_seq = first != NULL ? first->seq : d->next_seq;
    if (last_event_id.length == 0 && d->turn == NULL && d->delivered) {
        l->next_seq = d->next_seq; /* it came for the turns to come */
        l->sent_seq = l->planned_seq = l->next_seq - 1;
        return false;
    }
    if (last_event_id.length == 0) {
        /* A late or first listener gets the current turn from its start, never the tail of an older one. */
        FA_LIST_EACH(node, &d->events)
        {
            log_event *e = FA_OBJECT(node, log_event, link);
            if (e->epoch == d->epoch) {
                l->next_seq = e->seq;
                break;
            }
        }
        l->sent_seq = l->planned_seq = l->next_seq - 1;
        return false;
    }
    bool known = fa_sse_parse_id(last_event_id.data, last_event_id.length, &epoch, &seq) && epoch >= 1 && epoch <= d->epoch &&
                 seq < d->next_seq;
    if (known && seq + 1 >= l->next_seq)
        l->next_seq = seq + 1;
    else if (known) {
        l->sent_seq = l->planned_seq = seq; /* too old: take_next finds the hole and says how far it goes */
        l->next_seq = seq + 1;
        return false;
    }
    l->sent_seq = l->planned_seq = l->next_seq - 1;
    return !known;
}

static fa_result write_greeting(listener *l, bool gap)
{
    fa_result result = fa_buffer_new(l->scope, 192, "stream start", FA_HERE, &l->extra);
    if (result == FA_OK)
        result = fa_buffer_append(l->extra, "retry: 500\n\n", 12);
    if (result == FA_OK)
        result = append_ping(l->extra);
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
    if (fa_scope_new(fa_scope_ledger(exchange->scope), exchange->scope, FA_KIND_LISTENER, 0, label, FA_HERE, &scope) != FA_OK)
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
    return l;
}

static void refuse(fa_exchange *exchange, const char *message)
{
    fa_exchange_fail(exchange, 503, "over_budget", message, &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
}

void listener_attach(dialogue *d, fa_exchange *exchange, bool follow, fa_text last_event_id)
{
    static const fa_header headers[] = {
        {FA_TEXT("content-type"), FA_TEXT("text/event-stream")},
        {FA_TEXT("cache-control"), FA_TEXT("no-cache")},
        {FA_TEXT("x-accel-buffering"), FA_TEXT("no")},
    };
    if (d->listener_count >= d->registry->options.max_listeners || dropped_too_often(d, exchange->remote)) {
        fa_exchange_fail(exchange, 429, "too_many_listeners", "This dialogue has as many listeners as it may have.",
                         &(fa_header){FA_TEXT("retry-after"), FA_TEXT("5")});
        return;
    }
    listener *l = listener_new(d, exchange);
    if (l == NULL) {
        refuse(exchange, "There is no room for another listener now.");
        dialogue_reconsider(d);
        return;
    }
    l->follow = follow;
    bool gap = place_cursor(l, d, last_event_id);
    if (!follow && d->turn == NULL)
        l->end_seq = d->terminal_seq;
    if (write_greeting(l, gap) != FA_OK) {
        fa_scope_end(l->scope, "no memory", NULL);
        refuse(exchange, "There is no room for another listener now.");
        dialogue_reconsider(d);
        return;
    }
    exchange->stall_ms = d->registry->options.listener_stall_ms;
    if (fa_exchange_start(exchange, 200, headers, 3, -1) != FA_OK) {
        fa_scope_end(l->scope, "could not start", NULL);
        fa_exchange_abort(exchange);
        dialogue_reconsider(d);
        return;
    }
    exchange->context = l;
    exchange->on_sent = on_sent;
    fa_scope_hook_add(l->scope, &l->at_end, on_end);
    l->dialogue = d;
    fa_list_append(&d->listeners, &l->link);
    d->listener_count++;
    d->listened = true;
    fa_timer_start(&l->ping, d->registry->options.ping_ms);
    dialogue_reconsider(d);
    fa_exchange_watch(exchange);
    pump(l);
    dialogue_wake(d);
}
