/* Finds the source line of a key inside a Lua table constructor: the Lua state only tells the line on which the whole
 * assignment ended. Reads tokens, not grammar: good enough to point a finger, and never wrong about the value. */
#ifndef FA_SERVER_CONFIG_LOCATE_H
#define FA_SERVER_CONFIG_LOCATE_H

#include <stddef.h>

/* The line of names[count - 1], reached through the tables names[0], names[1] ... of the assignment that ended on
 * `line`. names[0] "return" means the table that the file returns (line: any). Falls back to the nearest line that is
 * known. */
int fa_config_locate(const char *source, size_t length, const char *const *names, size_t count, int line);

#endif
