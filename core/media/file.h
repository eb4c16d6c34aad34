/* Files as the media floor sees them: found below a root, known by an identity, read while they stay the same.
 *
 * Every function here makes system calls that may block. Thread: the pool's, never a loop.
 */
#ifndef FA_MEDIA_FILE_H
#define FA_MEDIA_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fitnessally/result.h"

/* Which bytes a file holds, as far as the file system tells. */
typedef struct fa_file_id {
    dev_t device;
    ino_t inode;
    uint64_t size;
    int64_t seconds; /* of the last modification */
    uint32_t nanoseconds;
} fa_file_id;

bool fa_file_same(const fa_file_id *a, const fa_file_id *b);

/* Opens the regular file `path` below the folder `root` for reading. Symbolic links are followed as long as the file
 * that they lead to lies below the real root. On FA_OK the caller owns *fd. FA_NOT_FOUND when there is no such file, or
 * none that may be read; FA_IO when it cannot be said now (no descriptors left, a failing disk). */
fa_result fa_file_open(const char *root, const char *path, int *fd, fa_file_id *id);

/* Reads exactly `length` bytes at `offset`. FA_CONFLICT when there are fewer or when the file is not, after reading,
 * the one that `id` tells of; FA_IO. */
fa_result fa_file_read(int fd, const fa_file_id *id, uint64_t offset, void *to, size_t length);

#endif
