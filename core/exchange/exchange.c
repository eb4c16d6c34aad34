/* The exchange without any back end: what may be sent when, and who holds the bytes meanwhile.
 *
 * The leases are the point. A send leases every buffer before the back end hears of it; fa_exchange_sent or
 * fa_exchange_gone returns them, whichever comes first, and a second call finds none. So a buffer can end while its
 * bytes are on their way, and no path forgets it. */
#include "exchange/exchange.h"

#include <string.h>

#include "exchange/head.h"
#include "exchange/relay.h"

void fa_exchange_init(fa_exchange *exchange, const fa_exchange_back_end *back_end, fa_worker *worker, fa_scope *scope)
{
    exchange->back_end = back_end;
    exchange->worker = worker;
    exchange->scope = scope;
    exchange->length = -1;
    exchange->story.parsed_us = fa_worker_now_us(worker);
}

const fa_trace *fa_exchange_trace(fa_exchange *exchange)
{
    fa_trace *trace = &exchange->trace;
    if (trace->trace_id[0] == '\0')
        fa_trace_join(trace, fa_exchange_header(exchange, "traceparent"));
    return trace;
}

void fa_exchange_note_dialogue(fa_exchange *exchange, fa_text dialogue_id)
{
    char *to = exchange->story.dialogue_id;
    size_t most = sizeof(exchange->story.dialogue_id) - 1;
    size_t length = dialogue_id.length < most ? dialogue_id.length : most;
    if (length != 0)
        memcpy(to, dialogue_id.data, length);
    to[length] = '\0';
}

fa_text fa_exchange_header(const fa_exchange *exchange, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < exchange->header_count; ++i) {
        const fa_header *header = &exchange->headers[i];
        if (header->name.length == length && memcmp(header->name.data, name, length) == 0)
            return header->value;
    }
    return FA_TEXT("");
}

/* ---- what may be in a head ---- */

static bool head_is_clean(int status, const fa_header *headers, size_t count)
{
    if (status < 200 || status > 599 || count > FA_MAX_ANSWER_HEADERS)
        return false;
    for (size_t i = 0; i < count; ++i) {
        if (!fa_header_is_clean(&headers[i]))
            return false;
    }
    return true;
}

static bool has_no_body(int status)
{
    return status == 204 || status == 304;
}

/* ---- sending ---- */

static void tell_heading(fa_exchange *exchange, int status)
{
    void (*heading)(fa_exchange *, int, void *) = exchange->heading;
    exchange->heading = NULL; /* once, even when this answer fails and an error is answered instead */
    if (heading != NULL)
        heading(exchange, status, exchange->heading_context);
}

fa_result fa_exchange_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    fa_header all[FA_MAX_HEAD];
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    if (!head_is_clean(status, headers, count))
        return FA_INVALID;
    tell_heading(exchange, status);
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    count = fa_head_assemble(exchange, status, headers, count, all);
    exchange->status = status;
    exchange->length = has_no_body(status) ? -1 : length;
    fa_result result = exchange->back_end->start(exchange, status, all, count, exchange->length);
    if (result != FA_OK)
        exchange->status = 0;
    return result;
}

static void return_leases(fa_exchange *exchange)
{
    size_t count = exchange->in_flight_count;
    exchange->in_flight_count = 0;
    for (size_t i = 0; i < count; ++i)
        fa_buffer_return(exchange->in_flight[i].buffer);
}

/* Leases what is not empty into in_flight. */
static fa_result take_leases(fa_exchange *exchange, const fa_piece *pieces, size_t count, uint64_t *total)
{
    *total = 0;
    for (size_t i = 0; i < count; ++i) {
        fa_piece piece = pieces[i];
        size_t length = fa_buffer_length(piece.buffer);
        fa_result result = FA_OK;
        if (piece.offset > length || piece.length > length - piece.offset)
            result = FA_INVALID;
        else if (piece.length != 0 && (result = fa_buffer_lease(piece.buffer)) == FA_OK)
            exchange->in_flight[exchange->in_flight_count++] = piece;
        if (result != FA_OK) {
            return_leases(exchange);
            return result;
        }
        *total += piece.length;
    }
    return FA_OK;
}

/* A receiver counts the declared bytes and takes whatever comes after them for the next answer. */
static bool keeps_to_length(const fa_exchange *exchange, uint64_t more, bool final)
{
    if (exchange->length < 0)
        return true;
    uint64_t sent = exchange->body_sent + more, declared = (uint64_t)exchange->length;
    return final ? sent == declared : sent <= declared;
}

static fa_result send_in_flight(fa_exchange *exchange, uint64_t total, bool final)
{
    exchange->sending = true;
    exchange->finished = final;
    exchange->body_sent += total;
    if (exchange->story.first_us == 0)
        exchange->story.first_us = fa_worker_now_us(exchange->worker);
    fa_result result = exchange->back_end->send(exchange, exchange->in_flight, exchange->in_flight_count, final);
    if (result != FA_OK) {
        exchange->sending = exchange->finished = false;
        exchange->body_sent -= total;
        return_leases(exchange);
    }
    return result;
}

fa_result fa_exchange_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    uint64_t total;
    if (exchange->status == 0 || exchange->sending || exchange->finished || exchange->gone)
        return FA_WRONG_STATE;
    if (count > FA_MAX_PIECES)
        return FA_INVALID;
    if (exchange->head_only || has_no_body(exchange->status))
        return send_in_flight(exchange, 0, true);
    fa_result result = take_leases(exchange, pieces, count, &total);
    if (result != FA_OK)
        return result;
    if (!keeps_to_length(exchange, total, final) || (total == 0 && !final)) {
        return_leases(exchange);
        if (final)
            fa_exchange_abort(exchange);
        return FA_INVALID;
    }
    return send_in_flight(exchange, total, final);
}

static fa_result reply(fa_exchange *exchange, int status, const fa_header *headers, size_t count, fa_buffer *body)
{
    size_t length = body != NULL ? fa_buffer_length(body) : 0;
    fa_result result = fa_exchange_start(exchange, status, headers, count, (int64_t)length);
    if (result != FA_OK)
        return result;
    fa_piece whole = {body, 0, length};
    result = fa_exchange_send(exchange, &whole, length != 0 ? 1 : 0, true);
    if (result != FA_OK)
        fa_exchange_abort(exchange); /* begun and not to be had */
    return result;
}

fa_result fa_exchange_reply(fa_exchange *exchange, int status, const fa_header *headers, size_t count, fa_buffer *body)
{
    if (body != NULL && !fa_buffer_sealed(body))
        return FA_WRONG_STATE;
    if (exchange->shape == NULL || body == NULL || exchange->status != 0 || exchange->gone ||
        !head_is_clean(status, headers, count))
        return reply(exchange, status, headers, count, body);
    fa_answer answer = {.status = status, .count = count, .body = body};
    if (count != 0)
        memcpy(answer.headers, headers, count * sizeof(*headers));
    exchange->shape(exchange, &answer);
    fa_result result = reply(exchange, answer.status, answer.headers, answer.count, answer.body);
    if (answer.body != body)
        fa_buffer_release(answer.body); /* from here on the lease holds it */
    return result;
}

fa_result fa_exchange_reply_text(fa_exchange *exchange, int status, const char *mime, const char *text, size_t length)
{
    fa_buffer *body;
    fa_header type = {FA_TEXT("content-type"), {mime, strlen(mime)}};
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    fa_result result = fa_buffer_new(exchange->scope, length, "reply", FA_HERE, &body);
    if (result != FA_OK)
        return result;
    fa_buffer_append(body, text, length); /* the room is there */
    fa_buffer_seal(body);
    result = fa_exchange_reply(exchange, status, &type, 1, body);
    fa_buffer_release(body); /* from here on the lease holds it */
    return result;
}

/* ---- moving ---- */

fa_result fa_exchange_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                           void (*moved)(fa_moving *moving, void *context), void *context)
{
    fa_header all[FA_MAX_HEAD];
    bool begun = exchange->status != 0;
    size_t own = count;
    if (exchange->gone || exchange->finished || exchange->sending)
        return FA_WRONG_STATE;
    if (exchange->back_end->move == NULL || exchange->head_only)
        return FA_UNSUPPORTED;
    if (!begun && !head_is_clean(200, headers, count))
        return FA_INVALID;
    if (!begun)
        tell_heading(exchange, 200);
    if (exchange->gone || (!begun && exchange->status != 0))
        return FA_WRONG_STATE;
    if (!begun)
        count = fa_head_assemble(exchange, 200, headers, count, all);
    fa_result result = begun ? exchange->back_end->move(exchange, NULL, 0, moved, context)
                             : exchange->back_end->move(exchange, all, count, moved, context);
    if (result == FA_UNSUPPORTED && !begun)
        return fa_relay_start(exchange, headers, own, moved, context);
    if (result != FA_OK)
        return result;
    exchange->status = 200;
    exchange->gone = true; /* for whoever still looks: no send, no abort, no watch */
    exchange->on_sent = exchange->on_gone = NULL;
    return FA_OK;
}

/* ---- another protocol ---- */

fa_result fa_exchange_upgrade(fa_exchange *exchange, const fa_header *headers, size_t count,
                              size_t (*on_input)(fa_exchange *exchange, const uint8_t *bytes, size_t length,
                                                 void *context),
                              void *input_context)
{
    fa_header all[FA_MAX_HEAD];
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    if (exchange->back_end->upgrade == NULL || exchange->head_only || exchange->body != NULL)
        return FA_UNSUPPORTED;
    if (!head_is_clean(200, headers, count)) /* of 101 it is asked by nobody else */
        return FA_INVALID;
    tell_heading(exchange, 101);
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    count = fa_head_assemble(exchange, 101, headers, count, all);
    exchange->story.first_us = fa_worker_now_us(exchange->worker);
    exchange->on_input = on_input;
    exchange->input_context = input_context;
    exchange->status = 101;
    exchange->length = -1;
    exchange->sending = true;
    fa_result result = exchange->back_end->upgrade(exchange, all, count);
    if (result != FA_OK) {
        exchange->status = 0;
        exchange->sending = false;
    }
    return result;
}

void fa_exchange_read(fa_exchange *exchange)
{
    bool reads = exchange->back_end->read != NULL; /* not yet, while the head is leaving */
    if (reads && !exchange->gone && !exchange->finished)
        exchange->back_end->read(exchange);
}

/* ---- the end ---- */

void fa_exchange_abort(fa_exchange *exchange)
{
    if (exchange->gone)
        return;
    exchange->gone = true;
    exchange->back_end->abort(exchange);
}

void fa_exchange_watch(fa_exchange *exchange)
{
    if (!exchange->gone && !exchange->finished)
        exchange->back_end->watch(exchange);
}

void fa_exchange_sent(fa_exchange *exchange)
{
    if (!exchange->sending)
        return;
    return_leases(exchange);
    exchange->sending = false;
    if (!exchange->finished && !exchange->gone && exchange->on_sent != NULL)
        exchange->on_sent(exchange, exchange->context);
}

void fa_exchange_gone(fa_exchange *exchange)
{
    return_leases(exchange);
    exchange->sending = false;
    if (exchange->finished)
        return;
    exchange->gone = true;
    void (*tell)(fa_exchange *, void *) = exchange->on_gone;
    exchange->on_gone = NULL; /* once */
    if (tell != NULL)
        tell(exchange, exchange->context);
}
