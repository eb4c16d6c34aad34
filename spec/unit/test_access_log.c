/* The access log: how a line looks, what never stands in it, its rate; the trace context; and the logs of a server. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "exchange/trace.h"
#include "http/access_log.h"
#include "server/logs.h"

static const fa_exchange_story story = {.began_us = 1000000,
                                        .parsed_us = 1000250,
                                        .handler_us = 1002250,
                                        .first_us = 1010000,
                                        .bytes_in = 321,
                                        .version = 11,
                                        .route = "/ask/:id",
                                        .generation = 3,
                                        .dialogue_id = "d-1"};

static fa_access_entry entry_of(const char *target)
{
    return (fa_access_entry){
        .remote = FA_TEXT("192.0.2.7"),
        .method = FA_TEXT("GET"),
        .target = {target, strlen(target)},
        .user_agent = FA_TEXT("curl \"8\""),
        .request_id = "r-1",
        .trace_id = "0af7651916cd43dd8448eb211c80319c",
        .status = 200,
        .bytes_out = 42,
        .end = "answered",
        .story = &story,
        .wall_ms = 1764374400123,
        .ended_us = 1020001,
    };
}

static const char *line_of(fa_access_format format, const fa_access_entry *entry)
{
    static char line[FA_ACCESS_LINE_SIZE + 1];
    size_t length = fa_access_line(format, entry, line);
    assert_in_range(length, 2, FA_ACCESS_LINE_SIZE);
    assert_int_equal(line[length - 1], '\n');
    line[length - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line;
}

static void a_line_of_json(void **state)
{
    fa_access_entry entry = entry_of("/ask/1?a=b");
    (void)state;
    assert_string_equal(
        line_of(FA_ACCESS_JSON, &entry),
        "{\"time\":\"2025-11-29T00:00:00.123Z\",\"remote\":\"192.0.2.7\",\"method\":\"GET\",\"target\":\"/ask/1?a=b\","
        "\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytesIn\":321,\"bytesOut\":42,\"requestId\":\"r-1\","
        "\"traceId\":\"0af7651916cd43dd8448eb211c80319c\",\"dialogueId\":\"d-1\",\"route\":\"/ask/"
        ":id\",\"generation\":3,"
        "\"worker\":0,\"ms\":{\"parsed\":0.250,\"queued\":2.000,\"handler\":2.250,\"firstByte\":10.000,"
        "\"lastByte\":20.001},\"end\":\"answered\",\"userAgent\":\"curl \\u00228\\u0022\"}");
}

static void a_combined_line(void **state)
{
    fa_access_entry entry = entry_of("/ask/1?a=b");
    (void)state;
    entry.referer = FA_TEXT("http://x/?token=1");
    assert_string_equal(line_of(FA_ACCESS_COMBINED, &entry),
                        "192.0.2.7 - - [29/Nov/2025:00:00:00 +0000] \"GET /ask/1?a=b HTTP/1.1\" 200 42 "
                        "\"http://x/?token=[redacted]\" \"curl \\x228\\x22\" in=321 parsed=0.250 queued=2.000 "
                        "handler=2.250 first=10.000 last=20.001 id=r-1 trace=0af7651916cd43dd8448eb211c80319c "
                        "dialogue=d-1 route=/ask/:id generation=3");
}

static void what_is_not_known_is_left_out(void **state)
{
    static const fa_exchange_story nothing = {.version = 10};
    fa_access_entry entry = {.story = &nothing};
    (void)state;
    assert_string_equal(line_of(FA_ACCESS_COMBINED, &entry),
                        " - - [01/Jan/1970:00:00:00 +0000] \"-\" 499 0 \"-\" \"-\" in=0 parsed=0.000 queued=0.000 "
                        "handler=0.000 first=0.000 last=0.000");
    assert_null(strstr(line_of(FA_ACCESS_JSON, &entry), "route"));
    assert_non_null(strstr(line_of(FA_ACCESS_JSON, &entry), "\"status\":499"));
}

static void secrets_are_left_out(void **state)
{
    static const struct {
        const char *target, *shown;
    } cases[] = {
        {"/?token=abc", "/?token=[redacted]"},
        {"/?a=1&Access-Token=abc&b=2", "/?a=1&Access-Token=[redacted]&b=2"},
        {"/?t%6Fken=abc", "/?t%6Fken=[redacted]"},
        {"/?%74%4F%6b%65%6E=abc&", "/?%74%4F%6b%65%6E=[redacted]&"},
        {"/?password=a=b&x", "/?password=[redacted]&x"},
        {"/?tokens=1&mytoken=2&token", "/?tokens=1&mytoken=2&token"},
        {"/?api_key=", "/?api_key=[redacted]"},
        {"/token=abc", "/token=abc"},
        {"/?a=?token=1", "/?a=?token=1"},
        {"/?key=1&key=2", "/?key=[redacted]&key=[redacted]"},
        {"/?=1&&", "/?=1&&"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        char wanted[200];
        fa_access_entry entry = entry_of(cases[i].target);
        snprintf(wanted, sizeof(wanted), "\"target\":\"%s\",", cases[i].shown);
        if (strstr(line_of(FA_ACCESS_JSON, &entry), wanted) == NULL)
            fail_msg("%s: %s", cases[i].target, line_of(FA_ACCESS_JSON, &entry));
    }
}

/* Whatever a client sends, the line is one line, and of JSON it is still all there. */
static void the_worst_still_is_one_line(void **state)
{
    static char target[8192], agent[8192];
    (void)state;
    memset(target, 0x01, sizeof(target));
    memset(agent, 0xff, sizeof(agent));
    for (size_t question = 0; question < 1100; question += 7) {
        fa_access_entry entry = entry_of("");
        target[question] = '?';
        entry.target = (fa_text){target, sizeof(target)};
        entry.referer = entry.target;
        entry.user_agent = (fa_text){agent, sizeof(agent)};
        const char *line = line_of(FA_ACCESS_JSON, &entry);
        assert_string_equal(line + strlen(line) - 2, "\"}");
        line_of(FA_ACCESS_COMBINED, &entry);
        target[question] = 0x01;
    }
}

/* ---- the trace ---- */

static void a_trace_is_read_and_passed_on(void **state)
{
    static const char *const bad[] = {"",
                                      "00",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                                      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                                      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                                      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                                      "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                                      "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
                                      "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x"};
    const char *good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    char child[FA_TRACEPARENT_SIZE], other[FA_TRACEPARENT_SIZE];
    fa_trace trace = {.flags = 0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_false(fa_trace_parse((fa_text){bad[i], strlen(bad[i])}, &trace));
    assert_string_equal(trace.trace_id, "");
    assert_true(fa_trace_parse(FA_TEXT("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-more"), &trace));
    fa_trace_join(&trace, (fa_text){good, strlen(good)});
    assert_string_equal(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(trace.parent_id, "b7ad6b7169203331");
    fa_trace_child(&trace, child);
    fa_trace_child(&trace, other);
    assert_int_equal(strlen(child), 55);
    assert_memory_equal(child, good, 36);
    assert_string_not_equal(child, good);
    assert_string_not_equal(child, other);
    assert_string_equal(child + 52, "-01");
    assert_true(fa_trace_parse((fa_text){child, 55}, &trace));
    fa_trace_join(&trace, FA_TEXT("nonsense"));
    assert_true(fa_trace_parse((fa_text){fa_trace_parent(&trace, child), 55}, &trace));
    assert_int_equal(trace.flags, 0);
}

/* ---- the logs of a server ---- */

static bool start_logs(fa_ledger *ledger, unsigned lines)
{
    fa_scope *scope;
    fa_logs logs = {0};
    fa_worker *worker = NULL;
    fa_error error;
    fa_log log = {.level = FA_LOG_ERROR, .fd = -1};
    bool done = false;
    if (fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "logs", FA_HERE, &scope) != FA_OK)
        return false;
    fa_config *config = fa_config_new(scope);
    if (config != NULL && fa_config_override(config, "access_log=json", &error) == FA_OK &&
        fa_config_override(config, "access_log_file=/dev/null", &error) == FA_OK &&
        fa_config_override(config, "access_log_rate=20", &error) == FA_OK &&
        fa_worker_new(ledger, scope, 0, &log, &worker, &error) == FA_OK) {
        fa_result result = fa_logs_start(&logs, scope, config, &log, 2, &error);
        done = result == FA_OK;
        if (!done)
            assert_int_equal(result, FA_NO_MEMORY);
        for (unsigned i = 0; i < lines && done; ++i) {
            fa_access_entry entry = entry_of("/");
            fa_access_log_write(&logs.access[0], worker, &entry);
        }
        if (done &&
            lines > 0) { /* 10 a second for each of two workers: a second's worth, and what came due meanwhile */
            assert_in_range(logs.access[0].ring->held_back, lines - 30, lines - 10);
            assert_int_equal(logs.access[0].ring->dropped, 0);
        }
        fa_logs_stop(&logs);
    }
    fa_worker_free(worker);
    fa_scope_end(scope, "done", NULL);
    return done;
}

static void a_rate_holds_lines_back(void **state)
{
    fa_failing failing;
    (void)state;
    fa_failing_init(&failing);
    fa_ledger *ledger = fa_test_ledger(&failing);
    assert_true(start_logs(ledger, 1000));
    fa_test_ledger_free(&failing, ledger);
}

static void logs_bear_any_lack_of_memory(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        reached = start_logs(ledger, 0);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_json),
        cmocka_unit_test(a_combined_line),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(secrets_are_left_out),
        cmocka_unit_test(the_worst_still_is_one_line),
        cmocka_unit_test(a_trace_is_read_and_passed_on),
        cmocka_unit_test(a_rate_holds_lines_back),
        cmocka_unit_test(logs_bear_any_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
