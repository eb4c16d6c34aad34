/* Commands that only look (check, doctor, routes) leave nothing behind: where there is no state_dir yet they work in one that goes when
 * they have done. Left behind by root, say, it would keep a server of another user from starting. */
#ifndef FA_SERVER_BORROWED_STATE_H
#define FA_SERVER_BORROWED_STATE_H

#include "server/config.h"

typedef struct fa_borrowed_state {
    char folder[32]; /* empty: nothing is borrowed */
    char written[4096], where[300];
} fa_borrowed_state;

/* Changes state_dir when there is none and one could be made; where none can be made it stays, and whoever uses it says so. */
void fa_borrowed_state_begin(fa_borrowed_state *state, fa_config *config);

/* Removes the folder, and state_dir is what it was. */
void fa_borrowed_state_end(fa_borrowed_state *state, fa_config *config);

#endif
