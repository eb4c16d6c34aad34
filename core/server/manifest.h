/* The manifest of a plugin, plugin.lua, and what the configuration says of its keys.
 *
 * It is evaluated as a configuration file is: harmless functions only, and limits. Thread: that of the scope.
 */
#ifndef FA_SERVER_MANIFEST_H
#define FA_SERVER_MANIFEST_H

#include "script/script.h"
#include "server/config.h"

enum { FA_MANIFEST_KEYS = 64, FA_MANIFEST_PROVIDES = 8 };

typedef struct fa_manifest {
    fa_script_plugin plugin; /* as scripts get it */
    const char *folder;
    bool found;    /* there is a plugin.lua */
    bool broken;   /* after a failure: the plugin is what is wrong, not the configuration */
    bool native;   /* it has a C half */
    bool required; /* the server does not start without it */
    size_t budget; /* bytes that it may keep; 0: no limit of its own */

    /* The configured values as a C half gets them: texts, sizes in bytes, durations in milliseconds. */
    size_t count;
    const char *keys[FA_MANIFEST_KEYS], *values[FA_MANIFEST_KEYS];
    /* The same for a Lua half; ends with name NULL. */
    fa_setting settings[FA_MANIFEST_KEYS + 1];
    const char *provides[FA_MANIFEST_PROVIDES + 1];
} fa_manifest;

/* Whether a plugin of that name lies in plugin_path or among those of the server. folder: where it would be looked for last. */
bool fa_manifest_find(const fa_config *config, const char *name, char *folder, size_t size);

/* Reads it. FA_NOT_FOUND: there is none. FA_INVALID: manifest->broken, or the configuration does not fit it, with its place. What it
 * found out until then is filled in: name, folder and required always. Lives in the scope; NULL: no memory. */
fa_manifest *fa_manifest_new(fa_scope *scope, const char *name);
fa_result fa_manifest_read(fa_manifest *manifest, fa_scope *scope, const fa_config *config, fa_error *error);

/* A key for a C half, beside those of the manifest. */
fa_result fa_manifest_add(fa_manifest *manifest, fa_scope *scope, const char *key, const char *value, fa_error *error);
const char *fa_manifest_value(void *manifest, const char *key); /* NULL: not set */

#endif
