/* Inside of fa_moving (exchange.h), for back ends that can move: what an exchange leaves behind when it goes to another
 * worker. The new one is made of it in a request scope of its own. Thread: any, but one at a time. */
#ifndef FA_EXCHANGE_MOVING_H
#define FA_EXCHANGE_MOVING_H

#include "exchange/exchange.h"

struct fa_moving {
    fa_account *account; /* a reference; pays for all of this */
    size_t size;
    int fd; /* -1 once it has a new owner */
    char request_id[FA_REQUEST_ID_SIZE];
    uint64_t stall_ms;
    fa_trace trace;
    fa_exchange_story story;
    fa_text method, target, remote;
    const fa_header *headers;
    size_t header_count;
    size_t copied;          /* bytes at `bytes`: what fa_moving_unpack needs */
    struct fa_relay *relay; /* instead of a descriptor: what leads back to the exchange (relay.h) */
    void *secret;           /* what enciphers the connection, and how it is freed; NULL: nothing does */
    void (*free_secret)(void *secret);
    bool lost;          /* the connection was cut on its way */
    fa_text last_words; /* static; see fa_moving_last_words */
    /* The back end's: it is discarded and its connection has no new owner. It is closed right after. Any thread. */
    void (*on_lost)(const fa_moving *moving);
    void *back_end;
    void (*moved)(fa_moving *moving, void *context);
    void *context;
    _Alignas(fa_header) char bytes[];
};

/* fd: duplicated; -1: there is none, but a relay to come. FA_FULL when the request's texts take more than FA_MOVING_MOST_BYTES, FA_IO when there is no
 * descriptor, FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_moving_new(fa_account *account, const fa_exchange *exchange, int fd,
                        void (*moved)(fa_moving *moving, void *context), void *context, fa_moving **moving);

/* Tells whoever waits for it: it has the ticket now, or NULL when the ticket is lost, which is then discarded. */
void fa_moving_deliver(fa_moving *moving);

/* Copies the request into `place` (moving->copied bytes, aligned for a header) and lets the exchange point there. The
 * target is parsed last, which may want memory of the exchange's scope. */
void fa_moving_unpack(const fa_moving *moving, void *place, fa_exchange *exchange);

#endif
