#include "exchange/websocket_frames.h"

#include <string.h>
#include <wslay/wslay.h>

#include "base/utf8.h"

/* What wslay allocates for a context with malloc: its block of 4 KB for input and some fields. It cannot be told to take memory of
 * ours, so the scope is charged for it. */
enum { WSLAY_BYTES = 4096 + 256 };

struct fa_frames {
    wslay_frame_context_ptr context;
    fa_scope *scope;
    fa_scope_hook at_end;
    const uint8_t *input;
    size_t left;
    uint64_t max_message;

    bool inside; /* a frame: its head has been looked at */
    uint64_t frame_bytes;
    bool open, text; /* a message */
    uint64_t message_bytes;
    fa_utf8 utf8;
    uint8_t control[FA_FRAME_CONTROL_SIZE];
    size_t control_length;
    bool bad;
};

/* ---- making ---- */

static ssize_t give(uint8_t *to, size_t room, int flags, void *context)
{
    fa_frames *frames = context;
    size_t count = frames->left < room ? frames->left : room;
    (void)flags;
    if (count == 0)
        return -1; /* more is needed */
    memcpy(to, frames->input, count);
    frames->input += count;
    frames->left -= count;
    return (ssize_t)count;
}

static void on_end(fa_scope_hook *hook)
{
    fa_frames *frames = FA_OBJECT(hook, fa_frames, at_end);
    wslay_frame_context_free(frames->context);
    fa_account_discharge(fa_scope_account(frames->scope), WSLAY_BYTES);
}

fa_result fa_frames_new(fa_scope *scope, size_t max_message, fa_frames **out)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    fa_frames *frames = fa_scope_allocate(scope, sizeof(*frames));
    if (frames == NULL)
        return FA_NO_MEMORY;
    fa_result result = fa_account_charge(fa_scope_account(scope), WSLAY_BYTES);
    if (result == FA_OK && wslay_frame_context_init(&frames->context, &callbacks, frames) != 0) {
        fa_account_discharge(fa_scope_account(scope), WSLAY_BYTES);
        result = FA_NO_MEMORY;
    }
    if (result != FA_OK) {
        fa_scope_free(scope, frames);
        return result;
    }
    frames->scope = scope;
    frames->max_message = max_message;
    fa_scope_hook_add(scope, &frames->at_end, on_end);
    *out = frames;
    return FA_OK;
}

void fa_frames_feed(fa_frames *frames, const uint8_t *bytes, size_t length)
{
    frames->input = bytes;
    frames->left = length;
}

size_t fa_frames_left(fa_frames *frames)
{
    size_t left = frames->left;
    frames->input = NULL;
    frames->left = 0;
    return left;
}

/* ---- judging ---- */

static fa_frame bad(fa_frames *frames, unsigned code, const char *why)
{
    frames->bad = true;
    return (fa_frame){.kind = FA_FRAME_BAD, .code = code, .why = why};
}

/* What the head of a frame says against it; NULL when it may come now. */
static const char *fault_of(const fa_frames *frames, const struct wslay_frame_iocb *frame)
{
    bool control = wslay_is_ctrl_frame(frame->opcode);
    if (frame->rsv != 0)
        return "a reserved bit is set, and no extension was agreed on";
    if (frame->opcode > WSLAY_PONG || (frame->opcode > WSLAY_BINARY_FRAME && !control))
        return "an opcode that does not exist";
    if (!frame->mask)
        return "a client's frames are masked";
    if (frame->opcode == WSLAY_CONTINUATION_FRAME && !frames->open)
        return "a continuation of nothing";
    if ((frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME) && frames->open)
        return "a new message before the end of the last one";
    return NULL;
}

static void enter(fa_frames *frames, const struct wslay_frame_iocb *frame)
{
    frames->inside = true;
    frames->frame_bytes = 0;
    if (wslay_is_ctrl_frame(frame->opcode)) {
        frames->control_length = 0;
    } else if (!frames->open) {
        frames->open = true;
        frames->text = frame->opcode == WSLAY_TEXT_FRAME;
        frames->message_bytes = 0;
        frames->utf8 = (fa_utf8){0};
    }
}

static fa_frame take_data(fa_frames *frames, const struct wslay_frame_iocb *frame, bool ends)
{
    fa_frame piece = {.kind = FA_FRAME_DATA, .text = frames->text, .data = frame->data, .length = frame->data_length};
    piece.final = ends && frame->fin;
    frames->message_bytes += frame->data_length;
    if (frames->text && (!fa_utf8_take(&frames->utf8, frame->data, frame->data_length) ||
                         (piece.final && !fa_utf8_complete(&frames->utf8))))
        return bad(frames, FA_WEBSOCKET_BAD_TEXT, "a text that is not UTF-8");
    frames->open = !piece.final;
    return piece;
}

bool fa_websocket_code_allowed(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static fa_frame take_close(fa_frames *frames)
{
    fa_frame close = {.kind = FA_FRAME_CLOSE, .code = FA_WEBSOCKET_NO_STATUS};
    if (frames->control_length == 0)
        return close;
    if (frames->control_length == 1)
        return bad(frames, FA_WEBSOCKET_PROTOCOL, "a Close with half a code");
    close.code = (unsigned)frames->control[0] << 8 | frames->control[1];
    close.data = frames->control + 2;
    close.length = frames->control_length - 2;
    if (!fa_websocket_code_allowed(close.code))
        return bad(frames, FA_WEBSOCKET_PROTOCOL, "a Close with a code that nobody may send");
    if (!fa_utf8_valid(close.data, close.length))
        return bad(frames, FA_WEBSOCKET_BAD_TEXT, "the reason of a Close is not UTF-8");
    return close;
}

static fa_frame take_control(fa_frames *frames, unsigned opcode)
{
    fa_frame control = {.kind = opcode == WSLAY_PING ? FA_FRAME_PING : FA_FRAME_PONG};
    if (opcode == WSLAY_CONNECTION_CLOSE)
        return take_close(frames);
    control.data = frames->control;
    control.length = frames->control_length;
    return control;
}

/* A piece of a frame. FA_FRAME_NONE: nothing to tell of it yet. */
static fa_frame take(fa_frames *frames, const struct wslay_frame_iocb *frame)
{
    bool control = wslay_is_ctrl_frame(frame->opcode);
    const char *fault = frames->inside ? NULL : fault_of(frames, frame);
    if (fault != NULL)
        return bad(frames, FA_WEBSOCKET_PROTOCOL, fault);
    if (!frames->inside) {
        enter(frames, frame);
        if (!control && frame->payload_length > frames->max_message - frames->message_bytes)
            return bad(frames, FA_WEBSOCKET_TOO_BIG, "the message is larger than this path takes");
    }
    frames->frame_bytes += frame->data_length;
    bool ends = frames->frame_bytes == frame->payload_length;
    frames->inside = !ends;
    if (!control)
        return take_data(frames, frame, ends);
    if (frame->data_length != 0) /* wslay lets no control frame be longer than that */
        memcpy(frames->control + frames->control_length, frame->data, frame->data_length);
    frames->control_length += frame->data_length;
    return ends ? take_control(frames, frame->opcode) : (fa_frame){.kind = FA_FRAME_NONE};
}

fa_frame fa_frames_next(fa_frames *frames)
{
    fa_frame told = {.kind = FA_FRAME_NONE};
    if (frames->bad) {
        frames->left = 0;
        return told;
    }
    while (told.kind == FA_FRAME_NONE) {
        struct wslay_frame_iocb frame;
        memset(&frame, 0, sizeof(frame));
        ssize_t got = wslay_frame_recv(frames->context, &frame);
        if (got == WSLAY_ERR_WANT_READ)
            return told;
        if (got < 0)
            return bad(frames, FA_WEBSOCKET_PROTOCOL, "a frame that is not made as RFC 6455 says");
        told = take(frames, &frame);
    }
    return told;
}

/* ---- writing ---- */

size_t fa_frame_head(uint8_t head[FA_FRAME_HEAD_SIZE], unsigned opcode, uint64_t length)
{
    size_t more = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;
    head[0] = (uint8_t)(0x80 | opcode);
    head[1] = (uint8_t)(more == 0 ? length : more == 2 ? 126 : 127);
    for (size_t i = 0; i < more; ++i)
        head[2 + i] = (uint8_t)(length >> 8 * (more - 1 - i));
    return 2 + more;
}
