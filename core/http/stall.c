/* The deadline for clients that take nothing, which neither h2o nor libuv has. Progress is what the peer's kernel has
 * acknowledged: what our own kernel took says nothing about the client. */
#include "http/edge.h"

void fa_http_reset_at_close(int fd)
{
    struct linger at_once = {1, 0};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void fa_http_reset_now(int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (fd >= 0)
        (void)connect(fd, &nobody, sizeof(nobody)); /* Linux resets what was connected */
}

static void on_stall(fa_timer *timer)
{
    fa_http_stall *stall = FA_OBJECT(timer, fa_http_stall, timer);
    fa_exchange *exchange = stall->exchange;
    int fd = fa_http_connection_fd(stall->connection);
    uint64_t acked = fa_http_bytes_acked(fd);
    if (acked != stall->acked) {
        stall->acked = acked;
        fa_timer_start(timer, exchange->stall_ms); /* cannot fail: it has run before */
        return;
    }
    fa_log_write(fa_worker_log(exchange->worker), FA_LOG_INFO, "http: request %s: cut, %s took nothing for %llu ms",
                 exchange->request_id, stall->connection->remote, (unsigned long long)exchange->stall_ms);
    /* The kernel would go on offering its copy to a client that does not read. */
    fa_http_reset_at_close(fd);
    stall->cut(exchange, "the client took nothing");
}

void fa_http_stall_init(fa_http_stall *stall, fa_exchange *exchange, fa_http_connection *connection,
                        void (*cut)(fa_exchange *exchange, const char *why))
{
    stall->exchange = exchange;
    stall->connection = connection;
    stall->cut = cut;
}

void fa_http_stall_watch(fa_http_stall *stall)
{
    fa_exchange *exchange = stall->exchange;
    fa_http_connection *connection = stall->connection;
    if (exchange->stall_ms == 0)
        return;
    if (!connection->http2 && uv_stream_get_write_queue_size((const uv_stream_t *)&connection->tcp) == 0)
        return; /* with HTTP/2 a stream may wait for its window though the socket does not */
    if (stall->timer.fire == NULL)
        fa_timer_init(&stall->timer, exchange->worker, exchange->scope, on_stall);
    stall->acked = fa_http_bytes_acked(fa_http_connection_fd(connection));
    if (fa_timer_start(&stall->timer, exchange->stall_ms) != FA_OK)
        stall->cut(exchange, "no memory for a deadline");
}
