/* core/dialogue: listeners that come back with a Last-Event-ID, and what they are told of what they missed. */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

/* Three events and a listener that has them. */
static fa_inprocess *three_events(dialogue_world *w)
{
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    for (int i = 0; i < 3; ++i)
        assert_ok(dialogue_push(w, "words"));
    assert_heard(a, GREETING "words@1.1 words@1.2 words@1.3");
    return a;
}

static void assert_resumes(dialogue_world *w, const char *last_event_id, bool follow, const char *line)
{
    fa_inprocess *client = dialogue_listen(w, (listening){.last_event_id = last_event_id, .follow = follow});
    const char *heard = dialogue_heard(w, client);
    if (strcmp(heard, line) != 0)
        fail_msg("after %s: %s\n  expected: %s", last_event_id, heard, line);
    fa_inprocess_free(client);
}

static void it_goes_on_after_the_last_event(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_vanish(w, three_events(w));
    assert_resumes(w, "1.0", false, GREETING "words@1.1 words@1.2 words@1.3");
    assert_resumes(w, "1.1", false, GREETING "words@1.2 words@1.3");
    assert_resumes(w, "1.2", true, GREETING "words@1.3");
    fa_inprocess *a = dialogue_listen(w, (listening){.last_event_id = "1.3"});
    assert_ok(dialogue_push(w, "words"));
    dialogue_finish(w);
    assert_heard(a, GREETING "words@1.4 done(completed)@1.5 complete(completed)@1.6 |");
    assert_resumes(w, "1.4", false, GREETING "done(completed)@1.5 complete(completed)@1.6 |");
    assert_resumes(w, "1.5", false, GREETING "complete(completed)@1.6 |"); /* the tail that got lost */
    assert_resumes(w, "1.6", false, "204");
    assert_resumes(w, "1.6", true, "retry ping");
    dialogue_world_end(w);
}

static void an_id_that_is_none_of_ours_is_a_gap(void **state)
{
    static const char *const foreign[] = {"1.4",  "1.999999", "2.1",  "0.1", "7",
                                          "1.",   ".1",       "1.1x", "x",   "1.99999999999999999999",
                                          "-1.1", "1.2.3",    " 1.1"};
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_vanish(w, three_events(w));
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); ++i) {
        assert_resumes(w, foreign[i], false, GREETING "gap(1-0)@1.0 words@1.1 words@1.2 words@1.3");
    }
    dialogue_finish(w);
    assert_resumes(w, "1.9", false,
                   GREETING "gap(1-0)@1.0 words@1.1 words@1.2 words@1.3 done(completed)@1.4 complete(completed)@1.5 |");
    assert_open(w, w->id, "204");
    assert_resumes(w, "9.9", false, /* over and read, but not by this one */
                   GREETING "gap(1-0)@1.0 words@1.1 words@1.2 words@1.3 done(completed)@1.4 complete(completed)@1.5 |");
    dialogue_world_end(w);
}

/* An id that claims more than was ever sent must not make a stream that nothing ends. */
static void an_id_from_the_future_does_not_hold_a_dialogue(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    for (int i = 0; i < 3; ++i)
        assert_ok(dialogue_push(w, "words"));
    fa_inprocess *a = dialogue_listen(w, (listening){.last_event_id = "1.3", .stepped = true});
    dialogue_settle(w);
    fa_interrupted what;
    assert_ok(fa_dialogues_interrupt(w->dialogues, (fa_text){w->id, strlen(w->id)}, -1, &what));
    fa_inprocess_take(a, SIZE_MAX);
    RUN_UNTIL(w, dialogue_ended(a));
    assert_true(fa_inprocess_answered(a)->complete);
    dialogue_world_end(w);
}

static void what_is_gone_is_named(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.dialogue_budget = 4096;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    for (int i = 0; i < 4; ++i) { /* each frame leaves room for one of its kind */
        assert_ok(dialogue_push_bytes(w, 1500));
        dialogue_settle(w);
    }
    dialogue_vanish(w, a);
    assert_resumes(w, "1.1", false, GREETING "gap(2-2)@1.2 words@1.3 words@1.4");
    assert_resumes(w, "1.2", false, GREETING "words@1.3 words@1.4");
    assert_resumes(w, "junk", false, GREETING "gap(1-0)@1.0 gap(1-2)@1.2 words@1.3 words@1.4");
    assert_open(w, w->id, GREETING "gap(1-2)@1.2 words@1.3 words@1.4"); /* late, and not everything is there any more */
    dialogue_finish(w);
    assert_resumes(w, "1.1", true,
                   GREETING "gap(2-2)@1.2 words@1.3 words@1.4 done(completed)@1.5 complete(completed)@1.6");
    dialogue_world_end(w);
}

/* The connection broke after the last bytes were written and before we heard of it: nobody has "delivered" the turn, and the
 * client that says it has all gets 204, not a stream without end. */
static void the_last_id_of_an_unread_turn_is_the_end(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    fa_inprocess_take(a, 1000);
    dialogue_settle(w);
    dialogue_finish(w);
    dialogue_vanish(w, a);
    assert_resumes(w, "1.2", false, "204");
    assert_open(w, w->id, "204"); /* it has been delivered */
    dialogue_world_end(w);
}

static void a_follower_resumes_a_dialogue_at_rest(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 1;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_vanish(w, three_events(w));
    dialogue_finish(w);
    assert_resumes(w, "1.3", false, GREETING "done(completed)@1.4 complete(completed)@1.5 |");
    RUN_UNTIL(w, fa_dialogues_resting(w->dialogues) == 1);
    assert_nothing_left(w);
    fa_inprocess *a = dialogue_listen(w, (listening){.last_event_id = "1.2", .follow = true}),
                 *b = dialogue_listen(w, (listening){.last_event_id = "1.5", .follow = true});
    assert_int_equal(fa_dialogues_resting(w->dialogues), 0);
    dialogue_ask(w, w->id);
    assert_ok(dialogue_push(w, "words"));
    assert_heard(a, GREETING "gap(3-5)@2.5 words@2.6");
    assert_heard(b, GREETING "words@2.6");
    dialogue_world_end(w);
}

/* A client of the turn before comes back while the next one runs: it gets its end, if that is still there. */
static void the_end_of_an_older_turn_is_kept(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_vanish(w, three_events(w));
    dialogue_ask(w, w->id);
    assert_resumes(w, "1.3", false, GREETING "done(cancelled)@1.4 complete(cancelled)@1.5");
    assert_resumes(w, "1.2", false, GREETING "gap(3-3)@2.3 done(cancelled)@1.4 complete(cancelled)@1.5");
    dialogue_ask(w, w->id); /* two turns later it is not */
    assert_resumes(w, "1.3", false, GREETING "gap(4-5)@3.5 done(cancelled)@2.6 complete(cancelled)@2.7");
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_after_the_last_event),
        cmocka_unit_test(an_id_that_is_none_of_ours_is_a_gap),
        cmocka_unit_test(an_id_from_the_future_does_not_hold_a_dialogue),
        cmocka_unit_test(what_is_gone_is_named),
        cmocka_unit_test(the_last_id_of_an_unread_turn_is_the_end),
        cmocka_unit_test(a_follower_resumes_a_dialogue_at_rest),
        cmocka_unit_test(the_end_of_an_older_turn_is_kept),
    };
    return cmocka_run_group_tests_name("dialogues: resume", tests, NULL, NULL);
}
