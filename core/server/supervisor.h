/* The supervisor: a small process of one thread and no Lua that starts the server, holds its listening sockets, and starts it again when
 * it crashes. Clients that connect meanwhile wait in the kernel. */
#ifndef FA_SERVER_SUPERVISOR_H
#define FA_SERVER_SUPERVISOR_H

#include "server/handover.h"

/* Runs argv (the server's own command line) until it ends in good order, and returns its exit status. Signals that serve heeds are passed on;
 * they must be blocked. inheritance: taken over. */
int fa_supervise(char *const *argv, fa_inheritance *inheritance);

#endif
