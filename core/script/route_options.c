#include "script/route_options.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

enum {
    MOST_CONCURRENT = 100000,
    MOST_QUEUE = 100000,
    DEFAULT_QUEUE = 16,
    DEFAULT_QUEUE_MS = 2000,
    MOST_QUEUE_MS = 600000
};

static size_t or_no_limit(size_t size)
{
    return size != 0 ? size : SIZE_MAX;
}

void fa_route_options_default(const fa_script *script, fa_route_options *options)
{
    const fa_body_limits *limits = &script->options.bodies;
    *options = (fa_route_options){.max_body = or_no_limit(limits->max_body),
                                  .max_json = or_no_limit(limits->max_json),
                                  .json_depth = fa_script_json_depth(script)};
}

/* ---- reading ---- */

/* What a route declares, and where its values go. */
typedef struct reader {
    lua_State *L;
    fa_script *script;
    const char *route; /* "POST /x" */
    fa_route_options *options;
    fa_turnstile_limits limits;
    bool limited, queued;
} reader;

static void refuse(const reader *r, const char *key, const char *problem)
{
    luaL_error(r->L, "route %s: %s %s", r->route, key, problem);
}

/* The value on top. */
static size_t read_size(const reader *r, const char *key)
{
    char what[160];
    snprintf(what, sizeof(what), "route %s: %s", r->route, key);
    return fa_lua_check_size(r->L, -1, what);
}

static unsigned read_count(const reader *r, const char *key, unsigned least, unsigned most)
{
    char problem[80];
    lua_Number value = lua_type(r->L, -1) == LUA_TNUMBER ? lua_tonumber(r->L, -1) : -1;
    if (!(value >= least && value <= most) || value != (lua_Number)(unsigned)value) {
        snprintf(problem, sizeof(problem), "must be a whole number from %u to %u", least, most);
        refuse(r, key, problem);
    }
    return (unsigned)value;
}

static uint64_t read_duration(const reader *r, const char *key)
{
    uint64_t ms = MOST_QUEUE_MS + 1;
    fa_error error;
    if (lua_type(r->L, -1) != LUA_TSTRING || fa_parse_duration(lua_tostring(r->L, -1), &ms, &error) != FA_OK ||
        ms > MOST_QUEUE_MS)
        refuse(r, key, "must be a duration such as \"2s\", at most \"10min\"");
    return ms;
}

static void read_max_body(reader *r, const char *key)
{
    size_t most = r->script->options.bodies.max_upload;
    r->options->max_body = read_size(r, key);
    if (most != 0 && r->options->max_body > most) {
        char problem[80], size[16];
        snprintf(problem, sizeof(problem), "is more than the configuration allows: max_upload is %s",
                 fa_format_size(most, size));
        refuse(r, key, problem);
    }
}

static void read_max_json(reader *r, const char *key)
{
    r->options->max_json = read_size(r, key);
}

static void read_json_depth(reader *r, const char *key)
{
    r->options->json_depth = read_count(r, key, 1, FA_MOST_JSON_DEPTH);
}

static void read_max_concurrent(reader *r, const char *key)
{
    r->limits.inside = read_count(r, key, 1, MOST_CONCURRENT);
    r->limited = true;
}

static void read_queue(reader *r, const char *key)
{
    r->limits.waiting = read_count(r, key, 0, MOST_QUEUE);
    r->queued = true;
}

static void read_queue_time(reader *r, const char *key)
{
    r->limits.wait_ms = read_duration(r, key);
    r->queued = true;
}

static const struct {
    const char *key;
    void (*read)(reader *r, const char *key);
} known[] = {
    {"max_body", read_max_body},
    {"max_json", read_max_json},
    {"max_json_depth", read_json_depth},
    {"max_concurrent", read_max_concurrent},
    {"queue", read_queue},
    {"queue_time", read_queue_time},
};

static void read_one(reader *r, const char *key)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        if (strcmp(known[i].key, key) == 0) {
            known[i].read(r, key);
            return;
        }
    }
    refuse(
        r, key,
        "is not known: there are max_body, max_json, max_json_depth, max_concurrent, queue, queue_time, name, host and "
        "use");
}

static void read_all(reader *r, int index)
{
    lua_State *L = r->L;
    fa_route_options_default(r->script, r->options);
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "route %s: its options have names, as in {max_body = \"2MB\"}", r->route);
        read_one(r, lua_tostring(L, -2));
    }
}

void fa_route_options_check(lua_State *L, int index, fa_script *script, const char *label)
{
    fa_route_options unused;
    reader r = {L, script, label, &unused, {0, 0, 0}, false, false};
    read_all(&r, index);
}

void fa_route_options_read(lua_State *L, int index, fa_script *script, const char *label, fa_route_options *options)
{
    reader r = {L, script, label, options, {0, DEFAULT_QUEUE, DEFAULT_QUEUE_MS}, false, false};
    read_all(&r, index);
    if (r.queued && !r.limited)
        luaL_error(L, "route %s: queue and queue_time mean nothing without max_concurrent", label);
    if (!r.limited)
        return;
    options->queue_ms = r.limits.wait_ms;
    options->limits = r.limits;
    if (fa_turnstiles_find(script->turnstiles, label, &r.limits, &options->turnstile) != FA_OK)
        luaL_error(L, "route %s: no memory", label);
    options->next_limited = script->limited;
    script->limited = options;
}

void fa_route_options_apply(const fa_script *script)
{
    for (const fa_route_options *options = script->limited; options != NULL; options = options->next_limited)
        fa_turnstile_limit(options->turnstile, &options->limits);
}

void fa_route_options_free(fa_script *script)
{
    for (; script->limited != NULL; script->limited = script->limited->next_limited)
        fa_turnstile_unref(script->limited->turnstile);
}

/* ---- asking ---- */

size_t fa_script_body_limit(const fa_route_key *key, void *context)
{
    char allow[FA_ALLOW_SIZE], decoded[1024];
    fa_route route;
    const fa_script *script = context;
    size_t length = fa_path_decode(key->path, decoded, sizeof(decoded));
    fa_route_key plain = {key->method, key->host, {decoded, length}};
    if (length == 0 || fa_router_match(script->router, &plain, &route, allow) != FA_OK)
        return script->default_options->max_body;
    return script->routes[route.target].options->max_body;
}

size_t fa_script_largest_body(const fa_script *script)
{
    size_t most = script->default_options->max_body;
    for (size_t i = 0; i < script->route_count; ++i)
        most = script->routes[i].options->max_body > most ? script->routes[i].options->max_body : most;
    return most;
}

/* ---- admitting ---- */

/* In memory of the request's scope. */
typedef struct admission {
    fa_turnstile_pass pass;
    fa_scope_hook at_end;
    fa_exchange *exchange;
    const fa_route_options *options;
    void (*go)(fa_exchange *exchange);
} admission;

static void answer_busy(fa_exchange *exchange, const fa_route_options *options, const char *message)
{
    char seconds[24];
    uint64_t whole = (options->queue_ms + 999) / 1000;
    int length = snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(whole > 0 ? whole : 1));
    fa_exchange_fail(exchange, 503, "route_busy", message,
                     &(fa_header){FA_TEXT("retry-after"), {seconds, (size_t)length}});
}

static void on_end(fa_scope_hook *hook)
{
    fa_turnstile_leave(&FA_OBJECT(hook, admission, at_end)->pass);
}

static void on_turn(fa_turnstile_pass *pass, fa_result result)
{
    admission *a = FA_OBJECT(pass, admission, pass);
    if (a->exchange->status != 0 || a->exchange->gone) /* its generation was cut meanwhile */
        return;
    if (result == FA_OK)
        a->go(a->exchange);
    else
        answer_busy(a->exchange, a->options, "This route is busy, and no place became free in time.");
}

static bool pass_turnstile(fa_script *script, fa_exchange *exchange, const fa_route_options *options,
                           void (*go)(fa_exchange *exchange))
{
    admission *a = fa_scope_allocate(exchange->scope, sizeof(*a));
    fa_result result = FA_NO_MEMORY;
    if (a != NULL) {
        a->exchange = exchange;
        a->options = options;
        a->go = go;
        fa_scope_hook_add(exchange->scope, &a->at_end, on_end);
        result = fa_turnstile_enter(options->turnstile, &a->pass, script->worker, exchange->scope, on_turn);
    }
    if (result == FA_FULL)
        answer_busy(exchange, options, "This route is busy, and too many requests wait for it.");
    else if (result != FA_OK && result != FA_CONFLICT)
        fa_exchange_fail(exchange, 503, "over_budget", "There is no memory for this request now.",
                         &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
    return result == FA_OK;
}

bool fa_route_admit(fa_script *script, fa_exchange *exchange, const fa_route_options *options,
                    void (*go)(fa_exchange *exchange))
{
    if (exchange->body != NULL && fa_buffer_length(exchange->body) > options->max_body) {
        fa_exchange_fail(exchange, 413, "body_too_large", "The request body is larger than this path takes.", NULL);
        return false;
    }
    return options->turnstile == NULL || pass_turnstile(script, exchange, options, go);
}
