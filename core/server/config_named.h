/* Keys of things that have a name of their own: plugins.NAME.KEY, tls.NAME.KEY. They are kept as text: whoever owns the group declares
 * its keys and reads them later (a plugin by its manifest). Thread: as for the configuration that holds it. */
#ifndef FA_SERVER_CONFIG_NAMED_H
#define FA_SERVER_CONFIG_NAMED_H

#include "memory/scope.h"

/* NAME and KEY have at most so many bytes; a whole "GROUP.NAME.KEY" fits FA_NAMED_SETTING_SIZE, a "GROUP.NAME" FA_NAMED_OWNER_SIZE. */
enum {
    FA_NAMED_GROUP_MAX = 16,
    FA_NAMED_NAME_MAX = 64,
    FA_NAMED_OWNER_SIZE = FA_NAMED_GROUP_MAX + 1 + FA_NAMED_NAME_MAX + 1,
    FA_NAMED_SETTING_SIZE = FA_NAMED_OWNER_SIZE + 1 + FA_NAMED_NAME_MAX
};

typedef struct fa_named_settings {
    fa_scope *scope;
    fa_list list; /* in the order of writing */
    size_t count;
} fa_named_settings;

/* The groups that there are; the last is NULL. */
extern const char *const fa_named_groups[];

/* The group that "GROUP.NAME.KEY" (or GROUP itself) belongs to, or NULL. */
const char *fa_named_group_of(const char *name);

void fa_named_settings_init(fa_named_settings *settings, fa_scope *scope);

/* name: "GROUP.NAME.KEY" of a group that there is. FA_INVALID when it is not, FA_FULL, FA_NO_MEMORY. */
fa_result fa_named_settings_set(fa_named_settings *settings, const char *name, const char *value, const char *where,
                                fa_error *error);

/* owner: "GROUP.NAME". As fa_config_named, fa_config_named_key and fa_config_named_name. */
const char *fa_named_settings_find(const fa_named_settings *settings, const char *owner, const char *key,
                                   const char **where);
const char *fa_named_settings_key(const fa_named_settings *settings, const char *owner, size_t index,
                                  const char **where);
const char *fa_named_settings_name(const fa_named_settings *settings, const char *group, size_t index);

#endif
