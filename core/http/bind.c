/* Addresses: "HOST:PORT" to a bound socket and back to "http://HOST:PORT". */
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct place {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address;
    socklen_t size;
} place;

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    long number = strtol(text, &end, 10);
    *port = htons((uint16_t)number);
    return *end == '\0' && number <= 65535;
}

#define PLAIN_SCHEME  "http://"
#define SECURE_SCHEME "https://"

bool fa_http_is_secure(const char *address)
{
    return strncmp(address, SECURE_SCHEME, strlen(SECURE_SCHEME)) == 0;
}

static const char *behind_scheme(const char *address)
{
    if (fa_http_is_secure(address))
        return address + strlen(SECURE_SCHEME);
    return strncmp(address, PLAIN_SCHEME, strlen(PLAIN_SCHEME)) == 0 ? address + strlen(PLAIN_SCHEME) : address;
}

static bool parse_place(const char *text, place *where)
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in *four = &where->address.four;
    struct sockaddr_in6 *six = &where->address.six;
    const char *colon = strrchr(text, ':');
    memset(where, 0, sizeof(*where));
    if (colon == NULL)
        return false;
    bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size_t length = (size_t)((bracketed ? colon - 1 : colon) - start);
    if (length >= sizeof(host))
        return false;
    memcpy(host, start, length);
    host[length] = '\0';
    if (bracketed) {
        where->size = sizeof(*six);
        six->sin6_family = AF_INET6;
        return inet_pton(AF_INET6, host, &six->sin6_addr) == 1 && parse_port(colon + 1, &six->sin6_port);
    }
    where->size = sizeof(*four);
    four->sin_family = AF_INET;
    return inet_pton(AF_INET, host, &four->sin_addr) == 1 && parse_port(colon + 1, &four->sin_port);
}

static fa_result cannot_bind(const char *address, fa_error *error)
{
    fa_result result = errno == EADDRINUSE ? FA_CONFLICT : FA_IO;
    return fa_fail(error, result, "cannot listen on %s: %s", address, strerror(errno));
}

/* shared: others of this user may bind the same address, and the kernel spreads connections over all. */
static fa_result bind_socket(const char *address, bool shared, int *out, fa_error *error)
{
    place where;
    int one = 1;
    if (!parse_place(behind_scheme(address), &where))
        return fa_fail(error, FA_INVALID, "\"%.60s\" is no address to listen on: write 127.0.0.1:3005 or [::1]:3005",
                       address);
    int fd = socket(where.address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fa_fail(error, FA_IO, "cannot listen on %s: %s", address, strerror(errno));
    if (where.address.any.sa_family == AF_INET6) /* [::] must not take the IPv4 port from a second listener */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0) ||
        bind(fd, &where.address.any, where.size) != 0) {
        fa_result result = cannot_bind(address, error);
        close(fd);
        return result;
    }
    *out = fd;
    return FA_OK;
}

static void print_name(int fd, const char *scheme, char *name, size_t size)
{
    place where = {.size = sizeof(where.address)};
    char host[INET6_ADDRSTRLEN] = "";
    getsockname(fd, &where.address.any, &where.size);
    if (where.address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &where.address.six.sin6_addr, host, sizeof(host));
        snprintf(name, size, "%s[%s]:%u", scheme, host, (unsigned)ntohs(where.address.six.sin6_port));
    } else {
        inet_ntop(AF_INET, &where.address.four.sin_addr, host, sizeof(host));
        snprintf(name, size, "%s%s:%u", scheme, host, (unsigned)ntohs(where.address.four.sin_port));
    }
}

fa_result fa_http_bind(const char *address, int *out, char *name, size_t name_size, fa_error *error)
{
    fa_result result = bind_socket(address, true, out, error);
    if (result == FA_OK)
        print_name(*out, fa_http_is_secure(address) ? SECURE_SCHEME : PLAIN_SCHEME, name, name_size);
    return result;
}

/* IPv4 and IPv6 have the port at the same place. */
bool fa_http_is_bound_to(int fd, const char *address)
{
    place wanted, bound = {.size = sizeof(bound.address)};
    if (!parse_place(behind_scheme(address), &wanted) || getsockname(fd, &bound.address.any, &bound.size) != 0 ||
        bound.address.any.sa_family != wanted.address.any.sa_family ||
        (wanted.address.four.sin_port != 0 && wanted.address.four.sin_port != bound.address.four.sin_port))
        return false;
    if (bound.address.any.sa_family == AF_INET6)
        return memcmp(&bound.address.six.sin6_addr, &wanted.address.six.sin6_addr, sizeof(struct in6_addr)) == 0;
    return bound.address.four.sin_addr.s_addr == wanted.address.four.sin_addr.s_addr;
}

void fa_http_socket_name(int fd, const char *address, char *name, size_t name_size)
{
    print_name(fd, fa_http_is_secure(address) ? SECURE_SCHEME : PLAIN_SCHEME, name, name_size);
}

bool fa_http_is_shared(int fd)
{
    int shared = 0;
    socklen_t size = sizeof(shared);
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, &size) == 0 && shared != 0;
}

fa_result fa_http_probe(const char *address, fa_error *error)
{
    int fd = -1;
    fa_result result = bind_socket(address, false, &fd, error);
    if (result == FA_OK)
        close(fd);
    return result;
}
