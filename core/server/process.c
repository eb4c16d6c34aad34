#include "server/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads a small file of /proc without stdio, which would take a buffer. */
static size_t read_proc(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

/* The second number of statm, in pages. */
size_t fa_process_resident(void)
{
    char text[128];
    read_proc("/proc/self/statm", text, sizeof(text));
    const char *second = strchr(text, ' ');
    return second != NULL ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

size_t fa_process_open_files(void)
{
    size_t count = count_entries("/proc/self/fd");
    return count > 0 ? count - 1 : 0; /* the one we looked with */
}

size_t fa_process_threads(void)
{
    return count_entries("/proc/self/task");
}

void fa_process_make_room(size_t descriptors)
{
    struct rlimit open_files;
    if (getrlimit(RLIMIT_NOFILE, &open_files) != 0)
        return;
    size_t most = open_files.rlim_cur < INT_MAX ? (size_t)open_files.rlim_cur : INT_MAX;
    size_t room = descriptors < most ? descriptors : most;
    int any = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int last = any >= 0 && room > 0 ? fcntl(any, F_DUPFD_CLOEXEC, (int)(room - 1)) : -1;
    if (last >= 0)
        close(last);
    if (any >= 0)
        close(any);
}
