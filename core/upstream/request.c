/* Starting a transfer: the request is looked at, and what must outlive the call is copied or leased. */
#include <stdio.h>
#include <string.h>

#include "exchange/media_type.h"
#include "memory/buffer.h"
#include "upstream/internal.h"

enum { MOST_HEADERS = 64, MOST_PARTS = 256 };

/* ---- looking ---- */

static bool is_token(fa_text text)
{
    for (size_t i = 0; i < text.length; ++i) {
        if (!fa_is_token_char(text.data[i]))
            return false;
    }
    return text.length > 0;
}

static bool is_line(fa_text text)
{
    for (size_t i = 0; i < text.length; ++i) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* What frames the message is libcurl's, and who we are is the upstream's. */
static bool is_ours(fa_text name, const settled *s)
{
    static const char *const names[] = {
        "host", "content-length", "transfer-encoding",   "connection", "expect", "upgrade",
        "te",   "trailer",        "proxy-authorization", NULL};
    for (const char *const *it = names; *it != NULL; ++it) {
        if (fa_text_is(name, *it))
            return true;
    }
    return s->secret != NULL && name.length == s->secret_name && strncasecmp(name.data, s->secret, name.length) == 0;
}

static fa_result check_headers(const settled *s, const fa_transfer_request *r, fa_error *error)
{
    if (r->header_count > MOST_HEADERS)
        return fa_fail(error, FA_INVALID, "more than %d headers", MOST_HEADERS);
    for (size_t i = 0; i < r->header_count; ++i) {
        fa_text name = r->headers[i].name;
        int shown = (int)(name.length < 60 ? name.length : 60);
        if (!is_token(name) || !is_line(r->headers[i].value))
            return fa_fail(error, FA_INVALID,
                           "header %.*s: no token, or a line break or another control character in it", shown,
                           name.data);
        if (is_ours(name, s))
            return fa_fail(error, FA_INVALID, "header %.*s is not the caller's to set", shown, name.data);
    }
    return FA_OK;
}

static fa_result check_target(const fa_upstream *u, const fa_transfer_request *r, fa_error *error)
{
    char url[URL_SIZE], origin[ORIGIN_SIZE];
    unsigned port = 0;
    size_t longest = 0;
    for (size_t i = 0; i < u->settled->base_count; ++i)
        longest = strlen(u->settled->bases[i].url) > longest ? strlen(u->settled->bases[i].url) : longest;
    if (longest + r->path.length + r->query.length + 2 > URL_SIZE)
        return fa_fail(error, u->settled->base_count > 0 ? FA_INVALID : FA_UNSUPPORTED,
                       "the address is longer than %d bytes", URL_SIZE);
    for (size_t i = 0; i < r->query.length; ++i) {
        unsigned char c = (unsigned char)r->query.data[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return fa_fail(error, FA_INVALID, "query: is not percent-encoded");
    }
    if (u->settled->base_count > 0) {
        if (!fa_url_target_is_good(r->path))
            return fa_fail(error, FA_INVALID,
                           "path: begins with \"/\", is percent-encoded, and has no \".\" or \"..\" in it");
        return FA_OK;
    }
    snprintf(url, sizeof(url), "%.*s", (int)r->path.length, r->path.data);
    if (strlen(url) != r->path.length || !is_line(r->path) || !fa_url_origin(url, origin, &port))
        return fa_fail(error, FA_UNSUPPORTED, "url: is no http or https address, or has a user name in it");
    if (!fa_guard_allows_port(&u->settled->guard, port))
        return fa_fail(error, FA_UNSUPPORTED, "url: port %u may not be asked", port);
    return FA_OK;
}

static fa_result check_bodies(const fa_transfer_request *r, fa_error *error)
{
    if (r->part_count > MOST_PARTS)
        return fa_fail(error, FA_INVALID, "more than %d parts", MOST_PARTS);
    if (r->body != NULL && !fa_buffer_sealed(r->body))
        return fa_fail(error, FA_WRONG_STATE, "body: only a sealed buffer can be sent");
    for (size_t i = 0; i < r->part_count; ++i) {
        const fa_form_item *p = &r->parts[i];
        if (!fa_buffer_sealed(p->body))
            return fa_fail(error, FA_WRONG_STATE, "multipart: only a sealed buffer can be sent");
        if (p->offset > fa_buffer_length(p->body) || p->length > fa_buffer_length(p->body) - p->offset)
            return fa_fail(error, FA_INVALID, "multipart: outside of the buffer");
        if (!is_line(p->name) || !is_line(p->filename) || !is_line(p->type) || p->name.length == 0)
            return fa_fail(error, FA_INVALID,
                           "multipart: a name with a line break or another control character, or none");
    }
    return FA_OK;
}

static fa_result check(const fa_upstream *u, const fa_transfer_request *r, fa_error *error)
{
    if (!is_token((fa_text){r->method, strlen(r->method)}) || strlen(r->method) > 20 ||
        strcmp(r->method, "CONNECT") == 0)
        return fa_fail(error, FA_INVALID, "\"%.40s\" is no method", r->method);
    fa_result result = check_target(u, r, error);
    if (result == FA_OK)
        result = check_headers(u->settled, r, error);
    return result == FA_OK ? check_bodies(r, error) : result;
}

/* ---- keeping ---- */

/* path?query, or path&query when it has one already. */
static const char *copy_target(fa_scope *scope, const fa_transfer_request *r)
{
    bool asks = r->path.length != 0 && memchr(r->path.data, '?', r->path.length) != NULL;
    char *out = fa_scope_allocate(scope, r->path.length + r->query.length + 2);
    if (out == NULL)
        return NULL;
    if (r->path.length != 0)
        memcpy(out, r->path.data, r->path.length);
    size_t at = r->path.length;
    if (r->query.length != 0) {
        out[at++] = asks ? '&' : '?';
        memcpy(out + at, r->query.data, r->query.length);
    }
    return out;
}

/* As libcurl wants them: a name with ";" has an empty value, with ":" and nothing behind it would be left out. */
static const char *copy_headers(fa_scope *scope, const fa_transfer_request *r)
{
    bool typed = r->body == NULL || r->part_count > 0;
    size_t size = 64;
    for (size_t i = 0; i < r->header_count; ++i)
        size += r->headers[i].name.length + r->headers[i].value.length + 3;
    char *out = fa_scope_allocate(scope, size), *at = out;
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < r->header_count; ++i) {
        const fa_header *h = &r->headers[i];
        int name = (int)h->name.length, value = (int)h->value.length;
        typed = typed || fa_text_is(h->name, "content-type");
        at += value > 0 ? sprintf(at, "%.*s: %.*s", name, h->name.data, value, h->value.data)
                        : sprintf(at, "%.*s;", name, h->name.data);
        at++;
    }
    static const char bytes[] = "Content-Type: application/octet-stream";
    if (!typed)
        memcpy(at, bytes, sizeof(bytes));
    return out;
}

static const char *copy(fa_scope *scope, fa_text text)
{
    return text.length != 0 ? fa_scope_copy_text(scope, text.data, text.length) : NULL;
}

static fa_result lease_parts(fa_transfer *t, const fa_transfer_request *r)
{
    if (r->part_count == 0)
        return FA_OK;
    t->parts = fa_scope_allocate(t->scope, r->part_count * sizeof(*t->parts));
    if (t->parts == NULL)
        return FA_NO_MEMORY;
    for (size_t i = 0; i < r->part_count; ++i) {
        const fa_form_item *from = &r->parts[i];
        form_item *to = &t->parts[i];
        fa_result result = fa_buffer_lease(from->body);
        if (result != FA_OK)
            return result;
        to->body = from->body;
        t->part_count = i + 1;
        to->offset = from->offset;
        to->length = from->length;
        to->name = copy(t->scope, from->name);
        to->filename = copy(t->scope, from->filename);
        to->type = copy(t->scope, from->type);
        if (to->name == NULL || (from->filename.length != 0 && to->filename == NULL) ||
            (from->type.length != 0 && to->type == NULL))
            return FA_NO_MEMORY;
    }
    return FA_OK;
}

static bool is_idempotent(const fa_transfer_request *r)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL};
    if (r->idempotent >= 0)
        return r->idempotent != 0;
    for (const char *const *it = methods; *it != NULL; ++it) {
        if (strcmp(*it, r->method) == 0)
            return true;
    }
    for (size_t i = 0; i < r->header_count; ++i) {
        if (fa_text_is(r->headers[i].name, "idempotency-key"))
            return true;
    }
    return false;
}

static uint64_t either(uint64_t said, uint64_t fallback)
{
    return said != 0 ? said : fallback;
}

static void take_limits(fa_transfer *t, const fa_transfer_request *r, uint64_t now_ms)
{
    const fa_upstream_options *o = &t->settled->options;
    t->mode = r->mode;
    t->expect_success = r->expect_success;
    t->idempotent = is_idempotent(r);
    t->retries_left = (unsigned)(r->retries >= 0 ? (uint64_t)r->retries : o->retries);
    t->redirects_left = (unsigned)o->redirects;
    t->first_byte_ms = either(r->first_byte_ms, o->first_byte_ms);
    t->idle_ms = either(r->idle_ms, o->idle_ms);
    t->total_at_ms = now_ms + either(r->total_ms, o->total_ms);
    t->max_response = either(r->max_response, o->max_response);
    t->length = t->retry_after = -1;
    fa_reader_init(&t->reader, t->scope, r->format, either(r->event_max, o->event_max), o->window);
}

static fa_result fill(fa_transfer *t, const fa_transfer_request *r)
{
    take_limits(t, r, fa_worker_now(t->upstream->all->worker));
    fa_result result = fa_transfer_set_up(t);
    if (result != FA_OK)
        return result;
    t->method = fa_scope_copy_text(t->scope, r->method, strlen(r->method));
    t->target = copy_target(t->scope, r);
    t->headers = copy_headers(t->scope, r);
    if (t->method == NULL || t->target == NULL || t->headers == NULL)
        return FA_NO_MEMORY;
    if (r->body != NULL && r->part_count == 0) {
        result = fa_buffer_lease(r->body);
        if (result != FA_OK)
            return result;
        t->body = r->body;
    }
    return lease_parts(t, r);
}

fa_result fa_transfer_start(fa_upstream *u, fa_scope *parent, const fa_transfer_request *r,
                            const fa_transfer_user *user, void *context, fa_origin made_at, fa_transfer **out,
                            fa_error *error)
{
    fa_scope *scope;
    char label[FA_LABEL_SIZE];
    fa_result result = check(u, r, error);
    if (result != FA_OK)
        return result;
    snprintf(label, sizeof(label), "%.20s to %.30s", r->method, u->name);
    result = fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_TRANSFER, 0, label, made_at, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no room for a transfer: %s", fa_result_name(result));
    fa_transfer *t = fa_scope_allocate(scope, sizeof(*t));
    if (t == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no room for a transfer");
    }
    t->scope = scope;
    t->upstream = u;
    t->settled = fa_settled_ref(u->settled);
    t->user = user;
    t->context = context;
    t->made_at = made_at;
    t->state = TRANSFER_FAILS;
    u->running++;
    fa_list_init(&t->link);
    result = fill(t, r);
    if (result != FA_OK) {
        fa_scope_end(scope, "no memory", NULL); /* lets go of what is there */
        return fa_fail(error, result, "no room for a transfer: %s", fa_result_name(result));
    }
    u->running--;
    fa_transfer_queue(t);
    *out = t;
    return FA_OK;
}
