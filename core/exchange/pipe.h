/* Bytes from a source to a client at the client's pace, with nobody in between: an upstream's answer, a transcoder's
 * output. The source is asked when there is room (pull), gives sealed buffers, and says how it ends.
 *
 *     static const fa_pipe_source source = {pull, stop};
 *     fa_pipe_open(exchange, 200, headers, count, -1, cap, &source, me, &pipe);
 *     ... pull(me, pipe, room) ...
 *     fa_pipe_give(pipe, buffer);  fa_pipe_end(pipe);  or fa_pipe_fail(pipe, "why");
 *
 * A pipe lies in the request scope and ends with it; the source hears of that by `stop` and forgets the pipe then. A
 * source that fails cuts the connection: a client never takes half an answer for a whole one. Nothing here ends an
 * exchange inside of a call.
 *
 * Thread: the worker's.
 */
#ifndef FA_EXCHANGE_PIPE_H
#define FA_EXCHANGE_PIPE_H

#include "exchange/outlet.h"

typedef struct fa_pipe fa_pipe;

typedef struct fa_pipe_source {
    /* There is room for so many bytes: give them, now (from inside) or when they come. Called once for each time that
     * the source was told to wait (FA_FULL), and once at the beginning. */
    void (*pull)(void *context, fa_pipe *pipe, size_t room);
    /* The client is gone, or the answer was cut: the pipe is dead. Not called after fa_pipe_end or fa_pipe_fail. */
    void (*stop)(void *context);
} fa_pipe_source;

/* Begins the answer. cap: bytes that wait for the client; headers, length, errors: as fa_exchange_start. On success
 * `pull` is called before this returns. source: static; context: the source's. */
fa_result fa_pipe_open(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length,
                       size_t cap, const fa_pipe_source *source, void *context, fa_pipe **pipe);

/* Gives a sealed buffer, which is leased until it is sent; the source may release it at once. FA_OK: more may be given.
 * FA_FULL: taken, and no more until the next pull. Anything else: not taken and the answer has been cut; `stop` follows
 * from the loop. One buffer that is larger than the room is taken all the same. */
fa_result fa_pipe_give(fa_pipe *pipe, fa_buffer *buffer);

/* All has been given. Short of a declared length the connection is cut. The pipe is dead for the source. */
void fa_pipe_end(fa_pipe *pipe);

/* No more will come, and the answer is not whole: cuts the connection and logs why. The pipe is dead for the source. */
void fa_pipe_fail(fa_pipe *pipe, const char *why);

#endif
