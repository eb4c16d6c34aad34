/* The generations of the scripts of one worker: the one that takes requests, and those before it that still have something to finish.
 *
 * A request is handled by the generation that is current when it is there, and finishes on it; so does a turn. A generation that has been
 * replaced goes when the last of them is over (fa_script_free, and lua_close with it). When that takes longer than `drain_ms` its streams of
 * events, which might never end, are told to come again.
 *
 * All workers change over at the same moment: a new state is offered to each of them first, and then one number, `serving`, decides for
 * all. Whoever has a request after that has it handled by the new one.
 *
 * Thread: the worker's, but where it says otherwise.
 */
#ifndef FA_SCRIPT_GENERATIONS_H
#define FA_SCRIPT_GENERATIONS_H

#include <stdatomic.h>

#include "script/script.h"

typedef struct fa_generations fa_generations;

enum { FA_MOST_GENERATIONS = 3 }; /* alive at once */

typedef struct fa_generations_options {
    fa_worker *worker;
    const _Atomic unsigned *serving; /* the number of the generation that takes requests on all workers; borrowed */
    uint64_t drain_ms;               /* before streams of events are told to come again */
    bool tell_clients;               /* X-Generation on every answer of a script */
    /* From the loop. taken_up: the generation takes requests here, and the one before has been told. gone: nothing is left of it. */
    void (*taken_up)(void *context, unsigned generation);
    void (*gone)(void *context, unsigned generation);
    void *context;
} fa_generations_options;

/* In memory of the worker's scope. first: attached, taken over on FA_OK. Before the worker runs. FA_NO_MEMORY. */
fa_result fa_generations_new(const fa_generations_options *options, fa_script *first, fa_generations **generations);

/* Runs what the first one gave to app:on_start. */
void fa_generations_start(fa_generations *generations);

/* The one that takes requests. */
fa_script *fa_generations_current(fa_generations *generations);

/* Those that are alive, the current one first; NULL behind the last. How many. */
size_t fa_generations_all(fa_generations *generations, fa_script *all[FA_MOST_GENERATIONS + 1]);

/* Makes a state apart and loads its application: ready to be offered, or to be freed. failure: may be NULL. Thread: any. */
fa_result fa_generation_build(const fa_script_options *options, fa_script **script, fa_load_failure *failure,
                              fa_error *error);

/* What is to come after the current one: made by fa_generation_build; taken over. It is taken up when `serving` has become its number. Thread: any,
 * one at a time, and not before the one offered last has been taken up. */
void fa_generations_offer(fa_generations *generations, fa_script *script);
/* `serving` has changed: who has no request to notice it takes it up, too. Thread: any. */
void fa_generations_wake(fa_generations *generations);

/* Ends what is left on a generation that has been replaced (fa_script_cut). */
void fa_generations_cut(fa_generations *generations, unsigned generation, const char *reason);

/* For fa_http_new: handler, and limit of a body. context: the fa_generations. */
void fa_generations_handle(fa_exchange *exchange, void *context);
size_t fa_generations_body_limit(const fa_route_key *key, void *context);

/* fa_script_drain, fa_script_stop, fa_script_free of all of them. free: NULL is ignored. */
void fa_generations_drain(fa_generations *generations);
void fa_generations_stop(fa_generations *generations);
void fa_generations_free(fa_generations *generations);

#endif
