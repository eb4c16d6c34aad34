/* What the rest of core/server needs of a server beyond the public API. */
#ifndef FA_SERVER_SERVER_H
#define FA_SERVER_SERVER_H

#include "base/clock.h"
#include "base/log.h"
#include "server/config.h"
#include "server/runtime.h"
#include "server/sockets.h"

/* The configured `drain`. */
uint64_t fa_server_drain_ms(const fa_server *server);

/* The configuration; borrowed. */
const fa_config *fa_server_config(const fa_server *server);

/* Writes the full memory report (JSON) to a new file in state_dir without stopping any loop. path: gets its name. */
fa_result fa_server_write_memory_report(fa_server *server, char *path, size_t size, fa_error *error);

typedef enum fa_tool_app { FA_TOOL_WITHOUT_APP, FA_TOOL_WITH_APP } fa_tool_app;

/* Starts the configured server without listeners, runs lua/fitnessally/tools/SCRIPT.lua with the arguments as one task, stops
 * it, and returns the script's exit status; what goes wrong is said on standard error. app: whether the application is loaded
 * before. For command-line tools. */
int fa_server_run_tool(fa_server *server, const char *script, fa_tool_app app, int argc, char **argv);

/* Starts the configured server without listeners, control socket or threads of workers: one worker, whose loop the caller turns
 * (fa_runtime_crew), until fa_server_stop on the same thread. clock: time is what it says (base/clock.h); it outlives the server; NULL: time is
 * real. lines: borrowed as long; NULL: nobody is told. For specs. */
fa_result fa_server_start_inside(fa_server *server, fa_clock *clock, const fa_line_listener *lines, fa_error *error);

/* What runs, of a server that does; borrowed. */
fa_runtime *fa_server_runtime(const fa_server *server);

/* The root of everything that the server owns; lives as long as it. */
fa_scope *fa_server_scope(const fa_server *server);

/* Who is told, while fa_server_check looks, of plugins that a start would leave out. context: borrowed. */
void fa_server_on_plugin_problem(fa_server *server, void (*told)(void *context, const char *name, const char *problem),
                                 void *context);

/* Loads everything that a start would load (plugins, scripts) without listening, and takes it down again. */
fa_result fa_server_check(fa_server *server, fa_error *error);

/* Listens on these where they fit the configuration, and takes them out. Borrowed until it has stopped. Before fa_server_start. */
void fa_server_inherit(fa_server *server, fa_sockets *sockets);

/* Duplicates of what it listens on, until it drains. */
const fa_sockets *fa_server_sockets(const fa_server *server);

/* Starts a server that takes over the sockets and returns when that serves; `said` gets what to tell whoever asked, also when it fails. It sees to
 * it that this server is stopped after that. On the control thread. */
typedef fa_result (*fa_successor_starter)(void *context, const fa_sockets *sockets, fa_error *said);
void fa_server_on_upgrade(fa_server *server, fa_successor_starter start, void *context);

/* What is run for `reload_specs`: a program, and its words without the specs, NULL-terminated; borrowed. Without it the server does not start with
 * such a configuration. Before fa_server_start. */
void fa_server_on_specs(fa_server *server, const char *program, char *const *command);

/* A reload that nobody waits for; the log says how it went. Thread: any. */
void fa_server_reload_soon(fa_server *server);

/* Opens log files anew (SIGUSR1); says so in the log. */
void fa_server_reopen_logs(fa_server *server);

const fa_log *fa_server_log(const fa_server *server);

#endif
