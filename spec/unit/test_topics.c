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
    fa_buffer *queue[QUEUE];
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
        if (fa_buffer_new_detached(fa_topics_account(topics), sizeof(text), "m", FA_HERE, &message) != FA_OK)
            abort();
        fa_buffer_append(message, text, sizeof(text));
        fa_buffer_seal(message);
        fa_topics_publish(topics, "a", message);
        fa_topics_publish(topics, "nobody's", message);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_talk_to_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
