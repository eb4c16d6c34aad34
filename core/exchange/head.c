#include "exchange/head.h"

#include <string.h>

#include "exchange/media_type.h"

_Static_assert(FA_MAX_HEAD == FA_MAX_ANSWER_HEADERS + FA_MAX_ADDED_HEADERS + FA_MAX_DEFAULT_HEADERS + 2,
               "a head has room for all of its sources, the request id and the generation");

/* ---- what may be in a head ---- */

static bool name_is_clean(fa_text name)
{
    for (size_t i = 0; i < name.length; ++i) {
        if (!fa_is_token_char(name.data[i]))
            return false;
    }
    switch (name.length) { /* of those that the server writes itself */
    case 0:
        return false;
    case sizeof("connection") - 1:
        return !fa_text_is(name, "connection");
    case sizeof("content-length") - 1:
        return !fa_text_is(name, "content-length");
    case sizeof("transfer-encoding") - 1:
        return !fa_text_is(name, "transfer-encoding");
    default:
        return true;
    }
}

bool fa_header_is_clean(const fa_header *header)
{
    fa_text value = header->value;
    for (size_t i = 0; i < value.length; ++i) {
        char c = value.data[i];
        if ((unsigned char)c < ' ' && (c == '\r' || c == '\n' || c == '\0'))
            return false;
    }
    return name_is_clean(header->name);
}

/* ---- added ones ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A script may have written a name in any case. */
static bool same_name(fa_text a, fa_text b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; ++i) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

/* The place where it goes: of the one that it replaces, or behind the last. */
static fa_added_header **find_place(fa_exchange *exchange, fa_added_kind kind, fa_text name, size_t *count)
{
    fa_added_header **place = &exchange->added;
    for (*count = 0; *place != NULL; place = &(*place)->next, ++*count) {
        if (kind != FA_ADDED_LINE && (*place)->kind == kind && same_name((*place)->header.name, name))
            break;
    }
    return place;
}

fa_result fa_exchange_add_header(fa_exchange *exchange, fa_added_kind kind, fa_text name, fa_text value)
{
    size_t count;
    fa_header header = {name, value};
    if (exchange->status != 0 || exchange->gone)
        return FA_WRONG_STATE;
    if (!fa_header_is_clean(&header))
        return FA_INVALID;
    fa_added_header **place = find_place(exchange, kind, name, &count), *old = *place;
    if (count >= FA_MAX_ADDED_HEADERS)
        return FA_FULL;
    fa_added_header *added = fa_scope_allocate(exchange->scope, sizeof(*added) + name.length + value.length);
    if (added == NULL)
        return FA_NO_MEMORY;
    char *text = (char *)(added + 1);
    memcpy(text, name.data, name.length);
    if (value.length != 0)
        memcpy(text + name.length, value.data, value.length);
    added->kind = kind;
    added->header = (fa_header){{text, name.length}, {text + name.length, value.length}};
    added->next = old != NULL ? old->next : NULL;
    *place = added;
    if (old != NULL)
        fa_scope_free(exchange->scope, old);
    return FA_OK;
}

/* ---- the whole head ---- */

typedef struct head {
    fa_header *all;
    size_t count;
} head;

static fa_header *find(const head *h, fa_text name)
{
    for (size_t i = 0; i < h->count; ++i) {
        if (same_name(h->all[i].name, name))
            return &h->all[i];
    }
    return NULL;
}

static void add(head *h, const fa_header *header)
{
    h->all[h->count++] = *header;
}

static void add_added(head *h, const fa_added_header *added, int status)
{
    fa_header *own = added->kind == FA_ADDED_LINE ? NULL : find(h, added->header.name);
    bool always = added->kind == FA_ADDED_LINE || added->kind == FA_ADDED_INSTEAD;
    bool fits = always || status < 300 || (added->kind == FA_ADDED_VALIDATOR && status == 304);
    if (!fits)
        return;
    if (own == NULL)
        add(h, &added->header);
    else if (added->kind == FA_ADDED_CONTENT || added->kind == FA_ADDED_INSTEAD)
        own->value = added->header.value;
}

size_t fa_head_assemble(const fa_exchange *exchange, int status, const fa_header *headers, size_t count,
                        fa_header all[FA_MAX_HEAD])
{
    head h = {all, 0};
    for (size_t i = 0; i < count; ++i)
        add(&h, &headers[i]);
    for (const fa_added_header *it = exchange->added; it != NULL; it = it->next)
        add_added(&h, it, status);
    for (size_t i = 0; i < exchange->default_count && i < FA_MAX_DEFAULT_HEADERS; ++i) {
        if (find(&h, exchange->defaults[i].name) == NULL)
            add(&h, &exchange->defaults[i]);
    }
    add(&h, &(fa_header){FA_TEXT("x-request-id"), {exchange->request_id, strlen(exchange->request_id)}});
    if (exchange->generation[0] != '\0')
        add(&h, &(fa_header){FA_TEXT("x-generation"), {exchange->generation, strlen(exchange->generation)}});
    return h.count;
}
