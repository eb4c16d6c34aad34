/* Writes JSON into a buffer, piece by piece. The first failure is kept in `result` and what follows is dropped, so that a writer
 * looks only once, at the end. Thread: the buffer's. */
#ifndef FA_SERVER_JSON_WRITER_H
#define FA_SERVER_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "fitnessally/buffer.h"

typedef struct fa_json {
    fa_buffer *out; /* mutable; borrowed */
    fa_result result;
    bool comma; /* before the next member */
} fa_json;

/* key: NULL inside arrays and at the top. bracket: '{' or '['; closed by '}' or ']'. */
void fa_json_open(fa_json *json, const char *key, char bracket);
void fa_json_close(fa_json *json, char bracket);

void fa_json_number(fa_json *json, const char *key, uint64_t value);
void fa_json_signed(fa_json *json, const char *key, int64_t value);
void fa_json_decimal(fa_json *json, const char *key, double value); /* two digits behind the point */
void fa_json_flag(fa_json *json, const char *key, bool value);
void fa_json_text(fa_json *json, const char *key, const char *text);

#endif
