/* A media floor to test: a folder of its own under /tmp, a worker whose loop the test turns, and clients without
 * sockets. */
#ifndef FA_SUPPORT_MEDIA_WORLD_H
#define FA_SUPPORT_MEDIA_WORLD_H

#include "testing.h"

#include "exchange/inprocess.h"
#include "media/media.h"

typedef struct media_world {
    size_t server_budget; /* of the whole server; 0: none. Set it before media_world_begin */
    fa_failing memory;
    fa_ledger *ledger;
    fa_scope *server, *clients; /* what clients hold hangs from `clients` */
    fa_worker *worker;
    fa_media *media;
    fa_media_mount mount;
    char outside[64], folder[80]; /* the temporary folder, and the root in it */
    const fa_text *raw_path;      /* given to fa_media_serve instead of the exchange's path */
    fa_inprocess *last;           /* client of media_world_get */
    bool answered_at_once;        /* the last request was answered before its handler returned */
} media_world;

/* 1 MB of cache, files to 256 KB, looked at again after a minute. */
extern const fa_media_options small_cache;

void media_world_begin(media_world *world, const fa_media_options *options);
void media_world_end(media_world *world); /* fails the test when anything is left */

/* The same on a ledger of the caller's; false when there is no memory, with nothing left. */
bool media_world_begin_on(media_world *world, fa_ledger *ledger, const fa_media_options *options);
void media_world_end_on(media_world *world);

/* Writes root/name (folders in it must exist), with `size` bytes that depend on seed. Replaces by rename. */
void media_world_write(const media_world *world, const char *name, size_t size, unsigned seed);
void media_world_fill(void *to, size_t size, unsigned seed);

/* Starts a request; headers as in fa_inprocess_request. */
fa_inprocess *media_world_ask(media_world *world, const char *method, const char *target, const char *const *headers,
                              bool stepped);

/* Turns the loop until the answer has ended. */
const fa_inprocess_answer *media_world_await(media_world *world, fa_inprocess *client);

/* Both for a plain GET; frees the client of the last call. */
const fa_inprocess_answer *media_world_get(media_world *world, const char *target);

void assert_file_answer(const fa_inprocess_answer *answer, size_t size, unsigned seed);
void assert_header(const fa_inprocess *client, const char *name, const char *value);

#endif
