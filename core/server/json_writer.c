#include "server/json_writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append(fa_json *json, const char *text, size_t length)
{
    if (json->result == FA_OK)
        json->result = fa_buffer_append(json->out, text, length);
}

__attribute__((format(printf, 2, 3))) static void format(fa_json *json, const char *pattern, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, pattern);
    int length = vsnprintf(text, sizeof(text), pattern, arguments);
    va_end(arguments);
    append(json, text, (size_t)length);
}

static void quote(fa_json *json, const char *text)
{
    append(json, "\"", 1);
    while (*text != '\0') {
        size_t plain = 0;
        while ((unsigned char)text[plain] >= ' ' && text[plain] != '"' && text[plain] != '\\')
            ++plain;
        append(json, text, plain);
        text += plain;
        if (*text != '\0')
            format(json, "\\u%04x", (unsigned char)*text++);
    }
    append(json, "\"", 1);
}

static void begin(fa_json *json, const char *key)
{
    if (json->comma)
        append(json, ",", 1);
    json->comma = true;
    if (key == NULL)
        return;
    quote(json, key);
    append(json, ":", 1);
}

void fa_json_open(fa_json *json, const char *key, char bracket)
{
    begin(json, key);
    append(json, &bracket, 1);
    json->comma = false;
}

void fa_json_close(fa_json *json, char bracket)
{
    append(json, &bracket, 1);
    json->comma = true;
}

void fa_json_number(fa_json *json, const char *key, uint64_t value)
{
    begin(json, key);
    format(json, "%" PRIu64, value);
}

void fa_json_signed(fa_json *json, const char *key, int64_t value)
{
    begin(json, key);
    format(json, "%" PRId64, value);
}

void fa_json_decimal(fa_json *json, const char *key, double value)
{
    begin(json, key);
    format(json, "%.2f", value);
}

void fa_json_flag(fa_json *json, const char *key, bool value)
{
    begin(json, key);
    append(json, value ? "true" : "false", value ? 4 : 5);
}

void fa_json_text(fa_json *json, const char *key, const char *text)
{
    begin(json, key);
    quote(json, text);
}
