/* core/dialogue over hours, by a clock that the test moves: eight of them with a listener that follows, a thousand interruptions, and
 * each time of INTERFACES.md to the millisecond. Whatever repeats must leave the ledger as it was. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialogue_world.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
enum { PING = 20 * SECOND, CHUNKS = 6, CHUNK = 20000, TURN_EVERY = 20 * MINUTE };

/* As fitnessally.conf.lua has them, but for a history that is full after two turns. */
static fa_dialogue_options usual_options(void)
{
    fa_dialogue_options options = dialogue_test_options();
    options.first_listener_grace_ms = 10 * SECOND;
    options.reconnect_grace_ms = 8 * SECOND;
    options.linger_ms = 8 * SECOND;
    options.history_ttl_ms = 30 * MINUTE;
    options.finished_ttl_ms = 60 * SECOND;
    options.turn_limit_ms = 5 * MINUTE;
    options.slow_listener_wait_ms = 2 * SECOND;
    options.listener_stall_ms = 20 * SECOND;
    options.ping_ms = PING;
    options.duplicate_window_ms = 250;
    options.idempotency_window_ms = 10 * MINUTE;
    options.dialogue_budget = 2 * 1024 * 1024;
    options.replay_window = 640 * 1024;
    options.turn_budget = 16 * 1024 * 1024;
    options.linger_budget = 16 * 1024 * 1024;
    options.listener_queue = 512 * 1024;
    options.history_limit = 2048;
    return options;
}

static void pass(dialogue_world *w, uint64_t ms)
{
    fa_worker_advance(w->worker, ms);
}

static fa_text id_of(const char *id)
{
    return (fa_text){id, strlen(id)};
}

/* ---- the ledger, compared ---- */

typedef struct figures {
    size_t bytes[FA_KIND_COUNT], count[FA_KIND_COUNT], in_flight[FA_KIND_COUNT];
    size_t handles, blocks, timers, heap;
} figures;

static figures read_figures(dialogue_world *w)
{
    figures f = {.handles = *fa_ledger_handles(w->ledger), .blocks = w->memory.live_blocks};
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        const fa_kind_counters *c = fa_ledger_kind(w->ledger, (fa_kind)kind);
        f.bytes[kind] = c->bytes;
        f.count[kind] = c->count;
        f.in_flight[kind] = c->in_flight_bytes;
    }
    FA_LIST_EACH(node, &w->clock.alarms)
    f.timers++;
    f.heap = mallinfo2().uordblks; /* 0 under sanitizers */
    return f;
}

static size_t difference(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* digits: bytes by which a log may differ in which there are events, because the numbers in their frames get longer. Malloc keeps
 * some freed blocks back and counts them as in use: that figure is there for what is not ours. */
static void assert_same_figures(const figures *now, const figures *then, size_t digits, unsigned round)
{
    enum { KEPT_BACK = 16 * 1024 };
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        if (difference(now->bytes[kind], then->bytes[kind]) > (kind == FA_KIND_DIALOGUE ? digits : 0) ||
            now->count[kind] != then->count[kind] || now->in_flight[kind] != then->in_flight[kind])
            fail_msg("round %u: kind %s holds %zu bytes in %zu scopes (%zu in flight), once %zu in %zu (%zu)", round,
                     fa_kind_name((fa_kind)kind), now->bytes[kind], now->count[kind], now->in_flight[kind],
                     then->bytes[kind], then->count[kind], then->in_flight[kind]);
    }
    if (now->handles != then->handles || now->blocks != then->blocks || now->timers != then->timers)
        fail_msg("round %u: %zu handles, %zu blocks, %zu timers; once %zu, %zu, %zu", round, now->handles, now->blocks,
                 now->timers, then->handles, then->blocks, then->timers);
    if (difference(now->heap, then->heap) > KEPT_BACK)
        fail_msg("round %u: malloc has %zu bytes in use, once %zu", round, now->heap, then->heap);
}

/* ---- a listener who checks all that it is told ---- */

typedef struct ear {
    fa_inprocess *client;
    uint64_t next_seq;
    unsigned epoch, chunk; /* of the last event */
    unsigned events, audio, done, complete, pings;
    uint64_t pinged_ms; /* by the wall clock */
} ear;

static uint64_t number_after(const char *frame, const char *name)
{
    const char *at = strstr(frame, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

static void hear_ping(ear *e, const char *frame)
{
    uint64_t at_ms = number_after(frame, "\"timestamp\":");
    if (e->pings++ > 0)
        assert_int_equal(at_ms - e->pinged_ms, PING);
    e->pinged_ms = at_ms;
}

static void hear_event(ear *e, const char *frame, const char *name)
{
    unsigned epoch = (unsigned)number_after(frame, "\nid: ");
    char place[24];
    snprintf(place, sizeof(place), "\nid: %u.", epoch);
    assert_int_equal(number_after(frame, place), e->next_seq);
    e->next_seq++;
    e->events++;
    assert_true(epoch == e->epoch || epoch == e->epoch + 1);
    if (epoch != e->epoch)
        e->chunk = 0;
    e->epoch = epoch;
    if (strcmp(name, "audioChunk") == 0) {
        assert_int_equal(number_after(frame, "\"chunkIndex\":"), ++e->chunk);
        assert_true(strlen(frame) > CHUNK * 4 / 3);
        e->audio++;
    }
    e->done += strcmp(name, "done") == 0;
    e->complete += strcmp(name, "complete") == 0;
}

static void hear_frame(ear *e, const char *frame)
{
    char name[40];
    if (strncmp(frame, "retry: ", 7) == 0)
        return;
    assert_int_equal(sscanf(frame, "event: %39s", name), 1);
    assert_string_not_equal(name, "gap");
    if (strcmp(name, "ping") == 0)
        hear_ping(e, frame);
    else
        hear_event(e, frame, name);
}

/* Reads what has come, whole frames all of it, and lets go of it. */
static void hear(ear *e)
{
    const fa_inprocess_answer *answer = fa_inprocess_answered(e->client);
    size_t length = fa_buffer_length(answer->body);
    assert_false(answer->ended);
    assert_int_equal(answer->status, 200);
    if (length == 0)
        return;
    char *body = malloc(length + 1), *at = body;
    assert_non_null(body);
    memcpy(body, fa_buffer_data(answer->body), length);
    body[length] = '\0';
    for (char *end; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
        *end = '\0';
        hear_frame(e, at);
    }
    assert_string_equal(at, "");
    free(body);
    assert_ok(fa_inprocess_forget_body(e->client));
}

/* ---- turns ---- */

/* Six pieces of audio two seconds apart, and words of a length that fills the history. */
static void say_something(dialogue_world *w, unsigned chunks)
{
    char answer[1200];
    memset(answer, 'w', sizeof(answer));
    assert_ok(dialogue_push(w, "textChunk"));
    fa_turn_said(w->turn, (fa_text){answer, sizeof(answer)});
    for (unsigned i = 1; i <= chunks; ++i) {
        assert_ok(dialogue_push_audio(w, CHUNK, i == CHUNKS));
        pass(w, 2 * SECOND);
    }
}

/* Others come and go meanwhile, so that every grace and every expiry has something to do: one whom nobody hears, one that is read and
 * rests, one that is left in the middle. */
static void others_come_by(dialogue_world *w)
{
    fa_inprocess *client;
    char unheard[FA_DIALOGUE_ID_SIZE];
    dialogue_ask(w, NULL);
    memcpy(unheard, w->id, sizeof(unheard));
    say_something(w, 2);

    dialogue_ask(w, NULL);
    client = dialogue_listen(w, (listening){.follow = false});
    say_something(w, 1);
    dialogue_finish(w);
    pass(w, 0);
    assert_true(dialogue_ended(client));
    fa_inprocess_free(client);

    dialogue_ask(w, NULL);
    client = dialogue_listen(w, (listening){.follow = false});
    say_something(w, 1);
    fa_inprocess_vanish(client);
    fa_inprocess_free(client);
    pass(w, 10 * SECOND);
    assert_open(w, unheard, "204");
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
}

static void eight_hours_with_one_listener(void **state)
{
    (void)state;
    enum { TURNS = 8 * HOUR / TURN_EVERY, WARM_UP = 3 };
    fa_dialogue_options options = usual_options();
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    char id[FA_DIALOGUE_ID_SIZE];
    figures warm = {0};
    ear e = {.next_seq = 1};
    uint64_t began_ms = fa_worker_now(w->worker);
    for (unsigned turn = 1; turn <= WARM_UP + TURNS; ++turn) {
        uint64_t turn_began_ms = fa_worker_now(w->worker);
        dialogue_ask(w, turn == 1 ? NULL : id);
        if (turn == 1) {
            memcpy(id, w->id, sizeof(id));
            e.client = dialogue_listen(w, (listening){.follow = true});
        }
        say_something(w, CHUNKS);
        dialogue_finish(w);
        others_come_by(w);
        pass(w, turn_began_ms + TURN_EVERY - 1 - fa_worker_now(w->worker));

        hear(&e);
        assert_int_equal(e.epoch, turn);
        assert_int_equal(e.events, turn * (1 + CHUNKS + 2));
        assert_int_equal(e.audio, turn * CHUNKS);
        assert_int_equal(e.done, turn);
        assert_int_equal(e.complete, turn);
        assert_int_equal(e.pings, turn * (TURN_EVERY / PING)); /* the first one greets */
        assert_int_equal(fa_dialogues_live(w->dialogues), 1);
        assert_int_equal(fa_dialogues_resting(w->dialogues), 2); /* those of this turn */
        figures now = read_figures(w);
        if (turn == WARM_UP)
            warm = now;
        else if (turn > WARM_UP)
            assert_same_figures(&now, &warm, 0, turn);
        pass(w, 1);
    }
    assert_int_equal(fa_worker_now(w->worker) - began_ms, (WARM_UP + TURNS) * (uint64_t)TURN_EVERY);
    pass(w, 8 * HOUR);
    hear(&e);
    assert_int_equal(e.pings, 1 + (WARM_UP * TURN_EVERY + 16 * HOUR) / PING);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 0);
    dialogue_vanish(w, e.client);
    pass(w, 8 * SECOND);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    assert_nothing_left(w);
    dialogue_world_end(w);
}

/* ---- interruptions ---- */

static void a_thousand_interruptions(void **state)
{
    (void)state;
    enum { ROUNDS = 1000, WARM_UP = 8, CASES = 4, DIGITS = 128 };
    fa_dialogue_options options = usual_options();
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    char id[FA_DIALOGUE_ID_SIZE];
    figures warm[CASES] = {0};
    ear e = {.next_seq = 1};
    w->questions = 10000; /* the number is in their text: all of one length */
    for (unsigned round = 1; round <= WARM_UP + ROUNDS; ++round) {
        bool by_question = round % 2 == 1; /* the next one; else by its own call */
        fa_interrupted interrupted;
        dialogue_ask(w, round == 1 ? NULL : id);
        if (round == 1) {
            memcpy(id, w->id, sizeof(id));
            e.client = dialogue_listen(w, (listening){.follow = true});
        }
        say_something(w, 2);
        assert_int_equal(fa_dialogues_running(w->dialogues), 1);
        if (!by_question) {
            assert_ok(fa_dialogues_interrupt(w->dialogues, id_of(id), 150, &interrupted));
            assert_string_equal(interrupted.heard_text, "four words of it four");
            assert_int_equal(fa_dialogues_running(w->dialogues), 0);
        }
        pass(w, round % CASES == 2 ? 9 * SECOND
                                   : SECOND); /* once in four rounds long enough for all that was said to go */
        hear(&e);
        assert_int_equal(e.epoch, round);
        assert_int_equal(e.audio, round * 2);
        assert_int_equal(e.done, by_question ? round - 1 : round);
        assert_int_equal(e.complete, e.done);
        figures now = read_figures(w), *then = &warm[round % CASES];
        if (round <= WARM_UP)
            *then = now;
        else
            assert_same_figures(&now, then, round % CASES == 2 ? 0 : DIGITS, round);
    }
    dialogue_vanish(w, e.client);
    pass(w, 8 * SECOND);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    assert_nothing_left(w);
    dialogue_world_end(w);
}

/* ---- times, to the millisecond ---- */

/* A turn read to its end, after which its dialogue lingers. */
static void read_a_turn(dialogue_world *w)
{
    fa_inprocess *client = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w);
    pass(w, 0);
    assert_true(dialogue_ended(client));
    fa_inprocess_free(client);
}

static void a_history_lives_for_half_an_hour(void **state)
{
    (void)state;
    fa_dialogue_options options = usual_options();
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    dialogue_ask(w, NULL);
    read_a_turn(w);
    pass(w, 8 * SECOND - 1);
    assert_int_equal(fa_dialogues_live(w->dialogues), 1); /* it lingers */
    pass(w, 1);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    pass(w, 30 * MINUTE - 1);
    assert_open(w, w->id, "204");
    dialogue_ask(w, w->id); /* the last moment: it is awake, and is given half an hour anew */
    assert_int_equal(fa_turn_number(w->turn), 2);
    read_a_turn(w);
    pass(w, 8 * SECOND + 30 * MINUTE - 1);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    pass(w, 1);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 0);
    assert_open(w, w->id, "404 unknown_dialogue");
    assert_int_equal(dialogue_try_ask(w, w->id), FA_NOT_FOUND);
    dialogue_world_end(w);
}

static void a_turn_has_five_minutes(void **state)
{
    (void)state;
    fa_dialogue_options options = usual_options();
    options.ping_ms = HOUR;
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *client = dialogue_listen(w, (listening){.follow = false});
    pass(w, 5 * MINUTE - 1);
    assert_heard(client, "retry ping");
    pass(w, 1);
    assert_heard(client, "retry ping done(expired)@1.1 complete(expired)@1.2 |");
    dialogue_world_end(w);
}

static void the_graces(void **state)
{
    (void)state;
    fa_dialogue_options options = usual_options();
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    dialogue_ask(w, NULL); /* nobody comes */
    pass(w, 10 * SECOND - 1);
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    pass(w, 1);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    pass(w, 60 * SECOND - 1); /* then it is known to have ended */
    assert_open(w, w->id, "204");
    pass(w, 1);
    assert_open(w, w->id, "404 unknown_dialogue");

    dialogue_ask(w, NULL); /* they leave, and come back in time, and leave */
    for (int i = 0; i < 2; ++i) {
        dialogue_vanish(w, dialogue_listen(w, (listening){.follow = false}));
        pass(w, 8 * SECOND - 1);
        assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    }
    pass(w, 1);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    dialogue_world_end(w);
}

static void a_slow_listener_is_waited_for(void **state)
{
    (void)state;
    fa_dialogue_options options = usual_options();
    options.dialogue_budget = 64 * 1024;
    dialogue_world *w = dialogue_world_begin_by_hand(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true});
    fa_inprocess *fast = dialogue_listen(w, (listening){.follow = false});
    pass(w, 0);
    for (int i = 0; i < 2; ++i)
        assert_ok(dialogue_push_bytes(w, 25000));
    assert_int_equal(dialogue_push_bytes(w, 25000), FA_FULL);
    pass(w, 2 * SECOND - 1);
    assert_false(dialogue_ended(slow));
    assert_int_equal(dialogue_push_bytes(w, 25000), FA_FULL);
    pass(w, 1);
    assert_true(dialogue_ended(slow));
    assert_false(dialogue_ended(fast));
    assert_ok(dialogue_push_bytes(w, 25000));
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_hours_with_one_listener),
        cmocka_unit_test(a_thousand_interruptions),
        cmocka_unit_test(a_history_lives_for_half_an_hour),
        cmocka_unit_test(a_turn_has_five_minutes),
        cmocka_unit_test(the_graces),
        cmocka_unit_test(a_slow_listener_is_waited_for),
    };
    return cmocka_run_group_tests_name("dialogues: hours of them", tests, NULL, NULL);
}
