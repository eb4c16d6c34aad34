/* core/dialogue: doubles, limits, bounded histories, and the drain. */
#include "dialogue_world.h"

#include <stdio.h>

#include "dialogue/history.h"

#define GREETING "retry ping "

static fa_text id_of(const dialogue_world *w)
{
    return (fa_text){w->id, strlen(w->id)};
}

/* ---- the same question twice ---- */

static fa_asked ask(dialogue_world *w, fa_question question)
{
    fa_asked asked;
    assert_ok(fa_dialogues_ask(w->dialogues, &question, &asked, NULL));
    assert_true(asked.joined == (asked.turn == NULL));
    return asked;
}

static bool same(fa_asked a, fa_asked b)
{
    return strcmp(a.dialogue_id, b.dialogue_id) == 0;
}

static void a_key_makes_doubles(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    fa_question question = {.idempotency_key = FA_TEXT("k1"), .text = FA_TEXT("a"), .body = FA_TEXT("a")};
    fa_asked first = ask(w, question);
    question.body = question.text = FA_TEXT("b");
    question.remote = FA_TEXT("10.0.0.9");
    fa_asked second = ask(w, question);
    assert_true(second.joined && same(first, second));
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    question.authorization = FA_TEXT("Bearer x");
    assert_false(ask(w, question).joined); /* somebody else's key */
    question.authorization = FA_TEXT("");
    question.idempotency_key = FA_TEXT("k2");
    assert_false(ask(w, question).joined);
    question.idempotency_key = FA_TEXT("k1");
    question.dialogue_id = (fa_text){first.dialogue_id, strlen(first.dialogue_id)};
    fa_asked next = ask(w, question); /* a body that names another dialogue is another question */
    assert_true(!next.joined && same(first, next));
    assert_true(ask(w, question).joined);
    dialogue_world_end(w);
}

static void equal_questions_are_doubles_for_a_moment(void **state)
{
    static const fa_question base = {.remote = {"10.0.0.1", 8}, .user_agent = {"x", 1}, .body = {"{}", 2}};
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.duplicate_window_ms = 150;
    dialogue_world *w = dialogue_world_begin(&options);
    fa_asked first = ask(w, base);
    assert_true(ask(w, base).joined);
    fa_question other = base;
    other.remote = FA_TEXT("10.0.0.2");
    assert_false(ask(w, other).joined);
    other = base;
    other.user_agent = FA_TEXT("y");
    assert_false(ask(w, other).joined);
    other = base;
    other.authorization = FA_TEXT("z");
    assert_false(ask(w, other).joined);
    other = base;
    other.body = FA_TEXT("{} ");
    assert_false(ask(w, other).joined);
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 170;)
        dialogue_turn_loop(w);
    assert_false(same(first, ask(w, base)));
    dialogue_world_end(w);
}

static void doubles_can_be_switched_off(void **state)
{
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.duplicate_window_ms = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    fa_question question = {.body = FA_TEXT("{}")};
    assert_false(same(ask(w, question), ask(w, question)));
    dialogue_world_end(w);
}

/* The producer could not begin. Who asks again, with the same key, is answered anew. */
static void a_question_is_taken_back(void **state)
{
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    fa_question question = {.idempotency_key = FA_TEXT("k"), .text = FA_TEXT("a")};
    fa_asked first = ask(w, question);
    fa_dialogues_take_back(w->dialogues, &first);
    assert_int_equal(fa_dialogues_live(w->dialogues), 0);
    fa_asked second = ask(w, question);
    assert_true(!second.joined && !same(first, second));
    question.dialogue_id = (fa_text){second.dialogue_id, strlen(second.dialogue_id)};
    fa_asked third = ask(w, question);
    memcpy(w->id, second.dialogue_id, sizeof(w->id));
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    fa_dialogues_take_back(w->dialogues, &third); /* a later turn: the dialogue lives */
    assert_heard(a, GREETING "done(failed)@2.3 complete(failed)@2.4 |");
    assert_int_equal(fa_dialogues_live(w->dialogues), 1);
    dialogue_world_end(w);
}

/* ---- limits ---- */

static void there_is_a_most_of_listeners(void **state)
{
    fa_inprocess *all[8];
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    for (int i = 0; i < 8; ++i)
        all[i] = dialogue_listen(w, (listening){.follow = i % 2 == 0});
    assert_open(w, w->id, "429 too_many_listeners");
    dialogue_vanish(w, all[3]);
    assert_open(w, w->id, "retry ping");
    dialogue_world_end(w);
}

static void there_is_a_most_of_dialogues(void **state)
{
    fa_error error = {""};
    fa_asked asked;
    (void)state;
    fa_dialogue_options options = dialogue_test_options();
    options.linger_ms = 0;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    char resting[FA_DIALOGUE_ID_SIZE];
    memcpy(resting, w->id, sizeof(resting));
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(a) && fa_dialogues_resting(w->dialogues) == 1);
    for (int i = 0; i < 10; ++i)
        dialogue_ask(w, NULL);
    fa_question question = {.body = FA_TEXT("one too many")};
    assert_int_equal(fa_dialogues_ask(w->dialogues, &question, &asked, &error), FA_FULL);
    assert_string_equal(error.text, "All 10 dialogues are in use.");
    assert_int_equal(dialogue_try_ask(w, resting), FA_FULL);
    a = dialogue_listen(w, (listening){.follow = true, .id = resting});
    assert_heard(a, "503 over_budget");
    assert_int_equal(fa_dialogues_resting(w->dialogues), 1); /* refused, not lost */
    dialogue_ask(w, w->id);                                  /* the next turn of one that is there */
    assert_ok(fa_dialogues_delete(w->dialogues, id_of(w)));
    dialogue_ask(w, resting);
    dialogue_world_end(w);
}

static void a_turn_has_a_budget(void **state)
{
    fa_buffer *buffer;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_int_equal(fa_buffer_new(fa_turn_scope(w->turn), 300 * 1024, "x", FA_HERE, &buffer), FA_OVER_BUDGET);
    assert_ok(fa_buffer_new(fa_turn_scope(w->turn), 200 * 1024, "x", FA_HERE, &buffer));
    for (int i = 0; i < 3000; ++i)
        fa_turn_said(w->turn, FA_TEXT("more than any history keeps "));
    dialogue_finish(w);
    assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_TURN)->bytes, 0);
    dialogue_world_end(w);
}

/* ---- histories ---- */

static void histories_are_bounded(void **state)
{
    char role;
    fa_text text;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    for (size_t limit = 0; limit < 64; ++limit) {
        fa_history *history = fa_history_new(w->clients, limit);
        for (int i = 0; i < 50; ++i) {
            fa_history_add(history, 'u', (fa_text){"0123456789abcdefghijklmnopqrstuvwxyz", (size_t)i % 37});
            size_t total = 0;
            for (size_t n = 0; fa_history_get(history, n, &role, &text); ++n) {
                total += text.length;
                assert_memory_equal(text.data, "0123456789abcdefghijklmnopqrstuvwxyz", text.length);
            }
            assert_true(total <= limit);
        }
        fa_history_add(history, 'a', FA_TEXT("last"));
        size_t last = 0;
        while (fa_history_get(history, last, &role, &text))
            ++last;
        if (last > 0) {
            assert_true(fa_history_get(history, last - 1, &role, &text));
            assert_true(limit < 16 || fa_text_is(text, "last"));
        }
    }
    dialogue_world_end(w);
}

static void a_cut_text_is_still_text(void **state)
{
    char role;
    fa_text text;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    fa_history *history = fa_history_new(w->clients, 32);
    fa_history_add(history, 'a',
                   FA_TEXT("aaaaaaaaaaa\xe2\x82\xac\xe2\x82\xac")); /* 12 bytes have room, which is in a character */
    assert_true(fa_history_get(history, 0, &role, &text));
    assert_true(fa_text_is(text, "aaaaaaaaaaa"));
    dialogue_world_end(w);
}

/* ---- drain ---- */

static void on_empty(void *context)
{
    ++*(unsigned *)context;
}

static void a_drain_lets_turns_finish(void **state)
{
    unsigned empty = 0;
    fa_error error = {""};
    fa_asked asked;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL); /* read, lingers */
    fa_inprocess *read = dialogue_listen(w, (listening){.follow = false});
    dialogue_finish(w);
    RUN_UNTIL(w, dialogue_ended(read));
    dialogue_ask(w, NULL); /* idle with a follower */
    dialogue_finish(w);
    fa_inprocess *f = dialogue_listen(w, (listening){.follow = true});
    assert_heard(f, GREETING "done(completed)@1.1 complete(completed)@1.2");
    dialogue_ask(w, NULL); /* over, and nobody came */
    dialogue_finish(w);
    dialogue_ask(w, NULL);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = false});
    fa_dialogues_drain(w->dialogues, on_empty, &empty);
    assert_heard(f, GREETING "done(completed)@1.1 complete(completed)@1.2 |");
    RUN_UNTIL(w, fa_dialogues_live(w->dialogues) == 1);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1);
    assert_int_equal(empty, 0);
    fa_question question = {.body = FA_TEXT("a late question")};
    assert_int_equal(fa_dialogues_ask(w->dialogues, &question, &asked, &error), FA_FULL);
    assert_string_equal(error.text, "The server stops: it takes no more questions.");
    assert_int_equal(dialogue_try_ask(w, w->id), FA_FULL);
    assert_int_equal(fa_dialogues_running(w->dialogues), 1); /* and interrupted nothing */
    assert_ok(dialogue_push(w, "words"));
    dialogue_finish(w);
    RUN_UNTIL(w, empty == 1);
    assert_heard(a, GREETING "words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
    assert_nothing_left(w);
    dialogue_settle(w);
    assert_int_equal(empty, 1);
    dialogue_world_end(w);
}

static void a_drain_waits_for_those_that_still_read(void **state)
{
    unsigned empty = 0;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true});
    assert_ok(dialogue_push_bytes(w, 20000));
    dialogue_finish(w);
    fa_dialogues_drain(w->dialogues, on_empty, &empty);
    dialogue_settle(w);
    assert_int_equal(empty, 0);
    fa_inprocess_take(slow, SIZE_MAX);
    assert_heard(slow, GREETING "words@1.1 done(completed)@1.2 complete(completed)@1.3 |");
    RUN_UNTIL(w, empty == 1);
    dialogue_world_end(w);
}

static void a_drain_may_have_nothing_to_wait_for(void **state)
{
    unsigned empty = 0;
    (void)state;
    dialogue_world *w = dialogue_world_begin(NULL);
    fa_dialogues_drain(w->dialogues, on_empty, &empty);
    assert_int_equal(empty, 1);
    dialogue_world_end(w);

    w = dialogue_world_begin(NULL);
    for (int i = 0; i < 10; ++i)
        dialogue_ask(w, NULL);
    empty = 0;
    fa_dialogues_drain(w->dialogues, on_empty, &empty);
    fa_inprocess *a = dialogue_listen(w, (listening){.follow = true});
    fa_dialogues_end_all(w->dialogues, "patience ended");
    assert_int_equal(empty, 1);
    assert_heard(a, GREETING "done(cancelled)@1.1 complete(cancelled)@1.2 |");
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_makes_doubles),
        cmocka_unit_test(equal_questions_are_doubles_for_a_moment),
        cmocka_unit_test(doubles_can_be_switched_off),
        cmocka_unit_test(a_question_is_taken_back),
        cmocka_unit_test(there_is_a_most_of_listeners),
        cmocka_unit_test(there_is_a_most_of_dialogues),
        cmocka_unit_test(a_turn_has_a_budget),
        cmocka_unit_test(histories_are_bounded),
        cmocka_unit_test(a_cut_text_is_still_text),
        cmocka_unit_test(a_drain_lets_turns_finish),
        cmocka_unit_test(a_drain_waits_for_those_that_still_read),
        cmocka_unit_test(a_drain_may_have_nothing_to_wait_for),
    };
    return cmocka_run_group_tests_name("dialogues: doubles, limits, drain", tests, NULL, NULL);
}
