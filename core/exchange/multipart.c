#include "exchange/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "exchange/media_type.h"

static fa_text from(fa_text text, size_t offset)
{
    return (fa_text){text.data + offset, text.length - offset};
}

static const char *find(fa_text text, const char *what, size_t length)
{
    return text.length >= length ? memmem(text.data, text.length, what, length) : NULL;
}

static bool starts_with(fa_text text, const char *prefix, size_t length)
{
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

/* ---- boundaries ---- */

static bool boundary_is_proper(fa_text boundary)
{
    if (boundary.length == 0 || boundary.length > FA_BOUNDARY_SIZE || boundary.data[boundary.length - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary.length; ++i) {
        char c = boundary.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL);
        if (!plain)
            return false;
    }
    return true;
}

/* What follows a boundary: "--" for the closing one, blanks, and the end of the line. Moves `at` behind it. */
static bool end_boundary_line(fa_multipart *multipart)
{
    fa_text rest = from(multipart->body, multipart->at);
    size_t used = starts_with(rest, "--", 2) ? 2 : 0;
    multipart->ended = used != 0;
    while (used < rest.length && (rest.data[used] == ' ' || rest.data[used] == '\t'))
        ++used;
    if (starts_with(from(rest, used), "\r\n", 2))
        used += 2;
    else if (!multipart->ended || used != rest.length) /* the last line may end with the body */
        return false;
    multipart->at += used;
    return true;
}

static fa_result bad_boundary_line(fa_error *error)
{
    return fa_fail(error, FA_INVALID, "a boundary line of the multipart body has something behind the boundary");
}

/* The first boundary: at the beginning of the body, or of a line behind a preamble. */
static fa_result find_first(fa_multipart *multipart, fa_error *error)
{
    const char *bare = multipart->delimiter + 2;
    size_t bare_length = multipart->delimiter_length - 2;
    if (starts_with(multipart->body, bare, bare_length)) {
        multipart->at = bare_length;
    } else {
        const char *at = find(multipart->body, multipart->delimiter, multipart->delimiter_length);
        if (at == NULL)
            return fa_fail(error, FA_INVALID, "the boundary that Content-Type names is not in the body");
        multipart->at = (size_t)(at - multipart->body.data) + multipart->delimiter_length;
    }
    return end_boundary_line(multipart) ? FA_OK : bad_boundary_line(error);
}

fa_result fa_multipart_begin(fa_multipart *multipart, fa_text content_type, fa_text body,
                             const fa_multipart_limits *limits, fa_error *error)
{
    fa_media_type type;
    bool read = fa_media_type_read(content_type, &type);
    bool meant = content_type.length >= 19 && strncasecmp(content_type.data, "multipart/form-data", 19) == 0;
    if (read ? !fa_text_is(type.value, "multipart/form-data") : !meant)
        return fa_fail(error, FA_UNSUPPORTED, "the body is not multipart/form-data");
    const fa_parameter *boundary = read ? fa_media_type_parameter(&type, "boundary") : NULL;
    if (boundary == NULL || !boundary_is_proper(boundary->value))
        return fa_fail(error, FA_INVALID, "Content-Type has no proper boundary");
    *multipart = (fa_multipart){.body = body, .limits = *limits};
    multipart->delimiter_length = (size_t)snprintf(multipart->delimiter, sizeof(multipart->delimiter), "\r\n--%.*s",
                                                   (int)boundary->value.length, boundary->value.data);
    return find_first(multipart, error);
}

/* ---- headers of a part ---- */

static bool read_line(fa_text line, fa_header *header)
{
    size_t colon = 0;
    while (colon < line.length && fa_is_token_char(line.data[colon]))
        ++colon;
    if (colon == 0 || colon == line.length || line.data[colon] != ':')
        return false;
    for (size_t i = colon; i < line.length; ++i) {
        unsigned char c = (unsigned char)line.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    *header = (fa_header){{line.data, colon}, fa_text_trim(from(line, colon + 1))};
    return true;
}

/* Reads the lines up to the empty one and moves `at` behind that. */
static fa_result read_headers(fa_multipart *multipart, fa_part *part, fa_error *error)
{
    size_t start = multipart->at, most = multipart->limits.head;
    for (;;) {
        fa_text rest = from(multipart->body, multipart->at);
        const char *end = find(rest, "\r\n", 2);
        size_t length = end != NULL ? (size_t)(end - rest.data) : rest.length;
        if (most != 0 && multipart->at + length - start > most)
            return fa_fail(error, FA_FULL, "the headers of part %zu are longer than %zu bytes", multipart->parts, most);
        if (end == NULL)
            return fa_fail(error, FA_INVALID, "the headers of part %zu have no end", multipart->parts);
        multipart->at += length + 2;
        if (length == 0)
            return FA_OK;
        if (part->header_count == FA_PART_HEADERS)
            return fa_fail(error, FA_FULL, "part %zu has more than %d headers", multipart->parts, FA_PART_HEADERS);
        if (starts_with(rest, multipart->delimiter + 2,
                        multipart->delimiter_length - 2) || /* a boundary may have a colon */
            !read_line((fa_text){rest.data, length}, &part->headers[part->header_count]))
            return fa_fail(error, FA_INVALID, "a header line of part %zu is malformed", multipart->parts);
        part->header_count++;
    }
}

/* The header's value; *twice when there is more than one. */
static fa_text header_of(const fa_part *part, const char *name, bool *twice)
{
    fa_text found = {NULL, 0};
    for (size_t i = 0; i < part->header_count; ++i) {
        if (!fa_text_is(part->headers[i].name, name))
            continue;
        *twice = *twice || found.data != NULL;
        found = part->headers[i].value;
    }
    return found;
}

/* ---- names ---- */

/* The one character at `at` that stands for another, and how many bytes it takes; 0: it stands for itself. */
static size_t escape_at(fa_text text, size_t at, bool quoted, char *c)
{
    fa_text rest = from(text, at);
    if (quoted && (starts_with(rest, "\\\"", 2) || starts_with(rest, "\\\\", 2))) {
        *c = rest.data[1];
        return 2;
    }
    if (rest.length < 3 || rest.data[0] != '%')
        return 0;
    bool line_feed = rest.data[1] == '0' && (rest.data[2] == 'A' || rest.data[2] == 'a');
    bool carriage_return = rest.data[1] == '0' && (rest.data[2] == 'D' || rest.data[2] == 'd');
    bool quote = rest.data[1] == '2' && rest.data[2] == '2';
    *c = line_feed ? '\n' : carriage_return ? '\r' : '"';
    return line_feed || carriage_return || quote ? 3 : 0;
}

static bool decode_name(const fa_parameter *parameter, char out[FA_PART_NAME_SIZE], size_t *length)
{
    fa_text text = parameter->value;
    *length = 0;
    for (size_t at = 0; at < text.length;) {
        char c;
        size_t taken = escape_at(text, at, parameter->quoted, &c);
        if (*length == FA_PART_NAME_SIZE - 1)
            return false;
        out[(*length)++] = taken != 0 ? c : text.data[at];
        at += taken != 0 ? taken : 1;
    }
    out[*length] = '\0';
    return true;
}

static fa_result read_disposition(const fa_multipart *multipart, fa_part *part, fa_error *error)
{
    fa_media_type value;
    bool twice = false;
    fa_text text = header_of(part, "content-disposition", &twice);
    if (text.data == NULL || twice || !fa_media_type_read(text, &value) || !fa_text_is(value.value, "form-data"))
        return fa_fail(error, FA_INVALID, "part %zu has no proper Content-Disposition: form-data", multipart->parts);
    const fa_parameter *name = fa_media_type_parameter(&value, "name");
    const fa_parameter *filename = fa_media_type_parameter(&value, "filename"); /* filename* is not for forms */
    if (name == NULL)
        return fa_fail(error, FA_INVALID, "part %zu has no name", multipart->parts);
    part->has_filename = filename != NULL;
    if (!decode_name(name, part->name, &part->name_length) ||
        (filename != NULL && !decode_name(filename, part->filename, &part->filename_length)))
        return fa_fail(error, FA_FULL, "a name of part %zu is longer than %d bytes", multipart->parts,
                       FA_PART_NAME_SIZE - 1);
    return FA_OK;
}

/* ---- what is in it ---- */

static fa_result read_type(const fa_multipart *multipart, fa_part *part, fa_error *error)
{
    fa_media_type type;
    bool twice = false;
    fa_text text = header_of(part, "content-type", &twice);
    if (twice || (text.data != NULL && !fa_media_type_read(text, &type)))
        return fa_fail(error, FA_INVALID, "part %zu has no proper Content-Type", multipart->parts);
    if (text.data == NULL)
        return FA_OK;
    part->type = text;
    if (type.value.length >= 10 && strncasecmp(type.value.data, "multipart/", 10) == 0)
        return fa_fail(error, FA_UNSUPPORTED,
                       "part %zu is itself multipart, which forms do not have any more: send several parts of one name",
                       multipart->parts);
    const fa_parameter *charset = fa_media_type_parameter(&type, "charset");
    if (charset != NULL)
        part->charset = charset->value;
    return FA_OK;
}

static fa_result check_encoding(const fa_multipart *multipart, const fa_part *part, fa_error *error)
{
    bool twice = false;
    fa_text encoding = header_of(part, "content-transfer-encoding", &twice);
    if (encoding.data == NULL ||
        (!twice && (fa_text_is(encoding, "binary") || fa_text_is(encoding, "8bit") || fa_text_is(encoding, "7bit"))))
        return FA_OK;
    return fa_fail(
        error, FA_UNSUPPORTED,
        "part %zu has a Content-Transfer-Encoding other than binary, 8bit or 7bit: send the bytes as they are",
        multipart->parts);
}

/* From here to the next boundary. An empty part has no line end of its own between its headers and the boundary. */
static fa_result find_end(fa_multipart *multipart, fa_part *part, fa_error *error)
{
    size_t start = multipart->at - 2; /* the empty line's end may be the one before the boundary */
    const char *end = find(from(multipart->body, start), multipart->delimiter, multipart->delimiter_length);
    if (end == NULL)
        return fa_fail(error, FA_INVALID, "part %zu has no boundary behind it: the body is cut short",
                       multipart->parts);
    size_t found = (size_t)(end - multipart->body.data);
    part->offset = multipart->at;
    part->length = found > multipart->at ? found - multipart->at : 0;
    multipart->at = found + multipart->delimiter_length;
    return end_boundary_line(multipart) ? FA_OK : bad_boundary_line(error);
}

static fa_result check_size(const fa_multipart *multipart, const fa_part *part, fa_error *error)
{
    size_t most = part->has_filename ? multipart->limits.file : multipart->limits.field;
    if (most == 0 || part->length <= most)
        return FA_OK;
    return fa_fail(error, FA_FULL, "part %zu is longer than the %zu bytes that a %s may have", multipart->parts, most,
                   part->has_filename ? "file" : "field");
}

fa_result fa_multipart_next(fa_multipart *multipart, fa_part *part, fa_error *error)
{
    if (multipart->ended)
        return FA_NOT_FOUND;
    if (++multipart->parts > multipart->limits.parts && multipart->limits.parts != 0)
        return fa_fail(error, FA_FULL, "the body has more than %zu parts", multipart->limits.parts);
    memset(part, 0, sizeof(*part));
    fa_result result = read_headers(multipart, part, error);
    if (result == FA_OK)
        result = read_disposition(multipart, part, error);
    if (result == FA_OK)
        result = read_type(multipart, part, error);
    if (result == FA_OK)
        result = check_encoding(multipart, part, error);
    if (result == FA_OK)
        result = find_end(multipart, part, error);
    return result == FA_OK ? check_size(multipart, part, error) : result;
}
