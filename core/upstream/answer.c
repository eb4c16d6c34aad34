/* What came, for whoever asked. */
#include <string.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

void fa_transfer_end(fa_transfer *t)
{
    fa_scope_end(t->scope, "the transfer is over", NULL);
}

bool fa_transfer_done(const fa_transfer *t)
{
    return t->state == TRANSFER_DONE;
}

const fa_failure *fa_transfer_failure(const fa_transfer *t)
{
    return &t->failure;
}

int fa_transfer_status(const fa_transfer *t)
{
    return t->status;
}

unsigned fa_transfer_attempts(const fa_transfer *t)
{
    return t->attempt_count;
}

int64_t fa_transfer_retry_after(const fa_transfer *t)
{
    return t->retry_after;
}

int64_t fa_transfer_length(const fa_transfer *t)
{
    return t->length;
}

bool fa_transfer_header(const fa_transfer *t, size_t index, fa_header *header)
{
    size_t at = 0;
    while (fa_head_next(t->head, &at, header)) {
        if (index-- == 0)
            return true;
    }
    return false;
}

fa_buffer *fa_transfer_excerpt(const fa_transfer *t)
{
    return t->excerpt;
}

/* Reading goes on when there is room again. */
static void resume(fa_transfer *t)
{
    if (t->accepted != NULL && t->accepted->paused && !t->upstream->all->paused) {
        fa_attempt_resume(t->accepted);
        fa_transfer_arm(t);
    }
}

fa_buffer *fa_transfer_take(fa_transfer *t)
{
    fa_buffer *buffer = t->answer;
    if (buffer == NULL)
        return NULL;
    t->answer = NULL;
    fa_buffer_seal(buffer);
    resume(t);
    return buffer;
}

fa_result fa_transfer_next(fa_transfer *t, fa_stream_event *event)
{
    fa_result result = fa_reader_next(&t->reader, event);
    if (result == FA_FULL) {
        if (t->failure.kind == FA_FAILED_NOT)
            fa_failure_say(t, FA_FAILED_TOO_LARGE, NULL, "an event");
        fa_transfer_let_go(t);
    } else if (fa_reader_has_room(&t->reader)) {
        resume(t);
    }
    return result;
}

bool fa_transfer_event(const fa_transfer *t, fa_stream_event *event)
{
    return fa_reader_event(&t->reader, event);
}

fa_upstream *fa_transfer_upstream(const fa_transfer *t)
{
    return t->upstream;
}

fa_scope *fa_transfer_scope(const fa_transfer *t)
{
    return t->scope;
}
