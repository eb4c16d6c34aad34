/* The server as a library.
 *
 *     fa_error error;
 *     fa_server *server = NULL;
 *     if (fa_server_create(NULL, &server, &error) == FA_OK &&
 *         fa_server_configure(server, "fitnessally.conf.lua", overrides, 2, &error) == FA_OK &&
 *         fa_server_start(server, &error) == FA_OK) {
 *         printf("%s\n", fa_server_address(server, 0));
 *         ... your program ...
 *         fa_server_stop(server, 5000);
 *     }
 *     fa_server_destroy(server);
 *
 * The library installs no signal handler, never calls exit and keeps no state outside the fa_server (but for
 * fa_count_openssl_memory): a process may hold several. Thread: the functions of one server are called from one thread at a time; the server runs on threads of its own.
 */
#ifndef FITNESSALLY_H
#define FITNESSALLY_H

#include <stddef.h>
#include <stdint.h>

#include "fitnessally/result.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fa_server fa_server;

typedef enum fa_log_level { FA_LOG_DEBUG, FA_LOG_INFO, FA_LOG_WARN, FA_LOG_ERROR } fa_log_level;

/* Called for each log line, from any of the server's threads. line: borrowed for the call, one line, no newline. */
typedef void (*fa_log_sink)(void *context, fa_log_level level, const char *line);

/* What an embedder may replace. size must be sizeof(fa_server_options); unset members are 0. */
typedef struct fa_server_options {
    size_t size;
    fa_log_sink log_sink; /* NULL: lines go to standard error */
    void *log_context;    /* borrowed for the life of the server */
} fa_server_options;

/* Makes a server that listens nowhere yet. options: borrowed for the call, NULL for the defaults. On FA_OK the caller owns
 * *server and ends it with fa_server_destroy. FA_NO_MEMORY, FA_INVALID. */
fa_result fa_server_create(const fa_server_options *options, fa_server **server, fa_error *error);

/* Reads a configuration file (NULL: none, all defaults), then FITNESSALLY_* of the environment, then `overrides`, an array of
 * `count` strings "key=value"; later ones win. All borrowed for the call. Once, before fa_server_start. FA_INVALID with file
 * and line when a key, type or unit is wrong; FA_NOT_FOUND when there is no such file. */
fa_result fa_server_configure(fa_server *server, const char *file, const char *const *overrides, size_t count,
                              fa_error *error);

/* Loads plugins and scripts, binds, and serves on threads of its own. Returns when every listener accepts, or with the first
 * thing that is wrong and nothing running. FA_WRONG_STATE when it runs already. */
fa_result fa_server_start(fa_server *server, fa_error *error);

/* The i-th bound address as "http://HOST:PORT" (with the port that was picked for port 0), or NULL. Borrowed; valid until
 * fa_server_stop. */
const char *fa_server_address(const fa_server *server, size_t index);

/* Loads the scripts anew, beside those that run, and lets them take every request from then on; what is under way finishes on the old
 * ones. Returns when they serve on all workers. FA_INVALID with file, line and message when something in them is broken, FA_FULL when
 * too many older ones still have work: nothing has changed then. FA_WRONG_STATE when the server does not run. */
fa_result fa_server_reload(fa_server *server, fa_error *error);

/* Stops accepting, lets requests and turns finish for at most `drain_ms` milliseconds, ends the rest, joins the threads.
 * Harmless when it does not run. */
void fa_server_stop(fa_server *server, uint64_t drain_ms);

/* Reads the certificates of tls.NAME again and uses them for connections to come; those that are open stay as they are. When one cannot be
 * used, all stay as they were and the error says which file and why. FA_WRONG_STATE when the server does not run. Thread: any. */
fa_result fa_server_reload_certificates(fa_server *server, fa_error *error);

/* Stops it at once when it still runs, and frees everything. NULL is ignored. */
void fa_server_destroy(fa_server *server);

/* Runs the command line given (argv as of main) with this library, as the `fitnessally` command does, and returns its exit
 * status: 0 done, 1 failed, 2 wrong usage. Blocks signals in the calling thread to wait for them: for main functions only. */
int fa_command_line(int argc, char **argv);

/* Counts from now on what OpenSSL holds, for the memory report (`attributedBy.openssl`). It replaces OpenSSL's allocation functions, which
 * are the process's: only a program may call it, first of all in main, and before any server is made. FA_WRONG_STATE when OpenSSL has
 * allocated something already: nothing is counted then. */
fa_result fa_count_openssl_memory(void);

const char *fa_version(void);

#ifdef __cplusplus
}
#endif
#endif
