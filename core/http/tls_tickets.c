/* Session tickets: the state of a session, sealed by a key that only we have and kept by the client, so that resuming costs us no memory.
 *
 * Whoever gets a key can read what was resumed by it with TLS 1.2. So a key lives for two hours and is forgotten after two more; nothing
 * writes it anywhere. Keys belong to an identity: a ticket of one is a stranger to all others. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "http/tls_identity.h"

enum { KEY_MS = 2 * 3600 * 1000, NAME_SIZE = 16, SECRET_SIZE = 32 };

typedef struct ticket_key {
    unsigned char name[NAME_SIZE], cipher[SECRET_SIZE], mac[SECRET_SIZE];
    uint64_t made_ms;
    bool good;
} ticket_key;

struct fa_tls_tickets {
    fa_account *account; /* a reference; pays for this */
    fa_clock *clock;
    _Atomic unsigned references;
    pthread_mutex_t lock; /* guards the keys */
    ticket_key current, previous;
};

static bool make_key(ticket_key *key, uint64_t now)
{
    key->made_ms = now;
    key->good = RAND_bytes(key->name, NAME_SIZE) == 1 && RAND_bytes(key->cipher, SECRET_SIZE) == 1 &&
                RAND_bytes(key->mac, SECRET_SIZE) == 1;
    return key->good;
}

/* With the lock: forgets what is too old. False: no key can be had. */
static bool renew(fa_tls_tickets *tickets)
{
    uint64_t now = fa_clock_now_ms(tickets->clock);
    if (now - tickets->previous.made_ms >= 2 * (uint64_t)KEY_MS)
        OPENSSL_cleanse(&tickets->previous, sizeof(tickets->previous));
    if (tickets->current.good && now - tickets->current.made_ms < (uint64_t)KEY_MS)
        return true;
    if (now - tickets->current.made_ms < 2 * (uint64_t)KEY_MS)
        tickets->previous = tickets->current;
    return make_key(&tickets->current, now);
}

/* ---- what OpenSSL asks ---- */

static int seal(const ticket_key *key, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher)
{
    memcpy(name, key->name, NAME_SIZE);
    return RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
           EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1;
}

static int set_mac(const ticket_key *key, EVP_MAC_CTX *mac)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, SECRET_SIZE),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static const ticket_key *find(const fa_tls_tickets *tickets, const unsigned char *name)
{
    if (memcmp(name, tickets->current.name, NAME_SIZE) == 0)
        return &tickets->current;
    if (tickets->previous.good && memcmp(name, tickets->previous.name, NAME_SIZE) == 0)
        return &tickets->previous;
    return NULL;
}

/* With TLS 1.3 a client uses each ticket once, lest it be known again by it. */
static int taken(const SSL *ssl, const fa_tls_tickets *tickets, const ticket_key *key)
{
    return key == &tickets->current && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

static int index_of_tickets(void);

/* 1: done; 0: not one of ours, or no ticket today; 2: taken, and to be replaced; -1: failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int sealing)
{
    fa_tls_tickets *tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index_of_tickets());
    int answer = 0;
    if (tickets == NULL)
        return 0;
    pthread_mutex_lock(&tickets->lock);
    if (renew(tickets)) {
        const ticket_key *key = sealing ? &tickets->current : find(tickets, name);
        if (key != NULL && sealing)
            answer = seal(key, name, iv, cipher) && set_mac(key, mac) ? 1 : -1;
        else if (key != NULL)
            answer = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1 && set_mac(key, mac)
                         ? taken(ssl, tickets, key)
                         : -1;
    }
    pthread_mutex_unlock(&tickets->lock);
    return answer;
}

/* ---- life ---- */

fa_tls_tickets *fa_tls_tickets_new(fa_account *account, fa_clock *clock)
{
    void *memory;
    if (fa_account_allocate(account, sizeof(fa_tls_tickets), &memory) != FA_OK)
        return NULL;
    fa_tls_tickets *tickets = memset(memory, 0, sizeof(*tickets));
    if (!make_key(&tickets->current, fa_clock_now_ms(clock))) {
        fa_account_free(account, tickets, sizeof(*tickets));
        return NULL;
    }
    tickets->account = fa_account_ref(account);
    tickets->clock = clock;
    tickets->references = 1;
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

fa_tls_tickets *fa_tls_tickets_ref(fa_tls_tickets *tickets)
{
    atomic_fetch_add(&tickets->references, 1);
    return tickets;
}

void fa_tls_tickets_unref(fa_tls_tickets *tickets)
{
    if (tickets == NULL || atomic_fetch_sub(&tickets->references, 1) != 1)
        return;
    fa_account *account = tickets->account;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    fa_account_free(account, tickets, sizeof(*tickets));
    fa_account_unref(account);
}

/* With the context's last reference, on whatever thread drops it. */
static void on_context_freed(void *parent, void *tickets, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    fa_tls_tickets_unref(tickets);
}

static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int tickets_index = -1; /* of the process, as OpenSSL wants it; written once */

static void take_index(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
}

static int index_of_tickets(void)
{
    pthread_once(&index_once, take_index);
    return tickets_index;
}

fa_result fa_tls_tickets_use(fa_tls_tickets *tickets, SSL_CTX *context)
{
    int index = index_of_tickets();
    if (index < 0 || SSL_CTX_set_ex_data(context, index, tickets) != 1)
        return FA_NO_MEMORY;
    fa_tls_tickets_ref(tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    SSL_CTX_set_timeout(context, KEY_MS / 1000);
    return FA_OK;
}
