#include "dialogue/census.h"

#include <stdio.h>
#include <string.h>

#include "dialogue/internal.h"

static void insert(fa_dialogues_census *census, const fa_listener_figures *figures)
{
    size_t at = census->slowest_count;
    while (at > 0 && figures->backlog > census->slowest[at - 1].backlog)
        --at;
    if (at == FA_SLOW_LISTENERS)
        return;
    if (census->slowest_count < FA_SLOW_LISTENERS)
        census->slowest_count++;
    memmove(&census->slowest[at + 1], &census->slowest[at], (census->slowest_count - 1 - at) * sizeof(*figures));
    census->slowest[at] = *figures;
}

static size_t backlog_of(const dialogue *d, const listener *l)
{
    size_t backlog = 0;
    if (l->sent_seq + 1 >= d->next_seq)
        return 0;
    for (const fa_list *node = d->events.prev; node != &d->events; node = node->prev) { /* newest first */
        const log_event *e = FA_OBJECT(node, const log_event, link);
        if (e->seq <= l->sent_seq)
            break;
        if (l->end_seq == 0 || e->seq <= l->end_seq)
            backlog += fa_buffer_length(e->frame);
    }
    return backlog;
}

/* Returns the bytes that this listener, being slow, has not got yet. */
static size_t count_listener(fa_dialogues_census *census, const dialogue *d, const listener *l, uint64_t now_ms)
{
    size_t backlog = backlog_of(d, l);
    census->listeners++;
    if (backlog == 0)
        return 0;
    fa_listener_figures figures = {.backlog = backlog, .age_ms = now_ms - l->joined_ms};
    uint64_t since = l->behind_ms != 0 ? l->behind_ms : l->joined_ms;
    uint64_t behind_for = now_ms > since ? now_ms - since : 0;
    uint64_t read = l->sent_bytes - l->sent_bytes_then + (l->exchange->sending ? l->planned_bytes : 0);
    figures.per_second = (size_t)(read * 1000 / (behind_for > 0 ? behind_for : 1));
    snprintf(figures.dialogue, sizeof(figures.dialogue), "%s", d->id);
    snprintf(figures.remote, sizeof(figures.remote), "%.*s", (int)l->exchange->remote.length, l->exchange->remote.data);
    census->behind++;
    insert(census, &figures);
    if (behind_for < FA_SLOW_AFTER_MS || figures.per_second >= FA_SLOW_RATE)
        return 0;
    census->slow++;
    census->slow_rate = figures.per_second > census->slow_rate ? figures.per_second : census->slow_rate;
    return backlog;
}

static void count_log(fa_dialogues_census *census, const dialogue *d)
{
    size_t bytes = 0;
    FA_LIST_EACH(node, &d->events)
    {
        const log_event *e = FA_OBJECT(node, log_event, link);
        size_t length = fa_buffer_length(e->frame);
        bytes += length;
        *(e->seq > d->claimed_seq ? &census->lookahead : &census->replay) += length;
        census->in_flight += fa_buffer_leased(e->frame) ? length : 0;
    }
    census->log_bytes += bytes;
    if (bytes > census->largest) {
        census->largest = bytes;
        memcpy(census->largest_dialogue, d->id, sizeof(d->id));
    }
}

static void count_dialogue(fa_dialogues_census *census, const dialogue *d, uint64_t now_ms)
{
    size_t held = 0; /* by the slowest: what it has not got, none of the slow ones keeps twice */
    count_log(census, d);
    census->waiting += d->waiting_for_slow;
    FA_LIST_EACH(node, &d->listeners)
    {
        size_t bytes = count_listener(census, d, FA_OBJECT(node, listener, link), now_ms);
        held = bytes > held ? bytes : held;
    }
    census->slow_held += held;
}

void fa_dialogues_take_census(const fa_dialogues *registry, fa_dialogues_census *census)
{
    uint64_t now_ms = fa_worker_now_exact(registry->worker);
    census->live += registry->live;
    census->running += registry->running;
    census->resting += fa_dialogues_resting(registry);
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        FA_LIST_EACH(node, &registry->buckets[i])
        count_dialogue(census, FA_OBJECT(node, dialogue, in_table), now_ms);
    }
}

void fa_dialogues_merge_census(fa_dialogues_census *into, const fa_dialogues_census *from)
{
    into->live += from->live;
    into->running += from->running;
    into->resting += from->resting;
    into->listeners += from->listeners;
    into->log_bytes += from->log_bytes;
    into->replay += from->replay;
    into->lookahead += from->lookahead;
    into->in_flight += from->in_flight;
    into->waiting += from->waiting;
    into->behind += from->behind;
    into->slow += from->slow;
    into->slow_rate = from->slow_rate > into->slow_rate ? from->slow_rate : into->slow_rate;
    into->slow_held += from->slow_held;
    if (from->largest > into->largest) {
        into->largest = from->largest;
        memcpy(into->largest_dialogue, from->largest_dialogue, sizeof(into->largest_dialogue));
    }
    for (size_t i = 0; i < from->slowest_count; ++i)
        insert(into, &from->slowest[i]);
}
