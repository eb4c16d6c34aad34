#include "exchange/form.h"

#include <string.h>

#include "exchange/escape.h"

void fa_form_begin(fa_form *form, fa_text body, const fa_form_limits *limits)
{
    *form = (fa_form){.rest = body, .limits = *limits};
}

/* The length when decoded; SIZE_MAX when it is malformed. */
static size_t decoded_length(fa_text text)
{
    size_t length = 0;
    for (const char *at = text.data, *end = at + text.length; at < end; ++at, ++length) {
        int byte = *at == '%' ? fa_escaped_byte(at, end) : (unsigned char)*at;
        if (byte <= 0)
            return SIZE_MAX;
        if (*at == '%')
            at += 2;
    }
    return length;
}

size_t fa_form_decode(fa_text text, char *out)
{
    size_t length = 0;
    for (const char *at = text.data, *end = at + text.length; at < end; ++at) {
        out[length++] = *at == '+' ? ' ' : *at == '%' ? (char)fa_escaped_byte(at, end) : *at;
        if (*at == '%')
            at += 2;
    }
    return length;
}

/* Cuts what stands before `separator` off `rest`; all of it when there is none. */
static void cut_at(fa_text *rest, char separator, fa_text *piece)
{
    const char *at = rest->length != 0 ? memchr(rest->data, separator, rest->length) : NULL;
    *piece = *rest;
    if (at == NULL) {
        *rest = (fa_text){rest->data + rest->length, 0};
        return;
    }
    piece->length = (size_t)(at - rest->data);
    *rest = (fa_text){at + 1, rest->length - piece->length - 1};
}

static bool above(size_t length, size_t limit)
{
    return limit != 0 && length > limit;
}

static fa_result check(const fa_form *form, const fa_form_field *field, fa_error *error)
{
    const fa_form_limits *most = &form->limits;
    if (field->name_length == SIZE_MAX || field->value_length == SIZE_MAX)
        return fa_fail(error, FA_INVALID, "field %zu of the form has a %% without two hex digits, or a NUL",
                       form->count);
    if (above(form->count, most->fields))
        return fa_fail(error, FA_FULL, "the form has more than %zu fields", most->fields);
    if (above(field->name_length, most->name))
        return fa_fail(error, FA_FULL, "the name of field %zu is longer than %zu bytes", form->count, most->name);
    if (above(field->value_length, most->value))
        return fa_fail(error, FA_FULL, "field %zu of the form is longer than %zu bytes", form->count, most->value);
    return FA_OK;
}

fa_result fa_form_next(fa_form *form, fa_form_field *field, fa_error *error)
{
    fa_text pair;
    do {
        if (form->rest.length == 0)
            return FA_NOT_FOUND;
        cut_at(&form->rest, '&', &pair);
    } while (pair.length == 0);
    form->count++;
    cut_at(&pair, '=', &field->name);
    field->value = pair;
    field->name_length = decoded_length(field->name);
    field->value_length = decoded_length(field->value);
    return check(form, field, error);
}
