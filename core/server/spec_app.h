/* An application under test: a whole server in this thread, without listeners, whose loop is turned while a spec waits. Used by the Lua face
 * of it (spec_lua.c), which is what specs see as the module fitnessally.testing.
 *
 * Thread: one, for all of it. Only lines of the log may come from others. */
#ifndef FA_SERVER_SPEC_APP_H
#define FA_SERVER_SPEC_APP_H

#include "base/clock.h"
#include "exchange/inprocess.h"
#include "server/server.h"
#include "server/spec_coverage.h"

typedef struct fa_spec_app fa_spec_app;

typedef struct fa_spec_options {
    const char *file;             /* configuration; NULL: none */
    const char *const *overrides; /* "key=value" */
    size_t override_count;
    fa_spec_coverage *coverage; /* NULL: none; borrowed as long as the app */
    bool real_time;             /* else time stands still until it is advanced */
} fa_spec_options;

/* Loads and starts the application. options: borrowed for the call. What is wrong is in error. */
fa_result fa_spec_app_open(const fa_spec_options *options, fa_spec_app **app, fa_error *error);

/* Stops the server and frees everything; every client of it is dead. NULL is ignored. */
void fa_spec_app_close(fa_spec_app *app);

/* Sends a request; the client lies in a scope of the app's that is not counted as anything left. */
fa_result fa_spec_app_ask(fa_spec_app *app, const fa_inprocess_request *request, fa_inprocess **client);

/* Turns the loop until nothing is on its way any more (fa_worker_settle). */
void fa_spec_app_settle(fa_spec_app *app);

/* Turns it until `holds` says so. False: nothing is on its way that could bring it about (where time stands still), or it did not within
 * `patience_ms` of real time. */
bool fa_spec_app_wait(fa_spec_app *app, bool (*holds)(void *context), void *context, uint64_t patience_ms);

/* Lets time pass: at once, or really where it is real. */
void fa_spec_app_advance(fa_spec_app *app, uint64_t ms);

/* Adds what lives now and does not last as long as the server. left: zeroed before the first. */
void fa_spec_app_left(fa_spec_app *app, fa_inventory *left);

bool fa_spec_app_real_time(const fa_spec_app *app);
fa_worker *fa_spec_app_worker(const fa_spec_app *app);
fa_server *fa_spec_app_server(const fa_spec_app *app);
fa_script *fa_spec_app_script(const fa_spec_app *app); /* the one that takes requests */

/* The last lines that it has logged, in memory of malloc. */
char *fa_spec_app_log(fa_spec_app *app, size_t *length);

#endif
