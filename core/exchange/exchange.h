/* The exchange: one request and its answer, as everything above the edge sees it.
 *
 * A back end (core/http over h2o; exchange/inprocess.h for specs and embedders) makes an exchange with its request
 * scope, fills in the request and hands it to the handler. The handler answers with fa_exchange_reply, or with
 * fa_exchange_start and any number of fa_exchange_send, the last one final. The exchange ends when its back end ends
 * the request scope: after the last byte left, or when the client vanished.
 *
 * Thread: the worker's.
 */
#ifndef FA_EXCHANGE_EXCHANGE_H
#define FA_EXCHANGE_EXCHANGE_H

#include "exchange/trace.h"
#include "worker/worker.h"

typedef struct fa_exchange fa_exchange;

/* A ticket: an exchange between two workers. It owns the connection's socket and copies of what the new exchange needs
 * to know of the request, and is charged to an account of the ledger, not to a scope. */
typedef struct fa_moving fa_moving;

typedef struct fa_header {
    fa_text name; /* lower case */
    fa_text value;
} fa_header;

/* One piece of a sealed buffer. */
typedef struct fa_piece {
    fa_buffer *buffer;
    size_t offset, length;
} fa_piece;

enum { FA_MAX_PIECES = 16, FA_MAX_ANSWER_HEADERS = 40, FA_REQUEST_ID_SIZE = 40, FA_MOVING_MOST_BYTES = 16 * 1024 };

/* What the access log says of an exchange beside its request and its answer. It goes along to another worker. */
typedef struct fa_exchange_story {
    uint64_t began_us;    /* its first byte came; by fa_worker_now_us, 0: it did not get so far, for all of them */
    uint64_t parsed_us;   /* its head and body were there */
    uint64_t handler_us;  /* its handler began; what lies before that was waiting for a turnstile */
    uint64_t first_us;    /* the first byte of its answer went to the socket */
    uint64_t bytes_in;    /* head and body */
    int version;          /* 10 or 11 */
    const char *route;    /* the pattern; interned (fa_ledger_intern); NULL: none */
    unsigned generation;  /* of the scripts; 0: there is only one */
    char dialogue_id[40]; /* empty: of none */
} fa_exchange_story;

/* A whole answer, before it leaves. */
typedef struct fa_answer {
    int status;
    fa_header headers[FA_MAX_ANSWER_HEADERS];
    size_t count;
    fa_buffer *body; /* sealed */
} fa_answer;

/* What a back end does. All on the worker's thread. It never ends the request scope from inside a call. */
typedef struct fa_exchange_back_end {
    /* Begins the answer; the head may leave with the first send. headers: checked, borrowed for the call. length: of
     * the body, or -1 when unknown or when an answer of this kind has none. */
    fa_result (*start)(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length);
    /* Sends pieces; their buffers are already leased and stay so until fa_exchange_sent, which a back end calls from
     * its loop, never from inside send. final: no more follows. */
    fa_result (*send)(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final);
    /* Cuts the connection; the request scope ends soon after. */
    void (*abort)(fa_exchange *exchange);
    /* From now on the client's leaving must be noticed though nobody reads or writes. */
    void (*watch)(fa_exchange *exchange);
    /* See fa_exchange_move; NULL when this back end cannot. headers: of the 200 head, checked, with the request id,
     * borrowed for the call; NULL when the answer has begun already. Anything but FA_OK: nothing has happened. */
    fa_result (*move)(fa_exchange *exchange, const fa_header *headers, size_t count,
                      void (*moved)(fa_moving *moving, void *context), void *context);
    /* See fa_exchange_upgrade; NULL when this back end cannot. headers: of the 101 head, checked, borrowed for the call.
     * It counts as a send under way: fa_exchange_sent when the head has left. Anything but FA_OK: nothing has happened. */
    fa_result (*upgrade)(fa_exchange *exchange, const fa_header *headers, size_t count);
    /* See fa_exchange_read. NULL where there is nothing to read from, perhaps not yet. */
    void (*read)(fa_exchange *exchange);
} fa_exchange_back_end;

struct fa_exchange {
    const fa_exchange_back_end *back_end;
    fa_worker *worker;
    fa_scope *scope; /* the request's: everything of this request hangs from it */
    char request_id[FA_REQUEST_ID_SIZE];
    char generation[12]; /* of the scripts that answer, when clients are told (X-Generation); else empty */

    /* The request. Borrowed texts live as long as the exchange. */
    fa_text method;
    fa_text target; /* as sent */
    fa_text path;   /* percent-decoded once, no NUL, no "." or ".." segments left; empty when it cannot be had so */
    fa_text query;  /* as sent, without the "?" */
    fa_text remote; /* the peer's address without port */
    const fa_header *headers;
    size_t header_count;
    fa_buffer *body; /* sealed; NULL when there is none */
    fa_trace trace;  /* by fa_exchange_trace */
    fa_exchange_story story;

    /* The answer. Written by this file; read by all. */
    int status;         /* 0 until started */
    bool head_only;     /* HEAD: the body is not sent */
    bool finished;      /* the final send has been made */
    bool gone;          /* the client has vanished or the exchange was aborted */
    bool sending;       /* a send is under way: wait for on_sent */
    int64_t length;     /* of the body as declared, -1 when unknown */
    uint64_t body_sent; /* bytes of the body handed to the back end */
    uint64_t
        stall_ms; /* cut when the client takes nothing for so long, 0: never; set by the back end, may be changed */
    fa_piece in_flight[FA_MAX_PIECES];
    size_t in_flight_count;

    /* Whoever answers may listen. on_sent: what was sent has been taken by the socket, more may be sent. on_gone: the
     * client vanished; the scope ends right after, do not send any more. */
    void (*on_sent)(fa_exchange *exchange, void *context);
    void (*on_gone)(fa_exchange *exchange, void *context);
    void *context;

    /* After fa_exchange_upgrade: what the client sends; borrowed for the call. From the loop, never inside of another call,
     * and not any more once the exchange is finished or gone. Returns how many bytes were taken; when it leaves some the
     * back end stops reading, and gives them again after fa_exchange_read. */
    size_t (*on_input)(fa_exchange *exchange, const uint8_t *bytes, size_t length, void *context);
    void *input_context;

    /* Told once, before the first head is made: it may still add headers (exchange/head.h), and nothing else. NULL: nobody asks. */
    void (*heading)(fa_exchange *exchange, int status, void *context);
    void *heading_context;

    void *route_state; /* for whoever handles it (core/script) */
    bool promised;     /* for the same: somebody else has taken it and answers later */

    /* May change an answer that fa_exchange_reply gives with a body; NULL: nobody does. Another body than the one that it
     * finds is a buffer of the scope, which the exchange releases. */
    void (*shape)(fa_exchange *exchange, fa_answer *answer);
    const void *shape_context;

    /* What every answer gets beside its own headers: exchange/head.h. */
    struct fa_added_header *added; /* in memory of the scope */
    const fa_header *defaults;     /* borrowed as long as the exchange; only where an answer has none of that name */
    size_t default_count;
};

/* The value of a request header, or an empty text. name: lower case. */
fa_text fa_exchange_header(const fa_exchange *exchange, const char *name);

/* The value of a query parameter ("+" is a space), percent-decoded into memory of the request scope, NUL-terminated;
 * the first one of that name. NULL when absent, or when it decodes to something with a NUL. length: may be NULL. */
const char *fa_exchange_query(fa_exchange *exchange, const char *name, size_t *length);

/* The W3C trace that this request belongs to: the client's (traceparent) when it is well-formed, else one that begins here and now. Never
 * NULL; valid as long as the exchange. fa_trace_child renders what a request to another service bears; the client's tracestate, when the
 * trace is the client's, is to go along as it is. */
const fa_trace *fa_exchange_trace(fa_exchange *exchange);

/* Notes which dialogue it is about, for the access log. Cut when it is no id. */
void fa_exchange_note_dialogue(fa_exchange *exchange, fa_text dialogue_id);

/* The whole answer at once. body: sealed; borrowed (it is leased while in flight), NULL for none. X-Request-Id and
 * Content-Length are added; HEAD, 204 and 304 send no body. FA_WRONG_STATE when it is answered already or gone;
 * FA_INVALID for a header name that is no token, for CR, LF or NUL in a value, for a header that frames the message
 * (Content-Length, Transfer-Encoding, Connection: those are the edge's), for more than FA_MAX_ANSWER_HEADERS, for a
 * status outside 200-599. */
fa_result fa_exchange_reply(fa_exchange *exchange, int status, const fa_header *headers, size_t count, fa_buffer *body);

/* The same with a text that is copied into a buffer of the request scope. */
fa_result fa_exchange_reply_text(fa_exchange *exchange, int status, const char *mime, const char *text, size_t length);

/* {"error":{"code":code,"message":message,"requestId":...}}. code: snake_case. extra: one more header, may be NULL.
 * When the answer has begun already the exchange is aborted instead. */
void fa_exchange_fail(fa_exchange *exchange, int status, const char *code, const char *message, const fa_header *extra);

/* A streamed answer. length: -1 when unknown. Headers and errors as for fa_exchange_reply. The head leaves with the
 * first send. */
fa_result fa_exchange_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length);

/* Sends pieces of sealed buffers, leasing each until the socket has taken it. FA_WRONG_STATE when another send is under
 * way, or before the start, or after the end. count at most FA_MAX_PIECES; nothing to send only with `final`. Where
 * there is no body (HEAD, 204, 304) the first send drops its pieces and is final. FA_INVALID, among the above, when it
 * does not keep to the declared length; a final one that is short of it also cuts the connection, for nothing can mend
 * that. */
fa_result fa_exchange_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final);

/* Sends the exchange to another worker, socket and all: writes a 200 head now (a body of unknown length follows, which
 * ends with the connection) and, once it has left, calls `moved` from the loop with the ticket, which is the caller's
 * from then on; with NULL when the client vanished meanwhile. Exactly once, after the request scope has ended ("moved
 * to another worker"); context is not tied to that scope. fa_http_adopt makes an exchange of the ticket again.
 *
 * Where the back end cannot give the exchange away (HTTP/2), it stays, and the ticket is a relay to it (exchange/relay.h); the caller need
 * not know.
 *
 * On an exchange that has been adopted it moves the stream on, between two sends; headers are ignored then.
 *
 * After FA_OK the exchange must not be used any more (on_gone is not told, a send is refused); otherwise it is as
 * before: FA_UNSUPPORTED where the back end cannot, and for HEAD; FA_WRONG_STATE when the answer has begun otherwise,
 * while a send is under way, when it is gone; FA_INVALID for headers, as fa_exchange_start; FA_FULL when what the
 * request's head holds is above FA_MOVING_MOST_BYTES; FA_IO without a descriptor; FA_NO_MEMORY, FA_OVER_BUDGET. A body
 * of the request does not move along. */
fa_result fa_exchange_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                           void (*moved)(fa_moving *moving, void *context), void *context);

/* The connection becomes one of another protocol: a 101 head leaves, and from then on bytes go both ways. What is sent goes
 * through fa_exchange_send as ever, from the on_sent on that follows the head; the final send closes the connection once all
 * is written. What comes goes to on_input. A client that closes its side, or takes nothing for stall_ms, is gone as ever.
 * headers: the protocol's, Upgrade with them; Connection is the back end's. FA_UNSUPPORTED where the back end cannot (a
 * version before HTTP/1.1), for HEAD and with a body; FA_WRONG_STATE, FA_INVALID as fa_exchange_start; FA_NO_MEMORY,
 * FA_OVER_BUDGET. On failure the exchange is as it was. */
fa_result fa_exchange_upgrade(fa_exchange *exchange, const fa_header *headers, size_t count,
                              size_t (*on_input)(fa_exchange *exchange, const uint8_t *bytes, size_t length,
                                                 void *context),
                              void *input_context);

/* Goes on reading after on_input has left bytes; harmless otherwise. on_input follows from the loop, with what was left and
 * perhaps with nothing. */
void fa_exchange_read(fa_exchange *exchange);

/* What the client is told when the ticket is discarded: its answer has begun, and an end without a word would look like a whole one that is
 * empty. words: static. Without them, and when they cannot be sent on the spot, its connection is reset. */
void fa_moving_last_words(fa_moving *moving, fa_text words);

/* Closes the socket and frees the ticket. NULL is ignored. Thread: any. */
void fa_moving_discard(fa_moving *moving);

/* Cuts the connection now. */
void fa_exchange_abort(fa_exchange *exchange);

/* Notice a client that leaves while nothing is read or written. Cheap to call twice. */
void fa_exchange_watch(fa_exchange *exchange);

/* ---- for back ends ---- */

/* Prepares a zeroed exchange: its request scope must be live. A back end ends the scope itself. It fills in method,
 * headers and the rest before it calls fa_exchange_set_target, which looks at the Host header. */
void fa_exchange_init(fa_exchange *exchange, const fa_exchange_back_end *back_end, fa_worker *worker, fa_scope *scope);

/* Splits and decodes target into path and query (in memory of the scope). False when the path is malformed: not
 * beginning with "/", an invalid %XX, and after decoding a NUL, a backslash or a "." or ".." segment. The absolute form
 * is taken when its authority equals Host. */
bool fa_exchange_set_target(fa_exchange *exchange, fa_text target);

/* Decodes a path as fa_exchange_set_target does, into `out`. Its length, without a NUL; 0 when it is malformed or does not fit. */
size_t fa_path_decode(fa_text path, char *out, size_t size);

/* Copies the request's texts into memory of the scope, where they were borrowed from what goes before it: for an upgrade.
 * FA_NO_MEMORY (or a budget): all is as it was. */
fa_result fa_exchange_keep_request(fa_exchange *exchange);

/* The pieces of the last send have been taken by the socket: returns the leases and tells on_sent. */
void fa_exchange_sent(fa_exchange *exchange);

/* The client is gone, or the request ends: returns leases, tells on_gone once if the answer was not finished. */
void fa_exchange_gone(fa_exchange *exchange);

const char *fa_status_text(int status);

/* Case-insensitive equality with a literal. */
bool fa_text_is(fa_text text, const char *literal);

#endif
