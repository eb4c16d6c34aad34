/* Pressure: how near the server is to its budget, in steps, and who wants to know.
 *
 * One object watches one account, that of the running server. It has a level: 0 while there is room, then 1 to 6 as the
 * total reaches one share of the budget after the other. Each level asks for one more measure, and all before it stay
 * in force; it ends when the total has fallen some points below the share where it began, so that one request more or
 * less does not switch it on and off.
 *
 * Nothing polls. A charge or discharge compares the account's new total with two marks; only one that crosses a mark
 * comes here. Thread: any, but for fa_pressure_new and fa_pressure_free.
 */
#ifndef FA_MEMORY_PRESSURE_H
#define FA_MEMORY_PRESSURE_H

#include "base/list.h"
#include "base/log.h"
#include "memory/scope.h"

/* What is done at a level, and at all above it. */
typedef enum fa_pressure_level {
    FA_PRESSURE_NONE,
    FA_PRESSURE_REFUSE_DIALOGUES,
    FA_PRESSURE_PAUSE_UPSTREAMS,
    FA_PRESSURE_SHRINK_CACHES,
    FA_PRESSURE_PAUSE_SPEECH,
    FA_PRESSURE_DROP_LISTENERS,
    FA_PRESSURE_REFUSE_CONNECTIONS,
    FA_PRESSURE_LEVELS
} fa_pressure_level;

/* "refuse new dialogues"; "none" for 0. Static. */
const char *fa_pressure_name(fa_pressure_level level);

typedef struct fa_pressure_options {
    double enter[FA_PRESSURE_LEVELS]; /* percent of the budget where a level begins, not descending; [0] is not used */
    double relief;                    /* it ends so many points lower */
} fa_pressure_options;

typedef struct fa_pressure fa_pressure;

/* Watches the account of `scope`, in whose memory it lies; without a budget the level is 0 for ever. log: borrowed, may
 * be NULL. NULL: no memory. Thread: one that no other charges the scope beside. */
fa_pressure *fa_pressure_new(fa_scope *scope, const fa_pressure_options *options, const fa_log *log);

/* When no other thread charges the account any more and all subscribers have left. NULL is ignored. */
void fa_pressure_free(fa_pressure *pressure);

fa_pressure_level fa_pressure_now(fa_pressure *pressure);

/* Somebody to be told when the level has changed; lies in the subscriber's own object. changed may be called on any
 * thread, in the midst of an allocation, and more often than the level changes: all it does is post a message to its
 * worker, who asks for the level there. */
typedef struct fa_pressure_subscriber {
    fa_list link;
    void (*changed)(struct fa_pressure_subscriber *subscriber);
} fa_pressure_subscriber;

/* subscribe: whoever comes late asks for the level himself. unsubscribe: when it returns, no call is under way and none
 * will come. Not from within `changed`. */
void fa_pressure_subscribe(fa_pressure *pressure, fa_pressure_subscriber *subscriber,
                           void (*changed)(fa_pressure_subscriber *subscriber));
void fa_pressure_unsubscribe(fa_pressure *pressure, fa_pressure_subscriber *subscriber);

#endif
