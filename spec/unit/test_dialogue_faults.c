/* core/dialogue when things go wrong: clients that vanish at every stage, memory that runs out at every point, scopes that end
 * under running streams. */
#include "dialogue_world.h"

#include <stdio.h>

enum { LONG = 3600 * 1000 };

static fa_text id_of(const dialogue_world *w)
{
    return (fa_text){w->id, strlen(w->id)};
}

/* Everything that can happen to a dialogue, in steps; after each a client may vanish. */
static void step(dialogue_world *w, int number)
{
    fa_interrupted what;
    switch (number) {
    case 1:
        assert_ok(dialogue_push(w, "words"));
        break;
    case 2:
        assert_ok(dialogue_push_audio(w, 9000, false));
        break;
    case 4:
        assert_ok(dialogue_push_bytes(w, 9000));
        break;
    case 6:
        dialogue_ask(w, w->id);
        break;
    case 7:
        assert_ok(dialogue_push_audio(w, 9000, true));
        break;
    case 9:
        dialogue_finish(w);
        break;
    case 11:
        dialogue_ask(w, w->id);
        break;
    case 12:
        assert_ok(fa_dialogues_interrupt(w->dialogues, id_of(w), -1, &what));
        break;
    case 14:
        assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
        break;
    default:
        dialogue_settle(w);
    }
}

enum { STEPS = 16 };

/* speed: bytes that a stepped client takes after each step; 0: all as they come */
static void vanish_after(int last, bool follow, size_t speed, bool alone)
{
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *other = alone ? NULL : dialogue_listen(w, (listening){.follow = true});
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = follow, .stepped = speed > 0});
    for (int i = 0; i <= STEPS; ++i) {
        if (i == last)
            dialogue_vanish(w, a);
        step(w, i);
        if (i < last && speed > 0)
            fa_inprocess_take(a, speed);
    }
    if (other != NULL)
        assert_heard(other,
                     "retry ping words@1.1 audioChunk(1)@1.2 words@1.3 done(cancelled)@1.4 complete(cancelled)@1.5 "
                     "audioChunk(1)@2.6 done(completed)@2.7 complete(completed)@2.8 done(cancelled)@3.9 "
                     "complete(cancelled)@3.10 |");
    assert_nothing_left(w); /* it has been deleted: nothing waits for any grace */
    dialogue_world_end(w);
}

static void a_client_vanishes_at_every_stage(void **state)
{
    static const size_t speeds[] = {0, 1, 700, 5000};
    (void)state;
    for (int last = 0; last <= STEPS; ++last) {
        for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); ++i) {
            for (int bits = 0; bits < 4; ++bits)
                vanish_after(last, bits & 1, speeds[i], bits & 2);
        }
    }
}

/* The same with no client but one that comes at some stage. */
static void a_client_comes_at_every_stage(void **state)
{
    (void)state;
    for (int at = 0; at <= STEPS; ++at) {
        for (int bits = 0; bits < 4; ++bits) {
            dialogue_world *w = dialogue_world_begin(NULL);
            fa_inprocess *a = NULL;
            dialogue_ask(w, NULL);
            for (int i = 0; i <= STEPS; ++i) {
                if (i == at)
                    a = dialogue_listen(
                        w,
                        (listening){.follow = bits & 1, .stepped = bits & 2, .last_event_id = at % 3 ? "1.0" : NULL});
                step(w, i);
            }
            fa_inprocess_take(a, SIZE_MAX);
            dialogue_settle(w);
            assert_true(dialogue_ended(a) && fa_inprocess_answered(a)->complete);
            assert_nothing_left(w);
            dialogue_world_end(w);
        }
    }
}

/* The worker ends under running turns and streams: everything goes with its scope. */
static void the_worker_ends_first(void **state)
{
    (void)state;
    fa_failing memory;
    fa_ledger *ledger = fa_test_ledger(&memory);
    dialogue_world w = {.questions = 0};
    assert_true(dialogue_world_try(&w, ledger, NULL));
    dialogue_ask(&w, NULL);
    assert_non_null(dialogue_listen(&w, (listening){.stepped = true}));
    assert_non_null(dialogue_listen(&w, (listening){.follow = true}));
    assert_ok(dialogue_push_audio(&w, 9000, false));
    dialogue_settle(&w);
    fa_worker_free(w.worker);
    fa_test_ledger_free(&memory, ledger);
}

/* ---- memory ---- */

/* No hang: whatever was refused, every client has an end within the time that the graces allow. */
static void assert_all_end(dialogue_world *w, fa_inprocess **clients, size_t count)
{
    fa_dialogues_end_all(w->dialogues, "enough");
    for (size_t i = 0; i < count; ++i) {
        if (clients[i] == NULL)
            continue;
        fa_inprocess_take(clients[i], SIZE_MAX);
        RUN_UNTIL(w, dialogue_ended(clients[i]));
    }
}

static bool turn_scenario(dialogue_world *w)
{
    fa_inprocess *clients[3] = {NULL};
    fa_interrupted what;
    bool reached = false;
    NEED(dialogue_try_ask(w, NULL) == FA_OK);
    clients[0] = dialogue_listen(w, (listening){.follow = false});
    clients[1] = dialogue_listen(w, (listening){.stepped = true});
    NEED(dialogue_push(w, "words") == FA_OK && dialogue_push_audio(w, 5000, false) == FA_OK);
    dialogue_settle(w);
    clients[2] = dialogue_listen(w, (listening){.last_event_id = "7.7", .follow = true});
    assert_ok(fa_dialogues_interrupt(w->dialogues, id_of(w), -1, &what));
    assert_int_equal(fa_dialogues_running(w->dialogues), 0); /* it ends, memory or not */
    dialogue_settle(w);
    /* Those that do not follow have their end now, or were cut, though the dialogue lives on. */
    if (clients[0] != NULL)
        RUN_UNTIL(w, dialogue_ended(clients[0]));
    reached = clients[0] != NULL && clients[2] != NULL && fa_inprocess_answered(clients[0])->complete;
out:
    assert_all_end(w, clients, 3);
    return reached;
}

static bool rest_scenario(dialogue_world *w)
{
    fa_inprocess *clients[2] = {NULL};
    bool reached = false;
    NEED(dialogue_try_ask(w, NULL) == FA_OK);
    clients[0] = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w);
    if (clients[0] == NULL)
        assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    else
        RUN_UNTIL(w, dialogue_ended(clients[0]));
    RUN_UNTIL(w, fa_dialogues_live(w->dialogues) ==
                     0); /* the graces are short here, and they come to an end in any case */
    clients[1] = dialogue_listen(w, (listening){.follow = true});
    NEED(clients[1] != NULL && fa_inprocess_answered(clients[1])->status == 200);
    NEED(dialogue_try_ask(w, w->id) == FA_OK && dialogue_push(w, "words") == FA_OK);
    fa_turn_finish(w->turn, FA_TURN_COMPLETED, FA_TEXT("\"own\":1"));
    dialogue_settle(w);
    reached = !dialogue_ended(clients[1]) && fa_buffer_length(fa_inprocess_answered(clients[1])->body) > 500;
out:
    if (clients[1] != NULL)
        fa_inprocess_vanish(clients[1]);
    RUN_UNTIL(w, fa_dialogues_live(w->dialogues) == 0); /* a woken one that got no turn rests again */
    assert_all_end(w, clients, 2);
    return reached;
}

static bool slow_scenario(dialogue_world *w)
{
    fa_inprocess *clients[2] = {NULL};
    bool reached = false;
    NEED(dialogue_try_ask(w, NULL) == FA_OK);
    clients[0] = dialogue_listen(w, (listening){.stepped = true});
    NEED(clients[0] != NULL && fa_inprocess_answered(clients[0])->status == 200);
    bool full = false;
    for (int i = 0; i < 5; ++i)
        full |= dialogue_push_bytes(w, 20000) == FA_FULL;
    NEED(full);
    RUN_UNTIL(w, dialogue_ended(clients[0])); /* dropped: it takes nothing */
    clients[1] = dialogue_listen(w, (listening){.last_event_id = "1.1"});
    NEED(dialogue_push(w, "words") == FA_OK);
    dialogue_finish(w);
    dialogue_settle(w);
    reached = clients[1] != NULL && dialogue_ended(clients[1]) && fa_inprocess_answered(clients[1])->complete;
out:
    assert_all_end(w, clients, 2);
    return reached;
}

static bool run(fa_ledger *ledger, bool (*scenario)(dialogue_world *), uint64_t grace_ms, uint64_t patience_ms)
{
    dialogue_world w = {.questions = 0};
    fa_dialogue_options options = dialogue_test_options();
    options.first_listener_grace_ms = options.reconnect_grace_ms = options.linger_ms = grace_ms;
    options.slow_listener_wait_ms = patience_ms;
    bool reached = dialogue_world_try(&w, ledger, &options) && scenario(&w);
    dialogue_world_close(&w);
    return reached;
}

static void fail_each(bool (*scenario)(dialogue_world *), uint64_t grace_ms, uint64_t patience_ms)
{
    bool reached = false;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = run(failing, scenario, grace_ms, patience_ms);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 50);
}

static void every_allocation_of_a_turn_may_fail(void **state)
{
    (void)state;
    fail_each(turn_scenario, LONG, LONG);
}

static void every_allocation_around_rest_may_fail(void **state)
{
    (void)state;
    fail_each(rest_scenario, 1, LONG);
}

static void every_allocation_with_a_slow_listener_may_fail(void **state)
{
    (void)state;
    fail_each(slow_scenario, LONG, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_vanishes_at_every_stage),
        cmocka_unit_test(a_client_comes_at_every_stage),
        cmocka_unit_test(the_worker_ends_first),
        cmocka_unit_test(every_allocation_of_a_turn_may_fail),
        cmocka_unit_test(every_allocation_around_rest_may_fail),
        cmocka_unit_test(every_allocation_with_a_slow_listener_may_fail),
    };
    return cmocka_run_group_tests_name("dialogues: faults", tests, NULL, NULL);
}
