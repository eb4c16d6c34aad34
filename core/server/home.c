#include "server/home.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An installed program must not read a source tree that happens to be there. */
static bool runs_from_source(void)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    size_t prefix = strlen(FA_SOURCE_HOME);
    return length > (ssize_t)prefix && memcmp(self, FA_SOURCE_HOME, prefix) == 0 && self[prefix] == '/';
}

const char *fa_home(void)
{
    const char *named = getenv("FITNESSALLY_HOME");
    if (named != NULL && *named != '\0')
        return named;
    return runs_from_source() || access(FA_INSTALL_HOME "/lua", R_OK) != 0 ? FA_SOURCE_HOME : FA_INSTALL_HOME;
}

const char *fa_home_plugins(void)
{
    return runs_from_source() || access(FA_INSTALL_PLUGIN_DIR, R_OK) != 0 ? FA_BUILD_PLUGIN_DIR : FA_INSTALL_PLUGIN_DIR;
}

const char *fa_home_resolve(const char *path, char *out, size_t size)
{
    bool as_it_is = path[0] == '/' || access(path, F_OK) == 0;
    if (!as_it_is) {
        snprintf(out, size, "%s/%s", fa_home(), path);
        as_it_is = access(out, F_OK) != 0;
    }
    if (as_it_is)
        snprintf(out, size, "%s", path);
    return out;
}
