/* core/worker/topics between threads: everybody hears everything in order, or is told how much was missed; those who leave in between leave
 * nothing behind. */
#include "testing.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "worker/timer.h"
#include "worker/topics.h"

enum { WORKERS = 4, EACH = 8, MESSAGES = 2000, QUEUE = 16 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *server;
static fa_worker *workers[WORKERS];
static fa_topics *topics;
static _Atomic unsigned finished;

typedef struct listener {
    fa_subscription subscription;
    fa_told *queue[QUEUE];
    fa_worker *worker;
    size_t heard, missed, last[WORKERS];
    bool fickle; /* leaves and comes again all the time */
} listener;

typedef struct talker {
    fa_worker *worker;
    fa_timer timer;
    unsigned said, number;
    listener listeners[EACH];
} talker;

static talker talkers[WORKERS];

static void on_ready(fa_subscription *subscription)
{
    listener *l = FA_OBJECT(subscription, listener, subscription);
    size_t missed;
    for (fa_buffer *message; (message = fa_subscription_take(subscription, &missed)) != NULL;) {
        const unsigned *text = (const unsigned *)(const void *)fa_buffer_data(message);
        if (text[1] <= l->last[text[0]])
            abort(); /* not in order */
        l->last[text[0]] = text[1];
        l->heard++;
        l->missed += missed;
        fa_buffer_return(message);
    }
    if (l->fickle) {
        fa_subscription_end(subscription);
        fa_topics_subscribe(topics, "a", l->queue, QUEUE, l->worker, on_ready, subscription);
    }
}

static void end_talker(talker *t)
{
    fa_timer_stop(&t->timer);
    for (unsigned i = 0; i < EACH; ++i)
        fa_subscription_end(&t->listeners[i].subscription);
    fa_worker_finish(t->worker);
}

/* The last of all to have said everything waits a little for what is on its way; nobody ends before. */
static void say_some(fa_timer *timer)
{
    talker *t = FA_OBJECT(timer, talker, timer);
    for (unsigned i = 0; i < 20 && t->said < MESSAGES; ++i) {
        fa_buffer *message;
        unsigned text[2] = {t->number, ++t->said};
        size_t count;
        if (fa_topics_message(topics, sizeof(text), FA_HERE, &message) != FA_OK)
            abort();
        fa_buffer_append(message, text, sizeof(text));
        fa_buffer_seal(message);
        if (fa_topics_publish(topics, "a", message, 0, &count) != FA_OK || count == 0 ||
            fa_topics_publish(topics, "nobody's", message, 0, &count) != FA_OK || count != 0)
            abort();
        fa_buffer_release(message);
        if (t->said == MESSAGES)
            finished++;
    }
    if (finished == WORKERS && t->said++ > MESSAGES + 20)
        end_talker(t);
    else
        fa_timer_start(timer, 1);
}

static void *run(void *argument)
{
    fa_worker_run(argument);
    return NULL;
}

static void threads_talk_to_each_other(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &server));
    topics = fa_topics_new(server, 0);
    size_t before = fa_account_bytes(fa_topics_account(topics));
    for (unsigned i = 0; i < WORKERS; ++i) {
        talker *t = &talkers[i];
        assert_ok(fa_worker_new(ledger, server, i, NULL, &workers[i], NULL));
        t->worker = workers[i];
        t->number = i;
        fa_timer_init(&t->timer, t->worker, fa_worker_scope(t->worker), say_some);
        assert_ok(fa_timer_start(&t->timer, 1));
        for (unsigned j = 0; j < EACH; ++j) {
            listener *l = &t->listeners[j];
            l->worker = t->worker;
            l->fickle = j % 2;
            fa_topics_subscribe(topics, "a", l->queue, QUEUE, t->worker, on_ready, &l->subscription);
        }
    }
    for (unsigned i = 0; i < WORKERS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, run, workers[i]), 0);
    for (unsigned i = 0; i < WORKERS; ++i)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < WORKERS; ++i) {
        for (unsigned j = 0; j < EACH; j += 2)
            assert_int_equal(talkers[i].listeners[j].heard + talkers[i].listeners[j].missed, WORKERS * MESSAGES);
        fa_worker_free(workers[i]);
    }
    assert_int_equal(fa_account_bytes(fa_topics_account(topics)), before);
    fa_scope_end(server, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
}

/* ---- the budget ---- */

enum { BUDGET = 100 * 1024, LARGE = 30 * 1024 };

static void on_nothing(fa_subscription *subscription)
{
    (void)subscription;
}

/* A world of one worker that does not run, and two who listen to "a" and "b". */
static fa_subscription unread, read_at_once;
static fa_told *unread_queue[QUEUE], *read_queue[QUEUE];
static fa_scope *elsewhere;

static void begin(void)
{
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &server));
    assert_ok(fa_scope_new(ledger, server, FA_KIND_REQUEST, 0, "elsewhere", FA_HERE, &elsewhere));
    topics = fa_topics_new(server, BUDGET);
    assert_ok(fa_worker_new(ledger, server, 0, NULL, &workers[0], NULL));
    fa_topics_subscribe(topics, "a", unread_queue, QUEUE, workers[0], on_nothing, &unread);
    fa_topics_subscribe(topics, "b", read_queue, QUEUE, workers[0], on_nothing, &read_at_once);
}

static void end(void)
{
    fa_subscription_end(&unread);
    fa_subscription_end(&read_at_once);
    assert_int_equal(fa_account_leased(fa_topics_account(topics)), 0);
    assert_int_equal(fa_account_leased(fa_scope_account(elsewhere)), 0);
    fa_worker_free(workers[0]);
    fa_scope_end(server, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
}

static void fill(fa_buffer *message, size_t length, int number)
{
    static unsigned char bytes[2 * BUDGET];
    memset(bytes, number, length);
    assert_ok(fa_buffer_append(message, bytes, length));
    fa_buffer_seal(message);
}

static fa_result say_own(const char *name, size_t length, int number, size_t *count)
{
    fa_buffer *message;
    fa_result result = fa_topics_message(topics, length, FA_HERE, &message);
    *count = 0;
    if (result != FA_OK)
        return result;
    fill(message, length, number);
    result = fa_topics_publish(topics, name, message, 0, count);
    fa_buffer_release(message);
    return result;
}

/* A buffer of somebody's who lets go of it; shown: a slice of so much of it is what is said. */
static fa_result say_foreign(const char *name, size_t length, int number, size_t shown)
{
    size_t count;
    fa_buffer *whole, *message;
    assert_ok(fa_buffer_new(elsewhere, length, "answer", FA_HERE, &whole));
    fill(whole, length, number);
    assert_ok(fa_buffer_slice(elsewhere, whole, 0, shown, FA_HERE, &message));
    fa_buffer_release(whole);
    fa_result result = fa_topics_publish(topics, name, message, fa_buffer_pinned(message), &count);
    fa_buffer_release(message);
    return result;
}

/* The number of the next message. */
static int hear(fa_subscription *subscription, size_t *missed)
{
    fa_buffer *message = fa_subscription_take(subscription, missed);
    int number = message != NULL ? fa_buffer_data(message)[0] : 0;
    if (message != NULL)
        fa_buffer_return(message);
    return number;
}

static size_t all_bytes(void)
{
    return fa_account_total(fa_topics_account(topics)) + fa_account_total(fa_scope_account(elsewhere));
}

static void what_is_not_read_is_within_the_budget(void **state)
{
    (void)state;
    begin();
    size_t missed, before = fa_account_total(fa_scope_account(elsewhere));
    for (int i = 1; i <= 10; ++i) {
        assert_ok(say_foreign("a", LARGE, i, i % 2 ? LARGE : 10));
        assert_true(all_bytes() - before <= BUDGET);
    }
    assert_int_equal(say_foreign("a", 2 * BUDGET, 11, 10), FA_OVER_BUDGET); /* nobody loses anything for it */
    assert_ok(say_foreign("nobody's", 2 * BUDGET, 12, 10));
    assert_int_equal(hear(&unread, &missed), 8);
    assert_int_equal(missed, 7);
    assert_int_equal(hear(&unread, &missed), 9);
    assert_int_equal(missed, 0);
    assert_int_equal(hear(&unread, &missed), 10);
    assert_int_equal(hear(&unread, &missed), 0);
    assert_int_equal(fa_account_total(fa_scope_account(elsewhere)), before);
    end();
}

static void who_does_not_read_keeps_nobody_from_hearing(void **state)
{
    (void)state;
    begin();
    size_t count, missed;
    for (int i = 1; i <= 5; ++i)
        assert_ok(say_own("a", LARGE, i, &count));
    for (int i = 1; i <= 50; ++i) {
        assert_ok(i % 2 ? say_own("b", LARGE, i, &count) : say_foreign("b", LARGE, i, LARGE));
        assert_true(all_bytes() <= BUDGET + 2048 /* the scope of elsewhere */);
        assert_int_equal(hear(&read_at_once, &missed), i);
        assert_int_equal(missed, 0);
    }
    assert_int_equal(say_own("b", BUDGET, 51, &count), FA_OVER_BUDGET);
    assert_int_equal(hear(&unread, &missed), 4); /* the latest two are left */
    assert_int_equal(missed, 3);
    end();
}

static void one_message_of_many_counts_once(void **state)
{
    (void)state;
    begin();
    size_t missed;
    fa_subscription others[20];
    fa_told *queues[20][QUEUE];
    memset(others, 0, sizeof(others));
    for (size_t i = 0; i < 20; ++i)
        fa_topics_subscribe(topics, "a", queues[i], QUEUE, workers[0], on_nothing, &others[i]);
    assert_ok(say_foreign("a", LARGE, 1, LARGE));
    assert_ok(say_foreign("a", LARGE, 2, LARGE));
    for (size_t i = 0; i < 20; ++i) {
        assert_int_equal(hear(&others[i], &missed), 1);
        assert_int_equal(missed, 0);
        fa_subscription_end(&others[i]);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_read_is_within_the_budget),
        cmocka_unit_test(who_does_not_read_keeps_nobody_from_hearing),
        cmocka_unit_test(one_message_of_many_counts_once),
        cmocka_unit_test(threads_talk_to_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
