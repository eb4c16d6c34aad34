#include "worker/topics.h"

#include <stdio.h>
#include <string.h>

/* Names are compared one by one: of subscriptions there are as many as tasks that wait in one, which max_tasks bounds. */
struct fa_topics {
    fa_account *account;
    pthread_mutex_t lock; /* guards the list, and what stands in each subscription */
    fa_list all;
    fa_scope_hook at_end;
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

void fa_topics_subscribe(fa_topics *topics, const char *name, fa_buffer **queue, unsigned most, fa_worker *worker,
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

static fa_buffer *pop(fa_subscription *s)
{
    if (s->count == 0)
        return NULL;
    fa_buffer *message = s->queue[s->first];
    s->first = (s->first + 1) % s->most;
    s->count--;
    return message;
}

fa_buffer *fa_subscription_take(fa_subscription *subscription, size_t *missed)
{
    pthread_mutex_lock(&subscription->topics->lock);
    fa_buffer *message = pop(subscription);
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
    pthread_mutex_unlock(&topics->lock);
    fa_worker_withdraw(subscription->worker, &subscription->arrived);
    for (fa_buffer *message; (message = pop(subscription)) != NULL;)
        fa_buffer_return(message);
    subscription->topics = NULL;
}

/* ---- telling ---- */

static void push(fa_subscription *s, fa_buffer *message)
{
    if (s->count == s->most) {
        fa_buffer_return(pop(s));
        s->missed++;
    }
    fa_buffer_lease(message);
    s->queue[(s->first + s->count++) % s->most] = message;
}

size_t fa_topics_publish(fa_topics *topics, const char *name, fa_buffer *message)
{
    size_t count = 0;
    pthread_mutex_lock(&topics->lock);
    FA_LIST_EACH(node, &topics->all)
    {
        fa_subscription *s = FA_OBJECT(node, fa_subscription, link);
        if (strcmp(s->name, name) != 0)
            continue;
        push(s, message);
        fa_worker_post(s->worker, &s->arrived);
        count++;
    }
    pthread_mutex_unlock(&topics->lock);
    return count;
}
