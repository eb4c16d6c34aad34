/* The doctor: what a memory report means, in plain English with its numbers, most important first. Each rule is one small function
 * of the report. Thread: any. */
#ifndef FA_SERVER_DOCTOR_H
#define FA_SERVER_DOCTOR_H

#include "server/memory_report.h"

typedef enum fa_severity { FA_SEVERITY_NOTE, FA_SEVERITY_WARNING, FA_SEVERITY_CRITICAL } fa_severity;

enum { FA_FINDINGS = 16 };

typedef struct fa_finding {
    fa_severity severity;
    char text[400];
} fa_finding;

typedef struct fa_diagnosis {
    fa_finding findings[FA_FINDINGS]; /* at least one: that nothing is wrong is a finding too */
    size_t count;
} fa_diagnosis;

void fa_diagnose(const fa_memory_report *report, fa_diagnosis *diagnosis);

fa_result fa_doctor_json(const fa_memory_report *report, fa_buffer *out);
fa_result fa_doctor_text(const fa_memory_report *report, fa_buffer *out);

#endif
