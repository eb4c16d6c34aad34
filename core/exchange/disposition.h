/* Content-Disposition (RFC 6266) and Location: what goes into these headers from the outside. Pure. Thread: any. */
#ifndef FA_EXCHANGE_DISPOSITION_H
#define FA_EXCHANGE_DISPOSITION_H

#include "exchange/exchange.h"

enum { FA_DISPOSITION_SIZE = 1024, FA_LONGEST_FILE_NAME = 200 };

/* attachment; filename="..." and, for a name beyond plain ASCII, filename*=UTF-8''... (RFC 8187). Whatever could lead a
 * client astray (slashes, control characters, bytes that are no UTF-8) becomes "_"; a name above FA_LONGEST_FILE_NAME bytes
 * is cut between two characters; an empty one is "download". NUL-terminated; returns the length. */
size_t fa_disposition_write(char out[FA_DISPOSITION_SIZE], fa_text name);

typedef enum fa_location {
    FA_LOCATION_BAD,    /* not to be sent: a character that is not allowed in a URI, a scheme that is neither http nor
                            https, more than 2000 bytes */
    FA_LOCATION_OWN,    /* stays on this site: a path, a query, a fragment */
    FA_LOCATION_ANOTHER /* names a host */
} fa_location;

/* Where a Location leads. As browsers read it: "//host" and "/\host" name a host. */
fa_location fa_location_kind(fa_text location);

#endif
