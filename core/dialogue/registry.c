/* The registry: which dialogues there are, and what a question, a listener or a deletion finds. */
#include <stdio.h>
#include <string.h>

#include "base/random_id.h"
#include "dialogue/internal.h"

/* ---- making it ---- */

static bool make_tables(fa_dialogues *registry, fa_scope *scope)
{
    const fa_dialogue_options *options = &registry->options;
    void *finished = fa_scope_allocate(scope, fa_fixed_table_size(options->finished_dialogues, 0));
    void *idempotent = fa_scope_allocate(scope, fa_fixed_table_size(options->idempotency_keys, FA_DIALOGUE_ID_SIZE));
    registry->bucket_count = options->max_dialogues < 64 ? 64 : options->max_dialogues;
    registry->buckets = fa_scope_allocate(scope, registry->bucket_count * sizeof(fa_list));
    registry->resting = fa_resting_new(scope, options->history_dialogues, options->history_limit);
    if (finished == NULL || idempotent == NULL || registry->buckets == NULL || registry->resting == NULL)
        return false;
    registry->finished = fa_fixed_table_init(finished, options->finished_dialogues, 0);
    registry->idempotent = fa_fixed_table_init(idempotent, options->idempotency_keys, FA_DIALOGUE_ID_SIZE);
    for (size_t i = 0; i < registry->bucket_count; ++i)
        fa_list_init(&registry->buckets[i]);
    return true;
}

fa_result fa_dialogues_new(fa_worker *worker, const fa_dialogue_options *options, fa_dialogues **dialogues,
                           fa_error *error)
{
    fa_scope *scope = fa_worker_scope(worker);
    fa_dialogues *registry = fa_scope_allocate(scope, sizeof(*registry));
    if (registry != NULL) {
        registry->worker = worker;
        registry->options = *options;
        fa_list_init(&registry->lingering);
        dialogues_pressure_init(registry);
    }
    if (registry == NULL || !make_tables(registry, scope))
        return fa_fail(error, FA_NO_MEMORY, "no memory for the dialogue tables");
    *dialogues = registry;
    return FA_OK;
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
    return fa_resting_count(registry->resting, fa_worker_now(registry->worker));
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

/* The dialogue that the first of two equal questions opened, or NULL. A key promises the first's reply whatever became of it; a mere
 * likeness is no double of a question whose dialogue has ended since. */
static const char *first_of_double(fa_dialogues *registry, const double_key *key, uint64_t now)
{
    if (key->window_ms == 0)
        return NULL;
    const char *first = fa_fixed_table_get(registry->idempotent, &key->digest, now);
    if (first == NULL || key->named)
        return first;
    fa_text id = {first, strlen(first)};
    fa_digest digest = dialogue_digest(id);
    return dialogue_find(registry, id) != NULL || fa_resting_has(registry->resting, &digest, now) ? first : NULL;
}

/* ---- asking ---- */

/* Admission at the door: a turn that could not be given its budget beside those that run, on all workers, is refused now rather
 * than starved later (DESIGN.md 8). What dialogues and turns have already counts as theirs. */
static bool has_room_for_a_turn(fa_dialogues *registry)
{
    fa_scope *scope = fa_worker_scope(registry->worker);
    fa_ledger *ledger = fa_scope_ledger(scope);
    const fa_kind_counters *turns = fa_ledger_kind(ledger, FA_KIND_TURN),
                           *dialogues = fa_ledger_kind(ledger, FA_KIND_DIALOGUE);
    size_t needed = (turns->count + 1) * registry->options.dialogue_budget;
    size_t room = fa_account_room(fa_scope_account(scope)), of_kind = fa_ledger_room(ledger, FA_KIND_DIALOGUE);
    return (room == SIZE_MAX || room + dialogues->bytes + turns->bytes >= needed) &&
           (of_kind == SIZE_MAX || of_kind + dialogues->bytes >= needed);
}

/* Takes a resting dialogue up again: its history and its numbers go on. */
static fa_result wake_resting(fa_dialogues *registry, fa_text id, dialogue **out)
{
    char name[FA_DIALOGUE_ID_SIZE];
    uint64_t now = fa_worker_now(registry->worker);
    fa_digest digest = dialogue_digest(id);
    if (id.length >= sizeof(name) || !fa_resting_has(registry->resting, &digest, now))
        return FA_NOT_FOUND;
    snprintf(name, sizeof(name), "%.*s", (int)id.length, id.data);
    fa_result result = dialogue_new(registry, name, out);
    if (result == FA_OK) {
        dialogue *d = *out;
        fa_resting_take(registry->resting, &digest, d->history, &d->next_seq, &d->epoch, now);
        d->claimed_seq = d->next_seq - 1;
        d->terminal_seq = d->next_seq - 1;
        d->delivered = true;
    }
    return result;
}

static fa_result find_or_make(fa_dialogues *registry, fa_text id, dialogue **out)
{
    char name[FA_DIALOGUE_ID_SIZE];
    if (id.length > 0) {
        *out = dialogue_find(registry, id);
        return *out != NULL ? FA_OK : wake_resting(registry, id, out);
    }
    fa_random_id(name, sizeof(name), "vd-", 16);
    return dialogue_new(registry, name, out);
}

static fa_result explain(fa_result result, const fa_dialogues *registry, fa_error *error)
{
    switch (result) {
    case FA_NOT_FOUND:
        return fa_fail(error, result, "There is no such dialogue.");
    case FA_FULL:
        if (registry->draining)
            return fa_fail(error, result, "The server stops: it takes no more questions.");
        return fa_fail(error, result, "All %u dialogues are in use.", registry->options.max_dialogues);
    default:
        return fa_fail(error, result, "There is no memory for another dialogue now.");
    }
}

fa_result fa_dialogues_ask(fa_dialogues *registry, const fa_question *question, fa_asked *asked, fa_error *error)
{
    dialogue *d;
    uint64_t now = fa_worker_now(registry->worker);
    double_key key = key_of(registry, question);
    const char *first = first_of_double(registry, &key, now);
    *asked = (fa_asked){.joined = first != NULL};
    if (first != NULL) {
        memcpy(asked->dialogue_id, first, sizeof(asked->dialogue_id));
        return FA_OK;
    }
    fa_result result = registry->draining               ? FA_FULL
                       : !has_room_for_a_turn(registry) ? FA_OVER_BUDGET
                                                        : find_or_make(registry, question->dialogue_id, &d);
    if (result != FA_OK)
        return explain(result, registry, error);

    d->ending = true; /* between two turns no grace begins */
    turn_end(d, FA_TURN_CANCELLED, "interrupted by the next question", (fa_text){0}, NULL, -1);
    dialogue_drop_older(d);
    d->ending = false;
    if ((result = turn_begin(d, question->text)) != FA_OK) {
        if (d->epoch == 0)
            dialogue_end(d, "no memory for its turn", false);
        else
            dialogue_reconsider(d);
        return explain(result, registry, error);
    }
    dialogue_reconsider(d);
    if (key.window_ms > 0)
        memcpy(fa_fixed_table_put(registry->idempotent, &key.digest, now, now + key.window_ms), d->id, sizeof(d->id));
    memcpy(asked->dialogue_id, d->id, sizeof(d->id));
    asked->turn = d->turn;
    fa_log_write(fa_worker_log(registry->worker), FA_LOG_INFO,
                 "dialogue %s: turn %u begins; the client plays its local thinking sound (0 bytes sent)", d->id,
                 d->epoch);
    return FA_OK;
}

void fa_dialogues_take_back(fa_dialogues *registry, const fa_question *question, fa_turn *turn)
{
    dialogue *d = turn->dialogue;
    double_key key = key_of(registry, question);
    fa_fixed_table_remove(registry->idempotent, &key.digest);
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

void fa_dialogues_listen(fa_dialogues *registry, fa_exchange *exchange, fa_text id, bool follow)
{
    uint64_t now = fa_worker_now(registry->worker);
    fa_text last_event_id = fa_exchange_header(exchange, "last-event-id");
    fa_digest digest = dialogue_digest(id);
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL && fa_resting_has(registry->resting, &digest, now)) {
        if (!follow || exchange->head_only) { /* HEAD brings no listener for whom a dialogue could stay awake */
            answer_no_content(exchange);
            return;
        }
        if (wake_resting(registry, id, &d) != FA_OK) {
            fa_exchange_fail(exchange, 503, "over_budget", "There is no memory for another dialogue now.",
                             &(fa_header){FA_TEXT("retry-after"), FA_TEXT("1")});
            return;
        }
    }
    bool over =
        d == NULL ? fa_fixed_table_get(registry->finished, &digest, now) != NULL : !follow && is_read(d, last_event_id);
    if (over)
        answer_no_content(exchange);
    else if (d == NULL)
        fa_exchange_fail(exchange, 404, "unknown_dialogue", "There is no such dialogue.", NULL);
    else if (exchange->head_only)
        answer_head(exchange);
    else
        listener_attach(d, exchange, follow, last_event_id);
}

/* ---- ending ---- */

fa_result fa_dialogues_delete(fa_dialogues *registry, fa_text id)
{
    uint64_t now = fa_worker_now(registry->worker);
    fa_digest digest = dialogue_digest(id);
    dialogue *d = dialogue_find(registry, id);
    if (d == NULL) {
        if (!fa_resting_take(registry->resting, &digest, NULL, NULL, NULL, now))
            return FA_NOT_FOUND;
        fa_fixed_table_put(registry->finished, &digest, now, now + registry->options.finished_ttl_ms);
        return FA_OK;
    }
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
        return fa_resting_has(registry->resting, &digest, fa_worker_now(registry->worker)) ? FA_OK : FA_NOT_FOUND;
    turn_end(d, FA_TURN_CANCELLED, "interrupted", (fa_text){0}, interrupted, played_ms);
    return FA_OK;
}
