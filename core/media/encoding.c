#include "media/encoding.h"

static const char *const names[FA_ENCODINGS] = {NULL, "gzip", "br"};
static const char *const suffixes[FA_ENCODINGS] = {"", ".gz", ".br"};

const char *fa_encoding_name(fa_encoding encoding)
{
    return names[encoding];
}

const char *fa_encoding_suffix(fa_encoding encoding)
{
    return suffixes[encoding];
}

void fa_accepted_init(fa_accepted *accepted)
{
    for (int i = 0; i < FA_ENCODINGS; ++i)
        accepted->wish[i] = -1;
    accepted->others = -1;
}

/* What stands before the first `separator`; the rest behind it stays in *text. */
static fa_text take_until(fa_text *text, char separator)
{
    fa_text part = {text->data, 0};
    while (part.length < text->length && text->data[part.length] != separator)
        part.length++;
    size_t taken = part.length < text->length ? part.length + 1 : part.length;
    *text = (fa_text){text->data + taken, text->length - taken};
    return fa_text_trim(part);
}

/* "0.5" is 500; -1 for what is no weight. */
static int16_t read_weight(fa_text text)
{
    if (text.length == 0 || text.length > 5 || (text.data[0] != '0' && text.data[0] != '1'))
        return -1;
    int weight = (text.data[0] - '0') * 1000;
    if (text.length > 1 && text.data[1] != '.')
        return -1;
    for (size_t i = 2, unit = 100; i < text.length; ++i, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        weight += (text.data[i] - '0') * (int)unit;
    }
    return weight <= 1000 ? (int16_t)weight : -1;
}

/* The q among what follows a coding: 1000 without one, -1 for a malformed one. */
static int16_t weight_of(fa_text parameters)
{
    while (parameters.length != 0) {
        fa_text one = take_until(&parameters, ';');
        if (one.length >= 2 && (one.data[0] == 'q' || one.data[0] == 'Q') && one.data[1] == '=')
            return read_weight((fa_text){one.data + 2, one.length - 2});
    }
    return 1000;
}

static int16_t *place_of(fa_accepted *accepted, fa_text coding)
{
    if (fa_text_is(coding, "br"))
        return &accepted->wish[FA_ENCODING_BR];
    if (fa_text_is(coding, "gzip") || fa_text_is(coding, "x-gzip"))
        return &accepted->wish[FA_ENCODING_GZIP];
    if (fa_text_is(coding, "identity"))
        return &accepted->wish[FA_ENCODING_IDENTITY];
    return fa_text_is(coding, "*") ? &accepted->others : NULL;
}

void fa_accepted_read(fa_accepted *accepted, fa_text line)
{
    while (line.length != 0) {
        fa_text member = take_until(&line, ',');
        int16_t *place = place_of(accepted, take_until(&member, ';')), weight = weight_of(member);
        if (place != NULL && weight >= 0)
            *place = weight;
    }
}

fa_encoding fa_accepted_choose(const fa_accepted *accepted, unsigned available)
{
    fa_encoding best = FA_ENCODING_IDENTITY;
    int16_t most = accepted->wish[FA_ENCODING_IDENTITY] > 0 ? accepted->wish[FA_ENCODING_IDENTITY] : 0;
    for (int i = FA_ENCODING_IDENTITY + 1; i < FA_ENCODINGS; ++i) {
        int16_t wish = accepted->wish[i] >= 0 ? accepted->wish[i] : accepted->others;
        if ((available & 1u << i) != 0 && wish > 0 && wish >= most) {
            best = (fa_encoding)i;
            most = wish;
        }
    }
    return best;
}
