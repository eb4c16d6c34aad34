/* Reloads that are asked for from outside: on the control socket, where the answer comes when it is there and nobody else waits for it, and by a
 * signal, where nobody waits at all. */
#ifndef FA_SERVER_RELOAD_ASKED_H
#define FA_SERVER_RELOAD_ASKED_H

#include "server/reloader.h"

/* Of the control socket: a reload, or what is left on older generations, as JSON or as text. certificates: why those stay as they were, copied; NULL:
 * they do not. connection: taken over; it gets the answer from the reloader's thread. account: pays for it, and outlives the reloader.
 * FA_NO_MEMORY, FA_OVER_BUDGET: the connection is still the caller's. Thread: the control socket's. */
fa_result fa_reload_asked(fa_reloader *reloader, fa_account *account, fa_wish_kind kind, bool text,
                          const char *certificates, int connection);

/* Zeroed before the first. */
typedef struct fa_reload_soon {
    fa_reloader *reloader; /* borrowed */
    fa_reload_wish wish;
    _Atomic unsigned wished; /* how often since it was sent off; 0: it is here */
} fa_reload_soon;

/* The log says how it went. Who asks while one is under way gets another one after it. Thread: any. */
void fa_reload_ask_soon(fa_reload_soon *soon);

#endif
