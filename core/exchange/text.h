/* A piece of text that somebody else holds. */
#ifndef FA_EXCHANGE_TEXT_H
#define FA_EXCHANGE_TEXT_H

#include <stddef.h>

/* Not NUL-terminated. Borrowed from whoever holds the bytes. */
typedef struct fa_text {
    const char *data;
    size_t length;
} fa_text;

#define FA_TEXT(literal) ((fa_text){literal, sizeof(literal) - 1})

/* Without the blanks around it: optional white space of RFC 9110, 5.6.3. */
static inline fa_text fa_text_trim(fa_text text)
{
    while (text.length != 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (fa_text){text.data + 1, text.length - 1};
    while (text.length != 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

#endif
