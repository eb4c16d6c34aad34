/* core/media: the readers of request headers, without any file: Range, Accept-Encoding, entity tags; and MIME types of a
 * file. */
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "media/conditions.h"
#include "media/encoding.h"
#include "media/range.h"
#include "media/types.h"

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

/* ---- Range ---- */

#define HUGE "99999999999999999999999999"

typedef struct range_case {
    const char *header;
    uint64_t size;
    fa_range_answer answer;
    uint64_t first, length;
} range_case;

static const range_case range_cases[] = {
    {"bytes=0-0", 100, FA_RANGE_PART, 0, 1},
    {"bytes=0-99", 100, FA_RANGE_PART, 0, 100},
    {"bytes=10-19", 100, FA_RANGE_PART, 10, 10},
    {"bytes=99-", 100, FA_RANGE_PART, 99, 1},
    {"bytes=0-", 100, FA_RANGE_PART, 0, 100},
    {"bytes=50-1000", 100, FA_RANGE_PART, 50, 50},
    {"bytes=50-" HUGE, 100, FA_RANGE_PART, 50, 50},
    {"bytes=-1", 100, FA_RANGE_PART, 99, 1},
    {"bytes=-100", 100, FA_RANGE_PART, 0, 100},
    {"bytes=-1000", 100, FA_RANGE_PART, 0, 100},
    {"bytes=-" HUGE, 100, FA_RANGE_PART, 0, 100},
    {"BYTES=1-2", 100, FA_RANGE_PART, 1, 2},
    {"bytes=0001-0002", 100, FA_RANGE_PART, 1, 2},
    {"bytes=18446744073709551614-18446744073709551615", UINT64_MAX, FA_RANGE_PART, UINT64_MAX - 1, 1},
    /* lists: what lies outside does not count, and empty elements are none */
    {"bytes= 1-2", 100, FA_RANGE_PART, 1, 2},
    {"bytes=,1-2 , ,", 100, FA_RANGE_PART, 1, 2},
    {"bytes=200-300, 1-2", 100, FA_RANGE_PART, 1, 2},
    {"bytes=0-0,-1", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=0-10,5-20", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=0-0,0-0,0-0,0-0", 100, FA_RANGE_WHOLE, 0, 100},
    /* outside */
    {"bytes=100-", 100, FA_RANGE_NONE, 0, 100},
    {"bytes=100-200", 100, FA_RANGE_NONE, 0, 100},
    {"bytes=" HUGE "-", 100, FA_RANGE_NONE, 0, 100},
    {"bytes=-0", 100, FA_RANGE_NONE, 0, 100},
    {"bytes=100-,200-300,-0", 100, FA_RANGE_NONE, 0, 100},
    {"bytes=0-", 0, FA_RANGE_NONE, 0, 0},
    {"bytes=0-0", 0, FA_RANGE_NONE, 0, 0},
    {"bytes=-5", 0, FA_RANGE_NONE, 0, 0},
    /* malformed, or no unit of ours: as if it were not there */
    {"", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=,", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=-", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=2-1", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=200-100", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=a-b", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=1-2x", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=1 -2", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=1-2-3", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=--1", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=+1-2", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=0x1-0x2", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=1-2;3-4", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes=1-2,x", 100, FA_RANGE_WHOLE, 0, 100},
    {"bytes =1-2", 100, FA_RANGE_WHOLE, 0, 100},
    {" bytes=1-2", 100, FA_RANGE_WHOLE, 0, 100},
    {"byte\x1d"
     "1-2",
     100, FA_RANGE_WHOLE, 0, 100},
    {"seconds=1-2", 100, FA_RANGE_WHOLE, 0, 100},
    {"none", 100, FA_RANGE_WHOLE, 0, 100},
};

static void ranges_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(range_cases) / sizeof(range_cases[0]); ++i) {
        const range_case *c = &range_cases[i];
        fa_byte_range range;
        fa_range_answer answer = fa_range_read(text_of(c->header), c->size, &range);
        if (answer != c->answer || range.first != c->first || range.length != c->length)
            fail_msg("\"%s\" of %" PRIu64 ": %d, %" PRIu64 " + %" PRIu64, c->header, c->size, (int)answer, range.first,
                     range.length);
    }
}

/* Whatever it says, a part lies in the file. */
static void a_part_is_never_outside(void **state)
{
    static const char letters[] = "0123456789--,, =bytesBYTES";
    unsigned random = 1;
    (void)state;
    for (int i = 0; i < 200000; ++i) {
        char header[40] = "bytes=";
        size_t length = 6 + (unsigned)i % 20;
        for (size_t k = 6; k < length; ++k) {
            random = random * 1103515245 + 12345;
            header[k] = letters[(random >> 16) % (sizeof(letters) - 1)];
        }
        uint64_t size = (random >> 8) % 50;
        fa_byte_range range;
        fa_range_answer answer = fa_range_read((fa_text){header, length}, size, &range);
        assert_true(range.first <= size && range.length <= size - range.first);
        assert_true(answer != FA_RANGE_PART || range.length != 0);
        assert_true(answer == FA_RANGE_PART || range.length == size);
    }
}

/* ---- Accept-Encoding ---- */

typedef struct encoding_case {
    const char *header; /* lines of it, divided by "|"; NULL: no such header */
    const char *chosen; /* when both are there */
    const char *chosen_of_gzip;
} encoding_case;

static const encoding_case encoding_cases[] = {
    {NULL, "", ""},
    {"", "", ""},
    {"gzip", "gzip", "gzip"},
    {"br", "br", ""},
    {"gzip, br", "br", "gzip"},
    {"gzip, deflate, br, zstd", "br", "gzip"},
    {"GZIP", "gzip", "gzip"},
    {"x-gzip", "gzip", "gzip"},
    {"deflate", "", ""},
    {"*", "br", "gzip"},
    {"*;q=0", "", ""},
    {"identity", "", ""},
    {"identity;q=0", "", ""}, /* nothing else is wanted either: better identity than nothing */
    {"gzip;q=0", "", ""},
    {"gzip;q=0.0", "", ""},
    {"gzip;q=0.001", "gzip", "gzip"},
    {"gzip;q=1.0, br;q=0.9", "gzip", "gzip"},
    {"gzip;q=0.5, br;q=0.5", "br", "gzip"},
    {"gzip; q=0.8 , br ;q=0.2", "gzip", "gzip"},
    {"gzip;Q=0.8,br;Q=0.2", "gzip", "gzip"},
    {"br;q=0.5, identity;q=0.8", "", ""},
    {"br;q=0.5, identity", "", ""},
    {"br;q=0.8, identity;q=0.8", "br", ""},
    {"br;q=0, *", "gzip", "gzip"},
    {"*;q=0.1, gzip;q=0.5", "gzip", "gzip"},
    {"gzip;q=0, *;q=0.3", "br", ""},
    {"gzip;q=2", "", ""},
    {"gzip;q=-1", "", ""},
    {"gzip;q=1.001", "", ""},
    {"gzip;q=0.1234", "", ""},
    {"gzip;q=", "", ""},
    {"gzip;q=x, br", "br", ""},
    {"gzip;level=3;q=0.4, br;q=0.3", "gzip", "gzip"},
    {"gzip;level=3", "gzip", "gzip"},
    {",,gzip,,", "gzip", "gzip"},
    {"gzip|br", "br", "gzip"},
    {"gzip|gzip;q=0", "", ""},
    {"gzipped, brotli", "", ""},
};

static void encodings_are_chosen(void **state)
{
    enum { GZIP = 1u << FA_ENCODING_GZIP, BOTH = GZIP | 1u << FA_ENCODING_BR };
    (void)state;
    for (size_t i = 0; i < sizeof(encoding_cases) / sizeof(encoding_cases[0]); ++i) {
        const encoding_case *c = &encoding_cases[i];
        fa_accepted accepted;
        fa_accepted_init(&accepted);
        for (const char *at = c->header; at != NULL;) {
            const char *end = strchr(at, '|');
            fa_accepted_read(&accepted, (fa_text){at, end != NULL ? (size_t)(end - at) : strlen(at)});
            at = end != NULL ? end + 1 : NULL;
        }
        const char *chosen = fa_encoding_name(fa_accepted_choose(&accepted, BOTH));
        const char *of_gzip = fa_encoding_name(fa_accepted_choose(&accepted, GZIP));
        if (strcmp(chosen != NULL ? chosen : "", c->chosen) != 0)
            fail_msg("\"%s\": %s", c->header, chosen);
        if (strcmp(of_gzip != NULL ? of_gzip : "", c->chosen_of_gzip) != 0)
            fail_msg("\"%s\" of gzip alone: %s", c->header, of_gzip);
        assert_int_equal(fa_accepted_choose(&accepted, 0), FA_ENCODING_IDENTITY);
    }
}

/* ---- entity tags ---- */

typedef struct tag_case {
    const char *list;
    bool weak, strong; /* whether it names "a" */
} tag_case;

static const tag_case tag_cases[] = {
    {"\"a\"", true, true},
    {"W/\"a\"", true, false},
    {"w/\"a\"", false, false},
    {"\"b\"", false, false},
    {"\"b\", \"a\"", true, true},
    {"\"b\",\"a\"", true, true},
    {" , ,\"b\"\t,\"a\" ", true, true},
    {"W/\"a\", \"a\"", true, true},
    {"\"a,b\"", false, false},
    {"\",\", \"a\"", true, true},
    {"a", false, false},
    {"*", false, false},
    {"\"a", false, false},
    {"W/", false, false},
    {"", false, false},
    {"\"\"", false, false},
    {"x, \"a\"", false, false},
};

static void tags_are_compared(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tag_cases) / sizeof(tag_cases[0]); ++i) {
        const tag_case *c = &tag_cases[i];
        if (fa_etag_listed(text_of(c->list), "\"a\"", true) != c->weak ||
            fa_etag_listed(text_of(c->list), "\"a\"", false) != c->strong)
            fail_msg("%s", c->list);
    }
}

/* ---- types ---- */

static void types_of_a_file_come_after_the_known(void **state)
{
    char path[] = "/tmp/fa-types-XXXXXX";
    fa_failing memory;
    fa_ledger *ledger = fa_test_ledger(&memory);
    fa_scope *scope;
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    (void)state;
    fputs("# comment\n\ntext/odd\todd  odder\napplication/x-none\nimage/wrong gif\nno-type ext\n"
          "chemical/x-pdb\tpdb\r\ntext/last last",
          file);
    fclose(file);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope));
    fa_media_types *types = fa_media_types_read(scope, path);
    assert_non_null(types);
    assert_string_equal(fa_media_types_find(types, text_of("a.odd")), "text/odd; charset=utf-8");
    assert_string_equal(fa_media_types_find(types, text_of("a.ODDER")), "text/odd; charset=utf-8");
    assert_string_equal(fa_media_types_find(types, text_of("a.pdb")), "chemical/x-pdb");
    assert_string_equal(fa_media_types_find(types, text_of("a.last")), "text/last; charset=utf-8");
    assert_string_equal(fa_media_types_find(types, text_of("a.gif")), "image/gif");
    assert_string_equal(fa_media_types_find(types, text_of("a.ext")), "application/octet-stream");
    assert_string_equal(fa_media_types_find(types, text_of("a.none")), "application/octet-stream");
    assert_string_equal(fa_media_types_find(NULL, text_of("a.odd")), "application/octet-stream");
    assert_null(fa_media_types_read(scope, "/no/such/file"));
    assert_null(fa_media_types_read(scope, "/tmp")); /* a folder */
    assert_null(fa_media_types_read(scope, ""));
    fa_scope_end(scope, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read),
        cmocka_unit_test(a_part_is_never_outside),
        cmocka_unit_test(encodings_are_chosen),
        cmocka_unit_test(tags_are_compared),
        cmocka_unit_test(types_of_a_file_come_after_the_known),
    };
    return cmocka_run_group_tests_name("media headers", tests, NULL, NULL);
}
