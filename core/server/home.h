/* Where the parts of the server that are not compiled in lie: the Lua library, the plugins, the examples. */
#ifndef FA_SERVER_HOME_H
#define FA_SERVER_HOME_H

#include <stddef.h>

/* The folder that holds lua/, plugins/ and examples/: FITNESSALLY_HOME, else ../share/fitnessally beside the program, else the share
 * folder of the prefix that this was configured for; the source tree this was built in when the program runs from there, or when
 * there is no other. Static or of the environment. */
const char *fa_home(void);

/* Where compiled plugins lie: ../../lib/fitnessally/plugins of FITNESSALLY_HOME, else ../lib/fitnessally/plugins beside the program, and so
 * on. Static. */
const char *fa_home_plugins(void);

/* `path` when it is absolute, exists as it is, or exists below the home no more than here (an error then names what was written); else the
 * same below the home. out: at least size bytes. */
const char *fa_home_resolve(const char *path, char *out, size_t size);

#endif
