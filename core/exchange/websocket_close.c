/* How a WebSocket ends.
 *
 * What the peer says last, its Close or something wrong, comes behind messages that wait to be taken, and perhaps behind one that is being
 * worked on. It takes effect in that order: when its reader asks for the next message, closes, or when close_ms is over. So an answer to
 * the last message still leaves before the Close.
 *
 * Two things happen once each: `told` (whoever uses it sees that it is closed) and `done` (our Close is the outlet's last word, and the
 * back end closes the connection when it has left). Between the two lies the other side's part in closing. */
#include <stdio.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/utf8.h"
#include "exchange/websocket_internal.h"

static void tell(fa_websocket *ws, unsigned code, const char *reason)
{
    if (ws->told)
        return;
    ws->told = true;
    ws->code = code;
    memcpy(ws->reason, reason, strlen(reason) + 1);
    if (ws->changed != NULL)
        ws->changed(ws, ws->context);
}

/* The connection ends when what has been said is written. */
static void finish(fa_websocket *ws)
{
    if (ws->done)
        return;
    ws->done = true;
    fa_timer_stop(&ws->alive);
    fa_timer_stop(&ws->closing);
    fa_websocket_forget_message(ws);
    fa_outlet_finish(ws->outlet);
}

/* code FA_WEBSOCKET_NO_STATUS: an empty one. */
static void send_close(fa_websocket *ws, unsigned code, const char *reason)
{
    uint8_t payload[FA_FRAME_CONTROL_SIZE] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t length = strlen(reason);
    if (ws->close_sent)
        return;
    ws->close_sent = true;
    memcpy(payload + 2, reason, length);
    length = code == FA_WEBSOCKET_NO_STATUS ? 0 : length + 2;
    if (fa_websocket_frame(ws, WSLAY_CONNECTION_CLOSE, payload, length, NULL) != FA_OK)
        fa_exchange_abort(ws->exchange); /* which needs no memory, and says that something is wrong */
}

/* The end takes effect. After a Close it is our reader's turn. */
static void conclude(fa_websocket *ws)
{
    bool failed = ws->end == FA_WEBSOCKET_FAILED;
    if (failed)
        send_close(ws, ws->end_code, ws->end_reason);
    tell(ws, ws->end_code, ws->end_reason);
    if (failed)
        finish(ws);
}

static void on_closing(fa_timer *timer)
{
    fa_websocket *ws = FA_OBJECT(timer, fa_websocket, closing);
    if (ws->end != FA_WEBSOCKET_GOES_ON) {
        send_close(ws, ws->end_code, ws->end == FA_WEBSOCKET_FAILED ? ws->end_reason : "");
        tell(ws, ws->end_code, ws->end_reason);
    }
    finish(ws);
}

static void await_closing(fa_websocket *ws)
{
    if (ws->closing.fire == NULL)
        fa_timer_init(&ws->closing, ws->exchange->worker, ws->exchange->scope, on_closing);
    if (!ws->done && fa_timer_start(&ws->closing, ws->options.close_ms) != FA_OK)
        fa_exchange_abort(ws->exchange);
}

/* At most what a Close may hold, cut to whole characters. */
static void copy_reason(char to[FA_WEBSOCKET_REASON_SIZE], const char *reason, size_t length)
{
    length = length < FA_WEBSOCKET_REASON_SIZE ? length : FA_WEBSOCKET_REASON_SIZE - 1;
    while (length != 0 && !fa_utf8_valid(reason, length))
        --length;
    if (length != 0)
        memcpy(to, reason, length);
    to[length] = '\0';
}

void fa_websocket_ended(fa_websocket *ws, fa_websocket_end end, unsigned code, const char *reason, size_t length)
{
    ws->end = end;
    ws->end_code = code;
    copy_reason(ws->end_reason, reason, length);
    fa_websocket_forget_message(ws);
    if (end == FA_WEBSOCKET_FAILED)
        fa_log_write(fa_worker_log(ws->exchange->worker), FA_LOG_INFO, "http: request %s: WebSocket closed with %u: %s",
                     ws->exchange->request_id, code, ws->end_reason);
    if (ws->close_sent) { /* we were the first */
        finish(ws);
        return;
    }
    await_closing(ws);
    fa_websocket_drained(ws);
}

void fa_websocket_drained(fa_websocket *ws)
{
    if (ws->end != FA_WEBSOCKET_GOES_ON && !ws->told && ws->arrived_count == 0 && !ws->busy && !ws->exchange->gone)
        conclude(ws);
}

void fa_websocket_close(fa_websocket *ws, unsigned code, const char *reason)
{
    char cut[FA_WEBSOCKET_REASON_SIZE];
    bool failed = ws->end == FA_WEBSOCKET_FAILED, came = ws->end == FA_WEBSOCKET_CAME;
    if (ws->close_sent || ws->done || ws->exchange->gone)
        return;
    copy_reason(cut, reason, strlen(reason));
    fa_websocket_forget_arrived(ws);
    fa_websocket_forget_message(ws);
    send_close(ws, failed || came ? ws->end_code : code, failed ? ws->end_reason : came ? "" : cut);
    tell(ws, failed || came ? ws->end_code : code, failed || came ? ws->end_reason : cut);
    if (failed || came) {
        finish(ws);
        return;
    }
    await_closing(ws);
    ws->held = false; /* what comes is looked through for the peer's Close */
    fa_exchange_read(ws->exchange);
}

bool fa_websocket_closed(const fa_websocket *ws, unsigned *code, const char **reason)
{
    if (code != NULL)
        *code = ws->code;
    if (reason != NULL)
        *reason = ws->reason;
    return ws->told;
}
