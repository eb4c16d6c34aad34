/* An in-process request becomes an exchange: all it says is copied into the request scope. */
#include <string.h>

#include "base/random_id.h"
#include "exchange/inprocess.h"

static size_t count_headers(const char *const *headers)
{
    size_t count = 0;
    while (headers != NULL && headers[2 * count] != NULL)
        ++count;
    return count;
}

static bool copy_text(fa_scope *scope, const char *from, fa_text *to)
{
    to->length = strlen(from);
    to->data = fa_scope_copy_text(scope, from, to->length);
    return to->data != NULL;
}

static bool copy_headers(fa_exchange *exchange, const char *const *headers)
{
    size_t count = count_headers(headers);
    fa_header *copies = fa_scope_allocate(exchange->scope, (count + 1) * sizeof(*copies));
    if (copies == NULL)
        return false;
    for (size_t i = 0; i < count; ++i) {
        if (!copy_text(exchange->scope, headers[2 * i], &copies[i].name) ||
            !copy_text(exchange->scope, headers[2 * i + 1], &copies[i].value))
            return false;
        for (char *c = (char *)copies[i].name.data; *c != '\0'; ++c) {
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        }
    }
    exchange->headers = copies;
    exchange->header_count = count;
    return true;
}

static fa_result copy_body(fa_exchange *exchange, const void *body, size_t length)
{
    if (length == 0)
        return FA_OK;
    fa_result result = fa_buffer_new(exchange->scope, length, "request body", FA_HERE, &exchange->body);
    if (result != FA_OK)
        return result;
    fa_buffer_append(exchange->body, body, length); /* the room is there */
    fa_buffer_seal(exchange->body);
    return FA_OK;
}

fa_result fa_inprocess_fill_in(fa_exchange *exchange, const fa_inprocess_request *request)
{
    fa_text target;
    fa_random_id(exchange->request_id, sizeof(exchange->request_id), "r-", 8);
    if (!copy_text(exchange->scope, request->method, &exchange->method) ||
        !copy_text(exchange->scope, request->target, &target) ||
        !copy_text(exchange->scope, request->remote != NULL ? request->remote : "in-process", &exchange->remote) ||
        !copy_headers(exchange, request->headers))
        return FA_NO_MEMORY;
    exchange->head_only = strcmp(request->method, "HEAD") == 0;
    fa_exchange_set_target(exchange, target); /* a bad one shows in the empty path */
    return copy_body(exchange, request->body, request->body_length);
}
