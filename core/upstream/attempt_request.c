/* What libcurl is told of a request: method, body, headers, who we are. Bodies are read where they lie. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

void fa_attempt_touch(attempt *a)
{
    a->last_ms = fa_worker_now(a->transfer->upstream->all->worker);
}

static size_t on_read(char *out, size_t size, size_t count, void *context)
{
    attempt *a = context;
    const fa_buffer *body = a->transfer->body;
    size_t left = fa_buffer_length(body) - a->body_at, length = size * count < left ? size * count : left;
    memcpy(out, fa_buffer_data(body) + a->body_at, length);
    a->body_at += length;
    fa_attempt_touch(a);
    return length;
}

static int on_seek(void *context, curl_off_t offset, int origin)
{
    attempt *a = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > fa_buffer_length(a->transfer->body))
        return CURL_SEEKFUNC_FAIL;
    a->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

typedef struct part_reader {
    attempt *attempt;
    const form_item *item;
    size_t at;
} part_reader;

static size_t on_part_read(char *out, size_t size, size_t count, void *context)
{
    part_reader *r = context;
    size_t left = r->item->length - r->at, length = size * count < left ? size * count : left;
    memcpy(out, fa_buffer_data(r->item->body) + r->item->offset + r->at, length);
    r->at += length;
    fa_attempt_touch(r->attempt);
    return length;
}

static int on_part_seek(void *context, curl_off_t offset, int origin)
{
    part_reader *r = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > r->item->length)
        return CURL_SEEKFUNC_FAIL;
    r->at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* The readers are in memory of the transfer and go with it. */
static bool add_part(attempt *a, const form_item *item)
{
    part_reader *r = fa_scope_allocate(a->transfer->scope, sizeof(*r));
    curl_mimepart *part = r != NULL ? curl_mime_addpart(a->mime) : NULL;
    if (part == NULL)
        return false;
    *r = (part_reader){a, item, 0};
    bool good = curl_mime_name(part, item->name) == CURLE_OK;
    if (good && item->filename != NULL)
        good = curl_mime_filename(part, item->filename) == CURLE_OK;
    if (good && item->type != NULL)
        good = curl_mime_type(part, item->type) == CURLE_OK;
    return good && curl_mime_data_cb(part, (curl_off_t)item->length, on_part_read, on_part_seek, NULL, r) == CURLE_OK;
}

static bool set_multipart(attempt *a)
{
    const fa_transfer *t = a->transfer;
    a->mime = curl_mime_init(a->easy);
    if (a->mime == NULL)
        return false;
    for (size_t i = 0; i < t->part_count; ++i) {
        if (!add_part(a, &t->parts[i]))
            return false;
    }
    return curl_easy_setopt(a->easy, CURLOPT_MIMEPOST, a->mime) == CURLE_OK;
}

/* A small body leaves in one write with the head, a large one is read as the socket takes it. */
static bool set_body(attempt *a)
{
    bool good = true;
    const fa_buffer *body = a->transfer->body;
    curl_off_t length = (curl_off_t)fa_buffer_length(body);
    SET(POST, 1L);
    SET(POSTFIELDSIZE_LARGE, length);
    if (length <= AT_ONCE_BODY) {
        SET(POSTFIELDS, length != 0 ? (const char *)fa_buffer_data(body) : "");
        return good;
    }
    SET(READFUNCTION, on_read);
    SET(READDATA, a);
    SET(SEEKFUNCTION, on_seek);
    SET(SEEKDATA, a);
    return good;
}

static bool set_method(attempt *a)
{
    bool good = true;
    const fa_transfer *t = a->transfer;
    if (t->part_count > 0)
        good = set_multipart(a);
    else if (t->body != NULL)
        good = set_body(a);
    else if (strcmp(t->method, "HEAD") == 0)
        SET(NOBODY, 1L);
    else if (t->method[0] == 'P') { /* POST, PUT, PATCH: they say that they have none */
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)0);
        SET(POSTFIELDS, "");
    }
    SET(CUSTOMREQUEST, t->method);
    return good;
}

static bool add_line(attempt *a, const char *line)
{
    struct curl_slist *list = curl_slist_append(a->headers, line);
    if (list != NULL)
        a->headers = list;
    return list != NULL;
}

/* What may go to a host that is not the one that was asked: nothing that could tell it who we are. */
static bool is_harmless(const char *line)
{
    static const char *const names[] = {"accept", "accept-language", "content-type", "range", NULL};
    size_t length = strcspn(line, ":;");
    for (const char *const *name = names; *name != NULL; ++name) {
        if (strlen(*name) == length && strncasecmp(*name, line, length) == 0)
            return true;
    }
    return false;
}

static bool set_headers(attempt *a)
{
    const fa_transfer *t = a->transfer;
    bool good = add_line(a, "Expect:");
    for (const char *line = t->headers; good && *line != '\0'; line += strlen(line) + 1)
        good = (t->foreign && !is_harmless(line)) || add_line(a, line);
    if (good && !t->foreign && t->settled->secret != NULL)
        good = add_line(a, t->settled->secret);
    SET(HTTPHEADER, a->headers);
    return good;
}

static bool set_tls(attempt *a, const fa_upstream_options *o)
{
    bool good = true;
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_VERIFYPEER, o->tls_verify ? 1L : 0L);
    SET(SSL_VERIFYHOST, o->tls_verify ? 2L : 0L);
    if (o->ca_file != NULL)
        SET(CAINFO, o->ca_file);
    if (o->client_cert != NULL)
        SET(SSLCERT, o->client_cert);
    if (o->client_key != NULL)
        SET(SSLKEY, o->client_key);
    return good;
}

bool fa_attempt_set_request(attempt *a)
{
    return set_tls(a, &a->via->settled->options) && set_method(a) && set_headers(a);
}
