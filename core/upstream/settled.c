/* Settings made ready: options parsed, addresses taken apart, the secret put into its header. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "upstream/internal.h"

settled *fa_settled_ref(settled *s)
{
    s->references++;
    return s;
}

static void forget(const char *secret)
{
    if (secret != NULL)
        explicit_bzero((char *)secret, strlen(secret));
}

static bool is_secret(const char *key)
{
    return strcmp(key, "token") == 0 || strcmp(key, "proxy") == 0;
}

void fa_settled_unref(settled *s)
{
    if (s == NULL || --s->references > 0)
        return;
    forget(s->secret);
    forget(s->secret_text);
    forget(s->options.token);
    forget(s->options.proxy);
    for (size_t i = 0; i < s->setting_count; ++i) {
        if (is_secret(s->settings[i].key))
            forget(s->settings[i].value);
    }
    fa_scope_end(s->scope, "replaced", NULL);
}

/* ---- settings ---- */

static const char *copy(settled *s, const char *text)
{
    return text != NULL ? fa_scope_copy_text(s->scope, text, strlen(text)) : NULL;
}

static fa_upstream_setting *find(settled *s, const char *key)
{
    for (size_t i = 0; i < s->setting_count; ++i) {
        if (strcmp(s->settings[i].key, key) == 0)
            return &s->settings[i];
    }
    return NULL;
}

static fa_result keep(settled *s, const fa_upstream_setting *said, fa_error *error)
{
    fa_upstream_setting *mine = find(s, said->key);
    if (mine != NULL && mine->fixed && !said->fixed)
        return FA_OK;
    if (mine == NULL && s->setting_count == MAX_SETTINGS)
        return fa_fail(error, FA_FULL, "too many keys");
    fa_upstream_setting fresh = {copy(s, said->key), copy(s, said->value), copy(s, said->where), said->fixed};
    if (fresh.key == NULL || fresh.value == NULL || (said->where != NULL && fresh.where == NULL))
        return fa_fail(error, FA_NO_MEMORY, "out of memory");
    *(mine != NULL ? mine : &s->settings[s->setting_count++]) = fresh;
    return FA_OK;
}

/* detail begins with the key that it is about, so that where that was written can be told; or with another word: then it is all of it. */
static fa_result refuse(settled *s, const char *name, fa_result result, const fa_error *detail, fa_error *error)
{
    char key[FA_UPSTREAM_NAME_MAX];
    snprintf(key, sizeof(key), "%.*s", (int)strcspn(detail->text, " ,:"), detail->text);
    const fa_upstream_setting *said = find(s, key);
    const char *where = said != NULL ? said->where : s->setting_count > 0 ? s->settings[0].where : NULL;
    return fa_fail(error, result, "%s%supstreams.%s: %s", where != NULL ? where : "", where != NULL ? ": " : "", name,
                   detail->text);
}

static fa_result apply(settled *s, const char *name, fa_error *error)
{
    fa_error detail;
    fa_upstream_options_default(&s->options);
    for (size_t i = 0; i < s->setting_count; ++i) {
        const fa_upstream_setting *said = &s->settings[i];
        fa_result result = fa_upstream_options_set(&s->options, s->scope, said->key, said->value, &detail);
        if (result != FA_OK)
            return fa_fail(error, result, "%s%supstreams.%s.%s: %s", said->where != NULL ? said->where : "",
                           said->where != NULL ? ": " : "", name, said->key, detail.text);
    }
    return FA_OK;
}

fa_result fa_upstream_settings_check(fa_scope *parent, const char *name, const fa_upstream_setting *settings,
                                     size_t count, fa_error *error)
{
    fa_scope *scope;
    fa_error detail = {""};
    fa_upstream_options options;
    if (!fa_upstream_name_is_good(name, strlen(name)))
        return fa_fail(error, FA_INVALID,
                       "\"%.60s\" is no name of an upstream: lower-case letters, digits, \"_\" and \"-\"", name);
    fa_result result = fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_WORKER, 0, "settings", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for upstream %s", name);
    fa_upstream_options_default(&options);
    for (size_t i = 0; i < count && result == FA_OK; ++i) {
        result = fa_upstream_options_set(&options, scope, settings[i].key, settings[i].value, &detail);
        if (result != FA_OK)
            fa_fail(error, result, "upstreams.%s.%s: %s", name, settings[i].key, detail.text);
    }
    fa_scope_end(scope, "checked", NULL);
    return result;
}

/* ---- addresses ---- */

static fa_result add_base(settled *s, const char *text, size_t length, fa_error *error)
{
    if (s->base_count == FA_UPSTREAM_MOST_BASES)
        return fa_fail(error, FA_FULL, "url: more than %d addresses", FA_UPSTREAM_MOST_BASES);
    while (length > 0 && text[length - 1] == '/')
        --length;
    base *b = &s->bases[s->base_count];
    char *url = fa_scope_copy_text(s->scope, text, length);
    if (url == NULL)
        return fa_fail(error, FA_NO_MEMORY, "out of memory");
    if (strpbrk(url, "?# \t") != NULL || !fa_url_origin(url, b->origin, NULL))
        return fa_fail(error, FA_INVALID,
                       "url: is no base address, as https://host:port/v1 (without a query or a user name)");
    b->url = url;
    s->base_count++;
    return FA_OK;
}

static fa_result read_bases(settled *s, fa_error *error)
{
    fa_result result = FA_OK;
    for (const char *at = s->options.url; at != NULL && *at != '\0' && result == FA_OK;) {
        size_t skip = strspn(at, ", "), length = strcspn(at + skip, ", ");
        if (length > 0)
            result = add_base(s, at + skip, length, error);
        at += skip + length;
    }
    return result;
}

static void on_end(fa_scope_hook *hook)
{
    settled *s = FA_OBJECT(hook, settled, at_end);
    for (size_t i = 0; i < s->base_count; ++i)
        fa_shared_breaker_unref(s->bases[i].breaker);
}

/* Each address has a breaker that all workers share. */
static fa_result share_health(settled *s, fa_healths *healths, const char *name, fa_error *error)
{
    fa_result result = FA_OK;
    for (size_t i = 0; i < s->base_count && result == FA_OK; ++i)
        result = fa_healths_breaker(healths, name, s->bases[i].url, s->options.breaker_failures,
                                    s->options.breaker_cooldown_ms, &s->bases[i].breaker);
    return result == FA_OK ? FA_OK : fa_fail(error, result, "out of memory");
}

/* ---- the secret ---- */

static fa_result encode_basic(settled *s, const char *secret, char *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[6000];
    int length = snprintf(plain, sizeof(plain), "%s:%s", s->options.user, secret);
    size_t at = 0;
    if (length < 0 || (size_t)length >= sizeof(plain) || (size_t)(length + 2) / 3 * 4 >= size)
        return FA_FULL;
    for (int i = 0; i < length; i += 3) {
        unsigned left = (unsigned)(length - i);
        unsigned bits = (unsigned)(unsigned char)plain[i] << 16;
        bits |= left > 1 ? (unsigned)(unsigned char)plain[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned)(unsigned char)plain[i + 2] : 0;
        out[at++] = digits[bits >> 18];
        out[at++] = digits[(bits >> 12) & 63];
        out[at++] = left > 1 ? digits[(bits >> 6) & 63] : '=';
        out[at++] = left > 2 ? digits[bits & 63] : '=';
    }
    out[at] = '\0';
    explicit_bzero(plain, sizeof(plain));
    return FA_OK;
}

static fa_result write_secret(settled *s, const char *secret)
{
    char line[9000], encoded[8200];
    const fa_upstream_options *o = &s->options;
    fa_result result = FA_OK;
    int length = -1;
    if (o->auth == NULL || strcmp(o->auth, "bearer") == 0) {
        length = snprintf(line, sizeof(line), "Authorization: Bearer %s", secret);
    } else if (strcmp(o->auth, "basic") == 0) {
        result = encode_basic(s, secret, encoded, sizeof(encoded));
        if (result == FA_OK)
            length = snprintf(line, sizeof(line), "Authorization: Basic %s", encoded);
        explicit_bzero(encoded, sizeof(encoded));
    } else {
        length = snprintf(line, sizeof(line), "%s: %s%s%s", o->auth_header,
                          o->auth_scheme != NULL ? o->auth_scheme : "", o->auth_scheme != NULL ? " " : "", secret);
    }
    if (result == FA_OK && (length < 0 || (size_t)length >= sizeof(line)))
        result = FA_FULL;
    if (result == FA_OK && (s->secret = fa_scope_copy_text(s->scope, line, (size_t)length)) == NULL)
        result = FA_NO_MEMORY;
    if (s->secret != NULL)
        s->secret_name = strcspn(s->secret, ":");
    explicit_bzero(line, sizeof(line));
    return result;
}

static fa_result read_secret(settled *s, fa_error *error)
{
    fa_result result = fa_upstream_secret(&s->options, s->scope, &s->secret_text, error);
    if (result != FA_OK || s->secret_text == NULL)
        return result;
    result = write_secret(s, s->secret_text);
    return result == FA_OK ? FA_OK : fa_fail(error, result, "token: the secret is too long");
}

enum { SHORTEST_HIDDEN = 4 }; /* a shorter one would be found everywhere */

static void hide(const char *secret, fa_buffer *excerpt)
{
    static const char stars[] = "********************************";
    size_t length = secret != NULL ? strlen(secret) : 0, size = fa_buffer_length(excerpt);
    for (size_t at = 0; length >= SHORTEST_HIDDEN && at + SHORTEST_HIDDEN <= size;) {
        size_t same = length < size - at ? length : size - at;
        if (memcmp(fa_buffer_data(excerpt) + at, secret, same) != 0) {
            at++;
            continue;
        }
        for (size_t end = at + same; at < end;) {
            size_t piece = end - at < sizeof(stars) - 1 ? end - at : sizeof(stars) - 1;
            fa_buffer_patch(excerpt, at, stars, piece);
            at += piece;
        }
    }
}

void fa_settled_hide(const settled *s, fa_buffer *excerpt)
{
    if (s->secret == NULL)
        return;
    hide(s->secret_text, excerpt);
    hide(strrchr(s->secret, ' ') + 1, excerpt); /* as it is sent: of basic in base64 */
}

/* ---- files ---- */

/* libcurl reads them when it connects, which is late to say that one is not there. */
static fa_result look_at_files(const settled *s, fa_error *error)
{
    const fa_upstream_options *o = &s->options;
    const struct {
        const char *key, *path;
    } files[] = {{"ca_file", o->ca_file}, {"client_cert", o->client_cert}, {"client_key", o->client_key}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
        if (files[i].path != NULL && access(files[i].path, R_OK) != 0)
            return fa_fail(error, FA_NOT_FOUND, "%s %.200s: %s", files[i].key, files[i].path, strerror(errno));
    }
    return FA_OK;
}

static fa_result make_ready(settled *s, bool needs_url, fa_error *error)
{
    fa_result result = fa_upstream_options_check(&s->options, needs_url, error);
    if (result == FA_OK)
        result = fa_guard_read(&s->guard, s->options.guard_allow, s->options.guard_ports, error);
    if (result == FA_OK)
        result = read_bases(s, error);
    if (result == FA_OK)
        result = look_at_files(s, error);
    return result == FA_OK ? read_secret(s, error) : result;
}

fa_result fa_settled_make(fa_upstreams *all, const char *name, const settled *before,
                          const fa_upstream_setting *settings, size_t count, bool needs_url, settled **out,
                          fa_error *error)
{
    fa_scope *scope;
    fa_error detail = {""};
    fa_result result =
        fa_scope_new(fa_scope_ledger(all->scope), all->scope, FA_KIND_WORKER, 0, "upstream settings", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for upstream %s", name);
    settled *s = fa_scope_allocate(scope, sizeof(*s));
    if (s == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no memory for upstream %s", name);
    }
    s->scope = scope;
    s->references = 1;
    fa_scope_hook_add(scope, &s->at_end, on_end);
    for (size_t i = 0; before != NULL && i < before->setting_count && result == FA_OK; ++i)
        result = keep(s, &before->settings[i], error);
    for (size_t i = 0; i < count && result == FA_OK; ++i)
        result = keep(s, &settings[i], error);
    if (result == FA_OK)
        result = apply(s, name, error);
    if (result == FA_OK) {
        result = make_ready(s, needs_url, &detail);
        if (result == FA_OK)
            result = share_health(s, all->options.healths, name, &detail);
        if (result != FA_OK)
            refuse(s, name, result, &detail, error);
    }
    if (result != FA_OK) {
        fa_settled_unref(s);
        return result;
    }
    *out = s;
    return FA_OK;
}
