/* What the files of core/dialogue share. */
#ifndef FA_DIALOGUE_INTERNAL_H
#define FA_DIALOGUE_INTERNAL_H

#include "base/fixed_table.h"
#include "dialogue/directory.h"
#include "worker/timer.h"

typedef struct dialogue dialogue;
typedef struct arrival arrival; /* a listener on its way to another worker */

enum { HEARD_SIZE = 2048 };

/* One event of the log: who it is, and its framed bytes. */
typedef struct log_event {
    fa_list link;
    uint64_t seq;
    unsigned epoch;
    bool audio, terminal;
    fa_buffer *frame; /* sealed; owned by the dialogue's scope */
} log_event;

/* A listener: a client connection and its place in the log. Lives in a scope below the request's. */
typedef struct listener {
    fa_list link;       /* in dialogue.listeners */
    dialogue *dialogue; /* NULL once it only has to say farewell */
    fa_exchange *exchange;
    fa_scope *scope;
    bool follow;
    bool joined_since;    /* after the wait for the slowest began */
    unsigned epoch;       /* the turn it came for */
    uint64_t next_seq;    /* the next event it needs */
    uint64_t sent_seq;    /* the last one that is wholly in the socket */
    uint64_t planned_seq; /* what sent_seq becomes when the send under way is done */
    uint64_t end_seq;     /* its stream ends after this one; 0: not known yet */
    fa_buffer *current;   /* a frame sent in part; leased */
    size_t current_offset;
    fa_buffer *extra;       /* frames of its own (retry, ping, gap), sealed; sent before the next log_event */
    fa_buffer *farewell[2]; /* done and complete, leased; then the stream ends */
    size_t farewell_count;
    arrival *departure; /* after its farewell it goes after its dialogue; NULL: it ends */
    fa_timer ping;
    fa_scope_hook at_end;
    fa_dialogues *pressed_by; /* who dropped it to get its memory; else NULL */
    /* for the census: how fast it reads, as far as that can be told */
    bool caught_up;
    uint64_t joined_ms, behind_ms; /* fa_worker_now_exact; behind_ms: the first send after it had caught up */
    uint64_t sent_bytes, sent_bytes_then, planned_bytes; /* in the socket; at behind_ms; of the send under way */
} listener;

/* What the grace timer waits for. */
typedef enum grace { GRACE_NONE, GRACE_FIRST_LISTENER, GRACE_RECONNECT, GRACE_LINGER, GRACE_DRAIN } grace;

enum { SLOW_REMOTES = 8, MAX_REJOINS = 2 };

/* What an event costs beside its frame's bytes: a log_event and a buffer with what stands before them. */
enum { EVENT_OVERHEAD = 320 };

typedef struct slow_remote {
    fa_digest remote;
    unsigned drops;
} slow_remote;

struct dialogue {
    fa_dialogues *registry;
    fa_list in_table, in_lingering;
    fa_directory_entry entry;
    fa_scope *scope;
    char id[FA_DIALOGUE_ID_SIZE];

    /* the log */
    fa_list events;
    size_t log_bytes;         /* the frames, and what each event costs beside */
    uint64_t next_seq;        /* the number that the next event gets; the first one is 1 */
    uint64_t claimed_seq;     /* the highest that any listener has begun to send */
    uint64_t turn_seq;        /* of the first event of the current or last turn */
    uint64_t terminal_seq;    /* of the last turn's `complete`; 0 while a turn runs */
    unsigned audio_unclaimed; /* audio events that nobody has begun to send yet */

    /* the turn */
    fa_turn *turn; /* NULL between turns */
    unsigned epoch;
    bool listened;  /* somebody has opened this turn's stream */
    bool delivered; /* this turn's terminal event was written to a listener */
    fa_list waiters;
    slow_remote slow[SLOW_REMOTES];

    fa_list listeners;
    unsigned listener_count;
    fa_history *history;

    grace grace;
    fa_timer grace_timer, slow_timer;
    bool waiting_for_slow;  /* slow_timer runs */
    size_t lingering_bytes; /* what it counts for in the linger budget */
    bool ending;
};

typedef struct spoken_chunk {
    fa_list link;
    double duration_ms;
    uint64_t seq;
    size_t length;
    char text[];
} spoken_chunk;

struct fa_turn {
    dialogue *dialogue;
    fa_scope *scope;
    unsigned epoch;
    char *question;
    uint64_t started_ms, first_audio_ms;
    unsigned chunks, failed_chunks;
    size_t audio_bytes;
    double audio_ms;
    fa_buffer *answer;  /* what the history will keep; bounded by history_limit */
    log_event *ends[2]; /* done and complete, with frames that have room for them: the end can always be told */
    fa_list spoken;
    fa_timer limit;
};

struct fa_dialogues {
    fa_worker *worker;
    fa_directory *directory; /* shared by all workers */
    fa_adopt adopt;          /* NULL: it stands alone */
    void *adopt_context;
    fa_dialogue_options options;
    fa_list *buckets; /* dialogues that are at home here, by id */
    size_t bucket_count, live, running;
    fa_list lingering; /* oldest first */
    size_t linger_bytes;
    bool draining;
    void (*on_empty)(void *context);
    void *on_empty_context;
    char heard[HEARD_SIZE]; /* the last interruption's text */
    fa_pressure_level pressure;
    fa_message look_again; /* what a listener held that was dropped is free now */
    bool dropping;         /* one has been dropped and is not gone yet */
};

/* event_log.c */
fa_result dialogue_append(dialogue *d, const char *name, fa_text json);
fa_result dialogue_append_audio(dialogue *d, unsigned chunk_index, const fa_audio_chunk *chunk);
fa_result dialogue_reserve_end(dialogue *d, size_t size, log_event **event); /* an event to be written at the end */
void dialogue_append_end(dialogue *d, log_event *event);                     /* its frame is written */
log_event *dialogue_event_from(const dialogue *d, uint64_t seq); /* the first with at least this seq, or NULL */
fa_result dialogue_make_room(dialogue *d, size_t bytes);         /* FA_OK, FA_FULL, FA_INVALID */
void dialogue_drop_passed(dialogue *d);                          /* events that every listener has */
void dialogue_drop_unclaimed(dialogue *d, size_t *events, size_t *bytes); /* of the turn; gives their numbers back */
void dialogue_drop_older(dialogue *d);   /* all but terminal events that somebody may still need */
void dialogue_drop_backlog(dialogue *d); /* what nobody here waits for; without listeners all but terminal events */
bool dialogue_has_sent(const dialogue *d, fa_text event_id, uint64_t *seq); /* whether a client may know of it */
void dialogue_stop_waiting(dialogue *d);                                    /* for the slowest listener */
uint64_t dialogue_passed_seq(const dialogue *d);                            /* what the slowest listener has */
void dialogue_wake(dialogue *d);                                            /* the producer may look again */

/* join.c */

/* How a listener comes in. */
typedef struct entrance {
    bool follow;
    uint64_t next_seq; /* it comes with its dialogue from another worker and goes on here; 0: it is new */
    fa_text last_event_id;
} entrance;

enum { LISTENER_HEADERS = 3 };
extern const fa_header listener_headers[LISTENER_HEADERS];
extern const fa_text listener_come_again; /* the last words of a stream whose dialogue it did not get to */

bool dialogue_is_full_for(const dialogue *d, fa_text remote); /* 429 */
void refuse_too_many(fa_exchange *exchange);
void refuse_listener(fa_exchange *exchange); /* no memory */
/* The exchange may have been begun already, by whoever moved it here. */
void listener_attach(dialogue *d, fa_exchange *exchange, entrance how);

/* listener.c */
void listener_enter(listener *l, dialogue *d);
void listener_pump(listener *l); /* sends what it can; may end its stream */
bool listener_dropped_too_often(const dialogue *d, fa_text remote);
void listeners_pump(dialogue *d);
void listeners_turn_over(dialogue *d);   /* the turn's last seq is known */
void listeners_wait_begins(dialogue *d); /* for the slowest of those that are there now */
void listeners_drop_slowest(dialogue *d);
void listener_press_out(listener *l); /* drops it, because its memory is needed */
void listeners_farewell(dialogue *d); /* the dialogue ends: they get its last words, then their streams end */

/* turn.c */
fa_result turn_begin(dialogue *d, fa_text question);
void turn_end(dialogue *d, fa_turn_status status, const char *reason, fa_text fields, fa_interrupted *interrupted,
              double played_ms);

/* pressure.c */
void dialogues_pressure_init(fa_dialogues *registry);
void dialogues_pressed_one_is_gone(fa_dialogues *registry);
size_t dialogue_scope_budget(const fa_dialogue_options *options);

/* registry.c */
typedef enum listening_verdict { LISTEN_STREAM, LISTEN_NO_CONTENT, LISTEN_UNKNOWN, LISTEN_TOO_MANY } listening_verdict;

/* What a listener would be answered here, by whom it was brought. */
listening_verdict dialogue_judge_listening(fa_dialogues *registry, fa_text id, bool follow, fa_text last_event_id,
                                           fa_text remote);
/* Answers it by the verdict of the dialogue's home, `home`. */
void dialogue_answer_listening(fa_dialogues *registry, fa_dialogues *home, fa_exchange *exchange, fa_text id,
                               bool follow, listening_verdict verdict);
fa_result dialogue_wake_resting(fa_dialogues *registry, fa_text id, dialogue **out);
void dialogues_tell_empty(fa_dialogues *registry); /* when a drain waits for it */

/* life.c */
fa_result dialogue_new(fa_dialogues *registry, const char *id, dialogue **out);
dialogue *dialogue_find(fa_dialogues *registry, fa_text id);
void dialogue_reconsider(dialogue *d); /* which grace runs now */
void dialogue_delivered(dialogue *d);
void dialogue_end(dialogue *d, const char *reason, bool rest); /* rest: its history lives on */
void dialogue_leave(dialogue *d, const char *reason);          /* for another worker: it rests in any case */
fa_digest dialogue_digest(fa_text id);

/* migrate.c */

/* NULL: no memory. next_seq: see entrance. */
arrival *arrival_new(fa_dialogues *from, fa_dialogues *to, fa_text id, bool follow, uint64_t next_seq);
void arrival_free(arrival *a);
/* Moves the exchange; the arrival is gone in any case. False: the exchange is as it was. */
bool arrival_take(arrival *a, fa_exchange *exchange);
void dialogue_hand_over(fa_dialogues *registry, fa_text id, fa_dialogues *to);

#endif
