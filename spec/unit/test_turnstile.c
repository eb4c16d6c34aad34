/* core/worker/turnstile: how many are inside, who comes next, who is turned away, and that no place is lost between threads. */
#include "testing.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/turnstile.h"

enum { WORKERS = 4, VISITORS = 24, VISITS = 400, MOST = 3, LINE = 10 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *server;
static fa_worker *workers[WORKERS];
static fa_turnstiles *turnstiles;
static fa_turnstile *turnstile;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &server));
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_ok(fa_worker_new(ledger, server, i, NULL, &workers[i], NULL));
    turnstiles = fa_turnstiles_new(server);
    assert_non_null(turnstiles);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; ++i) {
        fa_worker_finish(workers[i]);
        fa_worker_run(workers[i]);
        fa_worker_free(workers[i]);
    }
    fa_scope_end(server, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static void open_turnstile(unsigned inside, unsigned waiting, uint64_t wait_ms)
{
    fa_turnstile_limits limits = {inside, waiting, wait_ms};
    assert_ok(fa_turnstiles_find(turnstiles, "POST /x", &limits, &turnstile));
}

static fa_turnstile_figures figures(void)
{
    fa_turnstile_figures f;
    assert_true(fa_turnstiles_read(turnstiles, 0, &f));
    return f;
}

/* ---- one thread ---- */

typedef struct guest {
    fa_turnstile_pass pass;
    fa_result result; /* FA_CONFLICT: no answer yet */
    unsigned order;
} guest;

static unsigned answered;

static void on_answer(fa_turnstile_pass *pass, fa_result result)
{
    guest *g = FA_OBJECT(pass, guest, pass);
    g->result = result;
    g->order = ++answered;
}

static fa_result enter(guest *g)
{
    g->result = FA_CONFLICT;
    return fa_turnstile_enter(turnstile, &g->pass, workers[0], fa_worker_scope(workers[0]), on_answer);
}

static void first_come_first_served(void **state)
{
    guest g[6] = {0};
    (void)state;
    open_turnstile(2, 3, 60000);
    assert_ok(enter(&g[0]));
    assert_ok(enter(&g[1]));
    for (int i = 2; i < 5; ++i)
        assert_int_equal(enter(&g[i]), FA_CONFLICT);
    assert_int_equal(enter(&g[5]), FA_FULL);
    fa_turnstile_leave(&g[5].pass);
    assert_int_equal(figures().inside, 2);
    assert_int_equal(figures().waiting, 3);
    fa_turnstile_leave(&g[3].pass); /* out of the line */
    answered = 0;
    fa_turnstile_leave(&g[1].pass);
    fa_turnstile_leave(&g[0].pass);
    FA_TEST_RUN_WHILE(workers[0], g[2].result != FA_OK || g[4].result != FA_OK);
    assert_int_equal(g[2].order, 1);
    assert_int_equal(g[4].order, 2);
    assert_int_equal(g[3].result, FA_CONFLICT);
    fa_turnstile_figures f = figures();
    assert_int_equal(f.inside, 2);
    assert_int_equal(f.waiting, 0);
    assert_int_equal(f.admitted, 4);
    assert_int_equal(f.turned_away, 1);
    assert_string_equal(f.name, "POST /x");
    fa_turnstile_leave(&g[2].pass);
    fa_turnstile_leave(&g[2].pass); /* twice is once */
    fa_turnstile_leave(&g[4].pass);
    assert_int_equal(figures().inside, 0);
    assert_false(fa_turnstiles_read(turnstiles, 1, &f));
}

static void patience_ends(void **state)
{
    guest inside = {0}, late = {0}, later = {0};
    (void)state;
    open_turnstile(1, 2, 5);
    assert_ok(enter(&inside));
    assert_int_equal(enter(&late), FA_CONFLICT);
    FA_TEST_RUN_WHILE(workers[0], late.result == FA_CONFLICT);
    assert_int_equal(late.result, FA_TIMED_OUT);
    assert_int_equal(figures().waited_too_long, 1);
    assert_int_equal(figures().waiting, 0);
    fa_turnstile_leave(&late.pass);
    fa_turnstile_leave(&inside.pass);
    assert_ok(enter(&later));
    fa_turnstile_leave(&later.pass);
}

/* Called in, and gone before it hears of it: the place is the next one's. */
static void a_place_is_not_lost(void **state)
{
    guest g[3] = {0};
    (void)state;
    open_turnstile(1, 2, 60000);
    assert_ok(enter(&g[0]));
    enter(&g[1]);
    enter(&g[2]);
    fa_turnstile_leave(&g[0].pass);
    fa_turnstile_leave(&g[1].pass);
    FA_TEST_RUN_WHILE(workers[0], g[2].result != FA_OK);
    assert_int_equal(g[1].result, FA_CONFLICT); /* it was never told */
    assert_int_equal(figures().inside, 1);
    fa_turnstile_leave(&g[2].pass);
}

static void without_a_limit_all_come_in_and_are_counted(void **state)
{
    guest g[20] = {0};
    (void)state;
    open_turnstile(0, 0, 0);
    for (int i = 0; i < 20; ++i)
        assert_ok(enter(&g[i]));
    assert_int_equal(figures().inside, 20);
    for (int i = 0; i < 20; ++i)
        fa_turnstile_leave(&g[i].pass);
}

static void a_name_is_one_turnstile(void **state)
{
    guest g[2] = {0};
    fa_turnstile *again;
    (void)state;
    open_turnstile(1, 2, 60000);
    assert_ok(enter(&g[0]));
    assert_int_equal(enter(&g[1]), FA_CONFLICT);
    fa_turnstile_limits more = {2, 2, 60000};
    assert_ok(fa_turnstiles_find(turnstiles, "POST /x", &more, &again));
    assert_ptr_equal(again, turnstile);
    assert_int_equal(figures().limits.inside, 1); /* whoever found it has not decided anything yet */
    fa_turnstile_limit(again, &more);             /* and more room lets more in */
    FA_TEST_RUN_WHILE(workers[0], g[1].result != FA_OK);
    fa_turnstile_leave(&g[0].pass);
    fa_turnstile_leave(&g[1].pass);
}

/* Of a route that newer scripts do not have any more: it goes with the last who refers to it or stands at it. */
static void nobody_needs_it_any_more(void **state)
{
    guest g[3] = {0};
    fa_turnstile *again;
    fa_turnstile_figures f;
    (void)state;
    size_t before = fa_ledger_bytes(ledger);
    open_turnstile(1, 1, 5);
    assert_ok(fa_turnstiles_find(turnstiles, "POST /x", &(fa_turnstile_limits){1, 1, 5}, &again));
    assert_ok(enter(&g[0]));
    assert_int_equal(enter(&g[1]), FA_CONFLICT);
    assert_int_equal(enter(&g[2]), FA_FULL);
    fa_turnstile_unref(again);
    fa_turnstile_unref(turnstile);
    FA_TEST_RUN_WHILE(workers[0], g[1].result == FA_CONFLICT);
    assert_int_equal(g[1].result, FA_TIMED_OUT);
    assert_int_equal(figures().inside, 1);
    fa_turnstile_leave(&g[0].pass);
    assert_false(fa_turnstiles_read(turnstiles, 0, &f));
    fa_turnstile_leave(&g[1].pass); /* who stands nowhere does not ask it */
    fa_turnstile_leave(&g[2].pass);
    fa_turnstile_unref(NULL);
    fa_test_run_for(workers[0], 5);
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

/* ---- threads ---- */

typedef struct visitor {
    fa_turnstile_pass pass;
    fa_worker *worker;
    fa_timer next;
    fa_scope_hook at_end;
    unsigned seed, visits;
    bool inside;
} visitor;

static _Atomic unsigned inside, most_inside, done;

static void come_or_go(fa_timer *timer);

static void note_inside(visitor *v)
{
    unsigned now = ++inside, most = most_inside;
    v->inside = true;
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        ;
}

static void go(visitor *v)
{
    if (v->inside)
        inside--;
    v->inside = false;
    fa_turnstile_leave(&v->pass);
}

static void on_visit(fa_turnstile_pass *pass, fa_result result)
{
    if (result == FA_OK)
        note_inside(FA_OBJECT(pass, visitor, pass));
}

static void come_or_go(fa_timer *timer)
{
    visitor *v = FA_OBJECT(timer, visitor, next);
    go(v); /* from inside, or out of the line in the midst of waiting */
    if (++v->visits == VISITS) {
        fa_timer_stop(timer);
        done++;
        return;
    }
    memset(&v->pass, 0, sizeof(v->pass));
    fa_result result = fa_turnstile_enter(turnstile, &v->pass, v->worker, fa_worker_scope(v->worker), on_visit);
    if (result == FA_OK)
        note_inside(v);
    fa_timer_start(timer, (uint64_t)(rand_r(&v->seed) % 3));
}

static void *run_worker(void *worker)
{
    fa_worker_run(worker);
    return NULL;
}

typedef struct finisher {
    fa_message message;
    fa_worker *worker;
} finisher;

static void on_finish(fa_message *message)
{
    fa_worker_finish(FA_OBJECT(message, finisher, message)->worker);
}

static void many_threads_never_are_too_many(void **state)
{
    static visitor visitors[VISITORS];
    static finisher finishers[WORKERS];
    pthread_t threads[WORKERS];
    (void)state;
    open_turnstile(MOST, LINE, 2);
    for (unsigned i = 0; i < VISITORS; ++i) {
        visitor *v = &visitors[i];
        *v = (visitor){.worker = workers[i % WORKERS], .seed = i};
        fa_timer_init(&v->next, v->worker, fa_worker_scope(v->worker), come_or_go);
        assert_ok(fa_timer_start(&v->next, 0));
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_create(&threads[i], NULL, run_worker, workers[i]);
    for (unsigned i = 0; i < 60000 && done < VISITORS; ++i)
        usleep(1000);
    assert_int_equal(done, VISITORS);
    for (unsigned i = 0; i < WORKERS; ++i) {
        finishers[i].worker = workers[i];
        fa_message_init(&finishers[i].message, on_finish);
        fa_worker_post(workers[i], &finishers[i].message);
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(threads[i], NULL);
    fa_turnstile_figures f = figures();
    assert_int_equal(f.inside, 0);
    assert_int_equal(f.waiting, 0);
    assert_true(most_inside > 0 && most_inside <= MOST);
    assert_true(f.admitted > 0);
}

static void any_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        fa_scope *owner = NULL;
        fa_worker *worker = NULL;
        fa_turnstiles *set;
        fa_turnstile *one;
        guest g[2] = {0};
        reached = false;
        NEED(fa_scope_new(failing, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &owner) == FA_OK);
        NEED(fa_worker_new(failing, owner, 0, NULL, &worker, NULL) == FA_OK);
        NEED((set = fa_turnstiles_new(owner)) != NULL);
        NEED(fa_turnstiles_find(set, "a", &(fa_turnstile_limits){1, 1, 1000}, &one) == FA_OK);
        NEED(fa_turnstile_enter(one, &g[0].pass, worker, fa_worker_scope(worker), on_answer) == FA_OK);
        if (fa_turnstile_enter(one, &g[1].pass, worker, fa_worker_scope(worker), on_answer) == FA_CONFLICT)
            reached = true;
    out:
        fa_turnstile_leave(&g[0].pass);
        fa_turnstile_leave(&g[1].pass);
        if (worker != NULL) {
            fa_worker_finish(worker);
            fa_worker_run(worker);
            fa_worker_free(worker);
        }
        if (owner != NULL)
            fa_scope_end(owner, "test", NULL);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_come_first_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patience_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_is_not_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_limit_all_come_in_and_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_one_turnstile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_needs_it_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_threads_never_are_too_many, set_up, tear_down),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("turnstiles", tests, NULL, NULL);
}
