/* What the files of core/plugin share. */
#ifndef FA_PLUGIN_INTERNAL_H
#define FA_PLUGIN_INTERNAL_H

#include "memory/attributed.h"
#include "plugin/native.h"

struct fa_plugin_host { /* what plugin.h hands around; one a native plugin */
    fa_native *native;
};

struct fa_native {
    fa_plugin_host host;
    char name[40];
    fa_scope *scope;
    fa_account *account; /* the scope's: plugins allocate from any thread */
    const fa_log *log;
    const char *(*config)(void *context, const char *key);
    void *config_context;
    void *library;
    const fa_plugin *entry;
    void *state;
    fa_attributed attributed; /* of its libraries: in the ledger while it is open */
    unsigned queue_limit;

    pthread_t thread;
    bool thread_started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    fa_list queue; /* fa_call.link */
    unsigned queued;
    bool opened, closing;
    fa_result open_result;
    fa_error open_error;
};

struct fa_call {
    fa_list link;
    fa_message finished, progressed;
    fa_native *native;
    const fa_plugin_function *function;
    fa_worker *worker;
    fa_account *account; /* pays for the call itself: the worker's */
    fa_account *owner;   /* pays for result buffers: the caller's */
    fa_value arguments[FA_CALL_ARGUMENTS], results[FA_CALL_RESULTS];
    size_t argument_count, result_count;
    _Atomic bool cancelled;
    _Atomic uint64_t units_done, units_total;
    bool failed;
    char code[32];
    fa_error message;
    void (*done)(fa_call *call, void *context);
    void (*progress)(fa_call *call, void *context, uint64_t done_units, uint64_t total_units);
    void *context;
};

extern const fa_host_api fa_native_api; /* call.c */

void call_finish(fa_call *call, fa_result result); /* on the plugin's thread: back to the worker */

#endif
