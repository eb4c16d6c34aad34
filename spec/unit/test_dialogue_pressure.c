/* core/dialogue when memory is short: what each level of pressure does, and that the end of a turn is always told. */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

static fa_kind_counters *dialogues(const dialogue_world *w)
{
    return fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE);
}

/* ---- what one dialogue may hold ---- */

static void the_log_counts_what_events_cost_beside_their_text(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.turn_budget = 16 * 1024;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    size_t before = dialogues(w)->bytes;
    int count = 0;
    while (dialogue_push(w, "e") == FA_OK)
        ++count;
    assert_in_range(count, 150, 250); /* of some 360 bytes each in 64 KB; by their text alone it would be 2,000 */
    size_t log = dialogues(w)->bytes - before;
    if (log > options.dialogue_budget)
        fail_msg("%zu bytes of %zu", log, options.dialogue_budget);
    dialogue_world_end(w);
}

static void a_dialogue_has_a_budget_for_all_of_it(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_account *dialogue = fa_scope_account(fa_scope_parent(fa_turn_scope(w->turn)));
    size_t budget = fa_account_budget(dialogue);
    assert_in_range(budget, options.turn_budget + options.dialogue_budget, options.turn_budget + 256 * 1024);
    size_t room = fa_account_room(dialogue);
    assert_ok(fa_account_charge(dialogue, room));
    assert_int_equal(dialogue_push(w, "words"), FA_OVER_BUDGET);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w);
    assert_heard(a, GREETING "done(completed)@1.1 complete(completed)@1.2 |");
    fa_account_discharge(dialogue, room);
    dialogue_world_end(w);
}

/* ---- the end ---- */

static void the_end_is_told_without_any_memory(void **state)
{
    char fields[3000];
    (void)state;
    memset(fields, 'f', sizeof(fields));
    memcpy(fields, "\"f\":\"", 5);
    fields[sizeof(fields) - 1] = '"';
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push(w, "words"));
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, dialogues(w)->bytes);
    fa_ledger_limit(w->ledger, FA_KIND_TURN, fa_ledger_kind(w->ledger, FA_KIND_TURN)->bytes);
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, (fa_text){fields, sizeof(fields)}); /* without its fields then */
    assert_heard(a, GREETING "words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
    assert_true(fa_buffer_length(fa_inprocess_answered(a)->body) < 3000);
    fa_ledger_limit(w->ledger, FA_KIND_TURN, 0);
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, 0);

    dialogue_ask(w, w->id);
    a = dialogue_listen(w, (listening){.follow = false});
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, (fa_text){fields, sizeof(fields)}); /* and with them else */
    assert_heard(a, GREETING "done(completed)@2.4 complete(completed)@2.5 |");
    assert_true(fa_buffer_length(fa_inprocess_answered(a)->body) > 6000);
    dialogue_world_end(w);
}

static void a_turn_that_could_not_tell_its_end_does_not_begin(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, dialogues(w)->bytes);
    assert_int_equal(dialogue_try_ask(w, NULL), FA_OVER_BUDGET);
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, 0);
    dialogue_world_end(w);
}

static void the_budget_of_the_kind_is_an_admission(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    int admitted = 0;
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, 200 * 1024); /* three logs of 64 KB */
    while (dialogue_try_ask(w, NULL) == FA_OK)
        ++admitted;
    assert_int_equal(admitted, 3);
    fa_ledger_limit(w->ledger, FA_KIND_DIALOGUE, 0);
    dialogue_world_end(w);
}

/* ---- levels ---- */

static void nothing_comes_to_life(void **state)
{
    char resting[FA_DIALOGUE_ID_SIZE];
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    memcpy(resting, w->id, sizeof(resting));
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(a) && fa_dialogues_resting(w->dialogues) == 1);
    dialogue_ask(w, NULL);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_REFUSE_DIALOGUES);
    assert_int_equal(dialogue_try_ask(w, NULL), FA_OVER_BUDGET);
    assert_int_equal(dialogue_try_ask(w, resting), FA_OVER_BUDGET);
    assert_heard(dialogue_listen(w, (listening){.follow = true, .id = resting}), "503 over_budget");
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1); /* refused, not lost */
    dialogue_ask(w, w->id);                                  /* but who is spoken with is not left in the middle */
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_NONE);
    dialogue_ask(w, resting);
    dialogue_ask(w, NULL);
    dialogue_world_end(w);
}

static void no_replay_beyond_need(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *read = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w); /* lingers */
    RUN_UNTIL(w, dialogue_ended(read));
    dialogue_ask(w, NULL);
    dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_settle(w);
    assert_true(dialogues(w)->bytes > 20000); /* kept for who comes back */
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_SHRINK_CACHES);
    assert_true(dialogues(w)->bytes < 20000);
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_settle(w);
    assert_true(dialogues(w)->bytes < 20000); /* gone as soon as it was sent */
    fa_inprocess *late = dialogue_listen(w, (listening){.follow = false, .last_event_id = "1.1"});
    assert_ok(dialogue_push(w, "words"));
    assert_heard(late, GREETING "gap(2-2)@1.2 words@1.3");
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_NONE);
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_settle(w);
    assert_true(dialogues(w)->bytes > 20000);
    dialogue_world_end(w);
}

typedef struct speaker {
    fa_turn_waiter waiter;
    dialogue_world *w;
    int wakes;
    bool finishes;
} speaker;

static void on_wake(fa_turn_waiter *waiter)
{
    speaker *s = FA_OBJECT(waiter, speaker, waiter);
    s->wakes++;
    if (s->finishes)
        fa_dialogues_end_all(s->w->dialogues, "a script may do that");
}

static void speech_pauses_and_goes_on(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    speaker first = {.waiter.wake = on_wake, .w = w}, second = first, third = first;
    dialogue_ask(w, NULL);
    assert_true(fa_turn_wants_audio(w->turn));
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_PAUSE_SPEECH);
    assert_false(fa_turn_wants_audio(w->turn));
    assert_ok(dialogue_push(w, "words")); /* words go on */
    fa_turn_wait(w->turn, &first.waiter);
    dialogue_ask(w, w->id);
    fa_turn_wait(w->turn, &second.waiter);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_REFUSE_CONNECTIONS);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_PAUSE_SPEECH);
    assert_int_equal(second.wakes, 0);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_SHRINK_CACHES);
    assert_int_equal(second.wakes, 1);
    assert_true(fa_turn_wants_audio(w->turn));

    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_PAUSE_SPEECH);
    second.finishes = third.finishes = true;
    fa_turn_wait(w->turn, &second.waiter);
    fa_turn_wait(w->turn, &third.waiter);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_NONE); /* the first that is woken ends everything */
    assert_int_equal(second.wakes + third.wakes, 3);
    dialogue_world_end(w);
}

/* Two dialogues; a follower of the first has nothing before it, the others some. */
typedef struct crowd {
    fa_inprocess *quick, *slow, *slower;
} crowd;

static dialogue_world *begin_crowd(crowd *c)
{
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    c->quick = dialogue_listen(w, (listening){.remote = "10.0.0.1"});
    c->slow = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.2"});
    fa_inprocess_take(c->slow, 300);
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_ask(w, NULL);
    c->slower = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.3"});
    fa_inprocess_take(c->slower, 300);
    dialogue_settle(w);
    assert_ok(dialogue_push_bytes(w, 20000));
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_settle(w);
    return w;
}

static void the_slowest_goes_and_that_may_be_enough(void **state)
{
    crowd c;
    (void)state;
    dialogue_world *w = begin_crowd(&c);
    size_t before = dialogues(w)->bytes;
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_DROP_LISTENERS);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_PAUSE_SPEECH); /* its bytes were enough */
    dialogue_settle(w);
    assert_true(dialogue_ended(c.slower));
    assert_false(dialogue_ended(c.slow));
    assert_false(dialogue_ended(c.quick));
    assert_true(dialogues(w)->bytes + 40000 < before); /* also what nobody had been sent */
    assert_int_equal(fa_dialogues_running(w->dialogues), 2);
    fa_inprocess *again = dialogue_listen(w, (listening){.remote = "10.0.0.3", .last_event_id = "1.0"});
    assert_ok(dialogue_push(w, "words"));
    assert_heard(again, GREETING "gap(1-2)@1.2 words@1.3"); /* it may come back, and hears what it missed */
    dialogue_world_end(w);
}

static void while_the_level_stands_the_next_goes(void **state)
{
    crowd c;
    (void)state;
    dialogue_world *w = begin_crowd(&c);
    fa_dialogues_pressure(w->dialogues, FA_PRESSURE_DROP_LISTENERS);
    assert_false(dialogue_ended(c.slow) && dialogue_ended(c.slower)); /* one after the other */
    dialogue_settle(w);
    assert_true(dialogue_ended(c.slower));
    assert_true(dialogue_ended(c.slow));
    assert_false(dialogue_ended(c.quick)); /* nothing is before it: it does not hold the memory */
    assert_ok(dialogue_push(w, "words"));
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_counts_what_events_cost_beside_their_text),
        cmocka_unit_test(a_dialogue_has_a_budget_for_all_of_it),
        cmocka_unit_test(the_end_is_told_without_any_memory),
        cmocka_unit_test(a_turn_that_could_not_tell_its_end_does_not_begin),
        cmocka_unit_test(the_budget_of_the_kind_is_an_admission),
        cmocka_unit_test(nothing_comes_to_life),
        cmocka_unit_test(no_replay_beyond_need),
        cmocka_unit_test(speech_pauses_and_goes_on),
        cmocka_unit_test(the_slowest_goes_and_that_may_be_enough),
        cmocka_unit_test(while_the_level_stands_the_next_goes),
    };
    return cmocka_run_group_tests_name("dialogues: pressure", tests, NULL, NULL);
}
