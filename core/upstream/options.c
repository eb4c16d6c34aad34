/* The keys. docs/upstreams.md says the same; spec/unit/test_upstream_options.c compares the two and prints the table. */
#include "upstream/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define SECOND 1000.0
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KB     1024.0
#define MB     (1024 * KB)
#define GB     (1024 * MB)

#define KEY(name, type, member, fallback, minimum, maximum, doc)                                                       \
    {                                                                                                                  \
        name, FA_UPSTREAM_##type, fallback, minimum, maximum, offsetof(fa_upstream_options, member), doc, NULL         \
    }
#define TEXT(name, doc)                                                                                                \
    {                                                                                                                  \
#name, FA_UPSTREAM_TEXT, NULL, 0, 0, offsetof(fa_upstream_options, name), doc, NULL                            \
    }

/* clang-format off */
static const fa_upstream_key keys[] = {
    TEXT(url, "base address, http or https; several, with commas: the first that is well is asked"),

    /* who we are */
    {"auth", FA_UPSTREAM_TEXT, NULL, 0, 0, offsetof(fa_upstream_options, auth),
     "how the secret is sent; not set: bearer, when there is one", "bearer|basic|header"},
    TEXT(token, "the secret, as in token = env(\"KEY\"); for basic the password. It is never logged"),
    TEXT(token_env, "name of the environment variable that holds the secret"),
    TEXT(token_file, "file that holds the secret, read at the start and when the pool is recycled on demand"),
    TEXT(user, "user name for basic"),
    KEY("auth_header", TEXT, auth_header, "Authorization", 0, 0, "for header: the name of the header"),
    TEXT(auth_scheme, "for header: a word before the secret, as ApiKey"),
    KEY("trace", FLAG, trace, "true", 0, 0, "whether the trace of the request that is answered goes along (traceparent); never with fetch"),
    KEY("user_agent", TEXT, user_agent, "fitnessally/" FA_VERSION, 0, 0, "the User-Agent"),

    /* the way there */
    TEXT(ca_file, "certificates to trust, PEM; not set: the system's"),
    TEXT(client_cert, "our certificate, PEM"),
    TEXT(client_key, "its key, PEM"),
    KEY("tls_verify", FLAG, tls_verify, "true", 0, 0, "whether the service's certificate must be good; false is for tests"),
    TEXT(proxy, "http://HOST:PORT or socks5h://HOST:PORT, USER:PASSWORD@ before the host if it asks for them; the environment's proxies are not used"),

    /* deadlines */
    KEY("connect_timeout", DURATION, connect_ms, "5s", 1, 10 * MINUTE, "until there is a connection: name, TCP, TLS"),
    KEY("first_byte_timeout", DURATION, first_byte_ms, "60s", 1, 1 * HOUR, "from then until the first byte of the answer"),
    KEY("idle_timeout", DURATION, idle_ms, "60s", 1, 1 * HOUR, "between two pieces of the answer; time in which we do not read is not counted"),
    KEY("total_timeout", DURATION, total_ms, "5min", 1, 1 * DAY, "for all of it: waiting, every attempt, the whole body"),

    /* how much at once */
    KEY("concurrency", NUMBER, concurrency, "100", 0, 100000, "transfers at once, over all workers; 0: no limit"),
    KEY("queue", NUMBER, queue, "1000", 0, 1000000, "transfers that wait for a place; one more is refused as busy"),
    KEY("queue_wait", DURATION, queue_wait_ms, "10s", 1, 1 * HOUR, "the longest that one waits, then it is refused as busy"),
    KEY("connections", NUMBER, connections, "0", 0, 100000, "connections at once, over all workers; 0: no limit but concurrency. More transfers wait for one"),
    KEY("connections_per_host", NUMBER, connections_per_host, "0", 0, 100000, "the same to one host"),
    KEY("max_response", SIZE, max_response, "8MB", 1, 16 * GB, "the longest body that is taken as a whole"),
    KEY("max_head", SIZE, max_head, "32KB", 256, 256 * KB, "the longest head of an answer"),
    KEY("window", SIZE, window, "128KB", 16 * KB, 64 * MB, "bytes of a stream that wait for the script; then reading stops"),
    KEY("event_max", SIZE, event_max, "1MB", 64, 64 * MB, "the longest event or line of a stream"),

    /* connections */
    KEY("keepalive", FLAG, keepalive, "true", 0, 0, "whether a connection is used again"),
    KEY("reuse_unsafe", FLAG, reuse_unsafe, "true", 0, 0, "whether a request that must not be sent twice may go out on a kept connection; false: each has a new one"),
    KEY("max_idle", NUMBER, max_idle, "16", 1, 10000, "idle connections that each worker keeps; of answers that end at once more may stay, and each later one closes one"),
    KEY("close_idle", DURATION, close_idle_ms, "60s", 0, 1 * DAY, "after so long without a transfer a worker closes all its idle connections; 0: never"),
    KEY("connection_max_idle", DURATION, connection_max_idle_ms, "60s", 1 * SECOND, 1 * DAY, "a connection that was idle for longer is not used again"),
    KEY("connection_max_age", DURATION, connection_max_age_ms, "0", 0, 30 * DAY, "a connection that is older is not used again; 0: no limit"),

    /* again */
    KEY("retries", NUMBER, retries, "2", 0, 10, "how often one request is repeated at most"),
    KEY("retry_budget", NUMBER, retry_budget, "10", 0, 10000, "repetitions that may come in a burst, over all workers; 0: none at all"),
    KEY("retry_percent", NUMBER, retry_percent, "10", 0, 100, "repetitions allowed on top of that, in percent of the requests"),
    KEY("retry_base", DURATION, retry_base_ms, "100ms", 1, 1 * HOUR, "the wait before the first repetition; it doubles, and half of it is chance"),
    KEY("retry_cap", DURATION, retry_cap_ms, "5s", 1, 1 * HOUR, "the longest such wait"),
    KEY("retry_after_max", DURATION, retry_after_ms, "10s", 0, 1 * HOUR, "a Retry-After up to this is waited for; a longer one is the answer"),
    KEY("breaker_failures", NUMBER, breaker_failures, "10", 0, 100000, "after so many failures in a row an address is left alone, by all workers; 0: never"),
    KEY("breaker_cooldown", DURATION, breaker_cooldown_ms, "5s", 1, 1 * DAY, "so long; then one request tries it"),
    KEY("hedge", DURATION, hedge_ms, "0", 0, 1 * HOUR, "a request that may be repeated is sent a second time when no byte has come by then; 0: never"),
    KEY("redirects", NUMBER, redirects, "3", 0, 20, "how many are followed; credentials never leave the host"),

    /* fresh pools */
    KEY("recycle_age", DURATION, recycle_age_ms, "0", 0, 365 * DAY, "the pool is replaced when it is so old; 0: never"),
    KEY("recycle_requests", NUMBER, recycle_requests, "0", 0, 1e15, "the same after so many requests"),
    KEY("recycle_bytes", SIZE, recycle_bytes, "0", 0, 1e15, "the same after so many bytes received"),

    /* safety */
    KEY("guard", FLAG, guard, "false", 0, 0, "whether addresses are checked as those of fetch are"),
    TEXT(guard_allow, "networks that the guard lets through, as 10.1.0.0/16,fd00::/8"),
    KEY("guard_ports", TEXT, guard_ports, "80,443", 0, 0, "ports that the guard lets through, with commas; any: all"),
    {NULL, FA_UPSTREAM_TEXT, NULL, 0, 0, 0, NULL, NULL},
};
/* clang-format on */

const fa_upstream_key *fa_upstream_keys(void)
{
    return keys;
}

const char *fa_upstream_key_type_name(fa_upstream_key_type type)
{
    static const char *const names[] = {"text", "flag", "number", "size", "duration"};
    return names[type];
}

bool fa_upstream_name_is_good(const char *name, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        if (!letter && (i == 0 || ((name[i] < '0' || name[i] > '9') && name[i] != '_' && name[i] != '-')))
            return false;
    }
    return length > 0 && length <= FA_UPSTREAM_NAME_MAX;
}

static const fa_upstream_key *find(const char *name)
{
    for (const fa_upstream_key *key = keys; key->name != NULL; ++key) {
        if (strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}

static fa_result parse_flag(const char *value, uint64_t *out, fa_error *error)
{
    *out = strcmp(value, "true") == 0;
    if (!*out && strcmp(value, "false") != 0)
        return fa_fail(error, FA_INVALID, "needs true or false, not \"%.40s\"", value);
    return FA_OK;
}

static fa_result parse_number(const char *value, uint64_t *out, fa_error *error)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0)
        return fa_fail(error, FA_INVALID, "needs a whole number, not \"%.40s\"", value);
    *out = number;
    return FA_OK;
}

static fa_result parse(const fa_upstream_key *key, const char *value, uint64_t *out, fa_error *error)
{
    fa_result result = key->type == FA_UPSTREAM_FLAG     ? parse_flag(value, out, error)
                       : key->type == FA_UPSTREAM_NUMBER ? parse_number(value, out, error)
                       : key->type == FA_UPSTREAM_SIZE   ? fa_parse_size(value, out, error)
                                                         : fa_parse_duration(value, out, error);
    if (result != FA_OK || key->type == FA_UPSTREAM_FLAG)
        return result;
    if ((double)*out < key->minimum || (double)*out > key->maximum)
        return fa_fail(error, FA_INVALID, "\"%.40s\" is out of range", value);
    return FA_OK;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, value, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}

static fa_result set_text(const fa_upstream_key *key, const char **member, fa_scope *scope, const char *value,
                          fa_error *error)
{
    if (*value == '\0') {
        *member = NULL;
        return FA_OK;
    }
    if (key->choices != NULL && !is_choice(key->choices, value))
        return fa_fail(error, FA_INVALID, "is one of %s", key->choices);
    *member = fa_scope_copy_text(scope, value, strlen(value));
    return *member != NULL ? FA_OK : fa_fail(error, FA_NO_MEMORY, "out of memory");
}

void fa_upstream_options_default(fa_upstream_options *options)
{
    memset(options, 0, sizeof(*options));
    for (const fa_upstream_key *key = keys; key->name != NULL; ++key) {
        void *member = (char *)options + key->offset;
        uint64_t number = 0;
        if (key->type == FA_UPSTREAM_TEXT) {
            *(const char **)member = key->fallback;
            continue;
        }
        parse(key, key->fallback, &number, NULL);
        if (key->type == FA_UPSTREAM_FLAG)
            *(bool *)member = number != 0;
        else
            *(uint64_t *)member = number;
    }
}

fa_result fa_upstream_options_set(fa_upstream_options *options, fa_scope *scope, const char *name, const char *value,
                                  fa_error *error)
{
    uint64_t number = 0;
    const fa_upstream_key *key = find(name);
    if (key == NULL)
        return fa_fail(error, FA_NOT_FOUND, "\"%.60s\" is no key of an upstream", name);
    void *member = (char *)options + key->offset;
    if (key->type == FA_UPSTREAM_TEXT)
        return set_text(key, member, scope, value, error);
    fa_result result = parse(key, value, &number, error);
    if (result != FA_OK)
        return result;
    if (key->type == FA_UPSTREAM_FLAG)
        *(bool *)member = number != 0;
    else
        *(uint64_t *)member = number;
    return FA_OK;
}

fa_result fa_upstream_options_check(const fa_upstream_options *options, bool needs_url, fa_error *error)
{
    int secrets = (options->token != NULL) + (options->token_env != NULL) + (options->token_file != NULL);
    if (needs_url && options->url == NULL)
        return fa_fail(error, FA_INVALID, "url is not set");
    if (secrets > 1)
        return fa_fail(error, FA_INVALID, "token, token_env and token_file: only one of them");
    if (options->proxy != NULL && strncmp(options->proxy, "http://", 7) != 0 &&
        strncmp(options->proxy, "socks5h://", 10) != 0)
        return fa_fail(error, FA_INVALID, "proxy begins with http:// or socks5h://");
    if (options->auth != NULL && secrets == 0)
        return fa_fail(error, FA_INVALID, "auth is set, and neither token, token_env nor token_file");
    if (options->auth != NULL && strcmp(options->auth, "basic") == 0 && options->user == NULL)
        return fa_fail(error, FA_INVALID, "auth is basic, and user is not set");
    return FA_OK;
}

/* ---- the secret ---- */

static fa_result check_secret(const char *secret, const char *from, fa_error *error)
{
    for (const char *c = secret; *c != '\0'; ++c) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return fa_fail(error, FA_INVALID, "%.200s: the secret has a line break or another control character", from);
    }
    return *secret != '\0' ? FA_OK : fa_fail(error, FA_NOT_FOUND, "%.200s: the secret is empty", from);
}

static fa_result read_secret(const char *path, char *out, size_t size, fa_error *error)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file == NULL)
        return fa_fail(error, FA_NOT_FOUND, "token_file %.200s: %s", path, strerror(errno));
    size_t length = fread(out, 1, size - 1, file);
    bool whole = feof(file) != 0;
    fclose(file);
    while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == '\r'))
        --length;
    out[length] = '\0';
    return whole ? FA_OK : fa_fail(error, FA_INVALID, "token_file %.200s is too long for a secret", path);
}

fa_result fa_upstream_secret(const fa_upstream_options *options, fa_scope *scope, const char **secret, fa_error *error)
{
    char text[8192];
    const char *value = options->token, *from = "token";
    *secret = NULL;
    if (options->token_env != NULL) {
        from = "token_env";
        value = getenv(options->token_env);
        if (value == NULL)
            return fa_fail(error, FA_NOT_FOUND, "token_env: there is no %.100s in the environment", options->token_env);
    } else if (options->token_file != NULL) {
        from = "token_file";
        fa_result result = read_secret(options->token_file, text, sizeof(text), error);
        if (result != FA_OK) {
            explicit_bzero(text, sizeof(text)); /* what there was of it */
            return result;
        }
        value = text;
    }
    if (value == NULL)
        return FA_OK;
    fa_result result = check_secret(value, from, error);
    if (result == FA_OK && (*secret = fa_scope_copy_text(scope, value, strlen(value))) == NULL)
        result = fa_fail(error, FA_NO_MEMORY, "out of memory");
    explicit_bzero(text, sizeof(text));
    return result;
}
