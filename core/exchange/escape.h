/* Percent escapes: "%XX". */
#ifndef FA_EXCHANGE_ESCAPE_H
#define FA_EXCHANGE_ESCAPE_H

/* The byte that "%XX" at `at` stands for, or -1. */
int fa_escaped_byte(const char *at, const char *end);

#endif
