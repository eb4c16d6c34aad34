#include "server/spec_coverage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fa_spec_coverage {
    fa_covered_file files[FA_COVERED_FILES];
    size_t count;
};

fa_spec_coverage *fa_spec_coverage_new(void)
{
    return calloc(1, sizeof(fa_spec_coverage));
}

void fa_spec_coverage_free(fa_spec_coverage *coverage)
{
    if (coverage == NULL)
        return;
    for (size_t i = 0; i < coverage->count; ++i) {
        free(coverage->files[i].path);
        free(coverage->files[i].hits);
    }
    free(coverage);
}

/* NULL: it is no file of the application, or there are too many. */
static fa_covered_file *find(fa_spec_coverage *coverage, const char *path)
{
    for (size_t i = 0; i < coverage->count; ++i) {
        if (strcmp(coverage->files[i].path, path) == 0)
            return &coverage->files[i];
    }
    if (coverage->count == FA_COVERED_FILES || access(path, R_OK) != 0)
        return NULL;
    char *copy = strdup(path);
    if (copy == NULL)
        return NULL;
    fa_covered_file *file = &coverage->files[coverage->count++];
    file->path = copy;
    return file;
}

static bool make_room(fa_covered_file *file, int line)
{
    if (line < file->room)
        return true;
    int room = file->room > 0 ? file->room : 256;
    while (room <= line)
        room *= 2;
    uint32_t *hits = line < FA_COVERED_LINES ? realloc(file->hits, (size_t)room * sizeof(*hits)) : NULL;
    if (hits == NULL)
        return false;
    memset(hits + file->room, 0, (size_t)(room - file->room) * sizeof(*hits));
    file->hits = hits;
    file->room = room;
    return true;
}

static void on_line(void *context, const char *source, int line)
{
    char path[4400];
    fa_covered_app *app = context;
    if (source != app->source) { /* names of chunks stay where they are while a state lives */
        app->source = source;
        app->file = NULL;
        if (source[0] == '@' && snprintf(path, sizeof(path), "%s/%s", app->folder, source + 1) < (int)sizeof(path))
            app->file = find(app->coverage, path);
    }
    if (app->file == NULL || line < 1 || !make_room(app->file, line))
        return;
    app->file->hits[line]++;
    app->file->lines = line > app->file->lines ? line : app->file->lines;
}

void fa_covered_app_init(fa_covered_app *app, fa_spec_coverage *coverage, const char *folder)
{
    app->coverage = coverage;
    app->listener = (fa_line_listener){on_line, app};
    snprintf(app->folder, sizeof(app->folder), "%s", folder);
}

size_t fa_spec_coverage_files(const fa_spec_coverage *coverage, const fa_covered_file **files)
{
    *files = coverage->files;
    return coverage->count;
}
