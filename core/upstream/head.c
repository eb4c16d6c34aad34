/* Heads of answers as attempt.c keeps them: "name: value\n" without the space, names in lower case.
 *
 * libcurl looks at what it needs itself, and gives every line as it came. What goes on from here goes to scripts, and by a pipe to clients:
 * so lines are unfolded, what is no header is refused (RFC 9110 5.5, RFC 9112 5), and so is a length or a coding in a form that libcurl does
 * not understand, for the body would end elsewhere than the service means. */
#include <string.h>

#include "exchange/media_type.h"
#include "memory/buffer.h"
#include "upstream/internal.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; ++i) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_framing(fa_text name)
{
    return fa_text_is(name, "content-length") || fa_text_is(name, "transfer-encoding");
}

/* The line end of the last line becomes a space. */
static fa_result unfold(fa_buffer *head, size_t last, fa_text more)
{
    size_t size = fa_buffer_length(head);
    const char *line = (const char *)fa_buffer_data(head) + last;
    if (size == 0)
        return FA_INVALID;
    const char *colon = memchr(line, ':', size - last);
    if (is_framing((fa_text){line, (size_t)(colon - line)}))
        return FA_INVALID;
    if (more.length == 0)
        return FA_OK;
    fa_result result = fa_buffer_append(head, more.data, more.length);
    if (result == FA_OK)
        result = fa_buffer_append(head, "\n", 1);
    if (result == FA_OK)
        result = fa_buffer_patch(head, size - 1, " ", 1);
    return result;
}

/* The length of the name, without blanks behind it, which some services write; 0: it is none. */
static size_t name_length(const char *line, size_t length)
{
    while (length > 0 && is_blank(line[length - 1]))
        --length;
    for (size_t i = 0; i < length; ++i) {
        if (!fa_is_token_char(line[i]))
            return 0;
    }
    return length;
}

fa_result fa_head_note(fa_buffer *head, size_t *last, const char *line, size_t length)
{
    void *space;
    if (has_control(line, length))
        return FA_INVALID;
    if (length > 0 && is_blank(line[0]))
        return unfold(head, *last, fa_text_trim((fa_text){line, length}));
    const char *colon = memchr(line, ':', length);
    size_t before = colon != NULL ? (size_t)(colon - line) : 0, name = name_length(line, before);
    if (name == 0)
        return FA_INVALID;
    fa_text value = fa_text_trim((fa_text){colon + 1, length - before - 1});
    fa_result result = fa_buffer_reserve(head, name + value.length + 2, &space);
    if (result != FA_OK)
        return result;
    char *out = space;
    for (size_t i = 0; i < name; ++i)
        out[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + ('a' - 'A') : line[i]);
    if (name != before && is_framing((fa_text){out, name}))
        return FA_INVALID;
    out[name] = ':';
    if (value.length != 0)
        memcpy(out + name + 1, value.data, value.length);
    out[name + 1 + value.length] = '\n';
    *last = fa_buffer_length(head);
    fa_buffer_commit(head, name + 2 + value.length);
    return FA_OK;
}

bool fa_head_next(const fa_buffer *head, size_t *at, fa_header *header)
{
    size_t size = head != NULL ? fa_buffer_length(head) : 0;
    if (*at >= size)
        return false;
    const char *line = (const char *)fa_buffer_data(head) + *at;
    const char *end = memchr(line, '\n', size - *at), *colon = memchr(line, ':', (size_t)(end - line));
    header->name = (fa_text){line, (size_t)(colon - line)};
    header->value =
        fa_text_trim((fa_text){colon + 1, (size_t)(end - colon) - 1}); /* unfolded, it may begin with a space */
    *at += (size_t)(end - line) + 1;
    return true;
}

bool fa_head_find(const fa_buffer *head, const char *name, fa_text *value)
{
    fa_header header;
    for (size_t at = 0; fa_head_next(head, &at, &header);) {
        if (fa_text_is(header.name, name)) {
            *value = header.value;
            return true;
        }
    }
    return false;
}

bool fa_head_lengths_agree(const fa_buffer *head)
{
    enum { LONGEST = 18 }; /* digits that are a number */
    fa_header header;
    fa_text first = {NULL, 0};
    for (size_t at = 0; fa_head_next(head, &at, &header);) {
        if (!fa_text_is(header.name, "content-length"))
            continue;
        bool same = first.data == NULL ||
                    (header.value.length == first.length && memcmp(header.value.data, first.data, first.length) == 0);
        if (header.value.length > LONGEST || !same)
            return false;
        first = header.value;
    }
    return true;
}
