/* Specs that must succeed before newer scripts are taken (`reload_specs`): `fitnessally spec` in a process of its own, so that what they do, and
 * how long they take, is nothing to the server that serves meanwhile. Thread: the reloader's, which waits. */
#ifndef FA_SERVER_RELOAD_SPECS_H
#define FA_SERVER_RELOAD_SPECS_H

#include <stdint.h>

#include "base/log.h"
#include "memory/scope.h"
#include "script/failure.h"

enum { FA_MOST_RELOAD_SPECS = 64 };

/* All borrowed as long as it is used. */
typedef struct fa_reload_specs {
    const char *program;       /* that is run */
    char *const *command;      /* its words, without the specs; NULL-terminated */
    const char *const *specs;  /* files and folders; what is relative is below `app` */
    size_t count;              /* at most FA_MOST_RELOAD_SPECS are run */
    const char *app, *library; /* folders in which what they name may be */
    uint64_t limit_ms;         /* then they are killed, and have failed */
    int wake; /* an eventfd that is written to when the server may have something else to do; what is read is written again */
    bool (*stops)(void *context); /* whether that is that it stops: they are killed */
    void *context;
} fa_reload_specs;

/* FA_OK: all succeed. FA_INVALID: one does not, or they cannot be run, and `failure` says what there is to say. FA_CANCELLED: the server stops.
 * FA_NO_MEMORY, FA_IO. scope: of the calling thread; pays for what they print. */
fa_result fa_reload_specs_run(const fa_reload_specs *specs, fa_scope *scope, fa_load_failure *failure, fa_error *error);

#endif
