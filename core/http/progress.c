/* How much of what we wrote the peer's kernel has acknowledged. A file of its own: <linux/tcp.h> has the counter and
 * cannot be included beside <netinet/tcp.h>, which h2o's headers may bring. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

uint64_t fa_http_bytes_acked(int fd);

uint64_t fa_http_bytes_acked(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    memset(&info, 0, sizeof(info)); /* an older kernel fills in less */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}
