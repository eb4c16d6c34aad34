/* What the files of core/script share. */
#ifndef FA_SCRIPT_INTERNAL_H
#define FA_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script/script.h"
#include "worker/timer.h"

enum { MAX_STARTERS = 16, MAX_MOUNTS = 16, MAX_HANDLERS = 512, SCRIPT_PATH_SIZE = 512 };

typedef struct mount {
    fa_media_mount media;
    size_t prefix_length;
} mount;

struct fa_script {
    fa_script_options options;
    fa_worker *worker;
    fa_scope *scope; /* of this generation: a child of the worker's */
    lua_State *lua;
    fa_router *router;
    int handlers[MAX_HANDLERS]; /* registry references; a route's target is an index here */
    const char *handler_names[MAX_HANDLERS];
    int handler_count;
    int starters[MAX_STARTERS]; /* registry references */
    int starter_count;
    mount mounts[MAX_MOUNTS];
    int mount_count;
    bool loading; /* routes may be declared */
    struct fa_task *current;
    fa_list tasks;
    size_t task_count;
    size_t copies, copied_bytes; /* bytes that scripts asked to have as Lua strings */
    uint64_t started_ms;
    fa_memory_source memory; /* NULL: nobody answers */
    void *memory_context;
    char empty_array[48];
};

/* A route's target: a handler index, or MAX_HANDLERS + mount index. */

/* ---- tasks (task.c) ---- */

/* What a waiting task waits for; lies in the operation. */
typedef struct fa_wait {
    void (*cancel)(struct fa_wait *wait); /* the task is gone: forget it; frees the operation */
} fa_wait;

typedef struct fa_task {
    fa_list link;
    fa_script *script;
    lua_State *co;
    int reference;
    fa_scope *scope;       /* what the task belongs to; NULL once that has ended */
    fa_exchange *exchange; /* of a request's task, else NULL */
    fa_turn *turn;         /* of a turn's task, else NULL */
    fa_scope_hook at_end;
    fa_wait *wait;
    bool running;
    /* After the coroutine has returned or failed (error: message with traceback, results: on the coroutine's stack). Not called when
     * the scope has ended before. */
    void (*done)(struct fa_task *task, const char *error, int results, void *context);
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
/* The scope of the running task; raises when there is none. */
fa_scope *fa_task_scope(lua_State *L);

/* ---- helpers (state.c, handle.c) ---- */

fa_script *fa_script_of(lua_State *L);
fa_origin fa_script_here(lua_State *L); /* the script line that called */
void fa_script_push_traceback(lua_State *L, lua_State *of, const char *message);

/* Handles as userdata. */
typedef struct fa_lua_handle {
    fa_handle handle;
} fa_lua_handle;

extern const fa_handle_type fa_type_buffer, fa_type_request, fa_type_turn;

void fa_lua_push_handle(lua_State *L, fa_handle handle, const char *metatable);
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

#define FA_META_BUFFER  "fitnessally.buffer"
#define FA_META_REQUEST "fitnessally.request"
#define FA_META_TURN    "fitnessally.turn"

/* Makes a handle for a buffer of `scope` and pushes it; on failure the buffer is released and nil, message are pushed: returns how
 * many values. */
int fa_lua_push_buffer(lua_State *L, fa_buffer *buffer, fa_scope *scope);

/* The exchange of a request handle. */
fa_exchange *fa_lua_check_exchange(lua_State *L, int index);

/* Encodes the value at `index` with cjson and pushes the string; raises. */
void fa_lua_encode_json(lua_State *L, int index);
/* Decodes: pushes the value, or nil and a message; returns how many. */
int fa_lua_decode_json(lua_State *L, const char *text, size_t length);
void fa_lua_count_copy(lua_State *L, size_t bytes);

/* Module openers: each adds its globals. */
void fa_open_handles(lua_State *L);
void fa_open_buffer(lua_State *L);
void fa_open_request(lua_State *L);
void fa_open_app(lua_State *L);
void fa_open_voice(lua_State *L);
void fa_open_turn(lua_State *L);
void fa_open_plugins(lua_State *L);
void fa_open_core(lua_State *L);
void fa_open_memory(lua_State *L);
void fa_open_loader(lua_State *L);

#endif
