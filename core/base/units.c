#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* A decimal number and one of `units`; the number may have a fraction ("1.5s"). */
static fa_result parse_with_units(const char *text, const unit *units, uint64_t maximum, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return FA_INVALID;
    errno = 0;
    double number = strtod(text, &end);
    if (errno != 0 || end == text || memchr(text, 'x', (size_t)(end - text)) != NULL ||
        memchr(text, 'X', (size_t)(end - text)) != NULL)
        return FA_INVALID;
    while (*end == ' ')
        ++end;
    if (*end == '\0') {
        *value = 0;
        return number == 0 ? FA_OK : FA_INVALID;
    }
    for (; units->name != NULL; ++units) {
        if (strcmp(end, units->name) != 0)
            continue;
        double scaled = number * (double)units->factor;
        if (scaled > (double)maximum)
            return FA_INVALID;
        *value = (uint64_t)(scaled + 0.5);
        return FA_OK;
    }
    return FA_INVALID;
}

fa_result fa_parse_duration(const char *text, uint64_t *milliseconds, fa_error *error)
{
    static const unit units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {NULL, 0}};
    if (parse_with_units(text, units, UINT64_C(366) * 24 * 3600000, milliseconds) != FA_OK)
        return fa_fail(error, FA_INVALID,
                       "\"%.40s\" is not a duration: write a number and ms, s, min or h, as in \"30s\"", text);
    return FA_OK;
}

fa_result fa_parse_size(const char *text, uint64_t *bytes, fa_error *error)
{
    static const unit units[] = {{"B", 1}, {"KB", 1024}, {"MB", 1024 * 1024}, {"GB", 1024 * 1024 * 1024}, {NULL, 0}};
    if (parse_with_units(text, units, UINT64_C(1) << 50, bytes) != FA_OK)
        return fa_fail(error, FA_INVALID, "\"%.40s\" is not a size: write a number and B, KB, MB or GB, as in \"2MB\"",
                       text);
    return FA_OK;
}

char *fa_format_size(uint64_t bytes, char out[16])
{
    if (bytes < 1024)
        snprintf(out, 16, "%u B", (unsigned)bytes);
    else if (bytes < 1024 * 1024)
        snprintf(out, 16, "%.1f KB", (double)bytes / 1024);
    else
        snprintf(out, 16, "%.1f MB", (double)bytes / (1024 * 1024));
    return out;
}
