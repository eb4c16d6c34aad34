#include "http/access_log.h"

#include <string.h>

/* Each line is due a step after the one before, but may come up to a second early. */
static bool may_write(fa_access_log *log, uint64_t now_us)
{
    const uint64_t second = 1000000;
    if (log->rate <= 0)
        return true;
    uint64_t step = (uint64_t)((double)second / log->rate), next = log->next_us, due;
    do {
        due = next > now_us ? next : now_us;
        if (due + step > now_us + (step < second ? second : step))
            return false;
    } while (!atomic_compare_exchange_weak(&log->next_us, &next, due + step));
    return true;
}

void fa_access_log_write(fa_access_log *log, const fa_worker *worker, fa_access_entry *entry)
{
    char line[FA_ACCESS_LINE_SIZE];
    if (log == NULL)
        return;
    entry->worker = fa_worker_index(worker);
    entry->wall_ms = fa_worker_wall(worker);
    entry->ended_us = fa_worker_now_us(worker);
    if (may_write(log, entry->ended_us))
        fa_log_put(log->ring, line, fa_access_line(log->format, entry, line));
    else
        fa_log_hold_back(log->ring);
}

void fa_access_log_exchange(fa_access_log *log, const fa_exchange *exchange, const char *end)
{
    if (log == NULL)
        return;
    fa_access_entry entry = {
        .remote = exchange->remote,
        .method = exchange->method,
        .target = exchange->target,
        .referer = fa_exchange_header(exchange, "referer"),
        .user_agent = fa_exchange_header(exchange, "user-agent"),
        .request_id = exchange->request_id,
        .trace_id = exchange->trace.trace_id,
        .status = exchange->status,
        .bytes_out = exchange->body_sent,
        .end = end,
        .story = &exchange->story,
    };
    fa_trace given;
    if (entry.trace_id[0] == '\0' && fa_trace_parse(fa_exchange_header(exchange, "traceparent"), &given))
        entry.trace_id = given.trace_id;
    fa_access_log_write(log, exchange->worker, &entry);
}
