/* Heads of answers as attempt.c keeps them: "name: value\n" without the space, names in lower case. */
#include <string.h>

#include "memory/buffer.h"
#include "upstream/internal.h"

bool fa_head_next(const fa_buffer *head, size_t *at, fa_header *header)
{
    size_t size = head != NULL ? fa_buffer_length(head) : 0;
    if (*at >= size)
        return false;
    const char *line = (const char *)fa_buffer_data(head) + *at;
    const char *end = memchr(line, '\n', size - *at), *colon = memchr(line, ':', (size_t)(end - line));
    header->name = (fa_text){line, (size_t)(colon - line)};
    header->value = (fa_text){colon + 1, (size_t)(end - colon) - 1};
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
