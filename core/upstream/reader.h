/* Streams of events as they come in pieces, cut wherever the network likes: server-sent events, and JSON by the line.
 *
 * A reader keeps what has come and not been asked for, in one block that never grows above its cap. An event is put together in place, so
 * that its data is one piece of that block; it stands there until the next one is asked for. Nothing is decoded: bytes stay bytes.
 *
 * SSE is read as WHATWG HTML says ("Server-sent events"): a BOM at the beginning is dropped, lines end with LF, CR or CRLF, comments
 * and unknown fields are skipped, an event without data is none, what follows the last blank line is dropped. `retry` is skipped.
 *
 * Thread: the scope's.
 */
#ifndef FA_UPSTREAM_READER_H
#define FA_UPSTREAM_READER_H

#include "exchange/exchange.h"

typedef enum fa_stream_format { FA_STREAM_RAW, FA_STREAM_SSE, FA_STREAM_NDJSON } fa_stream_format;

enum { FA_EVENT_NAME_SIZE = 128, FA_EVENT_ID_SIZE = 256, FA_READER_PIECE = 16 * 1024 };

/* Borrowed from the reader until the next call, also one that only adds bytes: see fa_reader_event. */
typedef struct fa_stream_event {
    fa_text event; /* "message" when it has no name */
    fa_text id;    /* the last one that was said, empty when none was */
    fa_text data;
} fa_stream_event;

typedef struct fa_reader {
    fa_scope *scope;
    fa_stream_format format;
    size_t event_max, window;
    uint8_t *bytes;
    size_t capacity;
    size_t data; /* [0, data): the data of the event that is being put together, or that was given last */
    size_t next; /* [next, filled): not looked at yet, but that [next, scanned) has no line end */
    size_t scanned, filled;
    char event[FA_EVENT_NAME_SIZE], id[FA_EVENT_ID_SIZE];
    size_t event_length, id_length;
    bool begun;    /* a BOM would be none any more */
    bool after_cr; /* an LF that comes now belongs to the line before */
    bool has_data, given, ended;
} fa_reader;

/* window: bytes that it keeps; event_max: of one event. Takes memory of the scope as bytes come. */
void fa_reader_init(fa_reader *reader, fa_scope *scope, fa_stream_format format, size_t event_max, size_t window);

/* FA_FULL: not now (nothing was taken): ask for events first. FA_NO_MEMORY. length: at most FA_READER_PIECE. */
fa_result fa_reader_write(fa_reader *reader, const void *bytes, size_t length);

/* No more will come. whole: the stream ended as it should; only then a last line without its end is an event (NDJSON). */
void fa_reader_end(fa_reader *reader, bool whole);

/* FA_OK: the next event. FA_NOT_FOUND: more bytes are needed, or there are no more. FA_FULL: the event is longer than event_max, or a name
 * or id too long for what it is. */
fa_result fa_reader_next(fa_reader *reader, fa_stream_event *event);

/* The event that was given last, wherever it stands by now. False when there is none, or another one was asked for. */
bool fa_reader_event(const fa_reader *reader, fa_stream_event *event);

/* Bytes that wait, and whether a piece would be taken. */
size_t fa_reader_waiting(const fa_reader *reader);
bool fa_reader_has_room(const fa_reader *reader);

/* Gives the memory back; the scope's end does it too. */
void fa_reader_free(fa_reader *reader);

#endif
