/* What a runtime is made of, for the files that are one with runtime.c: lane.c makes what runs on one worker, runtime_end.c is how all of them
 * end together. */
#ifndef FA_SERVER_RUNTIME_INTERNAL_H
#define FA_SERVER_RUNTIME_INTERNAL_H

#include <pthread.h>

#include "server/pressure_steps.h"
#include "server/runtime.h"
#include "server/security_headers.h"
#include "server/settings.h"
#include "worker/timer.h"

/* What runs on one worker: loop, edge, dialogues, scripts, thread. */
typedef struct fa_lane {
    fa_runtime *runtime;
    fa_worker *worker;
    fa_http *http;
    fa_dialogues *dialogues;
    fa_upstreams *upstreams;
    fa_generations *generations; /* of its scripts */
    fa_pressure_steps *pressure_steps;
    pthread_t thread;
    bool threaded;
    fa_message stop, halt,
        finish; /* stop: from outside; halt: all lanes are idle; finish: nothing is under way between them */
    bool draining, dialogues_empty;
    bool idle, halted; /* guarded by the runtime's lock */
    fa_timer patience;
} fa_lane;

struct fa_runtime {
    fa_settings settings;
    fa_directory *directory;
    fa_crew crew;
    fa_lane *lanes;
    fa_crew_traffic traffic;
    fa_scope *scope;
    fa_addresses *addresses; /* NULL when they are not counted */
    fa_security_headers security;
    fa_media *media;
    fa_tls *tls; /* NULL: nobody wants it */
    const fa_log *log;
    const fa_access_log *access; /* of each lane; NULL: there is none */
    fa_turnstiles *turnstiles;
    fa_buckets *buckets;
    fa_watchdog *watchdog;
    bool jit;              /* user code is compiled */
    fa_turnstiles *places; /* of upstreams */
    fa_healths *healths;   /* of upstreams */
    fa_stores *stores;
    fa_topics *topics;
    fa_scripts *scripts;
    _Atomic uint64_t drain_ms;
    pthread_mutex_t lock; /* guards halting, finishing, lane.idle and lane.halted */
    fa_scope_hook at_end;
    bool halting, finishing;
    int tool_status;
};

/* lane.c: the next worker of the crew with all that runs on it. `l` lies in the runtime and is empty. */
fa_result fa_lane_make(fa_runtime *runtime, fa_lane *l, const fa_config *config, unsigned workers, fa_error *error);

/* runtime_end.c: what ends a lane, for lane.c. */
void fa_lane_init_end(fa_lane *l);

/* Drains this lane, once. Thread: its own, or none runs. */
void fa_lane_begin_drain(fa_lane *l);

/* Its scripts end. The same thread. */
void fa_lane_halt(fa_lane *l);

/* context: the runtime. Nothing is on its way between two lanes: it may be over. Thread: any. */
void fa_runtime_on_quiet(void *context);

#endif
