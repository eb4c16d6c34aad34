/* Requests without sockets: the back end for specs and for programs that embed the server.
 *
 *     fa_inprocess_request request = {.method = "GET", .target = "/media/a.gif"};
 *     fa_inprocess *client;
 *     fa_inprocess_start(worker, scope, &request, handler, context, &client);
 *     ... the loop turns ...
 *     const fa_inprocess_answer *answer = fa_inprocess_answered(client);
 *
 * The client's patience can be steered: it takes bytes as they come, or only as many as the program says (so that
 * back-pressure can be seen), or it vanishes. As with sockets, whatever was sent is taken from the loop, never inside
 * the call that sends. The request scope hangs from the worker's scope; the answer lies in the scope of whoever asked.
 *
 * Thread: the worker's.
 */
#ifndef FA_EXCHANGE_INPROCESS_H
#define FA_EXCHANGE_INPROCESS_H

#include "exchange/exchange.h"

typedef struct fa_inprocess fa_inprocess;

/* All borrowed for the call. What is not set is 0. */
typedef struct fa_inprocess_request {
    const char *method, *target;
    const char *const *headers; /* name, value, name, value, ..., NULL; may be NULL */
    const void *body;
    size_t body_length;
    const char *remote; /* NULL: "in-process" */
    bool stepped;       /* nothing is taken but by fa_inprocess_take */
    /* The request scope has ended: the answer is complete or cut. May free the client. May be NULL. */
    void (*on_end)(fa_inprocess *client, void *context);
    void *end_context;
} fa_inprocess_request;

/* What has arrived so far. */
typedef struct fa_inprocess_answer {
    int status; /* 0: nothing yet */
    const fa_header *headers;
    size_t header_count;
    int64_t length;   /* as declared, -1 when it was not */
    fa_buffer *body;  /* sealed once `ended` is true */
    bool ended;       /* nothing more will come */
    bool complete;    /* it ended with the answer's end, not with a cut */
    fa_result result; /* why it was cut, when the reason is the client's: FA_OVER_BUDGET, FA_NO_MEMORY for the body */
} fa_inprocess_answer;

/* Makes the request and calls the handler (as with core/http, it answers now or later). The client and its answer lie
 * in `owner`, are charged to it and end with it, at which the request's client vanishes. On failure the handler was not
 * called: FA_NO_MEMORY, FA_OVER_BUDGET, FA_WRONG_STATE when a scope has ended. */
fa_result fa_inprocess_start(fa_worker *worker, fa_scope *owner, const fa_inprocess_request *request,
                             void (*handler)(fa_exchange *exchange, void *context), void *context,
                             fa_inprocess **client);

/* Borrowed, valid as long as the client. */
const fa_inprocess_answer *fa_inprocess_answered(const fa_inprocess *client);

/* A header of the answer, or an empty text. name: lower case. */
fa_text fa_inprocess_header(const fa_inprocess *client, const char *name);

/* A stepped client takes so many more bytes of the body, SIZE_MAX for all there will be; the loop does it. */
void fa_inprocess_take(fa_inprocess *client, size_t bytes);

/* Lets go of the part of the body that has arrived: what comes next is the beginning of a new `body`. For streams that are read as they
 * come. FA_WRONG_STATE once the answer has ended; FA_NO_MEMORY, FA_OVER_BUDGET, with the body as it was. */
fa_result fa_inprocess_forget_body(fa_inprocess *client);

/* What the client says after its request has been upgraded; copied, and read from the loop. FA_WRONG_STATE when the request has ended,
 * FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_inprocess_feed(fa_inprocess *client, const void *bytes, size_t length);

/* Bytes that have been sent and not been taken. */
size_t fa_inprocess_waiting(const fa_inprocess *client);

/* The client leaves: the request scope ends now. Not from inside the handler's calls. Harmless when the answer has
 * ended. */
void fa_inprocess_vanish(fa_inprocess *client);

/* For inprocess.c: fills in what the request says, copied into the exchange's scope. FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_inprocess_fill_in(fa_exchange *exchange, const fa_inprocess_request *request);

/* Vanishes if need be, and gives back what the client and the answer hold. */
void fa_inprocess_free(fa_inprocess *client);

#endif
