#include "dialogue_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LONG = 3600 * 1000 };

fa_dialogue_options dialogue_test_options(void)
{
    return (fa_dialogue_options){
        .first_listener_grace_ms = LONG,
        .reconnect_grace_ms = LONG,
        .linger_ms = LONG,
        .history_ttl_ms = LONG,
        .finished_ttl_ms = LONG,
        .turn_limit_ms = LONG,
        .slow_listener_wait_ms = LONG,
        .listener_stall_ms = LONG,
        .ping_ms = LONG,
        .duplicate_window_ms = LONG,
        .idempotency_window_ms = LONG,
        .dialogue_budget = 64 * 1024,
        .turn_budget = 256 * 1024,
        .linger_budget = 1024 * 1024,
        .listener_queue = 16 * 1024,
        .history_limit = 1024,
        .max_dialogues = 10,
        .max_listeners = 8,
        .history_dialogues = 10,
        .finished_dialogues = 16,
        .idempotency_keys = 16,
        .lookahead = 2,
    };
}

bool dialogue_world_try(dialogue_world *w, fa_ledger *ledger, const fa_dialogue_options *options)
{
    fa_dialogue_options usual = dialogue_test_options();
    w->ledger = ledger;
    if (fa_worker_new(ledger, NULL, 0, NULL, &w->worker, NULL) != FA_OK ||
        fa_scope_new(ledger, fa_worker_scope(w->worker), FA_KIND_SCRIPT, 0, "clients", FA_HERE, &w->clients) != FA_OK ||
        fa_dialogues_new(w->worker, options != NULL ? options : &usual, &w->dialogues, NULL) != FA_OK)
        return false;
    w->worker_bytes = fa_ledger_kind(ledger, FA_KIND_WORKER)->bytes;
    return true;
}

dialogue_world *dialogue_world_begin(const fa_dialogue_options *options)
{
    dialogue_world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->own_ledger = true;
    assert_true(dialogue_world_try(w, fa_test_ledger(&w->memory), options));
    return w;
}

dialogue_world *dialogue_world_begin_by_hand(const fa_dialogue_options *options)
{
    dialogue_world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->own_ledger = true;
    fa_ledger *ledger = fa_test_ledger(&w->memory);
    fa_clock_init(&w->clock);
    fa_ledger_set_clock(ledger, &w->clock);
    assert_true(dialogue_world_try(w, ledger, options));
    return w;
}

void assert_nothing_left(dialogue_world *w)
{
    static const fa_kind kinds[] = {FA_KIND_DIALOGUE, FA_KIND_TURN, FA_KIND_LISTENER, FA_KIND_REQUEST};
    dialogue_settle(w);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        const fa_kind_counters *c = fa_ledger_kind(w->ledger, kinds[i]);
        if (c->bytes != 0 || c->count != 0) {
            fa_inventory left = {0};
            fa_ending_take(&left, w->worker);
            fa_ending_fail(&left, fa_kind_name(kinds[i]));
        }
    }
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_WORKER)->bytes, w->worker_bytes);
}

void dialogue_world_close(dialogue_world *w)
{
    if (w->dialogues != NULL) {
        fa_scope_end(w->clients, "test", NULL);
        fa_dialogues_end_all(w->dialogues, "test");
        assert_int_equal(fa_dialogues_live(w->dialogues), 0);
        assert_int_equal(fa_dialogues_running(w->dialogues), 0);
        assert_nothing_left(w);
    }
    fa_worker_free(w->worker);
}

void dialogue_world_end(dialogue_world *w)
{
    dialogue_world_close(w);
    fa_test_ledger_free(&w->memory, w->ledger);
    free(w);
}

/* ---- asking and saying ---- */

static fa_text text_of(const char *text)
{
    return (fa_text){text, text != NULL ? strlen(text) : 0};
}

fa_result dialogue_try_ask(dialogue_world *w, const char *id)
{
    char text[40];
    fa_asked asked;
    snprintf(text, sizeof(text), "question %u", ++w->questions);
    fa_question question = {.dialogue_id = text_of(id), .text = text_of(text), .body = text_of(text)};
    fa_result result = fa_dialogues_ask(w->dialogues, &question, &asked, NULL);
    if (result == FA_OK) {
        assert_false(asked.joined);
        memcpy(w->id, asked.dialogue_id, sizeof(w->id));
        w->turn = asked.turn;
    }
    return result;
}

void dialogue_ask(dialogue_world *w, const char *id)
{
    char copy[FA_DIALOGUE_ID_SIZE]; /* it may be w->id itself */
    snprintf(copy, sizeof(copy), "%s", id != NULL ? id : "");
    assert_ok(dialogue_try_ask(w, id != NULL ? copy : NULL));
}

fa_result dialogue_push(dialogue_world *w, const char *event)
{
    return fa_turn_push(w->turn, event, FA_TEXT("{}"));
}

fa_result dialogue_push_bytes(dialogue_world *w, size_t size)
{
    char *json = malloc(size + 2);
    assert_non_null(json);
    memset(json, 'x', size);
    json[0] = json[size - 1] = '"';
    fa_result result = fa_turn_push(w->turn, "words", (fa_text){json, size});
    free(json);
    return result;
}

fa_result dialogue_push_audio(dialogue_world *w, size_t size, bool final)
{
    fa_buffer *audio;
    fa_result result = fa_buffer_new(fa_turn_scope(w->turn), size, "audio", FA_HERE, &audio);
    if (result != FA_OK)
        return result;
    for (size_t i = 0; i < size; ++i)
        fa_buffer_append(audio, "a", 1);
    fa_buffer_seal(audio);
    fa_audio_chunk chunk = {
        .audio = audio,
        .text = FA_TEXT("\"four words of it \""),
        .spoken = FA_TEXT("four words of it "),
        .fields = FA_TEXT("\"mime\":\"audio/wav\""),
        .duration_ms = 100,
        .is_final = final,
    };
    result = fa_turn_push_audio(w->turn, &chunk);
    fa_buffer_release(audio);
    return result;
}

void dialogue_finish(dialogue_world *w)
{
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, (fa_text){NULL, 0});
}

/* ---- listening ---- */

typedef struct place {
    fa_dialogues *dialogues;
    const char *id;
    bool follow;
} place;

static void open_stream(fa_exchange *exchange, void *context)
{
    const place *at = context;
    fa_dialogues_listen(at->dialogues, exchange, text_of(at->id), at->follow);
}

fa_inprocess *dialogue_listen(dialogue_world *w, listening how)
{
    const char *const headers[] = {"Last-Event-ID", how.last_event_id, NULL};
    place at = {w->dialogues, how.id != NULL ? how.id : w->id, how.follow};
    fa_inprocess *client;
    fa_inprocess_request request = {
        .method = how.head ? "HEAD" : "GET",
        .target = "/open-stream",
        .headers = how.last_event_id != NULL ? headers : NULL,
        .remote = how.remote,
        .stepped = how.stepped,
    };
    fa_result result = fa_inprocess_start(w->worker, w->clients, &request, open_stream, &at, &client);
    return result == FA_OK ? client : NULL;
}

void dialogue_vanish(dialogue_world *w, fa_inprocess *client)
{
    fa_inprocess_vanish(client);
    dialogue_settle(w);
}

bool dialogue_ended(const fa_inprocess *client)
{
    return fa_inprocess_answered(client)->ended;
}

void dialogue_settle(dialogue_world *w)
{
    for (int i = 0; i < 60; ++i)
        uv_run(fa_worker_loop(w->worker), UV_RUN_NOWAIT);
}

void dialogue_turn_loop(dialogue_world *w)
{
    dialogue_settle(w);
    usleep(500);
}

/* ---- what was heard, as a line ---- */

typedef struct line {
    char text[4000];
    size_t used;
} line;

static void add(line *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(line *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (out->used > 0 && out->used < sizeof(out->text) - 1)
        out->text[out->used++] = ' ';
    out->used += (size_t)vsnprintf(out->text + out->used, sizeof(out->text) - out->used, format, arguments);
    va_end(arguments);
    assert_true(out->used < sizeof(out->text));
}

/* The value of a member of a JSON object, without quotes. */
static const char *member(const char *json, const char *name, char out[40])
{
    char quoted[40];
    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(json, quoted);
    out[0] = '\0';
    if (at != NULL) {
        at += strlen(quoted);
        at += *at == '"';
        snprintf(out, 40, "%.*s", (int)strcspn(at, "\",}"), at);
    }
    return out;
}

static void add_event(line *out, const char *frame)
{
    char name[40], id[40] = "", detail[100] = "", a[40], b[40];
    if (strncmp(frame, "retry: ", 7) == 0) {
        add(out, "retry");
        return;
    }
    assert_int_equal(sscanf(frame, "event: %39s", name), 1);
    const char *id_line = strstr(frame, "\nid: "), *data = strstr(frame, "\ndata: ");
    assert_non_null(data);
    if (id_line != NULL && id_line < data)
        snprintf(id, sizeof(id), "@%.*s", (int)strcspn(id_line + 5, "\n"), id_line + 5);
    if (strcmp(name, "done") == 0 || strcmp(name, "complete") == 0)
        snprintf(detail, sizeof(detail), "(%s)", member(data, "status", a));
    else if (strcmp(name, "audioChunk") == 0)
        snprintf(detail, sizeof(detail), "(%s%s)", member(data, "chunkIndex", a),
                 strstr(data, "\"failed\":true") ? "!" : "");
    else if (strcmp(name, "gap") == 0)
        snprintf(detail, sizeof(detail), "(%s-%s)", member(data, "from", a), member(data, "to", b));
    add(out, "%s%s%s", name, detail, id);
}

static void add_stream(line *out, char *body)
{
    for (char *end; (end = strstr(body, "\n\n")) != NULL; body = end + 2) {
        *end = '\0';
        add_event(out, body);
    }
    if (*body != '\0')
        add(out, "...");
}

const char *dialogue_heard(dialogue_world *w, const fa_inprocess *client)
{
    static line out;
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    char code[40];
    dialogue_settle(w);
    size_t length = fa_buffer_length(answer->body);
    char *body = calloc(1, length + 1);
    assert_non_null(body);
    if (length > 0)
        memcpy(body, fa_buffer_data(answer->body), length);
    out = (line){.used = 0};
    if (answer->status != 200) {
        add(&out, "%d", answer->status);
        if (answer->status >= 400)
            add(&out, "%s", member(body, "code", code));
    } else {
        add_stream(&out, body);
        if (answer->ended)
            add(&out, "%s", answer->complete ? "|" : "X");
    }
    free(body);
    return out.text;
}

void assert_open(dialogue_world *w, const char *id, const char *expected)
{
    fa_inprocess *client = dialogue_listen(w, (listening){.id = id});
    assert_string_equal(dialogue_heard(w, client), expected);
    fa_inprocess_free(client);
}
