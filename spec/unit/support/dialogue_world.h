/* A worker with dialogues on it, and listeners without sockets, whose streams are compared as one line of text each:
 *
 *     dialogue_world *w = dialogue_world_begin(NULL);
 *     dialogue_ask(w, NULL);
 *     fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
 *     dialogue_push(w, "words");
 *     fa_turn_finish(w->turn, FA_TURN_COMPLETED, FA_TEXT(""));
 *     assert_heard(a, "retry ping words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
 *     dialogue_world_end(w);
 *
 * An event is NAME@EPOCH.SEQ; done and complete show their status, audioChunk its chunkIndex, gap what it spans. "..." is a
 * frame that has arrived in part, "|" a stream that ended, "X" one that was cut. What is no stream shows as its status and,
 * for errors, the code: "404 unknown_dialogue". */
#ifndef FA_SUPPORT_DIALOGUE_WORLD_H
#define FA_SUPPORT_DIALOGUE_WORLD_H

#include "base/clock.h"
#include "dialogue/dialogue.h"
#include "exchange/inprocess.h"
#include "testing.h"

typedef struct dialogue_world {
    fa_failing memory;
    fa_ledger *ledger;
    fa_clock clock; /* of dialogue_world_begin_by_hand */
    bool own_ledger;
    fa_worker *worker;
    fa_scope *clients; /* owns every client */
    fa_dialogues *dialogues;
    size_t worker_bytes;          /* before anything happened */
    char id[FA_DIALOGUE_ID_SIZE]; /* of the last question's dialogue */
    fa_turn *turn;                /* of the last question; dead once it has ended */
    unsigned questions;
} dialogue_world;

/* Graces that no test lives to see, and small budgets. */
fa_dialogue_options dialogue_test_options(void);

/* options: NULL for the above. */
dialogue_world *dialogue_world_begin(const fa_dialogue_options *options);

/* The same with a clock that stands still: fa_worker_advance(w->worker, ms) moves it. */
dialogue_world *dialogue_world_begin_by_hand(const fa_dialogue_options *options);

/* Every client vanishes and every dialogue ends; then nothing may be left of them, and the worker must have what it had. */
void dialogue_world_end(dialogue_world *w);

/* The same on a ledger that may refuse: false when it could not be made. w: zeroed. End it in either case. */
bool dialogue_world_try(dialogue_world *w, fa_ledger *ledger, const fa_dialogue_options *options);
void dialogue_world_close(dialogue_world *w);

/* Nothing of a dialogue, turn, listener or request is left in the ledger. */
void assert_nothing_left(dialogue_world *w);

/* A question of its own, for the dialogue `id` or, NULL, a new one; sets w->id and w->turn. */
fa_result dialogue_try_ask(dialogue_world *w, const char *id);
void dialogue_ask(dialogue_world *w, const char *id);

typedef struct listening {
    bool follow, stepped, head;
    const char *last_event_id, *remote;
    const char *id; /* NULL: w->id */
} listening;

fa_inprocess *dialogue_listen(dialogue_world *w, listening how); /* NULL when there was no memory */

fa_result dialogue_push(dialogue_world *w, const char *event);
fa_result dialogue_push_bytes(dialogue_world *w, size_t size); /* an event "words" with so many bytes of JSON */
fa_result dialogue_push_audio(dialogue_world *w, size_t size, bool final); /* 100 ms */
void dialogue_finish(dialogue_world *w);

void dialogue_vanish(dialogue_world *w, fa_inprocess *client);

/* Turns the loop until all that is on its way has arrived. Timers that are due fire. */
void dialogue_settle(dialogue_world *w);
void dialogue_turn_loop(dialogue_world *w); /* once, with a short pause */

#define RUN_UNTIL(w, condition)                                                                                        \
    do {                                                                                                               \
        for (uint64_t start_ = fa_now_ms(); !(condition); dialogue_turn_loop(w)) {                                     \
            if (fa_now_ms() - start_ > 20000)                                                                          \
                fail_msg("not within 20 s: %s", #condition);                                                           \
        }                                                                                                              \
    } while (0)

/* The line of text that a client's answer amounts to, after the loop has settled. Valid until the next call. */
const char *dialogue_heard(dialogue_world *w, const fa_inprocess *client);

#define assert_heard(client, line) assert_string_equal(dialogue_heard(w, client), line)

bool dialogue_ended(const fa_inprocess *client);

/* "GET open-stream" in one word, for those that are only refused. */
void assert_open(dialogue_world *w, const char *id, const char *line);

#endif
