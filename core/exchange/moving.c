/* The ticket of an exchange between two workers: one block with a descriptor of its own and the request's texts.
 *
 * It is made before anything irrevocable happens, so that a lack of memory or descriptors leaves the old exchange as it
 * was. It hangs from no scope, because between two workers there is none; the account that pays for it may outlive the
 * worker it was opened for. */
#include "exchange/moving.h"
#include "exchange/relay.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static size_t bytes_of(const fa_exchange *exchange)
{
    size_t bytes = exchange->header_count * sizeof(fa_header) + exchange->method.length + exchange->target.length +
                   exchange->remote.length;
    for (size_t i = 0; i < exchange->header_count; ++i)
        bytes += exchange->headers[i].name.length + exchange->headers[i].value.length;
    return bytes;
}

static fa_text put(char **at, fa_text text)
{
    char *start = *at;
    if (text.length != 0)
        memcpy(start, text.data, text.length);
    *at += text.length;
    return (fa_text){start, text.length};
}

/* The headers come first, because they want to be aligned. */
static fa_header *put_headers(char **at, const fa_header *from, size_t count)
{
    fa_header *headers = (fa_header *)(void *)*at;
    *at += count * sizeof(*headers);
    for (size_t i = 0; i < count; ++i) {
        headers[i].name = put(at, from[i].name);
        headers[i].value = put(at, from[i].value);
    }
    return headers;
}

static void pack(fa_moving *moving, const fa_exchange *exchange)
{
    char *at = moving->bytes;
    memcpy(moving->request_id, exchange->request_id, sizeof(moving->request_id));
    moving->stall_ms = exchange->stall_ms;
    moving->trace = exchange->trace;
    moving->story = exchange->story;
    if (moving->story.first_us == 0)
        moving->story.first_us = fa_worker_now_us(exchange->worker); /* its head leaves now */
    moving->headers = put_headers(&at, exchange->headers, exchange->header_count);
    moving->header_count = exchange->header_count;
    moving->method = put(&at, exchange->method);
    moving->target = put(&at, exchange->target);
    moving->remote = put(&at, exchange->remote);
}

void fa_moving_unpack(const fa_moving *moving, void *place, fa_exchange *exchange)
{
    char *at = place;
    memcpy(exchange->request_id, moving->request_id, sizeof(exchange->request_id));
    exchange->stall_ms = moving->stall_ms;
    exchange->trace = moving->trace;
    exchange->story = moving->story;
    exchange->headers = put_headers(&at, moving->headers, moving->header_count);
    exchange->header_count = moving->header_count;
    exchange->method = put(&at, moving->method);
    fa_text target = put(&at, moving->target);
    exchange->remote = put(&at, moving->remote);
    fa_exchange_set_target(exchange, target); /* a bad one shows in the empty path */
}

/* The path lies in the scope already. */
fa_result fa_exchange_keep_request(fa_exchange *exchange)
{
    char *at = fa_scope_allocate(exchange->scope, bytes_of(exchange) + 1);
    size_t query_at = exchange->target.length - exchange->query.length; /* it is the end of it */
    if (at == NULL)
        return FA_NO_MEMORY;
    exchange->headers = put_headers(&at, exchange->headers, exchange->header_count);
    exchange->method = put(&at, exchange->method);
    exchange->target = put(&at, exchange->target);
    exchange->remote = put(&at, exchange->remote);
    exchange->query.data = exchange->target.data + query_at;
    return FA_OK;
}

fa_result fa_moving_new(fa_account *account, const fa_exchange *exchange, int fd,
                        void (*moved)(fa_moving *moving, void *context), void *context, fa_moving **out)
{
    void *memory;
    size_t copied = bytes_of(exchange), size = sizeof(fa_moving) + copied;
    if (copied > FA_MOVING_MOST_BYTES)
        return FA_FULL;
    fa_result result = fa_account_allocate(account, size, &memory);
    if (result != FA_OK)
        return result;
    fa_moving *moving = memset(memory, 0, size);
    moving->account = fa_account_ref(account);
    moving->size = size;
    moving->copied = copied;
    moving->moved = moved;
    moving->context = context;
    moving->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0 && moving->fd < 0) {
        fa_moving_discard(moving);
        return FA_IO;
    }
    pack(moving, exchange);
    *out = moving;
    return FA_OK;
}

void fa_moving_deliver(fa_moving *moving)
{
    void (*moved)(fa_moving *, void *) = moving->moved;
    void *context = moving->context;
    if (moving->lost) {
        fa_moving_discard(moving);
        moving = NULL;
    }
    moved(moving, context);
}

void fa_moving_last_words(fa_moving *moving, fa_text words)
{
    moving->last_words = words;
}

void fa_moving_discard(fa_moving *moving)
{
    if (moving == NULL)
        return;
    fa_account *account = moving->account;
    if (moving->relay != NULL)
        fa_relay_abandon(moving->relay);
    if (moving->fd >= 0) {
        if (moving->on_lost != NULL)
            moving->on_lost(moving);
        close(moving->fd);
    }
    if (moving->secret != NULL)
        moving->free_secret(moving->secret);
    fa_account_free(account, moving, moving->size);
    fa_account_unref(account);
}
