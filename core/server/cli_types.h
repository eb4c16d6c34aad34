/* Types of the scripts, as lua-language-server sees them with the annotations of the server: for `fitnessally check`. */
#ifndef FA_SERVER_CLI_TYPES_H
#define FA_SERVER_CLI_TYPES_H

#include "server/config.h"

/* What there is to say, as lines without a newline at the end, or as the value of "types" in JSON: of malloc, the caller frees it; NULL when it came
 * to nothing, and that was said. well: nothing was found, or the program is not there. Waits for other processes. Thread: the main one. */
char *fa_cli_types(const fa_config *config, bool json, bool *well);

#endif
