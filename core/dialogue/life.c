/* How long a dialogue lives: the graces of INTERFACES.md, each one timer that an event starts and another event stops. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "dialogue/internal.h"

fa_digest dialogue_digest(fa_text id)
{
    return fa_digest_of((const void *const[]){id.data}, &id.length, 1);
}

static fa_list *bucket_of(fa_dialogues *registry, fa_text id)
{
    size_t hash = 5381;
    for (size_t i = 0; i < id.length; ++i)
        hash = hash * 33 + (unsigned char)id.data[i];
    return &registry->buckets[hash % registry->bucket_count];
}

dialogue *dialogue_find(fa_dialogues *registry, fa_text id)
{
    fa_list *bucket = bucket_of(registry, id);
    FA_LIST_EACH(node, bucket)
    {
        dialogue *d = FA_OBJECT(node, dialogue, in_table);
        if (strlen(d->id) == id.length && memcmp(d->id, id.data, id.length) == 0)
            return d;
    }
    return NULL;
}

static void start_grace(dialogue *d, grace which, uint64_t delay_ms)
{
    if (d->grace == which)
        return;
    d->grace = which;
    fa_timer_start(&d->grace_timer, delay_ms); /* its memory was got in dialogue_new */
}

/* ---- lingering ---- */

static void leave_lingering(dialogue *d)
{
    if (fa_list_empty(&d->in_lingering))
        return;
    fa_list_remove(&d->in_lingering);
    d->registry->linger_bytes -= d->lingering_bytes;
}

/* The tail is not needed any more: its bytes go, and without listeners the dialogue comes to rest. */
static void linger_over(dialogue *d)
{
    leave_lingering(d);
    if (d->listener_count == 0) {
        dialogue_end(d, "its turn is over and read", true);
        return;
    }
    dialogue_drop_passed(d);
}

/* Together at most linger_budget, the oldest go first. Never `keep`, which has a listener at work. */
static void trim_lingering(fa_dialogues *registry, const dialogue *keep)
{
    while (registry->linger_bytes > registry->options.linger_budget) {
        dialogue *oldest = FA_OBJECT(registry->lingering.next, dialogue, in_lingering);
        if (oldest == keep) {
            dialogue_drop_passed(oldest);
            leave_lingering(oldest);
            oldest->grace = GRACE_NONE; /* the rest goes with its last listener */
            fa_timer_pause(&oldest->grace_timer);
            return;
        }
        linger_over(oldest);
    }
}

void dialogue_delivered(dialogue *d)
{
    if (d->delivered)
        return;
    d->delivered = true;
    fa_list_append(&d->registry->lingering, &d->in_lingering);
    d->lingering_bytes = d->log_bytes;
    d->registry->linger_bytes += d->lingering_bytes;
    start_grace(d, GRACE_LINGER, d->registry->options.linger_ms);
    trim_lingering(d->registry, d);
    if (d->registry->draining)
        dialogue_reconsider(d);
}

/* ---- graces ---- */

static void on_grace(fa_timer *timer)
{
    dialogue *d = FA_OBJECT(timer, dialogue, grace_timer);
    grace over = d->grace;
    d->grace = GRACE_NONE;
    if (over == GRACE_LINGER) {
        linger_over(d);
        return;
    }
    if (over == GRACE_DRAIN) {
        dialogue_end(d, "the server stops", false);
        return;
    }
    const char *reason = over == GRACE_FIRST_LISTENER ? "nobody came to listen" : "its last listener did not come back";
    bool rest =
        over == GRACE_RECONNECT || d->epoch > 1; /* a first question that nobody heard leaves nothing to go on with */
    d->ending = true;                            /* turn_end must not start a grace of its own */
    turn_end(d, FA_TURN_CANCELLED, reason, (fa_text){0}, NULL, -1);
    dialogue_end(d, reason, rest);
}

static void on_slow(fa_timer *timer)
{
    dialogue *d = FA_OBJECT(timer, dialogue, slow_timer);
    d->waiting_for_slow = false;
    listeners_drop_slowest(d);
}

void dialogue_reconsider(dialogue *d)
{
    const fa_dialogue_options *options = &d->registry->options;
    if (d->ending)
        return;
    if (d->registry->draining && d->turn == NULL && (d->delivered || d->listener_count == 0)) {
        start_grace(d, GRACE_DRAIN, 0); /* from the loop: somebody above us may still be using it */
        return;
    }
    if (d->turn == NULL && d->delivered) {
        if (fa_list_empty(&d->in_lingering) && d->listener_count == 0) /* the tail has gone before the listener did */
            start_grace(d, GRACE_LINGER, 0);
        return; /* lingering, or idle with listeners that follow */
    }
    leave_lingering(d);
    if (d->listener_count > 0) {
        d->grace = GRACE_NONE;
        fa_timer_pause(&d->grace_timer);
    } else if (!d->listened) {
        start_grace(d, GRACE_FIRST_LISTENER, options->first_listener_grace_ms);
    } else {
        start_grace(d, GRACE_RECONNECT, options->reconnect_grace_ms);
    }
}

/* ---- beginning and end ---- */

fa_result dialogue_new(fa_dialogues *registry, const char *id, dialogue **out)
{
    fa_scope *scope, *parent = fa_worker_scope(registry->worker);
    char label[FA_LABEL_SIZE];
    if (registry->pressure >= FA_PRESSURE_REFUSE_DIALOGUES)
        return FA_OVER_BUDGET;
    snprintf(label, sizeof(label), "dialogue %s", id);
    fa_result result = fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_DIALOGUE,
                                    dialogue_scope_budget(&registry->options), label, FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    dialogue *d = fa_scope_allocate(scope, sizeof(*d));
    if (d == NULL || (d->history = fa_history_new(scope, registry->options.history_limit)) == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    d->registry = registry;
    d->scope = scope;
    snprintf(d->id, sizeof(d->id), "%s", id);
    fa_list_init(&d->in_lingering);
    fa_list_init(&d->events);
    fa_list_init(&d->waiters);
    fa_list_init(&d->listeners);
    d->next_seq = 1;
    fa_timer_init(&d->grace_timer, registry->worker, scope, on_grace);
    fa_timer_init(&d->slow_timer, registry->worker, scope, on_slow);
    if (fa_timer_start(&d->grace_timer, 0) != FA_OK || fa_timer_start(&d->slow_timer, 0) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    fa_timer_pause(&d->grace_timer);
    fa_timer_pause(&d->slow_timer);
    fa_digest digest = dialogue_digest((fa_text){d->id, strlen(d->id)});
    if ((result = fa_directory_enter(registry->directory, &d->entry, &digest, registry)) != FA_OK) {
        fa_scope_end(scope, "refused", NULL);
        return result;
    }
    fa_list_append(bucket_of(registry, (fa_text){d->id, strlen(d->id)}), &d->in_table);
    registry->live++;
    *out = d;
    return FA_OK;
}

static void end(dialogue *d, const char *reason, bool rest)
{
    fa_dialogues *registry = d->registry;
    fa_scope_summary summary = {0};
    char id[FA_DIALOGUE_ID_SIZE], released[16], in_flight[16];

    d->ending = true;
    listeners_farewell(d);
    leave_lingering(d);
    fa_list_remove(&d->in_table);
    registry->live--;
    fa_directory_leave(registry->directory, &d->entry, rest ? d->history : NULL, d->next_seq, d->epoch,
                       fa_worker_now(registry->worker));
    memcpy(id, d->id, sizeof(id));
    fa_scope_end(d->scope, reason, &summary);
    fa_log_write(fa_worker_log(registry->worker), FA_LOG_INFO,
                 "dialogue %s %s (%s): released %s in %zu buffers, %zu handles, %zu scopes; %s in flight", id,
                 rest ? "rests" : "ended", reason, fa_format_size(summary.bytes, released), summary.buffers,
                 summary.handles, summary.scopes, fa_format_size(summary.in_flight, in_flight));
    dialogues_tell_empty(registry);
}

void dialogue_end(dialogue *d, const char *reason, bool rest)
{
    end(d, reason, rest && d->registry->options.history_dialogues > 0);
}

void dialogue_leave(dialogue *d, const char *reason)
{
    end(d, reason, true);
}
