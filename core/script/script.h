/* Scripts: one LuaJIT state a worker and generation, the routes it declares, and the tasks that run in it.
 *
 * Scripts hold handles, never bytes. Every request and every turn is answered by a task: a coroutine that belongs to its scope, that
 * yields in C whenever it waits and is resumed from the loop. Thread: the worker's.
 */
#ifndef FA_SCRIPT_SCRIPT_H
#define FA_SCRIPT_SCRIPT_H

#include "dialogue/dialogue.h"
#include "exchange/router.h"
#include "exchange/websocket.h"
#include "media/media.h"
#include "memory/inventory.h"
#include "plugin/native.h"
#include "script/failure.h"
#include "upstream/upstream.h"
#include "worker/buckets.h"
#include "worker/store.h"
#include "worker/topics.h"
#include "worker/turnstile.h"

typedef struct fa_script fa_script;

/* A configuration value as scripts see it. */
typedef struct fa_setting {
    const char *name;
    enum { FA_SETTING_TEXT, FA_SETTING_NUMBER, FA_SETTING_FLAG, FA_SETTING_LIST } type;
    const char *text; /* of a list: its items with commas between them */
    double number;    /* or the flag */
} fa_setting;

/* What a plugin takes part in, besides being called. */
typedef enum fa_phase {
    FA_PHASE_INIT = 1,
    FA_PHASE_REQUEST = 2,
    FA_PHASE_RESPONSE = 4,
    FA_PHASE_LOG = 8,
    FA_PHASE_SHUTDOWN = 16
} fa_phase;

/* A plugin, as its manifest and the configuration say. Borrowed until the application has been loaded. */
typedef struct fa_script_plugin {
    const char *name;            /* NULL ends a list of them */
    const char *version;         /* or NULL */
    const char *const *provides; /* ends with NULL */
    const char *folder;
    const char *half;         /* the file of its Lua half, in the folder; NULL: it has none */
    const fa_setting *config; /* ends with name NULL */
    double priority;
    size_t budget;           /* bytes of what it makes for itself; 0: no limit */
    size_t state_heap;       /* bytes of Lua heap, when it is isolated; 0: no limit */
    uint64_t state_slice_ms; /* between two waits there; 0: as everybody else */
    const char *problem;     /* why it cannot be used at all; NULL: it can */
    unsigned phases;         /* fa_phase */
    bool isolated;           /* its Lua half has a state of its own */
    bool required;           /* nothing is loaded without it */
} fa_script_plugin;

/* How much of a request's body is taken, for all routes that say nothing else. 0: no limit, but for json_depth: then it is 64. */
typedef struct fa_body_limits {
    size_t max_body;
    size_t max_upload; /* no route may ask for more */
    size_t max_json;   /* bytes that are decoded */
    unsigned json_depth;
    size_t max_form; /* bytes of an urlencoded body */
    size_t form_fields, form_value;
    size_t multipart_parts;
    size_t multipart_field; /* bytes of a part without a file name */
} fa_body_limits;

/* Told of each line that is about to run, where code is not compiled: for coverage. source: as "@routes/voice.lua", below the application's
 * folder. In the midst of a script: it must neither raise nor touch the state. */
typedef struct fa_line_listener {
    void (*on_line)(void *context, const char *source, int line);
    void *context;
} fa_line_listener;

/* What the edges of all workers have, for fitnessally.status. */
typedef struct fa_edge_figures {
    size_t connections;
    uint64_t websockets, websockets_total;     /* open; since the start */
    bool access_log;                           /* there is one */
    uint64_t access_dropped, access_held_back; /* of its lines: those that found no room, those above its rate */
} fa_edge_figures;

/* Everything is borrowed for the life of the script. */
typedef struct fa_script_options {
    fa_worker *worker;
    fa_dialogues *dialogues;
    fa_media *media;
    fa_native *const *natives; /* NULL-terminated */
    const fa_script_plugin
        *plugins;               /* all that are enabled; NULL: only natives are known. Not kept after fa_script_load */
    fa_upstreams *upstreams;    /* the worker's; NULL: there are none */
    const fa_setting *settings; /* ends with name NULL */
    const char *app;            /* folder of the application */
    const char *library;        /* folder that holds fitnessally/ */
    size_t script_heap;         /* bytes of Lua heap; 0: no limit */
    uint64_t slice_ms;          /* processor time between two waits, when a watchdog watches the worker; 0: no limit */
    uint64_t load_ms;           /* the same while app.lua is loaded */
    fa_watched *loads;          /* of the thread that loads; NULL: it is the worker's own */
    bool jit;                   /* compile user code; only where fa_jit_can_be_interrupted */
    unsigned max_tasks;         /* tasks alive at once; 0: the default */
    size_t max_routes;          /* that the app may declare; 0: the default */
    const char *const *trusted; /* modules that get the whole of Lua; may be NULL */
    size_t trusted_count;
    fa_body_limits bodies;
    fa_turnstiles *turnstiles;      /* shared by all workers; NULL: this state has its own */
    fa_buckets *buckets;            /* the same */
    fa_stores *stores;              /* shared by all workers; NULL: scripts have none */
    fa_topics *topics;              /* the same */
    size_t answer_queue;            /* bytes of a streamed answer that wait for the client; 0: the default */
    uint64_t heartbeat_ms;          /* of event streams that say nothing of theirs; 0: none */
    fa_websocket_options websocket; /* of routes that say nothing else; max_message 0: the defaults */
    const fa_line_listener *lines;  /* NULL: nobody */
    bool development;               /* error answers carry the message and the traceback */
    unsigned generation;            /* which one this is; 0: generations are not counted */
    const char *guest;              /* the plugin that this state is for alone (guest.c); NULL: the application's */
    uint64_t started_ms;            /* of the server, by its ledger's clock; 0: now */
    /* What fitnessally.status and memory report of the rest of the server. */
    bool (*draining)(void *context);
    void (*edge)(void *context, fa_edge_figures *figures); /* figures: zeroed */
    void *context;
} fa_script_options;

/* Whether this LuaJIT lets a loop that it has compiled be interrupted; stock builds do not. Takes some 30 ms. An error when it cannot be
 * found out. */
fa_result fa_jit_probe(fa_watchdog *dog, bool *interruptible, fa_error *error);

/* Makes the state; nothing is loaded yet. */
fa_result fa_script_new(const fa_script_options *options, fa_script **script, fa_error *error);

/* The same on another thread than the worker's, which runs meanwhile: nothing of the worker is touched but its account. The state
 * belongs to the calling thread, and may be loaded and freed there, until fa_script_attach on the worker's. */
fa_result fa_script_new_apart(const fa_script_options *options, fa_script **script, fa_error *error);
void fa_script_attach(fa_script *script);

/* Loads <app>/app.lua, which declares the routes. FA_INVALID with file, line and message; failure (may be NULL) says more. */
fa_result fa_script_load(fa_script *script, fa_load_failure *failure, fa_error *error);

/* What became of the plugins: calls `each` with the name of one that cannot be used, and why. After fa_script_load. */
void fa_script_plugin_problems(const fa_script *script,
                               void (*each)(void *context, const char *name, const char *problem), void *context);

/* Runs what the app gave to app:on_start, each as a task of its own. On the worker's thread, or before it runs. */
void fa_script_start(fa_script *script);

/* Answers a request by the declared routes: the handler for fa_http_new. context: the fa_script. */
void fa_script_handle(fa_exchange *exchange, void *context);

/* The longest body that the route takes which this request goes to, to be asked as early as its head is known; of what no route
 * answers, that of a route that says nothing. key: its path percent-encoded, without query. context: the fa_script. Thread: the
 * worker's. */
size_t fa_script_body_limit(const fa_route_key *key, void *context);

/* The longest that any of its routes takes. After the load. */
size_t fa_script_largest_body(const fa_script *script);

unsigned fa_script_generation(const fa_script *script);

/* ---- the end of a generation ---- */

/* Another state takes the requests from now on. What belongs to no request and no turn (app:on_start and what it has spawned) is cancelled;
 * requests and turns finish here. on_idle: when nothing is left that needs this state, from wherever that comes about, perhaps from
 * within this call: it must not free the state there and then. From the loop. */
void fa_script_retire(fa_script *script, void (*on_idle)(void *context), void *context);
bool fa_script_idle(const fa_script *script);

/* What keeps it. */
typedef struct fa_script_left {
    size_t requests; /* that are being answered, or wait to be let in */
    size_t turns;
    size_t streams; /* answers in pieces */
    size_t tasks;   /* all of them */
} fa_script_left;
void fa_script_read_left(const fa_script *script, fa_script_left *left);

/* Ends what is left on it, each as gently as it can still be: an unanswered request is answered 503, a begun answer is cut, a turn ends
 * as cancelled, other tasks are cancelled. From the loop, with no script above on the stack. */
void fa_script_cut(fa_script *script, const char *reason);

/* Runs a file as one task, with `arg` set; done gets its exit status on the loop. */
fa_result fa_script_run_tool(fa_script *script, const char *file, int argc, char *const *argv,
                             void (*done)(void *context, int status), void *context, fa_error *error);

/* ---- memory: scripts ask, whoever stands above answers ---- */

/* A question of fitnessally.memory, and of fitnessally.reload, generations and recycle. It stands until it is answered. */
typedef struct fa_memory_question {
    const char *what;  /* "report", "analysis", "tracker", "doctor"; "reload", "generations"; "recycle" */
    const char *about; /* of "recycle": the name of the upstream; else NULL */
    fa_worker *worker; /* who asks, and on whose thread it is answered */
    fa_scope *
        asking; /* the request to leave out, with all below it; NULL: none, or it has ended since. That worker's to read */
    /* Once, from the loop. json: borrowed for the call; NULL unless FA_OK. The question is gone then. */
    void (*answered)(struct fa_memory_question *question, fa_result result, const fa_buffer *json);
} fa_memory_question;

/* Takes the question up: FA_OK, and answers it later; else it is not answered. */
typedef fa_result (*fa_memory_source)(void *context, fa_memory_question *question);

/* Who answers; without one, fitnessally.memory says that there is no report. Before the worker runs. context: borrowed. */
void fa_script_set_memory(fa_script *script, fa_memory_source source, void *context);

/* What a state holds. Thread: the worker's. */
typedef struct fa_script_figures {
    size_t heap; /* bytes of the Lua heap */
    size_t heap_peak, heap_limit, heap_refused;
    size_t tasks;
    size_t copies, copied_bytes; /* between Lua and the core, since the start: docs/lua-api.md */
} fa_script_figures;
void fa_script_read_figures(const fa_script *script, fa_script_figures *figures);
fa_dialogues *fa_script_dialogues(const fa_script *script);

/* Adds the tasks that have not ended, with the line where each waits, but those of `except` and below. Thread: the worker's. */
void fa_script_take_inventory(fa_script *script, fa_inventory *inventory, const fa_scope *except);
/* The server drains: streams of events that scripts have made end and tell their clients to come again; new ones are refused. From
 * the loop, with no script above on the stack. */
void fa_script_drain(fa_script *script);

size_t fa_script_tasks(const fa_script *script); /* not yet ended or cancelled */

/* Ends what still runs without a request or a turn (app:on_start): its timers would keep the loop going. From the loop, with no
 * script above on the stack. */
void fa_script_stop(fa_script *script);

/* Closes the state. Every request and turn has ended by then; other tasks end here. NULL is ignored. */
void fa_script_free(fa_script *script);

#endif
