/* A back end without sockets. The socket's part is played by a message that the client posts to its own worker: what
 * has been sent is taken when it is delivered, as a loop would write it. */
#include "exchange/inprocess.h"

#include <string.h>

/* Lies in the request scope, as a back end's exchange should: whoever uses it after the end is found out. */
typedef struct inprocess_exchange {
    fa_exchange exchange;
    fa_inprocess *client; /* NULL once the client has let go */
    fa_scope_hook at_end;
} inprocess_exchange;

struct fa_inprocess {
    fa_worker *worker;
    fa_scope *owner;
    inprocess_exchange *request; /* NULL once its scope has ended */
    fa_scope_hook at_end;        /* of the owner */
    fa_message wake;
    fa_inprocess_answer answer;
    void *header_memory;
    size_t credit;        /* bytes that may still be taken */
    size_t piece, offset; /* where in exchange.in_flight the next byte to take lies */
    bool last, cut;       /* the send under way is final; the handler has cut the connection */
    fa_buffer *input;     /* after an upgrade: what the client has fed and nobody has taken; NULL for nothing */
    size_t taken;         /* of it */
    bool open, held;      /* the upgrade is through; on_input has left bytes */
    void (*on_end)(fa_inprocess *client, void *context);
    void *end_context;
};

static fa_inprocess *client_of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, inprocess_exchange, exchange)->client;
}

/* ---- the end of a request ---- */

/* Ends the request scope; what the answer lacks from here on never comes. The client may be gone after this. */
static void end_request(fa_inprocess *client, const char *reason)
{
    inprocess_exchange *request = client->request;
    if (request == NULL)
        return;
    client->request = NULL;
    request->client = NULL;
    fa_worker_withdraw(client->worker, &client->wake);
    fa_exchange_gone(&request->exchange);
    fa_scope_end(request->exchange.scope, reason, NULL);
    client->answer.ended = true;
    if (client->answer.body != NULL)
        fa_buffer_seal(client->answer.body);
    if (client->on_end != NULL)
        client->on_end(client, client->end_context);
}

/* Somebody above ended the request scope: the worker stops. */
static void on_request_scope_end(fa_scope_hook *hook)
{
    inprocess_exchange *request = FA_OBJECT(hook, inprocess_exchange, at_end);
    if (request->client != NULL)
        end_request(request->client, "ended");
}

static void on_owner_end(fa_scope_hook *hook)
{
    fa_inprocess *client = FA_OBJECT(hook, fa_inprocess, at_end);
    client->on_end = NULL; /* it is ending itself */
    end_request(client, "the client vanished");
}

/* ---- taking what was sent ---- */

/* Takes what credit allows of the pieces under way. */
static fa_result take_bytes(fa_inprocess *client)
{
    const fa_exchange *exchange = &client->request->exchange;
    while (client->piece < exchange->in_flight_count) {
        const fa_piece *piece = &exchange->in_flight[client->piece];
        size_t left = piece->length - client->offset, count = left < client->credit ? left : client->credit;
        const uint8_t *bytes = fa_buffer_data(piece->buffer) + piece->offset + client->offset;
        fa_result result = fa_buffer_append(client->answer.body, bytes, count);
        if (result != FA_OK)
            return result;
        client->offset += count;
        if (client->credit != SIZE_MAX)
            client->credit -= count;
        if (count < left)
            break;
        client->piece++;
        client->offset = 0;
    }
    return FA_OK;
}

/* What is under way has been taken as far as it will be. False: the request has ended. */
static bool take_sent(fa_inprocess *client)
{
    fa_exchange *exchange = &client->request->exchange;
    if ((client->answer.result = take_bytes(client)) != FA_OK) {
        end_request(client, "the client has no room");
        return false;
    }
    if (client->piece < exchange->in_flight_count)
        return true;
    bool last = client->last;
    client->open = exchange->status == 101;
    fa_exchange_sent(exchange); /* may send again */
    if (!last)
        return true;
    client->answer.complete = true;
    end_request(client, "answered");
    return false;
}

/* What has been fed. */
static void give_input(fa_inprocess *client)
{
    fa_exchange *exchange = &client->request->exchange;
    if (!client->open || client->held || exchange->gone || exchange->finished)
        return;
    const uint8_t *bytes = client->input != NULL ? fa_buffer_data(client->input) + client->taken : NULL;
    size_t length = client->input != NULL ? fa_buffer_length(client->input) - client->taken : 0;
    size_t taken = exchange->on_input(exchange, bytes, length, exchange->input_context);
    client->taken += taken;
    client->held = taken < length;
    if (!client->held && client->input != NULL) {
        fa_buffer_release(client->input);
        client->input = NULL;
        client->taken = 0;
    }
}

static void on_wake(fa_message *wake)
{
    fa_inprocess *client = FA_OBJECT(wake, fa_inprocess, wake);
    if (client->request == NULL)
        return;
    if (client->cut)
        end_request(client, "aborted");
    else if (!client->request->exchange.sending || take_sent(client))
        give_input(client);
}

static void wake_up(fa_inprocess *client)
{
    fa_worker_post(client->worker, &client->wake);
}

/* ---- the back end ---- */

static char *copy_bytes(char *to, fa_text from, fa_text *copy)
{
    if (from.length != 0)
        memcpy(to, from.data, from.length);
    *copy = (fa_text){to, from.length};
    return to + from.length;
}

static fa_result back_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    fa_inprocess *client = client_of(exchange);
    if (client == NULL)
        return FA_WRONG_STATE;
    size_t size = count * sizeof(fa_header);
    for (size_t i = 0; i < count; ++i)
        size += headers[i].name.length + headers[i].value.length;
    fa_header *copies = fa_scope_allocate(client->owner, size + 1);
    if (copies == NULL)
        return FA_NO_MEMORY;
    char *text = (char *)(copies + count);
    for (size_t i = 0; i < count; ++i) {
        text = copy_bytes(text, headers[i].name, &copies[i].name);
        text = copy_bytes(text, headers[i].value, &copies[i].value);
    }
    client->header_memory = copies;
    client->answer.status = status;
    client->answer.headers = copies;
    client->answer.header_count = count;
    client->answer.length = length;
    return FA_OK;
}

/* The head counts as a send of nothing. */
static fa_result back_upgrade(fa_exchange *exchange, const fa_header *headers, size_t count)
{
    fa_result result = back_start(exchange, 101, headers, count, -1);
    if (result == FA_OK)
        wake_up(client_of(exchange));
    return result;
}

static void back_read(fa_exchange *exchange)
{
    fa_inprocess *client = client_of(exchange);
    if (client == NULL)
        return;
    client->held = false;
    wake_up(client);
}

static fa_result back_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    fa_inprocess *client = client_of(exchange);
    (void)pieces; /* they are the exchange's in_flight, and stay there until they are taken */
    (void)count;
    if (client == NULL)
        return FA_WRONG_STATE;
    client->piece = client->offset = 0;
    client->last = final;
    wake_up(client);
    return FA_OK;
}

static void back_abort(fa_exchange *exchange)
{
    fa_inprocess *client = client_of(exchange);
    if (client == NULL)
        return;
    client->cut = true;
    wake_up(client);
}

static void back_watch(fa_exchange *exchange)
{
    (void)exchange; /* a client that vanishes says so */
}

static const fa_exchange_back_end in_process = {
    .start = back_start,
    .send = back_send,
    .abort = back_abort,
    .watch = back_watch,
    .upgrade = back_upgrade,
    .read = back_read,
};

/* ---- making a request ---- */

/* The request scope with the exchange in it, complete but for the client. */
static fa_result new_request(fa_worker *worker, const fa_inprocess_request *request, inprocess_exchange **out)
{
    fa_scope *scope, *parent = fa_worker_scope(worker);
    fa_result result =
        fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_REQUEST, 0, "in-process request", FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    inprocess_exchange *made = fa_scope_allocate(scope, sizeof(*made));
    result = made != NULL ? FA_OK : FA_NO_MEMORY;
    if (result == FA_OK) {
        fa_exchange_init(&made->exchange, &in_process, worker, scope);
        fa_scope_hook_add(scope, &made->at_end, on_request_scope_end);
        result = fa_inprocess_fill_in(&made->exchange, request);
    }
    if (result != FA_OK)
        fa_scope_end(scope, "no memory", NULL);
    else
        *out = made;
    return result;
}

static fa_result new_body(fa_scope *owner, fa_buffer **body)
{
    return fa_buffer_new(owner, 0, "in-process answer", FA_HERE, body);
}

static fa_result new_client(fa_worker *worker, fa_scope *owner, const fa_inprocess_request *request, fa_inprocess **out)
{
    fa_inprocess *client = fa_scope_allocate(owner, sizeof(*client));
    if (client == NULL)
        return fa_scope_live(owner) ? FA_NO_MEMORY : FA_WRONG_STATE;
    fa_result result = new_body(owner, &client->answer.body);
    if (result != FA_OK) {
        fa_scope_free(owner, client);
        return result;
    }
    client->worker = worker;
    client->owner = owner;
    client->answer.length = -1;
    client->credit = request->stepped ? 0 : SIZE_MAX;
    client->on_end = request->on_end;
    client->end_context = request->end_context;
    fa_message_init(&client->wake, on_wake);
    fa_scope_hook_add(owner, &client->at_end, on_owner_end);
    *out = client;
    return FA_OK;
}

fa_result fa_inprocess_start(fa_worker *worker, fa_scope *owner, const fa_inprocess_request *request,
                             void (*handler)(fa_exchange *exchange, void *context), void *context, fa_inprocess **out)
{
    fa_inprocess *client;
    fa_result result = new_client(worker, owner, request, &client);
    if (result != FA_OK)
        return result;
    result = new_request(worker, request, &client->request);
    if (result != FA_OK) {
        fa_inprocess_free(client);
        return result;
    }
    client->request->client = client;
    *out = client;
    handler(&client->request->exchange, context);
    return FA_OK;
}

/* ---- the client ---- */

fa_result fa_inprocess_feed(fa_inprocess *client, const void *bytes, size_t length)
{
    fa_result result = client->request != NULL ? FA_OK : FA_WRONG_STATE;
    if (result == FA_OK && client->input == NULL)
        result = fa_buffer_new(client->owner, length, "in-process input", FA_HERE, &client->input);
    if (result == FA_OK)
        result = fa_buffer_append(client->input, bytes, length);
    if (result == FA_OK)
        wake_up(client);
    return result;
}

const fa_inprocess_answer *fa_inprocess_answered(const fa_inprocess *client)
{
    return &client->answer;
}

fa_text fa_inprocess_header(const fa_inprocess *client, const char *name)
{
    for (size_t i = 0; i < client->answer.header_count; ++i) {
        if (fa_text_is(client->answer.headers[i].name, name))
            return client->answer.headers[i].value;
    }
    return FA_TEXT("");
}

void fa_inprocess_take(fa_inprocess *client, size_t bytes)
{
    client->credit = bytes > SIZE_MAX - client->credit ? SIZE_MAX : client->credit + bytes;
    if (client->request != NULL)
        wake_up(client);
}

fa_result fa_inprocess_forget_body(fa_inprocess *client)
{
    fa_buffer *body;
    fa_result result = client->answer.ended ? FA_WRONG_STATE : new_body(client->owner, &body);
    if (result != FA_OK)
        return result;
    fa_buffer_release(client->answer.body);
    client->answer.body = body;
    return FA_OK;
}

size_t fa_inprocess_waiting(const fa_inprocess *client)
{
    size_t waiting = 0;
    if (client->request == NULL)
        return 0;
    const fa_exchange *exchange = &client->request->exchange;
    for (size_t i = client->piece; i < exchange->in_flight_count; ++i)
        waiting += exchange->in_flight[i].length;
    return waiting - client->offset;
}

void fa_inprocess_vanish(fa_inprocess *client)
{
    end_request(client, "the client vanished");
}

void fa_inprocess_free(fa_inprocess *client)
{
    client->on_end = NULL;
    end_request(client, "the client vanished");
    fa_scope_hook_remove(&client->at_end);
    fa_buffer_release(client->answer.body);
    if (client->input != NULL)
        fa_buffer_release(client->input);
    fa_scope_free(client->owner, client->header_memory);
    fa_scope_free(client->owner, client);
}
