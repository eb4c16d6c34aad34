/* The access log: one line for each answer, when it has ended. docs/operating.md says what stands in it.
 *
 * A line goes into a ring (base/log_writer.h): nothing here waits. Never in it: bodies, header values but those named below, and the values of
 * query parameters that are secrets by their name.
 */
#ifndef FA_HTTP_ACCESS_LOG_H
#define FA_HTTP_ACCESS_LOG_H

#include "base/log_writer.h"
#include "exchange/exchange.h"

typedef enum fa_access_format { FA_ACCESS_COMBINED, FA_ACCESS_JSON } fa_access_format;

/* Of one worker. */
typedef struct fa_access_log {
    fa_log_ring *ring;
    fa_access_format format;
    double rate;              /* lines a second, a second's worth at once; 0: any */
    _Atomic uint64_t next_us; /* when the next line would be due at that rate */
} fa_access_log;

enum { FA_ACCESS_LINE_SIZE = 16 * 1024 };

/* One answer. Texts: borrowed for the call; empty where unknown. */
typedef struct fa_access_entry {
    fa_text remote, method, target, referer, user_agent;
    const char *request_id, *trace_id; /* NULL or empty: none */
    int status;                        /* 0: the client left before there was one; shown as 499 */
    uint64_t bytes_out;                /* of the body */
    const char *end;                   /* how it ended: "answered", "the client vanished" ... */
    const fa_exchange_story *story;
    unsigned worker;
    uint64_t wall_ms, ended_us;
} fa_access_entry;

/* Its length, newline included. */
size_t fa_access_line(fa_access_format format, const fa_access_entry *entry, char line[FA_ACCESS_LINE_SIZE]);

/* log: NULL is ignored. Fills in worker, wall_ms and ended_us. Thread: any (of `worker`'s only the clocks are asked). */
void fa_access_log_write(fa_access_log *log, const fa_worker *worker, fa_access_entry *entry);

/* The same for an exchange that ends now. */
void fa_access_log_exchange(fa_access_log *log, const fa_exchange *exchange, const char *end);

/* Whether the value of a query parameter of that name is never shown: docs/operating.md has the list. name: as sent, perhaps with escapes. */
bool fa_access_is_secret(fa_text name);

#endif
