/* What dialogues hold, for the memory report and the doctor: the bytes of their logs by why they are kept, and who reads slowly.
 * Fixed size, takes no memory. Thread: taking it, the worker's. */
#ifndef FA_DIALOGUE_CENSUS_H
#define FA_DIALOGUE_CENSUS_H

#include "dialogue/dialogue.h"

/* How fast a listener reads is known by upper bounds only: what was handed to its socket counts as read. One that cannot have read
 * FA_SLOW_RATE bytes a second (half of what speech needs) for at least FA_SLOW_AFTER_MS is slow. */
enum { FA_SLOW_LISTENERS = 8, FA_SLOW_RATE = 32 * 1024, FA_SLOW_AFTER_MS = 1000 };

typedef struct fa_listener_figures {
    char dialogue[FA_DIALOGUE_ID_SIZE];
    char remote[48];
    size_t backlog;    /* bytes of the log that it has not wholly got yet */
    size_t per_second; /* at most, since it joined or, having had all, was sent something again */
    uint64_t age_ms;
} fa_listener_figures;

typedef struct fa_dialogues_census {
    size_t live, running, resting, listeners;
    size_t log_bytes; /* of all event logs; the sum of the next two */
    size_t replay;    /* sent to somebody: kept for slower listeners and for reconnects */
    size_t lookahead; /* that no listener has begun to take yet */
    size_t in_flight; /* of log_bytes: on its way into sockets */
    size_t largest;   /* the largest log */
    char largest_dialogue[FA_DIALOGUE_ID_SIZE];
    size_t waiting;                                 /* dialogues whose producer waits for their slowest listener */
    size_t behind;                                  /* listeners with a backlog */
    size_t slow;                                    /* of them: slow ones */
    size_t slow_rate;                               /* none of the slow ones reads faster */
    size_t slow_held;                               /* of log_bytes: what slow listeners have not got yet */
    fa_listener_figures slowest[FA_SLOW_LISTENERS]; /* of those behind, the largest backlog first */
    size_t slowest_count;
} fa_dialogues_census;

/* Adds the figures of one worker to a census (zeroed before the first). */
void fa_dialogues_take_census(const fa_dialogues *dialogues, fa_dialogues_census *census);

void fa_dialogues_merge_census(fa_dialogues_census *into, const fa_dialogues_census *from);

#endif
