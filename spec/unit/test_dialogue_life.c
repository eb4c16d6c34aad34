/* core/dialogue: how long a dialogue lives: graces, lingering, rest, histories, limits, drain (INTERFACES.md). */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

static fa_text id_of(const dialogue_world *w)
{
    return (fa_text){w->id, strlen(w->id)};
}

static void wait_for_end(dialogue_world *w)
{
    RUN_UNTIL(w, fa_dialogues_live(w->dialogues) == 0);
    assert_nothing_left(w);
}

/* A turn that a listener has read to its end. */
static void read_a_turn(dialogue_world *w)
{
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(a));
    fa_inprocess_free(a);
}

/* ---- graces ---- */

static void nobody_comes(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.first_listener_grace_ms = 20;
    dialogue_world *w = dialogue_world_begin(&options);
    uint64_t start = fa_now_ms();
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    wait_for_end(w);
    assert_in_range(fa_now_ms() - start, 15, 10000);
    assert_int_equal(fa_dialogues_resting(w->dialogues),
                     0); /* a question that nobody heard leaves nothing to go on with */
    assert_open(w, w->id, "204");
    dialogue_ask(w, NULL);
    dialogue_finish(w); /* over before anybody came: the same */
    wait_for_end(w);
    dialogue_world_end(w);
}

static void nobody_comes_to_a_later_turn(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.first_listener_grace_ms = 20;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    read_a_turn(w);
    dialogue_ask(w, w->id);
    wait_for_end(w);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1); /* the conversation so far is kept */
    dialogue_world_end(w);
}

static void the_last_listener_does_not_come_back(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.reconnect_grace_ms = 20;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false}),
                 *b = dialogue_listen(w, (listening){.follow = false});
    dialogue_vanish(w, a);
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 60;)
        dialogue_turn_loop(w);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1); /* b is still there */
    dialogue_vanish(w, b);
    wait_for_end(w);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    assert_open(w, w->id, "204");
    dialogue_world_end(w);
}

static void a_listener_comes_back_in_time(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.reconnect_grace_ms = 300;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    dialogue_vanish(w, dialogue_listen(w, (listening){.follow = false}));
    dialogue_listen(w, (listening){.follow = false});
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 400;)
        dialogue_turn_loop(w);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    dialogue_world_end(w);
}

/* Who reads the end of an old turn has not opened the new one: its first listener has the longer grace. */
static void an_old_listener_does_not_count_for_the_new_turn(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.reconnect_grace_ms = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    dialogue_ask(w, w->id);
    RUN_UNTIL(w, dialogue_ended(a));
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 20;)
        dialogue_turn_loop(w);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    dialogue_world_end(w);
}

static void a_read_turn_lingers_and_rests(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 200;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push(w, "words"));
    read_a_turn(w);
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    fa_inprocess *a = dialogue_listen(w, (listening){.last_event_id = "1.1"});
    assert_heard(a, GREETING "done(completed)@1.2 complete(completed)@1.3 |");
    wait_for_end(w);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    a = dialogue_listen(w, (listening){.last_event_id = "1.1"});
    assert_heard(a, "204"); /* the tail is gone */
    dialogue_world_end(w);
}

static void a_follower_keeps_an_idle_dialogue(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 1;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *f = dialogue_listen(w, (listening){.follow = true});
    assert_ok(dialogue_push_bytes(w, 10000));
    dialogue_finish(w);
    RUN_UNTIL(w, fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE)->bytes < 5000); /* its bytes go all the same */
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    dialogue_vanish(w, f);
    wait_for_end(w);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    dialogue_world_end(w);
}

static void lingering_has_a_budget(void **state)
{
    char ids[3][FA_DIALOGUE_ID_SIZE];
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_budget = 25000;
    dialogue_world *w = dialogue_world_begin(&options);
    for (int i = 0; i < 3; ++i) {
        dialogue_ask(w, NULL);
        memcpy(ids[i], w->id, sizeof(w->id));
        assert_ok(dialogue_push_bytes(w, 10000));
        read_a_turn(w);
    }
    assert_int_equal(fa_dialogues_live(w->dialogues), 2); /* the oldest went first */
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    fa_inprocess *a = dialogue_listen(w, (listening){.id = ids[0], .last_event_id = "1.0"});
    assert_heard(a, "204");
    a = dialogue_listen(w, (listening){.id = ids[1], .last_event_id = "1.1"});
    assert_heard(a, GREETING "done(completed)@1.2 complete(completed)@1.3 |");
    dialogue_ask(w, ids[1]); /* no longer among them */
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push_bytes(w, 10000));
    read_a_turn(w);
    assert_int_equal(fa_dialogues_live(w->dialogues), 3);
    dialogue_world_end(w);
}

/* One that alone is larger than the budget does not linger; while a second listener still reads, what that one needs stays. */
static void too_large_to_linger(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_budget = 5000;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false}),
                 *slow = dialogue_listen(w, (listening){.stepped = true});
    assert_ok(dialogue_push_bytes(w, 10000));
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(a));
    fa_inprocess_take(slow, SIZE_MAX);
    assert_heard(slow, GREETING "words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
    wait_for_end(w); /* with linger an hour away */
    dialogue_world_end(w);
}

/* ---- rest and waking ---- */

static void a_dialogue_wakes_with_history_and_numbers(void **state)
{
    const char *role;
    fa_text text;
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 1;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_turn_said(w->turn, FA_TEXT("because"));
    read_a_turn(w);
    wait_for_end(w);
    dialogue_ask(w, w->id);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 0);
    assert_int_equal(fa_turn_number(w->turn), 2);
    assert_true(fa_turn_history(w->turn, 1, &role, &text));
    assert_true(fa_text_is(text, "because"));
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    assert_ok(dialogue_push(w, "words"));
    dialogue_finish(w);
    assert_heard(a, GREETING "words@2.3 done(completed)@2.4 complete(completed)@2.5 |");
    wait_for_end(w);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    dialogue_world_end(w);
}

static void rest_ends_with_its_time_and_its_places(void **state)
{
    char first[FA_DIALOGUE_ID_SIZE];
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 0;
    options.history_ttl_ms = 200;
    options.history_dialogues = 2;
    dialogue_world *w = dialogue_world_begin(&options);
    for (int i = 0; i < 3; ++i) {
        dialogue_ask(w, NULL);
        if (i == 0)
            memcpy(first, w->id, sizeof(first));
        read_a_turn(w);
        wait_for_end(w);
    }
    assert_int_equal(fa_dialogues_resting(w->dialogues), 2);
    assert_open(w, first, "404 unknown_dialogue"); /* had to make way */
    RUN_UNTIL(w, fa_dialogues_resting(w->dialogues) == 0);
    assert_int_equal(dialogue_try_ask(w, w->id), FA_NOT_FOUND);
    dialogue_world_end(w);
}

static void without_histories_a_dialogue_is_finished(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 0;
    options.history_dialogues = 0;
    options.history_limit = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_turn_said(w->turn, FA_TEXT("because"));
    read_a_turn(w);
    wait_for_end(w);
    assert_open(w, w->id, "204");
    assert_int_equal(dialogue_try_ask(w, w->id), FA_NOT_FOUND);
    dialogue_world_end(w);
}

static void head_does_not_wake_a_dialogue(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    read_a_turn(w);
    wait_for_end(w);
    fa_inprocess *a = dialogue_listen(w, (listening){.head = true, .follow = true});
    assert_heard(a, "204");
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1);
    dialogue_world_end(w);
}

static void a_finished_dialogue_is_forgotten(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.finished_ttl_ms = 100;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    assert_open(w, w->id, "204");
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = true}); /* a follower cannot bring it back either */
    assert_heard(a, "204");
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 120;)
        dialogue_turn_loop(w);
    assert_open(w, w->id, "404 unknown_dialogue");
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_comes),
        cmocka_unit_test(nobody_comes_to_a_later_turn),
        cmocka_unit_test(the_last_listener_does_not_come_back),
        cmocka_unit_test(a_listener_comes_back_in_time),
        cmocka_unit_test(an_old_listener_does_not_count_for_the_new_turn),
        cmocka_unit_test(a_read_turn_lingers_and_rests),
        cmocka_unit_test(a_follower_keeps_an_idle_dialogue),
        cmocka_unit_test(lingering_has_a_budget),
        cmocka_unit_test(too_large_to_linger),
        cmocka_unit_test(a_dialogue_wakes_with_history_and_numbers),
        cmocka_unit_test(rest_ends_with_its_time_and_its_places),
        cmocka_unit_test(without_histories_a_dialogue_is_finished),
        cmocka_unit_test(head_does_not_wake_a_dialogue),
        cmocka_unit_test(a_finished_dialogue_is_forgotten),
    };
    return cmocka_run_group_tests_name("dialogues: how long they live", tests, NULL, NULL);
}
