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
    if (stream > begun->last_stream) { /* else these are trailers, or what h2o refuses */
        begun->last_stream = stream;
        begun->opened++;
    }
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

static uint32_t stream_of(const uint8_t *head)
{
    return (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
}

static size_t length_of(const uint8_t *head)
{
    return (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
}

/* A frame has come to its end. */
static void take_frame(fa_http2_begun *begun)
{
    const uint8_t *head = begun->head;
    uint8_t type = head[3], flags = head[4];
    uint32_t stream = stream_of(head);
    size_t at = find(begun, stream);
    bool known = at < begun->count;
    begun->head_length = 0;
    if (type == DATA && known)
        begun->requests[at].received += length_of(head);
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
        begun->payload_left = length_of(begun->head);
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

static uint64_t due(const fa_http2_terms *terms, uint64_t since_ms, bool has_rate, uint64_t received)
{
    uint64_t whole = since_ms + terms->request_ms;
    uint64_t pace = since_ms + terms->head_ms + (has_rate ? received * 1000 / terms->rate : 0);
    return has_rate && pace < whole ? pace : whole;
}

/* No other frame can come before its end: when that of a body drips, so does the connection. */
static uint64_t frame_due(const fa_http2_begun *begun, const fa_http2_terms *terms)
{
    bool of_a_body = begun->head_length == FA_HTTP2_FRAME_HEAD && begun->head[3] == DATA;
    uint64_t received = of_a_body ? length_of(begun->head) - begun->payload_left : 0;
    return due(terms, begun->frame_since_ms, of_a_body && terms->rate != 0, received);
}

uint64_t fa_http2_begun_due(const fa_http2_begun *begun, const fa_http2_terms *terms)
{
    uint64_t first = UINT64_MAX;
    if (begun->preface != 0 && !fa_http2_begun_is_between(begun))
        return frame_due(begun, terms);
    for (size_t i = 0; i < begun->count; ++i) {
        uint64_t mine = due(terms, begun->requests[i].since_ms, terms->rate != 0, begun->requests[i].received);
        first = mine < first ? mine : first;
    }
    return first;
}

uint32_t fa_http2_begun_drop(fa_http2_begun *begun, const fa_http2_terms *terms, uint64_t now_ms)
{
    for (size_t i = 0; i < begun->count; ++i) {
        const fa_http2_request *request = &begun->requests[i];
        uint32_t stream = request->stream;
        if (due(terms, request->since_ms, terms->rate != 0, request->received) > now_ms)
            continue;
        remove_at(begun, i);
        return stream;
    }
    return 0;
}
