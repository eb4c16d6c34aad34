#include "exchange/cookie.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_PAIR = 4096, LONGEST_PATH = 1024, LONGEST_DOMAIN = 255 };

/* ---- reading ---- */

static bool is_token(fa_text text)
{
    for (size_t i = 0; i < text.length; ++i) {
        char c = text.data[i];
        if (c <= ' ' || c == 0x7f || (c & 0x80) != 0 || strchr("()<>@,;:\\\"/[]?={}", c) != NULL)
            return false;
    }
    return text.length != 0;
}

static fa_text unquote(fa_text text)
{
    if (text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"')
        return (fa_text){text.data + 1, text.length - 2};
    return text;
}

bool fa_cookie_next(fa_text *rest, fa_text *name, fa_text *value)
{
    while (rest->length > 0) {
        const char *end = memchr(rest->data, ';', rest->length);
        fa_text pair = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
        size_t taken = pair.length + (end != NULL ? 1 : 0);
        *rest = (fa_text){rest->data + taken, rest->length - taken};
        const char *equals = pair.length > 0 ? memchr(pair.data, '=', pair.length) : NULL;
        if (equals == NULL)
            continue;
        size_t before = (size_t)(equals - pair.data);
        *name = fa_text_trim((fa_text){pair.data, before});
        *value = unquote(fa_text_trim((fa_text){equals + 1, pair.length - before - 1}));
        if (is_token(*name))
            return true;
    }
    return false;
}

bool fa_cookie_find(const fa_exchange *exchange, fa_text name, fa_text *value)
{
    for (size_t i = 0; i < exchange->header_count; ++i) {
        fa_text found, rest = exchange->headers[i].value;
        if (!fa_text_is(exchange->headers[i].name, "cookie"))
            continue;
        while (fa_cookie_next(&rest, &found, value)) {
            if (found.length == name.length && memcmp(found.data, name.data, name.length) == 0)
                return true;
        }
    }
    return false;
}

/* ---- writing ---- */

static bool is_value(fa_text text)
{
    for (size_t i = 0; i < text.length; ++i) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("\",;\\", c) != NULL)
            return false;
    }
    return true;
}

static bool is_path(fa_text path)
{
    for (size_t i = 0; i < path.length; ++i) {
        unsigned char c = (unsigned char)path.data[i];
        if (c <= ' ' || c >= 0x7f || c == ';')
            return false;
    }
    return path.length == 0 || (path.length <= LONGEST_PATH && path.data[0] == '/');
}

static bool is_domain(fa_text domain)
{
    for (size_t i = 0; i < domain.length; ++i) {
        char c = domain.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return domain.length <= LONGEST_DOMAIN;
}

/* A browser compares prefixes without regard to case. */
static bool has_prefix(fa_text name, const char *prefix)
{
    size_t length = strlen(prefix);
    return name.length >= length && fa_text_is((fa_text){name.data, length}, prefix);
}

static const char *what_is_wrong(const fa_cookie *c)
{
    bool none = c->same_site != NULL && strcmp(c->same_site, "None") == 0;
    if (!is_token(c->name))
        return "its name is no token";
    if (!is_value(c->value))
        return "a value has no spaces, quotes, commas, semicolons, backslashes, control or non-ASCII characters: "
               "encode it";
    if (c->name.length + c->value.length > LONGEST_PAIR)
        return "name and value are longer than 4096 bytes together";
    if (!is_path(c->path))
        return "a path begins with / and has no semicolon or space";
    if (!is_domain(c->domain))
        return "a domain is a host name";
    if (!c->secure && (none || c->partitioned))
        return "SameSite=None and Partitioned need secure";
    if (has_prefix(c->name, "__Secure-") && !c->secure)
        return "the prefix __Secure- needs secure";
    if (has_prefix(c->name, "__Host-") &&
        (!c->secure || c->domain.length != 0 || c->path.length != 1 || c->path.data[0] != '/'))
        return "the prefix __Host- needs secure, path \"/\" and no domain";
    return NULL;
}

typedef struct writer {
    char *out;
    size_t used;
} writer;

static void put(writer *w, fa_text text)
{
    if (text.length != 0)
        memcpy(w->out + w->used, text.data, text.length);
    w->used += text.length;
}

static void put_attribute(writer *w, const char *name, fa_text value)
{
    if (value.length == 0)
        return;
    put(w, (fa_text){name, strlen(name)});
    put(w, value);
}

/* The parts are as long as they may be together: FA_COOKIE_SIZE. */
fa_result fa_cookie_write(const fa_cookie *c, char out[FA_COOKIE_SIZE], size_t *length, fa_error *error)
{
    char age[32] = "";
    writer w = {out, 0};
    const char *wrong = what_is_wrong(c);
    if (wrong != NULL)
        return fa_fail(error, FA_INVALID, "cookie: %s", wrong);
    if (c->max_age >= 0)
        snprintf(age, sizeof(age), "%" PRId64, c->max_age);
    put(&w, c->name);
    put(&w, FA_TEXT("="));
    put(&w, c->value);
    put_attribute(&w, "; Path=", c->path);
    put_attribute(&w, "; Domain=", c->domain);
    put_attribute(&w, "; Max-Age=", (fa_text){age, strlen(age)});
    put_attribute(&w, "; SameSite=", (fa_text){c->same_site, c->same_site != NULL ? strlen(c->same_site) : 0});
    if (c->secure)
        put(&w, FA_TEXT("; Secure"));
    if (c->http_only)
        put(&w, FA_TEXT("; HttpOnly"));
    if (c->partitioned)
        put(&w, FA_TEXT("; Partitioned"));
    out[w.used] = '\0';
    *length = w.used;
    return FA_OK;
}
