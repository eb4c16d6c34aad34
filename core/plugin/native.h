/* Native plugins: their thread, and the calls that scripts make to them (fitnessally/plugin.h is what a plugin sees).
 *
 * A plugin's functions run on its own thread, one at a time, from a bounded queue. A call is made on a worker and answered on that
 * worker. What its libraries hold by allocators of their own is attributed to it by name from fa_native_wait to fa_native_close. When the caller is gone the call is cancelled: it is skipped if it has not begun, and its results are dropped.
 */
#ifndef FA_PLUGIN_NATIVE_H
#define FA_PLUGIN_NATIVE_H

#include "fitnessally/plugin.h"
#include "memory/buffer.h"
#include "worker/worker.h"

typedef struct fa_native fa_native;

typedef struct fa_native_options {
    const char *name; /* as in the manifest; must be the shared object's own */
    const char *path; /* of the shared object */
    size_t budget;    /* bytes that it may keep; 0: none of its own */
    unsigned queue;   /* calls that may wait */
    /* The value of a configuration key, or NULL; asked on the plugin's thread, borrowed until fa_native_close. */
    const char *(*config)(void *context, const char *key);
    void *context;
    const fa_log *log;
} fa_native_options;

/* Loads the shared object and starts its thread, which opens the plugin; fa_native_wait says how that went, so that several can
 * open at the same time. server_scope: the plugin's scope becomes a child. Thread: the one that owns server_scope. */
fa_result fa_native_start(fa_scope *server_scope, const fa_native_options *options, fa_native **native,
                          fa_error *error);
fa_result fa_native_wait(fa_native *native, fa_error *error);

/* Closes the plugin and ends its thread; calls that still wait are answered as cancelled first. NULL is ignored. */
void fa_native_close(fa_native *native);

const char *fa_native_name(const fa_native *native);
size_t fa_native_function_count(const fa_native *native);
const char *fa_native_function_name(const fa_native *native, size_t index);

/* ---- calls ---- */

enum { FA_CALL_ARGUMENTS = 16, FA_CALL_RESULTS = 16 };

typedef enum fa_value_type { FA_VALUE_TEXT, FA_VALUE_NUMBER, FA_VALUE_FLAG, FA_VALUE_BUFFER } fa_value_type;

typedef struct fa_value {
    char key[24];
    fa_value_type type;
    double number; /* or the flag */
    char *text;    /* the call's own copy, NUL-terminated */
    size_t length;
    fa_buffer *buffer; /* sealed by the time the caller sees it */
} fa_value;

/* Makes a call to function `index`. owner: its account pays for the result buffers. done: on the worker's thread, once, unless
 * cancelled; the call is freed after it returns, with every buffer that was not taken by fa_call_take_buffer. */
fa_result fa_call_new(fa_native *native, size_t index, fa_worker *worker, fa_scope *owner, fa_call **call);

/* Arguments, before fa_call_start. FA_FULL beyond FA_CALL_ARGUMENTS, FA_INVALID for a key that is too long. */
fa_result fa_call_add_text(fa_call *call, const char *key, const char *text, size_t length);
fa_result fa_call_add_number(fa_call *call, const char *key, double value);
fa_result fa_call_add_flag(fa_call *call, const char *key, bool value);

/* Queues it. FA_FULL when the plugin has too much to do: the call is freed. progress: may be NULL. */
fa_result fa_call_start(fa_call *call, void (*done)(fa_call *call, void *context),
                        void (*progress)(fa_call *call, void *context, uint64_t done_units, uint64_t total_units),
                        void *context);

/* Before fa_call_start: frees it. After: neither done nor progress will be called any more. */
void fa_call_cancel(fa_call *call);

/* In done: */
bool fa_call_failed(const fa_call *call, const char **code, const char **message);
size_t fa_call_result_count(const fa_call *call);
const fa_value *fa_call_result(const fa_call *call, size_t index);
fa_buffer *fa_call_take_buffer(fa_call *call, size_t index); /* the caller owns it now (detached) */

#endif
