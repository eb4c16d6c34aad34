/* The plugins of a server: their manifests, their configuration, their shared objects. */
#ifndef FA_SERVER_PLUGINS_H
#define FA_SERVER_PLUGINS_H

#include "plugin/native.h"
#include "script/failure.h"
#include "server/config.h"

enum { FA_MAX_PLUGINS = 16 };

typedef struct fa_plugins {
    fa_native *natives[FA_MAX_PLUGINS + 1]; /* NULL-terminated, in the order of plugins_enabled */
    size_t count;
} fa_plugins;

/* Starts every enabled plugin: all threads open at the same time; fa_plugins_wait says how it went. The first thing that is wrong
 * (a manifest, a key, a value, a missing file) is the error, with its place; nothing runs then. */
fa_result fa_plugins_start(fa_plugins *plugins, fa_scope *scope, const fa_config *config, const fa_log *log,
                           fa_error *error);
/* Reads every enabled plugin's manifest and its configuration anew, as a start would, and starts nothing. failure: of a manifest that is
 * broken. scope: for what is read meanwhile. Thread: that of the scope, while plugins run. */
fa_result fa_plugins_check(const fa_config *config, fa_scope *scope, fa_load_failure *failure, fa_error *error);

fa_result fa_plugins_wait(fa_plugins *plugins, fa_error *error);
void fa_plugins_close(fa_plugins *plugins);

#endif
