/* A worker with an HTTP edge on a thread of its own, and clients that are bare sockets with deadlines.
 *
 * The server's side of the tests is in edge_routes.c: small handlers, chosen by path. world_down checks what every test
 * must leave behind: no request, no connection, a ledger at zero, no block and no file descriptor more than before. */
#ifndef FA_SUPPORT_EDGE_WORLD_H
#define FA_SUPPORT_EDGE_WORLD_H

#include "testing.h"

#include "http/http.h"

enum { WORLD_MAX_BODY = 1024 * 1024, WORLD_BIG = 16 * 1024 * 1024, REPLY_SIZE = 256 * 1024 };

typedef struct edge_world {
    fa_failing failing;
    fa_ledger *ledger;
    fa_log log;
    char last_log[1000];
    fa_scope *server; /* above the worker */
    fa_worker *worker;
    fa_http *http;
    fa_http_options options;
    fa_http_handler handler; /* NULL: edge_routes; its context is the world */
    void *extra;             /* that handler's */
    size_t budget;           /* of the server's scope, 0: none */
    pthread_t thread;
    int port;
    size_t descriptors; /* before */
    fa_buffer *big;     /* WORLD_BIG sealed bytes for /big and /slowly */
    _Atomic unsigned handled, gone, drained;
    _Atomic uint64_t gone_at_ms;
    fa_message order;
    void (*carry_out)(struct edge_world *world); /* by the worker, for world_order */
    _Atomic bool carried_out;
} edge_world;

/* What a test may set before world_up; the rest is made from it. */
void world_init(edge_world *world);
void world_up(edge_world *world);
void world_down(edge_world *world);

/* world_up in parts, for several workers under one server: begin makes the ledger and the server, start the thread;
 * stop sees one worker off, end_server what begin has made. */
void world_begin(edge_world *world);
void world_start(edge_world *world);
void world_stop(edge_world *world);
void world_end_server(edge_world *world);

/* Runs it on the worker's thread, and waits for it. */
void world_order(edge_world *world, void (*what)(edge_world *world));

/* The parts, for tests that turn the loop themselves and may fail at any point. NULL error texts. */
fa_result world_make(edge_world *world);
fa_result world_make_big(edge_world *world); /* after it: there is a server then */
void world_end(edge_world *world);           /* drain, cut, free; turns the loop */

size_t world_count(const edge_world *world, fa_kind kind);
bool world_wait_count(const edge_world *world, fa_kind kind, size_t wanted, unsigned milliseconds);
bool wait_for(const _Atomic unsigned *counter, unsigned wanted, unsigned milliseconds);
size_t open_descriptors(void);

/* Whether times and RSS mean anything: not under valgrind and the sanitizers. */
bool under_valgrind(void);
bool measured(void);

/* edge_routes.c */
void edge_routes(fa_exchange *exchange, void *context);

/* ---- clients ---- */

/* receive_buffer: bytes, 0 for the kernel's choice. */
int client_connect(const edge_world *world, int receive_buffer);
void client_send(int fd, const char *text);

/* One answer with its body (by Content-Length, chunks or the end); text stands until the next call. Fails the test
 * after 10 s. false: the connection ended before an answer came. */
typedef struct client_reply {
    int status;
    char head[8192];
    char body[REPLY_SIZE];
    size_t body_length;
    bool closed; /* the body ended with the connection, or it was cut */
} client_reply;

bool client_read(int fd, bool head_only, client_reply *reply);
const client_reply *client_ask(int fd, const char *request); /* send and read */

/* Whether the other side closes within the time; what comes before is thrown away and counted. */
bool client_sees_end(int fd, unsigned milliseconds, size_t *bytes);

#endif
