/* The event log of a dialogue: what enters it, in what order, and what leaves it when.
 *
 * An event stays as long as the budget allows, for listeners that come back. When room is needed, those that every listener has
 * already been sent go first; with nobody listening nothing goes, and the producer waits (the graces decide how long).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dialogue/internal.h"
#include "exchange/sse.h"

static size_t cost_of(const fa_buffer *frame)
{
    return fa_buffer_length(frame) + EVENT_OVERHEAD;
}

static void forget(dialogue *d, log_event *e)
{
    d->log_bytes -= cost_of(e->frame);
    if (e->audio && e->seq > d->claimed_seq)
        d->audio_unclaimed--;
    fa_list_remove(&e->link);
    fa_buffer_release(e->frame);
    fa_scope_free(d->scope, e);
}

/* From the nearer end: most listeners are close to the last event, those that catch up to the first. */
log_event *dialogue_event_from(const dialogue *d, uint64_t seq)
{
    if (fa_list_empty(&d->events))
        return NULL;
    log_event *e = FA_OBJECT(d->events.next, log_event, link), *last = FA_OBJECT(d->events.prev, log_event, link);
    if (last->seq < seq)
        return NULL;
    if (e->seq < seq && last->seq - seq < seq - e->seq) {
        for (e = last;
             FA_OBJECT(e->link.prev, log_event, link)->seq >= seq;) /* stops at the first, which is before seq */
            e = FA_OBJECT(e->link.prev, log_event, link);
        return e;
    }
    while (e->seq < seq)
        e = FA_OBJECT(e->link.next, log_event, link);
    return e;
}

bool dialogue_has_sent(const dialogue *d, fa_text event_id, uint64_t *seq)
{
    uint64_t epoch;
    return fa_sse_parse_id(event_id.data, event_id.length, &epoch, seq) && epoch >= 1 && epoch <= d->epoch &&
           *seq <= d->claimed_seq;
}

uint64_t dialogue_passed_seq(const dialogue *d)
{
    uint64_t passed = UINT64_MAX;
    FA_LIST_EACH(node, &d->listeners)
    {
        listener *l = FA_OBJECT(node, listener, link);
        if (l->sent_seq < passed)
            passed = l->sent_seq;
    }
    return passed == UINT64_MAX ? 0 : passed;
}

void dialogue_drop_passed(dialogue *d)
{
    uint64_t passed = dialogue_passed_seq(d);
    for (fa_list *node; (node = fa_list_first(&d->events)) != NULL && FA_OBJECT(node, log_event, link)->seq <= passed;)
        forget(d, FA_OBJECT(node, log_event, link));
}

void dialogue_drop_unclaimed(dialogue *d, size_t *events, size_t *bytes)
{
    for (*events = *bytes = 0; !fa_list_empty(&d->events); ++*events) {
        log_event *last = FA_OBJECT(d->events.prev, log_event, link);
        if (last->seq <= d->claimed_seq || last->epoch != d->epoch)
            break;
        *bytes += fa_buffer_length(last->frame);
        d->next_seq = last->seq; /* nobody has seen it: the number is free again */
        forget(d, last);
    }
}

void dialogue_drop_older(dialogue *d)
{
    uint64_t passed = d->listener_count > 0 ? dialogue_passed_seq(d) : UINT64_MAX;
    for (fa_list *node = d->events.next; node != &d->events;) {
        log_event *e = FA_OBJECT(node, log_event, link);
        node = node->next;
        if (!e->terminal || (e->epoch < d->epoch && e->seq <= passed))
            forget(d, e);
    }
}

void dialogue_drop_backlog(dialogue *d)
{
    if (d->listener_count > 0) {
        dialogue_drop_passed(d);
        return;
    }
    for (fa_list *node = d->events.next; node != &d->events;) {
        log_event *e = FA_OBJECT(node, log_event, link);
        node = node->next;
        if (!e->terminal)
            forget(d, e);
    }
}

void dialogue_stop_waiting(dialogue *d)
{
    fa_timer_pause(&d->slow_timer);
    d->waiting_for_slow = false;
}

fa_result dialogue_make_room(dialogue *d, size_t bytes)
{
    const size_t budget = d->registry->options.dialogue_budget;
    if (bytes > budget)
        return FA_INVALID;
    const size_t window = d->registry->options.replay_window, kept = window != 0 && window < budget ? window : budget;
    uint64_t passed = dialogue_passed_seq(d);
    while (d->log_bytes + bytes > kept) {
        fa_list *node = fa_list_first(&d->events);
        if (node == NULL || FA_OBJECT(node, log_event, link)->seq > passed)
            break;
        forget(d, FA_OBJECT(node, log_event, link));
    }
    if (d->log_bytes + bytes <= budget) {
        dialogue_stop_waiting(d);
        return FA_OK;
    }
    /* Somebody is slower than the budget: wait for them, but not for ever. */
    if (d->listener_count > 0 && !d->waiting_for_slow) {
        d->waiting_for_slow = true;
        listeners_wait_begins(d);
        fa_timer_start(&d->slow_timer, d->registry->options.slow_listener_wait_ms);
    }
    return FA_FULL;
}

/* The end of a turn is always told, but questions that interrupt each other must not fill the log with ends: those of older
 * turns give way, also where a listener has not had them yet. */
static void make_room_for_end(dialogue *d, size_t bytes)
{
    for (fa_list *node; (node = fa_list_first(&d->events)) != NULL;) {
        log_event *e = FA_OBJECT(node, log_event, link);
        if (d->log_bytes + bytes <= d->registry->options.dialogue_budget || e->epoch == d->epoch)
            break;
        forget(d, e);
    }
}

static void link_event(dialogue *d, log_event *e)
{
    fa_buffer_seal(e->frame);
    e->seq = d->next_seq++;
    e->epoch = d->epoch;
    d->log_bytes += cost_of(e->frame);
    if (e->audio)
        d->audio_unclaimed++;
    fa_list_append(&d->events, &e->link);
}

static fa_result link_frame(dialogue *d, fa_buffer *frame, bool audio)
{
    log_event *e = fa_scope_allocate(d->scope, sizeof(*e));
    if (e == NULL) {
        fa_buffer_release(frame);
        return FA_NO_MEMORY;
    }
    e->audio = audio;
    e->frame = frame;
    link_event(d, e);
    return FA_OK;
}

fa_result dialogue_reserve_end(dialogue *d, size_t size, log_event **event)
{
    log_event *e = fa_scope_allocate(d->scope, sizeof(*e));
    if (e == NULL)
        return FA_NO_MEMORY;
    fa_result result = fa_buffer_new(d->scope, size, "end of a turn", FA_HERE, &e->frame);
    if (result != FA_OK) {
        fa_scope_free(d->scope, e);
        return result;
    }
    fa_list_init(&e->link);
    e->terminal = true;
    *event = e;
    return FA_OK;
}

void dialogue_append_end(dialogue *d, log_event *event)
{
    make_room_for_end(d, cost_of(event->frame));
    link_event(d, event);
}

static void next_event_id(const dialogue *d, char id[48])
{
    snprintf(id, 48, "%u.%" PRIu64, d->epoch, d->next_seq);
}

fa_result dialogue_append(dialogue *d, const char *name, fa_text json)
{
    char id[48], label[64];
    fa_buffer *frame;
    const size_t size = json.length + strlen(name) + 80;
    fa_result result = dialogue_make_room(d, size + EVENT_OVERHEAD);
    if (result != FA_OK)
        return result;
    next_event_id(d, id);
    snprintf(label, sizeof(label), "event %s %s", id, name);
    if ((result = fa_buffer_new(d->scope, size, label, FA_HERE, &frame)) != FA_OK)
        return result;
    if ((result = fa_sse_append(frame, name, id, json.data, json.length)) != FA_OK) {
        fa_buffer_release(frame);
        return result;
    }
    return link_frame(d, frame, false);
}

/* Writes the frame around and including the audio, so that its bytes are encoded once and copied nowhere. */
static fa_result write_audio_frame(const dialogue *d, fa_buffer *frame, unsigned chunk_index,
                                   const fa_audio_chunk *chunk)
{
    char id[48], numbers[160];
    next_event_id(d, id);
    int used =
        snprintf(numbers, sizeof(numbers),
                 "event: audioChunk\nid: %s\ndata: {\"chunkIndex\":%u,\"seq\":%" PRIu64 ",\"isFinal\":%s,\"text\":", id,
                 chunk_index, d->next_seq, chunk->is_final ? "true" : "false");
    fa_result result = fa_buffer_append(frame, numbers, (size_t)used);
    if (result == FA_OK)
        result = fa_buffer_append(frame, chunk->text.data, chunk->text.length);
    if (result == FA_OK && chunk->fields.length > 0) {
        result = fa_buffer_append(frame, ",", 1);
        if (result == FA_OK)
            result = fa_buffer_append(frame, chunk->fields.data, chunk->fields.length);
    }
    if (result == FA_OK && chunk->audio == NULL)
        return fa_buffer_append(frame, ",\"audio\":\"\",\"failed\":true}\n\n", 28);
    if (result == FA_OK)
        result = fa_buffer_append(frame, ",\"audio\":\"", 10);
    if (result == FA_OK)
        result = fa_sse_append_base64(frame, fa_buffer_data(chunk->audio), fa_buffer_length(chunk->audio));
    if (result == FA_OK)
        result = fa_buffer_append(frame, "\"}\n\n", 4);
    return result;
}

fa_result dialogue_append_audio(dialogue *d, unsigned chunk_index, const fa_audio_chunk *chunk)
{
    char label[64];
    fa_buffer *frame;
    size_t audio = chunk->audio != NULL ? fa_buffer_length(chunk->audio) : 0;
    size_t size = (audio + 2) / 3 * 4 + chunk->text.length + chunk->fields.length + 200;
    fa_result result = dialogue_make_room(d, size + EVENT_OVERHEAD);
    if (result != FA_OK)
        return result;
    snprintf(label, sizeof(label), "audioChunk %u of turn %u", chunk_index, d->epoch);
    if ((result = fa_buffer_new(d->scope, size, label, FA_HERE, &frame)) != FA_OK)
        return result;
    if ((result = write_audio_frame(d, frame, chunk_index, chunk)) != FA_OK) {
        fa_buffer_release(frame);
        return result;
    }
    return link_frame(d, frame, true);
}

void dialogue_wake(dialogue *d)
{
    fa_list woken;
    if (fa_list_empty(&d->waiters))
        return;
    /* Take the list as it is: a waiter that waits again goes into the next round. */
    woken = d->waiters;
    woken.next->prev = woken.prev->next = &woken;
    fa_list_init(&d->waiters);
    for (fa_list *node; (node = fa_list_first(&woken)) != NULL;) {
        fa_list_remove(node);
        fa_turn_waiter *waiter = FA_OBJECT(node, fa_turn_waiter, link);
        waiter->wake(waiter);
    }
}
