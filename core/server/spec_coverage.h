/* Which lines of applications have run, and how often. In memory of malloc: it belongs to a run of specs, and no server. Thread: one. */
#ifndef FA_SERVER_SPEC_COVERAGE_H
#define FA_SERVER_SPEC_COVERAGE_H

#include <stdint.h>

#include "script/script.h"

typedef struct fa_spec_coverage fa_spec_coverage;

enum { FA_COVERED_FILES = 512, FA_COVERED_LINES = 65536 }; /* what is beyond is not counted */

typedef struct fa_covered_file {
    char *path;
    uint32_t *hits; /* by line, from 1 */
    int lines;      /* the last one that was hit */
    int room;
} fa_covered_file;

fa_spec_coverage *fa_spec_coverage_new(void); /* NULL: no memory */
void fa_spec_coverage_free(fa_spec_coverage *coverage);

/* One application, whose sources lie in a folder. It counts until the coverage is freed. */
typedef struct fa_covered_app {
    fa_line_listener listener;
    fa_spec_coverage *coverage;
    char folder[4096];
    const char *source; /* the one that was told of last */
    fa_covered_file *file;
} fa_covered_app;
void fa_covered_app_init(fa_covered_app *app, fa_spec_coverage *coverage, const char *folder);

/* Those that ran. */
size_t fa_spec_coverage_files(const fa_spec_coverage *coverage, const fa_covered_file **files);

#endif
