/* core/worker/crew: errands between workers that run on threads of their own, and visits to all of them. */
#include "testing.h"

#include <stdatomic.h>

#include "worker/crew.h"

enum { WORKERS = 4, ERRANDS = 2000, PATIENCE_MS = 60000 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_crew crew;
static pthread_t threads[WORKERS];

static void *run_worker(void *worker)
{
    fa_worker_run(worker);
    return NULL;
}

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    crew = (fa_crew){.count = WORKERS};
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_ok(fa_worker_new(ledger, NULL, i, NULL, &crew.workers[i], NULL));
    return 0;
}

static void start_all(void)
{
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, crew.workers[i]), 0);
}

typedef struct finish {
    fa_message message;
    fa_worker *worker;
} finish;

static void on_finish(fa_message *message)
{
    fa_worker_finish(FA_OBJECT(message, finish, message)->worker);
}

static void finish_all(void)
{
    finish messages[WORKERS];
    for (unsigned i = 0; i < WORKERS; ++i) {
        messages[i].worker = crew.workers[i];
        fa_message_init(&messages[i].message, on_finish);
        fa_worker_post(crew.workers[i], &messages[i].message);
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(threads[i], NULL);
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; ++i)
        fa_worker_free(crew.workers[i]);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

/* An errand that goes from worker to worker to worker, and knows on which thread it ought to be. */
typedef struct wanderer {
    fa_errand errand;
    fa_message start;
    unsigned self, hops, backs;
    pthread_t ran_on, came_back_on;
} wanderer;

static _Atomic unsigned at_home;

static void wander(wanderer *w);

static void run_errand(fa_errand *errand)
{
    FA_OBJECT(errand, wanderer, errand)->ran_on = pthread_self();
    fa_errand_return(errand);
}

static void back_home(fa_errand *errand)
{
    wanderer *w = FA_OBJECT(errand, wanderer, errand);
    w->backs++;
    w->came_back_on = pthread_self();
    if (w->backs < w->hops)
        wander(w);
    else
        at_home++;
}

static void wander(wanderer *w)
{
    fa_errand_send(&w->errand, crew.workers[w->self], crew.workers[(w->self + w->backs) % WORKERS], run_errand,
                   back_home);
}

static void on_start(fa_message *message)
{
    wander(FA_OBJECT(message, wanderer, start));
}

static void errands_come_back_to_their_worker(void **state)
{
    static wanderer all[WORKERS * 8];
    const unsigned count = sizeof(all) / sizeof(all[0]);
    (void)state;
    at_home = 0;
    start_all();
    for (unsigned i = 0; i < count; ++i) {
        all[i] = (wanderer){.self = i % WORKERS, .hops = ERRANDS};
        fa_message_init(&all[i].start, on_start);
        fa_worker_post(crew.workers[i % WORKERS], &all[i].start);
    }
    for (unsigned rounds = 0; at_home < count && rounds < 60000; ++rounds)
        uv_sleep(1);
    assert_int_equal(at_home, count);
    finish_all();
    for (unsigned i = 0; i < count; ++i) {
        unsigned last = (all[i].self + all[i].backs - 1) % WORKERS;
        assert_int_equal(all[i].backs, ERRANDS);
        assert_true(pthread_equal(all[i].came_back_on, threads[all[i].self]));
        assert_true(pthread_equal(all[i].ran_on, threads[last]));
    }
}

/* A worker that is told to finish stays until its errand is back. */
static wanderer kept;

static void start_and_finish(fa_message *message)
{
    on_start(message);
    fa_worker_finish(crew.workers[kept.self]);
}

static void a_worker_waits_for_its_errand(void **state)
{
    (void)state;
    at_home = 0;
    kept = (wanderer){.self = 0, .hops = 1, .backs = 0};
    start_all();
    fa_message_init(&kept.start, start_and_finish);
    fa_worker_post(crew.workers[0], &kept.start);
    pthread_join(threads[0], NULL);
    assert_int_equal(at_home, 1);
    threads[0] = threads[1]; /* joined already */
    finish messages[WORKERS];
    for (unsigned i = 1; i < WORKERS; ++i) {
        messages[i].worker = crew.workers[i];
        fa_message_init(&messages[i].message, on_finish);
        fa_worker_post(crew.workers[i], &messages[i].message);
        pthread_join(threads[i], NULL);
    }
}

/* ---- visits ---- */

typedef struct census {
    fa_message start;
    pthread_t seen[WORKERS], done_on;
    _Atomic bool done;
    fa_result result;
} census;

static void visit(void *context, fa_worker *worker)
{
    ((census *)context)->seen[fa_worker_index(worker)] = pthread_self();
}

static void on_done(void *context)
{
    census *c = context;
    c->done_on = pthread_self();
    c->done = true;
}

static void begin_census(fa_message *message)
{
    census *c = FA_OBJECT(message, census, start);
    c->result = fa_crew_visit(&crew, crew.workers[1], PATIENCE_MS, visit, on_done, c);
    if (c->result != FA_OK)
        c->done = true;
}

static void every_worker_is_visited(void **state)
{
    census c = {.done = false};
    (void)state;
    start_all();
    fa_message_init(&c.start, begin_census);
    fa_worker_post(crew.workers[1], &c.start);
    for (unsigned rounds = 0; !c.done && rounds < 60000; ++rounds)
        uv_sleep(1);
    assert_true(c.done);
    assert_ok(c.result);
    assert_true(pthread_equal(c.done_on, threads[1]));
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_true(pthread_equal(c.seen[i], threads[i]));

    census from_outside = {.done = false};
    fa_crew_visit_and_wait(&crew, PATIENCE_MS, visit, &from_outside);
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_true(pthread_equal(from_outside.seen[i], threads[i]));
    finish_all();
}

/* ---- one that does not come to it ---- */

enum { HELD = 2, SHORT_MS = 1500 };

typedef struct hold {
    fa_message message;
    pthread_mutex_t lock; /* held by the test until the worker may go on */
    _Atomic bool began;
} hold;

static void keep_busy(fa_message *message)
{
    hold *h = FA_OBJECT(message, hold, message);
    h->began = true;
    pthread_mutex_lock(&h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void begin_short_census(fa_message *message)
{
    census *c = FA_OBJECT(message, census, start);
    c->result = fa_crew_visit(&crew, crew.workers[1], SHORT_MS, visit, on_done, c);
}

static void check_all_but_held(const census *c)
{
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(c->seen[i] != 0, i != HELD);
}

static void a_busy_worker_is_left_out(void **state)
{
    census c = {.done = false}, from_outside = {.done = false};
    hold h = {.lock = PTHREAD_MUTEX_INITIALIZER};
    (void)state;
    pthread_mutex_lock(&h.lock);
    start_all();
    fa_message_init(&h.message, keep_busy);
    fa_worker_post(crew.workers[HELD], &h.message);
    while (!h.began)
        uv_sleep(1);

    fa_crew_visit_and_wait(&crew, SHORT_MS, visit, &from_outside);
    check_all_but_held(&from_outside);

    fa_message_init(&c.start, begin_short_census);
    fa_worker_post(crew.workers[1], &c.start);
    for (unsigned rounds = 0; !c.done && rounds < 60000; ++rounds)
        uv_sleep(1);
    assert_true(c.done);
    check_all_but_held(&c);

    pthread_mutex_unlock(&h.lock);
    finish_all(); /* worker 1 not before the errand is back, on which nobody was visited */
    check_all_but_held(&c);
}

static void a_visit_without_memory_says_so(void **state)
{
    census c = {.done = false};
    (void)state;
    memory.fail_at = memory.requests + 1;
    assert_int_equal(fa_crew_visit(&crew, crew.workers[0], PATIENCE_MS, visit, on_done, &c), FA_NO_MEMORY);
    assert_false(c.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(errands_come_back_to_their_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_waits_for_its_errand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_worker_is_visited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_busy_worker_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_visit_without_memory_says_so, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
