/* One configuration file being read: what its three parts share. config_file.c reads and runs it, config_sandbox.c is
 * the Lua state it runs in, config_assign.c takes its assignments. Thread: one. */
#ifndef FA_SERVER_CONFIG_FILE_H
#define FA_SERVER_CONFIG_FILE_H

#include <time.h>

#include <lua.h>

#include "server/config.h"

/* The name by which Lua knows the chunk; messages get the real path in its place, which Lua would shorten. */
#define FA_CONFIG_CHUNK "(config)"

/* Wraps the allocator of the state, to cap it. */
typedef struct fa_config_heap {
    lua_Alloc allocate;
    void *context;
    size_t used;
    bool refused; /* the cap was hit */
} fa_config_heap;

typedef struct fa_config_reader {
    fa_config *config; /* NULL: it is no configuration that is read (manifest.c) */
    const char *path;  /* as given */
    void *context;     /* of whoever reads something else */
    const char *source;
    size_t length;

    /* The first thing wrong, in the order of the file; FA_OK until then. */
    fa_result result;
    int wrong_line;
    fa_error *error;

    fa_config_heap heap;
    int line;       /* where the script is */
    unsigned steps; /* of the hook */
    time_t started; /* processor seconds of this thread */
} fa_config_reader;

/* Reads the file at reader->path and calls `how`, a function that gets the reader as light userdata, in a state with limits; what is
 * wrong is returned and in reader->error. scope: for the source, meanwhile. */
fa_result fa_config_evaluate(fa_config_reader *reader, fa_scope *scope, lua_CFunction how);

/* For `how`: pushes the file as a chunk, and the table of helpers. Raises Lua errors. */
void fa_config_push_chunk(const fa_config_reader *reader, lua_State *L);

/* A Lua state with its limits on, or NULL: no memory. close gives all of it back. */
lua_State *fa_config_sandbox_open(fa_config_reader *reader);
void fa_config_sandbox_close(fa_config_reader *reader, lua_State *L);

/* Pushes a table of the harmless functions. Raises Lua errors. */
void fa_config_sandbox_helpers(lua_State *L);

/* Pushes the environment in which every assignment to a name is checked at once; the table of helpers is on the top and
 * is taken. Raises Lua errors. */
void fa_config_assign_environment(fa_config_reader *reader, lua_State *L);

/* Takes the table on the top, which the file returned. What is wrong is in reader->result. */
void fa_config_assign_returned(fa_config_reader *reader, lua_State *L);

/* Remembers what is wrong on `line` (0: nowhere), unless something before it is wrong. */
void fa_config_wrong(fa_config_reader *reader, fa_result result, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Ends the script when something is wrong: never returns then. */
void fa_config_raise(const fa_config_reader *reader, lua_State *L);

#endif
