/* Listening sockets: accept, and nothing else.
 *
 * uv_listen is not used. Out of file descriptors, libuv 1.44 closes a spare one to accept and drop the next connection;
 * if another thread takes that number meanwhile, it has no spare the next time and calls accept in an endless loop.
 * Polling the socket ourselves we can simply wait: connections stay in the kernel's backlog until there is room again.
 * It also spares a handle for a connection that is closed at once. */
#include "http/edge.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>

#include "exchange/error_reply.h"

enum { ACCEPTS_PER_TURN = 64, RETRY_MS = 100, BACKLOG = 1024 };

typedef struct listener {
    fa_list link;
    fa_http *http;
    int fd;
    bool secure; /* TLS */
    uv_poll_t poll;
    fa_timer retry;
} listener;

static void on_acceptable(uv_poll_t *poll, int status, int events);

/* Writing to a socket whose peer is gone must be an error, not the end of an embedder's process. libuv writes without
 * MSG_NOSIGNAL; the signal goes to the thread that wrote, so blocking it there is enough and touches nobody else. */
void fa_http_block_sigpipe(fa_http *http)
{
    sigset_t set;
    if (http->sigpipe_blocked)
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    http->sigpipe_blocked = true;
}

static void on_retry(fa_timer *timer)
{
    listener *l = FA_OBJECT(timer, listener, retry);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

/* Nothing left to accept with: the poll would report the same connection for ever. */
static void pause_listener(listener *l, int reason)
{
    fa_log_write(fa_worker_log(l->http->worker), FA_LOG_WARN, "http: cannot accept: %s; trying again in %d ms",
                 strerror(reason), RETRY_MS);
    if (fa_timer_start(&l->retry, RETRY_MS) == FA_OK)
        uv_poll_stop(&l->poll);
}

/* ---- refusing ---- */

/* Answered on the spot. What the client has sent is read first: closing on unread bytes is a reset, which may overtake
 * the answer. */
void fa_http_turn_away(fa_http *http, int fd, int status, const char *message, unsigned retry_after_s)
{
    char waste[16 * 1024], answer[FA_ERROR_JSON_SIZE + 256], json[FA_ERROR_JSON_SIZE], id[FA_REQUEST_ID_SIZE];
    fa_http_choose_id(http, FA_TEXT(""), id);
    size_t length = fa_error_json(json, http->refusing ? "over_budget" : fa_status_code_name(status), message, id);
    int size = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 %d %s\r\nConnection: close\r\nretry-after: %u\r\n"
                        "content-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n"
                        "x-request-id: %s\r\nContent-Length: %zu\r\n\r\n%s",
                        status, fa_status_text(status), retry_after_s, id, length, json);
    for (int i = 0; i < 16 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0; ++i) {
    }
    if (send(fd, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

/* While we refuse, the kernel hands a connection over only when its first bytes are there (or after a second), so that for
 * all but large bodies there is nothing left to come. */
void fa_http_refuse_connections(fa_http *http, bool refuse)
{
    int seconds = refuse ? 1 : 0;
    if (http->refusing == refuse)
        return;
    http->refusing = refuse;
    FA_LIST_EACH(node, &http->listeners)
    setsockopt(FA_OBJECT(node, listener, link)->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
    if (!refuse)
        fa_log_write(fa_worker_log(http->worker), FA_LOG_INFO, "http: %zu connections were refused meanwhile",
                     http->refused);
    http->refused = 0;
}

/* ---- the rate of accepting: each connection is due a step after the one before, but may come up to a second early ---- */

static uint64_t step_ns(const fa_http *http)
{
    return (uint64_t)(1e9 / http->options.accept_rate);
}

/* Nanoseconds until another one may be accepted. */
static uint64_t wait_ns(const fa_http *http)
{
    const uint64_t second = 1000000000;
    if (http->options.accept_rate <= 0 || http->draining)
        return 0;
    uint64_t step = step_ns(http), now = uv_hrtime(), early = step < second ? second - step : 0;
    return http->next_accept_at_ns > now + early ? http->next_accept_at_ns - now - early : 0;
}

static void note_accept(fa_http *http)
{
    uint64_t now = uv_hrtime();
    if (http->options.accept_rate > 0)
        http->next_accept_at_ns = (http->next_accept_at_ns > now ? http->next_accept_at_ns : now) + step_ns(http);
}

/* They wait in the kernel's backlog. */
static void wait_a_while(listener *l, uint64_t ns)
{
    if (fa_timer_start(&l->retry, ns / 1000000 + 1) == FA_OK)
        uv_poll_stop(&l->poll);
}

/* ---- accepting ---- */

static bool is_our_lack(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void accept_some(listener *l)
{
    fa_http_block_sigpipe(l->http);
    for (int i = 0; i < ACCEPTS_PER_TURN; ++i) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        uint64_t wait = wait_ns(l->http);
        if (wait != 0) {
            wait_a_while(l, wait);
            return;
        }
        int fd = accept4(l->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            note_accept(l->http);
        if (fd >= 0 && l->http->refusing) {
            l->http->refused++;
            if (l->secure)
                close(fd);
            else
                fa_http_turn_away(l->http, fd, 503, "the server is short of memory, try again", 5);
        } else if (fd >= 0) {
            fa_http_connection_open(l->http, fd, &address, l->secure);
        } else if (is_our_lack(errno)) {
            pause_listener(l, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else a connection that died in the backlog, see accept(2): on to the next */
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    listener *l = FA_OBJECT(poll, listener, poll);
    (void)events;
    if (status < 0)
        pause_listener(l, -status);
    else
        accept_some(l);
}

fa_result fa_http_listen(fa_http *http, int fd, bool secure, fa_error *error)
{
    listener *l = fa_scope_allocate(fa_worker_scope(http->worker), sizeof(*l));
    if (l == NULL) {
        close(fd);
        return fa_fail(error, FA_NO_MEMORY, "no memory for a listener");
    }
    int status = listen(fd, BACKLOG) != 0 ? -errno : uv_poll_init(fa_worker_loop(http->worker), &l->poll, fd);
    if (status != 0) {
        close(fd);
        fa_scope_free(fa_worker_scope(http->worker), l);
        return fa_fail(error, FA_IO, "cannot listen: %s", uv_strerror(status));
    }
    l->http = http;
    l->fd = fd;
    l->secure = secure;
    fa_timer_init(&l->retry, http->worker, fa_worker_scope(http->worker), on_retry);
    fa_list_append(&http->listeners, &l->link);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    return FA_OK;
}

void fa_http_close_listeners(fa_http *http)
{
    for (fa_list *node; (node = fa_list_first(&http->listeners)) != NULL;) {
        listener *l = FA_OBJECT(node, listener, link);
        if (http->draining)
            accept_some(l); /* closing would reset those who wait in the backlog */
        fa_list_remove(node);
        fa_timer_stop(&l->retry);
        uv_close((uv_handle_t *)&l->poll, NULL);
        close(l->fd);
    }
}
