/* What can be said about an upstream: one table of keys, which the configuration (upstreams.NAME.KEY), fitnessally.upstream in Lua and
 * docs/upstreams.md share. Thread: any. */
#ifndef FA_UPSTREAM_OPTIONS_H
#define FA_UPSTREAM_OPTIONS_H

#include "memory/scope.h"

enum { FA_UPSTREAM_NAME_MAX = 48, FA_UPSTREAM_MOST_BASES = 8 };

/* Texts are NULL when not set. */
typedef struct fa_upstream_options {
    const char *url;
    const char *auth, *auth_header, *auth_scheme, *user, *token, *token_env, *token_file;
    const char *ca_file, *client_cert, *client_key, *proxy, *user_agent;
    const char *guard_allow, *guard_ports;
    bool tls_verify, keepalive, reuse_unsafe, guard, trace;
    uint64_t connect_ms, first_byte_ms, idle_ms, total_ms;
    uint64_t connections, connections_per_host, max_idle;
    uint64_t close_idle_ms, connection_max_idle_ms, connection_max_age_ms;
    uint64_t max_response, max_head, window, event_max;
    uint64_t concurrency, queue, queue_wait_ms;
    uint64_t retries, retry_budget, retry_percent, retry_base_ms, retry_cap_ms, retry_after_ms;
    uint64_t breaker_failures, breaker_cooldown_ms, hedge_ms, redirects;
    uint64_t recycle_age_ms, recycle_requests, recycle_bytes;
} fa_upstream_options;

typedef enum fa_upstream_key_type {
    FA_UPSTREAM_TEXT,
    FA_UPSTREAM_FLAG,
    FA_UPSTREAM_NUMBER,
    FA_UPSTREAM_SIZE,
    FA_UPSTREAM_DURATION
} fa_upstream_key_type;

typedef struct fa_upstream_key {
    const char *name;
    fa_upstream_key_type type;
    const char *fallback; /* as written; NULL: not set */
    double minimum, maximum;
    size_t offset; /* in fa_upstream_options */
    const char *doc;
    const char *choices; /* "bearer|basic|header"; NULL: any */
} fa_upstream_key;

/* The last has name NULL. */
const fa_upstream_key *fa_upstream_keys(void);
const char *fa_upstream_key_type_name(fa_upstream_key_type type);

/* Lower-case letters, digits, "_" and "-", beginning with a letter. */
bool fa_upstream_name_is_good(const char *name, size_t length);

/* All defaults. */
void fa_upstream_options_default(fa_upstream_options *options);

/* One key. Texts are copied into `scope`; an empty one is "not set". FA_NOT_FOUND: there is no such key, FA_INVALID, FA_NO_MEMORY, with a
 * sentence without the value where that may be a secret. */
fa_result fa_upstream_options_set(fa_upstream_options *options, fa_scope *scope, const char *key, const char *value,
                                  fa_error *error);

/* What only holds together: a url (unless it is the one of fetch), a secret from one place, a user for basic. */
fa_result fa_upstream_options_check(const fa_upstream_options *options, bool needs_url, fa_error *error);

/* The secret, from wherever it is to come, in memory of `scope`; NULL in *secret when there is none. A file's trailing line break is
 * not of it. FA_NOT_FOUND when the variable or the file is missing, FA_INVALID when it holds control characters, FA_NO_MEMORY. */
fa_result fa_upstream_secret(const fa_upstream_options *options, fa_scope *scope, const char **secret, fa_error *error);

#endif
