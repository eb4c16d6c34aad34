/* `fitnessally.testing.native`: what the module fitnessally.testing stands on. Thread: that of the state. */
#ifndef FA_SERVER_SPEC_LUA_H
#define FA_SERVER_SPEC_LUA_H

#include <lua.h>

#include "server/spec_app.h"

/* What specs are run with; borrowed as long as the state. */
typedef struct fa_spec_run {
    const char *file;             /* the configuration of apps that name none */
    const char *const *overrides; /* of all apps */
    size_t override_count;
    fa_spec_coverage *coverage; /* NULL: not wanted */
    char state_dir[64];         /* a folder that goes when the run is over */
} fa_spec_run;

/* Makes `require "fitnessally.testing.native"` work in a state. */
void fa_spec_lua_open(lua_State *L, const fa_spec_run *run);

/* ---- for spec_*.c ---- */

#define FA_SPEC_APP "fitnessally.spec.app"

/* The userdata of an app. Its environment table keeps what belongs to it. */
typedef struct fa_spec_handle {
    fa_spec_app *app; /* NULL: closed */
    const fa_spec_run *run;
    fa_list clients;   /* of fa_spec_client */
    lua_State *lua;    /* who turns the loop right now; NULL: nobody */
    char trouble[800]; /* what a function of the spec raised meanwhile; "": nothing */
} fa_spec_handle;

fa_spec_handle *fa_spec_check(lua_State *L, int index); /* raises when it is closed */

/* Around whatever turns the loop; a function that the app has called must not. leave raises what went wrong inside. */
void fa_spec_enter(fa_spec_handle *handle, lua_State *L);
void fa_spec_leave(fa_spec_handle *handle, lua_State *L);

/* Adds app:ask and the clients' methods to the table on top. */
void fa_spec_client_open(lua_State *L);
void fa_spec_upstream_open(lua_State *L);            /* app:stand_in */
void fa_spec_clients_forget(fa_spec_handle *handle); /* the app closes */

#endif
