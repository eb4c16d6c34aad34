#include "upstream/reader.h"

#include <string.h>

enum { FIRST_CAPACITY = 1024 };

void fa_reader_init(fa_reader *reader, fa_scope *scope, fa_stream_format format, size_t event_max, size_t window)
{
    memset(reader, 0, sizeof(*reader));
    reader->scope = scope;
    reader->format = format;
    reader->event_max = event_max;
    reader->window = window;
}

void fa_reader_free(fa_reader *reader)
{
    if (reader->bytes != NULL)
        fa_account_free(fa_scope_account(reader->scope), reader->bytes, reader->capacity);
    reader->bytes = NULL;
    reader->capacity = 0;
}

/* ---- taking bytes ---- */

size_t fa_reader_waiting(const fa_reader *reader)
{
    return reader->filled - reader->next;
}

/* What the event under way needs counts too. There is always room for a piece when the window is empty, and while an event that is
 * still allowed is not whole. */
bool fa_reader_has_room(const fa_reader *reader)
{
    size_t used = (reader->given ? 0 : reader->data) + fa_reader_waiting(reader);
    size_t most = reader->window > reader->event_max ? reader->window : reader->event_max;
    return used <= most;
}

/* Closes the gap between the data, which stays, and what has not been looked at. */
static void compact(fa_reader *reader)
{
    size_t gap = reader->next - reader->data;
    if (gap == 0)
        return;
    memmove(reader->bytes + reader->data, reader->bytes + reader->next, reader->filled - reader->next);
    reader->next -= gap;
    reader->scanned -= gap;
    reader->filled -= gap;
}

static fa_result grow(fa_reader *reader, size_t length)
{
    void *block = reader->bytes;
    size_t wanted = reader->capacity != 0 ? reader->capacity : FIRST_CAPACITY;
    while (wanted < reader->filled + length)
        wanted *= 2;
    fa_result result = fa_account_resize(fa_scope_account(reader->scope), &block, reader->capacity, wanted);
    if (result != FA_OK)
        return result;
    reader->bytes = block;
    reader->capacity = wanted;
    return FA_OK;
}

fa_result fa_reader_write(fa_reader *reader, const void *bytes, size_t length)
{
    if (!fa_reader_has_room(reader))
        return FA_FULL;
    if (reader->capacity - reader->filled < length)
        compact(reader);
    if (reader->capacity - reader->filled < length) {
        fa_result result = grow(reader, length);
        if (result != FA_OK)
            return result;
    }
    if (length != 0)
        memcpy(reader->bytes + reader->filled, bytes, length);
    reader->filled += length;
    return FA_OK;
}

void fa_reader_end(fa_reader *reader, bool whole)
{
    reader->ended = whole;
}

/* ---- lines ---- */

/* The next whole line, without its end. False: it is not there yet. */
static bool take_line(fa_reader *reader, fa_text *line)
{
    const bool sse = reader->format == FA_STREAM_SSE;
    if (reader->after_cr && reader->next < reader->filled) {
        if (reader->bytes[reader->next] == '\n')
            reader->next++;
        reader->after_cr = false;
        if (reader->scanned < reader->next)
            reader->scanned = reader->next;
    }
    for (; reader->scanned < reader->filled; ++reader->scanned) {
        uint8_t c = reader->bytes[reader->scanned];
        if (c != '\n' && !(sse && c == '\r'))
            continue;
        *line = (fa_text){(const char *)reader->bytes + reader->next, reader->scanned - reader->next};
        reader->after_cr = c == '\r';
        reader->next = ++reader->scanned;
        return true;
    }
    return false;
}

static void forget_given(fa_reader *reader)
{
    if (!reader->given)
        return;
    reader->given = false;
    reader->data = 0;
    reader->event_length = 0;
    if (reader->next == reader->filled)
        reader->next = reader->scanned = reader->filled = 0;
}

/* ---- NDJSON ---- */

bool fa_reader_event(const fa_reader *reader, fa_stream_event *event)
{
    event->event = reader->event_length != 0 ? (fa_text){reader->event, reader->event_length} : FA_TEXT("message");
    event->id = (fa_text){reader->id, reader->id_length};
    event->data = (fa_text){(const char *)reader->bytes, reader->data};
    return reader->given;
}

static fa_result give(fa_reader *reader, fa_stream_event *event)
{
    reader->given = true;
    fa_reader_event(reader, event);
    return FA_OK;
}

/* The line goes to the front, where data stands: what comes meanwhile may be moved behind it. */
static fa_result give_line(fa_reader *reader, fa_stream_event *event, fa_text line)
{
    if (line.length > reader->event_max)
        return FA_FULL;
    memmove(reader->bytes, line.data, line.length);
    reader->data = line.length;
    return give(reader, event);
}

static bool is_blank(fa_text line)
{
    for (size_t i = 0; i < line.length; ++i) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    }
    return true;
}

static bool last_line(fa_reader *reader, fa_text *line)
{
    if (!reader->ended || reader->next == reader->filled)
        return false;
    *line = (fa_text){(const char *)reader->bytes + reader->next, reader->filled - reader->next};
    reader->next = reader->scanned = reader->filled;
    return true;
}

static fa_result next_line(fa_reader *reader, fa_stream_event *event)
{
    fa_text line;
    while (take_line(reader, &line) || last_line(reader, &line)) {
        if (line.length != 0 && line.data[line.length - 1] == '\r')
            line.length--;
        if (!is_blank(line))
            return give_line(reader, event, line);
    }
    return fa_reader_waiting(reader) > reader->event_max ? FA_FULL : FA_NOT_FOUND;
}

/* ---- SSE ---- */

/* False while it cannot be told yet whether the stream begins with a BOM. */
static bool skip_bom(fa_reader *reader)
{
    static const uint8_t bom[3] = {0xef, 0xbb, 0xbf};
    size_t have = reader->filled - reader->next, look = have < 3 ? have : 3;
    if (have == 0 || (memcmp(reader->bytes + reader->next, bom, look) == 0 && look < 3 && !reader->ended))
        return false;
    if (look == 3 && memcmp(reader->bytes + reader->next, bom, 3) == 0)
        reader->next = reader->scanned = reader->next + 3;
    reader->begun = true;
    return true;
}

/* A data line moves to the end of the data, which lies before it: the name of the field has made room for the line break between two. */
static fa_result add_data(fa_reader *reader, fa_text value)
{
    if (reader->data + reader->has_data + value.length > reader->event_max)
        return FA_FULL;
    if (reader->has_data)
        reader->bytes[reader->data++] = '\n';
    if (value.length != 0)
        memmove(reader->bytes + reader->data, value.data, value.length);
    reader->data += value.length;
    reader->has_data = true;
    return FA_OK;
}

static fa_result keep(char *out, size_t size, size_t *length, fa_text value)
{
    if (value.length >= size)
        return FA_FULL;
    if (value.length != 0)
        memcpy(out, value.data, value.length);
    *length = value.length;
    return FA_OK;
}

static fa_result take_field(fa_reader *reader, fa_text line)
{
    const char *colon = memchr(line.data, ':', line.length);
    fa_text name = {line.data, colon != NULL ? (size_t)(colon - line.data) : line.length};
    fa_text value = {line.data + line.length, 0};
    if (colon != NULL)
        value = (fa_text){colon + 1, line.length - name.length - 1};
    if (value.length != 0 && value.data[0] == ' ')
        value = (fa_text){value.data + 1, value.length - 1};
    if (name.length == 4 && memcmp(name.data, "data", 4) == 0)
        return add_data(reader, value);
    if (name.length == 5 && memcmp(name.data, "event", 5) == 0)
        return keep(reader->event, sizeof(reader->event), &reader->event_length, value);
    if (name.length == 2 && memcmp(name.data, "id", 2) == 0 && memchr(value.data, '\0', value.length) == NULL)
        return keep(reader->id, sizeof(reader->id), &reader->id_length, value);
    return FA_OK;
}

static fa_result next_sse(fa_reader *reader, fa_stream_event *event)
{
    fa_text line;
    fa_result result = FA_OK;
    if (!reader->begun && !skip_bom(reader))
        return FA_NOT_FOUND;
    while (result == FA_OK && take_line(reader, &line)) {
        if (line.length != 0) {
            result = take_field(reader, line);
        } else if (reader->has_data) {
            reader->has_data = false;
            return give(reader, event);
        } else {
            reader->event_length = 0;
        }
    }
    if (result != FA_OK)
        return result;
    return reader->data + fa_reader_waiting(reader) > reader->event_max ? FA_FULL : FA_NOT_FOUND;
}

fa_result fa_reader_next(fa_reader *reader, fa_stream_event *event)
{
    forget_given(reader);
    return reader->format == FA_STREAM_SSE ? next_sse(reader, event) : next_line(reader, event);
}
