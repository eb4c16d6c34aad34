/* A plugin host for unit tests: loads one shared object and runs its functions on the calling thread, over malloc. It
 * knows nothing of the core, so a plugin's test fails for the plugin's reasons only. */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fitnessally/result.h"

typedef struct fake_host fake_host;
typedef struct fake_call fake_call;

/* Loads $FA_PLUGIN_DIR/NAME.so (../plugins beside the test's own directory when unset) and opens it. config: key,
 * value, ..., NULL; borrowed until close. NULL with the reason in *error when the plugin refuses; anything else ends
 * the test program. */
fake_host *fake_host_open(const char *name, const char *const *config, fa_error *error);
void fake_host_close(fake_host *host);
size_t fake_host_attributed(fake_host *host);
size_t fake_host_allocated(const fake_host *host); /* blocks that the plugin holds */

/* A call: make it, add arguments, run it, look at what came, end it. */
fake_call *fake_call_new(fake_host *host, const char *function);
void fake_call_text(fake_call *call, const char *key, const char *text);
void fake_call_bytes(fake_call *call, const char *key, const char *text, size_t length);
void fake_call_number(fake_call *call, const char *key, double value);
void fake_call_cancel_after(fake_call *call, long looks); /* the caller is gone from the n-th look at cancelled() on */
void fake_call_budget(fake_call *call, size_t bytes);     /* buffers beyond it are FA_OVER_BUDGET */
fa_result fake_call_run(fake_call *call);
void fake_call_end(fake_call *call);

const char *fake_call_error(const fake_call *call); /* the code given to fail, "" when none */
const char *fake_call_message(const fake_call *call);
double fake_call_got_number(const fake_call *call, const char *key); /* NAN when absent */
const char *fake_call_got_text(const fake_call *call, const char *key);
const char *fake_call_got_buffer(const fake_call *call, const char *key,
                                 size_t *length); /* NUL-terminated; length may be NULL */
size_t fake_call_progress(const fake_call *call, uint64_t *done, uint64_t *total); /* how many reports, and the last */

#endif
