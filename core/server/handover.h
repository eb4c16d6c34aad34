/* How one process starts another and hands it its listening sockets: a server its successor, a supervisor its server.
 *
 * The sockets go by inheritance, their numbers in the environment. Between the two is a pair of sockets, the leash; each message on it is one
 * letter and a text:
 *
 *   S  the new one listens on these sockets (they come along): for a supervisor, which keeps them
 *   R  the new one serves
 *   F  the new one gives up, and why
 *   U  to a supervisor: start my successor
 *   D, N  from a supervisor: it serves, and I may go; there is none, and why
 *
 * systemd's LISTEN_FDS and LISTEN_PID are understood as well. Nothing here outlives the call but what it returns. Thread: any, one at a time.
 */
#ifndef FA_SERVER_HANDOVER_H
#define FA_SERVER_HANDOVER_H

#include <sys/types.h>

#include "fitnessally/result.h"
#include "server/sockets.h"

enum { FA_LEASH_TEXT = 512, FA_SUCCESSOR_PATIENCE_MS = 60000 };

/* What this process was started with. */
typedef struct fa_inheritance {
    fa_sockets sockets;
    int leash;       /* -1: none */
    bool supervised; /* the leash stays */
} fa_inheritance;

/* Reads the environment, and takes all but the leash out of it. Before there are threads. */
void fa_inheritance_take(fa_inheritance *inheritance);

/* Tells whoever started this process. listening: what it listens on. */
void fa_inheritance_ready(fa_inheritance *inheritance, const fa_sockets *listening);
void fa_inheritance_failed(const char *why); /* finds the leash in the environment; nothing without one */

/* Starts argv (argv[0] is looked for as a shell would) with the sockets. leash: gets our end, to be closed. FA_IO and why. */
fa_result fa_handover_spawn(char *const *argv, const fa_sockets *sockets, bool supervised, pid_t *pid, int *leash,
                            fa_error *error);

/* Waits until it serves. When it does not, it has been ended and waited for, and `error` says why. Closes the leash. */
fa_result fa_handover_await(pid_t pid, int leash, fa_error *error);

bool fa_leash_send(int leash, char what, const char *text, const fa_sockets *sockets);

/* Waits at most timeout_ms (-1: for ever) for one message: its letter; '\0' when the other end is gone; '?' when none came. sockets: gets
 * those that come along; NULL: they are let go. */
char fa_leash_receive(int leash, int timeout_ms, char text[FA_LEASH_TEXT], fa_sockets *sockets);

/* "ended with status 1", "was ended by signal 11 (Segmentation fault)". */
const char *fa_exit_story(int status, char text[80]);

/* Tells systemd (NOTIFY_SOCKET), if it is there: "READY=1\nMAINPID=1". */
void fa_notify_systemd(const char *state);

#endif
