/* Inside of the TLS store: one identity, its names and its tickets. Thread: as each says. */
#ifndef FA_HTTP_TLS_IDENTITY_H
#define FA_HTTP_TLS_IDENTITY_H

#include <openssl/ssl.h>

#include "base/clock.h"
#include "http/tls.h"

enum { FA_TLS_MARK_SIZE = 32, FA_TLS_MOST_NAMES = 200 };

/* ---- tls_tickets.c: the keys by which an identity knows its tickets again. They change every two hours, when one is needed, and the
 * ones before are good for two hours more: as long as a ticket. Counted references, for contexts outlive their store's interest. ---- */
typedef struct fa_tls_tickets fa_tls_tickets;

fa_tls_tickets *fa_tls_tickets_new(fa_account *account, fa_clock *clock); /* NULL: no memory, or no randomness */
fa_tls_tickets *fa_tls_tickets_ref(fa_tls_tickets *tickets);
void fa_tls_tickets_unref(fa_tls_tickets *tickets); /* NULL is ignored */

/* The context issues and takes tickets by these keys, of which it gets a reference of its own. */
fa_result fa_tls_tickets_use(fa_tls_tickets *tickets, SSL_CTX *context);

/* ---- tls_names.c ---- */

/* Whether a pattern, "a.example.org" or "*.example.org" in lower case, is for the name a client asks for. A star stands for one label. */
bool fa_tls_name_matches(const char *pattern, const char *name, size_t length);

/* ---- tls_identity.c ---- */
typedef struct fa_tls_identity {
    fa_list link;
    fa_account *account; /* a reference; pays for this and its names */
    SSL_CTX *context;
    fa_tls_tickets *tickets;
    unsigned char mark[FA_TLS_MARK_SIZE]; /* of its certificate: its sessions are nobody else's */
    uint64_t expires;                     /* seconds since 1970 */
    char *names;                          /* patterns, each with its NUL */
    size_t names_size;
} fa_tls_identity;

/* Reads the files and checks that they belong together. Its tickets are still to be given. FA_INVALID, FA_NO_MEMORY. */
fa_result fa_tls_identity_new(fa_account *account, const fa_tls_source *source, const fa_tls_options *options,
                              const fa_log *log, fa_tls_identity **identity, fa_error *error);
void fa_tls_identity_free(fa_tls_identity *identity);

/* exact: by a pattern without a star. */
bool fa_tls_identity_answers_to(const fa_tls_identity *identity, const char *name, size_t length, bool exact);

#endif
