#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_named.h"
#include "server/config_value.h"

enum { MAX_VALUE = 4000 }; /* bytes of one value */

/* The value of one declared key. What it points at was allocated in the scope. */
typedef struct setting {
    char *text; /* as written; NULL: not set */
    char *where;
    double number;      /* bytes, milliseconds, 0 or 1 for flags */
    const char **items; /* one block, the texts of the items behind the pointers */
    size_t item_count;
} setting;

struct fa_config {
    fa_scope *scope;
    fa_named_settings named;
    setting settings[]; /* one for each declared key, in their order */
};

static size_t key_count(void)
{
    size_t count = 0;
    while (fa_config_keys()[count].name != NULL)
        ++count;
    return count;
}

/* NULL when it is not declared. */
static const fa_config_key *find_key(const char *name)
{
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key) {
        if (strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}

/* ---- writing
 * ------------------------------------------------------------------------------------------------------- */

static char *copy_text(fa_config *config, const char *text)
{
    return fa_scope_copy_text(config->scope, text, strlen(text));
}

/* The items of a list in one block: the pointers, then the texts. */
static bool split_items(fa_config *config, const char *text, setting *to)
{
    const char *item, *rest;
    size_t length, count = 0;
    for (rest = text; rest != NULL; ++count)
        rest = fa_config_next_item(rest, &item, &length);
    const char **items = fa_scope_allocate(config->scope, count * sizeof(*items) + strlen(text) + 1);
    if (items == NULL)
        return false;
    char *copy = (char *)(items + count);
    count = 0;
    for (rest = text; rest != NULL;) {
        rest = fa_config_next_item(rest, &item, &length);
        items[count++] = memcpy(copy, item, length);
        copy += length + 1; /* a comma's place, or the last one's NUL: the block is zeroed */
    }
    to->items = items;
    to->item_count = count;
    return true;
}

static void free_setting(fa_config *config, setting *old)
{
    fa_scope_free(config->scope, old->text);
    fa_scope_free(config->scope, old->where);
    fa_scope_free(config->scope, old->items);
}

/* value: NULL or "" for texts and lists that are not set. */
static fa_result store(fa_config *config, const fa_config_key *key, const char *value, const char *where, double number)
{
    setting fresh = {.number = number, .where = copy_text(config, where)};
    bool stored = fresh.where != NULL;
    if (stored && value != NULL && value[0] != '\0') {
        fresh.text = copy_text(config, value);
        stored = fresh.text != NULL && (key->type != FA_CONFIG_LIST || split_items(config, value, &fresh));
    }
    setting *place = &config->settings[key - fa_config_keys()];
    if (!stored) {
        free_setting(config, &fresh);
        return FA_NO_MEMORY;
    }
    free_setting(config, place);
    *place = fresh;
    return FA_OK;
}

/* What only the server's own keys ask of their values. */
static fa_result check_own(const fa_config_key *key, const char *value, double number, fa_error *error)
{
    if (key->type == FA_CONFIG_NUMBER && number != (double)(long long)number)
        return fa_fail(error, FA_INVALID, "%g is not a whole number", number);
    if (strcmp(key->name, "listen") != 0)
        return FA_OK;
    for (const char *rest = value, *item; rest != NULL && *value != '\0';) {
        size_t length;
        rest = fa_config_next_item(rest, &item, &length);
        if (!fa_config_is_address(item, length))
            return fa_fail(error, FA_INVALID, "\"%.*s\" is not HOST:PORT, as in \"127.0.0.1:3005\"", (int)length, item);
    }
    return FA_OK;
}

static fa_result set_declared(fa_config *config, const fa_config_key *key, const char *value, const char *where,
                              fa_error *error)
{
    fa_error why;
    double number = 0;
    bool cleared = value[0] == '\0' && key->type == FA_CONFIG_TEXT && key->choices == NULL;
    fa_result result = cleared ? FA_OK : fa_config_value_parse(key, value, &number, &why);
    if (cleared && key->minimum > 0)
        result = fa_fail(&why, FA_INVALID, "must be set");
    if (result == FA_OK)
        result = check_own(key, value, number, &why);
    if (result != FA_OK)
        return fa_fail(error, result, "%s: %s: %s", where, key->name, why.text);
    if (store(config, key, value, where, number) != FA_OK)
        return fa_fail(error, FA_NO_MEMORY, "%s: %s: out of memory", where, key->name);
    return FA_OK;
}

fa_result fa_config_set(fa_config *config, const char *name, const char *value, const char *where, fa_error *error)
{
    if (strlen(value) > MAX_VALUE)
        return fa_fail(error, FA_INVALID, "%s: %.100s: longer than %d bytes", where, name, MAX_VALUE);
    if (fa_named_group_of(name) != NULL)
        return fa_named_settings_set(&config->named, name, value, where, error);
    const fa_config_key *key = find_key(name);
    if (key != NULL)
        return set_declared(config, key, value, where, error);
    const char *nearest = fa_config_nearest(name);
    if (nearest != NULL)
        return fa_fail(error, FA_INVALID, "%s: unknown key \"%.60s\"; did you mean \"%s\"?", where, name, nearest);
    return fa_fail(error, FA_INVALID, "%s: unknown key \"%.60s\"; docs/configuration.md lists the known ones", where,
                   name);
}

fa_config *fa_config_new(fa_scope *scope)
{
    const fa_config_key *keys = fa_config_keys();
    fa_config *config = fa_scope_allocate(scope, sizeof(*config) + key_count() * sizeof(setting));
    if (config == NULL)
        return NULL;
    config->scope = scope;
    fa_named_settings_init(&config->named, scope);
    for (const fa_config_key *key = keys; key->name != NULL; ++key) {
        double number = 0;
        if (key->fallback != NULL && fa_config_value_parse(key, key->fallback, &number, NULL) != FA_OK)
            abort(); /* the declaration contradicts itself */
        if (store(config, key, key->fallback, "default", number) != FA_OK)
            return NULL;
    }
    return config;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------------------- */

static const setting *get(const fa_config *config, const char *name)
{
    const fa_config_key *key = find_key(name);
    if (key == NULL)
        abort(); /* undeclared: the caller is wrong, not the configuration */
    return &config->settings[key - fa_config_keys()];
}

static const setting *get_typed(const fa_config *config, const char *name, fa_config_type type)
{
    const setting *it = get(config, name);
    if (fa_config_keys()[it - config->settings].type != type)
        abort();
    return it;
}

const char *fa_config_text(const fa_config *config, const char *name)
{
    return get_typed(config, name, FA_CONFIG_TEXT)->text;
}

double fa_config_number(const fa_config *config, const char *name)
{
    return get_typed(config, name, FA_CONFIG_NUMBER)->number;
}

bool fa_config_flag(const fa_config *config, const char *name)
{
    return get_typed(config, name, FA_CONFIG_FLAG)->number != 0;
}

uint64_t fa_config_size(const fa_config *config, const char *name)
{
    return (uint64_t)get_typed(config, name, FA_CONFIG_SIZE)->number;
}

uint64_t fa_config_duration(const fa_config *config, const char *name)
{
    return (uint64_t)get_typed(config, name, FA_CONFIG_DURATION)->number;
}

size_t fa_config_list(const fa_config *config, const char *name, const char *const **items)
{
    const setting *it = get_typed(config, name, FA_CONFIG_LIST);
    *items = it->items;
    return it->item_count;
}

const char *fa_config_written(const fa_config *config, const char *name, const char **where)
{
    const setting *it = get(config, name);
    if (where != NULL)
        *where = it->where;
    return it->text;
}

/* A name that is longer than any can be is cut, and found nowhere. */
static const char *owner_text(char text[FA_NAMED_OWNER_SIZE + 1], const char *group, const char *name)
{
    snprintf(text, FA_NAMED_OWNER_SIZE + 1, "%s.%s", group, name);
    return text;
}

const char *fa_config_named(const fa_config *config, const char *group, const char *name, const char *key,
                            const char **where)
{
    char owner[FA_NAMED_OWNER_SIZE + 1];
    return fa_named_settings_find(&config->named, owner_text(owner, group, name), key, where);
}

const char *fa_config_named_key(const fa_config *config, const char *group, const char *name, size_t index,
                                const char **where)
{
    char owner[FA_NAMED_OWNER_SIZE + 1];
    return fa_named_settings_key(&config->named, owner_text(owner, group, name), index, where);
}

const char *fa_config_named_name(const fa_config *config, const char *group, size_t index)
{
    return fa_named_settings_name(&config->named, group, index);
}

const char *fa_config_plugin(const fa_config *config, const char *plugin, const char *key, const char **where)
{
    return fa_config_named(config, "plugins", plugin, key, where);
}

const char *fa_config_plugin_key(const fa_config *config, const char *plugin, size_t index, const char **where)
{
    return fa_config_named_key(config, "plugins", plugin, index, where);
}

const char *fa_config_plugin_name(const fa_config *config, size_t index)
{
    return fa_config_named_name(config, "plugins", index);
}

fa_scope *fa_config_scope(const fa_config *config)
{
    return config->scope;
}
