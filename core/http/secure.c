/* TLS below h2o: the handshake, and what h2o 2.2.5 gets wrong there.
 *
 * h2o drives OpenSSL through its own BIO. After the handshake the gate (gate.c) stands above TLS exactly as it stands above a bare
 * socket, so all that is checked and limited there holds here, too. */
#include "http/edge.h"

#include <openssl/err.h>

#include "http/tls_store.h"

static fa_http_connection *connection_of(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

/* ---- the handshake ---- */

/* h2o drops the alert that says why a handshake has failed. Before there are keys it goes in the clear, so we can send it ourselves. */
static void send_alert(fa_http_connection *connection)
{
    const unsigned char record[] = {SSL3_RT_ALERT, TLS1_2_VERSION_MAJOR,  TLS1_2_VERSION_MINOR, 0, 2,
                                    SSL3_AL_FATAL, connection->gate.alert};
    int fd = fa_http_connection_fd(connection);
    if (connection->gate.alert != 0 && fd >= 0)
        (void)!send(fd, record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void fa_http_secure_on_info(const SSL *ssl, int what, int value)
{
    if (what != SSL_CB_WRITE_ALERT || value >> 8 != SSL3_AL_FATAL || !SSL_in_init(ssl))
        return;
    h2o_socket_t *socket = fa_h2o_socket_of(ssl);
    if (socket != NULL)
        connection_of(socket)->gate.alert = (unsigned char)value;
}

static void log_failure(const fa_http_connection *connection)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    fa_log_write(fa_worker_log(connection->http->worker), FA_LOG_DEBUG, "http: %s: TLS handshake failed: %s",
                 connection->remote, reason != NULL ? reason : "the client left");
}

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    fa_http_connection *connection = connection_of(socket);
    if (error == NULL) {
        fa_http_gate_begin(connection);
        return;
    }
    log_failure(connection);
    send_alert(connection);
    ERR_clear_error();
    fa_http_deadline_await(connection, FA_AWAITS_NOTHING);
    h2o_socket_close(socket);
}

fa_result fa_http_secure_open(fa_http_connection *connection, h2o_socket_t *socket)
{
    fa_result result = fa_http_deadline_open(connection);
    if (result != FA_OK)
        return result;
    connection->gate.socket = socket;
    connection->gate.context = fa_tls_begin(connection->http->options.tls); /* h2o makes its SSL later, of a pointer */
    fa_http_deadline_await(connection, FA_AWAITS_HANDSHAKE);
    fa_h2o_handshake(socket, connection->gate.context, on_handshake);
    return FA_OK;
}

void fa_http_secure_close(fa_http_connection *connection)
{
    SSL_CTX_free(connection->gate.context);
    connection->gate.context = NULL;
}

/* ---- reading ---- */

/* When a read has filled its buffer libuv tries once more, and tells of `nothing there` by a read of no bytes. Above TLS h2o takes that for
 * an error, and would close a connection that is well. */
bool fa_http_secure_is_spurious(const h2o_socket_t *socket, const char *error)
{
    char byte;
    int fd = fa_http_connection_fd(socket->on_close.data);
    if (socket->ssl == NULL || error != h2o_socket_error_io || fd < 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* After a reset libuv takes no more writes, which h2o does not look at: it would wait for its last word to be written for ever. So it has
 * none. */
void fa_http_secure_mute(const h2o_socket_t *socket)
{
    const fa_http_connection *connection = socket->on_close.data;
    if (socket->ssl != NULL && fa_h2o_ssl_of(socket) != NULL && !uv_is_writable((const uv_stream_t *)&connection->tcp))
        SSL_set_quiet_shutdown(fa_h2o_ssl_of(socket), 1);
}

/* Whether it has begun to send something that could not be deciphered yet. */
bool fa_http_secure_is_reading(const h2o_socket_t *socket)
{
    return socket->ssl != NULL && fa_h2o_ssl_of(socket) != NULL && SSL_has_pending(fa_h2o_ssl_of(socket));
}

/* ---- leaving h2o ---- */

/* What h2o has read and OpenSSL has not yet seen. */
static bool keep_input(SSL *ssl, BIO *in)
{
    char bytes[4096];
    int got;
    while ((got = BIO_read(SSL_get_rbio(ssl), bytes, sizeof(bytes))) > 0) {
        if (BIO_write(in, bytes, got) != got)
            return false;
    }
    return true;
}

SSL *fa_http_secure_take(h2o_socket_t *socket)
{
    SSL *ssl = fa_h2o_ssl_of(socket);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    h2o_socket_export_t left;
    if (in == NULL || out == NULL || !keep_input(ssl, in) || h2o_socket_export(socket, &left) != 0) {
        BIO_free(in);
        BIO_free(out);
        h2o_socket_close(socket);
        return NULL;
    }
    SSL_up_ref(ssl);
    SSL_set_bio(ssl, in, out);
    h2o_socket_dispose_export(&left); /* a descriptor, h2o's buffers and its reference */
    return ssl;
}

void fa_http_secure_free(void *ssl)
{
    SSL_free(ssl);
}
