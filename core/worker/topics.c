#include "worker/topics.h"

#include <stdio.h>
#include <string.h>

/* Names are compared one by one: of subscriptions there are as many as tasks that wait in one, which max_tasks bounds. */
struct fa_topics {
    fa_account *account;
    pthread_mutex_t lock; /* guards what follows, and what stands in each subscription */
    fa_list all;
    size_t waiting;   /* bytes of all that wait */
    size_t elsewhere; /* of these, charged to other accounts */
    fa_scope_hook at_end;
};

struct fa_told {
    fa_buffer *message; /* leased */
    size_t bytes, elsewhere;
    unsigned queues; /* in which it waits */
};

static void on_end(fa_scope_hook *hook)
{
    fa_topics *topics = FA_OBJECT(hook, fa_topics, at_end);
    pthread_mutex_destroy(&topics->lock);
    fa_account_unref(topics->account);
}

fa_topics *fa_topics_new(fa_scope *scope, size_t budget)
{
    fa_topics *topics = fa_scope_allocate(scope, sizeof(*topics));
    if (topics == NULL)
        return NULL;
    topics->account = fa_account_new(fa_scope_ledger(scope), fa_scope_account(scope), FA_KIND_CACHE, budget, "topics");
    if (topics->account == NULL) {
        fa_scope_free(scope, topics);
        return NULL;
    }
    pthread_mutex_init(&topics->lock, NULL);
    fa_list_init(&topics->all);
    fa_scope_hook_add(scope, &topics->at_end, on_end);
    return topics;
}

fa_account *fa_topics_account(const fa_topics *topics)
{
    return topics->account;
}

/* ---- listening ---- */

static void on_arrived(fa_message *message)
{
    fa_subscription *subscription = FA_OBJECT(message, fa_subscription, arrived);
    subscription->ready(subscription);
}

void fa_topics_subscribe(fa_topics *topics, const char *name, fa_told **queue, unsigned most, fa_worker *worker,
                         void (*ready)(fa_subscription *subscription), fa_subscription *subscription)
{
    snprintf(subscription->name, sizeof(subscription->name), "%s", name);
    subscription->queue = queue;
    subscription->most = most;
    subscription->topics = topics;
    subscription->worker = worker;
    subscription->ready = ready;
    fa_message_init(&subscription->arrived, on_arrived);
    pthread_mutex_lock(&topics->lock);
    fa_list_append(&topics->all, &subscription->link);
    pthread_mutex_unlock(&topics->lock);
}

/* ---- what waits; all of it with the lock ---- */

static void leave_queue(fa_topics *topics, fa_told *told)
{
    if (--told->queues != 0)
        return;
    topics->waiting -= told->bytes;
    topics->elsewhere -= told->elsewhere;
    fa_buffer_return(told->message);
    fa_account_free(topics->account, told, sizeof(*told));
}

static fa_told *pop(fa_subscription *s)
{
    if (s->count == 0)
        return NULL;
    fa_told *told = s->queue[s->first];
    s->first = (s->first + 1) % s->most;
    s->count--;
    s->waiting -= told->bytes;
    return told;
}

static void miss_one(fa_subscription *s)
{
    leave_queue(s->topics, pop(s));
    s->missed++;
}

static void push(fa_subscription *s, fa_told *told)
{
    if (s->count == s->most)
        miss_one(s);
    told->queues++;
    s->queue[(s->first + s->count++) % s->most] = told;
    s->waiting += told->bytes;
}

static size_t taken(const fa_topics *topics)
{
    return fa_account_total(topics->account) + topics->elsewhere;
}

static fa_subscription *greediest(const fa_topics *topics)
{
    fa_subscription *most = NULL;
    FA_LIST_EACH(node, &topics->all)
    {
        fa_subscription *s = FA_OBJECT(node, fa_subscription, link);
        if (s->count != 0 && (most == NULL || s->waiting > most->waiting))
            most = s;
    }
    return most;
}

/* Nobody loses anything when it would not help. */
static bool make_room(fa_topics *topics, size_t bytes)
{
    size_t budget = fa_account_budget(topics->account);
    if (budget == 0)
        return true;
    if (taken(topics) - topics->waiting + bytes > budget)
        return false;
    while (taken(topics) + bytes > budget) {
        fa_subscription *s = greediest(topics);
        if (s == NULL)
            return false;
        miss_one(s);
    }
    return true;
}

/* ---- hearing ---- */

fa_buffer *fa_subscription_take(fa_subscription *subscription, size_t *missed)
{
    fa_buffer *message = NULL;
    pthread_mutex_lock(&subscription->topics->lock);
    fa_told *told = pop(subscription);
    if (told != NULL) {
        message = told->message;
        fa_buffer_lease(message);
        leave_queue(subscription->topics, told);
    }
    *missed = subscription->missed;
    subscription->missed = 0;
    pthread_mutex_unlock(&subscription->topics->lock);
    return message;
}

void fa_subscription_end(fa_subscription *subscription)
{
    fa_topics *topics = subscription->topics;
    if (topics == NULL)
        return;
    pthread_mutex_lock(&topics->lock); /* nobody reaches it after this */
    fa_list_remove(&subscription->link);
    for (fa_told *told; (told = pop(subscription)) != NULL;)
        leave_queue(topics, told);
    pthread_mutex_unlock(&topics->lock);
    fa_worker_withdraw(subscription->worker, &subscription->arrived);
    subscription->topics = NULL;
}

/* ---- telling ---- */

enum { OF_A_MESSAGE = 512 }; /* no less than what one costs beside its bytes */

fa_result fa_topics_message(fa_topics *topics, size_t length, fa_origin made_at, fa_buffer **message)
{
    pthread_mutex_lock(&topics->lock);
    fa_result result = make_room(topics, length + OF_A_MESSAGE)
                           ? fa_buffer_new_detached(topics->account, length, "message", made_at, message)
                           : FA_OVER_BUDGET;
    pthread_mutex_unlock(&topics->lock);
    return result;
}

static bool hears(const fa_subscription *s, const char *name)
{
    return strcmp(s->name, name) == 0;
}

static bool has_listener(const fa_topics *topics, const char *name)
{
    FA_LIST_EACH(node, &topics->all)
    {
        if (hears(FA_OBJECT(node, fa_subscription, link), name))
            return true;
    }
    return false;
}

static fa_result new_told(fa_topics *topics, fa_buffer *message, size_t elsewhere, fa_told **out)
{
    void *memory;
    if (!make_room(topics, elsewhere + sizeof(fa_told)))
        return FA_OVER_BUDGET;
    fa_result result = fa_account_allocate(topics->account, sizeof(fa_told), &memory);
    if (result != FA_OK)
        return result;
    size_t own = elsewhere == 0 ? fa_buffer_cost(message) : 0;
    *out = memory;
    **out = (fa_told){.message = message, .bytes = own + elsewhere + sizeof(fa_told), .elsewhere = elsewhere};
    (*out)->queues = 1; /* until all have it */
    topics->waiting += (*out)->bytes;
    topics->elsewhere += elsewhere;
    fa_buffer_lease(message);
    return FA_OK;
}

static size_t tell(fa_topics *topics, const char *name, fa_told *told)
{
    size_t count = 0;
    FA_LIST_EACH(node, &topics->all)
    {
        fa_subscription *s = FA_OBJECT(node, fa_subscription, link);
        if (!hears(s, name))
            continue;
        push(s, told);
        fa_worker_post(s->worker, &s->arrived);
        count++;
    }
    return count;
}

fa_result fa_topics_publish(fa_topics *topics, const char *name, fa_buffer *message, size_t elsewhere, size_t *count)
{
    fa_told *told;
    fa_result result = FA_OK;
    *count = 0;
    pthread_mutex_lock(&topics->lock);
    if (has_listener(topics, name) && (result = new_told(topics, message, elsewhere, &told)) == FA_OK) {
        *count = tell(topics, name, told);
        leave_queue(topics, told);
    }
    pthread_mutex_unlock(&topics->lock);
    return result;
}
