/* A service to ask, over loopback, that behaves as its paths say: one thread a connection, blocking, and no mercy.
 *
 *   /hello            200 "hello"
 *   /echo             200, the body that came
 *   /head             200, "METHOD TARGET\nname: value\n...\nbody"
 *   /status/N[/S]     status N, "status N"; with S: Retry-After: S
 *   /bytes/N          N bytes, Content-Length
 *   /chunks/N/B       N chunks of B bytes
 *   /endless          chunks without end
 *   /silent           nothing at all
 *   /once-silent      the same for the first time, then 200 "heard"
 *   /stall            a head, ten bytes of a hundred, then nothing
 *   /cut              the same, then the connection closes
 *   /nothing          the connection closes without an answer
 *   /garbage          something that is no HTTP
 *   /longhead         a head without end
 *   /flaky/N          503 for the first N requests to any /flaky, then 200 "well"
 *   /goto/S?URL       status S, Location: URL
 *   /last             200 "last", and the connection closes though it said nothing of it
 *   /say              the pieces of origin.said, each in a write of its own, without a length: the connection closes
 */
#ifndef FA_SUPPORT_ORIGIN_H
#define FA_SUPPORT_ORIGIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { ORIGIN_MOST = 2048 };

typedef struct origin {
    int port, listener;
    pthread_t thread;
    pthread_mutex_t lock; /* guards clients */
    int clients[ORIGIN_MOST];
    size_t client_count;
    _Atomic size_t open, connections, requests, flaky;
    _Atomic bool stopping;
    _Atomic size_t threads;
    const char *said_head; /* NULL: 200, text/event-stream */
    const char *said;
    size_t said_length, said_piece;
} origin;

void origin_begin(origin *o);
void origin_end(origin *o); /* closes everything and waits for its threads */

#endif
