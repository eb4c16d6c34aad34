/* The directory: what the dialogues of all workers of a server share. Each dialogue is at home on one worker, where all of it lies; the
 * directory tells which, and holds what outlives a home: histories between turns, ids that have ended, questions already asked.
 *
 * Everything is of a fixed size and under one lock, which is held for a look-up or a copy of one history, never while anything waits.
 * Thread: any, all of it.
 */
#ifndef FA_DIALOGUE_DIRECTORY_H
#define FA_DIALOGUE_DIRECTORY_H

#include "dialogue/dialogue.h"
#include "dialogue/history.h"

/* Lies in the dialogue. */
typedef struct fa_directory_entry {
    fa_list link;
    fa_digest id;
    fa_dialogues *home;
} fa_directory_entry;

/* A listener, or what is asked of another worker, is on its way, and has arrived: fa_directory_on_quiet. */
void fa_directory_depart(fa_directory *directory);
void fa_directory_arrive(fa_directory *directory);

/* ---- who is at home where ---- */

/* FA_CONFLICT when the id is at home somewhere already, FA_FULL at max_dialogues. */
fa_result fa_directory_enter(fa_directory *directory, fa_directory_entry *entry, const fa_digest *id,
                             fa_dialogues *home);

/* NULL: nowhere. The answer may be old by the time it is used: whoever is asked has to look again. */
fa_dialogues *fa_directory_home(fa_directory *directory, const fa_digest *id);

/* At home somewhere, or resting: looked at in one, while it may be on its way from the one to the other. */
bool fa_directory_knows(fa_directory *directory, const fa_digest *id, uint64_t now);

/* It leaves its home, and with a history it rests from this very moment on: nobody finds it in neither place. Without one (NULL) its
 * id is remembered as finished. */
void fa_directory_leave(fa_directory *directory, fa_directory_entry *entry, const fa_history *history,
                        uint64_t next_seq, unsigned epoch, uint64_t now);

/* ---- what rests, and what has ended ---- */

bool fa_directory_rests(fa_directory *directory, const fa_digest *id, uint64_t now);
/* Takes it out, into `history`. False when it is not there. */
bool fa_directory_wake(fa_directory *directory, const fa_digest *id, fa_history *history, uint64_t *next_seq,
                       unsigned *epoch, uint64_t now);
/* A resting one ends. False when there is none. */
bool fa_directory_forget(fa_directory *directory, const fa_digest *id, uint64_t now);
bool fa_directory_finished(fa_directory *directory, const fa_digest *id, uint64_t now);

/* ---- the same question twice ---- */

/* Notes that `id` is what `key` asked for, unless that was asked already: then id becomes the first one's, and the answer is false. weak:
 * a mere likeness, which is no double of a question whose dialogue has ended since. At most one of several at once gets true. */
bool fa_directory_claim(fa_directory *directory, const fa_digest *key, bool weak, char id[FA_DIALOGUE_ID_SIZE],
                        uint64_t now, uint64_t expires);
void fa_directory_unclaim(fa_directory *directory, const fa_digest *key);

/* ---- turns ---- */

/* Admission (DESIGN.md 8): counts one more running turn, unless that one could not be given its budget beside those that run. account:
 * what must have the room. */
bool fa_directory_admit_turn(fa_directory *directory, fa_account *account);
void fa_directory_turn_over(fa_directory *directory);

#endif
