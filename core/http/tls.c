/* The TLS store: which identities there are now.
 *
 * A handshake begins with the first one's context; before anything else is done with the client's hello (its session above all, or one
 * that another identity gave could be resumed) the context of the name asked for takes its place. OpenSSL counts references to contexts,
 * so connections keep theirs when the store has moved on. */
#include "http/tls.h"

#include <pthread.h>
#include <string.h>

#include <openssl/err.h>

#include "http/tls_identity.h"
#include "http/tls_store.h"

struct fa_tls {
    fa_account *account;
    fa_clock *clock;
    const fa_log *log;
    pthread_mutex_t lock; /* guards identities */
    fa_list identities;
    fa_scope_hook at_end;
};

static void free_all(fa_list *identities)
{
    for (fa_list *node; (node = fa_list_first(identities)) != NULL;) {
        fa_list_remove(node);
        fa_tls_identity_free(FA_OBJECT(node, fa_tls_identity, link));
    }
}

/* ---- choosing ---- */

/* With the lock. */
static fa_tls_identity *find(fa_tls *tls, const char *name, size_t length)
{
    for (int exact = 1; exact >= 0 && length > 0; --exact) {
        FA_LIST_EACH(node, &tls->identities)
        {
            fa_tls_identity *identity = FA_OBJECT(node, fa_tls_identity, link);
            if (fa_tls_identity_answers_to(identity, name, length, exact == 1))
                return identity;
        }
    }
    return FA_OBJECT(fa_list_first(&tls->identities), fa_tls_identity, link);
}

/* The host_name of RFC 6066 3: a list of one, with its length, its type and its own length. */
static size_t asked_name(SSL *ssl, const char **name)
{
    const unsigned char *bytes;
    size_t length;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) != 1 || length < 5 ||
        bytes[2] != TLSEXT_NAMETYPE_host_name)
        return 0;
    size_t own = (size_t)bytes[3] << 8 | bytes[4];
    *name = (const char *)bytes + 5;
    return own <= length - 5 && own <= TLSEXT_MAXLEN_host_name ? own : 0;
}

static int on_hello(SSL *ssl, int *alert, void *context)
{
    fa_tls *tls = context;
    const char *name = NULL;
    size_t length = asked_name(ssl, &name);
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *chosen = SSL_set_SSL_CTX(ssl, find(tls, name, length)->context);
    pthread_mutex_unlock(&tls->lock);
    *alert = SSL_AD_INTERNAL_ERROR;
    return chosen != NULL ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

SSL_CTX *fa_tls_begin(fa_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *context = find(tls, NULL, 0)->context;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&tls->lock);
    return context;
}

uint64_t fa_tls_expires(fa_tls *tls)
{
    uint64_t first = 0;
    pthread_mutex_lock(&tls->lock);
    FA_LIST_EACH(node, &tls->identities)
    {
        uint64_t expires = FA_OBJECT(node, fa_tls_identity, link)->expires;
        first = first == 0 || expires < first ? expires : first;
    }
    pthread_mutex_unlock(&tls->lock);
    return first;
}

/* ---- loading ---- */

/* The same certificate goes on with the same tickets: a reload is nothing that clients should notice. */
static fa_result give_tickets(fa_tls *tls, fa_tls_identity *identity)
{
    pthread_mutex_lock(&tls->lock);
    FA_LIST_EACH(node, &tls->identities)
    {
        fa_tls_identity *old = FA_OBJECT(node, fa_tls_identity, link);
        if (identity->tickets == NULL && memcmp(old->mark, identity->mark, FA_TLS_MARK_SIZE) == 0)
            identity->tickets = fa_tls_tickets_ref(old->tickets);
    }
    pthread_mutex_unlock(&tls->lock);
    if (identity->tickets == NULL)
        identity->tickets = fa_tls_tickets_new(tls->account, tls->clock);
    return identity->tickets != NULL ? fa_tls_tickets_use(identity->tickets, identity->context) : FA_NO_MEMORY;
}

static fa_result load_one(fa_tls *tls, const fa_tls_options *options, const fa_tls_source *source, fa_list *into,
                          fa_error *error)
{
    fa_tls_identity *identity;
    fa_result result = fa_tls_identity_new(tls->account, source, options, tls->log, &identity, error);
    if (result != FA_OK)
        return result;
    fa_list_append(into, &identity->link);
    SSL_CTX_set_client_hello_cb(identity->context, on_hello, tls);
    result = give_tickets(tls, identity);
    return result == FA_OK ? FA_OK : fa_fail(error, result, "tls.%s: no memory", source->name);
}

static void swap(fa_list *a, fa_list *b)
{
    fa_list rest;
    fa_list_init(&rest);
    for (fa_list *node; (node = fa_list_first(a)) != NULL;) {
        fa_list_remove(node);
        fa_list_append(&rest, node);
    }
    for (fa_list *node; (node = fa_list_first(b)) != NULL;) {
        fa_list_remove(node);
        fa_list_append(a, node);
    }
    for (fa_list *node; (node = fa_list_first(&rest)) != NULL;) {
        fa_list_remove(node);
        fa_list_append(b, node);
    }
}

fa_result fa_tls_load(fa_tls *tls, const fa_tls_options *options, fa_error *error)
{
    fa_list fresh;
    fa_list_init(&fresh);
    fa_result result = options->count > 0 ? FA_OK : fa_fail(error, FA_INVALID, "tls: there is no certificate");
    for (size_t i = 0; i < options->count && result == FA_OK; ++i)
        result = load_one(tls, options, &options->sources[i], &fresh, error);
    if (result == FA_OK) {
        pthread_mutex_lock(&tls->lock);
        swap(&tls->identities, &fresh);
        pthread_mutex_unlock(&tls->lock);
    }
    free_all(&fresh);
    return result;
}

/* ---- life ---- */

static void on_end(fa_scope_hook *hook)
{
    fa_tls *tls = FA_OBJECT(hook, fa_tls, at_end);
    free_all(&tls->identities);
    pthread_mutex_destroy(&tls->lock);
}

fa_result fa_tls_new(fa_scope *scope, const fa_tls_options *options, const fa_log *log, fa_tls **out, fa_error *error)
{
    fa_tls *tls = fa_scope_allocate(scope, sizeof(*tls));
    if (tls == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for TLS");
    tls->account = fa_scope_account(scope);
    tls->clock = fa_ledger_clock(fa_scope_ledger(scope));
    tls->log = log;
    fa_list_init(&tls->identities);
    pthread_mutex_init(&tls->lock, NULL);
    fa_scope_hook_add(scope, &tls->at_end, on_end);
    fa_result result = fa_tls_load(tls, options, error);
    if (result == FA_OK)
        *out = tls;
    return result;
}
