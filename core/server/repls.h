/* Those who have a repl open: each a connection of the control socket that a worker has taken over, with its scope below that of the
 * worker. script/repl.h runs the lines; here are the frames (repl_frames.h), and what is bounded: how many there are, how long a line is, and
 * how much printed text waits for a client that does not read.
 *
 * Thread: as each function says; what belongs to one of them is its worker's.
 */
#ifndef FA_SERVER_REPLS_H
#define FA_SERVER_REPLS_H

#include "server/runtime.h"

typedef struct fa_repls fa_repls;

enum { FA_MOST_REPLS = 4 };

/* In memory of the scope. line_budget: bytes that one line may own; 0: no limit. NULL: no memory. */
fa_repls *fa_repls_new(fa_scope *scope, fa_runtime *runtime, const fa_log *log, size_t line_budget);

/* A client asks for a repl on a worker, by its index: the connection is taken over, and answered. Else nothing is, and the error says why.
 * Thread: the control socket's. */
fa_result fa_repls_take(fa_repls *repls, const char *worker, int connection, fa_error *error);

/* All of them end, each as soon as its worker comes to it, and before it can stop. Nobody takes one meanwhile, or after it. NULL is ignored.
 * Thread: any. */
void fa_repls_end(fa_repls *repls);

#endif
