/* The log of one server: one line an event, `time level message`. A line is cut at 1,000 bytes. While the server runs a thread of its
 * own writes the lines (base/log_writer.h), so that no loop waits for whoever reads them; before and after that each leaves in one write(2).
 * Lines of several threads never mix. Secrets, bodies and speech are never passed in: that is the callers'
 * duty. Thread: any. */
#ifndef FA_BASE_LOG_H
#define FA_BASE_LOG_H

#include <stdbool.h>

#include "fitnessally/fitnessally.h"

typedef struct fa_log {
    fa_log_level level; /* what is below it is dropped */
    int fd;             /* where lines go when there is no sink; -1: nowhere */
    fa_log_sink sink;   /* the embedder's, or NULL; it must not wait */
    void *sink_context;
    struct fa_log_ring *ring; /* on the way to fd; NULL: written at once. Set and unset while no other thread logs */
} fa_log;

void fa_log_write(const fa_log *log, fa_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "debug", "info", "warn", "error"; false for anything else. */
bool fa_log_level_parse(const char *name, fa_log_level *level);

#endif
