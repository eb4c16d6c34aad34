/* File name extensions and what they mean on the wire: a table of what the web uses, and behind it what a file in the
 * format of /etc/mime.types (Debian's media-types) knows beyond. */
#ifndef FA_MEDIA_TYPES_H
#define FA_MEDIA_TYPES_H

#include "exchange/exchange.h"

typedef struct fa_media_types fa_media_types;

/* Reads such a file once; lives in `scope`. NULL when there is none, when it is above 1 MB, or without memory: the
 * table alone serves then. Blocks. */
fa_media_types *fa_media_types_read(fa_scope *scope, const char *file);

/* "image/gif" for "a/b.GIF"; "application/octet-stream" when unknown. types: may be NULL. Valid as long as it. Thread:
 * any. */
const char *fa_media_types_find(const fa_media_types *types, fa_text path);

#endif
