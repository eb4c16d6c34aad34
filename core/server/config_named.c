#include "server/config_named.h"

#include <ctype.h>
#include <string.h>

enum { MAX_SETTINGS = 512 }; /* of all groups together: a configuration is written by people */

const char *const fa_named_groups[] = {"plugins", "tls", "upstreams", NULL};

typedef struct named_setting {
    fa_list link;
    char *owner, *key, *text, *where; /* owner: "GROUP.NAME" */
} named_setting;

const char *fa_named_group_of(const char *name)
{
    size_t length = strcspn(name, ".");
    for (const char *const *group = fa_named_groups; *group != NULL; ++group) {
        if (strlen(*group) == length && memcmp(*group, name, length) == 0)
            return *group;
    }
    return NULL;
}

void fa_named_settings_init(fa_named_settings *settings, fa_scope *scope)
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
    return length > 0 && length <= FA_NAMED_NAME_MAX;
}

/* owner: of `length` bytes. */
static named_setting *find(const fa_named_settings *settings, const char *owner, size_t length, const char *key)
{
    FA_LIST_EACH(node, &settings->list)
    {
        named_setting *it = FA_OBJECT(node, named_setting, link);
        if (strlen(it->owner) == length && memcmp(it->owner, owner, length) == 0 && strcmp(it->key, key) == 0)
            return it;
    }
    return NULL;
}

static void drop(fa_named_settings *settings, named_setting *old)
{
    fa_scope_free(settings->scope, old->owner);
    fa_scope_free(settings->scope, old->key);
    fa_scope_free(settings->scope, old->text);
    fa_scope_free(settings->scope, old->where);
    fa_scope_free(settings->scope, old);
}

static named_setting *make(fa_named_settings *settings, const char *owner, size_t length, const char *key,
                           const char *value, const char *where)
{
    fa_scope *scope = settings->scope;
    named_setting *fresh = fa_scope_allocate(scope, sizeof(*fresh));
    if (fresh == NULL)
        return NULL;
    fresh->owner = fa_scope_copy_text(scope, owner, length);
    fresh->key = fa_scope_copy_text(scope, key, strlen(key));
    fresh->text = fa_scope_copy_text(scope, value, strlen(value));
    fresh->where = fa_scope_copy_text(scope, where, strlen(where));
    if (fresh->owner != NULL && fresh->key != NULL && fresh->text != NULL && fresh->where != NULL)
        return fresh;
    drop(settings, fresh);
    return NULL;
}

fa_result fa_named_settings_set(fa_named_settings *settings, const char *name, const char *value, const char *where,
                                fa_error *error)
{
    const char *group = fa_named_group_of(name), *middle = name + strlen(group), *dot;
    middle += *middle == '.';
    dot = strchr(middle, '.');
    if (dot == NULL || !is_name(middle, (size_t)(dot - middle)) || !is_name(dot + 1, strlen(dot + 1)))
        return fa_fail(error, FA_INVALID, "%s: \"%.100s\" is not %s.NAME.KEY in lower-case letters", where, name,
                       group);
    size_t length = (size_t)(dot - name);
    named_setting *old = find(settings, name, length, dot + 1);
    if (old == NULL && settings->count == MAX_SETTINGS)
        return fa_fail(error, FA_FULL, "%s: %s: more than %d settings of things with names", where, name, MAX_SETTINGS);
    named_setting *fresh = make(settings, name, length, dot + 1, value, where);
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

const char *fa_named_settings_find(const fa_named_settings *settings, const char *owner, const char *key,
                                   const char **where)
{
    const named_setting *it = find(settings, owner, strlen(owner), key);
    if (it != NULL && where != NULL)
        *where = it->where;
    return it != NULL ? it->text : NULL;
}

const char *fa_named_settings_key(const fa_named_settings *settings, const char *owner, size_t index,
                                  const char **where)
{
    FA_LIST_EACH(node, &settings->list)
    {
        const named_setting *it = FA_OBJECT(node, named_setting, link);
        if (strcmp(it->owner, owner) != 0 || index-- > 0)
            continue;
        if (where != NULL)
            *where = it->where;
        return it->key;
    }
    return NULL;
}

/* Whether nothing before it was written for the same owner. */
static bool is_first(const fa_named_settings *settings, const named_setting *setting)
{
    FA_LIST_EACH(node, &settings->list)
    {
        const named_setting *it = FA_OBJECT(node, named_setting, link);
        if (strcmp(it->owner, setting->owner) == 0)
            return it == setting;
    }
    return true;
}

const char *fa_named_settings_name(const fa_named_settings *settings, const char *group, size_t index)
{
    size_t length = strlen(group);
    FA_LIST_EACH(node, &settings->list)
    {
        const named_setting *it = FA_OBJECT(node, named_setting, link);
        bool of_group = strncmp(it->owner, group, length) == 0 && it->owner[length] == '.';
        if (of_group && is_first(settings, it) && index-- == 0)
            return it->owner + length + 1;
    }
    return NULL;
}
