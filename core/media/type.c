/* File name extensions and what they mean on the wire. Opus files are Ogg (RFC 7845); JSON is UTF-8 by definition and
 * takes no charset (RFC 8259); every other text says that it is UTF-8, because a browser would guess. */
#include "media/media.h"

typedef struct media_type {
    const char *extension, *type;
} media_type;

static const media_type types[] = {
    /* what this server is for */
    {"gif", "image/gif"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"svg", "image/svg+xml"},
    {"mp3", "audio/mpeg"},
    {"wav", "audio/wav"},
    {"ogg", "audio/ogg"},
    {"oga", "audio/ogg"},
    {"opus", "audio/ogg; codecs=opus"},
    {"m4a", "audio/mp4"},
    {"aac", "audio/aac"},
    {"flac", "audio/flac"},
    {"mp4", "video/mp4"},
    {"m4v", "video/mp4"},
    {"webm", "video/webm"},
    {"weba", "audio/webm"},
    {"mov", "video/quicktime"},
    {"ogv", "video/ogg"},
    /* pages */
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"webmanifest", "application/manifest+json"},
    {"wasm", "application/wasm"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    /* texts and documents */
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"xml", "text/xml; charset=utf-8"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
};

const char *fa_media_type(fa_text path)
{
    size_t at = path.length;
    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        --at;
    if (at > 1 && path.data[at - 1] == '.' && path.data[at - 2] != '/') { /* ".gif" alone is a name, not an extension */
        fa_text extension = {path.data + at, path.length - at};
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
            if (fa_text_is(extension, types[i].extension))
                return types[i].type;
        }
    }
    return "application/octet-stream";
}
