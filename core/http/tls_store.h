/* What the edge's own files ask of the store. Thread: any. */
#ifndef FA_HTTP_TLS_STORE_H
#define FA_HTTP_TLS_STORE_H

#include <openssl/ssl.h>

#include "http/tls.h"

/* The context a handshake begins with; the caller's to SSL_CTX_free. The client's hello may lead to another one. */
SSL_CTX *fa_tls_begin(fa_tls *tls);

/* In secure.c: every context tells it how its handshakes go. */
void fa_http_secure_on_info(const SSL *ssl, int what, int value);

#endif
