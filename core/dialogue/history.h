/* Histories: what was said, as plain text in packed buffers of a bounded size, and the table where they rest between turns.
 *
 * Entries are dropped oldest first when a history is full; a single text longer than half of it is cut. Thread: the worker's.
 */
#ifndef FA_DIALOGUE_HISTORY_H
#define FA_DIALOGUE_HISTORY_H

#include "base/fixed_table.h"
#include "exchange/exchange.h"

typedef struct fa_history fa_history;

/* limit: bytes. In memory of the scope. NULL: no memory. */
fa_history *fa_history_new(fa_scope *scope, size_t limit);

/* role: 'u' or 'a'. */
void fa_history_add(fa_history *history, char role, fa_text text);

/* Entry `index`, oldest first; false when there is none. Borrowed until the next add. */
bool fa_history_get(const fa_history *history, size_t index, char *role, fa_text *text);

/* The resting table: `places` histories of `limit` bytes each; its memory is taken once and never grows. When it is full the
 * one that would expire first goes. */
typedef struct fa_resting fa_resting;
fa_resting *fa_resting_new(fa_scope *scope, size_t places, size_t limit);
void fa_resting_put(fa_resting *resting, const fa_digest *id, const fa_history *history, uint64_t next_seq,
                    unsigned epoch, uint64_t now, uint64_t expires);
bool fa_resting_has(fa_resting *resting, const fa_digest *id, uint64_t now);
/* Takes it out, into `history`. False when it is not there. */
bool fa_resting_take(fa_resting *resting, const fa_digest *id, fa_history *history, uint64_t *next_seq, unsigned *epoch,
                     uint64_t now);
size_t fa_resting_count(fa_resting *resting, uint64_t now);

#endif
