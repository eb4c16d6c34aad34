/* Inside core/http: what its files share. The only header of this project that includes h2o.
 *
 *   edge.c        fa_http: made, drained, freed
 *   bind.c        addresses to bound sockets
 *   listener.c    bound sockets to accepted ones
 *   connection.c  accepted sockets: counted, closed, lingering
 *   secure.c      TLS between a socket and h2o
 *   gate.c        what of the input h2o gets to see: one request at a time, checked
 *   http2.c       the other protocol, where clients are trusted; http2_begun.c: what they have begun
 *   deadline.c    how long a client may take for a request
 *   refusal.c     the gate's no
 *   addresses.c   how many connections an address has
 *   request.c     an h2o request becomes an exchange, and the exchange's end
 *   body.c        its body becomes a buffer
 *   answer.c      the exchange's back end: start, send, cut, deadlines
 *   stall.c       the deadline for clients that take nothing
 *   move.c        an answer goes to another worker, and is taken in there
 *   stream.c      the back end of one that was taken in: a bare socket
 *   upgrade.c     the back end of one that speaks another protocol now (WebSocket)
 *   secure_stream.c  and TLS above it
 *   tls*.c        certificates, names and tickets; nothing of h2o
 *   access_log.c  the line for each answer; access_line.c: how it looks
 *   watch.c       clients that leave while nothing is read or written
 *   errors.c      answers that h2o makes on its own, in our shape
 *   library.c     what h2o keeps for the process and for each thread
 *   progress.c    what the peer has acknowledged
 */
#ifndef FA_HTTP_EDGE_H
#define FA_HTTP_EDGE_H

#include "base/random_id.h"
#include "http/body_check.h"
#include "http/h2o_version.h"
#include "http/head_check.h"
#include "http/http.h"
#include "http/http2_begun.h"
#include "worker/timer.h"

typedef struct fa_http_request fa_http_request;
typedef struct fa_http_stream fa_http_stream;
typedef struct fa_http_upgrade fa_http_upgrade;

struct fa_http {
    h2o_globalconf_t config; /* one for each worker: nothing of h2o is shared between threads */
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    fa_worker *worker;
    fa_http_options options; /* but for spool_dir, which was borrowed */
    fa_http_handler handler;
    void *handler_context;

    fa_account *account; /* of kind connection: pays for connections and watches */
    fa_list listeners, connections;
    size_t connection_count, request_count;
    _Atomic uint64_t upgrades, upgrades_ended; /* written here, read by all */
    fa_random_pool request_ids;
    bool answering;             /* h2o_start_response is being called for an exchange: errors.c keeps out of it */
    bool sigpipe_blocked;       /* in the worker's thread */
    bool refusing;              /* new connections: memory is short */
    size_t refused;             /* since then */
    h2o_socket_cb h2o_read;     /* h2o's own callback for a connection it reads from */
    h2o_socket_cb http2_read;   /* the same for HTTP/2 */
    uint64_t next_accept_at_ns; /* when the next connection would be due at accept_rate, see listener.c */

    bool draining;
    void (*on_idle)(void *context);
    void *idle_context;
    fa_timer sweep;   /* while draining: closes connections that have become idle */
    char waste[4096]; /* where streams read what nobody wants */
};

enum { FA_HTTP_REFUSAL_SIZE = 2048 };

/* What a connection waits for from its client; each has a deadline of its own, see deadline.c. */
typedef enum fa_http_awaited {
    FA_AWAITS_NOTHING, /* a request is being handled */
    FA_AWAITS_HANDSHAKE,
    FA_AWAITS_FIRST, /* the first byte of all */
    FA_AWAITS_NEXT,  /* another request */
    FA_AWAITS_HEAD,  /* the rest of a head */
    FA_AWAITS_BODY,
    FA_AWAITS_REQUESTS, /* several at a time, as HTTP/2 has them */
    FA_AWAITS_GOODBYE   /* a refusal is being written */
} fa_http_awaited;

/* What stands between a socket and h2o. */
typedef struct fa_http_gate {
    h2o_socket_t *socket;  /* NULL: h2o has no part in this connection */
    h2o_socket_cb written; /* h2o's callback while ours stands in its place */
    uint64_t seen_bytes;   /* for fa_h2o_new_bytes */
    h2o_buffer_t *ahead;   /* what came behind the request that is being handled; NULL when nothing did */
    fa_head head;
    fa_body_check body;
    size_t requests; /* whose heads have passed */
    bool bound;      /* fa_http_bound_unsent, by the last answer */
    fa_http_awaited awaits;
    uint64_t since_ms; /* it waits */
    uint64_t began_ms; /* the first byte of the request */
    uint64_t began_us; /* the same, for the access log */
    uint64_t wakes_ms; /* the deadline's timer is set for then; UINT64_MAX while it is not set */
    fa_timer deadline;
    char *answer;          /* a refusal on its way */
    SSL_CTX *context;      /* under TLS: a reference */
    unsigned char alert;   /* of a handshake that fails */
    fa_http2_begun *begun; /* with HTTP/2: what its requests are waited for; and its socket */
    h2o_socket_t *http2_socket;
    h2o_linklist_t *http2_link; /* what h2o has of it, for as long as it reads */
    bool told_last;             /* that no more requests are wanted */
    bool ends;                  /* no more are taken */
} fa_http_gate;

/* An accepted or adopted socket. Lives from then until its last file descriptor is closed, lingering included. */
typedef struct fa_http_connection {
    uv_tcp_t tcp; /* first: h2o hands it back to its close callback */
    fa_list link; /* in fa_http.connections */
    fa_http *http;
    fa_account *account;      /* a reference */
    fa_http_request *request; /* the one that is being handled, or NULL; with HTTP/2 always NULL */
    bool http2;
    fa_http_request *upgraded; /* it speaks another protocol, until it is closed; h2o has no part in it */
    fa_http_stream *stream;    /* of an adopted one, until it is closed; h2o has no part in it */
    char remote[INET6_ADDRSTRLEN];
    fa_address address; /* counted in http->options.addresses while `counted` */
    bool counted;
    fa_http_gate gate;

    int linger_fd; /* a duplicate to read on from after h2o has closed, or -1 */
    uv_poll_t linger;
    fa_timer linger_deadline;
    size_t linger_bytes;
} fa_http_connection;

/* Where a request's answer stands with h2o. */
typedef enum fa_http_phase {
    FA_PHASE_READY,     /* h2o owes nothing: it may be called */
    FA_PHASE_OWED,      /* h2o_send in progress: it will call proceed, or end the request */
    FA_PHASE_LAST,      /* the final h2o_send is made: it will end the request */
    FA_PHASE_MOVING,    /* h2o writes the head, ends the request, and lets go of the socket */
    FA_PHASE_UPGRADING, /* the same, and this exchange goes on with it */
    FA_PHASE_ENDING     /* `later` is set and will make the final h2o_send */
} fa_http_phase;

/* The deadline of an exchange for its client to take something. */
typedef struct fa_http_stall {
    fa_timer timer;
    uint64_t acked; /* bytes that the peer had acknowledged when it was set */
    fa_exchange *exchange;
    fa_http_connection *connection;
    void (*cut)(fa_exchange *exchange, const char *why);
} fa_http_stall;

/* One request; lies in its own request scope. */
struct fa_http_request {
    fa_exchange exchange;
    fa_http *http;
    fa_http_connection *connection;
    h2o_req_t *req; /* NULL from its end on */
    h2o_generator_t generator;
    fa_h2o_timer later; /* calls h2o from a clean stack, see answer.c */
    fa_http_phase phase;
    bool head_sent;
    const char *cut; /* why the connection was cut; NULL while it was not */
    struct fa_http_watch *watch;
    fa_http_stall stall;
    fa_http_upgrade *upgrade; /* once it is to speak another protocol */
    fa_moving *moving;        /* once it is to go to another worker */
    struct {
        size_t piece, offset; /* the next of exchange.in_flight that h2o gets */
        bool final;
    } send;
};

/* One that has come from another worker; lies in its own request scope, too. */
struct fa_http_stream {
    fa_exchange exchange;
    fa_http_connection *connection;
    const char *end;   /* why it ends: its handle is closing; NULL before */
    fa_moving *moving; /* where to: the ticket to be delivered at the end */
    bool client_ended; /* nothing more can be read */
    size_t read_bytes; /* and thrown away */
    SSL *ssl;          /* NULL: in the clear */
    BIO *sealed;       /* what is under way, under TLS */
    fa_http_stall stall;
    fa_timer last_moment;
    union {
        uv_write_t write;
        uv_shutdown_t shut; /* after the last write */
    } under_way;
    _Alignas(fa_header) char texts[]; /* of the request */
};

/* listener.c. Closing frees what can be freed now; the rest goes with the worker's scope. */
void fa_http_close_listeners(fa_http *http);
void fa_http_block_sigpipe(fa_http *http); /* in the calling thread, the worker's */

void fa_http_turn_away(fa_http *http, int fd, int status, const char *message, unsigned retry_after_s);

/* connection.c. open takes over fd, and closes it when there is no room. */
void fa_http_connection_open(fa_http *http, int fd, const struct sockaddr_storage *address, bool secure);
fa_result fa_http_connection_adopt(fa_http *http, int fd, fa_text remote, /* takes fd on success */
                                   fa_http_connection **connection);
void fa_http_connection_close(fa_http_connection *connection); /* an adopted one */
fa_http_connection *fa_http_connection_of(h2o_req_t *req);
int fa_http_connection_fd(const fa_http_connection *connection); /* -1 when closed */
void fa_http_connection_linger_after(fa_http_connection *connection);
void fa_http_connection_cut(fa_http_connection *connection);
void fa_http_close_idle(fa_http *http);

/* gate.c. open: the connection speaks HTTP/1 from now on; what its socket has read already counts. FA_NO_MEMORY,
 * FA_OVER_BUDGET: nothing has happened. follow: after every call that may have made h2o write or go on to the next
 * request. */
fa_result fa_http_gate_open(fa_http_connection *connection, h2o_socket_t *socket);
void fa_http_gate_begin(fa_http_connection *connection); /* the second half of it, after a handshake */
void fa_http_gate_follow(fa_http_connection *connection);
void fa_http_gate_let_go(fa_http_connection *connection); /* h2o has given the socket away: no requests any more */
void fa_http_gate_close(fa_http_connection *connection);  /* the socket is closed */
static inline bool fa_http_gate_is_last(const fa_http_connection *connection, const fa_http_options *options)
{
    const fa_http_gate *gate = &connection->gate;
    return gate->head.close || (options->connection_requests != 0 && gate->requests >= options->connection_requests);
}

/* secure.c. open: as fa_http_gate_open, after a handshake. take: h2o lets go of the connection, which goes on elsewhere with memory
 * BIOs; NULL: it was closed. */
fa_result fa_http_secure_open(fa_http_connection *connection, h2o_socket_t *socket);
void fa_http_secure_close(fa_http_connection *connection); /* the socket is closed */
bool fa_http_secure_is_spurious(const h2o_socket_t *socket, const char *error);
void fa_http_secure_mute(const h2o_socket_t *socket); /* before h2o may close it, when reading has failed */
bool fa_http_secure_is_reading(const h2o_socket_t *socket);
SSL *fa_http_secure_take(h2o_socket_t *socket);
void fa_http_secure_free(void *ssl);

/* http2.c. begin: h2o has the connection for itself. trouble: why a request is refused, or NULL. */
bool fa_http2_is_chosen(h2o_socket_t *socket);
void fa_http2_begin(fa_http_connection *connection, h2o_socket_t *socket);
uint64_t fa_http2_deadline(const fa_http_connection *connection); /* UINT64_MAX: none */
void fa_http2_expire(fa_http_connection *connection);
void fa_http2_drain(fa_http_connection *connection);
void fa_http2_close(fa_http_connection *connection); /* the socket is closed */
const char *fa_http2_trouble(const h2o_req_t *req);
size_t fa_http2_most_body(const fa_http *http, const h2o_req_t *req);
static inline bool fa_http_is_http2(const h2o_req_t *req)
{
    return req->version >= 0x200;
}

/* secure_stream.c: TLS over the bare socket of a stream. seal: what is to be written for the pieces, and for the end when it is
 * `final`; the caller's to BIO_free, NULL when it cannot be had. open: what was read; false at the client's end, by its word or its
 * fault. */
BIO *fa_http_stream_seal(SSL *ssl, const fa_piece *pieces, size_t count, bool final);
BIO *fa_http_stream_seal_text(SSL *ssl, fa_text text); /* and the end */
bool fa_http_stream_open(SSL *ssl, const char *bytes, size_t length);

/* deadline.c. */
fa_result fa_http_deadline_open(fa_http_connection *connection);
void fa_http_deadline_await(fa_http_connection *connection, fa_http_awaited what); /* from now on */
void fa_http_deadline_arm(fa_http_connection *connection);                         /* before going back to the loop */

/* refusal.c. Answers in the shape of all our errors, and closes. refuse: while h2o reads from the connection, or writes a
 * 100: then it is closed without a word. */
void fa_http_gate_refuse(fa_http_connection *connection, int status, const char *message);
void fa_http_gate_drop(fa_http_connection *connection, const char *why); /* without an answer; also in a handshake */

/* edge.c */
void fa_http_connection_is_gone(fa_http *http); /* tells on_idle when it was the last */

/* request.c */
void fa_http_register_handler(fa_http *http, h2o_pathconf_t *path);
fa_result fa_http_request_scope(fa_http *http, fa_text method, fa_text path, fa_scope **scope);
fa_exchange_story fa_http_story(const fa_http_connection *connection); /* of what has come so far */
void fa_http_request_id(fa_http *http, const h2o_headers_t *headers, char id[FA_REQUEST_ID_SIZE]);
void fa_http_choose_id(fa_http *http, fa_text given,
                       char id[FA_REQUEST_ID_SIZE]); /* given: by the client, perhaps empty */

/* body.c. Into request->exchange.body; what fails here is FA_OVER_BUDGET, FA_NO_MEMORY or FA_IO. */
fa_result fa_http_take_body(fa_http_request *request);

/* answer.c */
extern const fa_exchange_back_end fa_http_back_end;
void fa_http_answer_init(fa_http_request *request);
void fa_http_answer_end(fa_http_request *request); /* the request is about to be gone */
void fa_http_cut_request(fa_http_request *request, const char *why);
void fa_http_copy_headers(h2o_req_t *req, const fa_header *headers, size_t count);

/* stall.c. watch: from now on, when the kernel did not take all at once (most answers never need a timer). The timer is
 * paused and stopped by its owner. */
void fa_http_stall_init(fa_http_stall *stall, fa_exchange *exchange, fa_http_connection *connection,
                        void (*cut)(fa_exchange *exchange, const char *why));
void fa_http_stall_watch(fa_http_stall *stall);
void fa_http_reset_now(int fd);
void fa_http_reset_at_close(int fd); /* whoever closes it last resets the connection, and drops what was not sent */

/* move.c */
fa_result fa_http_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                       void (*moved)(fa_moving *moving, void *context), void *context);

void fa_http_lost_is_logged(fa_http *http, fa_moving *moving);

/* stream.c. new: takes the ticket's socket on success, never the ticket. closed: by the connection, from the loop. */
fa_result fa_http_stream_new(fa_http *http, fa_scope *scope, fa_moving *moving, fa_http_stream **stream);
void fa_http_stream_cut(fa_http_stream *stream, const char *why);
void fa_http_stream_closed(fa_http_stream *stream);

/* upgrade.c. disposed: h2o has ended its request; the exchange goes on. cut: like the exchange's. closed: by the connection,
 * from the loop. */
fa_result fa_http_upgrade_begin(fa_exchange *exchange, const fa_header *headers, size_t count);
void fa_http_upgrade_disposed(fa_http_request *request);
void fa_http_upgrade_cut(fa_http_request *request, const char *why);
void fa_http_upgrade_closed(fa_http_request *request);

/* watch.c */
void fa_http_watch_start(fa_http_request *request);
void fa_http_watch_stop(fa_http_request *request);

/* errors.c */
void fa_http_register_errors(fa_http *http, h2o_pathconf_t *path);
void fa_http_refuse(h2o_req_t *req); /* 503 with Retry-After: there is no memory for an exchange */

/* library.c */
fa_result fa_http_library_begin(const fa_http_options *options, const fa_log *log, fa_error *error);
void fa_http_library_end(void);
void fa_http_library_forget_thread(void);

/* progress.c */
uint64_t fa_http_bytes_acked(int fd);
void fa_http_bound_unsent(int fd, bool bound); /* bound: for an answer that goes on as its client reads */

static inline fa_http_request *fa_http_request_of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, fa_http_request, exchange);
}

#endif
