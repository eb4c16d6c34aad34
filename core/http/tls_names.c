/* The names an identity answers to. */
#include <ctype.h>
#include <string.h>

#include "http/tls_identity.h"

static bool is_same(const char *pattern, const char *name, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        if (pattern[i] != tolower((unsigned char)name[i]))
            return false;
    }
    return pattern[length] == '\0';
}

bool fa_tls_name_matches(const char *pattern, const char *name, size_t length)
{
    if (length > 0 && name[length - 1] == '.')
        --length;
    if (length == 0)
        return false;
    if (pattern[0] != '*')
        return is_same(pattern, name, length);
    const char *dot = memchr(name, '.', length); /* the star is its first label, which is not empty */
    return dot != NULL && dot != name && is_same(pattern + 1, dot, length - (size_t)(dot - name));
}

bool fa_tls_identity_answers_to(const fa_tls_identity *identity, const char *name, size_t length, bool exact)
{
    const char *end = identity->names + identity->names_size;
    for (const char *pattern = identity->names; pattern < end; pattern += strlen(pattern) + 1) {
        if ((pattern[0] != '*') == exact && fa_tls_name_matches(pattern, name, length))
            return true;
    }
    return false;
}
