#include "server/config_locate.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* Walks over the source; copying it remembers a place. */
typedef struct scanner {
    const char *at, *end;
    int line;
    int depth; /* of braces */

    /* The last `name =`, `["name"] =` or `return` that was found. */
    const char *name;
    size_t name_length;
    int name_line;
} scanner;

/* Passes `length` bytes. */
static void skip(scanner *s, size_t length)
{
    for (; length > 0 && s->at < s->end; --length)
        s->line += *s->at++ == '\n';
}

/* At "[[", "[=[" and so on: the number of bytes of the opening bracket, else 0. */
static size_t long_bracket(const scanner *s)
{
    const char *p = s->at + 1;
    while (p < s->end && *p == '=')
        ++p;
    return p < s->end && *s->at == '[' && *p == '[' ? (size_t)(p - s->at) + 1 : 0;
}

static void skip_long_bracket(scanner *s, size_t bracket)
{
    skip(s, bracket);
    while (s->at < s->end) {
        const char *p = s->at;
        size_t equals = 0;
        if (*p == ']') {
            while (p + 1 + equals < s->end && p[1 + equals] == '=')
                ++equals;
            if (equals + 2 == bracket && p + 1 + equals < s->end && p[1 + equals] == ']') {
                skip(s, bracket);
                return;
            }
        }
        skip(s, 1);
    }
}

static void skip_comment(scanner *s)
{
    skip(s, 2);
    size_t bracket = s->at < s->end ? long_bracket(s) : 0;
    if (bracket > 0) {
        skip_long_bracket(s, bracket);
        return;
    }
    while (s->at < s->end && *s->at != '\n')
        ++s->at;
}

static void skip_string(scanner *s)
{
    char quote = *s->at;
    skip(s, 1);
    while (s->at < s->end && *s->at != quote && *s->at != '\n')
        skip(s, *s->at == '\\' ? 2 : 1);
    skip(s, 1);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Takes one token; true when it was a word or a string, with its text in *text. */
static bool take(scanner *s, const char **text, size_t *length)
{
    const char *start = s->at;
    bool quoted = *start == '"' || *start == '\'';
    size_t bracket;
    if (is_word(*start)) {
        while (s->at < s->end && is_word(*s->at))
            ++s->at;
    } else if (quoted) {
        skip_string(s);
    } else if ((bracket = long_bracket(s)) > 0) {
        skip_long_bracket(s, bracket);
    } else {
        s->depth += (*start == '{') - (*start == '}');
        skip(s, 1);
    }
    *text = start + quoted;
    *length = (size_t)(s->at - start);
    if (quoted)
        *length = *length > 2 ? *length - 2 : 0;
    return quoted || is_word(*start);
}

static void skip_blank(scanner *s)
{
    for (;;) {
        while (s->at < s->end && isspace((unsigned char)*s->at))
            skip(s, 1);
        if (s->end - s->at < 2 || s->at[0] != '-' || s->at[1] != '-')
            return;
        skip_comment(s);
    }
}

/* On to the next `name =`, `["name"] =` or `return`; false at the end. */
static bool next_name(scanner *s)
{
    const char *text = NULL;
    size_t length = 0;
    bool candidate = false; /* the last token could be a name; a `]` behind it changes nothing */
    for (skip_blank(s); s->at < s->end; skip_blank(s)) {
        char c = *s->at;
        if (candidate && c == '=' && !(s->at + 1 < s->end && s->at[1] == '=')) {
            skip(s, 1);
            s->name = text;
            s->name_length = length;
            return true;
        }
        if (candidate && c == ']') {
            skip(s, 1);
            continue;
        }
        int line = s->line;
        candidate = take(s, &text, &length);
        if (candidate)
            s->name_line = line;
        if (length == 6 && candidate && memcmp(text, "return", 6) == 0) {
            s->name = text;
            s->name_length = length;
            return true;
        }
    }
    return false;
}

static bool is(const scanner *s, const char *name)
{
    return s->name_length == strlen(name) && memcmp(s->name, name, s->name_length) == 0;
}

/* Inside the table that is assigned where `s` stands: the line of names[0] and what it leads to, or 0. */
static int search_inside(scanner s, const char *const *names, size_t count)
{
    int outside = s.depth;
    while (next_name(&s) && s.depth > outside) {
        if (s.depth != outside + 1 || !is(&s, names[0]))
            continue;
        if (count == 1)
            return s.name_line;
        ++names;
        --count;
        outside = s.depth;
    }
    return 0;
}

/* The last statement that begins at or before `line`, when it assigns to `name`. */
static bool find_statement(scanner *from, const char *name, int line)
{
    scanner s = *from;
    bool found = false;
    bool any_return = strcmp(name, "return") == 0;
    while (next_name(&s) && s.name_line <= line) {
        if (s.depth != 0 || (any_return && !is(&s, name)))
            continue;
        found = is(&s, name);
        *from = s;
    }
    return found;
}

/* The last place up to `line` where `name` is given a value anywhere, or 0. */
static int search_anywhere(scanner s, const char *name, int line)
{
    int found = 0;
    while (next_name(&s) && s.name_line <= line) {
        if (is(&s, name))
            found = s.name_line;
    }
    return found;
}

int fa_config_locate(const char *source, size_t length, const char *const *names, size_t count, int line)
{
    scanner start = {.at = source, .end = source + length, .line = 1}, statement = start;
    if (strcmp(names[0], "return") == 0)
        line = INT_MAX;
    bool found = find_statement(&statement, names[0], line);
    if (found && count == 1)
        return statement.name_line;
    int inside = found ? search_inside(statement, names + 1, count - 1) : 0;
    /* Not written there: the table may have been built in a variable before. */
    if (inside == 0 && count > 1)
        inside = search_anywhere(start, names[count - 1], line);
    if (inside != 0)
        return inside;
    if (found)
        return statement.name_line;
    return line == INT_MAX ? 1 : line;
}
