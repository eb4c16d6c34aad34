/* The request target: split, decoded once, and refused when two readers could understand it differently.
 *
 * Everything above works on the decoded path, so it is decoded here and nowhere else: "%252e" stays "%2e" text, and a
 * dot segment is looked for after decoding, so that no spelling of it gets through. */
#include "exchange/exchange.h"

#include <string.h>
#include <strings.h>

#include "exchange/escape.h"

bool fa_text_is(fa_text text, const char *literal)
{
    return text.length == strlen(literal) && (text.length == 0 || strncasecmp(text.data, literal, text.length) == 0);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int fa_escaped_byte(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = hex_digit(at[1]), low = hex_digit(at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool starts_with(fa_text text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && strncasecmp(text.data, prefix, length) == 0;
}

static bool same_text(fa_text a, fa_text b)
{
    return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

static fa_text skip(fa_text text, size_t count)
{
    return (fa_text){text.data + count, text.length - count};
}

/* "http://HOST/path" becomes "/path" when HOST is what the Host header says (RFC 9112 3.2.2). */
static bool strip_authority(const fa_exchange *exchange, fa_text *target)
{
    size_t scheme = starts_with(*target, "http://") ? 7 : starts_with(*target, "https://") ? 8 : 0;
    if (scheme == 0)
        return true;
    fa_text rest = skip(*target, scheme);
    size_t end = 0;
    while (end < rest.length && rest.data[end] != '/' && rest.data[end] != '?')
        ++end;
    if (end == 0 || !same_text((fa_text){rest.data, end}, fa_exchange_header(exchange, "host")))
        return false;
    *target = skip(rest, end);
    return true;
}

/* No empty answer for ".", "..", and a backslash, which some file systems and clients take for a slash. */
static bool path_is_plain(const char *path, size_t length)
{
    size_t segment = 0; /* length of the one we are in */
    bool dots = true;   /* it consists of dots so far */
    for (size_t i = 0; i <= length; ++i) {
        if (i == length || path[i] == '/') {
            if (dots && (segment == 1 || segment == 2))
                return false;
            segment = 0;
            dots = true;
            continue;
        }
        if (path[i] == '\0' || path[i] == '\\')
            return false;
        dots = dots && path[i] == '.';
        ++segment;
    }
    return true;
}

size_t fa_path_decode(fa_text raw, char *path, size_t size)
{
    size_t length = 0;
    if (raw.length == 0 || raw.length > size || raw.data[0] != '/')
        return 0;
    for (const char *at = raw.data, *end = at + raw.length; at < end; ++at) {
        int byte = *at == '%' ? fa_escaped_byte(at, end) : (unsigned char)*at;
        if (byte < 0)
            return 0;
        if (*at == '%')
            at += 2;
        path[length++] = (char)byte;
    }
    return path_is_plain(path, length) ? length : 0;
}

static bool decode_path(fa_exchange *exchange, fa_text raw)
{
    char *path = raw.length != 0 ? fa_scope_allocate(exchange->scope, raw.length + 1) : NULL;
    size_t length = path != NULL ? fa_path_decode(raw, path, raw.length) : 0;
    if (length == 0)
        return false; /* the memory goes with the scope */
    exchange->path = (fa_text){path, length};
    return true;
}

bool fa_exchange_set_target(fa_exchange *exchange, fa_text target)
{
    exchange->target = target;
    exchange->path = exchange->query = FA_TEXT("");
    if (!strip_authority(exchange, &target))
        return false;
    bool absolute = target.length != exchange->target.length;
    const char *question = target.length != 0 ? memchr(target.data, '?', target.length) : NULL;
    fa_text path = target;
    if (question != NULL) {
        path.length = (size_t)(question - target.data);
        exchange->query = skip(target, path.length + 1);
    }
    if (path.length == 0 && absolute)
        path = FA_TEXT("/"); /* "http://HOST" and "http://HOST?query" */
    return decode_path(exchange, path);
}

/* ---- query parameters: "a=1&b=two+words" ---- */

/* One decoded byte at *at, which moves on. What is no valid escape stands for itself, as in browsers. */
static char next_byte(const char **at, const char *end)
{
    char c = *(*at)++;
    if (c == '+')
        return ' ';
    int byte = c == '%' ? fa_escaped_byte(*at - 1, end) : -1;
    if (byte < 0)
        return c;
    *at += 2;
    return (char)byte;
}

static bool decodes_to(const char *at, const char *end, const char *name)
{
    while (at < end) {
        char c = next_byte(&at, end);
        if (c == '\0' || c != *name++)
            return false;
    }
    return *name == '\0';
}

static const char *decode_value(fa_exchange *exchange, const char *at, const char *end, size_t *length)
{
    char *value = fa_scope_allocate(exchange->scope, (size_t)(end - at) + 1);
    if (value == NULL)
        return NULL;
    size_t used = 0;
    while (at < end) {
        if ((value[used++] = next_byte(&at, end)) == '\0') {
            fa_scope_free(exchange->scope, value);
            return NULL;
        }
    }
    value[used] = '\0';
    if (length != NULL)
        *length = used;
    return value;
}

const char *fa_exchange_query(fa_exchange *exchange, const char *name, size_t *length)
{
    const char *at = exchange->query.data, *end = at + exchange->query.length;
    while (at < end) {
        const char *pair_end = memchr(at, '&', (size_t)(end - at));
        if (pair_end == NULL)
            pair_end = end;
        const char *equals = memchr(at, '=', (size_t)(pair_end - at));
        if (equals == NULL)
            equals = pair_end;
        if (decodes_to(at, equals, name))
            return decode_value(exchange, equals < pair_end ? equals + 1 : pair_end, pair_end, length);
        at = pair_end + 1;
    }
    return NULL;
}
