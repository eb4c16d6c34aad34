/* bytes=FIRST-LAST, bytes=FIRST-, bytes=-LAST_BYTES, and lists of them. */
#include "media/range.h"

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        ++c->at;
}

/* Digits. What is beyond 64 bits is beyond every file: it stays at the largest number. False, and *number as it was, when
 * there is none. */
static bool read_number(cursor *c, uint64_t *number)
{
    const char *start = c->at;
    uint64_t value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; ++c->at) {
        unsigned digit = (unsigned)(*c->at - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (c->at != start)
        *number = value;
    return c->at != start;
}

/* One element. False when it is malformed; *inside: whether any of it lies in the file. */
static bool read_one(cursor *c, uint64_t size, fa_byte_range *range, bool *inside)
{
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first = read_number(c, &first);
    if (c->at == c->end || *c->at++ != '-')
        return false;
    bool has_last = read_number(c, &last);
    if ((!has_first && !has_last) || (has_first && has_last && last < first))
        return false;
    if (!has_first) { /* so many at the end; of an empty file there is no part that could be named */
        *inside = last != 0 && size != 0;
        uint64_t length = last < size ? last : size;
        *range = (fa_byte_range){size - length, length};
        return true;
    }
    *inside = first < size;
    if (*inside)
        *range = (fa_byte_range){first, (last < size - 1 ? last : size - 1) - first + 1};
    return true;
}

/* Whether it names bytes (in any case, RFC 9110 14.1) and goes on behind the "=". */
static bool skip_unit(cursor *c)
{
    static const char unit[] = "bytes=";
    for (size_t i = 0; i < sizeof(unit) - 1; ++i, ++c->at) {
        if (c->at == c->end || (*c->at | (unit[i] == '=' ? 0 : 0x20)) != unit[i])
            return false;
    }
    return true;
}

/* The list of elements; some may be empty. False when it is malformed. */
static bool read_list(cursor *c, uint64_t size, fa_byte_range *found, unsigned *elements, unsigned *satisfiable)
{
    for (;; ++c->at) {
        fa_byte_range one;
        bool inside = false;
        skip_blanks(c);
        if (c->at < c->end && *c->at != ',') {
            if (!read_one(c, size, &one, &inside))
                return false;
            ++*elements;
        }
        if (inside) {
            *found = one;
            ++*satisfiable;
        }
        skip_blanks(c);
        if (c->at == c->end)
            return true;
        if (*c->at != ',')
            return false;
    }
}

fa_range_answer fa_range_read(fa_text text, uint64_t size, fa_byte_range *range)
{
    cursor c = {text.data, text.data + text.length};
    fa_byte_range found = {0, 0};
    unsigned elements = 0, satisfiable = 0;
    *range = (fa_byte_range){0, size};
    if (text.length == 0 || !skip_unit(&c) || !read_list(&c, size, &found, &elements, &satisfiable))
        return FA_RANGE_WHOLE;
    if (elements == 0 || satisfiable > 1)
        return FA_RANGE_WHOLE;
    if (satisfiable == 0)
        return FA_RANGE_NONE;
    *range = found;
    return FA_RANGE_PART;
}
