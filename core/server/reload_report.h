/* What a reload has done, and what is left of older generations: as JSON, and as text for a terminal. */
#ifndef FA_SERVER_RELOAD_REPORT_H
#define FA_SERVER_RELOAD_REPORT_H

#include "memory/buffer.h"
#include "server/scripts.h"

/* {"ok":true,"generation":4,"previous":3,"loadMs":…,"switchMs":…,"lateWorkers":0} or
 * {"ok":false,"generation":3,"error":{"code":"broken_scripts","message":…,"file":…,"line":…,"excerpt":…,"traceback":…}}
 * certificates: why those stay as they were, or NULL; adds "certificates":{"code":"broken_certificates","message":…}, and "ok" is false */
fa_result fa_reload_report_json(const fa_reload_report *report, unsigned workers, const char *certificates,
                                fa_buffer *out);
fa_result fa_reload_report_text(const fa_reload_report *report, unsigned workers, const char *certificates,
                                fa_buffer *out);

/* last: how the last reload went; NULL: there was none. last_ms: when, wall clock. */
fa_result fa_generations_left_json(const fa_generations_left *left, const fa_reload_report *last, uint64_t last_ms,
                                   fa_buffer *out);
fa_result fa_generations_left_text(const fa_generations_left *left, const fa_reload_report *last, fa_buffer *out);

/* A worker that was asked to let go and did not, and so on: one line for the log. Returns `out`. */
const char *fa_reload_report_line(const fa_reload_report *report, unsigned workers, char *out, size_t size);

#endif
