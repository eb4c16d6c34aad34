/* Somebody who answers in the place of an upstream, without any socket: for specs (docs/testing.md). All else is as ever: places, deadlines,
 * retries, breakers, hedging, redirects, back-pressure; and time is the worker's, so that a clock moved by hand moves the answer along.
 *
 * Thread: the worker's. */
#ifndef FA_UPSTREAM_STAND_IN_H
#define FA_UPSTREAM_STAND_IN_H

#include "upstream/upstream.h"

typedef struct fa_stand_in_flight fa_stand_in_flight;

enum { FA_STAND_IN_HEADERS = 64, FA_STAND_IN_PARTS = 64 };

/* As it would go out; what exceeds the arrays is left out. Borrowed for the call. */
typedef struct fa_stand_in_request {
    const char *method, *url;
    const char *headers[FA_STAND_IN_HEADERS]; /* "Name: value", with the secret */
    size_t header_count;
    const fa_buffer *body; /* NULL: none */
    fa_form_item parts[FA_STAND_IN_PARTS];
    size_t part_count;
} fa_stand_in_request;

typedef struct fa_stand_in_step {
    uint64_t after_ms; /* the one before */
    const char *bytes;
    size_t length;
    bool cut; /* the connection breaks; what follows never comes */
} fa_stand_in_step;

/* Borrowed for the call. */
typedef struct fa_stand_in_answer {
    fa_failure_kind failure; /* FA_FAILED_NOT, or why there is no connection: _REFUSED, _DNS, _TLS, _TIMEOUT */
    bool silent;             /* there is one, and nothing ever comes */
    uint64_t after_ms;       /* before the head */
    int status;
    const char *head; /* "Name: value\n" for each header */
    const fa_stand_in_step *steps;
    size_t step_count;
} fa_stand_in_answer;

/* A request has come: fa_stand_in_say before it returns, or the connection is refused. From the loop; must not touch the upstreams. */
typedef void (*fa_stand_in)(void *context, const fa_stand_in_request *request, fa_stand_in_flight *flight);

/* Copies the answer. FA_NO_MEMORY, FA_OVER_BUDGET. Once a request. */
fa_result fa_stand_in_say(fa_stand_in_flight *flight, const fa_stand_in_answer *answer);

/* Who answers from now on; NULL: the service itself. context: borrowed as long. */
void fa_upstream_stand_in(fa_upstream *upstream, fa_stand_in asked, void *context);

#endif
