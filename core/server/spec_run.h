/* `fitnessally spec`: busted in a Lua state of its own, in this thread. */
#ifndef FA_SERVER_SPEC_RUN_H
#define FA_SERVER_SPEC_RUN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fa_spec_wish {
    const char *file; /* the configuration; NULL: none */
    const char *const *overrides;
    size_t override_count;
    bool coverage;          /* write luacov.stats.out and luacov.report.out here */
    char *const *arguments; /* for busted */
    int argument_count;
} fa_spec_wish;

/* Runs the specs and returns the exit status: 0, 1 when one fails. What is wrong besides is said on standard error. wish: borrowed for the call.
 * Thread: the main one. */
int fa_spec_run_all(const fa_spec_wish *wish);

#endif
