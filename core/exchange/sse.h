/* Server-sent events: the framing. Source: WHATWG HTML, "Server-sent events". Thread: any. */
#ifndef FA_EXCHANGE_SSE_H
#define FA_EXCHANGE_SSE_H

#include "memory/buffer.h"

/* Appends `event: NAME`, `id: ID` (when id is not NULL), and `data: ` with the JSON text, which must hold no line break, and the
 * blank line that ends the event. On failure the buffer may hold a part: drop it. */
fa_result fa_sse_append(fa_buffer *buffer, const char *event, const char *id, const char *json, size_t length);

/* Whether a text can be an event's name or id: one line, no NUL. */
bool fa_sse_is_plain(const char *text, size_t length);

/* An event of anybody's making. event, id: NULL or plain texts; data: NULL for none, else any text, of which each line
 * (LF, CR or CRLF) becomes a data line. On failure the buffer may hold a part: drop it. */
fa_result fa_sse_append_text(fa_buffer *buffer, const char *event, const char *id, const char *data, size_t length);

/* Appends `data` in base64. */
fa_result fa_sse_append_base64(fa_buffer *buffer, const uint8_t *data, size_t length);

/* Reads `<epoch>.<seq>` as fa_sse_append was given it. False for anything else. */
bool fa_sse_parse_id(const char *text, size_t length, uint64_t *epoch, uint64_t *seq);

#endif
