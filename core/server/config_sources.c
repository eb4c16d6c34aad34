/* The sources beside the file: environment and command line. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "server/config.h"
#include "server/config_named.h"

#define VARIABLE_PREFIX "FITNESSALLY_"

fa_result fa_config_override(fa_config *config, const char *assignment, fa_error *error)
{
    char name[FA_NAMED_SETTING_SIZE + 1]; /* a longer one is cut, and wrong all the same */
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment)
        return fa_fail(error, FA_INVALID, "--set: \"%.60s\" is not key=value", assignment);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - assignment), assignment);
    return fa_config_set(config, name, equals + 1, "--set", error);
}

static bool is_declared(const char *name)
{
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key) {
        if (strcmp(key->name, name) == 0)
            return true;
    }
    return false;
}

/* The key that a variable's name (without the prefix) stands for: lower case, and for GROUP_NAME_KEY two dots. False when it is none of
 * ours. */
static bool key_of_variable(const char *variable, size_t length, char *name, size_t size)
{
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i < length; ++i)
        name[i] = (char)tolower((unsigned char)variable[i]);
    name[length] = '\0';
    char *first = strchr(name, '_'), *second = first != NULL ? strchr(first + 1, '_') : NULL;
    if (is_declared(name))
        return true;
    if (second == NULL || second == first + 1 || second[1] == '\0')
        return false;
    *first = *second = '.';
    return fa_named_group_of(name) != NULL;
}

fa_result fa_config_environment(fa_config *config, char *const *environment, fa_error *error)
{
    char name[FA_NAMED_SETTING_SIZE], where[sizeof(VARIABLE_PREFIX) + sizeof(name)];
    for (; *environment != NULL; ++environment) {
        const char *variable = *environment, *equals = strchr(variable, '=');
        if (equals == NULL || strncmp(variable, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
            continue;
        const char *rest = variable + strlen(VARIABLE_PREFIX);
        if (!key_of_variable(rest, (size_t)(equals - rest), name, sizeof(name)))
            continue;
        snprintf(where, sizeof(where), "%.*s", (int)(equals - variable), variable);
        fa_result result = fa_config_set(config, name, equals + 1, where, error);
        if (result != FA_OK)
            return result;
    }
    return FA_OK;
}
