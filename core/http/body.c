/* The body of a request becomes a buffer of its scope.
 *
 * A small one is copied: h2o's bytes are h2o's, they lie in the connection's input buffer and go with it. A large one lies in an
 * unlinked file that h2o has made, filled and mapped (h2o_socket_buffer_mmap_settings); of that we make a mapping of our own,
 * read-only, which stays for as long as somebody holds the buffer. The file has no name and two holders, h2o and us, so nobody can
 * shorten it; its blocks were allocated with posix_fallocate when it grew; so no page of it can be lacking, but for a disk that
 * fails.
 *
 * What h2o does with the file afterwards: nothing while the handler works, for it does not read then; when the answer has left it
 * gives the input back, file and all. Only when bytes of a further request stand behind the body does it go on to use the same file
 * for them, and would write over ours: such a connection is closed after the answer. */
#include "http/edge.h"

#include <sys/mman.h>

static fa_result copy_body(fa_exchange *exchange, h2o_iovec_t entity)
{
    fa_result result = fa_buffer_new(exchange->scope, entity.len, "request body", FA_HERE, &exchange->body);
    if (result == FA_OK)
        result = fa_buffer_append(exchange->body, entity.base, entity.len);
    if (result == FA_OK)
        fa_buffer_seal(exchange->body);
    return result;
}

static h2o_buffer_t *input_of(h2o_req_t *req)
{
    return req->version < 0x200 ? req->conn->callbacks->get_socket(req->conn)->input : NULL;
}

/* Whether the body lies in a file of h2o's. */
static bool is_spooled(const h2o_buffer_t *input, h2o_iovec_t entity)
{
    return input != NULL && input->bytes != NULL && input->_fd != -1 && entity.base >= input->_buf &&
           entity.base + entity.len <= input->_buf + input->capacity;
}

static fa_result map_body(fa_exchange *exchange, h2o_req_t *req, h2o_buffer_t *input)
{
    h2o_iovec_t entity = req->entity;
    fa_result result = fa_buffer_map(exchange->scope, input->_fd, (size_t)(entity.base - (const char *)input),
                                     entity.len, "request body", FA_HERE, &exchange->body);
    if (result != FA_OK)
        return result;
    if (entity.base + entity.len != input->bytes + input->size)
        req->http1_is_persistent = 0;
    /* h2o has touched every page, and will touch none of them again: they need not count as resident. Shared pages of a file keep
     * what is in them. */
    madvise(input, offsetof(h2o_buffer_t, _buf) + input->capacity, MADV_DONTNEED);
    return FA_OK;
}

/* No memory is asked for what is going to be refused: there might be none, and 503 would say to try again. */
static bool is_wanted(const fa_http_request *request)
{
    const h2o_req_t *req = request->req;
    if (!fa_http_is_http2(req))
        return true; /* the gate has seen to it */
    return fa_http2_trouble(req) == NULL && req->entity.len <= fa_http2_most_body(request->http, req);
}

fa_result fa_http_take_body(fa_http_request *request)
{
    h2o_req_t *req = request->req;
    h2o_buffer_t *input = input_of(req);
    if (req->entity.base == NULL || req->entity.len == 0 || !is_wanted(request))
        return FA_OK;
    if (is_spooled(input, req->entity))
        return map_body(&request->exchange, req, input);
    return copy_body(&request->exchange, req->entity);
}
