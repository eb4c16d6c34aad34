/* What dialogues do when memory runs short (the list is in dialogue.h), and what one of them may hold.
 *
 * Only one listener is dropped at a time. Its bytes are free when its request's scope has ended; if that was enough, the
 * lower level is in the worker's mailbox by then, before the message that looks again. */
#include "dialogue/internal.h"

/* Nothing grows without a cap: the log and as much again for frames that have left it and are on their way to somebody, the
 * work of a turn, the history and what is said, the reserved ends with their fields, the dialogue itself. */
size_t dialogue_scope_budget(const fa_dialogue_options *options)
{
    enum { ENDS = 2 * 20 * 1024, ITSELF = 32 * 1024 };
    if (options->turn_budget == 0)
        return 0;
    return 2 * options->dialogue_budget + options->turn_budget + 2 * options->history_limit + ENDS + ITSELF;
}

/* ---- dropping the slowest ---- */

/* The bytes of the log that it has not been sent. */
static size_t bytes_before(const listener *l)
{
    size_t bytes = 0;
    for (log_event *e = dialogue_event_from(l->dialogue, l->sent_seq + 1); e != NULL;) {
        bytes += fa_buffer_length(e->frame) + EVENT_OVERHEAD;
        e = e->link.next == &l->dialogue->events ? NULL : FA_OBJECT(e->link.next, log_event, link);
    }
    return bytes;
}

static listener *find_slowest(const fa_dialogues *registry)
{
    listener *slowest = NULL;
    size_t most = 0;
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        FA_LIST_EACH(node, &registry->buckets[i])
        {
            dialogue *d = FA_OBJECT(node, dialogue, in_table);
            if (d->log_bytes <= most)
                continue; /* none of its listeners can have more before it */
            FA_LIST_EACH(at, &d->listeners)
            {
                listener *l = FA_OBJECT(at, listener, link);
                size_t bytes = bytes_before(l);
                if (bytes > most) {
                    most = bytes;
                    slowest = l;
                }
            }
        }
    }
    return slowest;
}

static void drop_one(fa_dialogues *registry)
{
    if (registry->dropping)
        return;
    listener *slowest = find_slowest(registry);
    if (slowest == NULL)
        return; /* nobody is behind: it is not they who hold the memory */
    registry->dropping = true;
    listener_press_out(slowest);
}

static void on_look_again(fa_message *message)
{
    fa_dialogues *registry = FA_OBJECT(message, fa_dialogues, look_again);
    if (registry->pressure >= FA_PRESSURE_DROP_LISTENERS)
        drop_one(registry);
}

void dialogues_pressed_one_is_gone(fa_dialogues *registry)
{
    registry->dropping = false;
    fa_worker_post(registry->worker, &registry->look_again); /* its request ends around us: then look */
}

void dialogues_pressure_init(fa_dialogues *registry)
{
    fa_message_init(&registry->look_again, on_look_again);
}

/* ---- the levels ---- */

/* All that wait, of all dialogues, in a list of their own: whoever is woken may end any of the others, or any dialogue. */
static void wake_all(fa_dialogues *registry)
{
    fa_list woken;
    fa_list_init(&woken);
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        FA_LIST_EACH(node, &registry->buckets[i])
        {
            dialogue *d = FA_OBJECT(node, dialogue, in_table);
            for (fa_list *waiting; (waiting = fa_list_first(&d->waiters)) != NULL;) {
                fa_list_remove(waiting);
                fa_list_append(&woken, waiting);
            }
        }
    }
    for (fa_list *node; (node = fa_list_first(&woken)) != NULL;) {
        fa_list_remove(node);
        fa_turn_waiter *waiter = FA_OBJECT(node, fa_turn_waiter, link);
        waiter->wake(waiter);
    }
}

/* What is kept for those who come back: delivered answers that linger, and events that every listener has. */
static void give_up_replay(fa_dialogues *registry)
{
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        for (fa_list *node = registry->buckets[i].next; node != &registry->buckets[i];) {
            dialogue *d = FA_OBJECT(node, dialogue, in_table);
            node = node->next;
            if (d->listener_count > 0)
                dialogue_drop_passed(d);
            else if (d->turn == NULL && d->delivered)
                dialogue_end(d, "its turn is over and read, and memory is short", true);
        }
    }
}

void fa_dialogues_pressure(fa_dialogues *registry, fa_pressure_level level)
{
    fa_pressure_level before = registry->pressure;
    registry->pressure = level;
    if (level >= FA_PRESSURE_SHRINK_CACHES && before < FA_PRESSURE_SHRINK_CACHES)
        give_up_replay(registry);
    if (level >= FA_PRESSURE_DROP_LISTENERS && level > before)
        drop_one(registry);
    if (level < FA_PRESSURE_PAUSE_SPEECH && before >= FA_PRESSURE_PAUSE_SPEECH)
        wake_all(registry); /* last: they may do anything */
}
