/* core/memory: scopes and accounts. Buffers are in test_buffer.c, handles in test_handle.c. */
#include "testing.h"

#include <stdio.h>

#include "memory/buffer.h"
#include "memory/scope.h"

static fa_failing memory;
static fa_ledger *ledger;

static int make_ledger(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    return 0;
}

static int free_ledger(void **state)
{
    (void)state;
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_scope *new_scope(fa_scope *parent, fa_kind kind, size_t budget, const char *label)
{
    fa_scope *scope;
    assert_ok(fa_scope_new(ledger, parent, kind, budget, label, FA_HERE, &scope));
    return scope;
}

/* ---- the order of ending ---- */

static char trail[200];

typedef struct mark {
    fa_scope_hook hook;
    char letter;
    fa_scope *end_too;
} mark;

static void leave_mark(fa_scope_hook *hook)
{
    mark *m = FA_OBJECT(hook, mark, hook);
    strncat(trail, &m->letter, 1);
    if (m->end_too != NULL)
        fa_scope_end(m->end_too, "ended from a hook", NULL);
}

static mark *hook_mark(fa_scope *scope, char letter)
{
    mark *m = fa_scope_allocate(scope, sizeof(*m));
    assert_non_null(m);
    m->letter = letter;
    fa_scope_hook_add(scope, &m->hook, leave_mark);
    return m;
}

static void children_then_hooks_newest_first(void **state)
{
    (void)state;
    trail[0] = '\0';
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server");
    hook_mark(root, 'r');
    fa_scope *first = new_scope(root, FA_KIND_REQUEST, 0, "first"),
             *second = new_scope(root, FA_KIND_REQUEST, 0, "second");
    hook_mark(first, 'a');
    hook_mark(second, 'b');
    hook_mark(second, 'c');
    hook_mark(new_scope(first, FA_KIND_TURN, 0, "inner"), 'i');
    fa_scope_hook_remove(&hook_mark(root, 'x')->hook);
    hook_mark(root, 's');
    fa_scope_end(root, "test", NULL);
    assert_string_equal(trail, "cbiasr");
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->ended, 2);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->count, 0);
}

static fa_scope_hook late_hook;
static bool late_hook_ran;

static void note_late(fa_scope_hook *hook)
{
    (void)hook;
    late_hook_ran = true;
}

typedef struct latecomer {
    fa_scope_hook hook;
    fa_scope *scope;
    fa_buffer *detached;
} latecomer;

static void come_late(fa_scope_hook *hook)
{
    latecomer *l = FA_OBJECT(hook, latecomer, hook);
    fa_scope *child;
    fa_buffer *buffer;
    assert_false(fa_scope_live(l->scope));
    assert_null(fa_scope_allocate(l->scope, 1));
    assert_null(fa_scope_copy_text(l->scope, "x", 1));
    assert_int_equal(fa_scope_new(ledger, l->scope, FA_KIND_TURN, 0, "late", FA_HERE, &child), FA_WRONG_STATE);
    assert_int_equal(fa_buffer_new(l->scope, 1, "late", FA_HERE, &buffer), FA_WRONG_STATE);
    assert_int_equal(fa_buffer_adopt(l->scope, l->detached), FA_WRONG_STATE);
    fa_scope_end(l->scope, "again", NULL); /* ignored */
    fa_scope_hook_add(l->scope, &late_hook, note_late);
}

static void nothing_new_in_an_ending_scope(void **state)
{
    (void)state;
    late_hook_ran = false;
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server"),
             *scope = new_scope(root, FA_KIND_REQUEST, 0, "request");
    latecomer *l = fa_scope_allocate(scope, sizeof(*l));
    l->scope = scope;
    assert_ok(fa_buffer_new_detached(fa_scope_account(root), 10, "detached", FA_HERE, &l->detached));
    fa_buffer *detached = l->detached;
    fa_scope_hook_add(scope, &l->hook, come_late);
    fa_scope_end(scope, "test", NULL);
    assert_true(late_hook_ran);
    fa_buffer_release(detached);
    fa_scope_end(root, "test", NULL);
}

static void a_hook_may_end_a_sibling(void **state)
{
    (void)state;
    trail[0] = '\0';
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server");
    fa_scope *older = new_scope(root, FA_KIND_REQUEST, 0, "older"),
             *newer = new_scope(root, FA_KIND_REQUEST, 0, "newer");
    hook_mark(older, 'o');
    hook_mark(newer, 'n')->end_too = older;
    fa_scope_end(root, "test", NULL);
    assert_string_equal(trail, "no");
}

/* The end of the parent and grandparent waits for the child under whose hook it was asked for; the parent's other
 * children end at once. */
static void a_hook_may_end_what_is_above(void **state)
{
    (void)state;
    trail[0] = '\0';
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server"),
             *outer = new_scope(root, FA_KIND_CONNECTION, 0, "outer");
    fa_scope *middle = new_scope(outer, FA_KIND_DIALOGUE, 0, "middle"),
             *inner = new_scope(middle, FA_KIND_TURN, 0, "inner");
    hook_mark(outer, 'O');
    hook_mark(middle, 'M');
    hook_mark(new_scope(outer, FA_KIND_REQUEST, 0, "cousin"), 'c');
    hook_mark(inner, '2');
    hook_mark(inner, '1')->end_too = outer;
    fa_scope_end(inner, "test", NULL);
    assert_string_equal(trail, "1c2MO");
    assert_int_equal(fa_ledger_scopes(ledger), 1);
    fa_scope_end(root, "test", NULL);
}

static void the_summary_tells_what_was_released(void **state)
{
    fa_scope_summary summary = {0};
    fa_buffer *buffer, *in_flight;
    (void)state;
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server");
    size_t before = fa_ledger_bytes(ledger);
    fa_scope *turn = new_scope(root, FA_KIND_TURN, 0, "turn"),
             *transfer = new_scope(turn, FA_KIND_TRANSFER, 0, "transfer");
    assert_ok(fa_buffer_new(turn, 1000, "kept", FA_HERE, &buffer));
    assert_ok(fa_buffer_append(buffer, "x", 1));
    fa_buffer_seal(buffer);
    assert_ok(fa_buffer_new(transfer, 5000, "on its way", FA_HERE, &in_flight));
    fa_buffer_commit(in_flight, 5000);
    fa_buffer_seal(in_flight);
    assert_ok(fa_buffer_lease(in_flight));
    size_t leased = fa_ledger_in_flight(ledger);
    assert_in_range(leased, 5000, 5000 + 300);
    assert_non_null(fa_scope_allocate(transfer, 400));
    size_t with = fa_ledger_bytes(ledger);

    fa_scope_end(turn, "test", &summary);
    assert_int_equal(summary.scopes, 2);
    assert_int_equal(summary.buffers, 2);
    assert_int_equal(summary.handles, 0);
    assert_int_equal(summary.in_flight, leased);
    assert_int_equal(summary.bytes, with - fa_ledger_bytes(ledger)); /* both accounts are still held: by the lease */
    fa_buffer_return(in_flight);
    assert_int_equal(fa_ledger_bytes(ledger), before);
    fa_scope_end(root, "test", NULL);
}

static void a_scope_knows_itself(void **state)
{
    (void)state;
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server");
    fa_scope *turn = new_scope(root, FA_KIND_TURN, 0, "turn 7");
    assert_ptr_equal(fa_scope_parent(turn), root);
    assert_null(fa_scope_parent(root));
    assert_int_equal(fa_scope_kind(turn), FA_KIND_TURN);
    assert_string_equal(fa_scope_label(turn), "turn 7");
    assert_string_equal(fa_scope_made_at(turn).name, __FILE__);
    assert_ptr_equal(fa_scope_ledger(turn), ledger);
    assert_true(fa_scope_live(turn));
    char *zeroed = fa_scope_allocate(turn, 64);
    for (size_t i = 0; i < 64; ++i)
        assert_int_equal(zeroed[i], 0);
    assert_int_equal((uintptr_t)zeroed % _Alignof(max_align_t), 0);
    assert_string_equal(fa_scope_copy_text(turn, "planks", 5), "plank");
    size_t with = fa_ledger_bytes(ledger);
    fa_scope_free(turn, zeroed);
    assert_in_range(with - fa_ledger_bytes(ledger), 64, 128);
    fa_scope_free(turn, NULL);
    assert_null(fa_scope_allocate(turn, SIZE_MAX));
    assert_null(fa_scope_copy_text(turn, "x", SIZE_MAX));
    fa_scope_end(root, "test", NULL);
}

/* ---- accounts ---- */

static void charges_count_at_every_level(void **state)
{
    fa_account *root, *middle, *leaf;
    (void)state;
    assert_ok(fa_account_open(ledger, NULL, FA_KIND_SERVER, 0, "root", &root));
    assert_ok(fa_account_open(ledger, root, FA_KIND_DIALOGUE, 0, "middle", &middle));
    assert_ok(fa_account_open(ledger, middle, FA_KIND_TURN, 0, "leaf", &leaf));
    size_t own = fa_account_bytes(root); /* an account pays for itself */
    assert_int_equal(fa_account_total(root), 3 * own);
    assert_ok(fa_account_charge(leaf, 1000));
    assert_ok(fa_account_charge(middle, 100));
    assert_int_equal(fa_account_bytes(leaf), own + 1000);
    assert_int_equal(fa_account_bytes(middle), own + 100);
    assert_int_equal(fa_account_total(middle), 2 * own + 1100);
    assert_int_equal(fa_account_total(root), 3 * own + 1100);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_TURN)->bytes, own + 1000);
    assert_int_equal(fa_account_room(leaf), SIZE_MAX);
    fa_account_discharge(leaf, 1000);
    fa_account_discharge(middle, 100);
    assert_int_equal(fa_account_total(root), 3 * own);
    assert_int_equal(fa_account_peak(root), 3 * own + 1100);
    assert_int_equal(fa_account_peak(leaf), own + 1000);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_TURN)->peak_bytes, own + 1000);
    fa_account_unref(root); /* the others keep it */
    fa_account_unref(middle);
    fa_account_unref(leaf);
}

static void budgets_bite_at_each_level(void **state)
{
    (void)state;
    for (int tight = 0; tight < 3; ++tight) { /* which level has no room: 0 is the root */
        fa_account *levels[3];
        for (int i = 0; i < 3; ++i) {
            size_t budget = i == tight ? 4096 : 0;
            assert_ok(fa_account_open(ledger, i > 0 ? levels[i - 1] : NULL, FA_KIND_TURN, budget, "level", &levels[i]));
        }
        size_t totals[3], peaks[3], room = fa_account_room(levels[2]);
        assert_in_range(room, 3000, 4096);
        for (int i = 0; i < 3; ++i) {
            totals[i] = fa_account_total(levels[i]);
            peaks[i] = fa_account_peak(levels[i]);
        }
        assert_int_equal(fa_account_charge(levels[2], room + 1), FA_OVER_BUDGET);
        assert_int_equal(fa_account_charge(levels[2], SIZE_MAX - 10), FA_OVER_BUDGET);
        for (int i = 0; i < 3; ++i) { /* a refused charge leaves no mark */
            assert_int_equal(fa_account_total(levels[i]), totals[i]);
            assert_int_equal(fa_account_peak(levels[i]), peaks[i]);
        }
        assert_ok(fa_account_charge(levels[2], room));
        assert_int_equal(fa_account_room(levels[2]), 0);
        assert_int_equal(fa_account_charge(levels[2], 1), FA_OVER_BUDGET);
        fa_account_discharge(levels[2], room);
        for (int i = 2; i >= 0; --i)
            fa_account_unref(levels[i]);
    }
}

static void a_scope_that_does_not_fit_is_over_budget(void **state)
{
    fa_scope *child;
    (void)state;
    fa_scope *root = new_scope(NULL, FA_KIND_SERVER, 0, "server");
    assert_int_equal(fa_scope_new(ledger, root, FA_KIND_TURN, 10, "own budget too small", FA_HERE, &child),
                     FA_OVER_BUDGET);
    for (size_t budget = 100; budget < 1500;
         budget += 20) { /* wherever it bites: the same answer, and nothing left behind */
        fa_scope *small;
        if (fa_scope_new(ledger, root, FA_KIND_DIALOGUE, budget, "small", FA_HERE, &small) != FA_OK)
            continue;
        size_t before = fa_account_total(fa_scope_account(small));
        fa_result result = fa_scope_new(ledger, small, FA_KIND_TURN, 0, "turn", FA_HERE, &child);
        if (result != FA_OK) {
            assert_int_equal(result, FA_OVER_BUDGET);
            assert_int_equal(fa_account_total(fa_scope_account(small)), before);
        }
        fa_scope_end(small, "test", NULL);
    }
    fa_scope_end(root, "test", NULL);
}

static void names_are_interned_once(void **state)
{
    char name[32] = "routes/voice.lua";
    (void)state;
    const char *one = fa_ledger_intern(ledger, name);
    name[0] = 'x';
    assert_string_equal(one, "routes/voice.lua");
    assert_ptr_equal(fa_ledger_intern(ledger, "routes/voice.lua"), one);
    for (int i = 0; i < 1100; ++i) {
        snprintf(name, sizeof(name), "script %d", i);
        fa_ledger_intern(ledger, name);
    }
    assert_string_equal(fa_ledger_intern(ledger, "one too many"), "(unnamed script)");
    assert_ptr_equal(fa_ledger_intern(ledger, "routes/voice.lua"), one);
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind)
        assert_non_null(fa_kind_name((fa_kind)kind));
}

/* ---- every allocation may fail ---- */

static bool scope_scenario(fa_ledger *of)
{
    bool reached = false;
    fa_scope *root = NULL, *child;
    NEED(fa_scope_new(of, NULL, FA_KIND_SERVER, 100000, "server", FA_HERE, &root) == FA_OK);
    NEED(fa_scope_new(of, root, FA_KIND_REQUEST, 0, "request", FA_HERE, &child) == FA_OK);
    NEED(fa_scope_allocate(child, 100) != NULL);
    char *text = fa_scope_copy_text(root, "text", 4);
    NEED(text != NULL);
    fa_scope_free(root, text);
    fa_ledger_intern(of, "a script");
    NEED(fa_scope_new(of, child, FA_KIND_TURN, 0, "turn", FA_HERE, &child) == FA_OK);
    reached = true;
out:
    if (root != NULL)
        fa_scope_end(root, "test", NULL);
    return reached;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scope_scenario(failing);
    }
    assert_true(reached);
    assert_in_range(fa_failing_runs(), 20, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(children_then_hooks_newest_first, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(nothing_new_in_an_ending_scope, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(a_hook_may_end_a_sibling, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(a_hook_may_end_what_is_above, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(the_summary_tells_what_was_released, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(a_scope_knows_itself, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(charges_count_at_every_level, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(budgets_bite_at_each_level, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(a_scope_that_does_not_fit_is_over_budget, make_ledger, free_ledger),
        cmocka_unit_test_setup_teardown(names_are_interned_once, make_ledger, free_ledger),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
