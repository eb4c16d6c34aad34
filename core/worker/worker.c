#include "worker/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HANDLES = 65536 };

struct fa_worker {
    uv_loop_t loop;
    uv_async_t wake;
    unsigned index;
    const fa_log *log;
    fa_scope *scope;
    fa_handle_table *handles;
    fa_scope_hook at_end;
    size_t held; /* work under way elsewhere */
    fa_list jobs, timers;
    fa_clock *clock;           /* NULL: time is real */
    fa_message due;            /* the clock has alarms for which no time need pass */
    bool finishing;            /* as soon as none is */
    pthread_mutex_t mail_lock; /* guards all below and every message in the lists */
    fa_list mail, in_delivery;
    bool finished;
    char before[FA_CACHE_LINE];
    fa_watched watched; /* another thread reads it all the time: not in the way of the rest */
    char after[FA_CACHE_LINE];
};

static void ring_due(fa_message *due)
{
    fa_worker *worker = FA_OBJECT(due, fa_worker, due);
    while (fa_clock_ring_next(worker->clock, worker->clock->now_ms))
        ;
}

static fa_message *take_message(fa_list *node)
{
    fa_message *message = FA_OBJECT(node, fa_message, link);
    fa_list_remove(node);
    message->posted = false;
    return message;
}

static void deliver_mail(uv_async_t *wake)
{
    fa_worker *worker = wake->data;
    pthread_mutex_lock(&worker->mail_lock);
    /* What is posted from here on waits for the next turn of the loop: mail must not starve the sockets. */
    for (fa_list *node; (node = fa_list_first(&worker->mail)) != NULL;) {
        fa_list_remove(node);
        fa_list_append(&worker->in_delivery, node);
    }
    for (fa_list *node; (node = fa_list_first(&worker->in_delivery)) != NULL;) {
        fa_message *message = take_message(node);
        pthread_mutex_unlock(&worker->mail_lock);
        message->deliver(message); /* may free the message's object, may post again, may finish the worker */
        pthread_mutex_lock(&worker->mail_lock);
    }
    pthread_mutex_unlock(&worker->mail_lock);
}

/* Runs after every other hook of the worker's scope, because it is the oldest: what the others closed leaves the loop
 * here, while the memory that it lies in still stands. */
static void close_loop(fa_scope_hook *hook)
{
    fa_worker *worker = FA_OBJECT(hook, fa_worker, at_end);
    fa_worker_finish(worker);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&worker->loop);
    assert(busy == 0 && "a uv handle outlived its owner");
    (void)busy;
    pthread_mutex_destroy(&worker->mail_lock);
}

fa_result fa_worker_new(fa_ledger *ledger, fa_scope *parent, unsigned index, const fa_log *log, fa_worker **out,
                        fa_error *error)
{
    fa_scope *scope;
    fa_result result = fa_scope_new(ledger, parent, FA_KIND_WORKER, 0, "worker", FA_HERE, &scope);
    if (result != FA_OK)
        return fa_fail(error, result, "no memory for a worker");
    fa_worker *worker = fa_scope_allocate(scope, sizeof(*worker));
    fa_handle_table *handles = fa_handle_table_new(scope, MAX_HANDLES);
    if (worker == NULL || handles == NULL || uv_loop_init(&worker->loop) != 0) {
        fa_scope_end(scope, "could not start", NULL);
        return fa_fail(error, FA_NO_MEMORY, "no memory for a worker");
    }
    worker->index = index;
    fa_list_init(&worker->jobs);
    fa_list_init(&worker->timers);
    worker->log = log;
    worker->scope = scope;
    worker->handles = handles;
    worker->clock = fa_ledger_clock(ledger);
    fa_message_init(&worker->due, ring_due);
    worker->wake.data = worker;
    worker->loop.data = worker;
    pthread_mutex_init(&worker->mail_lock, NULL);
    fa_list_init(&worker->mail);
    fa_list_init(&worker->in_delivery);
    int status = uv_async_init(&worker->loop, &worker->wake, deliver_mail);
    if (status != 0) {
        uv_loop_close(&worker->loop);
        pthread_mutex_destroy(&worker->mail_lock);
        fa_scope_end(scope, "could not start", NULL);
        return fa_fail(error, FA_IO, "a worker's event loop: %s", uv_strerror(status));
    }
    fa_scope_hook_add(scope, &worker->at_end, close_loop);
    *out = worker;
    return FA_OK;
}

void fa_worker_run(fa_worker *worker)
{
    uv_run(&worker->loop, UV_RUN_DEFAULT);
}

void fa_worker_finish(fa_worker *worker)
{
    worker->finishing = true;
    if (worker->held > 0 || uv_is_closing((uv_handle_t *)&worker->wake))
        return;
    pthread_mutex_lock(&worker->mail_lock);
    worker->finished = true;
    /* Undelivered, but not left in the lists: the objects that they lie in may be gone before the worker is. */
    for (fa_list *node; (node = fa_list_first(&worker->in_delivery)) != NULL;)
        take_message(node);
    for (fa_list *node; (node = fa_list_first(&worker->mail)) != NULL;)
        take_message(node);
    pthread_mutex_unlock(&worker->mail_lock);
    uv_close((uv_handle_t *)&worker->wake, NULL);
}

void fa_worker_hold(fa_worker *worker)
{
    worker->held++;
}

void fa_worker_release(fa_worker *worker)
{
    if (--worker->held == 0 && worker->finishing)
        fa_worker_finish(worker);
}

void fa_worker_free(fa_worker *worker)
{
    if (worker != NULL)
        fa_scope_end(worker->scope, "server stopped", NULL); /* closes the loop last, and frees the worker too */
}

void fa_message_init(fa_message *message, void (*deliver)(fa_message *message))
{
    fa_list_init(&message->link);
    message->posted = false;
    message->deliver = deliver;
}

void fa_worker_post(fa_worker *worker, fa_message *message)
{
    pthread_mutex_lock(&worker->mail_lock);
    if (!message->posted && !worker->finished) {
        message->posted = true;
        fa_list_append(&worker->mail, &message->link);
        uv_async_send(&worker->wake); /* under the lock: once it is open, the worker may be through with its life */
    }
    pthread_mutex_unlock(&worker->mail_lock);
}

bool fa_worker_withdraw(fa_worker *worker, fa_message *message)
{
    pthread_mutex_lock(&worker->mail_lock);
    bool was_on_its_way = message->posted;
    if (was_on_its_way)
        take_message(&message->link);
    pthread_mutex_unlock(&worker->mail_lock);
    return was_on_its_way;
}

uv_loop_t *fa_worker_loop(fa_worker *worker)
{
    return &worker->loop;
}

fa_scope *fa_worker_scope(fa_worker *worker)
{
    return worker->scope;
}

fa_handle_table *fa_worker_handles(fa_worker *worker)
{
    return worker->handles;
}

fa_worker *fa_worker_of(fa_scope *scope)
{
    fa_scope_hook *hook = fa_scope_hook_find(scope, close_loop);
    return hook != NULL ? FA_OBJECT(hook, fa_worker, at_end) : NULL;
}

const fa_log *fa_worker_log(const fa_worker *worker)
{
    return worker->log;
}

unsigned fa_worker_index(const fa_worker *worker)
{
    return worker->index;
}

uint64_t fa_worker_now(const fa_worker *worker)
{
    return worker->clock == NULL ? uv_now(&worker->loop) : worker->clock->now_ms;
}

uint64_t fa_worker_now_exact(const fa_worker *worker)
{
    return fa_clock_now_ms(worker->clock);
}

uint64_t fa_worker_now_us(const fa_worker *worker)
{
    return worker->clock == NULL ? uv_hrtime() / 1000 : worker->clock->now_ms * 1000;
}

uint64_t fa_worker_wall(const fa_worker *worker)
{
    return fa_clock_wall_ms(worker->clock);
}

/* ---- where time is not real ---- */

fa_clock *fa_worker_clock(const fa_worker *worker)
{
    return worker->clock;
}

void fa_worker_alarm_due(fa_worker *worker)
{
    fa_worker_post(worker, &worker->due);
}

fa_list *fa_worker_timers(fa_worker *worker)
{
    return &worker->timers;
}

fa_watched *fa_worker_watched(fa_worker *worker)
{
    return &worker->watched;
}

fa_list *fa_worker_jobs(fa_worker *worker)
{
    return &worker->jobs;
}

static bool has_mail(fa_worker *worker)
{
    pthread_mutex_lock(&worker->mail_lock);
    bool has = !fa_list_empty(&worker->mail);
    pthread_mutex_unlock(&worker->mail_lock);
    return has;
}

static void see_through(fa_worker *worker)
{
    do {
        uv_run(&worker->loop, UV_RUN_NOWAIT);
    } while (has_mail(worker));
    uv_run(&worker->loop, UV_RUN_NOWAIT); /* what the last mail closed */
}

void fa_worker_advance(fa_worker *worker, uint64_t ms)
{
    uint64_t until_ms = worker->clock->now_ms + ms;
    do {
        see_through(worker);
    } while (fa_clock_ring_next(worker->clock, until_ms));
}

void fa_worker_settle(fa_worker *worker)
{
    see_through(worker);
    while (!fa_list_empty(&worker->jobs) || worker->held > 0) {
        uv_run(&worker->loop, UV_RUN_ONCE);
        see_through(worker);
    }
}
