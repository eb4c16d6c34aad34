/* Which requests of an HTTP/2 connection have begun and not come to their end, as the heads of its frames say. h2o tells of a request when
 * its body is complete, and knows no deadline before. Pure: bytes in, however they are cut up; no allocation. */
#ifndef FA_HTTP_HTTP2_BEGUN_H
#define FA_HTTP_HTTP2_BEGUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FA_HTTP2_FRAME_HEAD = 9, FA_HTTP2_PREFACE = 24, FA_HTTP2_MOST_BEGUN = 100 /* h2o refuses more streams */ };

typedef struct fa_http2_request {
    uint32_t stream;
    bool last;                   /* what comes of its head is all that comes */
    uint64_t since_ms, received; /* bytes of its body, padding and all */
} fa_http2_request;

/* As those of HTTP/1 (deadline.c). */
typedef struct fa_http2_terms {
    uint64_t request_ms;    /* for all of it */
    uint64_t head_ms, rate; /* the body: bytes a second on the average, after the first head_ms; 0: any */
} fa_http2_terms;

/* Zeroed at the beginning of a connection. */
typedef struct fa_http2_begun {
    size_t preface; /* bytes of it that have come */
    uint8_t head[FA_HTTP2_FRAME_HEAD];
    size_t head_length, payload_left;
    uint64_t frame_since_ms;                        /* of the one under way, the preface included */
    uint32_t last_stream;                           /* that was opened */
    uint64_t opened;                                /* how many were */
    fa_http2_request requests[FA_HTTP2_MOST_BEGUN]; /* the oldest first */
    size_t count;
} fa_http2_begun;

void fa_http2_begun_take(fa_http2_begun *begun, const uint8_t *bytes, size_t length, uint64_t now_ms);

/* Whether what has come so far ends with a frame. */
bool fa_http2_begun_is_between(const fa_http2_begun *begun);

/* Until when the frame under way, or between two frames each request that has begun, must have come to its end, or must have got on;
 * UINT64_MAX: there is none. */
uint64_t fa_http2_begun_due(const fa_http2_begun *begun, const fa_http2_terms *terms);

/* Forgets the oldest request that was due by now, and tells its stream; 0: there is none. */
uint32_t fa_http2_begun_drop(fa_http2_begun *begun, const fa_http2_terms *terms, uint64_t now_ms);

#endif
