/* core/dialogue: the budget of the log, and listeners that are slower than it. */
#include "dialogue_world.h"

#include <stdio.h>

#define GREETING "retry ping "

enum { PIECE = 2800, BUDGET = 16 * 1024 }; /* five pieces */

static dialogue_world *small_world(uint64_t patience_ms)
{
    fa_dialogue_options options = dialogue_test_options();
    options.dialogue_budget = BUDGET;
    options.listener_queue = 4096;
    options.slow_listener_wait_ms = patience_ms;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    return w;
}

/* Pushes until there is no room; returns how many went in. */
static int fill(dialogue_world *w)
{
    int count = 0;
    fa_result result;
    while ((result = dialogue_push_bytes(w, PIECE)) == FA_OK && count < 100)
        ++count;
    assert_int_equal(result, FA_FULL);
    return count;
}

/* A producer that has a piece in hand and tries again whenever it is woken. */
typedef struct producer {
    fa_turn_waiter waiter;
    dialogue_world *w;
    int pushed, wanted;
} producer;

static void produce(fa_turn_waiter *waiter)
{
    producer *p = FA_OBJECT(waiter, producer, waiter);
    while (p->pushed < p->wanted) {
        fa_result result = dialogue_push_bytes(p->w, PIECE);
        if (result == FA_FULL) {
            fa_turn_wait(p->w->turn, waiter);
            return;
        }
        assert_ok(result);
        p->pushed++;
    }
}

static producer begin_producer(dialogue_world *w, int wanted)
{
    return (producer){.waiter = {.wake = produce}, .w = w, .wanted = wanted};
}

static void nobody_listens_and_the_producer_waits(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    assert_int_equal(fill(w), 5);
    producer p = begin_producer(w, 2);
    produce(&p.waiter);
    dialogue_settle(w);
    assert_int_equal(p.pushed, 0);
    dialogue_listen(w, (listening){.follow = false});
    RUN_UNTIL(w, p.pushed == 2);
    dialogue_world_end(w);
}

/* What every listener has is kept for those who come back, but only so much of it. */
static void the_replay_window_bounds_what_is_kept(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.dialogue_budget = (size_t)100 * PIECE;
    options.replay_window = (size_t)4 * PIECE;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    dialogue_listen(w, (listening){.follow = false});
    const fa_kind_counters *dialogues = fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE);
    for (int i = 0; i < 5; ++i) {
        assert_ok(dialogue_push_bytes(w, PIECE));
        dialogue_settle(w);
    }
    size_t then = dialogues->bytes;
    for (int i = 0; i < 20; ++i) {
        assert_ok(dialogue_push_bytes(w, PIECE));
        dialogue_settle(w);
        assert_true(dialogues->bytes <= then + PIECE);
    }
    fa_inprocess *late = dialogue_listen(w, (listening){.follow = false});
    const char *heard = dialogue_heard(w, late);
    assert_non_null(strstr(heard, "gap"));
    assert_non_null(strstr(heard, "words@1.25"));
    dialogue_world_end(w);
}

static void the_producer_goes_on_when_the_listener_does(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    producer p = begin_producer(w, 100);
    produce(&p.waiter);
    dialogue_settle(w);
    assert_int_equal(p.pushed, 5); /* ahead by the budget, not further */
    fa_inprocess_take(a, 4000);
    dialogue_settle(w);
    int after = p.pushed;
    assert_in_range(after, 5, 7);
    fa_inprocess_take(a, SIZE_MAX);
    RUN_UNTIL(w, p.pushed == 100);
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(a));
    assert_true(fa_inprocess_answered(a)->complete);
    assert_true(fa_buffer_length(fa_inprocess_answered(a)->body) > (size_t)100 * PIECE); /* nothing was left out */
    dialogue_world_end(w);
}

static void at_most_the_queue_is_on_its_way(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    fa_inprocess_take(a, 1000);
    dialogue_settle(w);
    fill(w);
    fa_inprocess_take(a, 1);
    dialogue_settle(w);
    assert_in_range(fa_inprocess_waiting(a), 1, 4096);
    dialogue_world_end(w);
}

static void the_slow_one_is_dropped_and_the_other_is_not(void **state)
{
    (void)state;
    dialogue_world *w = small_world(30);
    fa_inprocess *fast = dialogue_listen(w, (listening){.remote = "10.0.0.1"});
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.2"});
    fa_inprocess_take(slow, 300);
    dialogue_settle(w);
    producer p = begin_producer(w, 12);
    uint64_t start = fa_now_ms();
    produce(&p.waiter);
    RUN_UNTIL(w, p.pushed == 12);
    assert_in_range(fa_now_ms() - start, 28, 5000);
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(fast));
    assert_true(fa_inprocess_answered(fast)->complete);
    assert_true(dialogue_ended(slow));
    assert_false(fa_inprocess_answered(slow)->complete);
    dialogue_world_end(w);
}

static void who_was_too_slow_may_come_back_twice(void **state)
{
    (void)state;
    dialogue_world *w = small_world(200);
    fa_inprocess *fast = dialogue_listen(w, (listening){.remote = "10.0.0.1"});
    producer p = begin_producer(w, 0);
    for (int i = 0; i < 3; ++i) {
        fa_inprocess *slow =
            dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.2", .last_event_id = "1.0"});
        dialogue_settle(w);
        assert_int_equal(fa_inprocess_answered(slow)->status, 200);
        p.wanted += 12;
        produce(&p.waiter);
        RUN_UNTIL(w, p.pushed == p.wanted);
        assert_true(dialogue_ended(slow));
    }
    fa_inprocess *again = dialogue_listen(w, (listening){.remote = "10.0.0.2", .last_event_id = "1.0"});
    assert_heard(again, "429 too_many_listeners");
    assert_true(fa_inprocess_header(again, "retry-after").length > 0);
    assert_false(dialogue_ended(fast));
    dialogue_ask(w, w->id); /* a new turn, a new chance */
    again = dialogue_listen(w, (listening){.remote = "10.0.0.2"});
    assert_heard(again, "retry ping");
    dialogue_world_end(w);
}

/* The wait was for a producer that has since been stopped: whoever is behind has all the time it wants. */
static void nobody_is_dropped_for_a_turn_that_is_over(void **state)
{
    fa_interrupted what;
    (void)state;
    dialogue_world *w = small_world(10);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    fill(w);
    assert_ok(fa_dialogues_interrupt(w->dialogues, (fa_text){w->id, strlen(w->id)}, -1, &what));
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 40;)
        dialogue_turn_loop(w);
    assert_false(dialogue_ended(a));
    fa_inprocess_take(a, SIZE_MAX);
    assert_heard(a, GREETING "done(cancelled)@1.1 complete(cancelled)@1.2 |");
    dialogue_world_end(w);
}

/* One that comes while another is waited for is behind by nature. It is not dropped in the other's place. */
static void a_newcomer_is_not_dropped_for_another(void **state)
{
    (void)state;
    dialogue_world *w = small_world(300);
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.2"});
    producer p = begin_producer(w, 6);
    produce(&p.waiter);
    fa_inprocess *late = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.3"});
    RUN_UNTIL(w, dialogue_ended(slow));
    assert_false(dialogue_ended(late));
    fa_inprocess_take(late, SIZE_MAX);
    RUN_UNTIL(w, p.pushed == 6);
    dialogue_settle(w);
    assert_false(dialogue_ended(late));
    dialogue_world_end(w);
}

/* The one that was waited for left by itself; the next one gets a patience of its own. */
static void a_wait_ends_with_its_listener(void **state)
{
    (void)state;
    dialogue_world *w = small_world(40);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    producer p = begin_producer(w, 6);
    produce(&p.waiter);
    dialogue_vanish(w, a);
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 30;)
        dialogue_turn_loop(w);
    uint64_t start = fa_now_ms();
    fa_inprocess *b = dialogue_listen(w, (listening){.stepped = true});
    RUN_UNTIL(w, dialogue_ended(b));
    assert_in_range(fa_now_ms() - start, 35, 10000);
    dialogue_world_end(w);
}

/* The next turn's producer waits for room that a reader of the last turn's end takes. When that one has its end, on it goes. */
static void a_listener_of_the_last_turn_gives_way(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    fa_inprocess *old = dialogue_listen(w, (listening){.stepped = true});
    fa_inprocess_take(old, 300);
    dialogue_settle(w);
    assert_ok(dialogue_push_bytes(w, PIECE));
    dialogue_ask(w, w->id);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    producer p = begin_producer(w, 20);
    produce(&p.waiter);
    dialogue_settle(w);
    assert_in_range(p.pushed, 3, 5);
    fa_inprocess_take(old, SIZE_MAX);
    RUN_UNTIL(w, p.pushed == 20);
    assert_heard(old, GREETING "words@1.1 done(cancelled)@1.2 complete(cancelled)@1.3 |");
    assert_false(dialogue_ended(a));
    dialogue_world_end(w);
}

/* Questions that interrupt each other leave only ends behind; also those do not fill the log, whether somebody reads or not. */
static void ends_of_turns_do_not_pile_up(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    fa_inprocess *a = NULL;
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 200; ++i)
            dialogue_ask(w, w->id);
        if (fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE)->bytes > 2 * BUDGET + 8192)
            fail_msg("%zu bytes", fa_ledger_kind(w->ledger, FA_KIND_DIALOGUE)->bytes);
        if (a == NULL)
            a = dialogue_listen(w, (listening){.stepped = true, .follow = true});
    }
    fa_inprocess_take(a, SIZE_MAX);
    dialogue_settle(w);
    assert_true(strstr(dialogue_heard(w, a), "gap(") != NULL); /* it is told that ends are missing */
    dialogue_ask(w, w->id);
    assert_ok(dialogue_push(w, "words"));
    assert_string_equal(strrchr(dialogue_heard(w, a), ' ') + 1, "words@402.803");
    dialogue_world_end(w);
}

/* A listener of an old turn whose end had to give way: its stream ends all the same. */
static void a_stream_ends_without_its_end(void **state)
{
    (void)state;
    dialogue_world *w = small_world(3600 * 1000);
    fa_inprocess *a = dialogue_listen(w, (listening){.stepped = true});
    for (int i = 0; i < 100; ++i)
        dialogue_ask(w, w->id);
    fa_inprocess_take(a, SIZE_MAX);
    RUN_UNTIL(w, dialogue_ended(a));
    assert_heard(a, "retry ping |");
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_listens_and_the_producer_waits),
        cmocka_unit_test(the_replay_window_bounds_what_is_kept),
        cmocka_unit_test(the_producer_goes_on_when_the_listener_does),
        cmocka_unit_test(at_most_the_queue_is_on_its_way),
        cmocka_unit_test(the_slow_one_is_dropped_and_the_other_is_not),
        cmocka_unit_test(who_was_too_slow_may_come_back_twice),
        cmocka_unit_test(nobody_is_dropped_for_a_turn_that_is_over),
        cmocka_unit_test(a_newcomer_is_not_dropped_for_another),
        cmocka_unit_test(a_wait_ends_with_its_listener),
        cmocka_unit_test(a_listener_of_the_last_turn_gives_way),
        cmocka_unit_test(ends_of_turns_do_not_pile_up),
        cmocka_unit_test(a_stream_ends_without_its_end),
    };
    return cmocka_run_group_tests_name("dialogues: slow listeners", tests, NULL, NULL);
}
