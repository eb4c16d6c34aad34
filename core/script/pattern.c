#include "script/pattern.h"

#include <ctype.h>
#include <string.h>

enum { ESCAPE = '%', DEEPEST = 200 };
enum { OPEN = -1, POSITION = -2 }; /* lengths of captures that have none */

static bool class_has(int c, int class)
{
    bool in;
    switch (tolower(class)) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    case 'z':
        in = c == 0;
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !in : in;
}

/* Where the single-character item that begins at p ends. */
static const char *item_end(const fa_match *m, const char *p)
{
    if (*p == ESCAPE) {
        if (p + 1 >= m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 2;
    }
    if (*p != '[')
        return p + 1;
    ++p;
    if (p < m->pattern_end && *p == '^')
        ++p;
    do { /* a ] at the very beginning stands for itself */
        if (p >= m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == ESCAPE && p < m->pattern_end)
            ++p;
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

/* set: at the [; last: at the ]. */
static bool set_has(int c, const char *set, const char *last)
{
    bool wanted = true;
    const char *p = set + 1;
    if (*p == '^') {
        wanted = false;
        ++p;
    }
    for (; p < last; ++p) {
        if (*p == ESCAPE) {
            if (class_has(c, (unsigned char)*++p))
                return wanted;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return wanted;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return wanted;
        }
    }
    return !wanted;
}

static bool item_has(const fa_match *m, const char *s, const char *p, const char *end)
{
    if (s >= m->subject_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case ESCAPE:
        return class_has(c, (unsigned char)p[1]);
    case '[':
        return set_has(c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

static const char *match_balanced(const fa_match *m, const char *s, const char *p)
{
    int level = 1;
    if (p + 1 >= m->pattern_end)
        luaL_error(m->L, "unbalanced pattern");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    while (++s < m->subject_end) {
        if (*s == p[1]) {
            if (--level == 0)
                return s + 1;
        } else if (*s == p[0]) {
            ++level;
        }
    }
    return NULL;
}

static int closed_capture(const fa_match *m, int digit)
{
    int index = digit - '1';
    if (index < 0 || index >= m->count || m->captures[index].length == OPEN)
        return luaL_error(m->L, "invalid capture index");
    return index;
}

static const char *match_again(const fa_match *m, const char *s, int digit)
{
    int index = closed_capture(m, digit);
    ptrdiff_t length = m->captures[index].length;
    bool same = length >= 0 && m->subject_end - s >= length &&
                memcmp(m->captures[index].at, s, (size_t)length) == 0; /* a position is never found again */
    return same ? s + length : NULL;
}

static const char *match(fa_match *m, const char *s, const char *p);

static const char *open_capture(fa_match *m, const char *s, const char *p, ptrdiff_t kind)
{
    if (m->count >= FA_PATTERN_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->captures[m->count].at = s;
    m->captures[m->count].length = kind;
    m->count++;
    const char *end = match(m, s, p);
    if (end == NULL)
        m->count--;
    return end;
}

static const char *close_capture(fa_match *m, const char *s, const char *p)
{
    int index = m->count - 1;
    while (index >= 0 && m->captures[index].length != OPEN)
        --index;
    if (index < 0) {
        luaL_error(m->L, "invalid pattern capture");
        return NULL; /* not reached */
    }
    m->captures[index].length = s - m->captures[index].at;
    const char *end = match(m, s, p);
    if (end == NULL)
        m->captures[index].length = OPEN;
    return end;
}

static const char *match_most(fa_match *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t times = 0;
    while (item_has(m, s + times, p, end))
        ++times;
    for (; times >= 0; --times) {
        const char *result = match(m, s + times, end + 1);
        if (result != NULL)
            return result;
    }
    return NULL;
}

static const char *match_least(fa_match *m, const char *s, const char *p, const char *end)
{
    for (;; ++s) {
        const char *result = match(m, s, end + 1);
        if (result != NULL || !item_has(m, s, p, end))
            return result;
    }
}

/* %f[set]: between a character that is not in the set and one that is. */
static bool at_frontier(const fa_match *m, const char *s, const char *set, const char *end)
{
    int before = s == m->subject ? 0 : (unsigned char)s[-1], after = s < m->subject_end ? (unsigned char)*s : 0;
    return !set_has(before, set, end - 1) && set_has(after, set, end - 1);
}

/* An item with what follows it: how often, and the rest of the pattern. Advances both by one item and returns true when the match just
 * goes on; else *result is it. */
static bool match_item(fa_match *m, const char **s, const char **p, const char **result)
{
    const char *end = item_end(m, *p);
    int suffix = end < m->pattern_end ? *end : 0;
    bool has;
    switch (suffix) {
    case '*':
        *result = match_most(m, *s, *p, end);
        return false;
    case '-':
        *result = match_least(m, *s, *p, end);
        return false;
    case '+':
        *result = item_has(m, *s, *p, end) ? match_most(m, *s + 1, *p, end) : NULL;
        return false;
    case '?':
        if (item_has(m, *s, *p, end) && (*result = match(m, *s + 1, end + 1)) != NULL)
            return false;
        *p = end + 1;
        return true;
    default:
        has = item_has(m, *s, *p, end);
        *s += has;
        *p = end;
        *result = NULL;
        return has;
    }
}

/* What begins with % and is no class. Returns as match_item; *taken: whether it was one of these. */
static bool match_escape(fa_match *m, const char **s, const char **p, const char **result, bool *taken)
{
    const char *end;
    int next = *p + 1 < m->pattern_end ? (unsigned char)(*p)[1] : 0;
    *taken = true;
    *result = NULL;
    if (next == 'b') {
        *s = match_balanced(m, *s, *p + 2);
        *p += 4;
        return *s != NULL;
    }
    if (next == 'f') {
        *p += 2;
        if (*p >= m->pattern_end || **p != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        end = item_end(m, *p);
        bool at = at_frontier(m, *s, *p, end);
        *p = end;
        return at;
    }
    if (isdigit(next)) {
        *s = match_again(m, *s, next);
        *p += 2;
        return *s != NULL;
    }
    *taken = false;
    return false;
}

static const char *match_on(fa_match *m, const char *s, const char *p)
{
    const char *result = NULL;
    for (;;) {
        bool taken = false, goes_on = false;
        fa_slice_check(m->L, m->script);
        if (p >= m->pattern_end)
            return s;
        if (*p == '(')
            return p + 1 < m->pattern_end && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                                         : open_capture(m, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->subject_end ? s : NULL;
        if (*p == ESCAPE)
            goes_on = match_escape(m, &s, &p, &result, &taken);
        if (!taken)
            goes_on = match_item(m, &s, &p, &result);
        if (!goes_on)
            return result;
    }
}

static const char *match(fa_match *m, const char *s, const char *p)
{
    if (++m->depth > DEEPEST)
        luaL_error(m->L, "pattern too complex");
    const char *end = match_on(m, s, p);
    m->depth--;
    return end;
}

void fa_match_init(fa_match *m, lua_State *L, const char *subject, size_t length, size_t pattern_length,
                   const char *pattern)
{
    m->L = L;
    m->script = fa_script_of(L);
    m->subject = subject;
    m->subject_end = subject + length;
    m->pattern_end = pattern + pattern_length;
}

const char *fa_match_at(fa_match *m, const char *at, const char *pattern)
{
    m->depth = m->count = 0;
    return match(m, at, pattern);
}

void fa_match_push_one(fa_match *m, int index, const char *from, const char *to)
{
    if (index >= m->count && index == 0) {
        lua_pushlstring(m->L, from, (size_t)(to - from));
        return;
    }
    if (index >= m->count)
        luaL_error(m->L, "invalid capture index");
    if (m->captures[index].length == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (m->captures[index].length == POSITION)
        lua_pushinteger(m->L, m->captures[index].at - m->subject + 1);
    else
        lua_pushlstring(m->L, m->captures[index].at, (size_t)m->captures[index].length);
}

int fa_match_push(fa_match *m, const char *from, const char *to, bool whole)
{
    int count = m->count == 0 && whole ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; ++i)
        fa_match_push_one(m, i, from, to);
    return count;
}
