/* The logs of a running server: the general log on standard error and the access log, each with a thread that writes (base/log_writer.h). */
#ifndef FA_SERVER_LOGS_H
#define FA_SERVER_LOGS_H

#include "base/log_writer.h"
#include "http/access_log.h"
#include "memory/scope.h"
#include "server/config.h"

typedef struct fa_logs {
    fa_log *log;
    fa_log_writer general, accesses;
    fa_log_ring general_ring;
    fa_access_log *access; /* one for each worker; NULL: there is no access log */
} fa_logs;

/* log: its lines go through a thread from now on, unless it has a sink. scope: pays, and ends after fa_logs_stop. logs: stays where it is.
 * FA_INVALID, FA_IO when the file cannot be opened, FA_NO_MEMORY; fa_logs_stop is due in any case. */
fa_result fa_logs_start(fa_logs *logs, fa_scope *scope, const fa_config *config, fa_log *log, unsigned workers,
                        fa_error *error);

/* Opens the files anew. Thread: any. */
void fa_logs_reopen(fa_logs *logs);

/* When nobody logs any more but the caller. Writes what is left; harmless on zeroed ones, and twice. */
void fa_logs_stop(fa_logs *logs);

#endif
