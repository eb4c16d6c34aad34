/* The plugins of a server: which there are, what became of their manifests and their shared objects. */
#ifndef FA_SERVER_PLUGINS_H
#define FA_SERVER_PLUGINS_H

#include "plugin/native.h"
#include "script/failure.h"
#include "server/config.h"
#include "server/manifest.h"

enum { FA_MAX_PLUGINS = 32 };

/* In the order of plugins_enabled; those that tts, llm and stt name come after them. */
typedef struct fa_plugins {
    fa_manifest *manifests[FA_MAX_PLUGINS];
    fa_native *natives[FA_MAX_PLUGINS + 1];    /* those with a C half that runs; NULL-terminated */
    fa_script_plugin list[FA_MAX_PLUGINS + 1]; /* as scripts get them */
    char problems[FA_MAX_PLUGINS][200];        /* empty: none */
    size_t count, native_count;
    const fa_log *log;
} fa_plugins;

/* Starts every enabled plugin: all threads open at the same time; fa_plugins_wait says how it went. What is wrong with the configuration
 * (a plugin that is not there, a key, a value) is the error, with its place, as is what is wrong with a plugin that is required; nothing
 * runs then. Another plugin that cannot be started is left out: it is logged and noted. scope: everything lives there; log: borrowed. */
fa_result fa_plugins_start(fa_plugins *plugins, fa_scope *scope, const fa_config *config, const fa_log *log,
                           fa_error *error);
fa_result fa_plugins_wait(fa_plugins *plugins, fa_error *error);
void fa_plugins_close(fa_plugins *plugins);

/* Reads every plugin's manifest anew, with its configuration, for scripts that are loaded anew: `list` is as it would be after a start
 * (FA_MAX_PLUGINS + 1 places), lives in the scope, and holds everybody required who is not failing already. Natives stay as they are.
 * failure: of a manifest that is broken. Thread: that of the scope, while plugins run. */
fa_result fa_plugins_read(const fa_plugins *plugins, const fa_config *config, fa_scope *scope, fa_script_plugin *list,
                          fa_load_failure *failure, fa_error *error);

/* A Lua half cannot be used: logged and noted, once. */
void fa_plugins_note(fa_plugins *plugins, const char *name, const char *problem);

#endif
