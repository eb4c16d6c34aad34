/* core/dialogue: turns that end early: interrupted, asked over, deleted, expired, failed. Each tells its end once. */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

static fa_text id_of(const dialogue_world *w)
{
    return (fa_text){w->id, strlen(w->id)};
}

static fa_interrupted interrupt(dialogue_world *w, double played_ms)
{
    fa_interrupted what;
    assert_ok(fa_dialogues_interrupt(w->dialogues, id_of(w), played_ms, &what));
    return what;
}

static void an_interruption_drops_what_nobody_has_begun_to_get(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    dialogue_settle(w); /* its greeting is on its way, and nothing else is claimed */
    assert_ok(dialogue_push_audio(w, 300, false));
    fa_inprocess_take(a, 100);
    dialogue_settle(w); /* now the first chunk is */
    assert_ok(dialogue_push_audio(w, 300, false));
    assert_ok(dialogue_push(w, "words"));
    fa_interrupted what = interrupt(w, -1);
    assert_int_equal(what.dropped_events, 2);
    assert_in_range(what.dropped_bytes, 500, 700);
    assert_int_equal((int)what.heard_ms, 100);
    assert_string_equal(what.heard_text, "four words of it ");
    fa_inprocess_take(a, SIZE_MAX);
    assert_heard(a, GREETING
                 "audioChunk(1)@1.1 done(cancelled)@1.2 complete(cancelled)@1.3 |"); /* no hole in the numbers */
    what = interrupt(w, -1);                                                         /* again: there is no turn */
    assert_int_equal(what.dropped_events, 0);
    assert_string_equal(what.heard_text, "");
    dialogue_world_end(w);
}

static void what_was_heard_goes_by_what_was_played(void **state)
{
    static const struct {
        double played_ms;
        int heard_ms;
        const char *text;
    } cases[] = {
        {0, 0, ""},
        {100, 100, "four words of it "},
        {165, 165, "four words of it four words"}, /* whole words */
        {101, 101, "four words of it "},
        {199, 199, "four words of it four words of it"},
        {5000, 300, "four words of it four words of it four words of it "},
        {-1, 300, "four words of it four words of it four words of it "},
    };
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        dialogue_ask(w, NULL);
        fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
        for (int n = 0; n < 3; ++n)
            assert_ok(dialogue_push_audio(w, 10, false));
        dialogue_settle(w);
        fa_interrupted what = interrupt(w, cases[i].played_ms);
        assert_int_equal((int)what.heard_ms, cases[i].heard_ms);
        assert_string_equal(what.heard_text, cases[i].text);
        assert_int_equal(what.dropped_events, 0);
        fa_inprocess_free(a);
        assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    }
    dialogue_world_end(w);
}

/* A sentence that is spoken in several chunks: only the first has its words, and its time is that of all. */
static void what_was_heard_of_a_sentence_goes_by_all_of_its_chunks(void **state)
{
    static const struct {
        double played_ms;
        int heard_ms;
        const char *text;
    } cases[] = {
        {90, 90, "four"},
        {250, 250, "four words of"},
        {300, 300, "four words of it "},
        {360, 360, "four words of it four words"},
        {5000, 400, "four words of it four words of it "},
        {-1, 400, "four words of it four words of it "},
    };
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        dialogue_ask(w, NULL);
        fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
        assert_ok(dialogue_push_audio(w, 10, false));
        for (int n = 0; n < 2; ++n)
            assert_ok(fa_turn_push_audio(w->turn, &(fa_audio_chunk){.text = FA_TEXT("\"\""), .duration_ms = 100}));
        assert_ok(dialogue_push_audio(w, 10, false));
        dialogue_settle(w);
        fa_interrupted what = interrupt(w, cases[i].played_ms);
        assert_int_equal((int)what.heard_ms, cases[i].heard_ms);
        assert_string_equal(what.heard_text, cases[i].text);
        fa_inprocess_free(a);
        assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    }
    dialogue_world_end(w);
}

static void chunks_without_length_or_text_do_no_harm(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    dialogue_listen(w, (listening){.follow = false});
    for (int n = 0; n < 3; ++n)
        assert_ok(fa_turn_push_audio(w->turn, &(fa_audio_chunk){.text = FA_TEXT("\"\"")}));
    assert_ok(fa_turn_push_audio(w->turn, &(fa_audio_chunk){.text = FA_TEXT("\"\""), .duration_ms = 10}));
    dialogue_settle(w);
    fa_interrupted what = interrupt(w, 5);
    assert_int_equal((int)what.heard_ms, 5);
    assert_string_equal(what.heard_text, "");
    dialogue_world_end(w);
}

static void the_next_question_interrupts(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false}),
                 *f = dialogue_listen(w, (listening){.follow = true});
    assert_ok(dialogue_push(w, "words"));
    dialogue_settle(w);
    dialogue_ask(w, w->id);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    fa_inprocess *b = dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push_audio(w, 10, true));
    assert_heard(a, GREETING "words@1.1 done(cancelled)@1.2 complete(cancelled)@1.3 |");
    assert_heard(b, GREETING "audioChunk(1)@2.4");
    dialogue_finish(w);
    assert_heard(b, GREETING "audioChunk(1)@2.4 done(completed)@2.5 complete(completed)@2.6 |");
    assert_heard(f, GREETING "words@1.1 done(cancelled)@1.2 complete(cancelled)@1.3 "
                             "audioChunk(1)@2.4 done(completed)@2.5 complete(completed)@2.6");
    assert_open(w, w->id, "204");
    dialogue_ask(w, w->id); /* after a turn that ended by itself nothing is cancelled */
    assert_ok(dialogue_push(w, "words"));
    assert_heard(f, GREETING "words@1.1 done(cancelled)@1.2 complete(cancelled)@1.3 "
                             "audioChunk(1)@2.4 done(completed)@2.5 complete(completed)@2.6 words@3.7");
    dialogue_world_end(w);
}

/* What was on its way to a slow listener is finished; it is told its end, and not the next turn's beginning. */
static void a_slow_listener_gets_the_rest_of_its_frame(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true}),
                 *f = dialogue_listen(w, (listening){.stepped = true, .follow = true});
    assert_ok(dialogue_push_bytes(w, 5000));
    assert_ok(dialogue_push_bytes(w, 100));
    fa_inprocess_take(a, 1000);
    fa_inprocess_take(f, 1000);
    assert_heard(a, GREETING "...");
    dialogue_ask(w, w->id);
    assert_ok(dialogue_push(w, "words"));
    fa_inprocess_take(a, SIZE_MAX);
    fa_inprocess_take(f, SIZE_MAX);
    assert_heard(a, GREETING "words@1.1 words@1.2 done(cancelled)@1.3 complete(cancelled)@1.4 |");
    assert_heard(f, GREETING "words@1.1 words@1.2 done(cancelled)@1.3 complete(cancelled)@1.4 words@2.5");
    dialogue_world_end(w);
}

/* Frames that one listener has begun to get and another has not: for that one they are gone, and it is told so. */
static void who_was_behind_is_told_of_the_gap(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.listener_queue = 4096;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *fast = dialogue_listen(w, (listening){.follow = false}),
                 *slow = dialogue_listen(w, (listening){.stepped = true});
    for (int i = 0; i < 4; ++i)
        assert_ok(dialogue_push_bytes(w, 3000));
    dialogue_settle(w);
    fa_inprocess_take(slow, 1000);
    dialogue_settle(w);
    dialogue_ask(w, w->id);
    fa_inprocess_take(slow, SIZE_MAX);
    assert_heard(fast,
                 GREETING "words@1.1 words@1.2 words@1.3 words@1.4 done(cancelled)@1.5 complete(cancelled)@1.6 |");
    assert_heard(slow, GREETING "words@1.1 words@1.2 gap(3-4)@2.4 done(cancelled)@1.5 complete(cancelled)@1.6 |");
    dialogue_world_end(w);
}

static void a_deletion_finishes_the_frame_and_says_farewell(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true}),
                 *none = dialogue_listen(w, (listening){.stepped = true}),
                 *f = dialogue_listen(w, (listening){.follow = true});
    assert_ok(dialogue_push_bytes(w, 20000)); /* more than a window */
    assert_ok(dialogue_push_bytes(w, 100));
    fa_inprocess_take(slow, 2000);
    assert_heard(slow, GREETING "...");
    assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE)->count, 0); /* only bytes in flight are left of it */
    assert_true(fa_ledger_in_flight(w->ledger) > 15000);
    assert_heard(f, GREETING "words@1.1 words@1.2 done(cancelled)@1.3 complete(cancelled)@1.4 |");
    fa_inprocess_take(slow, 100);
    dialogue_settle(w);
    fa_inprocess_take(slow, SIZE_MAX);
    assert_heard(slow, GREETING "words@1.1 done(cancelled)@1.3 complete(cancelled)@1.4 |");
    fa_inprocess_take(none, SIZE_MAX);
    assert_heard(none, GREETING "done(cancelled)@1.3 complete(cancelled)@1.4 |");
    assert_open(w, w->id, "204");
    assert_int_equal(fa_dialogues_delete(w->dialogues, id_of(w)), FA_NOT_FOUND);
    assert_nothing_left(w);
    dialogue_world_end(w);
}

static void a_deleted_dialogue_at_rest_is_over_too(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 1;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    dialogue_finish(w);
    fa_inprocess_free(dialogue_listen(w, (listening){.follow = false}));
    assert_open(w, w->id, GREETING "done(completed)@1.1 complete(completed)@1.2 |");
    RUN_UNTIL(w, fa_dialogues_resting(w->dialogues) == 1);
    fa_interrupted what = interrupt(w, -1); /* nothing runs, but it is known */
    assert_int_equal(what.dropped_events, 0);
    assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    assert_int_equal(fa_dialogues_resting(w->dialogues), 0);
    assert_open(w, w->id, "204");
    assert_int_equal(dialogue_try_ask(w, w->id), FA_NOT_FOUND);
    assert_int_equal(fa_dialogues_interrupt(w->dialogues, id_of(w), -1, &what), FA_NOT_FOUND);
    dialogue_world_end(w);
}

static void a_turn_that_takes_too_long_expires(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.turn_limit_ms = 20;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push(w, "words"));
    RUN_UNTIL(w, dialogue_ended(a));
    assert_heard(a, GREETING "words@1.1 done(expired)@1.2 complete(expired)@1.3 |");
    assert_int_equal(fa_dialogues_running(w->dialogues), 0);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_TURN)->count, 0);
    dialogue_world_end(w);
}

static void a_failure_is_told_after_all_that_was_said(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    fa_turn_finish(w->turn, FA_TURN_FAILED, FA_TEXT("\"error\":\"x\""));
    assert_open(w, w->id, GREETING "words@1.1 done(failed)@1.2 complete(failed)@1.3 |");
    dialogue_world_end(w);
}

/* A scope hook of the turn's work that ends the dialogue under its own feet: the turn ends once. */
typedef struct rebel {
    fa_scope_hook hook;
    dialogue_world *w;
    bool again;
} rebel;

static void on_turn_end(fa_scope_hook *hook)
{
    rebel *r = FA_OBJECT(hook, rebel, hook);
    fa_interrupted what;
    r->again = true;
    assert_ok(fa_dialogues_interrupt(r->w->dialogues, id_of(r->w), -1, &what));
}

static void a_turn_ends_once(void **state)
{
    rebel r = {.again = false};
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    r.w = w;
    fa_scope_hook_add(fa_turn_scope(w->turn), &r.hook, on_turn_end);
    dialogue_finish(w);
    assert_true(r.again);
    assert_heard(a, GREETING "done(completed)@1.1 complete(completed)@1.2 |");
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interruption_drops_what_nobody_has_begun_to_get),
        cmocka_unit_test(what_was_heard_goes_by_what_was_played),
        cmocka_unit_test(what_was_heard_of_a_sentence_goes_by_all_of_its_chunks),
        cmocka_unit_test(chunks_without_length_or_text_do_no_harm),
        cmocka_unit_test(the_next_question_interrupts),
        cmocka_unit_test(a_slow_listener_gets_the_rest_of_its_frame),
        cmocka_unit_test(who_was_behind_is_told_of_the_gap),
        cmocka_unit_test(a_deletion_finishes_the_frame_and_says_farewell),
        cmocka_unit_test(a_deleted_dialogue_at_rest_is_over_too),
        cmocka_unit_test(a_turn_that_takes_too_long_expires),
        cmocka_unit_test(a_failure_is_told_after_all_that_was_said),
        cmocka_unit_test(a_turn_ends_once),
    };
    return cmocka_run_group_tests_name("dialogues: ends of turns", tests, NULL, NULL);
}
