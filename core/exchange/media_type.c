#include "exchange/media_type.h"

#include <string.h>
#include <strings.h>

bool fa_is_odd_token_char(char c)
{
    return c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL;
}

static void skip_blanks(fa_text *rest)
{
    while (rest->length != 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = (fa_text){rest->data + 1, rest->length - 1};
}

static bool take_char(fa_text *rest, char c)
{
    if (rest->length == 0 || rest->data[0] != c)
        return false;
    *rest = (fa_text){rest->data + 1, rest->length - 1};
    return true;
}

/* What is not empty. */
static bool take_token(fa_text *rest, fa_text *token)
{
    size_t length = 0;
    while (length < rest->length && fa_is_token_char(rest->data[length]))
        ++length;
    *token = (fa_text){rest->data, length};
    *rest = (fa_text){rest->data + length, rest->length - length};
    return length != 0;
}

/* After the opening quote, up to and with the closing one. A backslash takes a quote or a backslash behind it along; before anything
 * else it is only a backslash, for the paths that old browsers send. */
static bool take_quoted(fa_text *rest, fa_text *inside)
{
    size_t i = 0;
    for (; i < rest->length && rest->data[i] != '"'; ++i) {
        unsigned char c = (unsigned char)rest->data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
        if (c == '\\' && i + 1 < rest->length && (rest->data[i + 1] == '"' || rest->data[i + 1] == '\\'))
            ++i;
    }
    if (i >= rest->length)
        return false;
    *inside = (fa_text){rest->data, i};
    *rest = (fa_text){rest->data + i + 1, rest->length - i - 1};
    return true;
}

static bool same_name(fa_text a, fa_text b)
{
    return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

static bool take_parameter(fa_text *rest, fa_media_type *type)
{
    if (type->count == FA_MOST_PARAMETERS)
        return false;
    fa_parameter *parameter = &type->parameters[type->count];
    if (!take_token(rest, &parameter->name) || !take_char(rest, '='))
        return false;
    parameter->quoted = take_char(rest, '"');
    if (parameter->quoted ? !take_quoted(rest, &parameter->value) : !take_token(rest, &parameter->value))
        return false;
    for (size_t i = 0; i < type->count; ++i) {
        if (same_name(type->parameters[i].name, parameter->name))
            return false;
    }
    type->count++;
    return true;
}

bool fa_media_type_read(fa_text text, fa_media_type *type)
{
    fa_text rest = text, subtype;
    *type = (fa_media_type){.count = 0};
    skip_blanks(&rest);
    const char *start = rest.data;
    if (!take_token(&rest, &type->value) || (take_char(&rest, '/') && !take_token(&rest, &subtype)))
        return false;
    type->value = (fa_text){start, (size_t)(rest.data - start)};
    for (;;) {
        skip_blanks(&rest);
        if (rest.length == 0)
            return true;
        if (!take_char(&rest, ';'))
            return false;
        skip_blanks(&rest);
        if (rest.length != 0 && rest.data[0] != ';' && !take_parameter(&rest, type))
            return false;
    }
}

const fa_parameter *fa_media_type_parameter(const fa_media_type *type, const char *name)
{
    for (size_t i = 0; i < type->count; ++i) {
        if (fa_text_is(type->parameters[i].name, name))
            return &type->parameters[i];
    }
    return NULL;
}
