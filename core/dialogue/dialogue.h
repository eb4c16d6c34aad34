/* Dialogues: voice conversations of one or more turns (DESIGN.md 7; lifetimes: docs/dialogue.md).
 *
 * A dialogue owns a bounded, ordered log of events, each one sealed buffer that holds its framed SSE bytes, made once and shared
 * by all listeners. A turn is one question and its answer: the unit of interruption. Whoever produces the answer (core/script)
 * works in the turn's scope; when the turn ends, that scope ends, and all the work with it. Between turns only the history
 * remains, plain text in a table of fixed size.
 *
 * This floor knows no Lua. Thread: a fa_dialogues and everything in it belong to one worker.
 */
#ifndef FA_DIALOGUE_DIALOGUE_H
#define FA_DIALOGUE_DIALOGUE_H

#include "base/fixed_table.h"
#include "exchange/exchange.h"
#include "memory/pressure.h"

typedef struct fa_dialogues fa_dialogues;
typedef struct fa_turn fa_turn;

typedef struct fa_dialogue_options {
    uint64_t first_listener_grace_ms, reconnect_grace_ms, linger_ms;
    uint64_t history_ttl_ms, finished_ttl_ms, turn_limit_ms;
    uint64_t slow_listener_wait_ms, listener_stall_ms, ping_ms;
    uint64_t duplicate_window_ms, idempotency_window_ms;
    size_t dialogue_budget; /* bytes of the event log of one dialogue, what each event costs beside its text included */
    size_t replay_window;   /* of it, what is kept for listeners that come back though all have it; 0: all that fits */
    size_t turn_budget;     /* bytes of everything a turn works with */
    size_t linger_budget;   /* bytes of all lingering dialogues together */
    size_t listener_queue;  /* bytes on their way into one listener's socket */
    size_t history_limit;   /* bytes of one dialogue's history */
    unsigned max_dialogues, max_listeners, history_dialogues, finished_dialogues, idempotency_keys;
    unsigned lookahead; /* audio chunks that no listener has been sent yet */
} fa_dialogue_options;

enum { FA_DIALOGUE_ID_SIZE = 40, FA_MAX_CHUNKS = 2000 };

/* What the dialogues of all workers share (directory.h). options: copied. It hangs from the scope. NULL: no memory. */
typedef struct fa_directory fa_directory;
fa_directory *fa_directory_new(fa_scope *server_scope, const fa_dialogue_options *options);
size_t fa_directory_live(const fa_directory *directory);
size_t fa_directory_running(const fa_directory *directory); /* turns */
size_t fa_directory_resting(fa_directory *directory, uint64_t now);

/* Listeners, and what is asked, on their way from one worker to another: while there are any, no worker may finish. on_quiet: called, on whatever thread, each
 * time that there is none any more. Set before any worker runs. */
size_t fa_directory_travelling(const fa_directory *directory);
void fa_directory_on_quiet(fa_directory *directory, void (*on_quiet)(void *context), void *context);

/* options: copied. Everything hangs from the worker's scope. This one stands alone, with a directory of its own. */
fa_result fa_dialogues_new(fa_worker *worker, const fa_dialogue_options *options, fa_dialogues **dialogues,
                           fa_error *error);

/* One of several, each on its worker. directory: shared, outlives them. adopt: makes an exchange of this worker out of one that is moved
 * here, as fa_http_adopt does; borrowed with its context. */
typedef fa_result (*fa_adopt)(void *context, fa_moving *moving, fa_exchange **exchange);
fa_result fa_dialogues_new_in(fa_directory *directory, fa_worker *worker, const fa_dialogue_options *options,
                              fa_adopt adopt, void *context, fa_dialogues **dialogues, fa_error *error);

/* Ends every dialogue, telling its listeners. What a drain waits for: fa_dialogues_running. */
void fa_dialogues_end_all(fa_dialogues *dialogues, const char *reason);

/* Lets running turns finish and ends every dialogue as soon as it has nothing more to say. on_empty is called once, on the loop or
 * at once, when none is left; it must not free anything that a script may be using. */
void fa_dialogues_drain(fa_dialogues *dialogues, void (*on_empty)(void *context), void *context);

/* Memory runs short, or does not any more (memory/pressure.h). At its level and above:
 *   1  no dialogue comes to life: a new one, and one that rests, is FA_OVER_BUDGET. The next turn of one that lives is
 *      taken up (it replaces the turn before, and whoever is spoken with is not left in the middle)
 *   3  no replay beyond need: events that every listener has go at once, and delivered answers do not linger
 *   4  fa_turn_wants_audio says no; those who wait for it are woken when the level falls
 *   5  when it is reached, and the next: the listener with the most bytes before it is dropped, and another one when what
 *      that one held is free and the level still stands
 * Thread: the worker's. Not from within a call of this interface. */
void fa_dialogues_pressure(fa_dialogues *dialogues, fa_pressure_level level);

size_t fa_dialogues_running(const fa_dialogues *dialogues); /* turns */
size_t fa_dialogues_live(const fa_dialogues *dialogues);
size_t fa_dialogues_resting(const fa_dialogues *dialogues); /* histories between turns, of all workers */
fa_directory *fa_dialogues_directory(const fa_dialogues *dialogues);

/* ---- asking ---- */

/* One question. All texts are borrowed for the call. */
typedef struct fa_question {
    fa_text dialogue_id; /* empty: a new dialogue */
    fa_text text;        /* what the user said */
    fa_text idempotency_key, authorization, user_agent, remote;
    fa_text body; /* the request's bytes, to tell doubles */
} fa_question;

typedef struct fa_asked {
    char dialogue_id[FA_DIALOGUE_ID_SIZE];
    bool joined;   /* a double: the first one's answer is this one's */
    fa_digest key; /* by which doubles of it are known; only the dialogue floor looks at it */
    bool keyed;
    fa_turn *turn; /* the new turn; NULL when joined. Borrowed until it ends. */
} fa_asked;

/* Opens a dialogue, or the next turn of one (interrupting a running turn), or joins a double: fa_dialogues_claim and
 * fa_dialogues_take_up in one, for a dialogue that is at home here. FA_NOT_FOUND for an unknown dialogue, FA_FULL at max_dialogues and
 * while draining, FA_OVER_BUDGET, FA_NO_MEMORY. */
fa_result fa_dialogues_ask(fa_dialogues *dialogues, const fa_question *question, fa_asked *asked, fa_error *error);

/* The two halves, between which a dialogue may have to be fetched from another worker (FA_REMOTE_FETCH). claim: gives the dialogue's id,
 * or says that the question is a double. take_up: what claim gave is filled in further; FA_CONFLICT when the dialogue has gone to another
 * worker meanwhile: fetch it, and try again, or unclaim; every other failure unclaims by itself. unclaim: the question is not taken up; who asks it again is no double. */
fa_result fa_dialogues_claim(fa_dialogues *dialogues, const fa_question *question, fa_asked *asked, fa_error *error);
fa_result fa_dialogues_take_up(fa_dialogues *dialogues, const fa_question *question, fa_asked *asked, fa_error *error);
void fa_dialogues_unclaim(fa_dialogues *dialogues, const fa_asked *asked);

/* The question could not be taken up after all: its turn ends as failed, and who asks again is no double. */
void fa_dialogues_take_back(fa_dialogues *dialogues, const fa_asked *asked);

/* ---- listening and ending: dialogues that are at home here ---- */

/* Answers the exchange with the event stream of the dialogue's current turn (or, with `follow`, of all its turns): 200, 204 when
 * the turn is over and read, 404, 429. FA_CONFLICT, and nothing is answered, when it has just gone to another worker. */
fa_result fa_dialogues_listen(fa_dialogues *dialogues, fa_exchange *exchange, fa_text dialogue_id, bool follow);

/* Ends the dialogue now. FA_NOT_FOUND. */
fa_result fa_dialogues_delete(fa_dialogues *dialogues, fa_text dialogue_id);

typedef struct fa_interrupted {
    size_t dropped_events, dropped_bytes;
    double heard_ms;
    const char *heard_text; /* valid until the next call on this dialogue; never NULL */
} fa_interrupted;

/* Ends the running turn; the dialogue lives. played_ms: what the client says it has played, negative when it does not say. With
 * no turn running nothing is dropped. FA_NOT_FOUND. */
fa_result fa_dialogues_interrupt(fa_dialogues *dialogues, fa_text dialogue_id, double played_ms,
                                 fa_interrupted *interrupted);

/* ---- the same, wherever the dialogue is at home (remote.c) ---- */

typedef enum fa_remote_kind { FA_REMOTE_FETCH, FA_REMOTE_LISTEN, FA_REMOTE_DELETE, FA_REMOTE_INTERRUPT } fa_remote_kind;

typedef struct fa_remote_request {
    fa_remote_kind kind;
    fa_text dialogue_id;   /* borrowed for the call */
    fa_exchange *exchange; /* LISTEN: is answered; borrowed until done or fa_remote_cancel */
    bool follow;           /* LISTEN */
    double played_ms;      /* INTERRUPT */
} fa_remote_request;

typedef struct fa_remote fa_remote;

/* Whether the dialogue is at home on another worker: then the functions above do not find it, and these do. */
bool fa_dialogues_elsewhere(fa_dialogues *dialogues, fa_text dialogue_id);

/* Does it where the dialogue is at home, also when it changes its home meanwhile.
 *   FETCH      a running turn ends as cancelled, the dialogue rests and can be taken up here; listeners that follow come after it
 *   LISTEN     the exchange is moved to the dialogue's worker, or answered here when it is refused there
 *   DELETE, INTERRUPT  as above
 * done: from the loop, once, unless cancelled. result: FA_OK or FA_NOT_FOUND; of LISTEN always FA_OK. interrupted: borrowed for the
 * call. remote: the caller's until done. FA_NO_MEMORY, FA_OVER_BUDGET: nothing was begun. */
typedef void (*fa_remote_done)(void *context, fa_result result, const fa_interrupted *interrupted);
fa_result fa_remote_start(fa_dialogues *dialogues, const fa_remote_request *request, fa_remote_done done, void *context,
                          fa_remote **remote);

/* Whoever asked is gone: done is not called any more. What is under way elsewhere still happens. */
void fa_remote_cancel(fa_remote *remote);

/* ---- producing ---- */

typedef enum fa_turn_status { FA_TURN_COMPLETED, FA_TURN_CANCELLED, FA_TURN_FAILED, FA_TURN_EXPIRED } fa_turn_status;

fa_scope *fa_turn_scope(const fa_turn *turn);
const char *fa_turn_dialogue_id(const fa_turn *turn);
unsigned fa_turn_number(const fa_turn *turn);
const char *fa_turn_question(const fa_turn *turn);

/* The i-th entry of the history before this turn, oldest first. False when there is none. Borrowed until the turn ends. */
bool fa_turn_history(const fa_turn *turn, size_t index, const char **role, fa_text *text);

/* Adds an event. json: one line of JSON, borrowed for the call. FA_FULL: the log has no room now; wait (fa_turn_wait) and try
 * again. FA_INVALID when it can never fit; FA_NO_MEMORY, FA_OVER_BUDGET. */
fa_result fa_turn_push(fa_turn *turn, const char *event, fa_text json);

/* Adds an audioChunk. audio: sealed, borrowed for the call, NULL for a chunk that failed. fields: further members of the JSON
 * object (`"mime":"audio/wav"`), may be empty. text: what is spoken, JSON-encoded with its quotes; spoken: the same, plain; both
 * borrowed for the call. The chunk gets its chunkIndex here. Errors as above. */
typedef struct fa_audio_chunk {
    fa_buffer *audio;
    fa_text text, spoken, fields;
    double duration_ms;
    bool is_final;
} fa_audio_chunk;
fa_result fa_turn_push_audio(fa_turn *turn, const fa_audio_chunk *chunk);

/* Whether another audio chunk should be made now: less than `lookahead` of them have not yet been sent to anybody, and memory
 * is not short. */
bool fa_turn_wants_audio(const fa_turn *turn);

/* Adds to the answer that the history keeps. Cut when the history limit is reached. */
void fa_turn_said(fa_turn *turn, fa_text text);

/* Called once when something has changed that could let the producer go on. The waiter lies in the caller's object and must be
 * unlinked (fa_list_remove) when that goes first. */
typedef struct fa_turn_waiter {
    fa_list link;
    void (*wake)(struct fa_turn_waiter *waiter);
} fa_turn_waiter;
void fa_turn_wait(fa_turn *turn, fa_turn_waiter *waiter);

/* The one terminal transition: emits done and complete, then ends the turn's scope. The memory for both was got when the turn
 * began, so this never fails. fields: further members of done's JSON object, may be empty; above 16 KB, or without memory for
 * them, they are left out. The turn is dead for the caller. */
void fa_turn_finish(fa_turn *turn, fa_turn_status status, fa_text fields);

#endif
