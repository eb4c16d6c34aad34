#include "media/conditions.h"

#include <string.h>

#include "media/validators.h"

bool fa_etag_listed(fa_text list, const char *etag, bool weak)
{
    size_t etag_length = strlen(etag), at = 0;
    while (at < list.length) {
        char c = list.data[at];
        if (c == ' ' || c == '\t' || c == ',') {
            ++at;
            continue;
        }
        bool is_weak = c == 'W' && at + 1 < list.length && list.data[at + 1] == '/';
        at += is_weak ? 2 : 0;
        if (at >= list.length || list.data[at] != '"')
            return false; /* not a list of tags: no condition that we understand */
        const char *start = list.data + at, *close = memchr(start + 1, '"', list.length - at - 1);
        if (close == NULL)
            return false;
        size_t length = (size_t)(close - start) + 1;
        if ((weak || !is_weak) && length == etag_length && memcmp(start, etag, length) == 0)
            return true;
        at += length;
    }
    return false;
}

/* ---- headers that may come on several lines ---- */

typedef struct tag_question {
    bool asked, matches;
} tag_question;

static bool header_is(const fa_header *header, fa_text name)
{
    return header->name.length == name.length && memcmp(header->name.data, name.data, name.length) == 0;
}

static tag_question ask_tags(const fa_exchange *exchange, fa_text name, const char *etag, bool weak)
{
    tag_question q = {false, false};
    for (size_t i = 0; i < exchange->header_count; ++i) {
        const fa_header *header = &exchange->headers[i];
        if (!header_is(header, name))
            continue;
        q.asked = true;
        q.matches |= fa_text_is(header->value, "*") || fa_etag_listed(header->value, etag, weak);
    }
    return q;
}

/* A header that may come once: false when it is absent, empty or repeated. */
static bool single(const fa_exchange *exchange, fa_text name, fa_text *value)
{
    unsigned count = 0;
    for (size_t i = 0; i < exchange->header_count; ++i) {
        if (header_is(&exchange->headers[i], name)) {
            *value = exchange->headers[i].value;
            ++count;
        }
    }
    return count == 1 && value->length != 0;
}

static bool single_date(const fa_exchange *exchange, fa_text name, int64_t *date)
{
    fa_text text;
    return single(exchange, name, &text) && fa_http_date_read(text, date);
}

/* ---- the questions ---- */

fa_condition fa_conditions_check(const fa_exchange *exchange, const char *etag, int64_t modified)
{
    int64_t date;
    tag_question match = ask_tags(exchange, FA_TEXT("if-match"), etag, false);
    if (match.asked ? !match.matches : single_date(exchange, FA_TEXT("if-unmodified-since"), &date) && modified > date)
        return FA_CONDITION_FAILED;
    tag_question none = ask_tags(exchange, FA_TEXT("if-none-match"), etag, true);
    if (none.asked ? none.matches : single_date(exchange, FA_TEXT("if-modified-since"), &date) && modified <= date)
        return FA_CONDITION_NOT_MODIFIED;
    return FA_CONDITION_MET;
}

bool fa_conditions_allow_range(const fa_exchange *exchange, const char *etag, int64_t modified, int64_t now)
{
    fa_text value = {NULL, 0};
    int64_t date;
    bool asked = false;
    for (size_t i = 0; i < exchange->header_count; ++i)
        asked |= header_is(&exchange->headers[i], FA_TEXT("if-range"));
    if (!asked)
        return true;
    if (!single(exchange, FA_TEXT("if-range"), &value))
        return false;
    if (value.length == strlen(etag) && memcmp(value.data, etag, value.length) == 0)
        return true;
    return fa_http_date_read(value, &date) && date == modified && modified < now - 1;
}
