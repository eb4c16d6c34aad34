#include "upstream/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fa_network network;

/* "what" is for readers of this table. */
typedef struct forbidden {
    const char *network, *what;
} forbidden;

/* RFC 6890 and what the registries have gained since. */
static const forbidden table[] = {
    {"0.0.0.0/8", "this host"},
    {"10.0.0.0/8", "private"},
    {"100.64.0.0/10", "carrier-grade NAT"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local, and the metadata service of clouds"},
    {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "protocol assignments"},
    {"192.0.2.0/24", "documentation"},
    {"192.31.196.0/24", "AS112"},
    {"192.52.193.0/24", "AMT"},
    {"192.88.99.0/24", "6to4 relays"},
    {"192.168.0.0/16", "private"},
    {"192.175.48.0/24", "AS112"},
    {"198.18.0.0/15", "benchmarks"},
    {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved, broadcast"},
};

/* IPv6 is allowed only where the public internet is: 2000::/3, less these. */
static const forbidden table6[] = {
    {"2001::/23", "protocol assignments, Teredo among them"},
    {"2001:db8::/32", "documentation"},
    {"2002::/16", "6to4"},
    {"3fff::/20", "documentation"},
};

static bool within(const uint8_t *address, const network *net)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(address, net->bytes, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

static bool read_network(const char *text, size_t length, network *net)
{
    char copy[64], *slash, *end;
    struct in_addr v4;
    if (length == 0 || length >= sizeof(copy))
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)length, text);
    if ((slash = strchr(copy, '/')) != NULL)
        *slash = '\0';
    bool is_v4 = inet_pton(AF_INET, copy, &v4) == 1;
    if (!is_v4 && inet_pton(AF_INET6, copy, net->bytes) != 1)
        return false;
    unsigned long most = is_v4 ? 32 : 128, bits = slash != NULL ? strtoul(slash + 1, &end, 10) : most;
    if (slash != NULL && (slash[1] < '0' || slash[1] > '9' || *end != '\0'))
        return false;
    if (is_v4) {
        memset(net->bytes, 0, 10);
        memset(net->bytes + 10, 0xff, 2);
        memcpy(net->bytes + 12, &v4, 4);
    }
    net->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return bits <= most;
}

static bool in_table(const uint8_t *address, const forbidden *entries, size_t count)
{
    network net;
    for (size_t i = 0; i < count; ++i) {
        if (read_network(entries[i].network, strlen(entries[i].network), &net) && within(address, &net))
            return true;
    }
    return false;
}

static bool is_public4(const uint8_t mapped[16])
{
    return !in_table(mapped, table, sizeof(table) / sizeof(table[0]));
}

/* The IPv4 address that an IPv6 one stands for, if it does: what a gateway on the way would make of it. */
static bool embedded4(const uint8_t *address, uint8_t mapped[16])
{
    static const uint8_t nothing[12], nat64[12] = {0, 0x64, 0xff, 0x9b};
    bool is_mapped = memcmp(address, nothing, 10) == 0 && address[10] == 0xff && address[11] == 0xff;
    bool is_nat64 = memcmp(address, nat64, 12) == 0;
    if (!is_mapped && !is_nat64)
        return false;
    memset(mapped, 0, 10);
    memset(mapped + 10, 0xff, 2);
    memcpy(mapped + 12, address + 12, 4);
    return true;
}

static bool is_public6(const uint8_t *address)
{
    uint8_t mapped[16];
    if (embedded4(address, mapped))
        return is_public4(mapped);
    return (address[0] & 0xe0) == 0x20 && !in_table(address, table6, sizeof(table6) / sizeof(table6[0]));
}

static bool is_allowed(const fa_guard *guard, const uint8_t *address)
{
    for (size_t i = 0; i < guard->allowed_count; ++i) {
        if (within(address, &guard->allowed[i]))
            return true;
    }
    return false;
}

bool fa_guard_allows(const fa_guard *guard, const struct sockaddr *address)
{
    uint8_t bytes[16] = {0}, mapped[16];
    if (address->sa_family == AF_INET) {
        memset(bytes + 10, 0xff, 2);
        memcpy(bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else {
        return false;
    }
    if (is_allowed(guard, bytes) || (embedded4(bytes, mapped) && is_allowed(guard, mapped)))
        return true;
    return is_public6(bytes); /* an IPv4 address is in its IPv6 form here */
}

bool fa_guard_allows_port(const fa_guard *guard, unsigned port)
{
    for (size_t i = 0; i < guard->port_count; ++i) {
        if (guard->ports[i] == port)
            return true;
    }
    return guard->port_count == 0;
}

/* ---- reading ---- */

static fa_result read_port(fa_guard *guard, const char *item, size_t length, fa_error *error)
{
    unsigned long port = 0;
    for (size_t i = 0; i < length && port < 65536; ++i)
        port = item[i] >= '0' && item[i] <= '9' ? port * 10 + (unsigned long)(item[i] - '0') : 65536;
    if (port == 0 || port > 65535)
        return fa_fail(error, FA_INVALID, "guard_ports: \"%.*s\" is no port", (int)(length < 40 ? length : 40), item);
    if (guard->port_count == FA_GUARD_MOST)
        return fa_fail(error, FA_FULL, "guard_ports: more than %d", FA_GUARD_MOST);
    guard->ports[guard->port_count++] = (uint16_t)port;
    return FA_OK;
}

static fa_result read_allowed(fa_guard *guard, const char *item, size_t length, fa_error *error)
{
    if (guard->allowed_count == FA_GUARD_MOST)
        return fa_fail(error, FA_FULL, "guard_allow: more than %d networks", FA_GUARD_MOST);
    if (!read_network(item, length, &guard->allowed[guard->allowed_count]))
        return fa_fail(error, FA_INVALID, "guard_allow: \"%.*s\" is no network, as 10.1.0.0/16",
                       (int)(length < 60 ? length : 60), item);
    guard->allowed_count++;
    return FA_OK;
}

static fa_result each_item(fa_guard *guard, const char *list,
                           fa_result (*take)(fa_guard *guard, const char *item, size_t length, fa_error *error),
                           fa_error *error)
{
    fa_result result = FA_OK;
    while (list != NULL && *list != '\0' && result == FA_OK) {
        size_t skip = strspn(list, ", "), length = strcspn(list + skip, ", ");
        if (length > 0)
            result = take(guard, list + skip, length, error);
        list += skip + length;
    }
    return result;
}

fa_result fa_guard_read(fa_guard *guard, const char *networks, const char *ports, fa_error *error)
{
    memset(guard, 0, sizeof(*guard));
    fa_result result = each_item(guard, networks, read_allowed, error);
    if (result == FA_OK && ports != NULL && strcmp(ports, "any") != 0)
        result = each_item(guard, ports, read_port, error);
    return result;
}
