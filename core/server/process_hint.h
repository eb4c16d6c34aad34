/* What tells one server of this user from another where several run: the folder it was started in, where it was told to listen, and its
 * configuration file. Nothing else of its command line is shown: it may hold secrets. */
#ifndef FA_SERVER_PROCESS_HINT_H
#define FA_SERVER_PROCESS_HINT_H

#include <stddef.h>

/* "in /srv/shop, --listen 127.0.0.1:4000 -c shop.conf.lua", cut to size; empty when the process does not let us see. Thread: any. */
void fa_process_hint(long pid, char *out, size_t size);

#endif
