/* Streams of events, cut at every place. */
#include <stdio.h>
#include <stdlib.h>

#include "testing.h"
#include "upstream/reader.h"

typedef struct reading {
    fa_failing memory;
    fa_ledger *ledger;
    fa_scope *scope;
    fa_reader reader;
    char heard[8192];
    size_t used;
    fa_result result; /* of the last fa_reader_next */
} reading;

static void begin(reading *r, fa_stream_format format, size_t event_max, size_t window)
{
    memset(r, 0, sizeof(*r));
    r->ledger = fa_test_ledger(&r->memory);
    assert_ok(fa_scope_new(r->ledger, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &r->scope));
    fa_reader_init(&r->reader, r->scope, format, event_max, window);
}

static void end(reading *r)
{
    fa_reader_free(&r->reader);
    fa_scope_end(r->scope, "test", NULL);
    fa_test_ledger_free(&r->memory, r->ledger);
}

/* All that is there: "event/id/data|". */
static void hear_all(reading *r)
{
    fa_stream_event e;
    while ((r->result = fa_reader_next(&r->reader, &e)) == FA_OK) {
        fa_stream_event again;
        assert_true(fa_reader_event(&r->reader, &again));
        assert_memory_equal(&again, &e, sizeof(e));
        r->used +=
            (size_t)snprintf(r->heard + r->used, sizeof(r->heard) - r->used, "%.*s/%.*s/%.*s|", (int)e.event.length,
                             e.event.data, (int)e.id.length, e.id.data, (int)e.data.length, e.data.data);
    }
}

static void come(reading *r, const char *bytes, size_t length)
{
    if (length != 0)
        assert_ok(fa_reader_write(&r->reader, bytes, length));
}

/* In pieces that end at `first`, at `second` and at the end. */
static void hear_in_three(fa_stream_format format, const char *text, size_t length, size_t first, size_t second,
                          const char *wanted)
{
    reading r;
    begin(&r, format, 1000, 2000);
    come(&r, text, first);
    hear_all(&r);
    come(&r, text + first, second - first);
    hear_all(&r);
    come(&r, text + second, length - second);
    hear_all(&r);
    fa_reader_end(&r.reader, true);
    hear_all(&r);
    assert_int_equal(r.result, FA_NOT_FOUND);
    if (strcmp(r.heard, wanted) != 0)
        fail_msg("cut at %zu and %zu: %s instead of %s", first, second, r.heard, wanted);
    end(&r);
}

static void hear(fa_stream_format format, const char *text, size_t length, const char *wanted)
{
    for (size_t first = 0; first <= length; ++first) {
        for (size_t second = first; second <= length; ++second)
            hear_in_three(format, text, length, first, second, wanted);
    }
}

#define HEAR(format, text, wanted) hear(format, text, sizeof(text) - 1, wanted)

static void sse_at_every_cut(void **state)
{
    (void)state;
    HEAR(FA_STREAM_SSE, "data: one\n\ndata: two\n\n", "message//one|message//two|");
    HEAR(FA_STREAM_SSE, "event: a\nid: 7\ndata: x\ndata: y\n\ndata:z\n\n", "a/7/x\ny|message/7/z|");
    HEAR(FA_STREAM_SSE, "data: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n", "message//a\nb|message//c|message//d|");
    HEAR(FA_STREAM_SSE,
         "\xef\xbb\xbf"
         "data: bom\n\n",
         "message//bom|");
    HEAR(FA_STREAM_SSE, ": a comment\nretry: 10\nfoo: bar\ndata\n\n", "message//|");
    HEAR(FA_STREAM_SSE, "event: nothing\n\ndata: after\n\n", "message//after|");
    HEAR(FA_STREAM_SSE, "data: {\"t\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82\"}\n\n",
         "message//{\"t\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82\"}|");
    HEAR(FA_STREAM_SSE, "data: whole\n\ndata: half\n", "message//whole|");
    HEAR(FA_STREAM_SSE, "data:  two blanks\ndata\ndata:\n\n", "message// two blanks\n\n|");
}

static void ndjson_at_every_cut(void **state)
{
    (void)state;
    HEAR(FA_STREAM_NDJSON, "{\"a\":1}\n{\"b\":\"\xc3\xa4\"}\r\n\n  \n[3]",
         "message//{\"a\":1}|message//{\"b\":\"\xc3\xa4\"}|message//[3]|");
    HEAR(FA_STREAM_NDJSON, "1\n2\n", "message//1|message//2|");
}

static void a_last_line_of_a_cut_stream_is_none(void **state)
{
    reading r;
    (void)state;
    begin(&r, FA_STREAM_NDJSON, 100, 100);
    come(&r, "1\n{\"half\"", 9);
    fa_reader_end(&r.reader, false);
    hear_all(&r);
    assert_string_equal(r.heard, "message//1|");
    end(&r);
}

static void what_is_too_long_is_full(void **state)
{
    static char long_line[600];
    reading r;
    (void)state;
    memset(long_line, 'x', sizeof(long_line));
    for (int format = FA_STREAM_SSE; format <= FA_STREAM_NDJSON; ++format) {
        begin(&r, (fa_stream_format)format, 500, 500);
        come(&r, "data: ", 6);
        come(&r, long_line, 600);
        hear_all(&r);
        assert_int_equal(r.result, FA_FULL);
        end(&r);
    }
    begin(&r, FA_STREAM_SSE, 500, 500); /* many short lines of one event */
    for (int i = 0; i < 60; ++i) {
        come(&r, "data: 12345678\n", 15);
        hear_all(&r);
    }
    assert_int_equal(r.result, FA_FULL);
    end(&r);
    begin(&r, FA_STREAM_SSE, 500, 500);
    come(&r, "event: ", 7);
    come(&r, long_line, 200);
    come(&r, "\n", 1);
    hear_all(&r);
    assert_int_equal(r.result, FA_FULL);
    end(&r);
}

static void garbage_takes_no_memory(void **state)
{
    reading r;
    (void)state;
    begin(&r, FA_STREAM_SSE, 4096, 4096);
    for (unsigned i = 0, seed = 1; i < 200000; ++i) {
        char piece[100];
        for (size_t k = 0; k < sizeof(piece); ++k)
            piece[k] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
        fa_result result = fa_reader_write(&r.reader, piece, sizeof(piece));
        assert_ok(result);
        r.used = 0;
        hear_all(&r);
        if (r.result == FA_FULL)
            break;
        assert_true(r.reader.capacity <= 65536);
    }
    end(&r);
}

/* A reader whose events are never all asked for holds its window and no more, however often bytes come while an event is in use. */
static void memory_is_bounded(void **state)
{
    reading r;
    fa_stream_event e;
    size_t refused = 0, events = 0;
    (void)state;
    for (int format = FA_STREAM_SSE; format <= FA_STREAM_NDJSON; ++format) {
        begin(&r, (fa_stream_format)format, 1000, 8000);
        for (int i = 0; i < 20000; ++i) {
            fa_result result = fa_reader_write(&r.reader, "data: 0123456789\n\ndata: abc", 27);
            if (result == FA_OK)
                result = fa_reader_write(&r.reader, "defg\n\n", 6);
            refused += result == FA_FULL;
            events += fa_reader_next(&r.reader, &e) == FA_OK;
            assert_true(r.reader.capacity <= 32768);
        }
        end(&r);
    }
    assert_true(refused > 1000 && events > 10000);
}

static void running_out_of_memory_is_said(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        fa_scope *scope;
        fa_reader reader;
        fa_stream_event e;
        char piece[3000];
        memset(piece, 'x', sizeof(piece));
        memcpy(piece, "data: ", 6);
        reached = false;
        if (fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "test", FA_HERE, &scope) == FA_OK) {
            fa_reader_init(&reader, scope, FA_STREAM_SSE, 10000, 10000);
            reached = fa_reader_write(&reader, piece, sizeof(piece)) == FA_OK &&
                      fa_reader_write(&reader, piece, sizeof(piece)) == FA_OK &&
                      fa_reader_write(&reader, "\n\n", 2) == FA_OK && fa_reader_next(&reader, &e) == FA_OK;
            fa_reader_free(&reader);
            fa_scope_end(scope, "test", NULL);
        }
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sse_at_every_cut),
        cmocka_unit_test(ndjson_at_every_cut),
        cmocka_unit_test(a_last_line_of_a_cut_stream_is_none),
        cmocka_unit_test(what_is_too_long_is_full),
        cmocka_unit_test(garbage_takes_no_memory),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
