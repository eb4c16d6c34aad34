/* Topics: what one task says and others, on whatever worker, want to hear. A message is one sealed buffer; every subscription gets a lease
 * of it, none a copy.
 *
 * A subscription has a queue of fixed length. One that does not keep up loses the oldest messages and is told how many: nobody who
 * publishes ever waits for somebody who listens. Messages of one publisher come in their order.
 *
 * Messages that are made here belong to the account "topics" of kind cache until the last subscription has taken and returned them. One that
 * was made elsewhere stays charged there; what it keeps alive counts here for as long as it waits in a queue, so that all of them together are
 * within the budget. At the budget whoever has the most bytes waiting loses its oldest message, and is told so like one whose queue is full.
 * Thread: any, but for a subscription, which belongs to its worker.
 */
#ifndef FA_WORKER_TOPICS_H
#define FA_WORKER_TOPICS_H

#include "worker/worker.h"

typedef struct fa_topics fa_topics;
typedef struct fa_told fa_told; /* a message that waits, once for all its queues */

enum { FA_TOPIC_NAME_SIZE = 64, FA_TOPIC_QUEUE_MOST = 1024 };

/* One who listens; zeroed, in memory of whoever asks, until fa_subscription_end. */
typedef struct fa_subscription {
    fa_list link; /* guarded by the topics' lock, like all up to `missed` */
    char name[FA_TOPIC_NAME_SIZE];
    unsigned first, count, most;
    size_t waiting; /* bytes */
    size_t missed;
    fa_topics *topics;
    fa_worker *worker;
    fa_message arrived;
    void (*ready)(struct fa_subscription *subscription);
    fa_told **queue; /* of `most`; the caller's memory */
} fa_subscription;

/* In memory of `scope`, which must outlive every subscription. budget: bytes of all messages on their way, 0: no limit of its own. NULL:
 * no memory. */
fa_topics *fa_topics_new(fa_scope *scope, size_t budget);

fa_account *fa_topics_account(const fa_topics *topics);

/* A detached buffer of the account, to be filled and sealed. FA_OVER_BUDGET when there is no room though nothing waited any more (then nothing
 * is taken from anybody), FA_NO_MEMORY. */
fa_result fa_topics_message(fa_topics *topics, size_t length, fa_origin made_at, fa_buffer **message);

/* name: copied, shorter than FA_TOPIC_NAME_SIZE. queue: room for `most` pointers, the caller's as long as the subscription. ready: called
 * from the worker's loop after something has come; again only after something has come again. Thread: the worker's. */
void fa_topics_subscribe(fa_topics *topics, const char *name, fa_told **queue, unsigned most, fa_worker *worker,
                         void (*ready)(fa_subscription *subscription), fa_subscription *subscription);

/* The next message, leased for the caller, or NULL. missed: gets how many were dropped before it since the last call. Thread: the worker's. */
fa_buffer *fa_subscription_take(fa_subscription *subscription, size_t *missed);

/* Gives back what is queued; `ready` is not called any more. Harmless twice and on a zeroed one. Thread: the worker's. */
void fa_subscription_end(fa_subscription *subscription);

/* Hands a message to all who listen to `name` now: how many. message: sealed; borrowed (it is leased). elsewhere: what it keeps of other
 * accounts (fa_buffer_pinned), 0 for one of fa_topics_message. Errors as there; nobody has it then. */
fa_result fa_topics_publish(fa_topics *topics, const char *name, fa_buffer *message, size_t elsewhere, size_t *count);

#endif
