/* Which requests of HTTP/2 have begun, as frames say; each sequence of frames comes in pieces of every size. */
#include "testing.h"

#include "http/http2_begun.h"

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, CONTINUATION = 9, END_STREAM = 1, END_HEADERS = 4 };

typedef struct frame {
    uint8_t type, flags, stream;
    size_t length;
} frame;

static uint8_t bytes[64 * 1024];

static size_t write_frames(const frame *frames, size_t count)
{
    size_t at = FA_HTTP2_PREFACE;
    memset(bytes, 0xff, sizeof(bytes));
    for (size_t i = 0; i < count; ++i) {
        const uint8_t head[FA_HTTP2_FRAME_HEAD] = {0,
                                                   (uint8_t)(frames[i].length >> 8),
                                                   (uint8_t)frames[i].length,
                                                   frames[i].type,
                                                   frames[i].flags,
                                                   0,
                                                   0,
                                                   0,
                                                   frames[i].stream};
        memcpy(bytes + at, head, sizeof(head));
        at += sizeof(head) + frames[i].length;
    }
    return at;
}

/* In pieces of that size, each a millisecond after the other. */
static void take(fa_http2_begun *begun, size_t length, size_t piece)
{
    uint64_t now_ms = 1000;
    memset(begun, 0, sizeof(*begun));
    for (size_t at = 0; at < length; at += piece)
        fa_http2_begun_take(begun, bytes + at, piece < length - at ? piece : length - at, now_ms++);
}

static void each_request_is_there_until_its_end(void **state)
{
    static const struct {
        const char *what;
        frame frames[6];
        size_t count, left;
        uint8_t first;
    } cases[] = {
        {"nothing but settings", {{4, 0, 0, 18}}, 1, 0, 0},
        {"whole at once", {{HEADERS, END_STREAM | END_HEADERS, 1, 40}}, 1, 0, 0},
        {"a body to come", {{HEADERS, END_HEADERS, 1, 40}}, 1, 1, 1},
        {"a body", {{HEADERS, END_HEADERS, 1, 40}, {DATA, 0, 1, 500}, {DATA, END_STREAM, 1, 0}}, 3, 0, 0},
        {"a head to come", {{HEADERS, END_STREAM, 1, 40}}, 1, 1, 1},
        {"a head in three",
         {{HEADERS, END_STREAM, 1, 40}, {CONTINUATION, 0, 1, 9}, {CONTINUATION, END_HEADERS, 1, 0}},
         3,
         0,
         0},
        {"a head in two, and no body", {{HEADERS, 0, 1, 40}, {CONTINUATION, END_HEADERS, 1, 9}}, 2, 1, 1},
        {"trailers",
         {{HEADERS, END_HEADERS, 1, 4}, {DATA, 0, 1, 5}, {HEADERS, END_STREAM | END_HEADERS, 1, 4}},
         3,
         0,
         0},
        {"reset", {{HEADERS, END_HEADERS, 1, 4}, {RST_STREAM, 0, 1, 4}}, 2, 0, 0},
        {"two, the first one ends",
         {{HEADERS, END_HEADERS, 1, 4}, {HEADERS, END_HEADERS, 3, 4}, {DATA, END_STREAM, 1, 9}, {PRIORITY, 0, 3, 5}},
         4,
         1,
         3},
        {"two, the second one ends",
         {{HEADERS, END_HEADERS, 1, 4}, {HEADERS, 5, 3, 4}, {DATA, END_STREAM, 5, 9}},
         3,
         1,
         1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        size_t length = write_frames(cases[i].frames, cases[i].count);
        for (size_t piece = 1; piece <= length; ++piece) {
            fa_http2_begun begun;
            take(&begun, length, piece);
            if (begun.count != cases[i].left || !fa_http2_begun_is_between(&begun) ||
                (begun.count != 0 && begun.requests[0].stream != cases[i].first))
                fail_msg("%s, in pieces of %zu: %zu are left", cases[i].what, piece, begun.count);
        }
    }
}

static const fa_http2_terms any_rate = {.request_ms = 1000};

static void time_is_that_of_the_first_byte(void **state)
{
    static const frame frames[] = {{HEADERS, END_HEADERS, 1, 4}, {HEADERS, END_HEADERS, 3, 4}, {DATA, 0, 1, 100}};
    size_t length = write_frames(frames, 3);
    fa_http2_begun begun = {0};
    (void)state;
    assert_true(fa_http2_begun_due(&begun, &any_rate) == UINT64_MAX);
    fa_http2_begun_take(&begun, bytes, 10, 5);
    assert_int_equal(fa_http2_begun_due(&begun, &any_rate), 1005); /* the preface */
    fa_http2_begun_take(&begun, bytes + 10, 14 + 3, 7);
    assert_int_equal(fa_http2_begun_due(&begun, &any_rate), 1007); /* the frame that follows it, in part */
    fa_http2_begun_take(&begun, bytes + 27, 10, 9);
    assert_int_equal(fa_http2_begun_due(&begun, &any_rate), 1007); /* the request that it brought */
    fa_http2_begun_take(&begun, bytes + 37, 13, 11);
    assert_int_equal(begun.count, 2);
    fa_http2_begun_take(&begun, bytes + 50, 50, 13);
    assert_int_equal(fa_http2_begun_due(&begun, &any_rate), 1013); /* a frame is under way */
    fa_http2_begun_take(&begun, bytes + 100, length - 100, 15);
    assert_int_equal(fa_http2_begun_due(&begun, &any_rate), 1007);
    assert_int_equal(fa_http2_begun_drop(&begun, &any_rate, 1006), 0);
    assert_int_equal(fa_http2_begun_drop(&begun, &any_rate, 1010), 1);
    assert_int_equal(fa_http2_begun_drop(&begun, &any_rate, 1010), 0);
    assert_int_equal(fa_http2_begun_drop(&begun, &any_rate, 1011), 3);
    assert_true(fa_http2_begun_due(&begun, &any_rate) == UINT64_MAX);
}

static void a_body_has_a_rate(void **state)
{
    static const fa_http2_terms terms = {.request_ms = 60000, .head_ms = 1000, .rate = 500};
    static const frame frames[] = {{HEADERS, END_HEADERS, 1, 4}, {HEADERS, END_HEADERS, 3, 4}, {DATA, 0, 1, 4000}};
    size_t length = write_frames(frames, 3), head = length - 4000;
    fa_http2_begun begun = {0};
    (void)state;
    fa_http2_begun_take(&begun, bytes, head - 9, 10);
    assert_int_equal(fa_http2_begun_due(&begun, &terms), 1010);
    fa_http2_begun_take(&begun, bytes + head - 9, 9 + 2000, 20);
    assert_int_equal(fa_http2_begun_due(&begun, &terms), 5020); /* the frame's own: 4 s for what has come of it */
    fa_http2_begun_take(&begun, bytes + head + 2000, 2000, 500);
    assert_int_equal(fa_http2_begun_due(&begun, &terms), 1010); /* of stream 3 nothing has come */
    assert_int_equal(fa_http2_begun_drop(&begun, &terms, 1009), 0);
    assert_int_equal(fa_http2_begun_drop(&begun, &terms, 1010), 3); /* though it is the younger one */
    assert_int_equal(fa_http2_begun_due(&begun, &terms), 9010);
    assert_int_equal(fa_http2_begun_drop(&begun, &terms, 9009), 0);
    assert_int_equal(fa_http2_begun_drop(&begun, &terms, 9010), 1);
}

static void requests_are_counted(void **state)
{
    static const frame frames[] = {{HEADERS, END_HEADERS, 1, 4},
                                   {DATA, 0, 1, 4},
                                   {HEADERS, END_HEADERS | END_STREAM, 1, 4}, /* trailers */
                                   {HEADERS, 0, 3, 4},
                                   {CONTINUATION, END_HEADERS, 3, 4},
                                   {HEADERS, END_HEADERS | END_STREAM, 9, 4}};
    size_t length = write_frames(frames, 6);
    fa_http2_begun begun;
    (void)state;
    take(&begun, length, length);
    assert_int_equal(begun.opened, 3);
}

static void no_more_than_there_may_be(void **state)
{
    static frame frames[200];
    (void)state;
    for (size_t i = 0; i < 200; ++i)
        frames[i] = (frame){HEADERS, END_HEADERS, (uint8_t)(i + 1), 0};
    size_t length = write_frames(frames, 200);
    fa_http2_begun begun;
    take(&begun, length, length);
    assert_int_equal(begun.count, FA_HTTP2_MOST_BEGUN);
    for (unsigned i = 1; i <= FA_HTTP2_MOST_BEGUN; ++i)
        assert_int_equal(fa_http2_begun_drop(&begun, &any_rate, UINT64_MAX), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_there_until_its_end),
        cmocka_unit_test(time_is_that_of_the_first_byte),
        cmocka_unit_test(a_body_has_a_rate),
        cmocka_unit_test(requests_are_counted),
        cmocka_unit_test(no_more_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
