/* WebSocket frames (RFC 6455, section 5) as a server reads them: bytes in, messages in pieces and control frames out, and the first
 * thing that is wrong. libwslay takes frames apart and unmasks them; what a sequence of frames may be is decided here: reserved bits
 * and opcodes, masks, fragments, the length of a message, UTF-8, what a Close may say.
 *
 *     fa_frames_feed -> fa_frames_next until FA_FRAME_NONE -> fa_frames_left (normally 0)
 *
 * Pure: it sends nothing and waits for nothing. Thread: its owner's.
 */
#ifndef FA_EXCHANGE_WEBSOCKET_FRAMES_H
#define FA_EXCHANGE_WEBSOCKET_FRAMES_H

#include "memory/scope.h"

enum {
    FA_WEBSOCKET_NORMAL = 1000,
    FA_WEBSOCKET_GOING_AWAY = 1001,
    FA_WEBSOCKET_PROTOCOL = 1002,
    FA_WEBSOCKET_NO_STATUS = 1005, /* never sent: a Close without one */
    FA_WEBSOCKET_ABNORMAL = 1006,  /* never sent: no Close at all */
    FA_WEBSOCKET_BAD_TEXT = 1007,
    FA_WEBSOCKET_POLICY = 1008,
    FA_WEBSOCKET_TOO_BIG = 1009,
    FA_WEBSOCKET_ERROR = 1011,
    FA_WEBSOCKET_TRY_LATER = 1013,

    FA_FRAME_CONTROL_SIZE = 125,
    FA_FRAME_HEAD_SIZE = 10
};

typedef enum fa_frame_kind {
    FA_FRAME_NONE, /* more bytes are needed */
    FA_FRAME_DATA, /* a piece of a message */
    FA_FRAME_PING,
    FA_FRAME_PONG,
    FA_FRAME_CLOSE,
    FA_FRAME_BAD /* nothing that comes after it is looked at */
} fa_frame_kind;

typedef struct fa_frame {
    fa_frame_kind kind;
    bool text, final;    /* DATA: final ends the message; the piece may be empty */
    const uint8_t *data; /* the piece, the payload, the reason of a Close; borrowed until the next call */
    size_t length;
    unsigned code;   /* CLOSE: FA_WEBSOCKET_NO_STATUS when it has none. BAD: what a Close should say */
    const char *why; /* BAD: static */
} fa_frame;

typedef struct fa_frames fa_frames;

/* Lies in `scope` and ends with it. max_message: bytes of one message, all its fragments together. FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_frames_new(fa_scope *scope, size_t max_message, fa_frames **frames);

/* Bytes of the peer, borrowed until the next feed or fa_frames_left. */
void fa_frames_feed(fa_frames *frames, const uint8_t *bytes, size_t length);
fa_frame fa_frames_next(fa_frames *frames);

/* How many of the bytes have not been taken; they are forgotten, and must be fed again. */
size_t fa_frames_left(fa_frames *frames);

/* Whether a peer may put this code into a Close. */
bool fa_websocket_code_allowed(unsigned code);

/* The head of an unmasked, final frame. Returns its length. */
size_t fa_frame_head(uint8_t head[FA_FRAME_HEAD_SIZE], unsigned opcode, uint64_t length);

#endif
