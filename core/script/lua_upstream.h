/* What the files of upstreams in Lua share (lua_upstream*.c). */
#ifndef FA_SCRIPT_LUA_UPSTREAM_H
#define FA_SCRIPT_LUA_UPSTREAM_H

#include "script/internal.h"
#include "upstream/upstream.h"

/* What a script asks for, read from its table: texts lie on the Lua stack or in the buffers, which are the task's until
 * fa_lua_asking_release. */
typedef struct fa_lua_asking {
    fa_transfer_request request;
    fa_lua_headers headers;
    fa_buffer *query, *body; /* made here; NULL: none, or the script's own */
} fa_lua_asking;

/* Reads the options at `index`, an absolute one; raises on misuse. what: "upstream:post", for messages. method: NULL: as the options say.
 * The values that texts are borrowed from stay on the stack. */
void fa_lua_read_asking(lua_State *L, const fa_upstream *upstream, int index, const char *what, const char *method,
                        fa_transfer_mode mode, fa_lua_asking *asking);
void fa_lua_asking_release(fa_lua_asking *asking);

/* nil and the error table of a transfer that has failed, or could not be started; no longer touches it. */
int fa_lua_push_failure(lua_State *L, const fa_transfer *transfer);
int fa_lua_push_no_start(lua_State *L, fa_result result, const char *message);

void fa_lua_push_answer_headers(lua_State *L, const fa_transfer *transfer);

/* The upstream of the object at 1; raises. */
fa_upstream *fa_lua_check_upstream(lua_State *L);

void fa_lua_push_upstream(lua_State *L, const char *name);

/* lua_upstream_define.c: fitnessally.upstream(name, {key = value}). */
int fa_lua_define_upstream(lua_State *L);
bool fa_script_defines_upstream(const fa_script *script, const char *name);

/* lua_upstream_stream.c, lua_upstream_pipe.c: more methods for upstreams, in the table on top. */
void fa_lua_upstream_stream_methods(lua_State *L);
int fa_lua_upstream_pipe(lua_State *L);
int fa_lua_upstream_stream(lua_State *L, fa_upstream *upstream, const char *what);

#endif
