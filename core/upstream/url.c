/* Addresses: what may be asked, where a redirect leads, and whose it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/internal.h"

static bool part(CURLU *url, CURLUPart what, unsigned flags, char **out)
{
    *out = NULL;
    return curl_url_get(url, what, out, flags) == CURLUE_OK;
}

static bool read_origin(CURLU *url, char out[ORIGIN_SIZE], unsigned *port)
{
    char *scheme, *host = NULL, *number = NULL, *user = NULL;
    bool good = part(url, CURLUPART_SCHEME, 0, &scheme) &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && part(url, CURLUPART_HOST, 0, &host) &&
                part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &number) && *host != '\0';
    good = good && !part(url, CURLUPART_USER, 0, &user);
    if (good) {
        int length = snprintf(out, ORIGIN_SIZE, "%s://%s:%s", scheme, host, number);
        good = length > 0 && length < ORIGIN_SIZE;
        for (char *c = out; good && *c != '\0'; ++c)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
        if (port != NULL)
            *port = (unsigned)strtoul(number, NULL, 10);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(number);
    curl_free(user);
    return good;
}

bool fa_url_origin(const char *text, char out[ORIGIN_SIZE], unsigned *port)
{
    CURLU *url = curl_url();
    bool good = url != NULL && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
                read_origin(url, out, port);
    curl_url_cleanup(url);
    return good;
}

const char *fa_url_follow(fa_scope *scope, const char *from, fa_text location)
{
    char *full = NULL, origin[ORIGIN_SIZE];
    const char *result = NULL;
    char *text = fa_scope_copy_text(scope, location.data, location.length);
    CURLU *url = curl_url();
    if (text != NULL && url != NULL && curl_url_set(url, CURLUPART_URL, from, 0) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_URL, text, CURLU_URLENCODE) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK && read_origin(url, origin, NULL) &&
        part(url, CURLUPART_URL, 0, &full))
        result = fa_scope_copy_text(scope, full, strlen(full));
    fa_scope_free(scope, text);
    curl_free(full);
    curl_url_cleanup(url);
    return result;
}

bool fa_url_downgrades(const char *from, const char *to)
{
    return strncmp(from, "https:", 6) == 0 && strncmp(to, "http:", 5) == 0;
}

static bool is_dots(const char *segment, size_t length)
{
    return (length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.');
}

/* Nothing that could make it another address: it begins with "/" or is only a query, has no characters that a URL does not have, and no
 * "." or ".." segment. */
bool fa_url_target_is_good(fa_text path)
{
    size_t start = 1, end = 0;
    if (path.length == 0)
        return true;
    if (path.data[0] != '/' && path.data[0] != '?')
        return false;
    for (size_t i = 0; i < path.length; ++i) {
        unsigned char c = (unsigned char)path.data[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\')
            return false;
    }
    const char *question = memchr(path.data, '?', path.length);
    size_t length = question != NULL ? (size_t)(question - path.data) : path.length;
    for (; start <= length; start = end + 1) {
        for (end = start; end < length && path.data[end] != '/'; ++end)
            ;
        if (is_dots(path.data + start, end - start))
            return false;
    }
    return true;
}
