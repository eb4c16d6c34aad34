/* TLS over the bare socket of a stream that came from another worker, with memory BIOs on both sides.
 *
 * What is to be written is sealed into a BIO that OpenSSL does not see again: it stays as it is until libuv has taken it, whatever OpenSSL
 * has to say meanwhile. That goes out with what is sealed next. */
#include "http/edge.h"

#include <openssl/err.h>

static bool write_all(SSL *ssl, const void *bytes, size_t length)
{
    size_t written;
    return SSL_write_ex(ssl, bytes, length, &written) == 1 && written == length;
}

/* What has been written is the caller's; the next goes into another BIO. */
static BIO *take_sealed(SSL *ssl, bool done, bool final)
{
    BIO *sealed = SSL_get_wbio(ssl), *next = BIO_new(BIO_s_mem());
    if (done && final)
        done = SSL_shutdown(ssl) >= 0;
    ERR_clear_error();
    if (!done || next == NULL) {
        BIO_free(next);
        return NULL;
    }
    BIO_up_ref(sealed);
    SSL_set0_wbio(ssl, next); /* and drops its own reference */
    return sealed;
}

BIO *fa_http_stream_seal(SSL *ssl, const fa_piece *pieces, size_t count, bool final)
{
    bool done = true;
    ERR_clear_error();
    for (size_t i = 0; i < count && done; ++i)
        done = write_all(ssl, fa_buffer_data(pieces[i].buffer) + pieces[i].offset, pieces[i].length);
    return take_sealed(ssl, done, final);
}

BIO *fa_http_stream_seal_text(SSL *ssl, fa_text text)
{
    ERR_clear_error();
    return take_sealed(ssl, write_all(ssl, text.data, text.length), true);
}

bool fa_http_stream_open(SSL *ssl, const char *bytes, size_t length)
{
    char waste[4096];
    size_t got;
    ERR_clear_error();
    if (length != 0 && BIO_write(SSL_get_rbio(ssl), bytes, (int)length) != (int)length)
        return false;
    while (SSL_read_ex(ssl, waste, sizeof(waste), &got) == 1) {
    }
    bool open = SSL_get_error(ssl, 0) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return open;
}
