#include "media/gzip.h"

#include <string.h>
#include <zlib.h>

#include "exchange/head.h"
#include "exchange/media_type.h"
#include "media/encoding.h"
#include "memory/buffer.h"

/* ---- whether ---- */

static const fa_header *find(const fa_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; ++i) {
        if (fa_text_is(headers[i].name, name))
            return &headers[i];
    }
    return NULL;
}

static const fa_header *find_added(const fa_exchange *exchange, const char *name)
{
    for (const fa_added_header *it = exchange->added; it != NULL; it = it->next) {
        if (fa_text_is(it->header.name, name))
            return &it->header;
    }
    return NULL;
}

static bool ends_with(fa_text text, const char *tail)
{
    size_t length = strlen(tail);
    return text.length > length && fa_text_is((fa_text){text.data + text.length - length, length}, tail);
}

/* Text in one way or another; what is compressed already has other types. An event stream is not whole. */
static bool compresses(fa_text value)
{
    static const char *const types[] = {"application/json", "application/javascript", "application/xml",
                                        "application/x-ndjson", "image/svg+xml"};
    fa_media_type type;
    if (!fa_media_type_read(value, &type))
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        if (fa_text_is(type.value, types[i]))
            return true;
    }
    bool is_text = type.value.length > 5 && fa_text_is((fa_text){type.value.data, 5}, "text/");
    return (is_text && !fa_text_is(type.value, "text/event-stream")) || ends_with(type.value, "+json") ||
           ends_with(type.value, "+xml");
}

static bool is_worth_it(const fa_exchange *exchange, const fa_answer *answer, const fa_gzip_limits *limits)
{
    size_t length = fa_buffer_length(answer->body);
    const fa_header *type = find_added(exchange, "content-type");
    if (type == NULL)
        type = find(answer->headers, answer->count, "content-type");
    return answer->status >= 200 && answer->status != 206 && length >= limits->least && length <= limits->most &&
           type != NULL && compresses(type->value) &&
           find(answer->headers, answer->count, "content-encoding") == NULL &&
           find(answer->headers, answer->count, "content-range") == NULL &&
           find_added(exchange, "content-encoding") == NULL;
}

static bool client_takes_it(const fa_exchange *exchange)
{
    fa_accepted accepted;
    fa_accepted_init(&accepted);
    for (size_t i = 0; i < exchange->header_count; ++i) {
        if (fa_text_is(exchange->headers[i].name, "accept-encoding"))
            fa_accepted_read(&accepted, exchange->headers[i].value);
    }
    return fa_accepted_choose(&accepted, 1u << FA_ENCODING_GZIP) == FA_ENCODING_GZIP;
}

/* ---- how ---- */

static void *allocate(void *scope, unsigned count, unsigned size)
{
    return fa_scope_allocate(scope, (size_t)count * size);
}

static void release(void *scope, void *memory)
{
    fa_scope_free(scope, memory);
}

/* NULL: no memory, or it would not become smaller. */
static fa_buffer *compress_body(fa_exchange *exchange, const fa_buffer *body, int level)
{
    fa_buffer *out = NULL;
    void *room = NULL;
    size_t length = fa_buffer_length(body);
    z_stream z = {.zalloc = allocate, .zfree = release, .opaque = exchange->scope};
    if (fa_buffer_new(exchange->scope, length, "compressed answer", FA_HERE, &out) != FA_OK)
        return NULL;
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        fa_buffer_release(out);
        return NULL;
    }
    bool done = fa_buffer_reserve(out, length, &room) == FA_OK;
    z.next_in = (Bytef *)(uintptr_t)fa_buffer_data(body);
    z.avail_in = (uInt)length;
    z.next_out = room;
    z.avail_out = (uInt)length;
    done = done && deflate(&z, Z_FINISH) == Z_STREAM_END;
    if (done)
        fa_buffer_commit(out, length - z.avail_out);
    deflateEnd(&z);
    if (!done) {
        fa_buffer_release(out);
        return NULL;
    }
    fa_buffer_seal(out);
    return out;
}

/* ---- the head ---- */

static bool add(fa_answer *answer, fa_text name, fa_text value)
{
    if (answer->count == FA_MAX_ANSWER_HEADERS)
        return false;
    answer->headers[answer->count++] = (fa_header){name, value};
    return true;
}

/* A strong validator speaks of other bytes. False: no memory. */
static bool weaken(fa_exchange *exchange, fa_answer *answer)
{
    const fa_header *own = find(answer->headers, answer->count, "etag");
    const fa_header *etag = own != NULL ? own : find_added(exchange, "etag");
    if (etag == NULL || (etag->value.length > 2 && memcmp(etag->value.data, "W/", 2) == 0))
        return true;
    char *text = fa_scope_allocate(exchange->scope, etag->value.length + 2);
    if (text == NULL)
        return false;
    text[0] = 'W';
    text[1] = '/';
    memcpy(text + 2, etag->value.data, etag->value.length);
    fa_text weak = {text, etag->value.length + 2};
    if (own == NULL)
        return add(answer, FA_TEXT("etag"), weak); /* stands before the one that was added */
    answer->headers[own - answer->headers].value = weak;
    return true;
}

static void shape(fa_exchange *exchange, fa_answer *answer)
{
    const fa_gzip_limits *limits = exchange->shape_context;
    if (!is_worth_it(exchange, answer, limits))
        return;
    if (!add(answer, FA_TEXT("vary"), FA_TEXT("Accept-Encoding")) || !client_takes_it(exchange) || exchange->head_only)
        return;
    size_t before = answer->count;
    fa_buffer *small = compress_body(exchange, answer->body, limits->level);
    if (small == NULL)
        return;
    if (!weaken(exchange, answer) || !add(answer, FA_TEXT("content-encoding"), FA_TEXT("gzip"))) {
        answer->count = before;
        fa_buffer_release(small);
        return;
    }
    answer->body = small;
}

void fa_gzip_wish(fa_exchange *exchange, const fa_gzip_limits *limits)
{
    exchange->shape = shape;
    exchange->shape_context = limits;
}
