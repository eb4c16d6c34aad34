#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log_writer.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool fa_log_level_parse(const char *name, fa_log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); ++i) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (fa_log_level)i;
            return true;
        }
    }
    return false;
}

/* Control characters could forge a second line. */
static void flatten(char *text)
{
    for (; *text != '\0'; ++text) {
        if ((unsigned char)*text < ' ')
            *text = ' ';
    }
}

void fa_log_write(const fa_log *log, fa_log_level level, const char *format, ...)
{
    char line[1000];
    if (log == NULL || level < log->level || (log->sink == NULL && log->fd < 0))
        return;

    va_list args;
    va_start(args, format);
    if (log->sink != NULL) {
        vsnprintf(line, sizeof(line), format, args);
        flatten(line);
        log->sink(log->sink_context, level, line);
    } else {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
        used += (size_t)snprintf(line + used, sizeof(line) - used, ".%03ldZ %-5s ", now.tv_nsec / 1000000,
                                 level_names[level]);
        vsnprintf(line + used, sizeof(line) - used - 1, format, args);
        flatten(line);
        size_t length = strlen(line);
        line[length++] = '\n';
        if (log->ring != NULL) {
            fa_log_put(log->ring, line, length);
        } else {
            ssize_t ignored = write(log->fd, line, length); /* a log that cannot be written has nowhere to say so */
            (void)ignored;
        }
    }
    va_end(args);
}
