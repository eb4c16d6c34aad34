/* application/x-www-form-urlencoded, as browsers write it: "a=1&b=two+words&c=%C3%A9". Nothing is allocated and nothing is copied until
 * somebody decodes a text. Malformed is what two readers could understand differently: a "%" without two hex digits, and a NUL,
 * written or escaped. Thread: any. */
#ifndef FA_EXCHANGE_FORM_H
#define FA_EXCHANGE_FORM_H

#include "exchange/exchange.h"

/* What a form may hold; 0: no limit of that kind. */
typedef struct fa_form_limits {
    size_t fields;
    size_t name, value; /* bytes of one, decoded */
} fa_form_limits;

/* A reader; texts that it gives are borrowed from the body. */
typedef struct fa_form {
    fa_text rest;
    fa_form_limits limits;
    size_t count; /* fields read so far */
} fa_form;

/* A field as it was sent, and how long its texts are when they are decoded. */
typedef struct fa_form_field {
    fa_text name, value;
    size_t name_length, value_length;
} fa_form_field;

void fa_form_begin(fa_form *form, fa_text body, const fa_form_limits *limits);

/* The next field. FA_NOT_FOUND at the end; FA_INVALID when it is malformed, FA_FULL at a limit: error says which, and what was read
 * before should not be used. Empty parts ("a=1&&b=2") are no fields; "a" is a field with an empty value. */
fa_result fa_form_next(fa_form *form, fa_form_field *field, fa_error *error);

/* Decodes a text that fa_form_next gave: out has room for its decoded length. Returns that length. */
size_t fa_form_decode(fa_text text, char *out);

#endif
