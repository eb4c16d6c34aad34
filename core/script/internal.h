/* What the files of core/script share. */
#ifndef FA_SCRIPT_INTERNAL_H
#define FA_SCRIPT_INTERNAL_H

#include <signal.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "exchange/events.h"
#include "script/script.h"
#include "worker/timer.h"

#ifdef __clang_analyzer__ /* it goes to the nearest pcall, which its declaration does not say */
__attribute__((noreturn)) LUALIB_API int luaL_error(lua_State *L, const char *format, ...); /* NOLINT */
#endif

enum { MAX_STARTERS = 64, DEFAULT_ROUTES = 1000, SCRIPT_PATH_SIZE = 512, IDLE_COROUTINES = 64 };

typedef struct mount {
    fa_media_mount media;
    size_t prefix_length;
} mount;

/* The file name behind a chunk's source (origin.c). */
typedef struct source_name {
    const char *source, *name;
} source_name;

typedef struct idle_coroutine {
    lua_State *co;
    int reference; /* in the registry */
} idle_coroutine;

/* A metatable behind its name (handle.c). */
typedef struct known_metatable {
    const char *name;  /* a literal; NULL: the place is free */
    const void *table; /* only compared */
    int reference;     /* in the registry */
} known_metatable;

/* The Lua heap, counted and limited (lua_heap.c). */
typedef struct fa_heap {
    lua_State *lua;
    lua_Alloc allocate; /* LuaJIT's own; NULL while ours is not installed */
    void *context;
    size_t bytes, peak, limit; /* limit 0: none */
    size_t wake_at;            /* bytes at which the collector is set to work again */
    size_t refused;
    char refused_at[80]; /* the script line that asked; empty once it was told */
    bool strict;         /* the limit holds: whoever runs is protected */
    bool graced;         /* somebody was refused and has not come back yet */
} fa_heap;

enum { FA_MOST_JSON_DEPTH = 1000, FA_DEFAULT_JSON_DEPTH = 64, FA_MOST_JSON = 16 * 1024 * 1024 };

/* script/route_options.h */
typedef struct fa_route_options fa_route_options;
typedef struct fa_websocket_route fa_websocket_route; /* script/websocket_options.h */

/* What a script has declared; a target of the router is a place in fa_script.routes. */
typedef struct fa_script_route {
    int handler;   /* registry reference of the handler with all that stands around it; LUA_NOREF: the folder itself */
    int preflight; /* the same around the answer to an OPTIONS; LUA_NOREF: nothing stands around */
    const mount *folder;             /* NULL: the handler answers */
    const fa_route_options *options; /* the default, when it says nothing */
    const char *place;               /* "app.lua:12" */
    const char *pattern;             /* interned */
} fa_script_route;

/* A plugin as this state has it (lua_halves.c). */
typedef struct fa_half {
    const char *name;
    const char *folder;
    fa_scope *scope;     /* of what it makes for itself; NULL: it has not come to that */
    size_t budget;       /* of that scope */
    fa_script *guest;    /* the state that it has for itself (guest.c); NULL: it lives in this one */
    const char *problem; /* why it cannot be used; NULL: it can */
} fa_half;

/* What runs when a generation begins. */
typedef struct fa_starter {
    int function;  /* a registry reference */
    fa_half *half; /* who gave it; NULL: the application */
} fa_starter;

struct fa_script {
    fa_script_options options;
    fa_worker *worker;
    fa_scope *scope; /* of this generation: a child of the worker's */
    lua_State *lua;
    fa_heap heap;
    source_name sources[16];
    known_metatable metatables[32];
    fa_router *router;
    fa_script_route *routes;
    size_t route_count, route_room;
    fa_route_options *default_options;
    const fa_route_options *limited; /* those with a turnstile */
    fa_turnstiles *turnstiles;
    fa_buckets *buckets;
    fa_starter starters[MAX_STARTERS];
    int starter_count;
    fa_half *halves; /* of plugins, in the order of plugins_enabled */
    size_t half_count;
    unsigned phases;     /* fa_phase, of all plugins that can be used */
    bool shut_down;      /* that phase is over */
    bool entries_posted; /* the mail below is on its way */
    fa_list entries;     /* for the phase `log` (lua_phases.c) */
    size_t entry_count, entries_lost;
    fa_message entries_mail;
    fa_list watched;              /* requests of which it will be told */
    fa_half *half;                /* whose code is being loaded; NULL: the application's */
    struct definition *upstreams; /* that its app has defined (lua_upstream_define.c) */
    fa_list readings;             /* of streams of upstreams that are open (lua_upstream_stream.c) */
    bool attached;                /* it is the worker's */
    bool loading;                 /* routes may be declared */
    bool retired;                 /* newer scripts serve */
    bool draining;
    struct generation *generation; /* generations.c; NULL: it stands alone */
    fa_list holds;                 /* who will still need this state: holds.c */
    void (*on_idle)(void *context);
    void *idle_context;
    struct fa_task *current;
    const char *stack_base;        /* of C, where the slice began */
    char over_at[LUA_IDSIZE + 16]; /* where the time of this slice was over first; empty: it is not */
    volatile sig_atomic_t armed;   /* the time is over: every instruction raises until control is back in C */
    fa_list tasks;
    idle_coroutine idle[IDLE_COROUTINES]; /* of tasks that have ended well, for the next ones */
    size_t idle_count;
    fa_list pending; /* tasks that `mail` will resume */
    fa_message mail;
    fa_list module_waits; /* tasks that wait until another one has loaded a module (lua_loader.c) */
    unsigned task_number; /* of the newest task */
    fa_list streams;      /* of events that are open: told when the server drains */
    fa_message drain_mail;
    fa_list websockets;          /* that are open: closed when it drains */
    size_t task_count;           /* without those that only wait to be told of their end */
    size_t copies, copied_bytes; /* bytes that scripts asked to have as Lua strings */
    uint64_t started_ms;
    fa_memory_source memory; /* NULL: nobody answers */
    void *memory_context;
    char empty_array[48];
    char *json_text; /* that is being written, see json_write.c */
};

/* ---- the end of a generation (holds.c) ---- */

/* Something beside a task that will still need the state: a request that waits to be let in, a stream that a script has begun, a
 * question under way. Lies in the object that it is about. */
typedef enum fa_hold_kind {
    FA_HOLD_REQUEST,  /* waits to be let in */
    FA_HOLD_STREAM,   /* an answer in pieces */
    FA_HOLD_QUESTION, /* has not come back yet */
    FA_HOLD_LOCALS    /* what a request keeps with it lies in the state */
} fa_hold_kind;

typedef struct fa_hold {
    fa_list link;
    fa_script *script;
    fa_exchange *exchange; /* that it is about; NULL without */
    fa_scope_hook at_end;
    bool hooked;
    fa_hold_kind kind;
} fa_hold;

/* Until fa_hold_end or the end of the scope. scope: NULL for none. */
void fa_hold_begin(fa_hold *hold, fa_script *script, fa_scope *scope, fa_exchange *exchange, fa_hold_kind kind);
void fa_hold_end(fa_hold *hold); /* harmless twice, and on a zeroed one */
/* A task or a hold is gone: whoever waits for the retired state hears of it when it was the last. */
void fa_script_look_idle(fa_script *script);

/* ---- tasks (task.c) ---- */

/* What a waiting task waits for; lies in the operation. */
typedef struct fa_wait {
    void (*cancel)(struct fa_wait *wait); /* the task is gone: forget it; frees the operation */
} fa_wait;

typedef struct fa_task {
    fa_list link, pending;
    fa_script *script;
    lua_State *co;
    int reference;
    fa_scope *scope;       /* what the task belongs to; NULL once that has ended */
    fa_exchange *exchange; /* of a request's task, else NULL */
    fa_turn *turn;         /* of a turn's task, else NULL */
    fa_scope_hook at_end;
    fa_wait *wait;
    fa_list scopes;  /* that its script opened, newest first (lua_scope.c) */
    unsigned number; /* never used twice */
    bool started, running, counted;
    bool named;    /* its script may keep the coroutine itself: nobody else gets it */
    bool well;     /* it has returned */
    bool loads;    /* a module: others may wait for that */
    bool raise;    /* the wait that it comes back from raises why_gone */
    bool told;     /* that its owner has ended: the next wait drops it */
    bool failed;   /* it waits where it has been told not to: ends it with why_gone */
    int arguments; /* on its stack, for its start */
    char why_gone[120];
    /* After the coroutine has returned or failed (error: message with traceback, results: on the coroutine's stack). Not called when
     * the scope has ended before. */
    void (*done)(struct fa_task *task, const char *error, int results, void *context);
    void (*lost)(struct fa_task *task, void *context); /* its scope has ended or it was cancelled; may be NULL */
    void *context;
} fa_task;

/* Makes a task of the function on top of `from` (popped). NULL: no memory (the function is popped all the same). */
fa_task *fa_task_new(fa_script *script, lua_State *from, fa_scope *scope,
                     void (*done)(fa_task *task, const char *error, int results, void *context), void *context);

/* Runs it until it waits or ends. arguments: already pushed on task->co. */
void fa_task_resume(fa_task *task, int arguments);

/* The running task; raises when there is none or L is a coroutine of the script's own making (those cannot wait). */
fa_task *fa_task_waiting(lua_State *L, const char *what);
/* For C functions that wait: return fa_task_wait(...). */
int fa_task_wait(lua_State *L, fa_task *task, fa_wait *wait);
/* Every task is dropped as if its scope had ended; none may be running. */
void fa_tasks_end(fa_script *script);
/* The scope that pays for what L makes now: the innermost one that the script opened, or the running task's; raises when there is
 * none, or it has ended. */
fa_scope *fa_task_scope(lua_State *L);
/* The same of a task that waits; NULL when it has ended. */
fa_scope *fa_task_scope_of(const fa_task *task);

/* Resumes the task from the loop, by the worker's mailbox; twice is once. */
void fa_task_post(fa_task *task);
void fa_tasks_deliver(fa_message *mail);
/* Takes the task out of its scope. If it has run it is resumed once, from the loop: its wait raises "cancelled: reason". */
void fa_task_cancel(fa_task *task, const char *reason);
/* A task that waits is told from the loop that a scope it had opened is gone. */
void fa_task_raise(fa_task *task);

/* For openers: the functions of the table on top that wait, by name (ends with NULL). Each gets a shell of Lua around it, in which a
 * cancelled wait can raise. A function that waits and is not named here comes back with nothing when it is cancelled. */
void fa_lua_waits(lua_State *L, const char *const *names);

/* ---- helpers (state.c, handle.c) ---- */

fa_script *fa_script_of(lua_State *L);
fa_origin fa_script_here(lua_State *L); /* the script line that called */
fa_origin fa_task_locate(void *task);   /* the line at which a task stands that is running; name NULL without */
/* Text only: bytecode could do anything. Pushes the chunk or an error message; LUA_ERR... */
int fa_script_load_text(lua_State *L, const char *path, const char *chunk_name);

/* ---- what scripts can reach (sandbox.c) ---- */

/* Once, when every function of ours is in its place: freezes them as scripts will see them. */
void fa_sandbox_seal(lua_State *L);
/* The chunk on top gets an environment of its own, in which it may make globals until it is closed. trusted: everything that the
 * others lack is there, too. */
void fa_sandbox_enter(lua_State *L, bool trusted);
void fa_sandbox_close(lua_State *L, int chunk);
bool fa_sandbox_trusts(const fa_script *script, const char *module); /* by configuration */
/* Replaces the table on top by a face that cannot be changed, always the same one. name: for messages. */
void fa_sandbox_freeze(lua_State *L, const char *name);
void fa_sandbox_freeze_top(lua_State *L, const char *name); /* the same without the tables within */
void fa_sandbox_face(lua_State *L, int table); /* pushes the frozen face of the table, or nil; after fa_sandbox_seal */

/* ---- time (slice.c) ---- */

/* Around whatever enters Lua: the heap's limit holds, and the watchdog watches. */
typedef struct fa_slice {
    fa_watched *watched;
    fa_turn_outside outside;
    const char *stack_base;
    bool strict;
} fa_slice;
void fa_script_tell_lines(fa_script *script); /* or stops to */
void fa_slice_begin(fa_script *script, fa_slice *slice);
void fa_slice_end(fa_script *script, const fa_slice *slice);
/* lua_pcall within one. */
int fa_script_call(fa_script *script, int arguments, int results, int handler);
/* The same from within another state: what it takes is not on the time of that one's slice. */
int fa_script_call_apart(fa_script *script, int arguments, int results, int handler);
/* The script line at which L stands, or the nearest above that is known. Allocates nothing: for signal handlers and allocators, too. */
void fa_lua_place(lua_State *L, char *out, size_t size);
void fa_slice_over(lua_State *L);
/* For functions in C that may take long: raises when the time is over. Costs nothing. */
static inline void fa_slice_check(lua_State *L, const fa_script *script)
{
    if (script->armed)
        fa_slice_over(L);
}

/* ---- the heap (lua_heap.c) ---- */
void fa_heap_begin(fa_heap *heap, lua_State *L, size_t limit);
void fa_heap_end(fa_heap *heap);
fa_script *
fa_heap_script(lua_State *L); /* whose heap this is, at once; NULL before fa_heap_begin and after fa_heap_end */
bool fa_heap_strict(fa_script *script, bool strict); /* returns what it was */
void fa_heap_relieve(fa_script *script); /* with no task running: collects, when one has reached the limit */
bool fa_heap_full(fa_script *script);    /* what lives is at the limit; may collect, from outside of the state */

/* ---- scopes that scripts open (lua_scope.c) ---- */

typedef struct fa_script_scope {
    fa_list link;
    fa_task *task;
    lua_State *opened_in; /* the coroutine; only compared */
    fa_scope *scope;      /* NULL once it has ended: then `why` says how, and `told` that somebody was told */
    fa_scope_hook at_end;
    fa_timer deadline;
    fa_handle handle;
    bool told;
    char why[120];
} fa_script_scope;

/* The innermost one that L works in, ended or not; NULL without. */
fa_script_scope *fa_script_scope_in(const fa_task *task, const lua_State *L);
/* All that a task has opened end; they are freed when the task is. */
void fa_script_scopes_end(fa_task *task, const char *reason);
void fa_script_scopes_free(fa_task *task);

/* Handles as userdata. */
typedef struct fa_lua_handle {
    fa_handle handle;
} fa_lua_handle;

extern const fa_handle_type fa_type_buffer, fa_type_request, fa_type_turn, fa_type_scope, fa_type_task;
extern const fa_handle_type fa_type_stream, fa_type_events, fa_type_subscription, fa_type_websocket;

void fa_lua_push_handle(lua_State *L, fa_handle handle, const char *metatable);
/* NULL when the value is no handle of this kind. */
const fa_lua_handle *fa_lua_handle_at(lua_State *L, int index, const char *metatable);
/* The object, or a Lua error with the story. */
void *fa_lua_check(lua_State *L, int index, const fa_handle_type *type, const char *metatable);
/* NULL when the value is no such handle at all; an error when it is a stale one. */
void *fa_lua_test(lua_State *L, int index, const fa_handle_type *type, const char *metatable);

/* What core/script keeps of a turn; in memory of the turn's scope. */
typedef struct fa_turn_state {
    fa_turn *turn;
    fa_task *task; /* NULL once it has ended */
    fa_timer start;
    fa_handle handle;
} fa_turn_state;

#define FA_META_BUFFER       "fitnessally.buffer"
#define FA_META_REQUEST      "fitnessally.request"
#define FA_META_TURN         "fitnessally.turn"
#define FA_META_SCOPE        "fitnessally.scope"
#define FA_META_TASK         "fitnessally.task"
#define FA_META_STREAM       "fitnessally.stream"
#define FA_META_EVENTS       "fitnessally.events"
#define FA_META_STORE        "fitnessally.store"
#define FA_META_SUBSCRIPTION "fitnessally.subscription"
#define FA_META_WEBSOCKET    "fitnessally.websocket"
#define FA_META_CUTTER       "fitnessally.sound_cutter"

/* A number of bytes, or a text such as "64KB"; raises. */
size_t fa_lua_check_size(lua_State *L, int index, const char *what);

/* The table at `index` (positive), if there is one, has only options that are known; raises. known: ends with NULL. */
void fa_lua_check_options(lua_State *L, int index, const char *what, const char *const *known);

/* Makes a handle for a buffer of `scope` and pushes it; on failure the buffer is released and nil, message are pushed: returns how
 * many values. */
int fa_lua_push_buffer(lua_State *L, fa_buffer *buffer, fa_scope *scope);

/* What a sound is, as a table. */
struct fa_sound;
void fa_lua_push_sound(lua_State *L, const struct fa_sound *sound);

/* A new buffer of `scope`, as the options at `index` want it: how many values were pushed. */
int fa_lua_new_buffer(lua_State *L, int index, fa_scope *scope);

/* The exchange of a request handle. */
fa_exchange *fa_lua_check_exchange(lua_State *L, int index);

/* What its route says; of a request that a default route answers, the defaults. */
const fa_route_options *fa_lua_route_options(lua_State *L, int index);

/* ---- routes (lua_routes.c, lua_request.c) ---- */

/* While app.lua is loaded; raises later. what: "app:get". */
fa_script *fa_script_loading(lua_State *L, const char *what);
/* Handlers as C functions: the folder of the request's route, and what the server says to OPTIONS. */
int fa_lua_serve_folder(lua_State *L);
int fa_lua_answer_options(lua_State *L);
/* The handle of the request that the running task answers; raises when there is none. */
int fa_lua_current_request(lua_State *L);

/* ---- plugins (lua_halves.c) ---- */

/* Before app.lua: the Lua halves of the plugins. FA_INVALID: one fails that is required. */
fa_result fa_halves_load(fa_script *script, fa_load_failure *failure, fa_error *error);
/* By name; NULL: it has not been enabled. */
const fa_half *fa_half_find(const fa_script *script, const char *name, size_t length);
/* The environment of the chunk on top gets what the files of that plugin have: config and native. */
void fa_half_enter(lua_State *L, const fa_half *half);
/* Whether something belongs to the state itself, or to one of its plugins, and not to a request or a turn. */
bool fa_script_owns(const fa_script *script, const fa_scope *scope);
/* Fills in what stands around the line, when the file is one of a plugin. */
void fa_halves_excerpt(const fa_script *script, fa_load_failure *failure);

/* Of a state that is for one plugin alone: that one, with its phase `init`. 0, or the problem is on top. */
int fa_halves_load_own(fa_script *script);

/* Calls a function of plugins.lua with what lies above `base` on the stack (popped); it gives nil or a problem. 0: it is content, else
 * the problem is on top. */
int fa_halves_call(fa_script *script, const char *function, int base);
void fa_halves_push_library(lua_State *L);

/* ---- from one state to another (crossing.c) ---- */

/* Places on a stack that a crossing may take, either way. Where there may be fewer the one who runs is to be asked before (luaL_checkstack):
 * to grow a stack that is full raises. */
enum { FA_CROSSING_STACK = 128 };

typedef struct fa_crossing {
    lua_State *from, *to; /* of the same worker; neither runs in the other's protected call */
    fa_scope *scope;      /* that gets the buffers; NULL: none cross */
    bool gives;           /* buffers go over for good; else they are lent, and the scope's end takes them back */
    const char *what;     /* "argument" */
    size_t room;          /* bytes that may still cross */
    char path[120];       /* "argument 1.list[3]" */
    char why[260];        /* after a failure */
} fa_crossing;

/* Pushes copies of `count` values, from the one at `first` on (counted from the bottom). False with the reason and with nothing pushed;
 * buffers that were given until then have gone over. Raises nothing. */
bool fa_cross(fa_crossing *crossing, int first, int count);

/* ---- the phases of plugins (lua_phases.c) ---- */

void fa_phases_init(fa_script *script);
/* A request that a route takes is about to be handled: response and log are told of it, when somebody has these phases. holds: the state
 * stays until its answer has left. False: no memory. */
bool fa_phases_watch(fa_script *script, fa_exchange *exchange, fa_handle handle, bool holds);
/* What is still to be logged, and then the phase `shutdown`, once. From the loop, on the worker's thread. */
void fa_phases_shut_down(fa_script *script);
/* The state goes; nobody is told. */
void fa_phases_end(fa_script *script);

/* The settings as a table. */
void fa_lua_push_settings(lua_State *L, const fa_setting *settings);

/* nil, {code, message}: what a call of a plugin that has failed returns. Gives 2. */
int fa_lua_push_problem(lua_State *L, const char *code, const char *message);

/* ---- bodies (lua_body.c) ---- */
int fa_lua_request_json(lua_State *L);
int fa_lua_request_form(lua_State *L);
int fa_lua_request_multipart(lua_State *L);

/* The value at `index` is nil or a list of sealed buffers, or it raises. */
void fa_lua_check_buffers(lua_State *L, int index);

/* Every buffer of the list at `index` (nil: none) becomes one of `to`, handle and all. Does not raise. Anything but FA_OK: one of them
 * cannot (it is stale, in flight, or there is no room); those before it have gone over. */
fa_result fa_lua_move_buffers(lua_State *L, int index, fa_scope *to);

/* The deepest that JSON may nest for this script, where no route says otherwise. */
unsigned fa_script_json_depth(const fa_script *script);
/* More methods for requests; waiting: those of them that wait (fa_lua_waits). */
void fa_lua_request_methods(lua_State *L, const luaL_Reg *methods, const char *const *waiting);

/* ---- answers (lua_headers.c, lua_stream.c) ---- */

enum { MAX_RESPONSE_HEADERS = 32 };

/* The texts lie on the Lua stack, or are static. */
typedef struct fa_lua_headers {
    fa_header entries[MAX_RESPONSE_HEADERS];
    size_t count;
} fa_lua_headers;

void fa_lua_add_header(lua_State *L, fa_lua_headers *list, fa_text name, fa_text value);
/* The table at `index` (none or nil: nothing): names to values, or to lists of them for a header that comes several times. */
void fa_lua_read_headers(lua_State *L, int index, fa_lua_headers *list);
/* Raises unless FA_OK. */
int fa_lua_check_answered(lua_State *L, fa_result result);
/* The exchange of the request at 1; raises when it has been answered. */
fa_exchange *fa_lua_check_unanswered(lua_State *L);
/* Milliseconds, or a text such as "15s"; raises. nil: fallback. */
uint64_t fa_lua_opt_duration(lua_State *L, int index, const char *what, uint64_t fallback);

/* The handler has returned: a stream that it began ends. False when it began none. */
bool fa_lua_stream_finish(fa_exchange *exchange);

/* What scripts hold of a stream; lies in the request scope. */
typedef struct fa_lua_stream {
    fa_list link; /* in fa_script.streams, when it is one of events */
    fa_script *script;
    fa_exchange *exchange;
    fa_outlet *outlet;
    fa_events *events; /* NULL: a plain one */
    fa_list waiting;   /* tasks in events:wait */
    fa_hold hold;
    fa_scope_hook at_end;
    fa_handle handle;
    bool drained; /* the server has ended it */
} fa_lua_stream;

/* Makes the handle of an answer that has begun and pushes it; on failure the connection is cut, and it raises. */
fa_lua_stream *fa_lua_push_stream(lua_State *L, fa_exchange *exchange, fa_outlet *outlet, fa_events *events);
/* Of the handle at 1; NULL when it is gone; raises when it is no such handle. */
fa_lua_stream *fa_lua_stream_at(lua_State *L, const char *metatable);
/* Sends the text (of the Lua stack) or the buffer, or waits for room: what the calling function returns. */
typedef struct fa_lua_write {
    const char *what; /* "out:write" */
    fa_text text;
    fa_buffer *buffer; /* NULL: the text */
    bool release;      /* the buffer, when it is queued or not to be */
    bool cut;          /* without memory the connection is cut, because a hole would look like an answer */
    bool at_once;      /* nil, "full" instead of waiting */
} fa_lua_write;
int fa_lua_write_to(lua_State *L, fa_lua_stream *stream, const fa_lua_write *write);
/* Pushes on the stack of a task that waits, where nothing may raise. */
void fa_lua_push_result(fa_task *task, const char *problem); /* true, or nil and the problem */
/* Those in events:wait get the reason. */
void fa_lua_stream_tell(fa_lua_stream *stream, const char *reason);

/* Raises when the value at `index` would be more than FA_MOST_JSON bytes of JSON. */
void fa_lua_check_json_size(lua_State *L, int index);
/* Encodes the value at `index` and pushes the string; raises. */
void fa_lua_encode_json(lua_State *L, int index);
/* What an encoding that has raised left behind. */
void fa_json_forget(fa_script *script);
/* Decodes: pushes the value, or nil and a message; returns how many. */
int fa_lua_decode_json(lua_State *L, const char *text, size_t length);
int fa_lua_decode_json_within(lua_State *L, const char *text, size_t length, unsigned depth);
/* A copy that scripts make: bytes of a body, file, message, conversation or answer that come into being in Lua, or go from a Lua text into
 * the core, and JSON that is encoded or decoded. Not names, addresses, header lines, keys, codes or log lines. */
void fa_lua_count_copy(lua_State *L, size_t bytes);

/* ---- for who develops (dev_page.c, lua_dev.c) ---- */

/* Answers a failed request with a page for its developer, if the client wants HTML; else false. route: where it was declared. */
bool fa_dev_page_answer(const fa_script *script, fa_exchange *exchange, const char *error, const char *route);

/* Whether the client would rather have HTML than JSON. */
bool fa_dev_wants_html(const fa_exchange *exchange);
extern const char fa_dev_style[]; /* of such pages */
/* What stands in a page for the beginning of the text (not empty): escaped, or hidden when it is a secret. Returns for how many bytes. */
size_t fa_dev_piece(const fa_script *script, const char *text, size_t length, fa_text *piece);

/* After app.lua: the pages of lua/fitnessally/dev.lua. What is wrong there is logged, and they are missing. */
void fa_dev_load(fa_script *script);
/* Answers 404, or 405 when there is an Allow header, with the routes that there are. False: it did not. */
bool fa_dev_missing(fa_script *script, fa_exchange *exchange, const char *allow);

/* ---- modules (lua_loader.c) ---- */

/* A task that was loading one is gone, and others may wait for it. */
void fa_loader_wake(fa_script *script);
/* Keeps the traceback of the error at `index` in `of`, a coroutine that has failed with it, and of L, which has resumed it. */
void fa_lua_check_depth(lua_State *L); /* raises before the stack of C overflows */
enum { FA_LONGEST_TRACEBACK = 16 * 1024 };
/* Pushes on L the message (NULL: it is no text), with its line if it names none, and the traceback of `of`. */
void fa_lua_push_traceback(lua_State *L, lua_State *of, const char *message, int level);
void fa_lua_note_failure(lua_State *L, lua_State *of, int index);
/* A message handler that adds the traceback, unless it was noted where the error was raised. */
int fa_lua_with_traceback(lua_State *L);

/* Module openers: each adds its globals. */
void fa_open_handles(lua_State *L);
void fa_open_waits(lua_State *L);
void fa_open_buffer(lua_State *L);
void fa_open_sound(lua_State *L);
void fa_open_scopes(lua_State *L);
void fa_open_tasks(lua_State *L);
void fa_open_request(lua_State *L);
void fa_open_headers(lua_State *L);
void fa_open_stream(lua_State *L);
void fa_open_events(lua_State *L);
void fa_open_websocket(lua_State *L);
void fa_open_file(lua_State *L);
void fa_open_app(lua_State *L);
void fa_open_routes(lua_State *L);
void fa_open_crypto(lua_State *L);
void fa_open_policies(lua_State *L);
void fa_open_voice(lua_State *L);
void fa_open_turn(lua_State *L);
void fa_open_plugins(lua_State *L);
void fa_open_halves(lua_State *L);
void fa_open_core(lua_State *L);
void fa_open_memory(lua_State *L);
void fa_open_upstream(lua_State *L);
/* What its app has said of upstreams holds from now on. Thread: the worker's. */
void fa_script_upstreams_apply(const fa_script *script);
/* Streams of upstreams end that are still open, because what they belong to lives on: their state goes. */
void fa_script_readings_end(fa_script *script);
void fa_open_loader(lua_State *L);
void fa_open_structure(lua_State *L);
void fa_open_language(lua_State *L);
void fa_open_patterns(lua_State *L);
void fa_open_store(lua_State *L);
void fa_open_topics(lua_State *L);
void fa_open_schedule(lua_State *L);

#endif
