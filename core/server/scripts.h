/* The scripts of a server: a state for each worker and generation, and how a new generation takes the place of the old one on all workers
 * at the same moment, or on none.
 *
 * Thread: as each function says; what belongs to one worker is core/script/generations.h.
 */
#ifndef FA_SERVER_SCRIPTS_H
#define FA_SERVER_SCRIPTS_H

#include "script/generations.h"
#include "server/config.h"
#include "server/plugins.h"
#include "server/settings.h"
#include "worker/crew.h"

typedef struct fa_scripts fa_scripts;

/* What they are made of; all borrowed as long as they are. */
typedef struct fa_scripts_options {
    const fa_config *config;
    const fa_settings *settings;
    const fa_log *log;
    fa_plugins *plugins;
    fa_media *media;
    fa_turnstiles *turnstiles;
    fa_buckets *buckets;
    fa_stores *stores;
    fa_topics *topics;
    const fa_crew *crew;
    fa_watchdog *watchdog;
    bool jit;                      /* compile user code */
    bool app;                      /* load the application (false for tools) */
    const fa_line_listener *lines; /* NULL: nobody */
} fa_scripts_options;

/* In memory of the scope. NULL: no memory. */
fa_scripts *fa_scripts_new(fa_scope *scope, const fa_scripts_options *options, unsigned workers);

/* Of a worker, as scripts see it. */
typedef struct fa_scripts_worker {
    fa_worker *worker;
    fa_dialogues *dialogues;
    fa_upstreams *upstreams;
    bool (*draining)(void *context);
    void (*edge)(void *context, fa_edge_figures *figures);
    void *context;
} fa_scripts_worker;

/* Makes the first generation of the next worker, and loads the application. Before any worker runs. */
fa_result fa_scripts_add(fa_scripts *scripts, const fa_scripts_worker *worker, fa_generations **generations,
                         fa_error *error);

/* Who answers fitnessally.memory. Before any worker runs. */
void fa_scripts_set_memory(fa_scripts *scripts, fa_memory_source source, void *context);

/* ---- reload ---- */

/* Asked when everything has been loaded and is right: whether it may serve. FA_OK, or why not. On the calling thread. */
typedef struct fa_reload_gate {
    fa_result (*pass)(void *context, fa_load_failure *failure, fa_error *error);
    void *context;
} fa_reload_gate;

typedef struct fa_reload_report {
    fa_result
        result; /* FA_OK: the new generation serves. FA_INVALID: what was loaded is broken. FA_FULL: too many still live */
    bool refused;        /* it was the gate that said no */
    unsigned generation; /* that serves after it */
    unsigned previous;   /* FA_OK: the one before */
    uint64_t load_us;    /* to make and load the states of all workers; nobody waits for that */
    uint64_t specs_us;   /* that the gate took; 0: there was none */
    uint64_t switch_us;  /* from then until all workers have changed over */
    unsigned late;       /* workers that a script did not let go in time: they change over before their next request */
    uint64_t retry_ms;   /* FA_FULL: after so long the oldest would be cut; 0: now, or nobody knows */
    char message[400];   /* what went wrong, in one line */
    fa_load_failure failure; /* FA_INVALID: more of it */
} fa_reload_report;

/* Reads the manifests of plugins, and loads the application anew, aside, on the calling thread, and lets it take all requests that come from then on. When it says FA_OK no
 * request that comes after that is handled by older scripts. Otherwise nothing has changed. gate: may be NULL. Thread: one that is no worker's, while they all
 * run; one at a time. */
fa_result fa_scripts_reload(fa_scripts *scripts, const fa_reload_gate *gate, fa_reload_report *report);

/* What lives, newest first. */
typedef struct fa_generation_entry {
    unsigned number;
    unsigned workers;     /* on which it is still needed, or is current */
    uint64_t replaced_ms; /* when, by the ledger's clock; 0: it serves */
} fa_generation_entry;

/* How many. Thread: any. */
size_t fa_scripts_list(fa_scripts *scripts, fa_generation_entry list[FA_MOST_GENERATIONS]);

/* What is left on each generation. Waits for workers that are busy, but not for long. */
typedef struct fa_generation_left {
    unsigned number;
    bool serves;
    uint64_t replaced_ms; /* ago */
    unsigned workers;     /* that still have it */
    size_t heap;
    fa_script_left left;
    fa_inventory tasks; /* of one that has been replaced */
} fa_generation_left;

typedef struct fa_generations_left {
    size_t count;
    fa_generation_left list[FA_MOST_GENERATIONS]; /* newest first */
} fa_generations_left;

/* left: zeroed. Thread: as fa_scripts_reload. */
void fa_scripts_read_left(fa_scripts *scripts, fa_generations_left *left);

/* Called each time that nothing is left of a generation, on the thread of whatever worker; before any runs. */
void fa_scripts_on_gone(fa_scripts *scripts, void (*on_gone)(void *context), void *context);

/* After the workers have ended, or when they never ran. NULL is ignored. */
void fa_scripts_free(fa_scripts *scripts);

#endif
