#include "server/logs.h"

#include <string.h>
#include <unistd.h>

enum { GENERAL_RING = 64 * 1024, ACCESS_DELAY_MS = 10 };

static fa_result start_general(fa_logs *logs, fa_scope *scope, fa_error *error)
{
    if (logs->log->sink != NULL || logs->log->fd < 0)
        return FA_OK;
    fa_log_writer_options options = {
        .name = "log",
        .fd = logs->log->fd,
        .rings = &logs->general_ring,
        .ring_count = 1,
        .memory = fa_scope_allocate(scope, GENERAL_RING),
        .ring_size = GENERAL_RING,
        .log = logs->log,
    };
    if (options.memory == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the log");
    fa_result result = fa_log_writer_start(&logs->general, &options, error);
    if (result == FA_OK)
        logs->log->ring = &logs->general_ring;
    return result;
}

static fa_result start_access(fa_logs *logs, fa_scope *scope, const fa_config *config, unsigned workers,
                              fa_error *error)
{
    const char *format = fa_config_text(config, "access_log");
    size_t ring_size = fa_config_size(config, "access_log_buffer");
    if (strcmp(format, "off") == 0)
        return FA_OK;
    fa_access_log *access = fa_scope_allocate(scope, workers * sizeof(*access));
    fa_log_writer_options options = {
        .name = "access log",
        .path = fa_config_text(config, "access_log_file"),
        .fd = STDOUT_FILENO,
        .rings = fa_scope_allocate(scope, workers * sizeof(fa_log_ring)),
        .ring_count = workers,
        .memory = fa_scope_allocate(scope, workers * ring_size),
        .ring_size = ring_size,
        .delay_ms = ACCESS_DELAY_MS,
        .log = logs->log,
    };
    if (access == NULL || options.rings == NULL || options.memory == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the access log");
    fa_result result = fa_log_writer_start(&logs->accesses, &options, error);
    if (result != FA_OK)
        return result;
    for (unsigned i = 0; i < workers; ++i) {
        access[i].ring = &options.rings[i];
        access[i].format = strcmp(format, "json") == 0 ? FA_ACCESS_JSON : FA_ACCESS_COMBINED;
        access[i].rate = fa_config_number(config, "access_log_rate") / workers;
    }
    logs->access = access;
    return FA_OK;
}

fa_result fa_logs_start(fa_logs *logs, fa_scope *scope, const fa_config *config, fa_log *log, unsigned workers,
                        fa_error *error)
{
    memset(logs, 0, sizeof(*logs));
    logs->log = log;
    fa_result result = start_general(logs, scope, error);
    return result == FA_OK ? start_access(logs, scope, config, workers, error) : result;
}

void fa_logs_reopen(fa_logs *logs)
{
    if (logs->access != NULL)
        fa_log_writer_reopen(&logs->accesses);
}

void fa_logs_stop(fa_logs *logs)
{
    fa_log_writer_stop(&logs->accesses); /* first: it may have something to say */
    fa_log_writer_stop(&logs->general);
    if (logs->log != NULL)
        logs->log->ring = NULL;
    memset(logs, 0, sizeof(*logs));
}
