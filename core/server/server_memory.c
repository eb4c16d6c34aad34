/* How a server watches its memory: the tracker, and the report that is written to a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/c_locale.h"
#include "memory/buffer.h"
#include "server/server_internal.h"

static size_t lua_heap(void *context, unsigned worker)
{
    size_t sum = 0;
    fa_script *all[FA_MOST_GENERATIONS + 1];
    fa_generations_all(fa_runtime_generations(context, worker), all);
    for (fa_script **script = all; *script != NULL; ++script) {
        fa_script_figures figures = {0};
        fa_script_read_figures(*script, &figures);
        sum += figures.heap;
    }
    return sum;
}

static bool wants_tracker(const fa_config *config)
{
    const char *disabled = getenv("DISABLE_MEMORY_TRACKER"); /* the name that the original's operators know */
    return fa_config_flag(config, "tracker") && (disabled == NULL || strcmp(disabled, "true") != 0);
}

fa_result fa_server_watch_memory(fa_server *server, fa_error *error)
{
    const fa_config *config = server->config;
    const fa_crew *crew = fa_runtime_crew(server->runtime);
    fa_tracker_options options = {
        .ledger = server->ledger,
        .crew = crew,
        .log = &server->log,
        .heap = lua_heap,
        .context = server->runtime,
        .interval_ms = fa_config_duration(config, "tracker_interval"),
        .alarm_interval_ms = fa_config_duration(config, "alarm_interval"),
        .alarm_growth = fa_config_size(config, "alarm_growth"),
        .alarm_residual_growth = fa_config_size(config, "alarm_residual_growth"),
    };
    if (wants_tracker(config) && fa_tracker_new(server->running, &options, &server->tracker) != FA_OK)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the memory tracker");
    server->memory = (fa_memory_sources){.ledger = server->ledger,
                                         .running = server->running,
                                         .runtime = server->runtime,
                                         .pressure = server->pressure,
                                         .tracker = server->tracker,
                                         .tracker_interval_ms = options.interval_ms,
                                         .started_ms = fa_clock_now_ms(fa_ledger_clock(server->ledger))};
    fa_scripts_set_memory(fa_runtime_scripts(server->runtime), fa_server_answer_script, server);
    return FA_OK;
}

/* ---- a report in a file ---- */

static fa_result write_file(const char *path, const fa_buffer *bytes, fa_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fa_fail(error, FA_IO, "%s: %s", path, strerror(errno));
    ssize_t written = write(fd, fa_buffer_data(bytes), fa_buffer_length(bytes));
    close(fd);
    return written == (ssize_t)fa_buffer_length(bytes) ? FA_OK
                                                       : fa_fail(error, FA_IO, "%s: could not be written", path);
}

fa_result fa_server_write_memory_report(fa_server *server, char *path, size_t size, fa_error *error)
{
    fa_buffer *report;
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    if (server->running == NULL)
        return fa_fail(error, FA_WRONG_STATE, "the server does not run");
    fa_result result = fa_buffer_new_detached(fa_scope_account(server->root), 8192, "memory report", FA_HERE, &report);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for the report");
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &utc);
    snprintf(path, size, "%s/memory-%s-%d.json", fa_config_text(server->config, "state_dir"), stamp, (int)getpid());
    locale_t before = fa_c_locale_enter();
    result = fa_memory_answer_outside(&server->memory, "full", report);
    fa_c_locale_leave(before);
    result = result == FA_OK ? write_file(path, report, error) : fa_fail(error, result, "the report could not be made");
    fa_buffer_release(report);
    return result;
}
