/* Turns: one question and its answer. Whoever produces the answer works in the turn's scope; the turn's one terminal transition
 * (turn_end) tells the listeners, keeps what was said for the history, and ends that scope. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "dialogue/internal.h"
#include "exchange/sse.h"

enum {
    MAX_DONE_FIELDS = 16 * 1024, /* done enters the log whatever its budget says */
    MAX_METRICS = 640,           /* done's own JSON: names, numbers, an id, a short reason */
    MAX_END_FRAME = MAX_METRICS + 100
};

static const char *const status_names[] = {"completed", "cancelled", "failed", "expired"};

static void on_limit(fa_timer *timer)
{
    fa_turn *turn = FA_OBJECT(timer, fa_turn, limit);
    turn_end(turn->dialogue, FA_TURN_EXPIRED, "the turn took too long", (fa_text){0}, NULL, -1);
}

/* Those who listen to the end of an older turn do not listen to this one. */
static bool has_followers(const dialogue *d)
{
    FA_LIST_EACH(node, &d->listeners)
    {
        if (FA_OBJECT(node, listener, link)->follow)
            return true;
    }
    return false;
}

static void release_ends(dialogue *d, log_event *ends[2])
{
    for (int i = 0; i < 2; ++i) {
        if (ends[i] == NULL)
            continue;
        fa_buffer_release(ends[i]->frame);
        fa_scope_free(d->scope, ends[i]);
    }
}

/* What done and complete need is got now: whatever happens to memory meanwhile, the end of the turn can be told. */
static fa_result reserve_ends(dialogue *d, log_event *ends[2])
{
    fa_result result = dialogue_reserve_end(d, MAX_END_FRAME, &ends[0]);
    return result == FA_OK ? dialogue_reserve_end(d, MAX_END_FRAME, &ends[1]) : result;
}

fa_result turn_begin(dialogue *d, fa_text question)
{
    fa_dialogues *registry = d->registry;
    fa_scope *scope;
    char label[FA_LABEL_SIZE];
    snprintf(label, sizeof(label), "turn %u of %.40s", d->epoch + 1, d->id);
    fa_result result = fa_scope_new(fa_scope_ledger(d->scope), d->scope, FA_KIND_TURN, registry->options.turn_budget,
                                    label, FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    fa_turn *turn = fa_scope_allocate(scope, sizeof(*turn));
    char *copy = fa_scope_copy_text(scope, question.data, question.length);
    if (turn == NULL || copy == NULL || fa_buffer_new(scope, 0, "answer", FA_HERE, &turn->answer) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return FA_NO_MEMORY;
    }
    fa_timer_init(&turn->limit, registry->worker, scope, on_limit);
    if ((result = fa_timer_start(&turn->limit, registry->options.turn_limit_ms)) != FA_OK) {
        fa_scope_end(scope, "no memory", NULL);
        return result;
    }
    if ((result = reserve_ends(d, turn->ends)) != FA_OK) {
        release_ends(d, turn->ends);
        fa_scope_end(scope, "no memory", NULL);
        return result;
    }
    turn->dialogue = d;
    turn->scope = scope;
    turn->question = copy;
    turn->epoch = ++d->epoch;
    turn->started_ms = fa_worker_now_exact(registry->worker);
    fa_list_init(&turn->spoken);
    d->turn = turn;
    d->turn_seq = d->next_seq;
    d->terminal_seq = 0;
    d->delivered = false;
    d->listened = has_followers(d);
    memset(d->slow, 0, sizeof(d->slow));
    registry->running++;
    return FA_OK;
}

/* ---- producing ---- */

fa_result fa_turn_push(fa_turn *turn, const char *event, fa_text json)
{
    fa_result result = dialogue_append(turn->dialogue, event, json);
    if (result == FA_OK)
        listeners_pump(turn->dialogue);
    return result;
}

static void remember_spoken(fa_turn *turn, const fa_audio_chunk *chunk)
{
    spoken_chunk *s = fa_scope_allocate(turn->scope, sizeof(*s) + chunk->spoken.length + 1);
    if (s == NULL)
        return; /* only what an interruption can say of what was heard gets shorter */
    s->duration_ms = chunk->duration_ms;
    s->seq = turn->dialogue->next_seq - 1;
    s->length = chunk->spoken.length;
    if (s->length > 0)
        memcpy(s->text, chunk->spoken.data, s->length);
    fa_list_append(&turn->spoken, &s->link);
}

fa_result fa_turn_push_audio(fa_turn *turn, const fa_audio_chunk *chunk)
{
    if (turn->chunks == FA_MAX_CHUNKS)
        return FA_INVALID;
    fa_result result = dialogue_append_audio(turn->dialogue, turn->chunks + 1, chunk);
    if (result != FA_OK)
        return result;
    turn->chunks++;
    if (chunk->audio == NULL)
        turn->failed_chunks++;
    else if (turn->first_audio_ms == 0)
        turn->first_audio_ms = fa_worker_now_exact(turn->dialogue->registry->worker);
    if (chunk->audio != NULL)
        turn->audio_bytes += fa_buffer_length(chunk->audio);
    turn->audio_ms += chunk->duration_ms;
    remember_spoken(turn, chunk);
    listeners_pump(turn->dialogue);
    return FA_OK;
}

bool fa_turn_wants_audio(const fa_turn *turn)
{
    const fa_dialogues *registry = turn->dialogue->registry;
    return registry->pressure < FA_PRESSURE_PAUSE_SPEECH &&
           turn->dialogue->audio_unclaimed < registry->options.lookahead;
}

void fa_turn_said(fa_turn *turn, fa_text text)
{
    size_t limit = turn->dialogue->registry->options.history_limit, used = fa_buffer_length(turn->answer);
    size_t length = text.length < limit - used ? text.length : limit - used;
    while (length < text.length && length > 0 && ((unsigned char)text.data[length] & 0xc0) == 0x80)
        --length; /* not inside a character */
    (void)!fa_buffer_append(turn->answer, text.data,
                            length); /* without memory the history is shorter, the answer is not */
}

void fa_turn_wait(fa_turn *turn, fa_turn_waiter *waiter)
{
    fa_list_append(&turn->dialogue->waiters, &waiter->link);
}

/* ---- the end ---- */

/* The chunks of one piece of text: the first has the text, those without one go on with it. What they last together, how much of that
 * has been sent, and the first chunk behind them, NULL at the end. */
static fa_list *measure_spoken(const fa_turn *turn, fa_list *node, double *all_ms, double *sent_ms)
{
    *all_ms = *sent_ms = 0;
    for (bool first = true; node != &turn->spoken; node = node->next, first = false) {
        const spoken_chunk *s = FA_OBJECT(node, spoken_chunk, link);
        if (s->length != 0 && !first)
            return node;
        *all_ms += s->duration_ms;
        *sent_ms += s->seq <= turn->dialogue->claimed_seq ? s->duration_ms : 0;
    }
    return NULL;
}

/* What was heard when `played_ms` of the turn's audio have been played: whole pieces, and of the last one the words up to its
 * share. */
static double heard_until(fa_turn *turn, double played_ms, char *out, size_t size)
{
    double at = 0, all_ms, sent_ms;
    size_t used = 0;
    out[0] = '\0';
    for (fa_list *node = fa_list_first(&turn->spoken), *next; node != NULL; node = next) {
        const spoken_chunk *s = FA_OBJECT(node, spoken_chunk, link);
        bool sent = s->seq <= turn->dialogue->claimed_seq;
        next = measure_spoken(turn, node, &all_ms, &sent_ms);
        if (!sent || (played_ms >= 0 && at >= played_ms))
            break;
        double heard_ms = played_ms < 0 || at + sent_ms <= played_ms ? sent_ms : played_ms - at;
        double share = all_ms > 0 ? heard_ms / all_ms : 1;
        size_t length = (size_t)((double)s->length * share);
        while (share < 1 && length > 0 && s->text[length] != ' ')
            --length;
        if (length > size - 1 - used)
            break;
        memcpy(out + used, s->text, length);
        used += length;
        out[used] = '\0';
        at += heard_ms;
        if (share < 1)
            break;
    }
    return at;
}

/* The members of done's JSON object, without its closing brace. */
static size_t write_metrics(const fa_turn *turn, fa_turn_status status, const char *reason, char json[MAX_METRICS])
{
    const dialogue *d = turn->dialogue;
    const fa_worker *worker = d->registry->worker;
    uint64_t now = fa_worker_now_exact(worker);
    uint64_t first = turn->first_audio_ms != 0 ? turn->first_audio_ms - turn->started_ms : 0;
    int used = snprintf(
        json, MAX_METRICS,
        "{\"status\":\"%s\",\"data\":\"%.100s\",\"dialogueId\":\"%s\",\"turn\":%u,\"chunks\":%u,\"failedChunks\":%u,"
        "\"processing_metrics\":{\"total_ms\":%" PRIu64 ",\"first_audio_ms\":%" PRIu64
        ",\"audio_ms\":%.0f,\"audio_bytes\":%zu},\"timestamp\":%" PRIu64,
        status_names[status], reason, d->id, turn->epoch, turn->chunks, turn->failed_chunks, now - turn->started_ms,
        first, turn->audio_ms, turn->audio_bytes, fa_worker_wall(worker));
    return (size_t)used < MAX_METRICS ? (size_t)used : MAX_METRICS - 1;
}

/* Writes one of the two frames. Its room is there, but for the fields: without memory for those it does without. */
static void write_end(const dialogue *d, fa_buffer *frame, const char *name, fa_text metrics, fa_text fields)
{
    char head[80];
    void *space;
    int used = snprintf(head, sizeof(head), "event: %s\nid: %u.%" PRIu64 "\ndata: ", name, d->epoch, d->next_seq);
    bool with_fields = fields.length > 0 && fa_buffer_reserve(frame, MAX_END_FRAME + fields.length, &space) == FA_OK;
    fa_buffer_append(frame, head, (size_t)used);
    fa_buffer_append(frame, metrics.data, metrics.length);
    if (with_fields) {
        fa_buffer_append(frame, ",", 1);
        fa_buffer_append(frame, fields.data, fields.length);
    }
    fa_buffer_append(frame, "}\n\n", 3);
}

/* done, then complete with the same data. Never fails: the memory was got when the turn began. */
static void tell_the_end(fa_turn *turn, fa_turn_status status, const char *reason, fa_text fields)
{
    static const char *const names[] = {"done", "complete"};
    dialogue *d = turn->dialogue;
    char metrics[MAX_METRICS];
    if (fields.length > MAX_DONE_FIELDS) {
        fa_log_write(fa_worker_log(d->registry->worker), FA_LOG_WARN,
                     "turn %u of dialogue %s: %zu bytes of its own for done are left out: at most %d", turn->epoch,
                     d->id, fields.length, MAX_DONE_FIELDS);
        fields.length = 0;
    }
    fa_text text = {metrics, write_metrics(turn, status, reason, metrics)};
    for (int i = 0; i < 2; ++i) {
        write_end(d, turn->ends[i]->frame, names[i], text, fields);
        dialogue_append_end(d, turn->ends[i]);
        turn->ends[i] = NULL;
    }
    d->terminal_seq = d->next_seq - 1;
    listeners_turn_over(d);
}

static void keep_history(fa_turn *turn)
{
    fa_history *history = turn->dialogue->history;
    fa_history_add(history, 'u', (fa_text){turn->question, strlen(turn->question)});
    fa_history_add(history, 'a', (fa_text){(const char *)fa_buffer_data(turn->answer), fa_buffer_length(turn->answer)});
}

static void end_scope(dialogue *d, fa_turn *turn, fa_turn_status status, const char *reason)
{
    fa_scope_summary summary = {0};
    char size[16];
    unsigned number = turn->epoch, chunks = turn->chunks;
    fa_scope_end(turn->scope, reason, &summary);
    fa_log_write(fa_worker_log(d->registry->worker), FA_LOG_INFO,
                 "turn %u of dialogue %s %s (%s): %u audio chunks; released %s in %zu buffers, %zu handles, %zu scopes",
                 number, d->id, status_names[status], reason, chunks, fa_format_size(summary.bytes, size),
                 summary.buffers, summary.handles, summary.scopes);
}

void turn_end(dialogue *d, fa_turn_status status, const char *reason, fa_text fields, fa_interrupted *interrupted,
              double played_ms)
{
    fa_turn *turn = d->turn;
    fa_interrupted mine;
    if (turn == NULL)
        return;
    d->turn = NULL; /* one terminal transition: whatever ends the scope below finds no turn */
    if (interrupted == NULL)
        interrupted = &mine;
    *interrupted = (fa_interrupted){.heard_text = d->registry->heard};
    dialogue_stop_waiting(d); /* nobody does any more */
    if (status == FA_TURN_CANCELLED || status == FA_TURN_EXPIRED) {
        interrupted->heard_ms = heard_until(turn, played_ms, d->registry->heard, sizeof(d->registry->heard));
        dialogue_drop_unclaimed(d, &interrupted->dropped_events, &interrupted->dropped_bytes);
    }
    tell_the_end(turn, status, reason, fields);
    keep_history(turn);
    d->registry->running--;
    fa_directory_turn_over(d->registry->directory);
    end_scope(d, turn, status, reason);
    listeners_pump(d);
    dialogue_reconsider(d);
}

void fa_turn_finish(fa_turn *turn, fa_turn_status status, fa_text fields)
{
    turn_end(turn->dialogue, status, status == FA_TURN_COMPLETED ? "the answer is complete" : status_names[status],
             fields, NULL, -1);
}

/* ---- asking a turn about itself ---- */

fa_scope *fa_turn_scope(const fa_turn *turn)
{
    return turn->scope;
}

const char *fa_turn_dialogue_id(const fa_turn *turn)
{
    return turn->dialogue->id;
}

unsigned fa_turn_number(const fa_turn *turn)
{
    return turn->epoch;
}

const char *fa_turn_question(const fa_turn *turn)
{
    return turn->question;
}

bool fa_turn_history(const fa_turn *turn, size_t index, const char **role, fa_text *text)
{
    char letter;
    if (!fa_history_get(turn->dialogue->history, index, &letter, text))
        return false;
    *role = letter == 'u' ? "user" : "assistant";
    return true;
}
