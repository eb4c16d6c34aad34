/* multipart/form-data: RFC 7578 in the frame of RFC 2046, read out of a body that has arrived whole. Parts are places in the body:
 * nothing is allocated, nothing is copied but names, into the caller's fa_part. Thread: any.
 *
 *     fa_multipart multipart;
 *     fa_part part;
 *     fa_result result = fa_multipart_begin(&multipart, content_type, body, &limits, &error);
 *     while (result == FA_OK && (result = fa_multipart_next(&multipart, &part, &error)) == FA_OK)
 *         ... part.name, body.data + part.offset, part.length ...
 *     // FA_NOT_FOUND: all parts have been read, and the closing boundary was there
 *
 * Strict where two readers could differ: lines end with CR LF; a boundary stands at the beginning of a line and nothing but blanks
 * behind it; each part has a Content-Disposition of form-data with a name, once; no folded header lines; no parameter twice.
 * What stands before the first and behind the last boundary is ignored, as RFC 2046 wants it. */
#ifndef FA_EXCHANGE_MULTIPART_H
#define FA_EXCHANGE_MULTIPART_H

#include "exchange/exchange.h"

enum { FA_PART_HEADERS = 16, FA_PART_NAME_SIZE = 512, FA_BOUNDARY_SIZE = 70 };

/* 0: no limit of that kind (for head: no other than FA_PART_HEADERS). */
typedef struct fa_multipart_limits {
    size_t parts;
    size_t head;  /* bytes of the headers of one part */
    size_t field; /* bytes of a part without a file name */
    size_t file;  /* bytes of a part with one */
} fa_multipart_limits;

/* A reader. */
typedef struct fa_multipart {
    fa_text body; /* borrowed */
    fa_multipart_limits limits;
    char delimiter[4 + FA_BOUNDARY_SIZE + 1]; /* CR LF "--" boundary */
    size_t delimiter_length;
    size_t at;    /* behind the boundary that was read last */
    size_t parts; /* read so far */
    bool ended;   /* that was the closing one */
} fa_multipart;

typedef struct fa_part {
    size_t offset, length;              /* of the bytes, in the body */
    fa_header headers[FA_PART_HEADERS]; /* names as they were sent; borrowed from the body */
    size_t header_count;
    /* Decoded and ending with a NUL, which is nowhere inside: \" and \\ in quotes, and %22, %0A and %0D, which is how browsers
     * write a quote and line breaks. As bytes they are the client's: a file name is no path. */
    char name[FA_PART_NAME_SIZE], filename[FA_PART_NAME_SIZE];
    size_t name_length, filename_length;
    bool has_filename; /* then it is a file; the name may be empty, as browsers send a file field that was left empty */
    fa_text type;      /* Content-Type as sent, empty when there was none */
    fa_text charset;   /* of it; empty when it says nothing */
} fa_part;

/* content_type: of the request. FA_UNSUPPORTED when it is not multipart/form-data, FA_INVALID without a proper boundary (1 to 70
 * characters of those that RFC 2046 allows) or when the body has none. */
fa_result fa_multipart_begin(fa_multipart *multipart, fa_text content_type, fa_text body,
                             const fa_multipart_limits *limits, fa_error *error);

/* The next part. FA_NOT_FOUND at the end; FA_INVALID when it is malformed (a missing closing boundary among it), FA_FULL at a limit,
 * FA_UNSUPPORTED for a part that is itself multipart and for a Content-Transfer-Encoding that would have to be decoded. error says
 * which; after anything but FA_OK nothing more can be read. */
fa_result fa_multipart_next(fa_multipart *multipart, fa_part *part, fa_error *error);

#endif
