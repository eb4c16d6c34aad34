/* Base64 (RFC 4648 4) and its form for addresses (5: "-" and "_", no padding). Pure. Thread: any. */
#ifndef FA_BASE_BASE64_H
#define FA_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

typedef enum fa_base64_kind { FA_BASE64, FA_BASE64_URL } fa_base64_kind;

/* What encoding takes at most, and decoding. */
#define FA_BASE64_SIZE(length)    (((length) + 2) / 3 * 4)
#define FA_BASE64_DECODED(length) ((length) / 4 * 3 + 3)

/* The length of what was written; no NUL. */
size_t fa_base64_encode(fa_base64_kind kind, const void *data, size_t length, char *out);

/* Strict: only this alphabet, nothing between or behind; padding all or (url: better) none, unused bits zero. */
bool fa_base64_decode(fa_base64_kind kind, const char *text, size_t length, void *out, size_t *written);

#endif
