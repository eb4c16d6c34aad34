/* Budgets from the configuration, and what a worker does at each step of memory pressure: the one place where the floors'
 * own reactions are put together (docs/memory.md, "Budgets and pressure").
 *
 *     fa_budgets_begin(running, config, &log, &pressure, error);                       once a server
 *     fa_pressure_attach(pressure, worker, http, dialogues, media, &steps, error);     once a worker
 *     fa_pressure_pauses(steps, pause, upstreams);                                     for reads from other services
 *     fa_pressure_detach(steps);                                                       before any of those goes
 *     fa_pressure_free(pressure);                                                      when no thread is left
 */
#ifndef FA_SERVER_PRESSURE_STEPS_H
#define FA_SERVER_PRESSURE_STEPS_H

#include "dialogue/dialogue.h"
#include "http/http.h"
#include "media/media.h"
#include "memory/pressure.h"
#include "server/config.h"

/* Limits the kinds (budget_dialogues and the like) in the ledger of `scope`, and watches its account. scope: the running
 * server's, which has memory_budget. FA_INVALID for a bad `pressure`, FA_NO_MEMORY. */
fa_result fa_budgets_begin(fa_scope *scope, const fa_config *config, const fa_log *log, fa_pressure **pressure,
                           fa_error *error);

typedef struct fa_pressure_steps fa_pressure_steps;

/* From now on the worker follows the level, on its own thread. http, dialogues, media: borrowed until detach; NULL for those
 * that it does not have. Thread: the worker's, or before it runs. FA_NO_MEMORY. */
fa_result fa_pressure_attach(fa_pressure *pressure, fa_worker *worker, fa_http *http, fa_dialogues *dialogues,
                             fa_media *media, fa_pressure_steps **steps, fa_error *error);

/* The second step, "pause upstream reads": `pause` is called with true when the level reaches it and with false when it has fallen below,
 * on the worker's thread, from its loop; the first time soon after this call, with whatever holds by then, and never twice with the same. One
 * for each worker; NULL takes it away. context: borrowed until detach. Thread: the worker's, or before it runs. */
void fa_pressure_pauses(fa_pressure_steps *steps, void (*pause)(void *context, bool paused), void *context);

/* Thread: the worker's, or after it has run. NULL is ignored. */
void fa_pressure_detach(fa_pressure_steps *steps);

#endif
