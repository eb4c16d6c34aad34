/* An identity: a certificate and its key, read from files, and the OpenSSL context that is made of them. */
#include "http/tls_identity.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "http/tls_store.h"

/* What OpenSSL 3 offers less the key exchanges without forward secrecy and the modes that were broken before; TLS 1.3 has nothing to
 * choose. */
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* ---- what went wrong ---- */

/* "no start line" and "unsupported" are what OpenSSL says of a file that holds something else. */
static bool is_another_thing(unsigned long code)
{
    return !ERR_SYSTEM_ERROR(code) &&
           (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER ||
            (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE));
}

/* what: is to be in the file. */
static fa_result fail_openssl(fa_error *error, const fa_tls_source *source, const char *file, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    if (is_another_thing(code)) {
        ERR_clear_error();
        return fa_fail(error, FA_INVALID, "tls.%s: %s: there is no %s in it (PEM)", source->name, file, what);
    }
    fa_result result = ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE ? FA_NO_MEMORY : FA_INVALID;
    fa_fail(error, result, "tls.%s: %s: %s", source->name, file, reason != NULL ? reason : "cannot be read");
    ERR_clear_error();
    return result;
}

static fa_result no_memory(fa_error *error, const fa_tls_source *source)
{
    ERR_clear_error();
    return fa_fail(error, FA_NO_MEMORY, "tls.%s: no memory", source->name);
}

/* ---- ALPN: what may be spoken above TLS ---- */

typedef struct protocol_list {
    const unsigned char *bytes; /* each with its length before it, the best first */
    unsigned length;
} protocol_list;

static const protocol_list only_http1 = {(const unsigned char *)"\x08http/1.1", 9};
static const protocol_list http2_too = {(const unsigned char *)"\x02h2\x08http/1.1", 12};

/* A client that speaks none of ours is told so, instead of being taken for one of another protocol. */
static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *length, const unsigned char *offered,
                   unsigned offered_length, void *context)
{
    const protocol_list *ours = context;
    (void)ssl;
    int found =
        SSL_select_next_proto((unsigned char **)chosen, length, ours->bytes, ours->length, offered, offered_length);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- the context ---- */

static SSL_CTX *new_context(const fa_tls_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_info_callback(context, fa_http_secure_on_info);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, (void *)(options->http2 ? &http2_too : &only_http1));
    if (SSL_CTX_set_min_proto_version(context, options->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(context, ciphers) == 1 && SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* A key that is locked must not make the server ask at its terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the library's type */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static fa_result take_key(SSL_CTX *context, X509 *certificate, const fa_tls_source *source, fa_error *error)
{
    BIO *file = BIO_new_file(source->key, "r");
    EVP_PKEY *key = file != NULL ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;
    fa_result result = FA_OK;
    if (key != NULL && X509_check_private_key(certificate, key) != 1)
        result = fa_fail(error, FA_INVALID, "tls.%s: %s: is not the key of %s", source->name, source->key,
                         source->certificate);
    else if (key == NULL || SSL_CTX_use_PrivateKey(context, key) != 1)
        result = fail_openssl(error, source, source->key, "private key");
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(file);
    return result;
}

/* ---- names ---- */

typedef struct name_list {
    fa_tls_identity *identity;
    size_t room, count;
} name_list;

static fa_result add_name(name_list *list, const char *name, size_t length)
{
    fa_tls_identity *identity = list->identity;
    void *block = identity->names;
    while (length > 0 && name[length - 1] == '.')
        --length;
    if (length == 0 || length > 255 || memchr(name, '\0', length) != NULL || list->count == FA_TLS_MOST_NAMES)
        return FA_OK; /* nobody can ask for it */
    if (identity->names_size + length + 1 > list->room) {
        size_t room = 2 * list->room + length + 1;
        fa_result result = block == NULL ? fa_account_allocate(identity->account, room, &block)
                                         : fa_account_resize(identity->account, &block, list->room, room);
        if (result != FA_OK)
            return result;
        identity->names = block;
        list->room = room;
    }
    for (size_t i = 0; i < length; ++i)
        identity->names[identity->names_size++] = (char)tolower((unsigned char)name[i]);
    identity->names[identity->names_size++] = '\0';
    list->count++;
    return FA_OK;
}

static fa_result add_written(name_list *list, const char *names)
{
    fa_result result = FA_OK;
    for (const char *at = names; *at != '\0' && result == FA_OK;) {
        at += strspn(at, ", \t");
        size_t length = strcspn(at, ", \t");
        result = add_name(list, at, length);
        at += length;
    }
    return result;
}

static fa_result add_common_name(name_list *list, X509 *certificate)
{
    char name[256];
    int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
    return length > 0 ? add_name(list, name, (size_t)length) : FA_OK;
}

static fa_result add_from_certificate(name_list *list, X509 *certificate)
{
    fa_result result = FA_OK;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && result == FA_OK; ++i) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            result = add_name(list, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                              (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    return result == FA_OK && list->count == 0 ? add_common_name(list, certificate) : result;
}

static fa_result take_names(fa_tls_identity *identity, X509 *certificate, const fa_tls_source *source, fa_error *error)
{
    name_list list = {identity, 0, 0};
    fa_result result =
        source->names != NULL ? add_written(&list, source->names) : add_from_certificate(&list, certificate);
    if (list.room > identity->names_size) { /* so that its size is known without another number */
        void *block = identity->names;
        fa_result shrunk = fa_account_resize(identity->account, &block, list.room, identity->names_size);
        identity->names = block;
        result = result == FA_OK ? shrunk : result;
        if (shrunk != FA_OK)
            identity->names_size = list.room;
    }
    return result == FA_OK ? FA_OK : no_memory(error, source);
}

/* ---- making ---- */

static void note_dates(fa_tls_identity *identity, X509 *certificate, const fa_tls_source *source, const fa_log *log)
{
    struct tm end = {0};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
        identity->expires = (uint64_t)timegm(&end);
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        fa_log_write(log, FA_LOG_WARN, "tls.%s: %s: the certificate has expired", source->name, source->certificate);
    else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        fa_log_write(log, FA_LOG_WARN, "tls.%s: %s: the certificate is not valid yet", source->name,
                     source->certificate);
}

static fa_result fill_in(fa_tls_identity *identity, const fa_tls_source *source, const fa_tls_options *options,
                         const fa_log *log, fa_error *error)
{
    unsigned length = 0;
    ERR_clear_error();
    identity->context = new_context(options);
    if (identity->context == NULL)
        return no_memory(error, source);
    if (SSL_CTX_use_certificate_chain_file(identity->context, source->certificate) != 1)
        return fail_openssl(error, source, source->certificate, "certificate");
    X509 *certificate = SSL_CTX_get0_certificate(identity->context);
    fa_result result = take_key(identity->context, certificate, source, error);
    if (result != FA_OK)
        return result;
    if (X509_digest(certificate, EVP_sha256(), identity->mark, &length) != 1 || length != FA_TLS_MARK_SIZE ||
        SSL_CTX_set_session_id_context(identity->context, identity->mark, FA_TLS_MARK_SIZE) != 1)
        return no_memory(error, source);
    note_dates(identity, certificate, source, log);
    return take_names(identity, certificate, source, error);
}

fa_result fa_tls_identity_new(fa_account *account, const fa_tls_source *source, const fa_tls_options *options,
                              const fa_log *log, fa_tls_identity **out, fa_error *error)
{
    void *memory;
    if (source->certificate == NULL || source->key == NULL)
        return fa_fail(error, FA_INVALID, "tls.%s: needs certificate and key, the names of two PEM files",
                       source->name);
    if (fa_account_allocate(account, sizeof(fa_tls_identity), &memory) != FA_OK)
        return no_memory(error, source);
    fa_tls_identity *identity = memset(memory, 0, sizeof(*identity));
    identity->account = fa_account_ref(account);
    fa_result result = fill_in(identity, source, options, log, error);
    if (result != FA_OK) {
        fa_tls_identity_free(identity);
        return result;
    }
    *out = identity;
    return FA_OK;
}

void fa_tls_identity_free(fa_tls_identity *identity)
{
    fa_account *account = identity->account;
    SSL_CTX_free(identity->context);
    fa_tls_tickets_unref(identity->tickets);
    if (identity->names != NULL)
        fa_account_free(account, identity->names, identity->names_size);
    fa_account_free(account, identity, sizeof(*identity));
    fa_account_unref(account);
}
