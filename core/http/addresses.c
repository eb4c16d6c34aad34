/* Open addressing with linear probing; the key of the hash is random, or clients could choose addresses that collide. */
#include "http/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

typedef struct slot {
    fa_address address;
    uint32_t count; /* 0: free */
} slot;

struct fa_addresses {
    pthread_mutex_t lock; /* guards used and slots */
    fa_scope_hook at_end;
    uint64_t key[2];
    size_t mask, used, most_used;
    slot slots[];
};

/* ---- addresses ---- */

static fa_address four(const void *bytes)
{
    fa_address address = {{0}};
    memcpy(address.bytes + 4, bytes, 4);
    return address;
}

static fa_address six(const struct in6_addr *in)
{
    fa_address address;
    if (IN6_IS_ADDR_V4MAPPED(in))
        return four(in->s6_addr + 12);
    memcpy(address.bytes, in->s6_addr, sizeof(address.bytes));
    return address;
}

fa_address fa_address_of(const struct sockaddr_storage *socket_address)
{
    if (socket_address->ss_family == AF_INET6)
        return six(&((const struct sockaddr_in6 *)socket_address)->sin6_addr);
    return four(&((const struct sockaddr_in *)socket_address)->sin_addr);
}

fa_address fa_address_parse(const char *text)
{
    struct in6_addr in = {0};
    if (inet_pton(AF_INET6, text, &in) == 1)
        return six(&in);
    inet_pton(AF_INET, text, &in);
    return four(&in);
}

/* ---- the table ---- */

static size_t home_of(const fa_addresses *a, fa_address address)
{
    uint64_t x;
    memcpy(&x, address.bytes, sizeof(x));
    x = (x ^ a->key[0]) * (a->key[1] | 1);
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15ULL;
    return (size_t)(x >> 32) & a->mask;
}

/* Where the address is, or the free slot where it would be. */
static slot *find(fa_addresses *a, fa_address address)
{
    size_t i = home_of(a, address);
    while (a->slots[i].count != 0 && memcmp(&a->slots[i].address, &address, sizeof(address)) != 0)
        i = (i + 1) & a->mask;
    return &a->slots[i];
}

/* Whoever stands behind the gap and may stand in it moves there, or it would not be found any more. */
static void close_gap(fa_addresses *a, size_t gap)
{
    for (size_t i = (gap + 1) & a->mask; a->slots[i].count != 0; i = (i + 1) & a->mask) {
        size_t from_home = (i - home_of(a, a->slots[i].address)) & a->mask;
        if (from_home >= ((i - gap) & a->mask)) {
            a->slots[gap] = a->slots[i];
            gap = i;
        }
    }
    a->slots[gap].count = 0;
}

bool fa_addresses_take(fa_addresses *a, fa_address address, size_t most)
{
    pthread_mutex_lock(&a->lock);
    slot *s = find(a, address);
    bool taken = s->count != 0 ? most == 0 || s->count < most : a->used < a->most_used;
    if (taken && s->count == 0) {
        s->address = address;
        a->used++;
    }
    s->count += taken;
    pthread_mutex_unlock(&a->lock);
    return taken;
}

void fa_addresses_give_back(fa_addresses *a, fa_address address)
{
    pthread_mutex_lock(&a->lock);
    slot *s = find(a, address);
    if (s->count > 1) {
        s->count--;
    } else if (s->count == 1) {
        a->used--;
        close_gap(a, (size_t)(s - a->slots));
    }
    pthread_mutex_unlock(&a->lock);
}

size_t fa_addresses_count(fa_addresses *a, fa_address address)
{
    pthread_mutex_lock(&a->lock);
    size_t count = find(a, address)->count;
    pthread_mutex_unlock(&a->lock);
    return count;
}

static void on_scope_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_addresses, at_end)->lock);
}

fa_result fa_addresses_new(fa_scope *scope, size_t connections, fa_addresses **out)
{
    size_t size = 16;
    while (size < connections * 2) /* half of it stays free, so that looking is short */
        size *= 2;
    fa_addresses *a = fa_scope_allocate(scope, sizeof(*a) + size * sizeof(slot));
    if (a == NULL)
        return FA_NO_MEMORY;
    pthread_mutex_init(&a->lock, NULL);
    if (getrandom(a->key, sizeof(a->key), 0) != (ssize_t)sizeof(a->key))
        a->key[0] = (uint64_t)(uintptr_t)a;
    a->mask = size - 1;
    a->most_used = size / 2;
    fa_scope_hook_add(scope, &a->at_end, on_scope_end);
    *out = a;
    return FA_OK;
}
