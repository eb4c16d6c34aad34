/* The framing of bodies. Chunks that come in two pieces are judged as in one, and what passes is what h2o's decoder takes for the same
 * number of bytes of content and of the connection. */
#include "fuzzing.h"

#include "http/body_check.h"

/* picohttpparser, inside libh2o and exported by it. */
struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer;
    char _hex_count;
    char _state;
};
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz);

enum { MOST = 4096 };

static size_t take(fa_body_check *check, const char *bytes, size_t size)
{
    char *copy = fuzz_copy(bytes, size);
    size_t taken = fa_body_take(check, copy, size);
    EXPECT(taken <= size);
    EXPECT(taken == size || check->done || check->status != 0);
    free(copy);
    return taken;
}

static void expect_h2o_agrees(const fa_body_check *check, const char *bytes, size_t taken)
{
    struct phr_chunked_decoder decoder = {.consume_trailer = 1};
    char *copy = fuzz_copy(bytes, taken);
    size_t size = taken;
    EXPECT(phr_decode_chunked(&decoder, copy, &size) == 0); /* complete, and nothing behind it */
    EXPECT(size == check->received);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fa_body_check whole, pieces;
    if (size < 3)
        return 0;
    bool chunked = data[2] & 1;
    uint64_t length = chunked ? 0 : data[2];
    size_t cut = (size_t)data[0] << 8 | data[1];
    const char *bytes = (const char *)data + 3;
    size -= 3;
    fa_body_begin(&whole, chunked, length, MOST);
    fa_body_begin(&pieces, chunked, length, MOST);
    if (whole.done)
        return 0;
    size_t taken = take(&whole, bytes, size);
    EXPECT(whole.received <= MOST);
    EXPECT((whole.status != 0) == (whole.why != NULL));
    if (chunked && whole.done)
        expect_h2o_agrees(&whole, bytes, taken);

    cut = size != 0 ? cut % size : 0;
    size_t again = take(&pieces, bytes, cut);
    if (again == cut && !pieces.done && pieces.status == 0)
        again += take(&pieces, bytes + cut, size - cut);
    EXPECT(whole.done == pieces.done && whole.status == pieces.status);
    if (whole.done)
        EXPECT(again == taken && whole.received == pieces.received);
    return 0;
}
