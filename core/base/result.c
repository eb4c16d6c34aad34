#include "fitnessally/result.h"

#include <stdarg.h>
#include <stdio.h>

const char *fa_result_name(fa_result result)
{
    static const char *const names[] = {
        [FA_OK] = "ok",           [FA_NO_MEMORY] = "out of memory", [FA_OVER_BUDGET] = "over budget",
        [FA_INVALID] = "invalid", [FA_WRONG_STATE] = "wrong state", [FA_NOT_FOUND] = "not found",
        [FA_FULL] = "full",       [FA_CANCELLED] = "cancelled",     [FA_TIMED_OUT] = "timed out",
        [FA_IO] = "i/o error",    [FA_UNSUPPORTED] = "unsupported", [FA_CONFLICT] = "conflict",
    };
    if ((size_t)result >= sizeof(names) / sizeof(names[0]))
        return "unknown";
    return names[result];
}

fa_result fa_fail(fa_error *error, fa_result result, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);
    }
    return result;
}
