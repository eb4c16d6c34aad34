/* core/dialogue: one turn and those who listen to it: what they get, in what order, with which numbers. */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

static const char *body_of(const fa_inprocess *client)
{
    static char text[70000];
    const fa_buffer *body = fa_inprocess_answered(client)->body;
    size_t length = fa_buffer_length(body);
    assert_true(length < sizeof(text));
    if (length > 0)
        memcpy(text, fa_buffer_data(body), length);
    text[length] = '\0';
    return text;
}

static void assert_says(const fa_inprocess *client, const char *text)
{
    if (strstr(body_of(client), text) == NULL)
        fail_msg("nowhere in the stream: %s\n%s", text, body_of(client));
}

static void a_whole_turn_to_one_listener(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_heard(a, "retry ping");
    assert_true(fa_text_is(fa_inprocess_header(a, "content-type"), "text/event-stream"));
    assert_true(fa_text_is(fa_inprocess_header(a, "cache-control"), "no-cache"));
    assert_ok(dialogue_push(w, "words"));
    assert_heard(a, GREETING "words@1.1"); /* at once, not when the turn is over */
    assert_ok(dialogue_push_audio(w, 5, false));
    assert_ok(fa_turn_push_audio(w->turn, &(fa_audio_chunk){.text = FA_TEXT("\"lost\""), .is_final = true}));
    fa_turn_said(w->turn, FA_TEXT("said"));
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, FA_TEXT("\"own\":7"));
    assert_int_equal(fa_dialogues_running(w->dialogues), 0);
    assert_heard(a, GREETING
                 "words@1.1 audioChunk(1)@1.2 audioChunk(2!)@1.3 done(completed)@1.4 complete(completed)@1.5 |");
    assert_says(a, "retry: 500\n\n");
    assert_says(
        a,
        "event: audioChunk\nid: 1.2\ndata: {\"chunkIndex\":1,\"seq\":2,\"isFinal\":false,\"text\":\"four words of it "
        "\",\"mime\":\"audio/wav\",\"audio\":\"YWFhYWE=\"}\n\n");
    assert_says(a, "{\"chunkIndex\":2,\"seq\":3,\"isFinal\":true,\"text\":\"lost\",\"audio\":\"\",\"failed\":true}");
    assert_says(a, "\"status\":\"completed\",\"data\":\"the answer is complete\"");
    assert_says(a, "\"turn\":1,\"chunks\":2,\"failedChunks\":1,");
    assert_says(a, "\"audio_ms\":100,\"audio_bytes\":5}");
    assert_says(a, ",\"own\":7}\n\n");
    dialogue_world_end(w);
}

static void a_late_listener_gets_all_from_the_start(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    assert_ok(dialogue_push(w, "words"));
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_heard(a, GREETING "words@1.1 words@1.2");
    dialogue_finish(w);
    fa_inprocess *b = dialogue_listen(w, (listening){.follow = false}); /* a has not been heard of by the loop yet */
    assert_heard(a, GREETING "words@1.1 words@1.2 done(completed)@1.3 complete(completed)@1.4 |");
    assert_heard(b, GREETING "words@1.1 words@1.2 done(completed)@1.3 complete(completed)@1.4 |");
    assert_open(w, w->id, "204"); /* over and read */
    dialogue_world_end(w);
}

static void a_turn_that_nobody_has_heard_waits(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    dialogue_finish(w);
    dialogue_settle(w);
    assert_open(w, w->id, GREETING "words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
    assert_open(w, w->id, "204");
    dialogue_world_end(w);
}

static void a_second_turn_begins_at_its_own_start(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    dialogue_finish(w);
    dialogue_ask(w, w->id);
    assert_int_equal(fa_turn_number(w->turn), 2);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push_audio(w, 1, true)); /* chunkIndex counts per turn, seq per dialogue */
    dialogue_finish(w);
    assert_heard(a, GREETING "audioChunk(1)@2.4 done(completed)@2.5 complete(completed)@2.6 |");
    dialogue_world_end(w);
}

static void audio_is_made_a_little_ahead(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_true(fa_turn_wants_audio(w->turn));
    assert_ok(dialogue_push_audio(w, 30000, false));
    assert_true(fa_turn_wants_audio(w->turn));
    assert_ok(dialogue_push(w, "words")); /* does not count */
    assert_ok(dialogue_push_audio(w, 100, false));
    assert_false(fa_turn_wants_audio(w->turn));
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    dialogue_settle(w);
    assert_true(fa_turn_wants_audio(w->turn)); /* the first has been claimed: its first bytes are on their way */
    assert_ok(dialogue_push_audio(w, 100, false));
    assert_false(fa_turn_wants_audio(w->turn));
    fa_inprocess_take(a, SIZE_MAX);
    dialogue_settle(w);
    assert_true(fa_turn_wants_audio(w->turn));
    dialogue_world_end(w);
}

/* A waiter is called when a listener comes, takes something, or goes; once, until it waits again. */
typedef struct waiter {
    fa_turn_waiter waiter;
    unsigned woken;
} waiter;

static void on_woken(fa_turn_waiter *waiting)
{
    FA_OBJECT(waiting, waiter, waiter)->woken++;
}

static void a_producer_is_woken(void **state)
{
    waiter one = {.waiter.wake = on_woken}, other = {.waiter.wake = on_woken};
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_turn_wait(w->turn, &one.waiter);
    fa_turn_wait(w->turn, &other.waiter);
    dialogue_settle(w);
    assert_int_equal(one.woken, 0);
    fa_list_remove(&other.waiter.link); /* thought better of it */
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    dialogue_settle(w);
    assert_int_equal(one.woken, 1);
    assert_int_equal(other.woken, 0);
    fa_turn_wait(w->turn, &one.waiter);
    dialogue_vanish(w, a);
    assert_int_equal(one.woken, 2);
    dialogue_world_end(w);
}

static void a_turn_knows_its_question_and_what_was_said_before(void **state)
{
    const char *role;
    fa_text text;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_string_equal(fa_turn_question(w->turn), "question 1");
    assert_string_equal(fa_turn_dialogue_id(w->turn), w->id);
    assert_false(fa_turn_history(w->turn, 0, &role, &text));
    fa_turn_said(w->turn, FA_TEXT("one "));
    fa_turn_said(w->turn, FA_TEXT(""));
    fa_turn_said(w->turn, FA_TEXT("answer"));
    dialogue_finish(w);
    dialogue_ask(w, w->id); /* nothing said this time */
    dialogue_ask(w, w->id);
    assert_true(fa_turn_history(w->turn, 0, &role, &text));
    assert_string_equal(role, "user");
    assert_true(fa_text_is(text, "question 1"));
    assert_true(fa_turn_history(w->turn, 1, &role, &text));
    assert_string_equal(role, "assistant");
    assert_true(fa_text_is(text, "one answer"));
    assert_true(fa_turn_history(w->turn, 2, &role, &text));
    assert_string_equal(role, "user");
    assert_true(fa_text_is(text, "question 2"));
    assert_false(fa_turn_history(w->turn, 3, &role, &text));
    dialogue_world_end(w);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    assert_open(w, "vd-nobody", "404 unknown_dialogue");
    assert_open(w, "", "404 unknown_dialogue");
    assert_int_equal(dialogue_try_ask(w, "vd-nobody"), FA_NOT_FOUND);
    assert_int_equal(dialogue_try_ask(w, "an id that is longer than any that was ever given out by us"), FA_NOT_FOUND);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    dialogue_ask(w, NULL);
    assert_int_equal(dialogue_push_bytes(w, 64 * 1024), FA_INVALID); /* can never fit */
    assert_int_equal(dialogue_push_audio(w, 50000, false), FA_INVALID);
    assert_ok(dialogue_push_audio(w, 1, false)); /* and took no chunkIndex */
    assert_open(w, w->id, GREETING "audioChunk(1)@1.1");
    dialogue_world_end(w);
}

static void a_turn_has_a_cap_on_chunks(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.dialogue_budget = 1024 * 1024;
    options.turn_budget = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    fa_audio_chunk chunk = {.text = FA_TEXT("\"\"")};
    dialogue_ask(w, NULL);
    for (int i = 0; i < FA_MAX_CHUNKS; ++i)
        assert_ok(fa_turn_push_audio(w->turn, &chunk));
    assert_int_equal(fa_turn_push_audio(w->turn, &chunk), FA_INVALID);
    dialogue_world_end(w);
}

/* What a flow adds to done is not bounded by the log's budget, so it has a bound of its own. */
static void done_does_not_grow_without_bound(void **state)
{
    static char fields[40000];
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    snprintf(fields, sizeof(fields), "\"own\":\"%030000d\"", 0);
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, (fa_text){fields, strlen(fields)});
    assert_heard(a, GREETING "done(completed)@1.1 complete(completed)@1.2 |");
    assert_null(strstr(body_of(a), "own"));
    dialogue_world_end(w);
}

static void head_listens_to_nothing(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.head = true});
    assert_heard(a, "|");
    assert_true(fa_text_is(fa_inprocess_header(a, "content-type"), "text/event-stream"));
    dialogue_finish(w);
    assert_open(w, w->id, GREETING "done(completed)@1.1 complete(completed)@1.2 |"); /* HEAD was no listener */
    dialogue_world_end(w);
}

static void pings_come_while_nothing_else_does(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.ping_ms = 5;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    fa_inprocess *stuck = dialogue_listen(w, (listening){.stepped = true});
    RUN_UNTIL(w, strncmp(dialogue_heard(w, a), GREETING "ping ping", 20) == 0);
    assert_null(strstr(dialogue_heard(w, a), "@")); /* no ids */
    assert_true(fa_inprocess_waiting(stuck) < 120); /* pings do not pile up */
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_turn_to_one_listener),
        cmocka_unit_test(a_late_listener_gets_all_from_the_start),
        cmocka_unit_test(a_turn_that_nobody_has_heard_waits),
        cmocka_unit_test(a_second_turn_begins_at_its_own_start),
        cmocka_unit_test(audio_is_made_a_little_ahead),
        cmocka_unit_test(a_producer_is_woken),
        cmocka_unit_test(a_turn_knows_its_question_and_what_was_said_before),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_turn_has_a_cap_on_chunks),
        cmocka_unit_test(done_does_not_grow_without_bound),
        cmocka_unit_test(head_listens_to_nothing),
        cmocka_unit_test(pings_come_while_nothing_else_does),
    };
    return cmocka_run_group_tests_name("dialogues: a turn and its listeners", tests, NULL, NULL);
}
