/* Listeners: each is a cursor into the log and a window of bytes on their way into its socket.
 *
 * A listener lives in a scope below its request's, so it ends with its connection; when its dialogue ends first it is told so by
 * a farewell and only finishes what it has. It takes frames by lease: an event may leave the log while its last bytes are still
 * being sent to somebody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
    dialogue *d = l->dialogue;
    if (d == NULL)
        return;
    fa_timer_stop(&l->ping);
    fa_list_remove(&l->link);
    l->dialogue = NULL;
    if (--d->listener_count == 0)
        dialogue_stop_waiting(d); /* whoever comes next has a patience of its own */
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
    if (l->departure != NULL)
        arrival_free(l->departure);
    l->departure = NULL;
    detach(l);
    if (l->pressed_by != NULL)
        dialogues_pressed_one_is_gone(l->pressed_by);
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
    b->room -= length < b->room ? length : b->room; /* a frame of its own goes whole, even where less is left */
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
    if (e == NULL || (l->end_seq != 0 && e->seq > l->end_seq))
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

/* The final send, which may end the request's scope and the listener with it. A stream that cannot be ended is cut: nothing
 * would move it any more. */
static void send_last(fa_exchange *exchange, const fa_piece *pieces, size_t count)
{
    if (fa_exchange_send(exchange, pieces, count, true) != FA_OK)
        fa_exchange_abort(exchange);
}

static void finish_stream(listener *l)
{
    fa_exchange *exchange = l->exchange;
    dialogue *d = l->dialogue;
    detach(l);
    exchange->on_sent = NULL;
    exchange->on_gone = NULL;
    send_last(exchange, NULL, 0);
    dialogue_reconsider(d);
}

/* Nothing that it came for is left in the log, and nothing will come. */
static bool has_nothing_more(const listener *l)
{
    if (l->end_seq == 0)
        return false;
    const log_event *e = dialogue_event_from(l->dialogue, l->next_seq);
    return e == NULL || e->seq > l->end_seq;
}

/* Its dialogue has gone to another worker, and it goes after it. */
static void depart(listener *l)
{
    fa_exchange *exchange = l->exchange;
    arrival *departure = l->departure;
    l->departure = NULL;
    exchange->on_sent = NULL;
    exchange->on_gone = NULL;
    if (!arrival_take(departure, exchange))
        send_last(exchange, NULL, 0);
}

static void say_farewell(listener *l)
{
    fa_piece pieces[2];
    size_t count = l->farewell_count;
    for (size_t i = 0; i < count; ++i)
        pieces[i] = (fa_piece){l->farewell[i], 0, fa_buffer_length(l->farewell[i])};
    if (l->departure == NULL) {
        send_last(l->exchange, pieces, count);
        return;
    }
    if (count == 0) {
        depart(l);
        return;
    }
    fa_result result = fa_exchange_send(l->exchange, pieces, count, false);
    for (l->farewell_count = 0; count > 0; --count)
        fa_buffer_return(l->farewell[count - 1]);
    if (result != FA_OK)
        fa_exchange_abort(l->exchange);
}

/* For the census. A listener that had all and is sent something begins anew: what it took hours ago says nothing of its speed. */
static void count_plan(listener *l, const batch *b)
{
    if (l->caught_up) {
        l->behind_ms = fa_worker_now_exact(l->exchange->worker);
        l->sent_bytes_then = l->sent_bytes;
        l->caught_up = false;
    }
    l->planned_bytes = 0;
    for (size_t i = 0; i < b->count; ++i)
        l->planned_bytes += b->pieces[i].length;
}

void listener_pump(listener *l)
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
        l->caught_up = true;
        if (l->dialogue == NULL)
            say_farewell(l);
        else if (has_nothing_more(l))
            finish_stream(l);
        return;
    }
    count_plan(l, &b);
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
    l->sent_bytes += l->planned_bytes;
    if (d == NULL) {
        listener_pump(l);
        return;
    }
    if (d->registry->pressure >= FA_PRESSURE_SHRINK_CACHES)
        dialogue_drop_passed(d);
    if (d->terminal_seq != 0 && l->sent_seq >= d->terminal_seq)
        dialogue_delivered(d);
    if (l->end_seq != 0 && l->sent_seq >= l->end_seq) {
        finish_stream(l);
        dialogue_wake(d); /* the next turn may have waited for this listener of the last one */
        return;
    }
    listener_pump(l);
    dialogue_wake(d);
}

void listeners_pump(dialogue *d)
{
    for (fa_list *node = d->listeners.next; node != &d->listeners;) {
        listener *l = FA_OBJECT(node, listener, link);
        node = node->next;
        listener_pump(l);
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
static void take_farewell(const dialogue *d, listener *l)
{
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
        take_farewell(d, l);
        detach(l);
        listener_pump(l);
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

bool listener_dropped_too_often(const dialogue *d, fa_text remote)
{
    fa_digest digest = fa_digest_of((const void *const[]){remote.data}, &remote.length, 1);
    for (size_t i = 0; i < SLOW_REMOTES; ++i) {
        if (memcmp(&d->slow[i].remote, &digest, sizeof(digest)) == 0)
            return d->slow[i].drops > MAX_REJOINS;
    }
    return false;
}

/* The slowest of those that have been waited for: one that has joined since is behind by nature and gets its own 2 s. */
static uint64_t slowest_waited_for(const dialogue *d)
{
    uint64_t slowest = UINT64_MAX;
    FA_LIST_EACH(node, &d->listeners)
    {
        const listener *l = FA_OBJECT(node, listener, link);
        if (!l->joined_since && l->sent_seq < slowest)
            slowest = l->sent_seq;
    }
    return slowest;
}

void listeners_drop_slowest(dialogue *d)
{
    uint64_t slowest = slowest_waited_for(d);
    for (fa_list *node = d->listeners.next; node != &d->listeners;) {
        listener *l = FA_OBJECT(node, listener, link);
        node = node->next;
        if (l->joined_since || l->sent_seq != slowest)
            continue;
        fa_log_write(fa_worker_log(d->registry->worker), FA_LOG_WARN,
                     "dialogue %s: a listener at %.*s was dropped: too slow (it has event %" PRIu64 " of %" PRIu64 ")",
                     d->id, (int)l->exchange->remote.length, l->exchange->remote.data, l->sent_seq, d->next_seq - 1);
        note_slow(d, l->exchange->remote);
        detach(l);
        /* The socket is full, or it would not be slow: the event that says why cannot be written, so the connection is cut. */
        fa_exchange_abort(l->exchange);
    }
    dialogue_reconsider(d);
    dialogue_wake(d);
}

void listener_press_out(listener *l)
{
    dialogue *d = l->dialogue;
    fa_log_write(
        fa_worker_log(d->registry->worker), FA_LOG_WARN,
        "dialogue %s: a listener at %.*s was dropped: memory pressure, and it is the slowest (it has event %" PRIu64
        " of %" PRIu64 ")",
        d->id, (int)l->exchange->remote.length, l->exchange->remote.data, l->sent_seq, d->next_seq - 1);
    note_slow(d, l->exchange->remote);
    l->pressed_by = d->registry;
    detach(l);
    dialogue_drop_backlog(d);
    fa_exchange_abort(l->exchange); /* a write is under way, or nothing would be before it: as below */
    dialogue_reconsider(d);
    dialogue_wake(d);
}

void listeners_wait_begins(dialogue *d)
{
    FA_LIST_EACH(node, &d->listeners)
    FA_OBJECT(node, listener, link)->joined_since = false;
}

void listener_enter(listener *l, dialogue *d)
{
    l->exchange->context = l;
    l->exchange->on_sent = on_sent;
    fa_scope_hook_add(l->scope, &l->at_end, on_end);
    l->dialogue = d;
    l->joined_since = true;
    l->joined_ms = fa_worker_now_exact(d->registry->worker);
    fa_list_append(&d->listeners, &l->link);
    d->listener_count++;
    d->listened = true;
}
