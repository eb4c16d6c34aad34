/* A file that was found becomes an answer: the conditions first, then the range (RFC 9110 13.2.2). */
#include "media/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "media/conditions.h"

/* ---- the head ---- */

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

static void add(fa_media_head *head, fa_text name, fa_text value)
{
    head->headers[head->count++] = (fa_header){name, value};
}

void fa_media_make_head(fa_media_head *head, const fa_media_view *view, const fa_media_file *file, int status,
                        const fa_byte_range *range)
{
    head->count = 0;
    add(head, FA_TEXT("etag"), text_of(file->etag));
    add(head, FA_TEXT("last-modified"), text_of(file->modified));
    add(head, FA_TEXT("cache-control"),
        view->mount->immutable ? FA_TEXT("public, max-age=31536000, immutable") : FA_TEXT("no-cache"));
    if (view->varies)
        add(head, FA_TEXT("vary"), FA_TEXT("accept-encoding"));
    if (status == 304)
        return;
    add(head, FA_TEXT("content-type"), text_of(view->type));
    add(head, FA_TEXT("x-content-type-options"), FA_TEXT("nosniff"));
    add(head, FA_TEXT("accept-ranges"), FA_TEXT("bytes"));
    if (view->encoding != FA_ENCODING_IDENTITY)
        add(head, FA_TEXT("content-encoding"), text_of(fa_encoding_name(view->encoding)));
    if (status == 206) {
        snprintf(head->content_range, sizeof(head->content_range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                 range->first, range->first + range->length - 1, file->id.size);
        add(head, FA_TEXT("content-range"), text_of(head->content_range));
    }
}

/* ---- what is asked for ---- */

static fa_text range_header(const fa_exchange *exchange)
{
    fa_text range = {NULL, 0};
    for (size_t i = 0; i < exchange->header_count; ++i) {
        if (!fa_text_is(exchange->headers[i].name, "range"))
            continue;
        if (range.length != 0)
            return FA_TEXT(""); /* twice: it is no list */
        range = exchange->headers[i].value;
    }
    return range;
}

static fa_range_answer read_range(const fa_exchange *exchange, const fa_media_file *file, fa_byte_range *range)
{
    *range = (fa_byte_range){0, file->id.size};
    fa_text header = range_header(exchange);
    if (header.length == 0 || exchange->head_only ||
        !fa_conditions_allow_range(exchange, file->etag, file->id.seconds, (int64_t)time(NULL)))
        return FA_RANGE_WHOLE;
    return fa_range_read(header, file->id.size, range);
}

/* ---- the answer ---- */

static void refuse_range(fa_exchange *exchange, const fa_media_file *file)
{
    char value[40];
    int length = snprintf(value, sizeof(value), "bytes */%" PRIu64, file->id.size);
    fa_exchange_fail(exchange, 416, "range_not_satisfiable", "the file has no such part",
                     &(fa_header){FA_TEXT("content-range"), {value, (size_t)length}});
}

static void answer_part(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, int status,
                        const fa_byte_range *range)
{
    fa_media_head head;
    fa_piece piece = {file->bytes, (size_t)range->first, (size_t)range->length};
    bool has_body = status != 304 && range->length != 0;
    fa_media_make_head(&head, view, file, status, range);
    fa_result result = fa_exchange_start(exchange, status, head.headers, head.count, (int64_t)range->length);
    if (result == FA_OK)
        result = fa_exchange_send(exchange, &piece, has_body ? 1 : 0, true);
    if (result != FA_OK) /* else the exchange is perhaps gone already */
        fa_media_refuse(exchange, result);
}

static void answer_file(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, fa_open_file *open)
{
    fa_byte_range range;
    fa_range_answer kind = read_range(exchange, file, &range);
    int status = kind == FA_RANGE_PART ? 206 : 200;
    if (kind == FA_RANGE_NONE)
        refuse_range(exchange, file);
    else if (file->bytes == NULL)
        fa_media_stream(exchange, view, file, open, status, &range);
    else
        answer_part(exchange, view, file, status, &range);
}

void fa_media_answer(fa_exchange *exchange, const fa_media_view *view, const fa_media_file *file, fa_open_file *open)
{
    if (!fa_text_is(exchange->method, "GET") && !exchange->head_only) {
        fa_exchange_fail(exchange, 405, "method_not_allowed", "This file can only be read.",
                         &(fa_header){FA_TEXT("allow"), FA_TEXT("GET, HEAD")});
        return;
    }
    switch (fa_conditions_check(exchange, file->etag, file->id.seconds)) {
    case FA_CONDITION_MET:
        answer_file(exchange, view, file, open);
        break;
    case FA_CONDITION_NOT_MODIFIED:
        answer_part(exchange, view, file, 304, &(fa_byte_range){0, 0});
        break;
    case FA_CONDITION_FAILED:
        fa_exchange_fail(exchange, 412, "precondition_failed", "the file is not the one that was asked for", NULL);
        break;
    }
}

void fa_media_refuse(fa_exchange *exchange, fa_result result)
{
    fa_header soon = {FA_TEXT("retry-after"), FA_TEXT("1")};
    if (result == FA_NOT_FOUND)
        fa_exchange_fail(exchange, 404, "not_found", "there is no such file", NULL);
    else
        fa_exchange_fail(exchange, 503, "unavailable", "the file cannot be served at the moment", &soon);
}
