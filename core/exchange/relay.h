/* The move of an exchange that cannot move: a stream of HTTP/2 shares its connection with others, so it stays where it is (near), and
 * whoever answers it on another worker (far) gets an exchange that hands each send over to it.
 *
 *   far: fa_exchange_send --pieces of sealed buffers--> near: fa_exchange_send --> the client
 *   far: on_sent          <-------------------------- near: on_sent
 *
 * No byte is copied and nothing is queued: there is one send at a time, as on every exchange, and its buffers stay leased at the far end
 * until the near one says that the socket has them. It holds its worker (fa_worker_hold) for as long as the near end lives.
 *
 * Thread: as each says. */
#ifndef FA_EXCHANGE_RELAY_H
#define FA_EXCHANGE_RELAY_H

#include "exchange/exchange.h"

typedef struct fa_relay fa_relay;

/* fa_exchange_move's last resort: begins the answer here (status 200, headers as for fa_exchange_start), keeps the exchange, and calls
 * `moved` with the ticket from the loop. Errors as there; then nothing has happened. Thread: the exchange's. */
fa_result fa_relay_start(fa_exchange *exchange, const fa_header *headers, size_t count,
                         void (*moved)(fa_moving *moving, void *context), void *context);

/* Makes the far exchange in `scope`, which is its request scope from then on, and takes the ticket's relay. FA_CANCELLED when the client
 * has left, FA_NO_MEMORY; then the scope is still the caller's. Thread: worker's. */
fa_result fa_relay_adopt(fa_moving *moving, fa_worker *worker, fa_scope *scope, fa_exchange **exchange);

/* The ticket is discarded: nobody will answer, so the near end is cut. Thread: any. */
void fa_relay_abandon(fa_relay *relay);

#endif
