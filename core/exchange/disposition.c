#include "exchange/disposition.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST_LOCATION = 2000 };

/* ---- Content-Disposition ---- */

/* The length of the UTF-8 character at `at`, 0 when there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    size_t length = at[0] < 0x80                    ? 1
                    : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                    : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                    : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                    : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; ++i) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool outside = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || outside ? 0 : length;
}

/* The name without what is not wanted in one, at most FA_LONGEST_FILE_NAME bytes. */
static size_t clean(fa_text name, char out[FA_LONGEST_FILE_NAME])
{
    size_t used = 0;
    for (size_t at = 0; at < name.length;) {
        const unsigned char *c = (const unsigned char *)name.data + at;
        size_t length = utf8_length(c, name.length - at);
        bool unwanted = length == 0 || *c < ' ' || *c == 0x7f || *c == '/' || *c == '\\' ||
                        (length == 2 && *c == 0xc2 && c[1] < 0xa0); /* the second set of control characters */
        size_t wanted = unwanted ? 1 : length;
        if (used + wanted > FA_LONGEST_FILE_NAME)
            break;
        if (unwanted)
            out[used] = '_';
        else
            memcpy(out + used, c, length);
        used += wanted;
        at += length != 0 ? length : 1;
    }
    return used;
}

static bool is_attribute_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

size_t fa_disposition_write(char out[FA_DISPOSITION_SIZE], fa_text name)
{
    static const char hex[] = "0123456789ABCDEF";
    char cleaned[FA_LONGEST_FILE_NAME];
    fa_text plain = {cleaned, clean(name, cleaned)};
    if (plain.length == 0)
        plain = FA_TEXT("download");
    bool encoded = false;
    size_t used = (size_t)snprintf(out, FA_DISPOSITION_SIZE, "attachment; filename=\"");
    for (size_t i = 0; i < plain.length; ++i) {
        unsigned char c = (unsigned char)plain.data[i];
        bool odd = c >= 0x80 || c == '"' || c == '%'; /* some clients decode percents here */
        encoded = encoded || odd;
        if ((c & 0xc0) != 0x80) /* one "_" for each character, not for each byte */
            out[used++] = odd ? '_' : (char)c;
    }
    out[used++] = '"';
    if (encoded) {
        used += (size_t)snprintf(out + used, FA_DISPOSITION_SIZE - used, "; filename*=UTF-8''");
        for (size_t i = 0; i < plain.length; ++i) {
            unsigned char c = (unsigned char)plain.data[i];
            if (is_attribute_char(c)) {
                out[used++] = (char)c;
                continue;
            }
            out[used++] = '%';
            out[used++] = hex[c >> 4];
            out[used++] = hex[c & 15];
        }
    }
    out[used] = '\0';
    return used;
}

_Static_assert(FA_DISPOSITION_SIZE > 22 + FA_LONGEST_FILE_NAME + 1 + 19 + 3 * FA_LONGEST_FILE_NAME + 1,
               "the longest name fits in both forms");

/* ---- Location ---- */

static bool starts_with(fa_text text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length > length && fa_text_is((fa_text){text.data, length}, prefix);
}

fa_location fa_location_kind(fa_text l)
{
    if (l.length == 0 || l.length > LONGEST_LOCATION)
        return FA_LOCATION_BAD;
    for (size_t i = 0; i < l.length; ++i) {
        unsigned char c = (unsigned char)l.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL)
            return FA_LOCATION_BAD;
    }
    if (starts_with(l, "//") || starts_with(l, "http://") || starts_with(l, "https://"))
        return FA_LOCATION_ANOTHER;
    for (size_t i = 0; i < l.length && strchr("/?#", l.data[i]) == NULL; ++i) {
        if (l.data[i] == ':')
            return FA_LOCATION_BAD; /* another scheme, or http: without its slashes */
    }
    return l.length >= 2 && l.data[0] == '/' && l.data[1] == '/' ? FA_LOCATION_BAD : FA_LOCATION_OWN;
}
