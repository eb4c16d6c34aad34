/* The HTTP edge of one worker, over libh2o. No h2o type leaves this folder: another h2o, or another library, can take
 * its place here. HTTP/1.1 only: HTTP/2 of libh2o 2.2.5 must not speak to strangers (docs/http.md says why). */
#ifndef FA_HTTP_HTTP_H
#define FA_HTTP_HTTP_H

#include "exchange/router.h"
#include "http/access_log.h"
#include "http/addresses.h"
#include "http/tls.h"

typedef struct fa_http fa_http;

typedef struct fa_http_options {
    size_t max_body;        /* bytes; a longer body is answered 413, when its length is declared before it is read */
    size_t max_connections; /* of this worker; one more is answered 503 and closed */
    uint64_t
        head_timeout_ms; /* for a head, from its first byte; on a new connection from accept; 0: request_timeout_ms */
    uint64_t request_timeout_ms; /* for a request, head and body, from its first byte; then the answer is 408 */
    uint64_t idle_timeout_ms;    /* between two requests of a connection; 0: request_timeout_ms */
    uint64_t send_stall_ms;      /* a client that takes nothing for so long is cut off */
    size_t body_rate; /* bytes a second of a body, after head_timeout_ms; a slower one is answered 408; 0: any */
    size_t max_head;  /* bytes; a longer head is answered 431 (414 when it is the request line); 0: 16 KB */
    size_t connection_requests; /* the answer to so many closes the connection; 0: no end */
    fa_addresses
        *addresses; /* counts connections of all workers for each address; borrowed; NULL: they are not counted */
    size_t address_connections; /* of one address; one more is answered 429 and closed; 0: no limit */
    double accept_rate; /* new connections a second, a second's worth at once; more wait in the backlog; 0: any */
    /* The longest body for a request, asked when its head has come and before its body is read: a longer one is answered 413,
     * by its declared length at once, else as soon as a chunk goes above it. key: the path percent-encoded, without query.
     * May be above or below max_body. NULL: max_body for all. */
    size_t (*body_limit)(const fa_route_key *key, void *context);
    void *body_limit_context; /* borrowed until fa_http_free */
    fa_access_log
        *access; /* hears of each answer when it has ended; borrowed until fa_http_free; NULL: there is none */
    const fa_header *defaults;        /* headers of every answer that has none of that name; borrowed likewise */
    const fa_header *secure_defaults; /* the same for connections with TLS */
    size_t default_count, secure_default_count;
    size_t spool_threshold; /* bodies above this lie in an unlinked file, not in memory */
    const char *spool_dir;  /* borrowed for the call */
    bool http2;             /* tls offers HTTP/2, and those who choose it are trusted */
    fa_tls *tls;            /* borrowed until fa_http_free; may be NULL when nobody listens with TLS */
    size_t request_budget;  /* bytes of all that one request owns, its body included; 0: no limit of its own */
} fa_http_options;

/* Called for every request, on the worker's thread. The handler answers now or later. */
typedef void (*fa_http_handler)(fa_exchange *exchange, void *context);

/* The edge's own memory hangs from the worker's scope. handler, context: borrowed until fa_http_free. FA_IO when
 * nothing can be written to spool_dir; FA_NO_MEMORY, FA_OVER_BUDGET. Thread: the worker's, or before it runs. */
fa_result fa_http_new(fa_worker *worker, const fa_http_options *options, fa_http_handler handler, void *context,
                      fa_http **http, fa_error *error);

/* Accepts connections on a bound socket (fa_http_bind), which the edge takes over: on failure it is closed. FA_IO,
 * FA_NO_MEMORY. secure: they speak TLS, by options.tls. Thread: the worker's, or before it runs. */
fa_result fa_http_listen(fa_http *http, int socket, bool secure, fa_error *error);

/* Takes in an exchange that fa_exchange_move sent away from another worker (or from this one): a new exchange in a new
 * request scope, with status 200 begun and its length unknown; whoever calls this answers it. It counts as a connection
 * and as a request of this edge. The ticket is gone in any case; when this fails the client gets its last words. An edge that drains
 * takes it in like any other, and is not idle then until it has ended. FA_FULL at max_connections, FA_IO, FA_NO_MEMORY,
 * FA_OVER_BUDGET. Thread: the worker's. */
fa_result fa_http_adopt(fa_http *http, fa_moving *moving, fa_exchange **exchange);

/* options.access, set later. Before the worker runs. */
void fa_http_log_access(fa_http *http, fa_access_log *access);

/* Stops accepting; answers now carry `Connection: close`; idle keep-alive connections are closed. on_idle is called on
 * the worker's thread when the last connection is gone, perhaps at once; again when that was an exchange that was taken in after it
 * (fa_http_adopt). */
void fa_http_drain(fa_http *http, void (*on_idle)(void *context), void *context);

/* While it refuses, a new connection is answered 503 with `Retry-After` and `Connection: close` and closed, without being parsed
 * or counted; those that are open go on. Thread: the worker's. */
void fa_http_refuse_connections(fa_http *http, bool refuse);

/* Cuts every connection; the log names the first ten requests. After fa_http_drain, when patience has ended; on_idle follows from the loop. */
void fa_http_cut(fa_http *http);

size_t fa_http_connections(const fa_http *http);
size_t fa_http_requests(const fa_http *http); /* exchanges not yet ended */
bool fa_http_draining(const fa_http *http);

/* Connections that speak another protocol by fa_exchange_upgrade: now, and ever. Thread: any. */
void fa_http_upgrades(const fa_http *http, uint64_t *open, uint64_t *total);

/* After on_idle, or from inside it; or when the loop has not run yet. Closes what is left of the edge on the loop; its
 * memory is freed with the worker's scope. Gives back what h2o keeps for this thread. Thread: the worker's. NULL is
 * ignored. */
void fa_http_free(fa_http *http);

/* Binds "HOST:PORT", perhaps behind a scheme (IPv4 or [IPv6]; port 0 picks one) with SO_REUSEADDR and SO_REUSEPORT, not yet listening for more
 * than the bind. name: gets "SCHEME://HOST:PORT" with the real port, which can be
 * bound again; the scheme is http when none was given. FA_INVALID for a malformed address, FA_CONFLICT when
 * it is in use, FA_IO. */
fa_result fa_http_bind(const char *address, int *socket, char *name, size_t name_size, fa_error *error);

/* For a listening socket that somebody else has made: whether it is bound to that address (port 0 in the address: to any port), and its
 * name as above. */
bool fa_http_is_bound_to(int socket, const char *address);
void fa_http_socket_name(int socket, const char *address, char *name, size_t name_size);

/* Whether others of this user may bind the address of that socket, too. */
bool fa_http_is_shared(int socket);

/* Whether an address is to be listened on with TLS. */
bool fa_http_is_secure(const char *address);

/* Whether anybody listens on the address already: FA_CONFLICT. To be asked once before the sockets of all workers are
 * bound, because SO_REUSEPORT lets a second server of the same user bind the same port and take half of the first one's
 * clients. */
fa_result fa_http_probe(const char *address, fa_error *error);

/* Of the library that the edge stands on: "2.2.5". */
const char *fa_http_library_version(void);

#endif
