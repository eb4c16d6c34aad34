/* The registry: which dialogues there are, and what a question, a listener or a deletion finds. */
#include <stdio.h>
#include <string.h>

#include "base/random_id.h"
#include "dialogue/internal.h"

/* ---- making it ---- */

fa_result fa_dialogues_new_in(fa_directory *directory, fa_worker *worker, const fa_dialogue_options *options,
                              fa_adopt adopt, void *context, fa_dialogues **dialogues, fa_error *error)
{
    fa_scope *scope = fa_worker_scope(worker);
    size_t buckets = options->max_dialogues < 64 ? 64 : options->max_dialogues;
    fa_dialogues *registry = fa_scope_allocate(scope, sizeof(*registry));
    if (registry == NULL || (registry->buckets = fa_scope_allocate(scope, buckets * sizeof(fa_list))) == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for dialogues");
    registry->worker = worker;
    registry->directory = directory;
    registry->adopt = adopt;
    registry->adopt_context = context;
    registry->options = *options;
    registry->bucket_count = buckets;
    fa_list_init(&registry->lingering);
    dialogues_pressure_init(registry);
    for (size_t i = 0; i < buckets; ++i)
        fa_list_init(&registry->buckets[i]);
    *dialogues = registry;
    return FA_OK;
}

fa_result fa_dialogues_new(fa_worker *worker, const fa_dialogue_options *options, fa_dialogues **dialogues,
                           fa_error *error)
{
    fa_directory *directory = fa_directory_new(fa_worker_scope(worker), options);
    if (directory == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the dialogue tables");
    return fa_dialogues_new_in(directory, worker, options, NULL, NULL, dialogues, error);
}

fa_directory *fa_dialogues_directory(const fa_dialogues *registry)
{
    return registry->directory;
}

void fa_dialogues_end_all(fa_dialogues *registry, const char *reason)
{
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        for (fa_list *node; (node = fa_list_first(&registry->buckets[i])) != NULL;) {
            dialogue *d = FA_OBJECT(node, dialogue, in_table);
            d->ending = true;
            turn_end(d, FA_TURN_CANCELLED, reason, (fa_text){0}, NULL, -1);
            dialogue_end(d, reason, false);
        }
    }
}

void fa_dialogues_drain(fa_dialogues *registry, void (*on_empty)(void *context), void *context)
{
    registry->draining = true;
    registry->on_empty = on_empty;
    registry->on_empty_context = context;
    for (size_t i = 0; i < registry->bucket_count; ++i) {
        FA_LIST_EACH(node, &registry->buckets[i])
        dialogue_reconsider(FA_OBJECT(node, dialogue, in_table));
    }
    dialogues_tell_empty(registry);
}

void dialogues_tell_empty(fa_dialogues *registry)
{
    void (*tell)(void *) = registry->on_empty;
    if (registry->live > 0 || tell == NULL)
        return;
    registry->on_empty = NULL; /* once */
    tell(registry->on_empty_context);
}

size_t fa_dialogues_running(const fa_dialogues *registry)
{
    return registry->running;
}

size_t fa_dialogues_live(const fa_dialogues *registry)
{
    return registry->live;
}

size_t fa_dialogues_resting(const fa_dialogues *registry)
{
    return fa_directory_resting(registry->directory, fa_worker_now(registry->worker));
}

/* ---- the same question twice ---- */

typedef struct double_key {
    fa_digest digest;
    uint64_t window_ms; /* 0: this question cannot be told from another */
    bool named;         /* by an Idempotency-Key */
} double_key;

static double_key key_of(const fa_dialogues *registry, const fa_question *q)
{
    if (q->idempotency_key.length > 0) {
        const void *const parts[] = {"key", q->idempotency_key.data, q->authorization.data, q->dialogue_id.data};
        const size_t lengths[] = {3, q->idempotency_key.length, q->authorization.length, q->dialogue_id.length};
        return (double_key){fa_digest_of(parts, lengths, 4), registry->options.idempotency_window_ms, true};
    }
    const void *const parts[] = {"same", q->remote.data, q->authorization.data, q->user_agent.data, q->body.data};
    const size_t lengths[] = {4, q->remote.length, q->authorization.length, q->user_agent.length, q->body.length};
    return (double_key){fa_digest_of(parts, lengths, 5), registry->options.duplicate_window_ms, false};
}

/* ---- asking ---- */

/* Takes a resting dialogue up again: its history and its numbers go on. */
fa_result dialogue_wake_resting(fa_dialogues *registry, fa_text id, dialogue **out)
{
    char name[FA_DIALOGUE_ID_SIZE];
    uint64_t now = fa_worker_now(registry->worker);
    fa_digest digest = dialogue_digest(id);
    if (id.length >= sizeof(name) || !fa_directory_knows(registry->directory, &digest, now))
        return FA_NOT_FOUND;
    if (!fa_directory_rests(registry->directory, &digest, now))
        return FA_CONFLICT; /* somebody else has woken it just now */
    snprintf(name, sizeof(name), "%.*s", (int)id.length, id.data);
    dialogue *d;
    fa_result result = dialogue_new(registry, name, &d);
    if (result != FA_OK)
        return result;
    /* At home here from now on; what it was until now may have been ended by somebody else just before. */
    if (!fa_directory_wake(registry->directory, &digest, d->history, &d->next_seq, &d->epoch, now)) {
        dialogue_end(d, "it had ended meanwhile", false);
        return FA_NOT_FOUND;
    }
    d->claimed_seq = d->next_seq - 1;
    d->terminal_seq = d->next_seq - 1;
    d->delivered = true;
    *out = d;
    return FA_OK;
}

static fa_result find_or_make(fa_dialogues *registry, fa_text id, const char *name, dialogue **out)
{
    if (id.length == 0)
        return dialogue_new(registry, name, out);
    *out = dialogue_find(registry, id);
    return *out != NULL ? FA_OK : dialogue_wake_resting(registry, id, out);
}

static fa_result explain(fa_result result, const fa_dialogues *registry, fa_error *error)
{
    switch (result) {
    case FA_NOT_FOUND:
        return fa_fail(error, result, "There is no such dialogue.");
    case FA_CONFLICT:
        return fa_fail(error, result, "The dialogue is asked something else at this moment.");
    case FA_FULL:
        if (registry->draining)
            return fa_fail(error, result, "The server stops: it takes no more questions.");
        return fa_fail(error, result, "All %u dialogues are in use.", registry->options.max_dialogues);
    default:
        return fa_fail(error, result, "There is no memory for another dialogue now.");
    }
}

fa_result fa_dialogues_claim(fa_dialogues *registry, const fa_question *question, fa_asked *asked, fa_error *error)
{
    uint64_t now = fa_worker_now(registry->worker);
    double_key key = key_of(registry, question);
    fa_text id = question->dialogue_id;
    *asked = (fa_asked){.joined = false};
    if (id.length >= sizeof(asked->dialogue_id))
        return explain(FA_NOT_FOUND, registry, error);
    if (id.length > 0)
        memcpy(asked->dialogue_id, id.data, id.length);
    else
        fa_random_id(asked->dialogue_id, sizeof(asked->dialogue_id), "vd-", 16);
    asked->key = key.digest;
    asked->keyed = key.window_ms > 0;
    if (asked->keyed)
        asked->joined = !fa_directory_claim(registry->directory, &key.digest, !key.named, asked->dialogue_id, now,
                                            now + key.window_ms);
    return FA_OK;
}

void fa_dialogues_unclaim(fa_dialogues *registry, const fa_asked *asked)
{
    if (asked->keyed)
        fa_directory_unclaim(registry->directory, &asked->key);
}

static fa_result begin_turn(fa_dialogues *registry, const fa_question *question, fa_asked *asked)
{
    dialogue *d;
    fa_result result = find_or_make(registry, question->dialogue_id, asked->dialogue_id, &d);
    if (result != FA_OK)
        return result;
    d->ending = true; /* between two turns no grace begins */
    turn_end(d, FA_TURN_CANCELLED, "interrupted by the next question", (fa_text){0}, NULL, -1);
    dialogue_drop_older(d);
    d->ending = false;
    if ((result = turn_begin(d, question->text)) != FA_OK) {
        if (d->epoch == 0)
            dialogue_end(d, "no memory for its turn", false);
        else
            dialogue_reconsider(d);
        return result;
    }
    dialogue_reconsider(d);
    asked->turn = d->turn;
    fa_log_write(fa_worker_log(registry->worker), FA_LOG_INFO, "dialogue %s: turn %u begins", d->id, d->epoch);
    return FA_OK;
}

fa_result fa_dialogues_take_up(fa_dialogues *registry, const fa_question *question, fa_asked *asked, fa_error *error)
{
    fa_result result = FA_OVER_BUDGET;
    if (registry->draining) {
        result = FA_FULL;
    } else if (fa_directory_admit_turn(registry->directory, fa_scope_account(fa_worker_scope(registry->worker)))) {
        result = begin_turn(registry, question, asked);
        if (result != FA_OK)
            fa_directory_turn_over(registry->directory);
    }
    if (result == FA_OK)
        return FA_OK;
    if (result != FA_CONFLICT)
        fa_dialogues_unclaim(registry, asked);
    return explain(result, registry, error);
}

fa_result fa_dialogues_ask(fa_dialogues *registry, const fa_question *question, fa_asked *asked, fa_error *error)
{
    fa_result result = fa_dialogues_claim(registry, question, asked, error);
    return result != FA_OK || asked->joined ? result : fa_dialogues_take_up(registry, question, asked, error);
}

void fa_dialogues_take_back(fa_dialogues *registry, const fa_asked *asked)
{
    fa_turn *turn = asked->turn;
    dialogue *d = turn->dialogue;
    fa_dialogues_unclaim(registry, asked);
    fa_turn_finish(turn, FA_TURN_FAILED, (fa_text){0});
    if (d->epoch == 1 && d->listener_count == 0)
        dialogue_end(d, "its only question was taken back", false);
}

/* ---- listening ---- */

static void answer_no_content(fa_exchange *exchange)
{
    fa_exchange_reply(exchange, 204, &(fa_header){FA_TEXT("cache-control"), FA_TEXT("no-store")}, 1, NULL);
}

/* HEAD: as the stream would begin, without one. */
static void answer_head(fa_exchange *exchange)
{
    fa_header type = {FA_TEXT("content-type"), FA_TEXT("text/event-stream")};
    if (fa_exchange_start(exchange, 200, &type, 1, -1) == FA_OK)
        fa_exchange_send(exchange, NULL, 0, true);
}

/* Whether there is nothing to come for: the turn is over, and was read to its end by this client or, when it does not say how
 * far it read, by anybody. */
static bool is_read(dialogue *d, fa_text last_event_id)
{
    uint64_t seq;
    if (d->turn != NULL)
        return false;
    bool by_this_one = dialogue_has_sent(d, last_event_id, &seq) && seq == d->terminal_seq;
    if (by_this_one)
        dialogue_delivered(d); /* its connection was lost before we heard that all had arrived */
    return by_this_one || (d->delivered && (last_event_id.length == 0 || fa_list_empty(&d->events)));
}

listening_verdict dialogue_judge_listening(fa_dialogues *registry, fa_text id, bool follow, fa_text last_event_id,
                                           fa_text remote)
{
    uint64_t now = fa_worker_now(registry->worker);
    fa_digest digest = dialogue_digest(id);
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL && fa_directory_rests(registry->directory, &digest, now))
        return follow ? LISTEN_STREAM : LISTEN_NO_CONTENT;
    if (d == NULL)
        return fa_directory_finished(registry->directory, &digest, now) ? LISTEN_NO_CONTENT : LISTEN_UNKNOWN;
    if (!follow && is_read(d, last_event_id))
        return LISTEN_NO_CONTENT;
    return dialogue_is_full_for(d, remote) ? LISTEN_TOO_MANY : LISTEN_STREAM;
}

/* Goes to the dialogue's worker; one that follows comes to its own anew, too: only an exchange that has been moved once can later go
 * with its dialogue to another worker. False: it is as it was. */
static bool move_listener(fa_dialogues *registry, fa_dialogues *home, fa_exchange *exchange, fa_text id, bool follow)
{
    arrival *a = home->adopt != NULL ? arrival_new(registry, home, id, follow, 0) : NULL;
    return a != NULL && arrival_take(a, exchange);
}

static void attach_here(fa_dialogues *registry, fa_exchange *exchange, fa_text id, bool follow)
{
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL && registry->draining) { /* it rests, and no more questions are taken that would wake it */
        refuse_listener(exchange);
        return;
    }
    if (follow && move_listener(registry, registry, exchange, id, true))
        return;
    if (d == NULL && dialogue_wake_resting(registry, id, &d) != FA_OK)
        refuse_listener(exchange);
    else
        listener_attach(d, exchange, (entrance){follow, 0, fa_exchange_header(exchange, "last-event-id")});
}

void dialogue_answer_listening(fa_dialogues *registry, fa_dialogues *home, fa_exchange *exchange, fa_text id,
                               bool follow, listening_verdict verdict)
{
    switch (verdict) {
    case LISTEN_NO_CONTENT:
        answer_no_content(exchange);
        break;
    case LISTEN_UNKNOWN:
        fa_exchange_fail(exchange, 404, "unknown_dialogue", "There is no such dialogue.", NULL);
        break;
    case LISTEN_TOO_MANY:
        refuse_too_many(exchange);
        break;
    case LISTEN_STREAM:
        if (exchange->head_only)
            answer_head(exchange);
        else if (home == registry)
            attach_here(registry, exchange, id, follow);
        else if (!move_listener(registry, home, exchange, id, follow))
            refuse_listener(exchange);
        break;
    }
}

fa_result fa_dialogues_listen(fa_dialogues *registry, fa_exchange *exchange, fa_text id, bool follow)
{
    fa_digest digest = dialogue_digest(id);
    fa_text last_event_id = fa_exchange_header(exchange, "last-event-id");
    /* HEAD brings no listener for whom a resting dialogue could wake. */
    bool stays = follow && (!exchange->head_only || dialogue_find(registry, id) != NULL);
    listening_verdict verdict = dialogue_judge_listening(registry, id, stays, last_event_id, exchange->remote);
    if (verdict == LISTEN_UNKNOWN && fa_directory_knows(registry->directory, &digest, fa_worker_now(registry->worker)))
        return FA_CONFLICT;
    dialogue_answer_listening(registry, registry, exchange, id, follow, verdict);
    return FA_OK;
}

/* ---- ending ---- */

fa_result fa_dialogues_delete(fa_dialogues *registry, fa_text id)
{
    uint64_t now = fa_worker_now(registry->worker);
    fa_digest digest = dialogue_digest(id);
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL)
        return fa_directory_forget(registry->directory, &digest, now) ? FA_OK : FA_NOT_FOUND;
    d->ending = true;
    turn_end(d, FA_TURN_CANCELLED, "deleted", (fa_text){0}, NULL, -1);
    dialogue_end(d, "deleted", false);
    return FA_OK;
}

fa_result fa_dialogues_interrupt(fa_dialogues *registry, fa_text id, double played_ms, fa_interrupted *interrupted)
{
    fa_digest digest = dialogue_digest(id);
    dialogue *d = dialogue_find(registry, id);
    registry->heard[0] = '\0';
    *interrupted = (fa_interrupted){.heard_text = registry->heard};
    if (d == NULL)
        return fa_directory_rests(registry->directory, &digest, fa_worker_now(registry->worker)) ? FA_OK : FA_NOT_FOUND;
    turn_end(d, FA_TURN_CANCELLED, "interrupted", (fa_text){0}, interrupted, played_ms);
    return FA_OK;
}
