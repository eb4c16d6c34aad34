/* All that depends on which libh2o this is built against (cmake -DH2O_ROOT=PREFIX). Only edge.h includes it.
 *
 * Built and tested: 2.2.5, as Debian 12 has it. Later ones were read, not built: docs/http.md has the list of what would have to be done
 * there. H2O_LIBRARY_VERSION_* of <h2o/version.h> tells them apart (2.2.5 is library 0.13.5). */
#ifndef FA_HTTP_H2O_VERSION_H
#define FA_HTTP_H2O_VERSION_H

#include <h2o.h>
#include <h2o/version.h>

#if H2O_LIBRARY_VERSION_MAJOR != 0 || H2O_LIBRARY_VERSION_MINOR != 13
#error "this libh2o has never been tried: see `A newer libh2o` in docs/http.md, and core/http/h2o_version.h"
#endif

/* What is behind h2o_socket_t.ssl, which h2o does not show: in 2.2.5 and in all later ones its first two members. */
struct fa_h2o_ssl {
    SSL_CTX *context;
    SSL *ssl;
};

/* The OpenSSL object of a connection under TLS; NULL before the first byte of the handshake. */
static inline SSL *fa_h2o_ssl_of(const h2o_socket_t *socket)
{
    return ((const struct fa_h2o_ssl *)(const void *)socket->ssl)->ssl;
}

/* And back: its BIO holds the socket. NULL when h2o does not have it, or not any more. */
static inline h2o_socket_t *fa_h2o_socket_of(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);
    return bio != NULL && strcmp(BIO_method_name(bio), "h2o_socket") == 0 ? BIO_get_data(bio) : NULL;
}

#endif
