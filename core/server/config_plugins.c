#include "server/config_plugins.h"

#include <ctype.h>
#include <string.h>

enum { MAX_SETTINGS = 512 }; /* all plugins together: a configuration is written by people */

typedef struct plugin_setting {
    fa_list link;
    char *plugin, *key, *text, *where;
} plugin_setting;

void fa_plugin_settings_init(fa_plugin_settings *settings, fa_scope *scope)
{
    settings->scope = scope;
    settings->count = 0;
    fa_list_init(&settings->list);
}

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    }
    return length > 0 && length <= FA_PLUGIN_NAME_MAX;
}

static plugin_setting *find(const fa_plugin_settings *settings, const char *plugin, size_t length, const char *key)
{
    FA_LIST_EACH(node, &settings->list)
    {
        plugin_setting *it = FA_OBJECT(node, plugin_setting, link);
        if (strlen(it->plugin) == length && memcmp(it->plugin, plugin, length) == 0 && strcmp(it->key, key) == 0)
            return it;
    }
    return NULL;
}

static void drop(fa_plugin_settings *settings, plugin_setting *old)
{
    fa_scope_free(settings->scope, old->plugin);
    fa_scope_free(settings->scope, old->key);
    fa_scope_free(settings->scope, old->text);
    fa_scope_free(settings->scope, old->where);
    fa_scope_free(settings->scope, old);
}

static plugin_setting *make(fa_plugin_settings *settings, const char *plugin, size_t length, const char *key,
                            const char *value, const char *where)
{
    fa_scope *scope = settings->scope;
    plugin_setting *fresh = fa_scope_allocate(scope, sizeof(*fresh));
    if (fresh == NULL)
        return NULL;
    fresh->plugin = fa_scope_copy_text(scope, plugin, length);
    fresh->key = fa_scope_copy_text(scope, key, strlen(key));
    fresh->text = fa_scope_copy_text(scope, value, strlen(value));
    fresh->where = fa_scope_copy_text(scope, where, strlen(where));
    if (fresh->plugin != NULL && fresh->key != NULL && fresh->text != NULL && fresh->where != NULL)
        return fresh;
    drop(settings, fresh);
    return NULL;
}

fa_result fa_plugin_settings_set(fa_plugin_settings *settings, const char *name, const char *value, const char *where,
                                 fa_error *error)
{
    const char *plugin = name + strlen(FA_PLUGIN_SETTING_PREFIX), *dot = strchr(plugin, '.');
    if (dot == NULL || !is_name(plugin, (size_t)(dot - plugin)) || !is_name(dot + 1, strlen(dot + 1)))
        return fa_fail(error, FA_INVALID, "%s: \"%.100s\" is not plugins.NAME.KEY in lower-case letters", where, name);
    size_t length = (size_t)(dot - plugin);
    plugin_setting *old = find(settings, plugin, length, dot + 1);
    if (old == NULL && settings->count == MAX_SETTINGS)
        return fa_fail(error, FA_FULL, "%s: %s: more than %d plugin settings", where, name, MAX_SETTINGS);
    plugin_setting *fresh = make(settings, plugin, length, dot + 1, value, where);
    if (fresh == NULL)
        return fa_fail(error, FA_NO_MEMORY, "%s: %s: out of memory", where, name);
    if (old == NULL) {
        fa_list_append(&settings->list, &fresh->link);
        settings->count++;
        return FA_OK;
    }
    fa_list_insert_after(&old->link, &fresh->link);
    fa_list_remove(&old->link);
    drop(settings, old);
    return FA_OK;
}

const char *fa_plugin_settings_find(const fa_plugin_settings *settings, const char *plugin, const char *key,
                                    const char **where)
{
    const plugin_setting *it = find(settings, plugin, strlen(plugin), key);
    if (it != NULL && where != NULL)
        *where = it->where;
    return it != NULL ? it->text : NULL;
}

const char *fa_plugin_settings_key(const fa_plugin_settings *settings, const char *plugin, size_t index,
                                   const char **where)
{
    FA_LIST_EACH(node, &settings->list)
    {
        const plugin_setting *it = FA_OBJECT(node, plugin_setting, link);
        if (strcmp(it->plugin, plugin) != 0 || index-- > 0)
            continue;
        if (where != NULL)
            *where = it->where;
        return it->key;
    }
    return NULL;
}

/* Whether nothing before it was written for the same plugin. */
static bool is_first(const fa_plugin_settings *settings, const plugin_setting *setting)
{
    FA_LIST_EACH(node, &settings->list)
    {
        const plugin_setting *it = FA_OBJECT(node, plugin_setting, link);
        if (strcmp(it->plugin, setting->plugin) == 0)
            return it == setting;
    }
    return true;
}

const char *fa_plugin_settings_plugin(const fa_plugin_settings *settings, size_t index)
{
    FA_LIST_EACH(node, &settings->list)
    {
        const plugin_setting *it = FA_OBJECT(node, plugin_setting, link);
        if (is_first(settings, it) && index-- == 0)
            return it->plugin;
    }
    return NULL;
}
