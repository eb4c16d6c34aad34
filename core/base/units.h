/* Durations and sizes as people write them: "30s", "250ms", "5min", "2MB", "512KB". The unit is required, so that no
 * number in a configuration file can be misread (a missing unit once made a five-minute job run every ten seconds). */
#ifndef FA_BASE_UNITS_H
#define FA_BASE_UNITS_H

#include <stdint.h>

#include "fitnessally/result.h"

/* text: borrowed. Units ms, s, min, h; a plain "0" needs none. Milliseconds, at most 366 days. FA_INVALID with a text
 * that names the accepted units. */
fa_result fa_parse_duration(const char *text, uint64_t *milliseconds, fa_error *error);

/* Units B, KB, MB, GB, powers of 1024; a plain "0" needs none. FA_INVALID as above. */
fa_result fa_parse_size(const char *text, uint64_t *bytes, fa_error *error);

/* Writes "1.4 MB", "512.0 KB", "0 B" into `out` (at least 16 bytes) and returns it. */
char *fa_format_size(uint64_t bytes, char out[16]);

#endif
