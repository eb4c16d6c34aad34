/* An answer that is given in pieces: a bounded queue between whoever makes the bytes and the client who takes them.
 *
 *     fa_outlet_open -> fa_outlet_write, again and again -> fa_outlet_finish
 *
 * A write is refused (FA_FULL) while the queue is full; fa_outlet_wait then tells when there is room. What is queued is
 * what the socket has not taken yet; it is never above the cap, but for one write that is larger than the cap, which
 * goes alone. An outlet lies in the request scope and ends with it. Nothing here ends an exchange inside of a call.
 *
 * For a HEAD request, 204 and 304 the head leaves at once and what is written is dropped.
 *
 * Thread: the worker's.
 */
#ifndef FA_EXCHANGE_OUTLET_H
#define FA_EXCHANGE_OUTLET_H

#include "exchange/exchange.h"

typedef struct fa_outlet fa_outlet;

/* Somebody who waits for room. Lies with whoever waits; fa_list_remove(&waiter.link) takes it out. */
typedef struct fa_outlet_waiter {
    fa_list link;
    size_t wanted; /* bytes */
    /* Once: there is room for `wanted` and a write of so many will be taken if it is made now; or the stream is gone
     * (then from the end of its scope). Must not run anything that may write to this outlet again. */
    void (*wake)(struct fa_outlet_waiter *waiter, bool gone);
} fa_outlet_waiter;

/* Begins the answer, which must not have begun. headers, length, errors: as fa_exchange_start. cap: bytes. */
fa_result fa_outlet_open(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length,
                         size_t cap, fa_outlet **outlet);

/* The same for a connection that becomes one of another protocol: fa_exchange_upgrade, with its errors. */
fa_result fa_outlet_open_upgraded(fa_exchange *exchange, const fa_header *headers, size_t count,
                                  size_t (*on_input)(fa_exchange *exchange, const uint8_t *bytes, size_t length,
                                                     void *context),
                                  void *input_context, size_t cap, fa_outlet **outlet);

/* Queues a sealed buffer (leased until it is sent) or bytes (copied; small ones are put together). FA_FULL: not now, or
 * others wait for room before; FA_CANCELLED: the client is gone; FA_WRONG_STATE: finished, or not sealed; FA_INVALID:
 * beyond the declared length; FA_NO_MEMORY, FA_OVER_BUDGET. Writing nothing is fine. */
fa_result fa_outlet_write(fa_outlet *outlet, fa_buffer *buffer);
fa_result fa_outlet_write_bytes(fa_outlet *outlet, const void *data, size_t length);

/* A head and a buffer (sealed, or NULL) that belong together: both are queued or none. urgent: also above the cap, and before
 * those who wait; whoever says so keeps to a bound of its own. Errors as above. */
fa_result fa_outlet_write_framed(fa_outlet *outlet, const void *head, size_t head_length, fa_buffer *buffer,
                                 bool urgent);

void fa_outlet_wait(fa_outlet *outlet, fa_outlet_waiter *waiter);

/* The answer ends when what is queued has been sent; those who still wait for room are told that it is gone. FA_INVALID
 * when it is short of its declared length: the connection is cut then. FA_WRONG_STATE when it was finished before,
 * FA_CANCELLED when the client is gone. */
fa_result fa_outlet_finish(fa_outlet *outlet);

size_t fa_outlet_queued(const fa_outlet *outlet);       /* bytes that the socket has not taken */
uint64_t fa_outlet_written_ms(const fa_outlet *outlet); /* fa_worker_now of the last write */
bool fa_outlet_finished(const fa_outlet *outlet);       /* or gone */

/* For a writer in C that keeps to the cap by itself: it is called from the loop after each send that the socket took, and its
 * writes are never FA_FULL. */
void fa_outlet_on_taken(fa_outlet *outlet, void (*taken)(fa_outlet *outlet, void *context), void *context);

/* Whatever whoever opened it wants to find again; NULL at first. */
void fa_outlet_set_owner(fa_outlet *outlet, void *owner);
void *fa_outlet_owner(const fa_outlet *outlet);

/* The one that answers this exchange, unless fa_outlet_on_taken was used on it; else NULL. */
fa_outlet *fa_outlet_of(const fa_exchange *exchange);

#endif
