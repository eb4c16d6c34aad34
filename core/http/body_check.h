/* The framing of a request body, checked before the library sees it, and where the body ends. For a chunked body: sizes,
 * extensions, line ends and trailers exactly as RFC 9112 7.1 has them. Pure: the bytes are only read. Thread: any. */
#ifndef FA_HTTP_BODY_CHECK_H
#define FA_HTTP_BODY_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fa_body_check {
    uint64_t left;     /* of the declared body, or of the chunk */
    uint64_t received; /* bytes of content so far */
    uint64_t most;     /* of content */
    uint32_t extra;    /* bytes of chunk extensions and trailers so far */
    uint8_t state, digits;
    bool chunked, done;
    int status;      /* of the refusal: 400, 413, 431; 0 while there is none */
    const char *why; /* static */
} fa_body_check;

/* length: of a body that is not chunked, known to be at most `most`; 0: it is done at once. */
void fa_body_begin(fa_body_check *check, bool chunked, uint64_t length, uint64_t most);

/* The next bytes of the connection. Returns how many of them belong to the body: fewer than `length` when it is done or
 * refused. */
size_t fa_body_take(fa_body_check *check, const char *bytes, size_t length);

#endif
