/* Inside core/http: what its files share. The only header of this project that includes h2o.
 *
 *   edge.c        fa_http: made, drained, freed
 *   bind.c        addresses to bound sockets
 *   listener.c    bound sockets to accepted ones
 *   connection.c  accepted sockets: counted, closed, lingering
 *   request.c     an h2o request becomes an exchange, and the exchange's end
 *   answer.c      the exchange's back end: start, send, cut, deadlines
 *   watch.c       clients that leave while nothing is read or written
 *   errors.c      answers that h2o makes on its own, in our shape
 *   library.c     what h2o keeps for the process and for each thread
 *   progress.c    what the peer has acknowledged
 */
#ifndef FA_HTTP_EDGE_H
#define FA_HTTP_EDGE_H

#include <h2o.h>

#include "http/http.h"
#include "worker/timer.h"

typedef struct fa_http_request fa_http_request;

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
    bool answering;       /* h2o_start_response is being called for an exchange: errors.c keeps out of it */
    bool sigpipe_blocked; /* in the worker's thread */
    bool refusing;        /* new connections: memory is short */
    size_t refused;       /* since then */

    bool draining;
    void (*on_idle)(void *context);
    void *idle_context;
    fa_timer sweep; /* while draining: closes connections that have become idle */
};

/* An accepted socket. Lives from accept until its last file descriptor is closed, lingering included. */
typedef struct fa_http_connection {
    uv_tcp_t tcp; /* first: h2o hands it back to its close callback */
    fa_list link; /* in fa_http.connections */
    fa_http *http;
    fa_account *account;      /* a reference */
    fa_http_request *request; /* the one that is being handled, or NULL */
    char remote[INET6_ADDRSTRLEN];

    int linger_fd; /* a duplicate to read on from after h2o has closed, or -1 */
    uv_poll_t linger;
    fa_timer linger_deadline;
    size_t linger_bytes;
} fa_http_connection;

/* Where a request's answer stands with h2o. */
typedef enum fa_http_phase {
    FA_PHASE_READY, /* h2o owes nothing: it may be called */
    FA_PHASE_OWED,  /* h2o_send in progress: it will call proceed, or end the request */
    FA_PHASE_LAST,  /* the final h2o_send is made: it will end the request */
    FA_PHASE_ENDING /* `later` is set and will make the final h2o_send */
} fa_http_phase;

/* One request; lies in its own request scope. */
struct fa_http_request {
    fa_exchange exchange;
    fa_http *http;
    fa_http_connection *connection;
    h2o_req_t *req; /* NULL from its end on */
    h2o_generator_t generator;
    h2o_timeout_entry_t later; /* calls h2o from a clean stack, see answer.c */
    fa_http_phase phase;
    bool head_sent;
    const char *cut; /* why the connection was cut; NULL while it was not */
    struct fa_http_watch *watch;
    fa_timer stall;
    uint64_t acked; /* bytes that the peer had acknowledged when `stall` was set */
};

/* listener.c. Closing frees what can be freed now; the rest goes with the worker's scope. */
void fa_http_close_listeners(fa_http *http);

/* connection.c. open takes over fd, and closes it when there is no room. */
void fa_http_connection_open(fa_http *http, int fd, const struct sockaddr_storage *address);
fa_http_connection *fa_http_connection_of(h2o_req_t *req);
int fa_http_connection_fd(const fa_http_connection *connection); /* -1 when closed */
void fa_http_connection_linger_after(fa_http_connection *connection);
void fa_http_connection_cut(fa_http_connection *connection);
void fa_http_close_idle(fa_http *http);

/* edge.c */
void fa_http_connection_is_gone(fa_http *http); /* tells on_idle when it was the last */

/* request.c */
void fa_http_register_handler(fa_http *http, h2o_pathconf_t *path);
void fa_http_request_id(const h2o_headers_t *headers, char id[FA_REQUEST_ID_SIZE]);

/* answer.c */
extern const fa_exchange_back_end fa_http_back_end;
void fa_http_answer_init(fa_http_request *request);
void fa_http_answer_end(fa_http_request *request); /* the request is about to be gone */
void fa_http_cut_request(fa_http_request *request, const char *why);

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

static inline fa_http_request *fa_http_request_of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, fa_http_request, exchange);
}

#endif
