/* The life of a WebSocket but for its end (websocket_close.c): what comes, what is sent, and whether the peer is still there. What frames
 * say is websocket_frames.c's; here is what follows from it. */
#include <string.h>
#include <wslay/wslay.h>

#include "base/utf8.h"
#include "exchange/websocket_internal.h"
#include "memory/buffer.h"

enum { MOST_ARRIVED = 256, FIRST_CAPACITY = 1024, CONTROL_SLACK = 16 * 1024 };

typedef struct arrived {
    fa_list link;
    fa_websocket_message message;
} arrived;

static uint64_t now(const fa_websocket *ws)
{
    return fa_worker_now(ws->exchange->worker);
}

/* ---- what is sent ---- */

fa_result fa_websocket_frame(fa_websocket *ws, unsigned opcode, const void *data, size_t length, fa_buffer *buffer)
{
    uint8_t frame[FA_FRAME_HEAD_SIZE + FA_FRAME_CONTROL_SIZE];
    bool control = wslay_is_ctrl_frame(opcode);
    size_t head = fa_frame_head(frame, opcode, buffer != NULL ? fa_buffer_length(buffer) : length);
    if (control && length != 0)
        memcpy(frame + head, data, length);
    if (!control || fa_outlet_queued(ws->outlet) < ws->options.queue + CONTROL_SLACK)
        return fa_outlet_write_framed(ws->outlet, frame, head + (control ? length : 0), buffer, control);
    return FA_FULL; /* of a peer that goes on asking and does not take the answers */
}

/* ---- what comes ---- */

void fa_websocket_forget_message(fa_websocket *ws)
{
    if (ws->message != NULL)
        fa_buffer_release(ws->message);
    ws->message = NULL;
}

void fa_websocket_forget_arrived(fa_websocket *ws)
{
    fa_websocket_message message;
    for (fa_list *node; (node = fa_list_first(&ws->arrived)) != NULL;) {
        arrived *a = FA_OBJECT(node, arrived, link);
        message = a->message;
        fa_list_remove(node);
        fa_scope_free(ws->exchange->scope, a);
        fa_buffer_release(message.buffer);
    }
    ws->arrived_count = ws->arrived_bytes = 0;
}

static bool is_full(const fa_websocket *ws)
{
    return ws->arrived_count != 0 && (ws->arrived_bytes >= ws->options.queue || ws->arrived_count >= MOST_ARRIVED);
}

static fa_result add_piece(fa_websocket *ws, const fa_frame *frame)
{
    fa_result result = FA_OK;
    if (ws->message == NULL)
        result = fa_buffer_new(ws->exchange->scope, frame->length < FIRST_CAPACITY ? frame->length : FIRST_CAPACITY,
                               "WebSocket message", FA_HERE, &ws->message);
    if (result == FA_OK && frame->length != 0)
        result = fa_buffer_append(ws->message, frame->data, frame->length);
    return result;
}

static fa_result end_message(fa_websocket *ws, bool text)
{
    arrived *a = fa_scope_allocate(ws->exchange->scope, sizeof(*a));
    if (a == NULL)
        return FA_NO_MEMORY;
    fa_buffer_seal(ws->message);
    a->message = (fa_websocket_message){ws->message, text};
    ws->message = NULL;
    fa_list_append(&ws->arrived, &a->link);
    ws->arrived_count++;
    ws->arrived_bytes += fa_buffer_length(a->message.buffer);
    if (ws->changed != NULL)
        ws->changed(ws, ws->context);
    return FA_OK;
}

static void fail(fa_websocket *ws, unsigned code, const char *why)
{
    fa_websocket_ended(ws, FA_WEBSOCKET_FAILED, code, why, strlen(why));
}

static void take_piece(fa_websocket *ws, const fa_frame *frame)
{
    if (ws->close_sent)
        return; /* nobody wants it any more */
    fa_result result = add_piece(ws, frame);
    if (result == FA_OK && frame->final)
        result = end_message(ws, frame->text);
    if (result != FA_OK)
        fail(ws, FA_WEBSOCKET_TRY_LATER, "there is no memory for this message");
}

static void take_frame(fa_websocket *ws, const fa_frame *frame)
{
    switch (frame->kind) {
    case FA_FRAME_DATA:
        take_piece(ws, frame);
        break;
    case FA_FRAME_PING:
        if (!ws->close_sent)
            fa_websocket_frame(ws, WSLAY_PONG, frame->data, frame->length,
                               NULL); /* without room or memory it goes unanswered */
        break;
    case FA_FRAME_CLOSE:
        fa_websocket_ended(ws, FA_WEBSOCKET_CAME, frame->code, (const char *)frame->data, frame->length);
        break;
    case FA_FRAME_BAD:
        fail(ws, frame->code, frame->why);
        break;
    default: /* a pong has been heard: that was its purpose */
        break;
    }
}

/* Until all is taken, or nobody takes it. */
static void take_frames(fa_websocket *ws)
{
    while (ws->end == FA_WEBSOCKET_GOES_ON && !ws->done && !ws->exchange->gone) {
        ws->held = is_full(ws);
        if (ws->held)
            return;
        fa_frame frame = fa_frames_next(ws->frames);
        if (frame.kind == FA_FRAME_NONE)
            return;
        take_frame(ws, &frame);
    }
}

static size_t on_input(fa_exchange *exchange, const uint8_t *bytes, size_t length, void *context)
{
    fa_websocket *ws = context;
    (void)exchange;
    if (length != 0) {
        ws->heard_ms = now(ws);
        ws->pinged_ms = 0;
    }
    if (ws->end != FA_WEBSOCKET_GOES_ON || ws->done)
        return length;
    fa_frames_feed(ws->frames, bytes, length);
    take_frames(ws);
    size_t left = fa_frames_left(ws->frames);
    return ws->end != FA_WEBSOCKET_GOES_ON ? length : length - left;
}

bool fa_websocket_take(fa_websocket *ws, fa_websocket_message *message)
{
    fa_list *node = fa_list_first(&ws->arrived);
    ws->busy = node != NULL;
    if (node == NULL) {
        fa_websocket_drained(ws);
        return false;
    }
    arrived *a = FA_OBJECT(node, arrived, link);
    *message = a->message;
    fa_list_remove(node);
    fa_scope_free(ws->exchange->scope, a);
    ws->arrived_count--;
    ws->arrived_bytes -= fa_buffer_length(message->buffer);
    if (ws->held && !is_full(ws)) {
        ws->held = false;
        ws->heard_ms = now(ws); /* it was we who did not listen */
        fa_exchange_read(ws->exchange);
    }
    return true;
}

void fa_websocket_listen(fa_websocket *ws, void (*changed)(fa_websocket *websocket, void *context), void *context)
{
    ws->changed = changed;
    ws->context = context;
}

/* ---- messages of ours ---- */

static fa_result may_send(const fa_websocket *ws)
{
    return ws->told || ws->exchange->gone ? FA_CANCELLED : FA_OK;
}

fa_result fa_websocket_send(fa_websocket *ws, bool text, fa_buffer *buffer)
{
    fa_result result = may_send(ws);
    if (result != FA_OK)
        return result;
    if (!fa_buffer_sealed(buffer))
        return FA_WRONG_STATE;
    if (text && !fa_utf8_valid(fa_buffer_data(buffer), fa_buffer_length(buffer)))
        return FA_INVALID;
    return fa_websocket_frame(ws, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, NULL, 0, buffer);
}

fa_result fa_websocket_send_bytes(fa_websocket *ws, bool text, const void *data, size_t length)
{
    fa_buffer *buffer;
    fa_result result = may_send(ws);
    if (result != FA_OK)
        return result;
    result = fa_buffer_new(ws->exchange->scope, length, "WebSocket message", FA_HERE, &buffer);
    if (result != FA_OK)
        return result;
    if (length != 0)
        fa_buffer_append(buffer, data, length); /* the room is there */
    fa_buffer_seal(buffer);
    result = fa_websocket_send(ws, text, buffer);
    fa_buffer_release(buffer);
    return result;
}

void fa_websocket_wait(fa_websocket *ws, size_t length, fa_outlet_waiter *waiter)
{
    waiter->wanted = length + FA_FRAME_HEAD_SIZE;
    fa_outlet_wait(ws->outlet, waiter);
}

size_t fa_websocket_queued(const fa_websocket *ws)
{
    return fa_outlet_queued(ws->outlet);
}

/* ---- is it still there? ---- */

/* While we do not read (held), its silence means nothing. */
static void on_alive(fa_timer *timer)
{
    fa_websocket *ws = FA_OBJECT(timer, fa_websocket, alive);
    const fa_websocket_options *options = &ws->options;
    uint64_t at = now(ws), wait = options->ping_ms;
    if (ws->held)
        ws->pinged_ms = 0;
    else if (ws->pinged_ms != 0 && at - ws->pinged_ms >= options->pong_ms) {
        fa_log_write(fa_worker_log(ws->exchange->worker), FA_LOG_INFO, "http: request %s: cut, %.*s answers no ping",
                     ws->exchange->request_id, (int)ws->exchange->remote.length, ws->exchange->remote.data);
        fa_exchange_abort(ws->exchange);
        return;
    } else if (ws->pinged_ms != 0) {
        wait = ws->pinged_ms + options->pong_ms - at;
    } else if (at - ws->heard_ms < options->ping_ms) {
        wait = ws->heard_ms + options->ping_ms - at;
    } else if (fa_websocket_frame(ws, WSLAY_PING, NULL, 0, NULL) == FA_OK) { /* else the next time */
        ws->pinged_ms = at;
        wait = options->pong_ms;
    }
    fa_timer_start(timer, wait); /* cannot fail: it has run before */
}

/* ---- beginning ---- */

fa_result fa_websocket_open(fa_exchange *exchange, const fa_websocket_handshake *handshake,
                            const fa_websocket_options *options, fa_websocket **out)
{
    fa_header headers[FA_WEBSOCKET_HEADERS];
    fa_websocket *ws = fa_scope_allocate(exchange->scope, sizeof(*ws));
    if (ws == NULL)
        return fa_scope_live(exchange->scope) ? FA_NO_MEMORY : FA_WRONG_STATE;
    ws->exchange = exchange;
    ws->options = *options;
    fa_list_init(&ws->arrived);
    fa_timer_init(&ws->alive, exchange->worker, exchange->scope, on_alive);
    fa_result result = fa_frames_new(exchange->scope, options->max_message, &ws->frames);
    if (result == FA_OK && options->ping_ms != 0)
        result = fa_timer_start(&ws->alive, options->ping_ms);
    if (result == FA_OK)
        result = fa_outlet_open_upgraded(exchange, headers, fa_websocket_headers(handshake, headers), on_input, ws,
                                         options->queue, &ws->outlet);
    if (result != FA_OK) {
        fa_timer_stop(&ws->alive); /* the rest goes with the scope, after the error has been answered */
        return result;
    }
    ws->heard_ms = now(ws);
    *out = ws;
    return FA_OK;
}
