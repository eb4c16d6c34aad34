/* core/memory/census and core/dialogue/census: who owns what, in a fixed size, and who reads slowly. */
#include "dialogue_world.h"

#include <stdio.h>

#include "dialogue/census.h"
#include "memory/census.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *root;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_WORKER, 0, "worker", FA_HERE, &root));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_scope_end(root, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_scope *child(fa_scope *parent, fa_kind kind, const char *label, uint32_t line)
{
    fa_scope *scope;
    assert_ok(fa_scope_new(ledger, parent, kind, 0, label, (fa_origin){"routes/made.lua", line}, &scope));
    return scope;
}

static fa_census taken(const fa_scope *except)
{
    fa_census census = {0};
    fa_census_take(&census, root, except, 3, fa_now_ms() + 5000);
    return census;
}

static void every_byte_is_found_at_its_owner_and_its_line(void **state)
{
    (void)state;
    fa_buffer *buffer;
    fa_scope *dialogue = child(root, FA_KIND_DIALOGUE, "dialogue d", 10);
    fa_scope *turn = child(dialogue, FA_KIND_TURN, "turn 1", 20);
    assert_non_null(fa_scope_allocate(dialogue, 5000));
    assert_ok(fa_buffer_new(turn, 9000, "chunk", (fa_origin){"routes/made.lua", 30}, &buffer));
    fa_census c = taken(NULL);
    assert_int_equal(c.scopes, 3);
    assert_int_equal(c.buffers, 1);
    assert_int_equal(c.bytes, fa_ledger_bytes(ledger));
    assert_string_equal(c.largest[0].label, "turn 1");
    assert_int_equal(c.largest[0].own, fa_account_bytes(fa_scope_account(turn)));
    assert_int_equal(c.largest[0].worker, 3);
    assert_string_equal(c.largest[1].label, "dialogue d");
    assert_int_equal(c.largest[1].total, fa_account_total(fa_scope_account(dialogue)));
    assert_true(c.largest[1].age_ms >= 4900 && c.largest[1].age_ms < 30000);
    assert_int_equal(c.oldest_count, 2); /* a worker lasts: its age says nothing */

    size_t sum = 0;
    fa_census_sort(&c);
    for (size_t i = 0; i < c.place_count; ++i)
        sum += c.places[i].bytes;
    assert_int_equal(sum, c.bytes);
    assert_int_equal(c.places[0].at.line, 30);
    assert_int_equal(c.places[0].bytes, fa_buffer_cost(buffer));
    assert_int_equal(c.places[0].buffers, 1);
    assert_int_equal(c.places[1].at.line, 10);
}

static void the_asking_one_is_left_out_with_all_below_it(void **state)
{
    (void)state;
    fa_scope *asking = child(root, FA_KIND_REQUEST, "request 1", 1);
    child(child(asking, FA_KIND_TURN, "below", 2), FA_KIND_TURN, "further below", 3);
    child(root, FA_KIND_REQUEST, "request 2", 4);
    fa_census c = taken(asking);
    assert_int_equal(c.scopes, 2);
    assert_int_equal(c.oldest_count, 1);
    assert_string_equal(c.oldest[0].label, "request 2");
}

static void however_many_there_are_it_keeps_the_largest(void **state)
{
    (void)state;
    enum { MANY = 400 };
    size_t sum = 0, requests;
    char label[32];
    for (uint32_t i = 0; i < MANY; ++i) {
        snprintf(label, sizeof(label), "number %u", i);
        fa_scope *scope = child(root, FA_KIND_REQUEST, label, i);
        assert_non_null(fa_scope_allocate(scope, 100 + (i * 37) % MANY * 16));
    }
    requests = memory.requests;
    fa_census c = taken(NULL), twice = {0};
    assert_int_equal(memory.requests, requests); /* it takes no memory */
    assert_int_equal(c.scopes, MANY + 1);
    assert_int_equal(c.largest_count, FA_CENSUS_OWNERS);
    for (size_t i = 1; i < c.largest_count; ++i)
        assert_true(c.largest[i - 1].own >= c.largest[i].own);
    assert_int_equal(c.place_count, FA_CENSUS_PLACES);
    for (size_t i = 0; i < c.place_count; ++i)
        sum += c.places[i].bytes;
    assert_int_equal(sum + c.other.bytes, c.bytes); /* what does not fit is not forgotten */
    assert_int_equal(c.other.scopes, MANY + 1 - FA_CENSUS_PLACES);

    fa_census_merge(&twice, &c);
    fa_census_merge(&twice, &c);
    assert_int_equal(twice.bytes, 2 * c.bytes);
    assert_int_equal(twice.largest[1].own, c.largest[0].own);
    assert_int_equal(twice.places[0].bytes, 2 * c.places[0].bytes);
    assert_int_equal(twice.other.bytes, 2 * c.other.bytes);
}

static void an_origin_is_told_without_the_folders_of_the_build(void **state)
{
    char text[80];
    (void)state;
    assert_string_equal(fa_origin_text((fa_origin){"/home/x/core/y/core/http/request.c", 7}, text, sizeof(text)),
                        "core/http/request.c:7");
    assert_string_equal(fa_origin_text((fa_origin){"routes/voice.lua", 31}, text, sizeof(text)), "routes/voice.lua:31");
}

/* ---- dialogues ---- */

static void a_listener_that_takes_nothing_is_found_slow(void **state)
{
    (void)state;
    fa_dialogues_census c = {0}, both = {0};
    fa_dialogue_options options = dialogue_test_options();
    options.listener_queue = 4096;
    dialogue_world *w = dialogue_world_begin(&options);
    dialogue_ask(w, NULL);
    dialogue_listen(w, (listening){.follow = false});
    fa_inprocess *slow = dialogue_listen(w, (listening){.stepped = true, .remote = "10.0.0.9"});
    (void)slow;
    dialogue_settle(w);
    assert_ok(dialogue_push_bytes(w, 3000));
    assert_ok(dialogue_push_bytes(w, 3000));
    dialogue_settle(w);
    fa_test_run_for(w->worker, FA_SLOW_AFTER_MS + 100);
    fa_dialogues_take_census(w->dialogues, &c);
    assert_int_equal(c.live, 1);
    assert_int_equal(c.listeners, 2);
    assert_int_equal(c.behind, 1);
    assert_int_equal(c.slow, 1);
    assert_true(c.slow_rate < FA_SLOW_RATE);
    assert_true(c.log_bytes >= 6000 && c.slow_held == c.log_bytes);
    assert_int_equal(c.replay + c.lookahead, c.log_bytes);
    assert_int_equal(c.lookahead, 0); /* the fast one has all */
    assert_string_equal(c.slowest[0].dialogue, w->id);
    assert_string_equal(c.slowest[0].remote, "10.0.0.9");
    assert_string_equal(c.largest_dialogue, w->id);
    fa_dialogues_merge_census(&both, &c);
    fa_dialogues_merge_census(&both, &c);
    assert_int_equal(both.log_bytes, 2 * c.log_bytes);
    assert_int_equal(both.slowest_count, 2);
    dialogue_world_end(w);
}

static void what_nobody_has_begun_to_read_is_lookahead(void **state)
{
    (void)state;
    fa_dialogues_census c = {0};
    dialogue_world *w = dialogue_world_begin(NULL);
    dialogue_ask(w, NULL);
    assert_ok(dialogue_push_bytes(w, 3000));
    fa_dialogues_take_census(w->dialogues, &c);
    assert_true(c.lookahead >= 3000 && c.lookahead == c.log_bytes);
    assert_int_equal(c.slow, 0);
    dialogue_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_is_found_at_its_owner_and_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_asking_one_is_left_out_with_all_below_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(however_many_there_are_it_keeps_the_largest, set_up, tear_down),
        cmocka_unit_test(an_origin_is_told_without_the_folders_of_the_build),
        cmocka_unit_test(a_listener_that_takes_nothing_is_found_slow),
        cmocka_unit_test(what_nobody_has_begun_to_read_is_lookahead),
    };
    return cmocka_run_group_tests_name("census", tests, NULL, NULL);
}
