/* Three workers with an edge each, and listeners that travel between them.
 *
 * "/go?to=1" moves to worker 1 and listens there; the rest of the query says what happens then:
 *   events=N     sends N events, "data: event 0\n\n" and so on, then ends the answer; 0: is silent
 *   describe=1   before them an event with what the new exchange knows of the request
 *   stop=N       moves to the next worker after every N events
 *   big=N        sends the 16 MB of world->big in one send, N times, then ends
 *   empty_end=1  the final send carries nothing
 * What the tests count is in move_world. */
#ifndef FA_SUPPORT_MOVE_WORLD_H
#define FA_SUPPORT_MOVE_WORLD_H

#include "edge_world.h"

enum { MOVE_EDGES = 3 };

typedef struct traveller traveller;

typedef enum on_the_way { PASS_ON, DISCARD, HOLD } on_the_way;

typedef struct move_world {
    edge_world edges[MOVE_EDGES]; /* the first one owns the server and the ledger */
    unsigned count;               /* of edges */
    bool stopped[MOVE_EDGES];     /* by the test: move_down leaves them alone */
    _Atomic int way;              /* an on_the_way: what is done with a ticket */
    fa_text last_words;           /* of each ticket */
    traveller *_Atomic held;
    _Atomic unsigned moved, lost, adopted, refused, gone, travellers;
    _Atomic int refusal; /* the last fa_result of an adoption or move that failed */
    _Atomic uint64_t gone_at_ms;
} move_world;

/* Between the two, tests may set options of the edges. */
void move_init(move_world *world);
void move_up(move_world *world);
void move_down(move_world *world); /* cuts what is left, and checks that nothing is */

/* Lets a ticket that was held go its way. */
void move_release(move_world *world);

/* For tests that turn one edge's loop themselves: everything goes to that edge. */
void move_alone(move_world *world, fa_ledger *ledger);

/* A client that has asked for `path` at an edge. */
int move_client(move_world *world, int edge, const char *path);

/* The whole answer, which stands until the next call; and whether a body is these events, from 0 on, and no more. */
const client_reply *move_reply(int fd);
void move_assert_events(const char *body, unsigned count);

#endif
