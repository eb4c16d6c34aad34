/* core/memory: handles: late use, reuse, forgery, full tables, and the stories they tell. */
#include "testing.h"

#include "memory/buffer.h"
#include "memory/handle.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *worker, *turn;
static fa_handle_table *table;
static unsigned releases;
static void *last_released;

static void count_release(void *object)
{
    releases++;
    last_released = object;
}

static const fa_handle_type buffer_type = {"buffer", count_release}, stream_type = {"stream", NULL};
static const fa_origin line_31 = {"routes/voice.lua", 31}, line_40 = {"routes/voice.lua", 40};
static int thing, other_thing;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_WORKER, 0, "worker", FA_HERE, &worker));
    assert_ok(fa_scope_new(ledger, worker, FA_KIND_TURN, 0, "turn 7", FA_HERE, &turn));
    assert_non_null(table = fa_handle_table_new(worker, 128));
    releases = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fa_scope_end(worker, "test", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_handle make(fa_scope *scope)
{
    fa_handle handle;
    assert_ok(fa_handle_make(table, &buffer_type, &thing, scope, "tts chunk 3", line_31, &handle));
    return handle;
}

static void assert_story(fa_handle handle, const fa_handle_type *type, const char *story)
{
    fa_error error;
    assert_null(fa_handle_resolve(table, handle, type, &error));
    assert_string_equal(error.text, story);
    assert_null(fa_handle_resolve(table, handle, type, NULL));
    assert_int_equal(fa_handle_release(table, handle, type, line_40, &error), FA_INVALID);
    assert_string_equal(error.text, story);
    assert_int_equal(fa_handle_move(table, handle, type, worker, &error), FA_INVALID);
    assert_string_equal(error.text, story);
}

static void a_live_handle_resolves(void **state)
{
    char text[100];
    (void)state;
    fa_handle handle = make(turn);
    assert_int_not_equal(handle.generation, 0);
    assert_ptr_equal(fa_handle_resolve(table, handle, &buffer_type, NULL), &thing);
    fa_handle_describe(table, handle, text, sizeof(text));
    assert_string_equal(text, "buffer #0 'tts chunk 3' of turn 7");
    assert_int_equal(*fa_ledger_handles(ledger), 1);
}

static void stale_by_release(void **state)
{
    (void)state;
    fa_handle handle = make(turn);
    assert_ok(fa_handle_release(table, handle, &buffer_type, line_40, NULL));
    assert_int_equal(releases, 1);
    assert_ptr_equal(last_released, &thing);
    assert_int_equal(*fa_ledger_handles(ledger), 0);
    assert_story(handle, &buffer_type,
                 "buffer #0 'tts chunk 3' of turn 7: used after release (made at routes/voice.lua:31, released at "
                 "routes/voice.lua:40)");
    fa_scope_end(turn, "test", NULL);
    assert_int_equal(releases, 1);
}

static void stale_by_the_end_of_its_scope(void **state)
{
    fa_scope_summary summary = {0};
    (void)state;
    fa_handle handle = make(turn), second = make(turn), kept = make(worker);
    fa_scope_end(turn, "interrupted", &summary);
    assert_int_equal(summary.handles, 2);
    assert_int_equal(releases, 2);
    assert_story(
        handle, &buffer_type,
        "buffer #0 'tts chunk 3' of turn 7: used after release (made at routes/voice.lua:31, released when turn 7 "
        "ended: interrupted)");
    assert_null(fa_handle_resolve(table, second, &buffer_type, NULL));
    assert_ptr_equal(fa_handle_resolve(table, kept, &buffer_type, NULL), &thing);
}

/* The line is the one noted for the scope or for an ending one above it, else the one that a running script stands at. */
static fa_origin stand_at_58(void *context)
{
    (*(unsigned *)context)++;
    return (fa_origin){"routes/voice.lua", 58};
}

static void the_line_of_its_scopes_end(void **state)
{
    unsigned asked = 0;
    fa_scope *inner;
    (void)state;
    assert_ok(fa_scope_new(ledger, turn, FA_KIND_SCRIPT, 0, "answering", FA_HERE, &inner));
    fa_handle deep = make(inner), deep2 = make(inner), handle = make(turn);
    fa_locator before = fa_handle_table_locate(table, (fa_locator){stand_at_58, &asked});
    assert_null(before.locate);
    fa_scope_end_noted(turn, line_40);
    fa_scope_end(turn, "interrupted", NULL);
    assert_int_equal(asked, 0);
    assert_story(deep, &buffer_type,
                 "buffer #0 'tts chunk 3' of answering: used after release (made at routes/voice.lua:31, released when "
                 "answering ended at routes/voice.lua:40: interrupted)");
    assert_null(fa_handle_resolve(table, deep2, &buffer_type, NULL));
    assert_story(handle, &buffer_type,
                 "buffer #2 'tts chunk 3' of turn 7: used after release (made at routes/voice.lua:31, released when "
                 "turn 7 ended at routes/voice.lua:40: interrupted)");
    assert_ok(fa_scope_new(ledger, worker, FA_KIND_TURN, 0, "turn 8", FA_HERE, &turn));
    handle = make(turn);
    make(turn);
    fa_scope_end(turn, "interrupted", NULL);
    assert_int_equal(asked, 1); /* once a scope */
    assert_story(handle, &buffer_type,
                 "buffer #3 'tts chunk 3' of turn 8: used after release (made at routes/voice.lua:31, released when "
                 "turn 8 ended at routes/voice.lua:58: interrupted)");
    before = fa_handle_table_locate(table, (fa_locator){NULL, NULL});
    assert_ptr_equal(before.context, &asked);
}

static void stale_by_reuse_of_its_slot(void **state)
{
    char text[100];
    (void)state;
    fa_handle old = make(turn), handle;
    assert_ok(fa_handle_release(table, old, &buffer_type, line_40, NULL));
    unsigned others = 0;
    do { /* freed slots are reused oldest first: the story lives for at least a page of further handles */
        assert_ok(fa_handle_make(table, &stream_type, &other_thing, turn, "other", line_31, &handle));
        others++;
    } while (handle.index != old.index);
    assert_true(others > 60);
    assert_story(old, &buffer_type, "buffer #0: used after release (its slot has been reused since)");
    assert_story(old, &stream_type, "stream #0: used after release (its slot has been reused since)");
    fa_handle_describe(table, old, text, sizeof(text));
    assert_string_equal(text, "handle #0 (released, its slot reused)");
    assert_ptr_equal(fa_handle_resolve(table, handle, &stream_type, NULL), &other_thing);
}

static void of_another_type(void **state)
{
    (void)state;
    assert_story(make(turn), &stream_type, "stream handle expected, got a buffer");
    assert_int_equal(releases, 0);
}

static void of_another_table(void **state)
{
    fa_handle there;
    (void)state;
    fa_handle here = make(turn);
    fa_handle_table *other = fa_handle_table_new(worker, 128);
    assert_non_null(other);
    assert_ok(fa_handle_make(other, &buffer_type, &other_thing, turn, "there", line_31, &there));
    assert_int_equal(here.index, there.index);
    assert_null(fa_handle_resolve(table, there, &buffer_type, NULL));
    assert_null(fa_handle_resolve(other, here, &buffer_type, NULL));
}

static void forged(void **state)
{
    char text[100];
    (void)state;
    fa_handle handle = make(turn);
    assert_story((fa_handle){0, 0}, &buffer_type, "buffer handle expected, got none");
    assert_story((fa_handle){99999, 1}, &buffer_type, "buffer handle expected, got none");
    assert_story((fa_handle){UINT32_MAX, UINT32_MAX}, &buffer_type, "buffer handle expected, got none");
    for (uint32_t index = 0; index < 200; ++index) { /* slots that were never given out, too */
        for (uint32_t step = 1; step < 5; ++step) {
            fa_handle guess = {index, handle.generation + step};
            assert_null(fa_handle_resolve(table, guess, &buffer_type, NULL));
            guess.generation = handle.generation - step;
            assert_null(fa_handle_resolve(table, guess, &buffer_type, NULL));
            fa_handle_describe(table, guess, text, sizeof(text));
        }
    }
    assert_ptr_equal(fa_handle_resolve(table, handle, &buffer_type, NULL), &thing);
}

static void a_full_table_says_so(void **state)
{
    fa_handle handles[10], one;
    (void)state;
    table = fa_handle_table_new(worker, 10);
    for (int i = 0; i < 10; ++i)
        handles[i] = make(turn);
    assert_int_equal(fa_handle_make(table, &buffer_type, &thing, turn, "eleventh", line_31, &one), FA_FULL);
    assert_ok(fa_handle_release(table, handles[3], &buffer_type, line_40, NULL));
    make(turn);
    assert_int_equal(fa_handle_make(table, &buffer_type, &thing, turn, "eleventh", line_31, &one), FA_FULL);

    table = fa_handle_table_new(worker, 64); /* a full page: every slot is used */
    for (int i = 0; i < 64; ++i)
        make(turn);
    assert_int_equal(fa_handle_make(table, &buffer_type, &thing, turn, "one more", line_31, &one), FA_FULL);
}

static void a_handle_moves_to_another_scope(void **state)
{
    char text[100];
    (void)state;
    fa_handle handle = make(turn);
    assert_ok(fa_handle_move(table, handle, &buffer_type, worker, NULL));
    fa_scope_end(turn, "test", NULL);
    assert_ptr_equal(fa_handle_resolve(table, handle, &buffer_type, NULL), &thing);
    fa_handle_describe(table, handle, text, sizeof(text));
    assert_string_equal(text, "buffer #0 'tts chunk 3' of worker");
}

/* What a crowd of handles needed goes with them: after every burst the table is as large as it was. */
static void a_table_shrinks_to_what_it_was(void **state)
{
    enum { CROWD = 3000 };
    (void)state;
    table = fa_handle_table_new(worker, 65536);
    size_t before = fa_account_bytes(fa_scope_account(worker));
    fa_handle first = make(worker), last = {0, 0};
    for (int i = 0; i < CROWD; ++i)
        last = make(turn);
    assert_true(fa_account_bytes(fa_scope_account(worker)) > before);
    fa_scope_end(turn, "interrupted", NULL);
    assert_ok(fa_handle_release(table, first, &buffer_type, line_40, NULL));
    assert_int_equal(fa_account_bytes(fa_scope_account(worker)), before);
    assert_null(fa_handle_resolve(table, last, &buffer_type, NULL));
    assert_ok(fa_scope_new(ledger, worker, FA_KIND_TURN, 0, "turn 8", FA_HERE, &turn));
    for (int i = 0; i < CROWD; ++i) { /* no later handle is taken for an earlier one */
        fa_handle again = make(turn);
        assert_true(again.index != last.index || again.generation != last.generation);
    }
    assert_null(fa_handle_resolve(table, last, &buffer_type, NULL));
}

/* A type's release may use the table, and end other scopes. */
static fa_handle chained;

static void release_another(void *object)
{
    (void)object;
    fa_handle_release(table, chained, &buffer_type, line_40, NULL);
    fa_handle late;
    assert_int_equal(fa_handle_make(table, &buffer_type, &thing, turn, "late", line_31, &late), FA_WRONG_STATE);
}

static void release_may_use_the_table(void **state)
{
    static const fa_handle_type chain_type = {"chain", release_another};
    fa_handle first;
    (void)state;
    assert_ok(fa_handle_make(table, &chain_type, &thing, turn, "first", line_31, &first));
    chained = make(turn);
    fa_scope_end(turn, "test", NULL);
    assert_int_equal(releases, 1);
    assert_int_equal(*fa_ledger_handles(ledger), 0);
}

/* ... and add a hook to the scope that is ending: it runs too. */
static fa_scope_hook late_hook;
static unsigned late_hooks;

static void count_late_hook(fa_scope_hook *hook)
{
    (void)hook;
    late_hooks++;
}

static void hook_late(void *object)
{
    fa_scope_hook_add(object, &late_hook, count_late_hook);
}

static void release_may_add_a_hook(void **state)
{
    static const fa_handle_type hooking_type = {"hooking", hook_late};
    fa_handle handle;
    (void)state;
    assert_ok(fa_handle_make(table, &hooking_type, turn, turn, "hooking", line_31, &handle));
    late_hooks = 0;
    fa_scope_end(turn, "test", NULL);
    assert_int_equal(late_hooks, 1);
}

static bool handle_scenario(fa_ledger *of)
{
    bool reached = false;
    fa_scope *owner = NULL, *child;
    NEED(fa_scope_new(of, NULL, FA_KIND_WORKER, 0, "worker", FA_HERE, &owner) == FA_OK);
    NEED(fa_scope_new(of, owner, FA_KIND_TURN, 0, "turn", FA_HERE, &child) == FA_OK);
    fa_handle_table *handles = fa_handle_table_new(owner, 1000);
    NEED(handles != NULL);
    bool all = true;
    for (int i = 0; i < 200; ++i) { /* a page that cannot be had costs what needs it, and no more */
        fa_handle handle;
        fa_result result = fa_handle_make(handles, &stream_type, &thing, i % 2 ? child : owner, "h", line_31, &handle);
        assert_true(result == FA_OK || result == FA_NO_MEMORY);
        if (result == FA_OK)
            assert_ptr_equal(fa_handle_resolve(handles, handle, &stream_type, NULL), &thing);
        all = all && result == FA_OK;
    }
    fa_scope_end(child, "test", NULL);
    reached = all;
out:
    if (owner != NULL)
        fa_scope_end(owner, "test", NULL);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = handle_scenario(failing);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_live_handle_resolves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_by_release, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_by_the_end_of_its_scope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_line_of_its_scopes_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_by_reuse_of_its_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_another_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_another_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_table_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handle_moves_to_another_scope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_shrinks_to_what_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(release_may_use_the_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(release_may_add_a_hook, set_up, tear_down),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
