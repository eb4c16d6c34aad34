/* Where a server listens: on sockets of its own, one for each worker and address, or on those that it was handed (server/handover.h). */
#ifndef FA_SERVER_LISTENING_H
#define FA_SERVER_LISTENING_H

#include "server/runtime.h"
#include "server/sockets.h"

enum { FA_MOST_LISTENERS = 16, FA_ADDRESS_SIZE = 80 };

typedef struct fa_listening {
    fa_sockets *inherited; /* those that are taken out of it are ours; borrowed; NULL: none */
    fa_sockets sockets;    /* duplicates of all that are listened on, for a successor */
    char addresses[FA_MOST_LISTENERS][FA_ADDRESS_SIZE];
    size_t count;
} fa_listening;

/* Every address of `listen`; or, when sockets were given, those and nothing else. All that were handed over for an address are listened on: what
 * waits in one that nobody accepts from would wait for ever. Where there are fewer than workers, the rest get sockets of their own, or
 * share. Before the workers run. */
fa_result fa_listening_begin(fa_listening *listening, fa_runtime *runtime, const fa_config *config, const fa_log *log,
                             fa_error *error);

/* Closes the duplicates, or the kernel would go on accepting for us. Before the workers drain. */
void fa_listening_let_go(fa_listening *listening);

/* When the workers have ended. Harmless twice. */
void fa_listening_end(fa_listening *listening);

#endif
