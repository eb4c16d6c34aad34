/* One value of the configuration: its text against its key. Thread: any. */
#ifndef FA_SERVER_CONFIG_VALUE_H
#define FA_SERVER_CONFIG_VALUE_H

#include "server/config.h"

/* fa_config_check, and for numbers, sizes, durations and flags what the text means (bytes, ms, 0 or 1). */
fa_result fa_config_value_parse(const fa_config_key *key, const char *value, double *number, fa_error *error);

/* The next item of a list written with commas: *item and *length without the spaces around it. Returns where to go on,
 * or NULL at the end. */
const char *fa_config_next_item(const char *list, const char **item, size_t *length);

/* "HOST:PORT" or "[IPV6]:PORT" of `length` bytes, perhaps behind "http://" or "https://". */
bool fa_config_is_address(const char *text, size_t length);

#endif
