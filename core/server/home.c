#include "server/home.h"

#include <pthread.h>
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

/* `cmake --install --prefix` puts an installation elsewhere than it was configured for, and it may be moved: what lies beside the
 * command is what belongs to it. Empty: nothing does. */
enum { LONGEST = 4200 };
static char beside_home[LONGEST], beside_plugins[LONGEST], named_plugins[LONGEST];

/* What lies `below` a folder, as a real path; empty when nothing does. */
static void keep(char out[LONGEST], const char *folder, const char *below)
{
    char path[LONGEST + 200], *real;
    snprintf(path, sizeof(path), "%s%s", folder, below);
    real = realpath(path, NULL);
    snprintf(out, LONGEST, "%s", real != NULL ? real : "");
    free(real);
}

static void look_around(void)
{
    char self[4096], *slash = NULL;
    const char *named = getenv("FITNESSALLY_HOME");
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = '\0';
    if (length > 0 && !runs_from_source() && (slash = strrchr(self, '/')) != NULL) {
        *slash = '\0';
        keep(beside_home, self, "/../share/fitnessally/lua");
        if ((slash = strrchr(beside_home, '/')) != NULL)
            *slash = '\0';
        keep(beside_plugins, self, "/../lib/fitnessally/plugins");
    }
    if (named != NULL && *named != '\0')
        keep(named_plugins, named, "/../../lib/fitnessally/plugins");
}

static pthread_once_t looked = PTHREAD_ONCE_INIT;

const char *fa_home(void)
{
    const char *named = getenv("FITNESSALLY_HOME");
    if (named != NULL && *named != '\0')
        return named;
    pthread_once(&looked, look_around);
    if (beside_home[0] != '\0')
        return beside_home;
    return runs_from_source() || access(FA_INSTALL_HOME "/lua", R_OK) != 0 ? FA_SOURCE_HOME : FA_INSTALL_HOME;
}

const char *fa_home_plugins(void)
{
    pthread_once(&looked, look_around);
    if (named_plugins[0] != '\0')
        return named_plugins;
    if (beside_plugins[0] != '\0')
        return beside_plugins;
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
