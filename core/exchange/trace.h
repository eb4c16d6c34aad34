/* W3C Trace Context: the traceparent header, read, made and passed on. Pure; thread: any. */
#ifndef FA_EXCHANGE_TRACE_H
#define FA_EXCHANGE_TRACE_H

#include <stdbool.h>

#include "exchange/text.h"

enum { FA_TRACE_ID_SIZE = 33, FA_SPAN_ID_SIZE = 17, FA_TRACEPARENT_SIZE = 56 };

typedef struct fa_trace {
    char trace_id[FA_TRACE_ID_SIZE]; /* 32 hexadecimal digits; empty: there is none yet */
    char parent_id[FA_SPAN_ID_SIZE]; /* the client's span; empty when the trace began here */
    char span_id[FA_SPAN_ID_SIZE];   /* of this request: the parent of what it asks of others */
    unsigned char flags;             /* bit 0: sampled */
} fa_trace;

/* False, and the trace is untouched: not as the recommendation says (version ff, capitals, zeros, a wrong length). Of a later version what
 * is known is taken. No span_id yet. */
bool fa_trace_parse(fa_text traceparent, fa_trace *trace);

/* Takes the client's trace, or where there is none makes one, not sampled; and begins a span in it. */
void fa_trace_join(fa_trace *trace, fa_text traceparent);

/* "00-TRACE-SPAN-FLAGS" for a request to another service; each has a span id of its own. Returns `out`. */
const char *fa_trace_child(const fa_trace *trace, char out[FA_TRACEPARENT_SIZE]);

/* "00-TRACE-SPAN-FLAGS" of this request itself. */
const char *fa_trace_parent(const fa_trace *trace, char out[FA_TRACEPARENT_SIZE]);

#endif
