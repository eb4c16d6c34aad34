#include "server/sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include "http/http.h"

bool fa_sockets_add(fa_sockets *sockets, int fd)
{
    if (sockets->count == FA_MOST_SOCKETS) {
        close(fd);
        return false;
    }
    sockets->fds[sockets->count++] = fd;
    return true;
}

void fa_sockets_keep(fa_sockets *sockets, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0)
        fa_sockets_add(sockets, copy);
}

size_t fa_sockets_take(fa_sockets *sockets, const char *address, int *fds)
{
    char name[80];
    size_t taken = 0;
    for (size_t i = 0; i < sockets->count; ++i) {
        int fd = sockets->fds[i];
        if (fd < 0 || !fa_http_is_bound_to(fd, taken == 0 ? address : name))
            continue;
        if (taken == 0)
            fa_http_socket_name(fd, address, name, sizeof(name)); /* from here on with its port */
        fds[taken++] = fd;
        sockets->fds[i] = -1;
    }
    return taken;
}

bool fa_sockets_next(const fa_sockets *sockets, char *address, size_t size)
{
    for (size_t i = 0; i < sockets->count; ++i) {
        if (sockets->fds[i] >= 0) {
            fa_http_socket_name(sockets->fds[i], "", address, size);
            return true;
        }
    }
    return false;
}

void fa_sockets_close(fa_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; ++i) {
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
    }
    sockets->count = 0;
}
