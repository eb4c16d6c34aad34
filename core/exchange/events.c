#include "exchange/events.h"

#include <inttypes.h>
#include <stdio.h>

#include "worker/timer.h"

enum { MOST_HEADERS = 32, RETRY_MS = 1000 };

struct fa_events {
    fa_exchange *exchange;
    fa_outlet *outlet;
    uint64_t retry_ms, heartbeat_ms;
    fa_timer heartbeat;
};

/* One timer that looks when the last write was, instead of one that is set anew by every write. A client that has not
 * taken what there is needs no heartbeat: the socket's own deadline looks after it. */
static void on_heartbeat(fa_timer *timer)
{
    fa_events *events = FA_OBJECT(timer, fa_events, heartbeat);
    uint64_t silent = fa_worker_now(events->exchange->worker) - fa_outlet_written_ms(events->outlet);
    if (fa_outlet_finished(events->outlet))
        return;
    if (silent >= events->heartbeat_ms) {
        silent = 0;
        if (fa_outlet_queued(events->outlet) == 0)
            fa_outlet_write_bytes(events->outlet, ":\n\n", 3); /* without memory this one is left out */
    }
    fa_timer_start(timer, events->heartbeat_ms - silent); /* cannot fail: it has run before */
}

static fa_result say_retry(fa_events *events, uint64_t retry_ms)
{
    char text[40];
    int length = retry_ms != 0 ? snprintf(text, sizeof(text), "retry: %" PRIu64 "\n\n", retry_ms)
                               : snprintf(text, sizeof(text), ":\n\n");
    return fa_outlet_write_bytes(events->outlet, text, (size_t)length);
}

static fa_result open_outlet(fa_exchange *exchange, const fa_events_options *options, fa_outlet **outlet)
{
    fa_header headers[MOST_HEADERS + 3] = {
        {FA_TEXT("content-type"), FA_TEXT("text/event-stream")},
        {FA_TEXT("cache-control"), FA_TEXT("no-cache, no-transform")},
        {FA_TEXT("x-accel-buffering"), FA_TEXT("no")}, /* nginx in front would hold events back */
    };
    if (options->header_count > MOST_HEADERS)
        return FA_INVALID;
    for (size_t i = 0; i < options->header_count; ++i)
        headers[i + 3] = options->headers[i];
    return fa_outlet_open(exchange, 200, headers, options->header_count + 3, -1, options->cap, outlet);
}

fa_result fa_events_open(fa_exchange *exchange, const fa_events_options *options, fa_events **out)
{
    fa_events *events = fa_scope_allocate(exchange->scope, sizeof(*events));
    if (events == NULL)
        return fa_scope_live(exchange->scope) ? FA_NO_MEMORY : FA_WRONG_STATE;
    fa_result result = open_outlet(exchange, options, &events->outlet);
    if (result != FA_OK) {
        fa_scope_free(exchange->scope, events);
        return result;
    }
    events->exchange = exchange;
    events->retry_ms = options->retry_ms;
    events->heartbeat_ms = options->heartbeat_ms;
    *out = events;
    result = say_retry(events, options->retry_ms);
    if (result == FA_OK && events->heartbeat_ms != 0 && !exchange->finished) {
        fa_timer_init(&events->heartbeat, exchange->worker, exchange->scope, on_heartbeat);
        result = fa_timer_start(&events->heartbeat, events->heartbeat_ms);
    }
    if (result != FA_OK)
        fa_exchange_abort(exchange);
    return result;
}

fa_outlet *fa_events_outlet(const fa_events *events)
{
    return events->outlet;
}

void fa_events_close(fa_events *events, bool again)
{
    if (fa_outlet_finished(events->outlet))
        return;
    fa_timer_stop(&events->heartbeat);
    if (again)
        say_retry(events, events->retry_ms != 0 ? events->retry_ms : RETRY_MS); /* a full queue ends without it */
    fa_outlet_finish(events->outlet);
}
