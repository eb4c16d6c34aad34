/* Accepted sockets: counted from accept to the close of their last file descriptor, and charged to the edge's account.
 *
 * Lingering: when h2o refuses a body (413) it answers and closes while the client still sends. The kernel then resets
 * the connection, and the answer is lost to every client that writes all before it reads. So a duplicate of the
 * descriptor keeps the connection open, its writing side is shut down, and what still comes is thrown away for a
 * while. */
#include "http/edge.h"

#include <fcntl.h>
#include <sys/ioctl.h>

enum {
    REST_MS = 400,
    FIRST_REST_MS = 1000,
    LINGER_MS = 5000,
    LINGER_MOST_BYTES = 64 * 1024 * 1024,
    DISCARD_BYTES = 64 * 1024
};

static void note_remote(fa_http_connection *connection, const struct sockaddr_storage *address)
{
    const char *mapped = "::ffff:"; /* an IPv4 client of an IPv6 socket */
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, connection->remote, sizeof(connection->remote));
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
            memmove(connection->remote, connection->remote + strlen(mapped),
                    strlen(connection->remote + strlen(mapped)) + 1);
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &four->sin_addr, connection->remote, sizeof(connection->remote));
    }
}

static fa_http_connection *add_connection(fa_http *http)
{
    void *memory;
    if (http->connection_count >= http->options.max_connections ||
        fa_account_allocate(http->account, sizeof(fa_http_connection), &memory) != FA_OK)
        return NULL;
    fa_http_connection *connection = memset(memory, 0, sizeof(*connection));
    connection->http = http;
    connection->account = fa_account_ref(http->account);
    connection->linger_fd = -1;
    fa_list_append(&http->connections, &connection->link);
    http->connection_count++;
    fa_ledger_kind(fa_account_ledger(connection->account), FA_KIND_CONNECTION)->count++;
    return connection;
}

static void remove_connection(fa_http_connection *connection)
{
    fa_http *http = connection->http;
    fa_account *account = connection->account;
    fa_kind_counters *counters = fa_ledger_kind(fa_account_ledger(account), FA_KIND_CONNECTION);
    counters->count--;
    counters->ended++;
    fa_list_remove(&connection->link);
    http->connection_count--;
    if (connection->counted)
        fa_addresses_give_back(http->options.addresses, connection->address);
    fa_account_free(account, connection, sizeof(*connection));
    fa_account_unref(account);
    fa_http_connection_is_gone(http);
}

/* ---- lingering ---- */

static void on_linger_closed(uv_handle_t *handle)
{
    remove_connection(FA_OBJECT(handle, fa_http_connection, linger));
}

static bool lingers(const fa_http_connection *connection)
{
    return connection->linger.type == UV_POLL;
}

static void end_linger(fa_http_connection *connection)
{
    if (connection->linger_fd < 0)
        return; /* ended already, its handle is closing */
    fa_timer_stop(&connection->linger_deadline);
    uv_close((uv_handle_t *)&connection->linger, on_linger_closed);
    close(connection->linger_fd);
    connection->linger_fd = -1;
}

static void on_linger_deadline(fa_timer *timer)
{
    end_linger(FA_OBJECT(timer, fa_http_connection, linger_deadline));
}

static void on_still_sending(uv_poll_t *poll, int status, int events)
{
    char waste[DISCARD_BYTES];
    fa_http_connection *connection = FA_OBJECT(poll, fa_http_connection, linger);
    (void)events;
    ssize_t got = status < 0 ? -1 : recv(connection->linger_fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (got > 0)
        connection->linger_bytes += (size_t)got;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || connection->linger_bytes > LINGER_MOST_BYTES)
        end_linger(connection);
}

/* After h2o's close. False when it cannot be had. */
static bool begin_linger(fa_http_connection *connection)
{
    fa_worker *worker = connection->http->worker;
    shutdown(connection->linger_fd, SHUT_WR);
    if (uv_poll_init(fa_worker_loop(worker), &connection->linger, connection->linger_fd) != 0)
        return false;
    fa_timer_init(&connection->linger_deadline, worker, fa_worker_scope(worker), on_linger_deadline);
    if (uv_poll_start(&connection->linger, UV_READABLE, on_still_sending) != 0 ||
        fa_timer_start(&connection->linger_deadline, LINGER_MS) != FA_OK)
        end_linger(connection);
    return true;
}

void fa_http_connection_linger_after(fa_http_connection *connection)
{
    if (connection->linger_fd < 0 && !connection->http->draining)
        connection->linger_fd = fcntl(fa_http_connection_fd(connection), F_DUPFD_CLOEXEC, 0);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
    fa_http_connection *connection = FA_OBJECT(handle, fa_http_connection, tcp);
    fa_http_gate_close(connection);
    if (connection->upgraded != NULL)
        fa_http_upgrade_closed(connection->upgraded);
    if (connection->stream != NULL)
        fa_http_stream_closed(connection->stream);
    if (connection->linger_fd >= 0 && begin_linger(connection))
        return;
    if (connection->linger_fd >= 0)
        close(connection->linger_fd);
    remove_connection(connection);
}

/* most: 0 when it must not fail. */
static bool count_address(fa_http *http, fa_address address, size_t most)
{
    return http->options.addresses == NULL || fa_addresses_take(http->options.addresses, address, most);
}

static void begin(fa_http_connection *connection, bool secure)
{
    h2o_socket_t *socket = h2o_uv_socket_create((uv_stream_t *)&connection->tcp, on_closed);
    socket->on_close.data = connection; /* no callback: it is how a request finds its connection */
    fa_result result = secure ? fa_http_secure_open(connection, socket) : fa_http_gate_open(connection, socket);
    if (result != FA_OK)
        h2o_socket_close(socket);
}

/* Under TLS nobody could read an answer without a handshake, and that is what we have no room for. */
static void turn_away(fa_http *http, int fd, bool secure, int status, const char *message)
{
    if (secure)
        close(fd);
    else
        fa_http_turn_away(http, fd, status, message, 1);
}

void fa_http_connection_open(fa_http *http, int fd, const struct sockaddr_storage *address, bool secure)
{
    fa_address who = fa_address_of(address);
    if (http->connection_count >= http->options.max_connections) {
        turn_away(http, fd, secure, 503, "the server has all the connections it takes, try again");
        return;
    }
    if (!count_address(http, who, http->options.address_connections)) {
        turn_away(http, fd, secure, 429, "this address has all the connections it may have");
        return;
    }
    fa_http_connection *connection = add_connection(http);
    if (connection == NULL) {
        if (http->options.addresses != NULL)
            fa_addresses_give_back(http->options.addresses, who);
        close(fd);
        return;
    }
    connection->address = who;
    connection->counted = http->options.addresses != NULL;
    note_remote(connection, address);
    uv_tcp_init(fa_worker_loop(http->worker), &connection->tcp);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        close(fd);
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
        return;
    }
    uv_tcp_nodelay(&connection->tcp, 1);
    begin(connection, secure);
}

fa_result fa_http_connection_adopt(fa_http *http, int fd, fa_text remote, fa_http_connection **out)
{
    fa_http_block_sigpipe(http);
    bool full = http->connection_count >= http->options.max_connections;
    fa_http_connection *connection = add_connection(http);
    if (connection == NULL)
        return full ? FA_FULL : FA_NO_MEMORY;
    snprintf(connection->remote, sizeof(connection->remote), "%.*s", (int)remote.length, remote.data);
    connection->address = fa_address_parse(connection->remote);
    connection->counted = http->options.addresses != NULL && count_address(http, connection->address, 0);
    uv_tcp_init(fa_worker_loop(http->worker), &connection->tcp);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        fa_http_connection_close(connection);
        return FA_IO;
    }
    *out = connection;
    return FA_OK;
}

void fa_http_connection_close(fa_http_connection *connection)
{
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

fa_http_connection *fa_http_connection_of(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

int fa_http_connection_fd(const fa_http_connection *connection)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&connection->tcp, &fd) == 0 ? fd : -1;
}

static void shut(fa_http_connection *connection, int how)
{
    int fd = fa_http_connection_fd(connection);
    if (fd >= 0)
        shutdown(fd, how);
}

/* Its head has left; the ticket sees to the rest. */
static bool is_moving_away(const fa_http_connection *connection)
{
    return connection->request->phase == FA_PHASE_MOVING &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&connection->tcp) == 0;
}

void fa_http_connection_cut(fa_http_connection *connection)
{
    if (lingers(connection)) {
        end_linger(connection);
        return;
    }
    if (connection->linger_fd >= 0) { /* h2o is about to close it: no lingering then */
        close(connection->linger_fd);
        connection->linger_fd = -1;
    }
    if (connection->upgraded != NULL)
        fa_http_upgrade_cut(connection->upgraded, "the server stops");
    else if (connection->stream != NULL)
        fa_http_stream_cut(connection->stream, "the server stops");
    else if (connection->request != NULL && !is_moving_away(connection))
        fa_http_cut_request(connection->request, "the server stops");
    else if (connection->request == NULL)
        shut(connection, SHUT_RDWR); /* h2o reads or writes here, and closes when that fails */
}

/* Whoever has just been answered, or has just come, is likely to ask this moment, and a close that crosses its request on the way is a request
 * lost. It gets a moment to ask; then the answer tells it that this was the last one. */
static bool has_rested(const fa_http_connection *connection)
{
    const fa_http_gate *gate = &connection->gate;
    uint64_t moment_ms = gate->awaits == FA_AWAITS_FIRST ? FIRST_REST_MS : REST_MS;
    return fa_worker_now(connection->http->worker) >= gate->since_ms + moment_ms;
}

/* Idle is an HTTP/1 connection that owes us nothing of a request: not begun, not in h2o's buffer, not in the kernel's. */
static bool is_idle(const fa_http_connection *connection)
{
    int waiting = 0;
    const fa_http_gate *gate = &connection->gate;
    int fd = fa_http_connection_fd(connection);
    return gate->socket != NULL && (gate->awaits == FA_AWAITS_FIRST || gate->awaits == FA_AWAITS_NEXT) &&
           has_rested(connection) && gate->socket->input->size == 0 && !fa_http_secure_is_reading(gate->socket) &&
           fd >= 0 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0;
}

void fa_http_close_idle(fa_http *http)
{
    FA_LIST_EACH(node, &http->connections)
    {
        fa_http_connection *connection = FA_OBJECT(node, fa_http_connection, link);
        if (lingers(connection))
            end_linger(connection);
        else if (connection->http2)
            fa_http2_drain(connection);
        else if (is_idle(connection))
            shut(connection, SHUT_RD); /* h2o reads an end of file and closes */
    }
}
