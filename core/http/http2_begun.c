#include "http/http2_begun.h"

#include <string.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, CONTINUATION = 9 };
enum { END_STREAM = 0x1, END_HEADERS = 0x4 };

static size_t find(const fa_http2_begun *begun, uint32_t stream)
{
    size_t at = 0;
    while (at < begun->count && begun->requests[at].stream != stream)
        ++at;
    return at;
}

static void remove_at(fa_http2_begun *begun, size_t at)
{
    if (at >= begun->count)
        return;
    begun->count--;
    memmove(&begun->requests[at], &begun->requests[at + 1], (begun->count - at) * sizeof(begun->requests[0]));
}

static void take_headers(fa_http2_begun *begun, uint32_t stream, uint8_t flags)
{
    size_t at = find(begun, stream);
    bool last = (flags & END_STREAM) != 0;
    if (last && (flags & END_HEADERS) != 0) {
        remove_at(begun, at);
        return;
    }
    if (at == FA_HTTP2_MOST_BEGUN)
        return;
    if (at == begun->count)
        begun->requests[begun->count++] = (fa_http2_request){.stream = stream, .since_ms = begun->frame_since_ms};
    begun->requests[at].last = last;
}

/* A frame has come to its end. */
static void take_frame(fa_http2_begun *begun)
{
    const uint8_t *head = begun->head;
    uint8_t type = head[3], flags = head[4];
    uint32_t stream = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    size_t at = find(begun, stream);
    bool known = at < begun->count;
    begun->head_length = 0;
    if (type == HEADERS)
        take_headers(begun, stream, flags);
    else if (type == RST_STREAM || (type == DATA && (flags & END_STREAM) != 0) ||
             (type == CONTINUATION && (flags & END_HEADERS) != 0 && known && begun->requests[at].last))
        remove_at(begun, at);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of what there is, what belongs to the preface, to the head of a frame or to its payload. */
static size_t take_some(fa_http2_begun *begun, const uint8_t *bytes, size_t length)
{
    size_t taken;
    if (begun->preface < FA_HTTP2_PREFACE) {
        taken = least(length, FA_HTTP2_PREFACE - begun->preface);
        begun->preface += taken;
        return taken;
    }
    if (begun->head_length == FA_HTTP2_FRAME_HEAD) {
        taken = least(length, begun->payload_left);
        begun->payload_left -= taken;
    } else {
        taken = least(length, FA_HTTP2_FRAME_HEAD - begun->head_length);
        memcpy(begun->head + begun->head_length, bytes, taken);
        begun->head_length += taken;
        if (begun->head_length < FA_HTTP2_FRAME_HEAD)
            return taken;
        begun->payload_left = (size_t)begun->head[0] << 16 | (size_t)begun->head[1] << 8 | begun->head[2];
    }
    if (begun->payload_left == 0)
        take_frame(begun);
    return taken;
}

void fa_http2_begun_take(fa_http2_begun *begun, const uint8_t *bytes, size_t length, uint64_t now_ms)
{
    while (length != 0) {
        if (begun->preface == 0 || fa_http2_begun_is_between(begun))
            begun->frame_since_ms = now_ms;
        size_t taken = take_some(begun, bytes, length);
        bytes += taken;
        length -= taken;
    }
}

bool fa_http2_begun_is_between(const fa_http2_begun *begun)
{
    return begun->preface == FA_HTTP2_PREFACE && begun->head_length == 0;
}

uint64_t fa_http2_begun_since(const fa_http2_begun *begun)
{
    if (begun->preface != 0 && !fa_http2_begun_is_between(begun))
        return begun->frame_since_ms;
    return begun->count != 0 ? begun->requests[0].since_ms : UINT64_MAX;
}

uint32_t fa_http2_begun_drop(fa_http2_begun *begun, uint64_t then_ms)
{
    if (begun->count == 0 || begun->requests[0].since_ms > then_ms)
        return 0;
    uint32_t stream = begun->requests[0].stream;
    remove_at(begun, 0);
    return stream;
}
