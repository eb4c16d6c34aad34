/* A WebSocket (RFC 6455) over an exchange that has been upgraded: whole messages in sealed buffers, both ways.
 *
 *     fa_websocket_open -> fa_websocket_take / fa_websocket_send -> fa_websocket_close
 *
 * It stands on bytes alone (fa_exchange_upgrade, exchange/outlet.h), so the same code runs over sockets, TLS and in process.
 *
 * What comes waits, up to `queue` bytes; then nothing more is read until some is taken (but never less than one message).
 * What is sent is queued in an outlet of the same size; above it a send is FA_FULL. A peer that is silent for ping_ms is pinged,
 * and cut when nothing has come from it pong_ms later. Pings are answered in C. What the peer does wrong closes the connection
 * with the code that says so: 1002, 1007, 1009; 1013 when there is no memory for its message.
 *
 * Closing: whoever begins sends a Close, and the other answers it; then the connection ends, and the request scope with it. The
 * peer's Close is answered by fa_websocket_close, after close_ms in any case: until then its reader may work on what came before.
 *
 * Lies in the request scope and ends with it; all it holds is charged there. Nothing here ends the exchange inside of a call, so
 * everything may be called anywhere, a callback included. Thread: the worker's.
 */
#ifndef FA_EXCHANGE_WEBSOCKET_H
#define FA_EXCHANGE_WEBSOCKET_H

#include "exchange/outlet.h"
#include "exchange/websocket_frames.h"
#include "exchange/websocket_handshake.h"

typedef struct fa_websocket fa_websocket;

typedef struct fa_websocket_options {
    size_t max_message;        /* bytes of one of the peer's */
    size_t queue;              /* bytes each way */
    uint64_t ping_ms, pong_ms; /* ping_ms 0: a silent peer is as good as any */
    uint64_t close_ms;         /* for the peer's part in closing */
} fa_websocket_options;

typedef struct fa_websocket_message {
    fa_buffer *buffer; /* sealed, of the request scope; whoever takes it releases it */
    bool text;         /* it is UTF-8 */
} fa_websocket_message;

enum { FA_WEBSOCKET_REASON_SIZE = 124 };

/* Answers 101. handshake: judged well; borrowed for the call. Errors as fa_exchange_upgrade. */
fa_result fa_websocket_open(fa_exchange *exchange, const fa_websocket_handshake *handshake,
                            const fa_websocket_options *options, fa_websocket **websocket);

/* changed: called when something can be taken, and when it has closed. From the loop or from fa_websocket_close; it may call what it
 * likes. NULL: nobody. */
void fa_websocket_listen(fa_websocket *websocket, void (*changed)(fa_websocket *websocket, void *context),
                         void *context);

/* The next message. False: none has come, or (fa_websocket_closed) none will come. */
bool fa_websocket_take(fa_websocket *websocket, fa_websocket_message *message);

/* Sends a sealed buffer (leased until it is sent) or bytes (copied) as one message. FA_FULL: not now; FA_CANCELLED: closed or gone;
 * FA_INVALID: a text that is not UTF-8; FA_WRONG_STATE: not sealed; FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_websocket_send(fa_websocket *websocket, bool text, fa_buffer *buffer);
fa_result fa_websocket_send_bytes(fa_websocket *websocket, bool text, const void *data, size_t length);

/* waiter->wake is called when a message of `length` bytes may be sent, or it is gone: fa_outlet_wait. */
void fa_websocket_wait(fa_websocket *websocket, size_t length, fa_outlet_waiter *waiter);

/* Closes, after what has been sent. What has not been taken is dropped. code: fa_websocket_code_allowed; reason: UTF-8, cut to 123
 * bytes. Only the first close counts. */
void fa_websocket_close(fa_websocket *websocket, unsigned code, const char *reason);

/* Whether it has been closed, by whom ever. code (FA_WEBSOCKET_NO_STATUS when the peer gave none), reason (borrowed): may be NULL. */
bool fa_websocket_closed(const fa_websocket *websocket, unsigned *code, const char **reason);

size_t fa_websocket_queued(const fa_websocket *websocket); /* bytes that the socket has not taken */

#endif
