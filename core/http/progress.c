/* What the kernel knows and does of our writes: how much the peer has acknowledged, and how much it takes before it may be
 * sent. A file of its own: <linux/tcp.h> has the counter and
 * cannot be included beside <netinet/tcp.h>, which h2o's headers may bring. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

uint64_t fa_http_bytes_acked(int fd);
void fa_http_bound_unsent(int fd, bool bound);

uint64_t fa_http_bytes_acked(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    memset(&info, 0, sizeof(info)); /* an older kernel fills in less */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}

/* The kernel's buffer grows to megabytes for a client that reads slowly, which nobody accounts for, and the writer is told
 * that all is well. With this it takes only so much more than it may send now. */
void fa_http_bound_unsent(int fd, bool bound)
{
    const int bytes = bound ? 128 * 1024 : 0;                              /* 0: as the system has it */
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes)); /* refused: as it was without */
}
