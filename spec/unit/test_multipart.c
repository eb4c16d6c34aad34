/* multipart/form-data: what browsers and other clients send, what is refused, and that a body which is cut anywhere is never taken for
 * whole. Bodies are copies of exactly their length, so that the sanitizers see a byte too far. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "exchange/multipart.h"

#define TYPE "multipart/form-data; boundary=b0"
#define CD   "Content-Disposition: form-data; "

static const fa_multipart_limits no_limits;
static fa_error error;

/* "(name|filename|type|bytes)" for each part, "-" for no file name; or the result's name. */
static const char *read_all(const char *type, const char *body, size_t length, const fa_multipart_limits *limits)
{
    static char out[16384];
    static fa_part part;
    size_t used = 0;
    fa_multipart multipart;
    char *copy = malloc(length != 0 ? length : 1);
    memcpy(copy, body, length);
    out[0] = error.text[0] = '\0';
    fa_result result =
        fa_multipart_begin(&multipart, (fa_text){type, strlen(type)}, (fa_text){copy, length}, limits, &error);
    while (result == FA_OK && (result = fa_multipart_next(&multipart, &part, &error)) == FA_OK) {
        assert_int_equal(strlen(part.name), part.name_length);
        assert_true(part.offset + part.length <= length);
        used += (size_t)snprintf(out + used, sizeof(out) - used, "(%s|%s|%.*s|%.*s)", part.name,
                                 part.has_filename ? part.filename : "-", (int)part.type.length,
                                 part.type.length != 0 ? part.type.data : "", (int)part.length, copy + part.offset);
    }
    free(copy);
    if (result == FA_NOT_FOUND)
        return out;
    assert_true(error.text[0] != '\0');
    return fa_result_name(result);
}

static const char *read_body(const char *body)
{
    return read_all(TYPE, body, strlen(body), &no_limits);
}

#define PART(disposition, rest) "--b0\r\n" CD disposition "\r\n" rest

static void bodies_are_read(void **state)
{
    static const struct {
        const char *body, *parts;
    } table[] = {
        {"--b0--", ""},
        {"--b0--\r\n", ""},
        {"--b0-- \t\r\nepilogue", ""},
        {PART("name=\"a\"", "\r\n1\r\n--b0--"), "(a|-||1)"},
        {PART("name=a", "\r\n1\r\n--b0--\r\n"), "(a|-||1)"},
        {PART("name=\"a\"", "\r\n\r\n--b0--"), "(a|-||)"},
        {PART("name=\"a\"", "\r\n--b0--"), "(a|-||)"},
        {PART("name=\"a\"", "\r\n1\r\n") PART("name=\"b\"", "\r\n2\r\n--b0--\r\n"), "(a|-||1)(b|-||2)"},
        {"preamble\r\n--b0 \t\r\n" CD "name=\"a\"\r\n\r\n1\r\n--b0--\r\nepilogue\r\n--b0\r\n", "(a|-||1)"},
        {PART("name=\"f\"; filename=\"x.wav\"", "Content-Type: audio/wav\r\n\r\n\r\n\r\n\r\n--b0--"),
         "(f|x.wav|audio/wav|\r\n\r\n)"},
        {PART("name=\"f\"; filename=\"\"", "Content-Type: application/octet-stream\r\n\r\n\r\n--b0--\r\n"),
         "(f||application/octet-stream|)"},
        {PART("name=\"a\"", "\r\nx--b0--\r\n--b\r\n-b0\r\n\r--b0\n--b0\r\n--b0--"),
         "(a|-||x--b0--\r\n--b\r\n-b0\r\n\r--b0\n--b0)"},
        {"--b0\r\ncontent-DISPOSITION:FORM-DATA;NAME=\"a\"  \r\n\r\n1\r\n--b0--", "(a|-||1)"},
        {"--b0\r\nX-More: 1\r\n" CD "name=\"a\"\r\nContent-Transfer-Encoding: BINARY\r\n\r\n1\r\n--b0--", "(a|-||1)"},
        {"--b0\r\n" CD "name=\"a\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n1\r\n--b0--", "(a|-||1)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
        assert_string_equal(read_body(table[i].body), table[i].parts);
}

static void names_are_decoded(void **state)
{
    static const struct {
        const char *disposition, *parts;
    } table[] = {
        {"name=\"a b\"", "(a b|-||1)"},
        {"name=\"a\\\"b\\\\c\"", "(a\"b\\c|-||1)"}, /* curl before 7.81 */
        {"name=\"a%22b\"", "(a\"b|-||1)"},          /* browsers */
        {"name=\"a%0D%0Ab%0d%0a\"", "(a\r\nb\r\n|-||1)"},
        {"name=\"a%41%\"", "(a%41%|-||1)"}, /* nothing else is an escape */
        {"name=\"x\"; filename=\"C:\\temp\\n.wav\"", "(x|C:\\temp\\n.wav||1)"},
        {"name=\"\xc3\xa9\"; filename=\"\xe2\x82\xac.wav\"", "(\xc3\xa9|\xe2\x82\xac.wav||1)"},
        {"name=\"x\"; filename*=UTF-8''%e2%82%ac.wav", "(x|-||1)"}, /* RFC 7578 4.2: not in forms */
        {"name=\"x\"; filename=\"a\"; filename*=UTF-8''b", "(x|a||1)"},
        {"filename=\"a;b=\\\"c\"; name=x", "(x|a;b=\"c||1)"},
        {"name=\"\"", "(|-||1)"},
        {"name=x;", "(x|-||1)"},
        {"name=x; filename=../../etc/passwd", "invalid"}, /* a slash is no token */
        {"name=x; filename=\"../../etc/passwd\"", "(x|../../etc/passwd||1)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        char body[400];
        snprintf(body, sizeof(body), "--b0\r\n" CD "%s\r\n\r\n1\r\n--b0--\r\n", table[i].disposition);
        assert_string_equal(read_body(body), table[i].parts);
    }
}

static void malformed_bodies_are_refused(void **state)
{
    static const struct {
        const char *body, *result;
    } table[] = {
        {"", "invalid"},
        {"no boundary", "invalid"},
        {"--b1--", "invalid"},
        {" --b0--", "invalid"},
        {"\n--b0--", "invalid"}, /* a bare LF ends no line */
        {"--b0", "invalid"},
        {"--b0-", "invalid"},
        {"--b0\r\n", "invalid"},
        {"--b0\n" CD "name=a\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b01\r\n" CD "name=a\r\n\r\n1\r\n--b0--", "invalid"}, /* a longer one is another */
        {PART("name=a", "\r\n1\r\n--b0"), "invalid"},
        {PART("name=a", "\r\n1\r\n--b0 x\r\n--b0--"), "invalid"},
        {PART("name=a", "\r\n1\r\n--b0x--\r\n--b0--"), "invalid"},
        {PART("name=a", "\r\n1\r\n--b0--x"), "invalid"},
        {PART("name=a", "\r\n1\r\n"), "invalid"}, /* no closing boundary */
        {PART("name=a", "\r\n1\n--b0--"), "invalid"},
        {PART("name=a", ""), "invalid"},
        {PART("name=a", "--b0--"), "invalid"},  /* no end of the headers */
        {"--b0\r\n\r\n1\r\n--b0--", "invalid"}, /* no headers */
        {"--b0\r\n--b0--", "invalid"},
        {"--b0\r\nContent-Type: text/plain\r\n\r\n1\r\n--b0--", "invalid"}, /* no disposition */
        {"--b0\r\n" CD "name=a\r\n" CD "name=b\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\nContent-Disposition: form-data name=a\r\n\r\n1\r\n--b0--", "invalid"},
        {PART("name=a; name=b", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=a; filename=b; FileName=c", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=\"a", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=\"a\\\"", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=a b", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=\"a\x01\"", "\r\n1\r\n--b0--"), "invalid"},
        {PART("name=a;\r\n filename=b", "\r\n1\r\n--b0--"), "invalid"}, /* folded */
        {"--b0\r\n" CD "name=a\nX: y\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\n" CD "name=a\r\nX y: z\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\n" CD "name=a\r\n: z\r\n\r\n1\r\n--b0--", "invalid"},
        {"--b0\r\n" CD "name=a\r\nX\r\n\r\n1\r\n--b0--", "invalid"},
        {PART("name=a", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n1\r\n--b0--"), "invalid"},
        {PART("name=a", "Content-Type: ;\r\n\r\n1\r\n--b0--"), "invalid"},
        {PART("name=a", "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b0--"), "unsupported"},
        {PART("name=a", "Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b0--"), "unsupported"},
        {PART("name=a", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=31\r\n--b0--"), "unsupported"},
        {PART("name=a", "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit\r\n\r\n1\r\n--b0--"),
         "unsupported"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        if (strcmp(read_body(table[i].body), table[i].result) != 0)
            fail_msg("%s: not %s", table[i].body, table[i].result);
    }
    assert_string_equal(read_all(TYPE, "--b0\r\n" CD "name=\"a\0\"\r\n\r\n1\r\n--b0--", 60, &no_limits), "invalid");
    /* A boundary that looks like a header line. */
    static const char colon[] = "--a:b\r\n" CD "name=a\r\n--a:b\r\n" CD "name=b\r\n\r\n1\r\n--a:b--";
    assert_string_equal(read_all("multipart/form-data; boundary=\"a:b\"", colon, strlen(colon), &no_limits), "invalid");
}

static void content_types_are_read_strictly(void **state)
{
    static const char body[] = "--b0\r\n" CD "name=a\r\n\r\n1\r\n--b0--";
    static const struct {
        const char *type, *result;
    } table[] = {
        {"multipart/form-data; boundary=b0", "(a|-||1)"},
        {"multipart/form-data; boundary=\"b0\"", "(a|-||1)"},
        {"Multipart/Form-Data;BOUNDARY=b0;charset=utf-8", "(a|-||1)"},
        {"multipart/form-data ; boundary=b0 ;", "(a|-||1)"},
        {"", "unsupported"},
        {"application/json", "unsupported"},
        {"multipart/mixed; boundary=b0", "unsupported"},
        {"multipart/form-datax; boundary=b0", "unsupported"},
        {"multipart/form-data", "invalid"},
        {"multipart/form-data; boundary", "invalid"},
        {"multipart/form-data; boundary=", "invalid"},
        {"multipart/form-data; boundary=\"\"", "invalid"},
        {"multipart/form-data; boundary=\"b0 \"", "invalid"},
        {"multipart/form-data; boundary=\"b0", "invalid"},
        {"multipart/form-data; boundary=b0; boundary=b1", "invalid"},
        {"multipart/form-data; boundary=b0 b1", "invalid"},
        {"multipart/form-data; boundary=\"b{0\"", "invalid"},
        {"multipart/form-data, boundary=b0", "invalid"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        if (strcmp(read_all(table[i].type, body, strlen(body), &no_limits), table[i].result) != 0)
            fail_msg("%s: not %s", table[i].type, table[i].result);
    }
    char type[200], long_body[200], longest[71];
    memset(longest, 'x', 70);
    longest[70] = '\0';
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", longest);
    snprintf(long_body, sizeof(long_body), "--%s--", longest);
    assert_string_equal(read_all(type, long_body, strlen(long_body), &no_limits), "");
    strcat(type, "x");
    assert_string_equal(read_all(type, long_body, strlen(long_body), &no_limits), "invalid");
}

static void limits_are_limits(void **state)
{
    static const char body[] =
        "--b0\r\n" CD "name=a\r\n\r\n12345\r\n--b0\r\n" CD "name=f; filename=g\r\n\r\n1234567\r\n--b0--";
    char many[2000] = "--b0\r\n" CD "name=a\r\n";
    (void)state;
    const struct {
        fa_multipart_limits limits;
        bool fits;
    } table[] = {
        {{.parts = 2, .head = 80, .field = 5, .file = 7}, true},
        {{.parts = 1}, false},
        {{.field = 4}, false},
        {{.file = 6}, false},
        {{.head = 40}, false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i)
        assert_string_equal(read_all(TYPE, body, strlen(body), &table[i].limits),
                            table[i].fits ? "(a|-||12345)(f|g||1234567)" : "full");
    for (int i = 0; i < FA_PART_HEADERS - 1; ++i)
        strcat(many, "X: y\r\n");
    size_t used = strlen(many);
    strcat(many, "\r\n1\r\n--b0--");
    assert_string_equal(read_body(many), "(a|-||1)");
    strcpy(many + used, "X: y\r\n\r\n1\r\n--b0--");
    assert_string_equal(read_body(many), "full");
    char name[FA_PART_NAME_SIZE + 1];
    for (size_t length = FA_PART_NAME_SIZE - 1; length <= FA_PART_NAME_SIZE; ++length) {
        memset(name, 'n', length);
        name[length] = '\0';
        snprintf(many, sizeof(many), "--b0\r\n" CD "name=%s\r\n\r\n1\r\n--b0--", name);
        assert_int_equal(strcmp(read_body(many), "full") == 0, length == FA_PART_NAME_SIZE);
    }
}

static void the_charset_is_told(void **state)
{
    static const char body[] =
        PART("name=a", "Content-Type: text/plain; charset=\"UTF-8\"\r\n\r\n1\r\n") PART("name=b", "\r\n2\r\n--b0--");
    fa_multipart multipart;
    fa_part part;
    (void)state;
    assert_ok(fa_multipart_begin(&multipart, FA_TEXT(TYPE), FA_TEXT(body), &no_limits, &error));
    assert_ok(fa_multipart_next(&multipart, &part, &error));
    assert_true(fa_text_is(part.charset, "utf-8"));
    assert_int_equal(part.header_count, 2);
    assert_ok(fa_multipart_next(&multipart, &part, &error));
    assert_int_equal(part.charset.length, 0);
    assert_int_equal(fa_multipart_next(&multipart, &part, &error), FA_NOT_FOUND);
    assert_int_equal(fa_multipart_next(&multipart, &part, &error), FA_NOT_FOUND);
}

/* Cut anywhere, a body is malformed, but where only what may be missing is: the end of the last line. */
static void a_cut_body_is_never_whole(void **state)
{
    static const char body[] =
        "pre\r\n" PART("name=\"a\"; filename=\"b\"", "Content-Type: audio/wav\r\n\r\n\r\n--b\r\nx\r\n")
            PART("name=c", "\r\n\r\n--b0--\r\n");
    (void)state;
    for (size_t length = 0; length <= strlen(body); ++length) {
        bool whole = length == strlen(body) || length == strlen(body) - 2;
        assert_int_equal(strcmp(read_all(TYPE, body, length, &no_limits), "invalid") == 0, !whole);
    }
}

/* ---- random bodies ---- */

/* Bytes that like to look like boundaries. */
static size_t random_bytes(char *out, size_t most)
{
    static const char *const pieces[] = {"\r\n",  "--",   "b0",       "\r\n--b", "\r", "\n", "-",
                                         "\r\n-", "--b0", "\r\n--B0", "x",       "\\", "\"", ":"};
    size_t used = 0;
    for (int i = rand() % 12; i > 0; --i) {
        const char *piece = pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];
        if (used + strlen(piece) < most) {
            memcpy(out + used, piece, strlen(piece));
            used += strlen(piece);
        }
    }
    out[used] = '\0';
    return used;
}

static void random_bodies_come_back(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 20000; ++round) {
        char body[4096], wanted[4096], bytes[200], framed[220];
        size_t b = 0, w = 0;
        wanted[0] = '\0';
        for (int part = rand() % 5; part > 0; --part) {
            do {
                random_bytes(bytes, 100);
                snprintf(framed, sizeof(framed), "\r\n%s\r\n", bytes); /* as the parser will see it */
            } while (strstr(framed, "\r\n--b0") != NULL);
            bool file = rand() % 2;
            b += (size_t)snprintf(body + b, sizeof(body) - b, "--b0%s\r\n" CD "name=\"n%d\"%s\r\n\r\n%s\r\n",
                                  rand() % 3 == 0 ? " " : "", part, file ? "; filename=\"f\"" : "", bytes);
            w += (size_t)snprintf(wanted + w, sizeof(wanted) - w, "(n%d|%s||%s)", part, file ? "f" : "-", bytes);
        }
        b += (size_t)snprintf(body + b, sizeof(body) - b, "--b0--%s", rand() % 2 ? "\r\n" : "");
        assert_string_equal(read_all(TYPE, body, b, &no_limits), wanted);
        size_t cut = (size_t)rand() % b;
        if (cut < b - 2)
            assert_string_equal(read_all(TYPE, body, cut, &no_limits), "invalid");
        body[(size_t)rand() % b] = (char)rand();
        read_all(TYPE, body, b, &no_limits); /* anything but a crash */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read),
        cmocka_unit_test(names_are_decoded),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(content_types_are_read_strictly),
        cmocka_unit_test(limits_are_limits),
        cmocka_unit_test(the_charset_is_told),
        cmocka_unit_test(a_cut_body_is_never_whole),
        cmocka_unit_test(random_bodies_come_back),
    };
    return cmocka_run_group_tests_name("multipart bodies", tests, NULL, NULL);
}
