/* Finding and reading files.
 *
 * Where there is no link in the path, the kernel opens it in one go and sees to that (openat2). Else, and where it cannot, a path is
 * resolved to its real one, which must lie below the real root; then the real one is opened folder by folder, no link allowed any
 * more. So what is opened is what was checked, even when somebody exchanges a folder for a link in between. */
#include "media/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool fa_file_same(const fa_file_id *a, const fa_file_id *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds;
}

static fa_result from_errno(void)
{
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
    case EINTR:
    case EAGAIN:
    case ESTALE:
        return FA_IO;
    default:
        return FA_NOT_FOUND;
    }
}

static void identify(const struct stat *status, fa_file_id *id)
{
    *id = (fa_file_id){.device = status->st_dev,
                       .inode = status->st_ino,
                       .size = (uint64_t)status->st_size,
                       .seconds = status->st_mtim.tv_sec,
                       .nanoseconds = (uint32_t)status->st_mtim.tv_nsec};
}

/* Where the real path of root/path goes on behind the real root, which is left in `base`; NULL when it does not. */
static const char *resolve(const char *root, const char *path, char base[PATH_MAX], char real[PATH_MAX],
                           fa_result *result)
{
    char joined[PATH_MAX];
    *result = FA_NOT_FOUND;
    if (snprintf(joined, sizeof(joined), "%s/%s", root, path) >= (int)sizeof(joined))
        return NULL;
    if (realpath(root, base) == NULL || realpath(joined, real) == NULL) {
        *result = from_errno();
        return NULL;
    }
    size_t length = strlen(base);
    if (length == 1) /* the root is "/" itself */
        length = 0;
    return strncmp(real, base, length) == 0 && real[length] == '/' && real[length + 1] != '\0' ? real + length + 1
                                                                                               : NULL;
}

/* Opens base/rest where no part of rest may be a link. Returns -1 with errno. */
static int open_without_links(const char *base, char *rest)
{
    int folder = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (char *slash; folder >= 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        *slash = '\0';
        int next = openat(folder, rest, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        close(folder);
        folder = next;
        errno = error;
    }
    if (folder < 0)
        return -1;
    /* Opening a device may do something: it is not even tried. Should one appear in between, we do not wait for it. */
    struct stat status;
    int fd = -1;
    errno = ENOENT;
    if (fstatat(folder, rest, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
        fd = openat(folder, rest, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int error = errno;
    close(folder);
    errno = error;
    return fd;
}

/* A few calls of the kernel, not some for each folder. FA_UNSUPPORTED: it is not that simple, or this kernel (or what stands before it) does not
 * know the call. A device is not opened, as above. */
static fa_result open_directly(const char *root, const char *path, int *fd)
{
    struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    struct stat status;
    fa_result result = FA_UNSUPPORTED;
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return FA_UNSUPPORTED;
    if (fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) != 0)
        result = errno == ENOENT ? FA_NOT_FOUND : FA_UNSUPPORTED;
    else if (S_ISREG(status.st_mode) && (*fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how))) >= 0)
        result = FA_OK;
    close(folder);
    return result;
}

static fa_result open_slowly(const char *root, const char *path, int *fd)
{
    char base[PATH_MAX], real[PATH_MAX];
    fa_result result;
    const char *rest = resolve(root, path, base, real, &result);
    if (rest == NULL)
        return result;
    *fd = open_without_links(base, real + (rest - real));
    return *fd >= 0 ? FA_OK : from_errno();
}

fa_result fa_file_open(const char *root, const char *path, int *fd, fa_file_id *id)
{
    struct stat status;
    int opened;
    fa_result result = path[0] != '/' ? open_directly(root, path, &opened) : FA_UNSUPPORTED;
    if (result == FA_UNSUPPORTED)
        result = open_slowly(root, path, &opened);
    if (result != FA_OK)
        return result;
    if (fstat(opened, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(opened);
        return FA_NOT_FOUND;
    }
    identify(&status, id);
    *fd = opened;
    return FA_OK;
}

fa_result fa_file_read(int fd, const fa_file_id *id, uint64_t offset, void *to, size_t length)
{
    struct stat status;
    fa_file_id now;
    for (size_t got = 0; got < length;) {
        ssize_t count = pread(fd, (char *)to + got, length - got, (off_t)(offset + got));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0 ? FA_CONFLICT : FA_IO;
        got += (size_t)count;
    }
    /* Size and time also tell of growth, and of a change in the middle while we read. */
    if (fstat(fd, &status) != 0)
        return FA_IO;
    identify(&status, &now);
    return fa_file_same(&now, id) ? FA_OK : FA_CONFLICT;
}
