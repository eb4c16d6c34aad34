/* Fresh pools for one upstream on every worker: for `fitnessally recycle`, and for fitnessally.recycle in scripts. */
#ifndef FA_SERVER_RECYCLING_H
#define FA_SERVER_RECYCLING_H

#include "server/runtime.h"

/* Appends a line that says so to `out`; it begins with "error: " when there is no such upstream. Thread: not a worker's, while they run. */
fa_result fa_recycle_and_wait(fa_runtime *runtime, const char *upstream, fa_buffer *out);

/* Takes up the question "recycle" about the upstream of that name, and answers it with JSON: {ok=true, workers=, of=}, workers: those that
 * came to it in time; or {ok=false, error=}. FA_NO_MEMORY, FA_OVER_BUDGET: it is not answered. Thread: the question's worker. */
fa_result fa_recycle_answer(fa_runtime *runtime, fa_memory_question *question);

#endif
