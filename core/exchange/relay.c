/* How the two ends of a relay talk: by flags under a lock, and a message for each direction that says `look`. Posting one that is on its
 * way already is no second one, so nothing has to be counted.
 *
 * The near end ends first, always: by the client, or because the far end's last send has left, or by its abort. The far end ends when it
 * hears of that. So nobody posts to an end that has gone: after near_over nobody posts to the near one, and the far one (or its ticket) is
 * the last to go. */
#include "exchange/relay.h"

#include <string.h>

#include "exchange/moving.h"

typedef struct far_end far_end;

struct fa_relay {
    fa_account *account;                 /* a reference; pays for this */
    pthread_mutex_t lock;                /* guards what follows, but for near and far, each its own thread's */
    unsigned holders;                    /* the near end; the far one or its ticket */
    fa_worker *near_worker, *far_worker; /* far: NULL while it is a ticket */
    fa_message to_near, to_far;
    fa_moving *ticket; /* to be delivered from the loop of whoever gives it away */

    bool pending, final, aborted; /* for the near end */
    fa_piece pieces[FA_MAX_PIECES];
    size_t count;
    uint64_t stall_ms;
    bool sent, near_over; /* for the far end */

    fa_exchange *near;
    fa_scope_hook near_end;
    far_end *far;
};

/* Lies in its own request scope. */
struct far_end {
    fa_exchange exchange;
    fa_relay *relay;
    _Alignas(fa_header) char texts[]; /* of the request */
};

static void let_go(fa_relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    bool last = --relay->holders == 0;
    pthread_mutex_unlock(&relay->lock);
    if (!last)
        return;
    fa_account *account = relay->account;
    pthread_mutex_destroy(&relay->lock);
    fa_account_free(account, relay, sizeof(*relay));
    fa_account_unref(account);
}

/* With the lock. */
static void tell_near(fa_relay *relay)
{
    if (!relay->near_over)
        fa_worker_post(relay->near_worker, &relay->to_near);
}

/* With the lock. */
static void tell_far(fa_relay *relay)
{
    if (relay->far_worker != NULL)
        fa_worker_post(relay->far_worker, &relay->to_far);
}

/* ---- near ---- */

static void near_sent(fa_exchange *exchange, void *context)
{
    fa_relay *relay = context;
    (void)exchange;
    pthread_mutex_lock(&relay->lock);
    relay->sent = true;
    tell_far(relay);
    pthread_mutex_unlock(&relay->lock);
}

/* The client has left, or has everything. */
static void near_ends(fa_scope_hook *hook)
{
    fa_relay *relay = FA_OBJECT(hook, fa_relay, near_end);
    fa_worker_withdraw(relay->near_worker, &relay->to_near);
    relay->near = NULL;
    pthread_mutex_lock(&relay->lock);
    fa_moving *ticket = relay->ticket != NULL && relay->far_worker == NULL ? relay->ticket : NULL;
    if (ticket != NULL)
        relay->ticket = NULL;
    relay->near_over = true;
    tell_far(relay);
    pthread_mutex_unlock(&relay->lock);
    if (ticket != NULL) {
        ticket->lost = true;
        fa_moving_deliver(ticket);
    }
    let_go(relay);
}

static void look_near(fa_message *message)
{
    fa_relay *relay = FA_OBJECT(message, fa_relay, to_near);
    fa_piece pieces[FA_MAX_PIECES];
    pthread_mutex_lock(&relay->lock);
    fa_moving *ticket = relay->far_worker == NULL ? relay->ticket : NULL;
    bool aborted = relay->aborted, pending = relay->pending, final = relay->final;
    size_t count = relay->count;
    if (ticket != NULL)
        relay->ticket = NULL;
    relay->pending = false;
    memcpy(pieces, relay->pieces, sizeof(pieces));
    if (pending)
        relay->near->stall_ms = relay->stall_ms;
    pthread_mutex_unlock(&relay->lock);
    fa_exchange *near = relay->near; /* the ticket may be discarded on the spot, but not the near end under our feet */
    if (ticket != NULL)
        fa_moving_deliver(ticket);
    if (aborted || (pending && fa_exchange_send(near, pieces, count, final) != FA_OK))
        fa_exchange_abort(near);
}

static fa_result new_relay(fa_exchange *exchange, fa_relay **out)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(exchange->worker));
    fa_result result = fa_account_allocate(account, sizeof(fa_relay), &memory);
    if (result != FA_OK)
        return result;
    fa_relay *relay = memset(memory, 0, sizeof(*relay));
    relay->account = fa_account_ref(account);
    pthread_mutex_init(&relay->lock, NULL);
    relay->holders = 1; /* whoever makes it */
    relay->near_worker = exchange->worker;
    relay->near = exchange;
    fa_message_init(&relay->to_near, look_near);
    *out = relay;
    return FA_OK;
}

static void look_far(fa_message *message);

fa_result fa_relay_start(fa_exchange *exchange, const fa_header *headers, size_t count,
                         void (*moved)(fa_moving *moving, void *context), void *context)
{
    fa_relay *relay;
    fa_moving *moving;
    fa_result result = new_relay(exchange, &relay);
    if (result != FA_OK)
        return result;
    result = fa_moving_new(relay->account, exchange, -1, moved, context, &moving);
    if (result == FA_OK && (result = fa_exchange_start(exchange, 200, headers, count, -1)) != FA_OK)
        fa_moving_discard(moving);
    if (result != FA_OK) {
        let_go(relay);
        return result;
    }
    fa_message_init(&relay->to_far, look_far);
    exchange->on_sent = near_sent;
    exchange->on_gone = NULL;
    exchange->context = relay;
    fa_scope_hook_add(exchange->scope, &relay->near_end, near_ends);
    fa_exchange_watch(exchange);
    relay->holders = 2;
    relay->ticket = moving;
    moving->relay = relay;
    fa_worker_post(exchange->worker, &relay->to_near);
    return FA_OK;
}

/* ---- far ---- */

static void end_far(fa_relay *relay, const char *why)
{
    far_end *far = relay->far;
    fa_scope *scope = far->exchange.scope;
    fa_worker *worker = far->exchange.worker;
    relay->far = NULL;
    fa_exchange_gone(&far->exchange);
    fa_scope_end(scope, why, NULL); /* and the far end lies in it */
    fa_worker_release(worker);
}

/* From the loop; nothing is under way. What the near end says from now on waits for the next one. */
static void give_away(fa_relay *relay, fa_moving *ticket)
{
    fa_worker *worker = relay->far->exchange.worker;
    pthread_mutex_lock(&relay->lock);
    relay->far_worker = NULL;
    relay->ticket = NULL;
    ticket->lost = relay->near_over;
    fa_worker_withdraw(worker, &relay->to_far);
    pthread_mutex_unlock(&relay->lock);
    end_far(relay, "moved to another worker");
    fa_moving_deliver(ticket);
}

static void look_far(fa_message *message)
{
    fa_relay *relay = FA_OBJECT(message, fa_relay, to_far);
    pthread_mutex_lock(&relay->lock);
    fa_moving *ticket = relay->ticket;
    bool sent = relay->sent, over = relay->near_over;
    relay->sent = false;
    pthread_mutex_unlock(&relay->lock);
    if (ticket != NULL) {
        give_away(relay, ticket);
    } else if (over) {
        end_far(relay, relay->far->exchange.finished ? "answered" : "the client vanished");
        let_go(relay);
    } else if (sent) {
        fa_exchange_sent(&relay->far->exchange); /* may send again, or move */
    }
}

static fa_relay *relay_of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, far_end, exchange)->relay;
}

static fa_result back_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    (void)exchange, (void)status, (void)headers, (void)count, (void)length;
    return FA_WRONG_STATE; /* it was started where it came from */
}

static fa_result back_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    fa_relay *relay = relay_of(exchange);
    pthread_mutex_lock(&relay->lock);
    bool over = relay->near_over;
    memcpy(relay->pieces, pieces, count * sizeof(*pieces));
    relay->count = count;
    relay->final = final;
    relay->stall_ms = exchange->stall_ms;
    relay->pending = true;
    tell_near(relay);
    pthread_mutex_unlock(&relay->lock);
    return over ? FA_WRONG_STATE : FA_OK;
}

static void back_abort(fa_exchange *exchange)
{
    fa_relay *relay = relay_of(exchange);
    pthread_mutex_lock(&relay->lock);
    relay->aborted = true;
    tell_near(relay);
    pthread_mutex_unlock(&relay->lock);
}

static void back_watch(fa_exchange *exchange)
{
    (void)exchange; /* the near end does */
}

static fa_result back_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                           void (*moved)(fa_moving *moving, void *context), void *context)
{
    fa_relay *relay = relay_of(exchange);
    fa_moving *moving;
    (void)headers, (void)count;
    fa_result result = fa_moving_new(relay->account, exchange, -1, moved, context, &moving);
    if (result != FA_OK)
        return result;
    moving->relay = relay;
    pthread_mutex_lock(&relay->lock);
    relay->ticket = moving;
    tell_far(relay);
    pthread_mutex_unlock(&relay->lock);
    return FA_OK;
}

static const fa_exchange_back_end relayed = {
    .start = back_start,
    .send = back_send,
    .abort = back_abort,
    .watch = back_watch,
    .move = back_move,
};

fa_result fa_relay_adopt(fa_moving *moving, fa_worker *worker, fa_scope *scope, fa_exchange **out)
{
    fa_relay *relay = moving->relay;
    far_end *far = fa_scope_allocate(scope, sizeof(*far) + moving->copied);
    if (far == NULL)
        return FA_NO_MEMORY;
    far->relay = relay;
    fa_exchange_init(&far->exchange, &relayed, worker, scope);
    fa_moving_unpack(moving, far->texts, &far->exchange);
    far->exchange.status = 200;
    pthread_mutex_lock(&relay->lock);
    bool over = relay->near_over;
    if (!over) {
        relay->far_worker = worker;
        relay->far = far;
    }
    pthread_mutex_unlock(&relay->lock);
    if (over)
        return FA_CANCELLED;
    fa_worker_hold(worker);
    moving->relay = NULL;
    *out = &far->exchange;
    return FA_OK;
}

void fa_relay_abandon(fa_relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->aborted = true;
    tell_near(relay);
    pthread_mutex_unlock(&relay->lock);
    let_go(relay);
}
