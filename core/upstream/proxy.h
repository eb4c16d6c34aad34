/* A proxy gives the answer of a transfer to the client of an exchange, at the client's pace and with nobody in between: status, headers but
 * those of the hop, body. A client that reads slowly stops the transfer when its window is full.
 *
 * It lies in the request's scope. The transfer is in whatever scope it is started for: when that ends early, the client is cut. When the
 * client goes, the transfer ends.
 *
 * Thread: the worker's.
 */
#ifndef FA_UPSTREAM_PROXY_H
#define FA_UPSTREAM_PROXY_H

#include "exchange/pipe.h"
#include "upstream/upstream.h"

typedef struct fa_proxy fa_proxy;

typedef struct fa_proxy_options {
    int status;               /* instead of the upstream's; 0: that */
    const fa_header *headers; /* beside the upstream's, and instead of those of the same name; copied */
    size_t header_count;
    size_t queue; /* bytes that wait for the client */
} fa_proxy_options;

/* request: its mode and format are the proxy's own. done: from the loop, once: everything was given to the client, or failure says what went
 * wrong; begun: the answer had begun, and the client was cut. Not called when the client goes or a scope ends. On failure `error` as
 * fa_transfer_start. */
fa_result fa_proxy_start(fa_upstream *upstream, fa_scope *scope, const fa_transfer_request *request,
                         fa_exchange *exchange, const fa_proxy_options *options,
                         void (*done)(fa_transfer *transfer, bool begun, void *context), void *context,
                         fa_origin made_at, fa_transfer **transfer, fa_error *error);

#endif
