#include "exchange/host_pattern.h"

#include <string.h>

static bool has_star(fa_text pattern)
{
    return pattern.length > 2 && pattern.data[0] == '*' && pattern.data[1] == '.';
}

static bool all_in(const char *at, const char *end, const char *allowed)
{
    for (; at < end; ++at) {
        if (*at == '\0' || strchr(allowed, *at) == NULL)
            return false;
    }
    return true;
}

bool fa_host_pattern_is_sound(fa_text pattern)
{
    const char *at = pattern.data, *end = pattern.data + pattern.length;
    if (pattern.length == 0 || pattern.length >= FA_HOST_SIZE)
        return false;
    if (*at == '[')
        return pattern.length > 3 && end[-1] == ']' && all_in(at + 1, end - 1, "0123456789abcdef:.");
    if (has_star(pattern))
        at += 2;
    return *at != '.' && end[-1] != '.' && all_in(at, end, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
}

size_t fa_host_plain(fa_text sent, char out[FA_HOST_SIZE])
{
    size_t length = sent.length;
    const char *colon = length != 0 ? memrchr(sent.data, ':', length) : NULL;
    if (colon != NULL && (sent.data[0] != '[' || colon[-1] == ']')) /* not one of the colons of an address */
        length = (size_t)(colon - sent.data);
    if (length != 0 && sent.data[length - 1] == '.')
        --length;
    if (length >= FA_HOST_SIZE)
        return 0;
    for (size_t i = 0; i < length; ++i) {
        char c = sent.data[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return length;
}

bool fa_host_pattern_matches(fa_text pattern, fa_text host)
{
    if (!has_star(pattern))
        return pattern.length == host.length && memcmp(pattern.data, host.data, host.length) == 0;
    size_t tail = pattern.length - 1; /* with its dot */
    return host.length > tail && memcmp(host.data + host.length - tail, pattern.data + 1, tail) == 0;
}

bool fa_host_pattern_before(fa_text a, fa_text b)
{
    if (has_star(a) != has_star(b))
        return !has_star(a);
    return a.length > b.length;
}
