/* Error answers and the words for statuses. The JSON is written by hand: it must also come about when there is no
 * memory for a library, and a message may carry whatever a client sent. */
#include "exchange/error_reply.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exchange/exchange.h"

typedef struct status_words {
    int status;
    const char *text, *code;
} status_words;

static const status_words *words_for(int status)
{
    static const status_words all[] = {
        {101, "Switching Protocols", "ok"},
        {200, "OK", "ok"},
        {201, "Created", "ok"},
        {202, "Accepted", "ok"},
        {204, "No Content", "ok"},
        {206, "Partial Content", "ok"},
        {301, "Moved Permanently", "moved"},
        {302, "Found", "moved"},
        {303, "See Other", "moved"},
        {304, "Not Modified", "not_modified"},
        {307, "Temporary Redirect", "moved"},
        {308, "Permanent Redirect", "moved"},
        {400, "Bad Request", "bad_request"},
        {401, "Unauthorized", "unauthorized"},
        {403, "Forbidden", "forbidden"},
        {404, "Not Found", "not_found"},
        {405, "Method Not Allowed", "method_not_allowed"},
        {406, "Not Acceptable", "not_acceptable"},
        {408, "Request Timeout", "request_timeout"},
        {409, "Conflict", "conflict"},
        {410, "Gone", "gone"},
        {411, "Length Required", "length_required"},
        {412, "Precondition Failed", "precondition_failed"},
        {413, "Content Too Large", "body_too_large"},
        {414, "URI Too Long", "target_too_long"},
        {415, "Unsupported Media Type", "unsupported_media_type"},
        {416, "Range Not Satisfiable", "range_not_satisfiable"},
        {417, "Expectation Failed", "expectation_failed"},
        {421, "Misdirected Request", "misdirected_request"},
        {422, "Unprocessable Content", "unprocessable"},
        {426, "Upgrade Required", "upgrade_required"},
        {428, "Precondition Required", "precondition_required"},
        {429, "Too Many Requests", "too_many_requests"},
        {431, "Request Header Fields Too Large", "head_too_large"},
        {500, "Internal Server Error", "internal"},
        {501, "Not Implemented", "not_implemented"},
        {502, "Bad Gateway", "bad_gateway"},
        {503, "Service Unavailable", "unavailable"},
        {504, "Gateway Timeout", "gateway_timeout"},
        {505, "HTTP Version Not Supported", "version_not_supported"},
        {507, "Insufficient Storage", "insufficient_storage"},
    };
    static const status_words by_class[] = {{0, "Unknown", "error"},      {1, "Informational", "error"},
                                            {2, "Success", "ok"},         {3, "Redirection", "moved"},
                                            {4, "Client Error", "error"}, {5, "Server Error", "internal"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        if (all[i].status == status)
            return &all[i];
    }
    return &by_class[status >= 100 && status < 600 ? status / 100 : 0];
}

const char *fa_status_text(int status)
{
    return words_for(status)->text;
}

const char *fa_status_code_name(int status)
{
    return words_for(status)->code;
}

/* The length of the UTF-8 character at `at`, 0 when there is none. Stops at the NUL by itself: no continuation byte is
 * 0. */
static size_t utf8_length(const unsigned char *at)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xc2 && at[0] < 0xe0   ? 2
                    : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                    : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                    : 0;
    for (size_t i = 1; i < length; ++i) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool outside = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f); /* surrogates, above U+10FFFF */
    return overlong || outside ? 0 : length;
}

/* One character of `text` as JSON into piece; returns how many bytes of text it took. */
static size_t escape_one(const char *text, char piece[8], size_t *piece_length)
{
    unsigned char c = (unsigned char)*text;
    size_t length = utf8_length((const unsigned char *)text);
    if (length == 0)
        *piece_length = (size_t)snprintf(piece, 8, "\\ufffd");
    else if (c == '"' || c == '\\')
        *piece_length = (size_t)snprintf(piece, 8, "\\%c", c);
    else if (c == '\n')
        *piece_length = (size_t)snprintf(piece, 8, "\\n");
    else if (c < ' ' || c == 0x7f)
        *piece_length = (size_t)snprintf(piece, 8, "\\u%04x", c);
    else
        memcpy(piece, text, *piece_length = length);
    return length != 0 ? length : 1;
}

/* The JSON so far. The NUL comes at the end. */
typedef struct writer {
    char *out;
    size_t used;
} writer;

static void append(writer *w, const char *text)
{
    size_t length = strlen(text), room = FA_ERROR_JSON_SIZE - 1 - w->used;
    length = length < room ? length : room;
    memcpy(w->out + w->used, text, length);
    w->used += length;
}

/* As much of text, escaped, as stays below `limit`. */
static void append_escaped(writer *w, size_t limit, const char *text)
{
    char piece[8];
    while (*text != '\0') {
        size_t length;
        text += escape_one(text, piece, &length);
        if (w->used + length > limit)
            break;
        memcpy(w->out + w->used, piece, length);
        w->used += length;
    }
}

size_t fa_error_json(char out[FA_ERROR_JSON_SIZE], const char *code, const char *message, const char *request_id)
{
    /* The limits leave room for what follows them: keys and brackets take 50 bytes, an id at most 39. */
    writer w = {out, 0};
    append(&w, "{\"error\":{\"code\":\"");
    append_escaped(&w, 100, code);
    append(&w, "\",\"message\":\"");
    append_escaped(&w, FA_ERROR_JSON_SIZE - 100, message);
    append(&w, "\",\"requestId\":\"");
    append_escaped(&w, FA_ERROR_JSON_SIZE - 10, request_id);
    append(&w, "\"}}");
    out[w.used] = '\0';
    return w.used;
}

static void add(fa_header *headers, size_t *count, fa_text name, fa_text value)
{
    headers[(*count)++] = (fa_header){name, value};
}

void fa_exchange_fail(fa_exchange *exchange, int status, const char *code, const char *message, const fa_header *extra)
{
    if (exchange->gone)
        return;
    if (exchange->status != 0) { /* half an answer is on the wire: only a cut tells the client that it is not whole */
        fa_exchange_abort(exchange);
        return;
    }
    char json[FA_ERROR_JSON_SIZE];
    size_t length = fa_error_json(json, code, message, exchange->request_id);
    fa_header headers[3];
    size_t count = 0;
    add(headers, &count, FA_TEXT("content-type"), FA_TEXT("application/json; charset=utf-8"));
    add(headers, &count, FA_TEXT("cache-control"), FA_TEXT("no-store"));
    if (extra != NULL)
        headers[count++] = *extra;

    fa_buffer *body;
    fa_result result = fa_buffer_new(exchange->scope, length, "error reply", FA_HERE, &body);
    if (result == FA_OK) {
        fa_buffer_append(body, json, length); /* the room is there */
        fa_buffer_seal(body);
        result = fa_exchange_reply(exchange, status, headers, count, body);
    } else {
        result =
            fa_exchange_reply(exchange, status, headers, count, NULL); /* the status alone needs no memory of ours */
    }
    if (result != FA_OK)
        fa_exchange_abort(exchange);
}
