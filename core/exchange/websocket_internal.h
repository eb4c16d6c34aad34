/* What websocket.c and websocket_close.c share. */
#ifndef FA_EXCHANGE_WEBSOCKET_INTERNAL_H
#define FA_EXCHANGE_WEBSOCKET_INTERNAL_H

#include "exchange/websocket.h"
#include "worker/timer.h"

/* How what the peer sends ends. */
typedef enum fa_websocket_end {
    FA_WEBSOCKET_GOES_ON,
    FA_WEBSOCKET_CAME,   /* its Close has come */
    FA_WEBSOCKET_FAILED, /* it has done something wrong */
} fa_websocket_end;

struct fa_websocket {
    fa_exchange *exchange;
    fa_outlet *outlet;
    fa_frames *frames;
    fa_websocket_options options;

    fa_buffer *message; /* that comes now; NULL between two */
    fa_list arrived;
    size_t arrived_count, arrived_bytes;
    bool held; /* there is more, but nobody has taken what came before */
    bool busy; /* one has been taken, and the next one has not been asked for */

    uint64_t heard_ms, pinged_ms; /* pinged_ms 0: no answer is awaited */
    fa_timer alive, closing;

    fa_websocket_end end; /* nothing that comes after it is looked at */
    unsigned end_code;    /* of the Close that came, or for the one that tells of a failure */
    char end_reason[FA_WEBSOCKET_REASON_SIZE];
    bool told; /* whoever uses it knows that it is closed, and why: code, reason */
    bool close_sent;
    bool done; /* the last word is in the outlet */
    unsigned code;
    char reason[FA_WEBSOCKET_REASON_SIZE];

    void (*changed)(fa_websocket *websocket, void *context);
    void *context;
};

/* websocket.c. FA_FULL also for control frames of a peer that takes none of them. */
fa_result fa_websocket_frame(fa_websocket *websocket, unsigned opcode, const void *data, size_t length,
                             fa_buffer *buffer);
void fa_websocket_forget_message(fa_websocket *websocket); /* the one that comes now */
void fa_websocket_forget_arrived(fa_websocket *websocket);

/* websocket_close.c. end: what the peer sends has ended, by its Close or by a fault. drained: whoever reads has had all that came before
 * that, and asks for more. */
void fa_websocket_ended(fa_websocket *websocket, fa_websocket_end end, unsigned code, const char *reason,
                        size_t length);
void fa_websocket_drained(fa_websocket *websocket);

#endif
