/* Opus files are Ogg (RFC 7845); JSON is UTF-8 by definition and takes no charset (RFC 8259); every other text says that it
 * is UTF-8, because a browser would guess. What is in the table counts before what the system's file says, which knows
 * JavaScript under another name, and Ogg under none that a browser plays. */
#include "media/types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_EXTENSION = 24, MAX_FILE = 1024 * 1024 };

typedef struct media_type {
    const char *extension, *type;
} media_type;

/* In order of extension. */
static const media_type known[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"aif", "audio/aiff"},
    {"aiff", "audio/aiff"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/octet-stream"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"geojson", "application/geo+json"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"heic", "image/heic"},
    {"heif", "image/heif"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"log", "text/plain; charset=utf-8"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"markdown", "text/markdown; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"mid", "audio/midi"},
    {"midi", "audio/midi"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"mpg", "video/mpeg"},
    {"ndjson", "application/x-ndjson"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg; codecs=opus"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"srt", "application/x-subrip"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tgz", "application/gzip"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"ttc", "font/collection"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"wma", "audio/x-ms-wma"},
    {"wmv", "video/x-ms-wmv"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "text/xml; charset=utf-8"},
    {"xsl", "text/xml; charset=utf-8"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

struct fa_media_types {
    size_t count;
    media_type all[]; /* in order; into the text behind them */
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const media_type *)a)->extension, ((const media_type *)b)->extension);
}

/* ---- finding ---- */

/* In lower case; false when the name has none: ".gif" alone is a name. */
static bool extension_of(fa_text path, char extension[MAX_EXTENSION])
{
    size_t at = path.length;
    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        --at;
    if (at < 2 || path.data[at - 1] != '.' || path.data[at - 2] == '/' || path.length - at >= MAX_EXTENSION)
        return false;
    size_t length = path.length - at;
    for (size_t i = 0; i < length; ++i) {
        char c = path.data[at + i];
        extension[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    extension[length] = '\0';
    return length != 0;
}

static const char *find_in(const media_type *all, size_t count, const char *extension)
{
    media_type wanted = {extension, NULL};
    const media_type *found = count != 0 ? bsearch(&wanted, all, count, sizeof(wanted), compare) : NULL;
    return found != NULL ? found->type : NULL;
}

const char *fa_media_types_find(const fa_media_types *types, fa_text path)
{
    char extension[MAX_EXTENSION];
    const char *type = NULL;
    if (extension_of(path, extension)) {
        type = find_in(known, sizeof(known) / sizeof(known[0]), extension);
        if (type == NULL && types != NULL)
            type = find_in(types->all, types->count, extension);
    }
    return type != NULL ? type : "application/octet-stream";
}

/* ---- reading ---- */

/* A line of the file: a type, and extensions behind it. Counts them, and takes them in when `all` is there. */
static size_t take_line(char *line, media_type *all, char **text)
{
    size_t count = 0;
    char *rest = NULL, *type = strtok_r(line, " \t\r", &rest), *kept = NULL;
    if (type == NULL || *type == '#' || strchr(type, '/') == NULL)
        return 0;
    for (char *one; (one = strtok_r(NULL, " \t\r", &rest)) != NULL; ++count) {
        if (all == NULL)
            continue;
        if (kept == NULL) {
            bool plain = strncmp(type, "text/", 5) == 0;
            kept = *text;
            *text += sprintf(kept, "%s%s", type, plain ? "; charset=utf-8" : "") + 1;
        }
        all[count] = (media_type){*text, kept};
        *text += sprintf(*text, "%s", one) + 1;
    }
    return count;
}

/* All lines of a text that is destroyed by it. */
static size_t take_lines(char *from, media_type *all, char *text)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(from, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        count += take_line(line, all != NULL ? all + count : NULL, &text);
    return count;
}

/* The whole file with a NUL behind; NULL when it cannot be had. */
static char *slurp(fa_scope *scope, const char *file, size_t *length)
{
    struct stat status;
    FILE *in = fopen(file, "re");
    char *text = NULL;
    if (in != NULL && fstat(fileno(in), &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= MAX_FILE)
        text = fa_scope_allocate(scope, (size_t)status.st_size + 1);
    if (text != NULL) {
        *length = fread(text, 1, (size_t)status.st_size, in);
        text[*length] = '\0';
    }
    if (in != NULL)
        fclose(in);
    return text;
}

static fa_media_types *take_text(fa_scope *scope, char *text, char *copy, size_t length)
{
    enum { CHARSET = sizeof("; charset=utf-8") };
    memcpy(copy, text, length + 1);
    size_t count = take_lines(copy, NULL, NULL);
    fa_media_types *types =
        fa_scope_allocate(scope, sizeof(*types) + count * (sizeof(media_type) + CHARSET) + length + 1);
    if (types != NULL) {
        types->count = take_lines(text, types->all, (char *)(types->all + count));
        qsort(types->all, types->count, sizeof(media_type), compare);
    }
    return types;
}

fa_media_types *fa_media_types_read(fa_scope *scope, const char *file)
{
    size_t length = 0;
    fa_media_types *types = NULL;
    char *text = slurp(scope, file, &length), *copy = text != NULL ? fa_scope_allocate(scope, length + 1) : NULL;
    if (copy != NULL)
        types = take_text(scope, text, copy, length);
    if (copy != NULL)
        fa_scope_free(scope, copy);
    if (text != NULL)
        fa_scope_free(scope, text);
    return types;
}
