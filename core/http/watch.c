/* Clients that leave while we work for them.
 *
 * h2o stops reading as soon as a request is complete, so it does not see the other end close until it writes. Polling
 * the same descriptor is no way out: libuv keeps one watcher for each. So we poll a duplicate, for the end of the
 * stream only.
 *
 * The poll cannot tell a client that closed from one that shut down its writing side only: both count as gone. */
#include "http/edge.h"

#include <fcntl.h>

/* Lives a loop turn longer than the request, until libuv has closed the handle. */
typedef struct fa_http_watch {
    uv_poll_t poll;
    int fd;
    fa_http_request *request;
    fa_account *account;
} fa_http_watch;

static void free_watch(fa_http_watch *watch)
{
    fa_account *account = watch->account;
    fa_account_free(account, watch, sizeof(*watch));
    fa_account_unref(account);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free_watch(FA_OBJECT(handle, fa_http_watch, poll));
}

/* The duplicate must be closed before h2o closes its own, or the client would not hear of it. */
void fa_http_watch_stop(fa_http_request *request)
{
    fa_http_watch *watch = request->watch;
    if (watch == NULL)
        return;
    request->watch = NULL;
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
    close(watch->fd); /* uv_close has stopped the polling */
}

static void on_left(uv_poll_t *poll, int status, int events)
{
    fa_http_request *request = FA_OBJECT(poll, fa_http_watch, poll)->request;
    (void)status;
    (void)events; /* an error means the same */
    bool answered = request->exchange.finished;
    fa_http_watch_stop(request); /* the event stays true */
    if (!answered)               /* else what is written last will fail by itself, or reach a half-closed client */
        request->stall.cut(&request->exchange, "the client vanished");
}

static fa_http_watch *new_watch(fa_http *http, int fd)
{
    void *memory;
    if (fa_account_allocate(http->account, sizeof(fa_http_watch), &memory) != FA_OK)
        return NULL;
    fa_http_watch *watch = memset(memory, 0, sizeof(*watch));
    watch->account = fa_account_ref(http->account);
    watch->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (watch->fd >= 0 && uv_poll_init(fa_worker_loop(http->worker), &watch->poll, watch->fd) == 0)
        return watch;
    if (watch->fd >= 0)
        close(watch->fd);
    free_watch(watch);
    return NULL;
}

void fa_http_watch_start(fa_http_request *request)
{
    if (request->watch != NULL || (request->req == NULL && request->upgrade == NULL))
        return;
    if (request->connection->http2)
        return; /* h2o goes on reading from those */
    fa_http_watch *watch = new_watch(request->http, fa_http_connection_fd(request->connection));
    if (watch == NULL) {
        fa_log_write(fa_worker_log(request->http->worker), FA_LOG_WARN,
                     "http: request %s: no descriptor or memory to notice when the client leaves",
                     request->exchange.request_id);
        return;
    }
    watch->request = request;
    request->watch = watch;
    uv_poll_start(&watch->poll, UV_DISCONNECT, on_left);
}
