#include "exchange/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/random_id.h"

/* "VV-", 32 digits, "-", 16 digits, "-FF" */
enum { AT_TRACE = 3, TRACE_DIGITS = 32, AT_SPAN = 36, SPAN_DIGITS = 16, AT_FLAGS = 53, LENGTH = 55 };

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Small hexadecimal digits, and not all of them zero where that means "none". */
static bool is_hex(const char *text, size_t length, bool may_be_zero)
{
    bool zero = true;
    for (size_t i = 0; i < length; ++i) {
        if (digit(text[i]) < 0)
            return false;
        zero = zero && text[i] == '0';
    }
    return may_be_zero || !zero;
}

static bool has_shape(fa_text t)
{
    if (t.length < LENGTH || t.data[2] != '-' || t.data[AT_SPAN - 1] != '-' || t.data[AT_FLAGS - 1] != '-')
        return false;
    bool first_version = memcmp(t.data, "00", 2) == 0;
    if (!is_hex(t.data, 2, true) || memcmp(t.data, "ff", 2) == 0)
        return false;
    return t.length == LENGTH || (!first_version && t.data[LENGTH] == '-');
}

bool fa_trace_parse(fa_text t, fa_trace *trace)
{
    if (!has_shape(t) || !is_hex(t.data + AT_TRACE, TRACE_DIGITS, false) ||
        !is_hex(t.data + AT_SPAN, SPAN_DIGITS, false) || !is_hex(t.data + AT_FLAGS, 2, true))
        return false;
    memcpy(trace->trace_id, t.data + AT_TRACE, TRACE_DIGITS);
    memcpy(trace->parent_id, t.data + AT_SPAN, SPAN_DIGITS);
    trace->trace_id[TRACE_DIGITS] = trace->parent_id[SPAN_DIGITS] = '\0';
    trace->flags = (unsigned char)(digit(t.data[AT_FLAGS + 1]) & 1);
    trace->span_id[0] = '\0';
    return true;
}

void fa_trace_join(fa_trace *trace, fa_text traceparent)
{
    if (!fa_trace_parse(traceparent, trace)) {
        fa_random_id(trace->trace_id, sizeof(trace->trace_id), "", TRACE_DIGITS / 2);
        trace->parent_id[0] = '\0';
        trace->flags = 0;
    }
    fa_random_id(trace->span_id, sizeof(trace->span_id), "", SPAN_DIGITS / 2);
}

static const char *render(const fa_trace *trace, const char *span, char out[FA_TRACEPARENT_SIZE])
{
    snprintf(out, FA_TRACEPARENT_SIZE, "00-%s-%s-%02x", trace->trace_id, span, trace->flags);
    return out;
}

const char *fa_trace_child(const fa_trace *trace, char out[FA_TRACEPARENT_SIZE])
{
    char span[FA_SPAN_ID_SIZE];
    fa_random_id(span, sizeof(span), "", SPAN_DIGITS / 2);
    return render(trace, span, out);
}

const char *fa_trace_parent(const fa_trace *trace, char out[FA_TRACEPARENT_SIZE])
{
    return render(trace, trace->span_id, out);
}
