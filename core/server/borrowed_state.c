#include "server/borrowed_state.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* It is not there, and whoever starts a server here could make it. */
static bool could_be_made(const char *folder)
{
    if (mkdir(folder, 0700) != 0)
        return false;
    rmdir(folder);
    return true;
}

void fa_borrowed_state_begin(fa_borrowed_state *state, fa_config *config)
{
    const char *where = NULL, *written = fa_config_written(config, "state_dir", &where);
    state->folder[0] = '\0';
    if (written == NULL || strlen(written) >= sizeof(state->written) || !could_be_made(written))
        return;
    snprintf(state->written, sizeof(state->written), "%s", written);
    snprintf(state->where, sizeof(state->where), "%s", where != NULL ? where : "default");
    snprintf(state->folder, sizeof(state->folder), "/tmp/fitnessally-XXXXXX");
    if (mkdtemp(state->folder) == NULL || fa_config_set(config, "state_dir", state->folder, "check", NULL) != FA_OK)
        state->folder[0] = '\0';
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    return remove(path);
}

void fa_borrowed_state_end(fa_borrowed_state *state, fa_config *config)
{
    if (state->folder[0] == '\0')
        return;
    nftw(state->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    fa_config_set(config, "state_dir", state->written, state->where, NULL);
    state->folder[0] = '\0';
}
