/* The running part of a server: its worker with everything on it, and how it comes to an end. One worker for now; the interface is
 * that of one of many. */
#ifndef FA_SERVER_RUNTIME_H
#define FA_SERVER_RUNTIME_H

#include "http/http.h"
#include "media/media.h"
#include "script/script.h"
#include "server/config.h"
#include "server/plugins.h"
#include "worker/crew.h"

typedef struct fa_runtime fa_runtime;

/* Makes worker, dialogues, scripts and edge; nothing runs yet. app: load its routes (false for tools). Everything is borrowed until
 * fa_runtime_free. */
fa_result fa_runtime_new(fa_scope *scope, const fa_config *config, const fa_log *log, fa_plugins *plugins,
                         fa_media *media, bool app, fa_runtime **runtime, fa_error *error);

/* Takes over a bound socket. Before fa_runtime_start. */
fa_result fa_runtime_listen(fa_runtime *runtime, int socket, fa_error *error);

/* Runs on a thread of its own until fa_runtime_stop. */
fa_result fa_runtime_start(fa_runtime *runtime, fa_error *error);

/* Drains for at most drain_ms, then cuts; returns when the thread has ended. Thread: not the worker's. */
void fa_runtime_stop(fa_runtime *runtime, uint64_t drain_ms);

/* Runs a tool on the calling thread and returns its exit status, or -1 with the error. */
int fa_runtime_run_tool(fa_runtime *runtime, const char *file, int argc, char **argv, fa_error *error);

/* The workers, and the scripts of one of them. Thread: any; what they point to belongs to each worker. */
const fa_crew *fa_runtime_crew(const fa_runtime *runtime);
fa_script *fa_runtime_script(fa_runtime *runtime, unsigned worker);

/* After it was stopped, or when it never ran. NULL is ignored. */
void fa_runtime_free(fa_runtime *runtime);

#endif
