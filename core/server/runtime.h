/* The running part of a server: its workers, each with its edge, its dialogues and its scripts on a thread of its own, and how they come
 * to an end together. */
#ifndef FA_SERVER_RUNTIME_H
#define FA_SERVER_RUNTIME_H

#include "http/http.h"
#include "media/media.h"
#include "script/script.h"
#include "server/config.h"
#include "server/plugins.h"
#include "server/scripts.h"
#include "worker/crew.h"

typedef struct fa_runtime fa_runtime;

/* Makes `workers` workers with dialogues, scripts and edge; nothing runs yet. app: load its routes (false for tools). lines:
 * may be NULL. Everything is borrowed until fa_runtime_free. */
fa_result fa_runtime_new(fa_scope *scope, const fa_config *config, const fa_log *log, fa_plugins *plugins,
                         fa_media *media, unsigned workers, bool app, const fa_line_listener *lines,
                         fa_runtime **runtime, fa_error *error);

/* Heeds memory pressure from now on (server/pressure_steps.h). Before fa_runtime_start. */
fa_result fa_runtime_watch(fa_runtime *runtime, fa_pressure *pressure, fa_error *error);

/* Each worker's answers are logged in the one of `access` with its index. Before fa_runtime_start. */
void fa_runtime_log_access(fa_runtime *runtime, fa_access_log *access);

/* The edge of one worker. */
fa_http *fa_runtime_http(fa_runtime *runtime, unsigned worker);

/* Reads the certificates again, with what `config` says of them now, and uses them for connections to come; those that are open stay. When
 * one is wrong all stay as they were, and the error says which and why. Reads from the disk. Thread: any, but not a worker's. */
fa_result fa_runtime_reload_tls(fa_runtime *runtime, const fa_config *config, fa_error *error);

/* Runs on threads of its own until fa_runtime_stop. */
fa_result fa_runtime_start(fa_runtime *runtime, fa_error *error);

/* Drains for at most drain_ms, then cuts; returns when the threads have ended. Thread: not a worker's. */
void fa_runtime_stop(fa_runtime *runtime, uint64_t drain_ms);

/* Runs a tool on the first worker, on the calling thread, and returns its exit status, or -1 with the error. */
int fa_runtime_run_tool(fa_runtime *runtime, const char *file, int argc, char **argv, fa_error *error);

/* The workers, the scripts of one of them, and those of all. Thread: any; what belongs to a worker is its own. */
const fa_crew *fa_runtime_crew(const fa_runtime *runtime);
fa_generations *fa_runtime_generations(fa_runtime *runtime, unsigned worker);
fa_upstreams *fa_runtime_upstreams(fa_runtime *runtime, unsigned worker);
fa_scripts *fa_runtime_scripts(fa_runtime *runtime);
const fa_settings *fa_runtime_settings(const fa_runtime *runtime);

/* After it was stopped, or when it never ran. NULL is ignored. */
void fa_runtime_free(fa_runtime *runtime);

#endif
