/* The gate's no: an answer in the shape of all our errors, written past h2o, and the end of the connection. What follows
 * a request that was refused cannot be trusted to be another request.
 *
 * h2o is told that the connection failed; it closes it. Whether the client still sends does not matter then: the
 * connection lingers (connection.c), or a reset would overtake the answer. */
#include "http/edge.h"

#include "exchange/error_reply.h"

static int write_head(char *out, fa_http_connection *connection, int status, size_t length, const char *id)
{
    fa_http *http = connection->http;
    h2o_get_timestamp(&http->context, NULL, NULL); /* brings the cache up to date */
    return snprintf(out, FA_HTTP_REFUSAL_SIZE - FA_ERROR_JSON_SIZE,
                    "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\nServer: %s\r\n"
                    "content-type: application/json; charset=utf-8\r\ncache-control: no-store\r\nx-request-id: %s\r\n"
                    "\r\n",
                    status, fa_status_text(status), http->context._timestamp_cache.value->rfc1123, length,
                    http->config.server_name.base, id);
}

/* Into gate->answer; its length. */
static size_t compose(fa_http_connection *connection, int status, const char *message, const char *id)
{
    fa_http_gate *gate = &connection->gate;
    char json[FA_ERROR_JSON_SIZE];
    const char *bytes = gate->socket->input->bytes;
    size_t length = fa_error_json(json, fa_status_code_name(status), message, id);
    size_t head = (size_t)write_head(gate->answer, connection, status, length, id);
    if (gate->head.method.length == 4 && memcmp(bytes + gate->head.method.at, "HEAD", 4) == 0)
        return head;
    memcpy(gate->answer + head, json, length);
    return head + length;
}

/* For as long as the body has not begun, the head is in the input, as it came. */
static fa_text client_id(const fa_http_connection *connection)
{
    const fa_http_gate *gate = &connection->gate;
    fa_span id = gate->head.request_id;
    return id.length == 0 ? FA_TEXT("") : (fa_text){gate->socket->input->bytes + id.at, id.length};
}

/* h2o closes, and frees what is its own: from here on nothing is awaited. */
static void close_h2o(fa_http_connection *connection, const char *why)
{
    bool in_handshake = connection->gate.awaits == FA_AWAITS_HANDSHAKE;
    fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
    if (in_handshake)
        h2o_socket_close(connection->gate.socket);
    else
        connection->http->h2o_read(connection->gate.socket, why);
}

static void on_refusal_written(h2o_socket_t *socket, const char *error)
{
    close_h2o(socket->on_close.data, error != NULL ? error : "refused");
}

void fa_http_gate_drop(fa_http_connection *connection, const char *why)
{
    h2o_socket_t *socket = connection->gate.socket;
    int fd = fa_http_connection_fd(connection);
    if (socket->_cb.write == NULL) {
        h2o_socket_read_stop(socket);
        close_h2o(connection, why);
    } else if (fd >= 0) {
        shutdown(fd, SHUT_RDWR); /* the write fails, and h2o closes */
    }
}

static fa_text text_at(const fa_http_gate *gate, fa_span span)
{
    return span.length == 0 ? FA_TEXT("") : (fa_text){gate->socket->input->bytes + span.at, span.length};
}

static void note(const fa_http_connection *connection, int status, const char *id)
{
    const fa_http_gate *gate = &connection->gate;
    bool has_line = gate->head.has_line;
    fa_exchange_story story = fa_http_story(connection);
    if (story.bytes_in == 0)
        story.bytes_in = gate->socket->input->size;
    fa_access_entry entry = {
        .remote = {connection->remote, strlen(connection->remote)},
        .method = has_line ? text_at(gate, gate->head.method) : FA_TEXT(""),
        .target = has_line ? text_at(gate, gate->head.target) : FA_TEXT(""),
        .request_id = id,
        .status = status,
        .end = "refused",
        .story = &story,
    };
    fa_access_log_write(connection->http->options.access, connection->http->worker, &entry);
}

void fa_http_gate_refuse(fa_http_connection *connection, int status, const char *message)
{
    fa_http_gate *gate = &connection->gate;
    char id[FA_REQUEST_ID_SIZE];
    void *memory = NULL;
    if (gate->socket->_cb.write == NULL)
        fa_account_allocate(connection->account, FA_HTTP_REFUSAL_SIZE, &memory);
    if (memory == NULL) {
        fa_http_gate_drop(connection, "refused");
        return;
    }
    gate->answer = memory;
    fa_http_choose_id(connection->http, client_id(connection), id);
    fa_log_write(fa_worker_log(connection->http->worker), FA_LOG_DEBUG, "http: request %s: refused %s: %d, %s", id,
                 connection->remote, status, message);
    note(connection, status, id);
    h2o_iovec_t bytes = {gate->answer, compose(connection, status, message, id)};
    fa_http_deadline_await(connection, FA_AWAITS_GOODBYE);
    fa_http_deadline_arm(connection);
    fa_http_connection_linger_after(connection);
    h2o_socket_read_stop(gate->socket);
    h2o_socket_write(gate->socket, &bytes, 1, on_refusal_written);
}
