/* An outlet whose writer is a source. A source that has been told to wait is asked again when half of what waited has
 * gone, so that it works in strides and not in crumbs. */
#include "exchange/pipe.h"

#include "memory/buffer.h"

struct fa_pipe {
    fa_exchange *exchange;
    fa_outlet *outlet;
    size_t cap;
    const fa_pipe_source *source; /* NULL once it is through */
    void *context;
    bool waits; /* the source, for the next pull */
    fa_scope_hook at_end;
};

static void on_end(fa_scope_hook *hook)
{
    fa_pipe *pipe = FA_OBJECT(hook, fa_pipe, at_end);
    const fa_pipe_source *source = pipe->source;
    pipe->source = NULL;
    if (source != NULL && source->stop != NULL)
        source->stop(pipe->context);
}

static void on_taken(fa_outlet *outlet, void *context)
{
    fa_pipe *pipe = context;
    size_t queued = fa_outlet_queued(outlet);
    if (pipe->source == NULL || !pipe->waits || queued > pipe->cap / 2)
        return;
    pipe->waits = false;
    pipe->source->pull(pipe->context, pipe, pipe->cap - queued);
}

fa_result fa_pipe_open(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length,
                       size_t cap, const fa_pipe_source *source, void *context, fa_pipe **out)
{
    fa_pipe *pipe = fa_scope_allocate(exchange->scope, sizeof(*pipe));
    if (pipe == NULL)
        return fa_scope_live(exchange->scope) ? FA_NO_MEMORY : FA_WRONG_STATE;
    fa_result result = fa_outlet_open(exchange, status, headers, count, length, cap, &pipe->outlet);
    if (result != FA_OK) {
        fa_scope_free(exchange->scope, pipe);
        return result;
    }
    pipe->exchange = exchange;
    pipe->cap = cap;
    pipe->source = source;
    pipe->context = context;
    fa_outlet_on_taken(pipe->outlet, on_taken, pipe);
    fa_scope_hook_add(exchange->scope, &pipe->at_end, on_end);
    *out = pipe;
    source->pull(context, pipe, cap);
    return FA_OK;
}

/* What is on its way ends here, and nothing replaces it. */
static fa_result cut(fa_pipe *pipe, fa_result result)
{
    fa_exchange_abort(pipe->exchange);
    return result;
}

fa_result fa_pipe_give(fa_pipe *pipe, fa_buffer *buffer)
{
    if (pipe->source == NULL)
        return FA_WRONG_STATE;
    if (pipe->waits) /* it was told to: whoever does not listen would fill the memory */
        return cut(pipe, FA_WRONG_STATE);
    fa_result result = fa_outlet_write(pipe->outlet, buffer);
    if (result != FA_OK)
        return cut(pipe, result);
    pipe->waits = fa_outlet_queued(pipe->outlet) >= pipe->cap;
    return pipe->waits ? FA_FULL : FA_OK;
}

void fa_pipe_end(fa_pipe *pipe)
{
    if (pipe->source == NULL)
        return;
    pipe->source = NULL;
    if (fa_outlet_finish(pipe->outlet) == FA_INVALID)
        fa_log_write(fa_worker_log(pipe->exchange->worker), FA_LOG_WARN,
                     "request %s: cut, the source ended before the declared length", pipe->exchange->request_id);
}

void fa_pipe_fail(fa_pipe *pipe, const char *why)
{
    if (pipe->source == NULL)
        return;
    pipe->source = NULL;
    if (pipe->exchange->gone) /* what belonged to the client's task ends with it: no fault of the source's */
        return;
    fa_log_write(fa_worker_log(pipe->exchange->worker), FA_LOG_WARN, "request %s: cut, the source failed: %s",
                 pipe->exchange->request_id, why);
    fa_exchange_abort(pipe->exchange);
}
