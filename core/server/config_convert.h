/* Lua values of a configuration file as the text that fa_config_set takes. Thread: that of the Lua state. */
#ifndef FA_SERVER_CONFIG_CONVERT_H
#define FA_SERVER_CONFIG_CONVERT_H

#include <lua.h>

#include "server/config.h"

enum { FA_CONFIG_GIVEN_SIZE = 48 };

/* The value at the absolute `index` as a text for a key of that type; false when its type does not fit or it is too
 * long. */
bool fa_config_copy_value(lua_State *L, int index, fa_config_type type, char *out, size_t size);

/* The same for a key whose type is not known yet: texts, numbers, flags, lists of texts. */
bool fa_config_copy_any(lua_State *L, int index, char *out, size_t size);

/* What a key of that type needs, for messages: "true or false". */
const char *fa_config_wanted(fa_config_type type);

/* What was given instead: "the number 8", "a table". */
const char *fa_config_given(lua_State *L, int index, char out[FA_CONFIG_GIVEN_SIZE]);

#endif
