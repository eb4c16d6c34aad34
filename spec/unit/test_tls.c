/* The TLS store: names, files, sessions and their keys, and that any of its allocations may fail. Handshakes run between two OpenSSL objects
 * in memory. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http/tls_identity.h"
#include "http/tls_store.h"

static char folder[] = "/tmp/fa-test-tls-XXXXXX";
static const char *const made[] = {"alpha", "beta", "gamma"};
static fa_log quiet = {.level = FA_LOG_ERROR, .fd = -1};

static const char *file_name(const char *name, const char *kind)
{
    static char names[4][128];
    static unsigned next;
    char *text = names[next++ % 4];
    snprintf(text, sizeof(names[0]), "%s/%s.%s", folder, name, kind);
    return text;
}

static void make_certificate(const char *name)
{
    char dns[128];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    snprintf(dns, sizeof(dns), "DNS:%s.example,DNS:*.%s.example", name, name);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, dns);
    X509_add_ext(x, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(x, key, EVP_sha256());
    FILE *out = fopen(file_name(name, "pem"), "w");
    PEM_write_X509(out, x);
    fclose(out);
    out = fopen(file_name(name, "key"), "w");
    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 3; ++i)
        make_certificate(made[i]);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; ++i) {
        unlink(file_name(made[i], "pem"));
        unlink(file_name(made[i], "key"));
    }
    unlink(file_name("bad", "pem"));
    return rmdir(folder);
}

/* ---- a store and its clients ---- */

static fa_tls_source sources[2];
static char paths[4][128];

static fa_tls_options two(const char *first, const char *second)
{
    snprintf(paths[0], 128, "%s", file_name(first, "pem"));
    snprintf(paths[1], 128, "%s", file_name(first, "key"));
    snprintf(paths[2], 128, "%s", file_name(second, "pem"));
    snprintf(paths[3], 128, "%s", file_name(second, "key"));
    sources[0] = (fa_tls_source){first, paths[0], paths[1], NULL};
    sources[1] = (fa_tls_source){second, paths[2], paths[3], NULL};
    return (fa_tls_options){.sources = sources, .count = 2};
}

typedef struct outcome {
    bool done, reused;
    char subject[32];
} outcome;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **place = SSL_get_app_data(ssl);
    SSL_SESSION_free(*place);
    *place = session;
    return 1;
}

/* session: offered when it is not NULL, and replaced by the one that the server gives. */
static outcome handshake(fa_tls *tls, const char *name, int version, SSL_SESSION **session)
{
    char byte;
    outcome seen = {false, false, ""};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method()), *ours = fa_tls_begin(tls);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    SSL *client = SSL_new(context), *server = SSL_new(ours);
    BIO *a, *b;
    assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_app_data(client, session);
    if (name != NULL)
        SSL_set_tlsext_host_name(client, name);
    if (*session != NULL)
        SSL_set_session(client, *session);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 20; ++i) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    SSL_write(server, "x", 1);
    SSL_read(client, &byte, 1); /* and the tickets before it */
    seen.done = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    seen.reused = SSL_session_reused(server) == 1;
    X509 *peer = SSL_get0_peer_certificate(client);
    if (peer != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, seen.subject, sizeof(seen.subject));
    SSL_shutdown(client); /* else its session would not be worth resuming */
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(context);
    SSL_CTX_free(ours);
    ERR_clear_error();
    return seen;
}

static void shows(fa_tls *tls, const char *name, const char *subject)
{
    SSL_SESSION *session = NULL;
    outcome seen = handshake(tls, name, TLS1_3_VERSION, &session);
    assert_true(seen.done);
    assert_string_equal(seen.subject, subject);
    SSL_SESSION_free(session);
}

typedef struct world {
    fa_failing failing;
    fa_clock clock;
    fa_ledger *ledger;
    fa_scope *scope;
    fa_tls *tls;
    fa_error error;
} world;

static void up(world *w)
{
    memset(w, 0, sizeof(*w));
    fa_failing_init(&w->failing);
    w->ledger = fa_test_ledger(&w->failing);
    fa_clock_init(&w->clock);
    fa_ledger_set_clock(w->ledger, &w->clock);
    assert_ok(fa_scope_new(w->ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &w->scope));
    fa_tls_options options = two("alpha", "beta");
    assert_ok(fa_tls_new(w->scope, &options, &quiet, &w->tls, &w->error));
}

static void down(world *w)
{
    fa_scope_end(w->scope, "over", NULL);
    fa_test_ledger_free(&w->failing, w->ledger);
}

/* ---- tests ---- */

static void patterns_match_names(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"a.example", "a.example", true},
        {"a.example", "A.EXAMPLE", true},
        {"a.example", "a.example.", true},
        {"a.example", "a.exampl", false},
        {"a.example", "a.examplee", false},
        {"a.example", "", false},
        {"a.example", ".", false},
        {"*.example", "a.example", true},
        {"*.example", "a.b.example", false},
        {"*.example", ".example", false},
        {"*.example", "example", false},
        {"*.b.example", "a.b.example", true},
        {"*.b.example", "a.c.example", false},
        {"*.example", "*.example", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i)
        assert_int_equal(fa_tls_name_matches(cases[i].pattern, cases[i].name, strlen(cases[i].name)), cases[i].matches);
}

static void names_choose(void **state)
{
    world w;
    (void)state;
    up(&w);
    shows(w.tls, NULL, "alpha");
    shows(w.tls, "beta.example", "beta");
    shows(w.tls, "x.beta.example", "beta");
    shows(w.tls, "nobody.example", "alpha");
    assert_true(fa_tls_expires(w.tls) > 0);
    down(&w);
}

static void sessions_resume_for_four_hours_at_most(void **state)
{
    world w;
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; ++version) {
        SSL_SESSION *session = NULL, *first;
        up(&w);
        assert_false(handshake(w.tls, "alpha.example", version, &session).reused);
        assert_true(handshake(w.tls, "alpha.example", version, &session).reused);
        first = session;
        SSL_SESSION_up_ref(first);
        w.clock.now_ms +=
            3 * 3600 * 1000; /* its key is the one before by now, and good; there is a fresh one for new tickets */
        assert_true(handshake(w.tls, "alpha.example", version, &session).reused);
        w.clock.now_ms += 3 * 3600 * 1000;
        assert_false(handshake(w.tls, "alpha.example", version, &first).reused);
        SSL_SESSION_free(session);
        SSL_SESSION_free(first);
        down(&w);
    }
}

static void sessions_belong_to_one_identity(void **state)
{
    world w;
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; ++version) {
        SSL_SESSION *session = NULL;
        up(&w);
        handshake(w.tls, "alpha.example", version, &session);
        outcome other = handshake(w.tls, "beta.example", version, &session);
        assert_true(other.done);
        assert_false(other.reused);
        assert_string_equal(other.subject, "beta");
        assert_true(handshake(w.tls, "beta.example", version, &session).reused);
        assert_false(handshake(w.tls, "alpha.example", version, &session).reused);
        SSL_SESSION_free(session);
        down(&w);
    }
}

static void loading_changes_all_or_nothing(void **state)
{
    world w;
    SSL_SESSION *alpha = NULL, *beta = NULL;
    (void)state;
    up(&w);
    handshake(w.tls, "alpha.example", TLS1_3_VERSION, &alpha);
    handshake(w.tls, "beta.example", TLS1_3_VERSION, &beta);

    fa_tls_options options = two("gamma", "beta");
    sources[1].key = paths[1]; /* gamma's */
    assert_int_equal(fa_tls_load(w.tls, &options, &w.error), FA_INVALID);
    assert_non_null(strstr(w.error.text, "tls.beta: "));
    assert_non_null(strstr(w.error.text, "gamma.key: is not the key of "));
    shows(w.tls, NULL, "alpha");

    options = two("gamma", "bad");
    assert_int_equal(fa_tls_load(w.tls, &options, &w.error), FA_INVALID);
    assert_non_null(strstr(w.error.text, "bad.pem: No such file or directory"));
    sources[1].certificate = NULL;
    assert_int_equal(fa_tls_load(w.tls, &options, &w.error), FA_INVALID);
    options.count = 0;
    assert_int_equal(fa_tls_load(w.tls, &options, &w.error), FA_INVALID);
    shows(w.tls, NULL, "alpha");
    assert_int_equal(ERR_peek_error(), 0); /* or the next handshake of this thread would fail of it */

    options = two("gamma", "alpha");
    assert_ok(fa_tls_load(w.tls, &options, &w.error));
    shows(w.tls, NULL, "gamma");
    assert_true(handshake(w.tls, "alpha.example", TLS1_3_VERSION, &alpha).reused);
    assert_false(handshake(w.tls, "beta.example", TLS1_3_VERSION, &beta).reused);
    SSL_SESSION_free(alpha);
    SSL_SESSION_free(beta);
    down(&w);
}

static void written_names_replace_those_of_the_certificate(void **state)
{
    world w;
    (void)state;
    up(&w);
    fa_tls_options options = two("alpha", "beta");
    sources[1].names = "One.example, *.two.example,";
    assert_ok(fa_tls_load(w.tls, &options, &w.error));
    shows(w.tls, "one.example", "beta");
    shows(w.tls, "x.two.example", "beta");
    shows(w.tls, "beta.example", "alpha");
    down(&w);
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        fa_scope *scope;
        fa_tls *tls = NULL;
        fa_error error = {""};
        fa_tls_options options = two("alpha", "beta");
        if (fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope) == FA_OK) {
            fa_result result = fa_tls_new(scope, &options, &quiet, &tls, &error);
            if (result == FA_OK && fa_tls_load(tls, &options, &error) == FA_OK)
                reached = true;
            if (tls != NULL)
                shows(tls, "beta.example", "beta"); /* whether the second load came through or not */
            fa_scope_end(scope, "over", NULL);
        }
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_names),
        cmocka_unit_test(names_choose),
        cmocka_unit_test(sessions_resume_for_four_hours_at_most),
        cmocka_unit_test(sessions_belong_to_one_identity),
        cmocka_unit_test(loading_changes_all_or_nothing),
        cmocka_unit_test(written_names_replace_those_of_the_certificate),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
