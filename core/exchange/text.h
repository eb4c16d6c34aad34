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

#endif
