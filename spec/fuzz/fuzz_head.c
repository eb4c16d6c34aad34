/* Request heads. A head that comes in two pieces is judged as in one; what is found lies inside; and a head that passes is one that
 * h2o's own parser reads in the same way, for two readers that disagree are what request smuggling is made of. */
#include "fuzzing.h"

#include "http/head_check.h"

/* picohttpparser, inside libh2o and exported by it. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);

enum { MOST = 16 * 1024 };

static void expect_inside(fa_span span, size_t length)
{
    EXPECT((size_t)span.at + span.length <= length);
}

static void expect_equal(const fa_head *a, const fa_head *b)
{
    EXPECT(a->length == b->length && a->fields == b->fields && a->status == b->status && a->why == b->why);
    EXPECT(a->chunked == b->chunked && a->has_length == b->has_length && a->body_length == b->body_length);
    EXPECT(a->target.at == b->target.at && a->target.length == b->target.length);
    EXPECT(a->path.at == b->path.at && a->path.length == b->path.length);
    EXPECT(a->host.at == b->host.at && a->host.length == b->host.length);
}

static void expect_h2o_agrees(const fa_head *head, const char *bytes)
{
    struct phr_header headers[FA_HEAD_MOST_FIELDS];
    size_t count = FA_HEAD_MOST_FIELDS, method_length, path_length;
    const char *method, *path;
    int minor;
    int length = phr_parse_request(bytes, head->length, &method, &method_length, &path, &path_length, &minor, headers,
                                   &count, 0);
    EXPECT(length == (int)head->length);
    EXPECT(method == bytes + head->method.at && method_length == head->method.length);
    EXPECT(path == bytes + head->target.at && path_length == head->target.length);
    EXPECT(count == head->fields && minor == (head->http_1_0 ? 0 : 1));
    for (size_t i = 0; i < count; ++i)
        EXPECT(headers[i].name != NULL); /* no folded line */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fa_head whole = {0}, pieces = {0};
    if (size < 2)
        return 0;
    size_t cut = (size_t)data[0] << 8 | data[1];
    char *bytes = fuzz_copy(data + 2, size - 2);
    size -= 2;
    fa_head_verdict verdict = fa_head_check(&whole, bytes, size, MOST);
    expect_inside(whole.method, size);
    expect_inside(whole.target, size);
    expect_inside(whole.path, size);
    expect_inside(whole.authority, size);
    expect_inside(whole.host, size);
    expect_inside(whole.request_id, size);
    EXPECT((verdict == FA_HEAD_REFUSED) == (whole.status >= 400 && whole.why != NULL));
    if (verdict == FA_HEAD_COMPLETE) {
        EXPECT(whole.length <= size && !(whole.chunked && whole.has_length));
        expect_h2o_agrees(&whole, bytes);
    }

    cut = size != 0 ? cut % size : 0;
    fa_head_verdict first = fa_head_check(&pieces, bytes, cut, MOST);
    if (first == FA_HEAD_MORE)
        first = fa_head_check(&pieces, bytes, size, MOST);
    EXPECT(first == verdict);
    if (verdict ==
        FA_HEAD_COMPLETE) /* of a refused one the reason may differ: what is wrong first depends on what has come */
        expect_equal(&whole, &pieces);
    free(bytes);
    return 0;
}
