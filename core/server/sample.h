/* Copies of the samples that come along (lua/fitnessally), for `fitnessally new` and `fitnessally plugin new`. */
#ifndef FA_SERVER_SAMPLE_H
#define FA_SERVER_SAMPLE_H

#include <stddef.h>

typedef struct fa_sample_file {
    const char *from; /* below lua/fitnessally */
    const char *to;   /* below the new folder */
} fa_sample_file;

/* Copies the files into the folder, which is made when it is not there, with `word` replaced by `by` in their lines, and prints their names. When one of them is there
 * already nothing is written. An exit status; what is wrong has been said. */
int fa_sample_copy(const char *folder, const fa_sample_file *files, size_t count, const char *word, const char *by);

#endif
