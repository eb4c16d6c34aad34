/* `fitnessally spec --watch`: runs specs again whenever a Lua file has been saved. */
#ifndef FA_SERVER_SPEC_WATCH_H
#define FA_SERVER_SPEC_WATCH_H

#include "server/spec_run.h"

/* Runs the specs, each time in a process of its own, until it is interrupted. roots: folders, with all below them; NULL-terminated. Returns only
 * when files cannot be watched: FA_EXIT_FAILED, and it was said why. Thread: the only one. */
int fa_spec_watch(const fa_spec_wish *wish, const char *const *roots);

#endif
