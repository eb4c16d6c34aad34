/* A request head, checked before the library sees it.
 *
 * HTTP parsers differ in what they forgive, and whoever sends a request that two of them understand differently can hide
 * a second one in it. So nothing is forgiven here: what RFC 9112 does not allow is refused, and so is what it allows but
 * others are known to misread (repeated Content-Length though equal, bare LF, folded lines, escaped dot segments).
 *
 * Pure functions over bytes, for a fuzzer to drive: no allocation, no h2o, nothing global. Each line is looked at once,
 * as soon as it is complete, however many reads the head takes. Thread: any. */
#ifndef FA_HTTP_HEAD_CHECK_H
#define FA_HTTP_HEAD_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of the head, as an offset: the bytes may move between two calls. */
typedef struct fa_span {
    uint32_t at, length;
} fa_span;

typedef enum fa_head_verdict { FA_HEAD_MORE, FA_HEAD_COMPLETE, FA_HEAD_REFUSED } fa_head_verdict;

enum { FA_HEAD_MOST_FIELDS = 100, FA_HEAD_MOST_BYTES = 256 * 1024 }; /* above them h2o would give up by itself */

/* Zeroed before the first byte of each request. */
typedef struct fa_head {
    uint32_t line, seen; /* where the incomplete line begins; no LF before `seen` */
    uint32_t length;     /* of the head with its empty line, once it is complete */
    uint16_t fields;
    bool blank;    /* the one empty line that may come before a request */
    bool has_line; /* the request line is complete */
    bool http_1_0; /* else HTTP/1.1 */
    bool has_host, has_length, chunked;
    bool close;                   /* Connection: close, in whatever line of that name */
    bool expects;                 /* Expect: 100-continue */
    bool upgrade;                 /* there is an Upgrade */
    bool other_coding;            /* Transfer-Encoding names more than chunked */
    uint64_t body_length;         /* as declared; 0 without Content-Length */
    fa_span method, target, path; /* path: without query, percent-encoded; length 0 for "*" and "http://HOST" */
    fa_span authority;            /* of an absolute target; else length 0 */
    fa_span host, request_id;     /* values, trimmed */
    int status;                   /* of the refusal */
    const char *why;              /* a sentence for the client, static */
} fa_head;

/* bytes: from the beginning of the request, all that have come so far, `length` of them; on each further call the same
 * ones and more. most: longest head, at most FA_HEAD_MOST_BYTES. FA_HEAD_MORE: not complete, and nothing wrong so far.
 * FA_HEAD_REFUSED: head->status is 400, 414, 417, 431, 501 or 505; the rest says what was found until then. */
fa_head_verdict fa_head_check(fa_head *head, const char *bytes, size_t length, size_t most);

/* What is wrong with a percent-encoded path, or NULL. Dot segments are found however often they are encoded. */
const char *fa_path_trouble(const char *path, size_t length);

/* Whether the bytes are "host" or "host:port" or "[v6]:port". */
bool fa_host_is_plain(const char *host, size_t length);

#endif
