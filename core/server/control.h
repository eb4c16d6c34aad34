/* The control socket: how `fitnessally memory` asks a running server.
 *
 * A unix socket that only its user can open, PID.sock or PID-N.sock in a folder of that user alone, so that several servers, and
 * several in one process, never collide. One request line in, one answer out, then the connection ends; both are bounded, and a
 * client that dawdles is cut after two seconds. A thread of its own answers (DESIGN.md 5); the loops only see the question that it
 * puts to them. Who asks for a repl stays: a worker takes that connection over (repls.h). The socket goes when the server stops; one that a killed server has left is recognised by nobody answering, and
 * removed by the next server.
 */
#ifndef FA_SERVER_CONTROL_H
#define FA_SERVER_CONTROL_H

#include "base/log.h"
#include "memory/buffer.h"

typedef struct fa_control fa_control;

enum { FA_CONTROL_PATH = 108, FA_CONTROL_REQUEST = 128 };

/* Answers a request: text appended to `out`. FA_INVALID: no such request. connection: its descriptor; whoever sets it to -1 has taken it
 * over, answers by himself and closes it: nothing is sent here then. On the control thread. */
typedef fa_result (*fa_control_answer)(void *context, const char *request, int *connection, fa_buffer *out);

/* scope: pays and ends last. folder: NULL for the usual one; made if missing, refused unless it is ours alone. On failure there is no
 * control socket and `error` says why. */
fa_result fa_control_start(fa_scope *scope, const char *folder, fa_control_answer answer, void *context,
                           fa_control **control, fa_error *error);
const char *fa_control_path(const fa_control *control);

/* For whoever has taken a connection over: sends the answer, or what went wrong, and closes it. Waits for the other end, but not for long.
 * Thread: any. */
void fa_control_reply(int connection, fa_result result, const fa_buffer *answer);

/* Finishes an answer under way, removes the socket, joins the thread. NULL is ignored. */
void fa_control_stop(fa_control *control);

/* ---- the other end: for the command line ---- */

/* The usual folders, most usual first; NULL at the end. Fills `out`. */
const char *fa_control_folder(unsigned index, char out[FA_CONTROL_PATH]);

/* Finds the socket of process `pid`, or, with 0, the only server that answers: FA_NOT_FOUND, FA_CONFLICT when there are several. */
fa_result fa_control_find(long pid, char path[FA_CONTROL_PATH], fa_error *error);

/* Asks, and leaves the connection open: *connection is the caller's. */
fa_result fa_control_open(const char *path, const char *request, int *connection, fa_error *error);

/* Asks; *answer: text of the caller's, to be freed with free(). */
fa_result fa_control_ask(const char *path, const char *request, char **answer, fa_error *error);

#endif
