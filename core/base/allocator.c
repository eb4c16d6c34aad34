#include "base/allocator.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>

typedef int (*mallctl_function)(const char *name, void *old, size_t *old_length, void *new, size_t new_length);
typedef int (*mi_version_function)(void);
typedef void (*mi_process_info_function)(size_t *elapsed, size_t *user, size_t *system, size_t *rss, size_t *peak_rss,
                                         size_t *commit, size_t *peak_commit, size_t *faults);

/* ISO C has no way from an object pointer to a function; POSIX has this one. */
#define FIND(function, name) (*(void **)&(function) = dlsym(RTLD_DEFAULT, name)) /* NULL when it is not there */

static size_t jemalloc_figure(mallctl_function mallctl, const char *name)
{
    size_t value = 0, length = sizeof(value);
    return mallctl(name, &value, &length, NULL, 0) == 0 ? value : 0;
}

static void read_jemalloc(mallctl_function mallctl, fa_allocator_figures *figures)
{
    uint64_t epoch = 1; /* any value: its figures are those of the last time that somebody wrote one */
    mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    size_t resident = jemalloc_figure(mallctl, "stats.resident");
    figures->in_use = jemalloc_figure(mallctl, "stats.allocated");
    figures->overhead = jemalloc_figure(mallctl, "stats.metadata");
    const size_t known = figures->in_use + figures->overhead;
    figures->cached = resident > known ? resident - known : 0; /* what it has retained without pages costs nothing */
}

static void read_mimalloc(mi_process_info_function process_info, fa_allocator_figures *figures)
{
    size_t commit = 0;
    process_info(NULL, NULL, NULL, NULL, NULL, &commit, NULL, NULL);
    figures->in_use = commit;
}

static void read_glibc(fa_allocator_figures *figures)
{
    struct mallinfo2 heap = mallinfo2();
    figures->in_use = heap.uordblks + heap.hblkhd;
    figures->cached = heap.fordblks;
}

const char *fa_allocator_name(char name[FA_ALLOCATOR_NAME_SIZE])
{
    mallctl_function mallctl;
    mi_version_function mi_version;
    const char *version = NULL;
    size_t length = sizeof(version);
    if (FIND(mallctl, "mallctl") != NULL && mallctl("version", &version, &length, NULL, 0) == 0) {
        int digits = 0; /* "5.3.0-0-g54eaed1d8b…" */
        while (version[digits] != '\0' && version[digits] != '-')
            digits++;
        snprintf(name, FA_ALLOCATOR_NAME_SIZE, "jemalloc %.*s", digits, version);
    } else if (FIND(mi_version, "mi_version") != NULL) {
        const int number = mi_version(); /* 209: 2.0.9 */
        snprintf(name, FA_ALLOCATOR_NAME_SIZE, "mimalloc %d.%d.%d", number / 100, number / 10 % 10, number % 10);
    } else {
        snprintf(name, FA_ALLOCATOR_NAME_SIZE, "glibc %s", gnu_get_libc_version());
    }
    return name;
}

void fa_allocator_read(fa_allocator_figures *figures)
{
    mallctl_function mallctl;
    mi_process_info_function process_info;
    *figures = (fa_allocator_figures){0};
    if (FIND(mallctl, "mallctl") != NULL)
        read_jemalloc(mallctl, figures);
    else if (FIND(process_info, "mi_process_info") != NULL)
        read_mimalloc(process_info, figures);
    else
        read_glibc(figures);
}
