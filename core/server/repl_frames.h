/* What goes over the control socket while a repl is attached, in both directions: frames of a type, a length and so many bytes.
 *
 * It begins as every request does, with a line: "repl WORKER". The server answers with a notice, or with "error: ..." and the end. From
 * then on each side sends frames. */
#ifndef FA_SERVER_REPL_FRAMES_H
#define FA_SERVER_REPL_FRAMES_H

#include <stdint.h>

enum { FA_REPL_HEADER = 5, FA_REPL_MOST_INPUT = 64 * 1024, FA_REPL_MOST_OUTPUT = 1024 * 1024 };

/* Of the client: a chunk to run, at most FA_REPL_MOST_INPUT; and that the one that runs is to stop. Of the server: what the line prints;
 * its values, or its error, and then it is over; what else there is to know; and why it is the end. */
typedef enum fa_repl_frame {
    FA_REPL_RUN = 'r',
    FA_REPL_STOP = 's',
    FA_REPL_PRINTED = 'p',
    FA_REPL_VALUES = 'v',
    FA_REPL_ERROR = 'e',
    FA_REPL_NOTICE = 'n',
    FA_REPL_END = 'x'
} fa_repl_frame;

static inline void fa_repl_write_header(unsigned char out[FA_REPL_HEADER], fa_repl_frame type, uint32_t length)
{
    out[0] = (unsigned char)type;
    for (int i = 0; i < 4; ++i)
        out[1 + i] = (unsigned char)(length >> (24 - 8 * i));
}

static inline uint32_t fa_repl_read_length(const unsigned char header[FA_REPL_HEADER])
{
    return (uint32_t)header[1] << 24 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 8 | header[4];
}

#endif
