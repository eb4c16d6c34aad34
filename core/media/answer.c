/* A file that was found becomes an answer. */
#include "media/internal.h"

#include <string.h>

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

size_t fa_media_headers(const fa_media_mount *mount, const char *type, const fa_media_file *file, bool with_body,
                        fa_header headers[FA_MEDIA_MAX_HEADERS])
{
    size_t count = 0;
    fa_text cache_control = mount->immutable ? FA_TEXT("public, max-age=31536000, immutable") : FA_TEXT("no-cache");
    headers[count++] = (fa_header){FA_TEXT("etag"), text_of(file->etag)};
    headers[count++] = (fa_header){FA_TEXT("last-modified"), text_of(file->modified)};
    headers[count++] = (fa_header){FA_TEXT("cache-control"), cache_control};
    if (with_body) {
        headers[count++] = (fa_header){FA_TEXT("content-type"), text_of(type)};
        headers[count++] = (fa_header){FA_TEXT("x-content-type-options"), FA_TEXT("nosniff")};
    }
    return count;
}

void fa_media_answer(fa_exchange *exchange, const fa_media_mount *mount, const char *type, const fa_media_file *file,
                     fa_open_file *open)
{
    fa_header headers[FA_MEDIA_MAX_HEADERS];
    if (!fa_text_is(exchange->method, "GET") && !exchange->head_only) {
        fa_exchange_fail(exchange, 405, "method_not_allowed", "This file can only be read.",
                         &(fa_header){FA_TEXT("allow"), FA_TEXT("GET, HEAD")});
        return;
    }
    bool current = fa_not_modified(exchange, file->etag, file->id.seconds);
    if (!current && file->bytes == NULL) {
        fa_media_stream(exchange, mount, type, file, open);
        return;
    }
    size_t count = fa_media_headers(mount, type, file, !current, headers);
    fa_result result = fa_exchange_reply(exchange, current ? 304 : 200, headers, count, current ? NULL : file->bytes);
    if (result != FA_OK) /* else the exchange is perhaps gone already */
        fa_media_refuse(exchange, result);
}

void fa_media_refuse(fa_exchange *exchange, fa_result result)
{
    fa_header soon = {FA_TEXT("retry-after"), FA_TEXT("1")};
    if (result == FA_NOT_FOUND)
        fa_exchange_fail(exchange, 404, "not_found", "there is no such file", NULL);
    else
        fa_exchange_fail(exchange, 503, "unavailable", "the file cannot be served at the moment", &soon);
}
