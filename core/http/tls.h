/* Who the edge is under TLS: certificates with their keys, and the choice among them by the name that a client asks for. One store for
 * all workers; it can be loaded anew while they serve, and those who came before finish with what they began with.
 *
 * TLS 1.2 and 1.3, with ciphers that keep the past secret; no compression, no renegotiation, no early data. Sessions resume by tickets,
 * which only the identity that issued them takes back (docs/http.md).
 *
 * Memory: what is here hangs from the scope's account; OpenSSL's own is OpenSSL's. Thread: any, unless said otherwise. */
#ifndef FA_HTTP_TLS_H
#define FA_HTTP_TLS_H

#include "base/log.h"
#include "memory/scope.h"

typedef struct fa_tls fa_tls;

/* One identity. The texts are borrowed for the call. */
typedef struct fa_tls_source {
    const char *name;        /* for messages */
    const char *certificate; /* PEM file: the certificate, and after it those that lead to its root */
    const char *key;         /* PEM file, without a passphrase */
    const char
        *names; /* that it answers to, with commas, "*.example.org" among them; NULL: what the certificate says */
} fa_tls_source;

typedef struct fa_tls_options {
    const fa_tls_source *sources; /* the first answers whoever asks for no name, or for one that nobody has */
    size_t count;
    bool only_13; /* no TLS 1.2 */
    bool http2;   /* offer it: only where clients are trusted */
} fa_tls_options;

/* Reads all files. It lives as long as `scope`, which must outlive all edges that use it. log: borrowed as long. FA_INVALID with the
 * identity, the file and the reason; FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_tls_new(fa_scope *scope, const fa_tls_options *options, const fa_log *log, fa_tls **tls, fa_error *error);

/* Reads all files again, or others, and switches to them when every one is right; otherwise nothing has changed. Reads from the disk:
 * not for a worker's thread. Errors as above. */
fa_result fa_tls_load(fa_tls *tls, const fa_tls_options *options, fa_error *error);

/* When the first of its certificates ends, in seconds since 1970; 0 when there is none. */
uint64_t fa_tls_expires(fa_tls *tls);

#endif
