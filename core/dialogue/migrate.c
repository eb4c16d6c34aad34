/* Migration: a listener whose dialogue is at home on another worker goes there, socket and all, and a dialogue that is asked its next
 * question on another worker goes there, with those who follow it. Audio never crosses threads, and nobody's events are forwarded.
 *
 *   the exchange --fa_exchange_move--> fa_moving, in an `arrival` --mailbox--> adopted there --> a listener like any other
 *
 * An arrival that does not find the dialogue where it was sent goes on to its new home. When there is none any more the connection is
 * closed: an EventSource comes again, and is then answered as anybody is. */
#include <string.h>

#include "dialogue/internal.h"

struct arrival {
    fa_message message;
    fa_account *account; /* a reference; pays for this */
    fa_directory *directory;
    fa_dialogues *to;
    fa_moving *moving;
    bool follow;
    uint64_t next_seq; /* where it goes on; 0: it has just come */
    char id[FA_DIALOGUE_ID_SIZE];
};

static fa_text id_of(const arrival *a)
{
    return (fa_text){a->id, strlen(a->id)};
}

arrival *arrival_new(fa_dialogues *from, fa_dialogues *to, fa_text id, bool follow, uint64_t next_seq)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(from->worker));
    if (id.length >= FA_DIALOGUE_ID_SIZE || fa_account_allocate(account, sizeof(arrival), &memory) != FA_OK)
        return NULL;
    arrival *a = memset(memory, 0, sizeof(*a));
    a->account = fa_account_ref(account);
    a->directory = from->directory;
    a->to = to;
    a->follow = follow;
    a->next_seq = next_seq;
    memcpy(a->id, id.data, id.length);
    fa_directory_depart(a->directory);
    return a;
}

void arrival_free(arrival *a)
{
    fa_account *account = a->account;
    fa_directory *directory = a->directory;
    if (a->moving != NULL)
        fa_moving_discard(a->moving);
    fa_account_free(account, a, sizeof(*a));
    fa_account_unref(account);
    fa_directory_arrive(directory); /* last: the workers may finish now */
}

/* ---- at the other end ---- */

static void tell_lost(const arrival *a, const char *why)
{
    fa_log_write(fa_worker_log(a->to->worker), FA_LOG_INFO, "dialogue %s: a listener that came to it was closed: %s",
                 a->id, why);
}

static void enter(arrival *a, dialogue *d)
{
    fa_exchange *exchange;
    fa_moving *moving = a->moving;
    a->moving = NULL;
    fa_result result = d->registry->adopt(d->registry->adopt_context, moving, &exchange);
    if (result != FA_OK) {
        tell_lost(a, fa_result_name(result));
        return; /* it is closed */
    }
    listener_attach(d, exchange, (entrance){a->follow, a->next_seq, fa_exchange_header(exchange, "last-event-id")});
}

typedef enum whereabouts { HERE, ELSEWHERE, NOWHERE } whereabouts;

/* Where the dialogue is by now. next: set when it is, or may be by the next look, somewhere else. */
static whereabouts locate(const arrival *a, dialogue **d, fa_dialogues **next)
{
    fa_text id = id_of(a);
    fa_digest digest = dialogue_digest(id);
    *d = dialogue_find(a->to, id);
    if (*d != NULL)
        return HERE;
    *next = fa_directory_home(a->directory, &digest);
    if (*next != NULL)
        return ELSEWHERE;
    if (!a->follow || a->to->draining)
        return NOWHERE;
    *next = a->to;
    fa_result result = dialogue_wake_resting(a->to, id, d);
    if (result == FA_CONFLICT)
        return ELSEWHERE; /* somebody has woken it just now: look again */
    return result == FA_OK ? HERE : NOWHERE;
}

static void on_arrival(fa_message *message)
{
    arrival *a = FA_OBJECT(message, arrival, message);
    dialogue *d;
    fa_dialogues *next;
    switch (locate(a, &d, &next)) {
    case HERE:
        enter(a, d);
        break;
    case ELSEWHERE:
        a->to = next;
        fa_worker_post(next->worker, &a->message);
        return;
    case NOWHERE:
        tell_lost(a, "the dialogue has ended");
        break;
    }
    arrival_free(a);
}

static void on_moved(fa_moving *moving, void *context)
{
    arrival *a = context;
    if (moving == NULL) { /* the client left */
        arrival_free(a);
        return;
    }
    a->moving = moving;
    fa_moving_last_words(moving, listener_come_again);
    fa_message_init(&a->message, on_arrival);
    fa_worker_post(a->to->worker, &a->message);
}

bool arrival_take(arrival *a, fa_exchange *exchange)
{
    if (fa_exchange_move(exchange, listener_headers, LISTENER_HEADERS, on_moved, a) == FA_OK)
        return true;
    arrival_free(a);
    return false;
}

/* ---- a dialogue goes to another worker ---- */

/* Those who follow get the end of the turn, and then go after it. The others' streams end with the turn. */
static void send_followers_after(dialogue *d, fa_dialogues *to)
{
    FA_LIST_EACH(node, &d->listeners)
    {
        listener *l = FA_OBJECT(node, listener, link);
        if (l->follow && to->adopt != NULL)
            l->departure = arrival_new(d->registry, to, (fa_text){d->id, strlen(d->id)}, true, d->next_seq);
    }
}

void dialogue_hand_over(fa_dialogues *registry, fa_text id, fa_dialogues *to)
{
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL || registry == to)
        return;
    d->ending = true;
    turn_end(d, FA_TURN_CANCELLED, "interrupted by the next question", (fa_text){0}, NULL, -1);
    send_followers_after(d, to);
    dialogue_leave(d, "its next question came on another worker");
}
