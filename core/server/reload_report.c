#include "server/reload_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "server/json_writer.h"

static const char *code_of(const fa_reload_report *report)
{
    if (report->result == FA_FULL)
        return "too_many_generations";
    if (report->result == FA_CANCELLED)
        return "stopping";
    if (report->refused)
        return "failing_specs";
    return report->result == FA_INVALID ? "broken_scripts" : "no_memory";
}

/* ---- JSON ---- */

static void write_error(fa_json *j, const char *key, const fa_reload_report *report)
{
    const fa_load_failure *failure = &report->failure;
    fa_json_open(j, key, '{');
    fa_json_text(j, "code", code_of(report));
    fa_json_text(j, "message", failure->message[0] != '\0' ? failure->message : report->message);
    if (failure->line != 0) {
        fa_json_text(j, "file", failure->file);
        fa_json_number(j, "line", failure->line);
    }
    if (failure->excerpt[0] != '\0')
        fa_json_text(j, "excerpt", failure->excerpt);
    if (failure->traceback[0] != '\0')
        fa_json_text(j, "traceback", failure->traceback);
}

fa_result fa_reload_report_json(const fa_reload_report *report, unsigned workers, const char *certificates,
                                fa_buffer *out)
{
    fa_json j = {.out = out};
    fa_json_open(&j, NULL, '{');
    fa_json_flag(&j, "ok", report->result == FA_OK && certificates == NULL);
    fa_json_number(&j, "generation", report->generation);
    if (report->result == FA_OK) {
        fa_json_number(&j, "previous", report->previous);
        fa_json_decimal(&j, "loadMs", (double)report->load_us / 1000);
        fa_json_decimal(&j, "switchMs", (double)report->switch_us / 1000);
        if (report->specs_us > 0)
            fa_json_decimal(&j, "specsMs", (double)report->specs_us / 1000);
        fa_json_number(&j, "workers", workers);
        fa_json_number(&j, "lateWorkers", report->late);
    } else {
        write_error(&j, "error", report);
        fa_json_close(&j, '}');
    }
    if (certificates != NULL) {
        fa_json_open(&j, "certificates", '{');
        fa_json_text(&j, "code", "broken_certificates");
        fa_json_text(&j, "message", certificates);
        fa_json_close(&j, '}');
    }
    fa_json_close(&j, '}');
    return j.result;
}

static void write_left(fa_json *j, const fa_generation_left *g)
{
    char text[400];
    fa_json_open(j, NULL, '{');
    fa_json_number(j, "generation", g->number);
    fa_json_flag(j, "serves", g->serves);
    fa_json_number(j, "workers", g->workers);
    fa_json_number(j, "heapBytes", g->heap);
    fa_json_number(j, "requests", g->left.requests);
    fa_json_number(j, "turns", g->left.turns);
    fa_json_number(j, "streams", g->left.streams);
    fa_json_number(j, "tasks", g->left.tasks);
    if (!g->serves) {
        fa_json_number(j, "replacedMsAgo", g->replaced_ms);
        fa_json_open(j, "left", '[');
        for (size_t i = 0; i < g->tasks.count && i < FA_INVENTORY_ITEMS; ++i)
            fa_json_text(j, NULL, fa_item_text(&g->tasks.items[i], text, sizeof(text)));
        fa_json_close(j, ']');
    }
    fa_json_close(j, '}');
}

static void write_last(fa_json *j, const fa_reload_report *last, uint64_t last_ms)
{
    if (last->result != FA_OK) {
        write_error(j, "failed", last);
    } else {
        fa_json_open(j, "loaded", '{');
        fa_json_decimal(j, "loadMs", (double)last->load_us / 1000);
        fa_json_decimal(j, "switchMs", (double)last->switch_us / 1000);
        fa_json_number(j, "lateWorkers", last->late);
    }
    fa_json_number(j, "at", last_ms);
    fa_json_close(j, '}');
}

fa_result fa_generations_left_json(const fa_generations_left *left, const fa_reload_report *last, uint64_t last_ms,
                                   fa_buffer *out)
{
    fa_json j = {.out = out};
    fa_json_open(&j, NULL, '{');
    fa_json_number(&j, "serving", left->list[0].number);
    fa_json_open(&j, "generations", '[');
    for (size_t i = 0; i < left->count; ++i)
        write_left(&j, &left->list[i]);
    fa_json_close(&j, ']');
    if (last != NULL)
        write_last(&j, last, last_ms);
    fa_json_close(&j, '}');
    return j.result;
}

/* ---- text ---- */

__attribute__((format(printf, 2, 3))) static fa_result say(fa_buffer *out, const char *format, ...)
{
    char text[8000];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return fa_buffer_append(out, text, length < (int)sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

const char *fa_reload_report_line(const fa_reload_report *report, unsigned workers, char *out, size_t size)
{
    char late[120] = "", specs[60] = "";
    if (report->specs_us > 0)
        snprintf(specs, sizeof(specs), ", the specs took %.1f s", (double)report->specs_us / 1e6);
    if (report->late > 0)
        snprintf(late, sizeof(late),
                 "; a script does not let %u of them go, they change over before their next request", report->late);
    if (report->result == FA_OK)
        snprintf(out, size, "generation %u serves: loaded for %u workers in %.1f ms%s, changed over in %.1f ms%s",
                 report->generation, workers, (double)report->load_us / 1000, specs, (double)report->switch_us / 1000,
                 late);
    else if (report->failure.line != 0)
        snprintf(out, size, "generation %u serves on: %s:%u: %s", report->generation, report->failure.file,
                 report->failure.line, report->failure.message);
    else
        snprintf(out, size, "generation %u serves on: %s", report->generation,
                 report->failure.message[0] != '\0' ? report->failure.message : report->message);
    return out;
}

static fa_result say_failure(const fa_reload_report *report, fa_buffer *out)
{
    char text[6000];
    if (report->failure.message[0] == '\0')
        return say(out, "%s\n", report->message);
    fa_load_failure_text(&report->failure, text, sizeof(text));
    return say(out, "%s", text);
}

fa_result fa_reload_report_text(const fa_reload_report *report, unsigned workers, const char *certificates,
                                fa_buffer *out)
{
    char line[1200];
    if (certificates != NULL) {
        fa_result said = say(out, "The certificates stay as they were: %s\n", certificates);
        if (said != FA_OK)
            return said;
    }
    if (report->result == FA_OK)
        return say(out, "%s\n", fa_reload_report_line(report, workers, line, sizeof(line)));
    fa_result result = say_failure(report, out);
    return result == FA_OK ? say(out, "Nothing has changed: generation %u serves on.\n", report->generation) : result;
}

static fa_result say_left(const fa_generation_left *g, fa_buffer *out)
{
    char heap[16], text[400];
    fa_format_size(g->heap, heap);
    if (g->serves)
        return say(out, "generation %u serves: %zu requests, %zu turns, %zu tasks, %s of Lua\n", g->number,
                   g->left.requests, g->left.turns, g->left.tasks, heap);
    fa_result result = say(out,
                           "generation %u, replaced %llu s ago, is left on %u workers: %zu requests, %zu turns, %zu "
                           "streams, %zu tasks, %s of Lua\n",
                           g->number, (unsigned long long)g->replaced_ms / 1000, g->workers, g->left.requests,
                           g->left.turns, g->left.streams, g->left.tasks, heap);
    for (size_t i = 0; i < g->tasks.count && i < FA_INVENTORY_ITEMS && result == FA_OK; ++i)
        result = say(out, "  %s\n", fa_item_text(&g->tasks.items[i], text, sizeof(text)));
    return result;
}

fa_result fa_generations_left_text(const fa_generations_left *left, const fa_reload_report *last, fa_buffer *out)
{
    bool failed = last != NULL && last->result != FA_OK;
    fa_result result = FA_OK;
    for (size_t i = 0; i < left->count && result == FA_OK; ++i)
        result = say_left(&left->list[i], out);
    if (failed && result == FA_OK)
        result = say(out, "The last reload has failed:\n");
    return failed && result == FA_OK ? say_failure(last, out) : result;
}
