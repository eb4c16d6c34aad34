/* A stream of server-sent events that anybody may make: the head, the first `retry`, heartbeats while nothing is said,
 * and an end that tells the client when to come back. What is sent goes through its outlet. (The streams of dialogues
 * are core/dialogue's own: they share frames.)
 *
 * Lies in the request scope and ends with it. Thread: the worker's.
 */
#ifndef FA_EXCHANGE_EVENTS_H
#define FA_EXCHANGE_EVENTS_H

#include "exchange/outlet.h"

typedef struct fa_events fa_events;

typedef struct fa_events_options {
    uint64_t retry_ms;        /* how long a client waits before it comes again; 0: as it likes */
    uint64_t heartbeat_ms;    /* a comment is sent when nothing else was for so long; 0: never */
    size_t cap;               /* of the outlet */
    const fa_header *headers; /* further ones; borrowed for the call */
    size_t header_count;
} fa_events_options;

/* Answers 200 with text/event-stream; the head leaves at once. Errors as fa_exchange_start. */
fa_result fa_events_open(fa_exchange *exchange, const fa_events_options *options, fa_events **events);

fa_outlet *fa_events_outlet(const fa_events *events);

/* Ends it, once all is sent. again: the client is told to come again after its `retry` (1 s without one). Harmless when it
 * has ended. */
void fa_events_close(fa_events *events, bool again);

#endif
