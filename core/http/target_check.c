/* Paths and hosts of a request, see head_check.h.
 *
 * Everything above decodes a path once (exchange/target.c). Here it is looked at as others might: decoded again and again,
 * with a parameter (";") ending a segment, so that nothing passes that any reader could take for "..". */
#include "http/head_check.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%XX" at `at` stands for, or -1. */
static int escaped(const char *at, const char *end)
{
    if (end - at < 3 || *at != '%')
        return -1;
    int high = hex_digit(at[1]), low = hex_digit(at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* What "%XX" at `at` is when it is decoded until nothing changes ("%25252e" is "."), and its length. */
static int decode_deeply(const char *at, const char *end, size_t *length)
{
    int byte = escaped(at, end);
    const char *next = at + 3;
    while (byte == '%' && end - next >= 2 && hex_digit(next[0]) >= 0 && hex_digit(next[1]) >= 0) {
        byte = hex_digit(next[0]) * 16 + hex_digit(next[1]);
        next += 2;
    }
    *length = (size_t)(next - at);
    return byte;
}

/* ---- UTF-8, byte by byte: overlong forms are one more way to write a dot ---- */

typedef struct utf8 {
    unsigned left;
    unsigned char low, high; /* where the next byte must lie */
} utf8;

static bool utf8_take(utf8 *u, unsigned char c)
{
    if (u->left != 0) {
        bool fits = c >= u->low && c <= u->high;
        u->low = 0x80, u->high = 0xbf;
        --u->left;
        return fits;
    }
    u->left = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return c < 0x80 || (c >= 0xc2 && c <= 0xf4);
}

/* ---- paths ---- */

typedef struct segment {
    size_t dots;
    bool others, over; /* over: behind a ";" */
} segment;

static bool is_dots(const segment *s)
{
    return !s->others && (s->dots == 1 || s->dots == 2);
}

/* false: a dot segment ends here. */
static bool segment_take(segment *s, int c)
{
    if (c == '/') {
        bool plain = !is_dots(s);
        *s = (segment){0};
        return plain;
    }
    if (c == ';')
        s->over = true;
    else if (!s->over && c == '.')
        s->dots++;
    else if (!s->over)
        s->others = true;
    return true;
}

const char *fa_path_trouble(const char *path, size_t length)
{
    segment s = {0};
    utf8 u = {0};
    for (const char *at = path, *end = path + length; at < end;) {
        size_t taken = 1;
        int once = (unsigned char)*at, deep = once;
        if (*at == '%') {
            once = escaped(at, end);
            if (once < 0)
                return "the path has an invalid percent escape";
            deep = decode_deeply(at, end, &taken);
        }
        if (!utf8_take(&u, (unsigned char)once))
            return "the path is no UTF-8";
        if (once < ' ' || once == 0x7f || deep == '\0')
            return "the path has a control character";
        if (deep == '\\')
            return "the path has a backslash";
        if (!segment_take(&s, deep))
            return "the path has a dot segment";
        at += taken;
    }
    if (u.left != 0)
        return "the path is no UTF-8";
    return is_dots(&s) ? "the path has a dot segment" : NULL;
}

/* ---- hosts ---- */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool is_port(const char *at, const char *end)
{
    if (end - at > 5)
        return false;
    for (; at < end; ++at) {
        if (*at < '0' || *at > '9')
            return false;
    }
    return true;
}

bool fa_host_is_plain(const char *host, size_t length)
{
    const char *at = host, *end = host + length;
    bool bracketed = length != 0 && *host == '[';
    if (bracketed) {
        do
            ++at;
        while (at < end && (hex_digit(*at) >= 0 || *at == ':' || *at == '.'));
        if (at == end || *at != ']' || at - host < 3)
            return false;
        ++at;
    } else {
        while (at < end && is_host_char(*at))
            ++at;
        if (at == host)
            return false;
    }
    return at == end || (*at == ':' && is_port(at + 1, end));
}
