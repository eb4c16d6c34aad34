/* A worker with scripts on it, an application of a few lines in a folder of its own, and requests without sockets.
 *
 *     script_world *w = script_world_begin("app:get('/', function(req) req:reply { text = 'hi' } end)");
 *     assert_answer(w, "GET /", "200 hi");
 *     script_world_end(w);
 */
#ifndef FA_SUPPORT_SCRIPT_WORLD_H
#define FA_SUPPORT_SCRIPT_WORLD_H

#include "base/clock.h"
#include "exchange/inprocess.h"
#include "script/generations.h"
#include "testing.h"

typedef struct script_world {
    fa_failing memory;
    fa_ledger *ledger;
    bool own_ledger;
    fa_clock clock; /* WITH_CLOCK */
    fa_log log;
    fa_scope *server;
    fa_worker *worker;
    fa_scope *clients;
    fa_dialogues *dialogues;
    fa_media *media;
    fa_stores *stores;
    fa_topics *topics;
    fa_native *natives[2];
    const fa_script_plugin *plugins; /* NULL: none with a Lua half */
    fa_upstreams *upstreams;
    fa_script *script;
    fa_generations *generations; /* NULL, or who answers instead of the script, and owns it then */
    fa_script_options options;   /* that the script was made with */
    fa_setting settings[4];
    size_t script_heap;  /* 0: no limit */
    size_t answer_queue; /* 0: the default */
    size_t topic_budget; /* 0: no limit */
    uint64_t slice_ms;   /* 0: no watchdog */
    fa_watchdog *watchdog;
    const char *trusted; /* a module that is trusted; NULL: none */
    fa_error error;      /* what script_world_try says */
    char folder[64];
    char logged[16000]; /* all lines so far */
    size_t used;
} script_world;

enum script_world_with {
    WITH_NOTHING = 0,
    WITH_DEVELOPMENT = 1,
    WITH_ECHO = 2,
    WITH_SHORT_QUEUE = 4,
    WITH_CLOCK = 8,
    WITH_UPSTREAMS = 16
};
/* WITH_CLOCK: time stands still but for fa_worker_advance(w->worker, ms). */

/* Makes the world and loads the application; fails the test when it cannot be loaded. */
script_world *script_world_begin(const char *app);
script_world *script_world_begin_with(const char *app, int with); /* NULL: the echo plugin has not been built */

/* The same step by step: files first, then everything else. False with w->error. */
script_world *script_world_new(void);
void script_world_write(script_world *w, const char *name, const char *bytes, size_t length);
bool script_world_try(script_world *w, fa_ledger *ledger, int with); /* ledger: NULL for one of its own */

/* Nothing of a request or turn is left; then everything goes. */
void script_world_end(script_world *w);
void script_world_close(script_world *w);  /* for another script_world_try */
void script_world_forget(script_world *w); /* a closed one: its folder and itself */
void assert_world_quiet(script_world *w);

typedef struct asking {
    const char *what; /* "GET /path" */
    const char *body;
    const char *const *headers;
    bool stepped;
} asking;

fa_inprocess *script_start(script_world *w, asking how); /* NULL: no memory */

/* Waits for the end of the answer: "STATUS body", or "cut". Valid until the next call. */
const char *script_answer(script_world *w, fa_inprocess *client);
const char *script_ask(script_world *w, const char *what);
const char *script_post(script_world *w, const char *what, const char *body);

#define assert_answer(w, what, text) assert_string_equal(script_ask(w, what), text)
void assert_answer_has(script_world *w, const char *what, const char *part);
void assert_logged(script_world *w, const char *part);

/* Where the build puts the plugin of plugin_echo.c; not every build has it. */
void script_echo_path(char *out, size_t size);

/* After a first time, asking again costs nothing that is not given back. */
void assert_costs_nothing(script_world *w, const char *what);

void script_turn_loop(script_world *w);

#define SCRIPT_UNTIL(w, condition)                                                                                     \
    do {                                                                                                               \
        for (uint64_t start_ = fa_now_ms(); !(condition); script_turn_loop(w)) {                                       \
            if (fa_now_ms() - start_ > 20000)                                                                          \
                fail_msg("not within 20 s: %s\n%s", #condition, (w)->logged);                                          \
        }                                                                                                              \
    } while (0)

#endif
