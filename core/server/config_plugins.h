/* What the configuration says for plugins, kept as text: a plugin's manifest declares its keys, and is read later.
 * Thread: as for the configuration that holds it. */
#ifndef FA_SERVER_CONFIG_PLUGINS_H
#define FA_SERVER_CONFIG_PLUGINS_H

#include "memory/scope.h"

#define FA_PLUGIN_SETTING_PREFIX "plugins."

/* NAME and KEY have at most so many bytes; a whole "plugins.NAME.KEY" fits FA_PLUGIN_SETTING_SIZE. */
enum {
    FA_PLUGIN_NAME_MAX = 64,
    FA_PLUGIN_SETTING_SIZE = sizeof(FA_PLUGIN_SETTING_PREFIX) + 2 * FA_PLUGIN_NAME_MAX + 1
};

typedef struct fa_plugin_settings {
    fa_scope *scope;
    fa_list list; /* in the order of writing */
    size_t count;
} fa_plugin_settings;

void fa_plugin_settings_init(fa_plugin_settings *settings, fa_scope *scope);

/* name: "plugins.NAME.KEY". FA_INVALID when it is not, FA_FULL, FA_NO_MEMORY. */
fa_result fa_plugin_settings_set(fa_plugin_settings *settings, const char *name, const char *value, const char *where,
                                 fa_error *error);

/* As fa_config_plugin, fa_config_plugin_key and fa_config_plugin_name. */
const char *fa_plugin_settings_find(const fa_plugin_settings *settings, const char *plugin, const char *key,
                                    const char **where);
const char *fa_plugin_settings_key(const fa_plugin_settings *settings, const char *plugin, size_t index,
                                   const char **where);
const char *fa_plugin_settings_plugin(const fa_plugin_settings *settings, size_t index);

#endif
