#include "server/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* One address while it is begun. */
typedef struct place {
    fa_listening *listening;
    fa_runtime *runtime;
    unsigned workers;
    char *name; /* with its port, once there is a socket */
    bool secure;
    int inherited[FA_MOST_SOCKETS];
    size_t count;
} place;

static fa_result add(const place *p, size_t index, int fd, fa_error *error)
{
    return fa_http_listen(fa_runtime_http(p->runtime, (unsigned)(index % p->workers)), fd, p->secure, error);
}

static fa_result add_inherited(const place *p, fa_error *error)
{
    fa_result result = FA_OK;
    for (size_t i = 0; i < p->count; ++i) {
        if (result != FA_OK) {
            close(p->inherited[i]);
            continue;
        }
        fa_sockets_keep(&p->listening->sockets, p->inherited[i]);
        result = add(p, i, p->inherited[i], error);
    }
    return result;
}

/* Of its own, where the address can be had once more; else a share in one that was handed over: then whoever is quicker accepts. */
static fa_result one_more(const place *p, size_t index, const char *address, int *fd, fa_error *error)
{
    bool may_bind = p->count == 0 || fa_http_is_shared(p->inherited[0]);
    fa_result result = may_bind ? fa_http_bind(address, fd, p->name, FA_ADDRESS_SIZE, error) : FA_CONFLICT;
    if (result == FA_OK) {
        fa_sockets_keep(&p->listening->sockets, *fd);
        return FA_OK;
    }
    if (p->count == 0)
        return result;
    *fd = fcntl(p->inherited[index % p->count], F_DUPFD_CLOEXEC, 0);
    return *fd >= 0 ? FA_OK : fa_fail(error, FA_IO, "cannot listen on %s: %s", p->name, strerror(errno));
}

static fa_result listen_on(fa_listening *l, fa_runtime *runtime, const char *address, fa_error *error)
{
    fa_result result = FA_OK;
    place p = {.listening = l,
               .runtime = runtime,
               .workers = fa_runtime_crew(runtime)->count,
               .name = l->addresses[l->count],
               .secure = fa_http_is_secure(address)};
    if (l->inherited != NULL)
        p.count = fa_sockets_take(l->inherited, address, p.inherited);
    if (p.count != 0)
        fa_http_socket_name(p.inherited[0], address, p.name, FA_ADDRESS_SIZE);
    else
        result = fa_http_probe(address, error); /* SO_REUSEPORT would let a second server in silently */
    if (result == FA_OK)
        result = add_inherited(&p, error);
    for (size_t i = p.count; i < p.workers && result == FA_OK; ++i) {
        int fd;
        /* The first one picks the port, where that was left open; its name is an address. */
        result = one_more(&p, i, i == 0 ? address : p.name, &fd, error);
        if (result == FA_OK)
            result = add(&p, i, fd, error);
    }
    if (result == FA_OK)
        l->count++;
    return result;
}

/* Whether one speaks TLS only `listen` can say. */
static const char *as_configured(const char *address, const fa_sockets *sockets, const char *const *configured,
                                 size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        for (size_t k = 0; k < sockets->count; ++k) {
            int fd = sockets->fds[k];
            if (fd >= 0 && fa_http_is_bound_to(fd, address) && fa_http_is_bound_to(fd, configured[i]))
                return configured[i];
        }
    }
    return address;
}

static fa_result listen_on_given(fa_listening *l, fa_runtime *runtime, const char *const *configured, size_t count,
                                 fa_error *error)
{
    char address[FA_ADDRESS_SIZE];
    fa_result result = FA_OK;
    l->sockets.given = true;
    while (result == FA_OK && fa_sockets_next(l->inherited, address, sizeof(address))) {
        if (l->count == FA_MOST_LISTENERS)
            return fa_fail(error, FA_INVALID, "at most %d addresses can be listened on", FA_MOST_LISTENERS);
        result = listen_on(l, runtime, as_configured(address, l->inherited, configured, count), error);
    }
    return result;
}

/* Whoever turns TLS on expects HTTP/2. */
static void say_what_is_spoken(const fa_listening *l, const fa_config *config, const fa_log *log)
{
    bool trusted = strcmp(fa_config_text(config, "http2"), "trusted") == 0, secure = false;
    for (size_t i = 0; i < l->count; ++i)
        secure = secure || fa_http_is_secure(l->addresses[i]);
    if (secure && trusted)
        fa_log_write(
            log, FA_LOG_WARN,
            "HTTP/2 is offered (http2 = \"trusted\"): let nobody but trusted clients reach it, see docs/http.md");
    else if (secure)
        fa_log_write(log, FA_LOG_INFO,
                     "HTTP/2 is off: libh2o 2.2.5 cannot stand hostile clients there (CVE-2023-44487, CVE-2025-8671); "
                     "http2 = \"trusted\" offers it to trusted ones, see docs/http.md");
    else if (trusted)
        fa_log_write(log, FA_LOG_WARN, "http2 = \"trusted\" has no effect without a listener with https://");
}

fa_result fa_listening_begin(fa_listening *l, fa_runtime *runtime, const fa_config *config, const fa_log *log,
                             fa_error *error)
{
    fa_result result = FA_OK;
    const char *const *addresses;
    size_t count = fa_config_list(config, "listen", &addresses);
    if (l->inherited != NULL && l->inherited->given) {
        result = listen_on_given(l, runtime, addresses, count, error);
    } else if (count > FA_MOST_LISTENERS) {
        result = fa_fail(error, FA_INVALID, "listen: at most %d addresses", FA_MOST_LISTENERS);
    } else {
        for (size_t i = 0; i < count && result == FA_OK; ++i)
            result = listen_on(l, runtime, addresses[i], error);
    }
    if (result == FA_OK)
        say_what_is_spoken(l, config, log);
    return result;
}

void fa_listening_let_go(fa_listening *l)
{
    fa_sockets_close(&l->sockets);
}

void fa_listening_end(fa_listening *l)
{
    fa_listening_let_go(l);
    l->sockets.given = false;
    l->count = 0;
}
