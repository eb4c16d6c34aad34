#include "worker/crew.h"

#include <string.h>

static void on_back(fa_message *message)
{
    fa_errand *errand = FA_OBJECT(message, fa_errand, message);
    fa_worker *from = errand->from;
    errand->back(errand); /* may free it, and may send it again */
    fa_worker_release(from);
}

static void on_arrival(fa_message *message)
{
    fa_errand *errand = FA_OBJECT(message, fa_errand, message);
    errand->run(errand);
}

void fa_errand_send(fa_errand *errand, fa_worker *from, fa_worker *to, void (*run)(fa_errand *errand),
                    void (*back)(fa_errand *errand))
{
    errand->from = from;
    errand->to = to;
    errand->run = run;
    errand->back = back;
    fa_worker_hold(from);
    fa_message_init(&errand->message, on_arrival);
    fa_worker_post(to, &errand->message);
}

void fa_errand_return(fa_errand *errand)
{
    fa_message_init(&errand->message, on_back);
    fa_worker_post(errand->from, &errand->message);
}

/* ---- visits: an errand to each ---- */

typedef struct round round;

typedef struct visit {
    fa_errand errand;
    round *round;
} visit;

struct round {
    fa_account *account;
    fa_crew_traffic *traffic;
    void (*visit)(void *context, fa_worker *worker);
    void (*done)(void *context);
    void *context;
    unsigned away, count;
    visit visits[];
};

static size_t round_size(unsigned count)
{
    return sizeof(round) + count * sizeof(visit);
}

static void run_visit(fa_errand *errand)
{
    const round *r = FA_OBJECT(errand, visit, errand)->round;
    r->visit(r->context, errand->to);
    fa_errand_return(errand);
}

static void on_visit_back(fa_errand *errand)
{
    round *r = FA_OBJECT(errand, visit, errand)->round;
    if (--r->away > 0)
        return;
    void (*done)(void *) = r->done;
    void *context = r->context;
    fa_crew_traffic *traffic = r->traffic;
    fa_account_free(r->account, r, round_size(r->count));
    done(context);
    if (traffic != NULL && --traffic->away == 0 && traffic->on_quiet != NULL)
        traffic->on_quiet(traffic->context);
}

fa_result fa_crew_visit(const fa_crew *crew, fa_worker *from, void (*visit_one)(void *context, fa_worker *worker),
                        void (*done)(void *context), void *context)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(from)); /* stands until every errand is back */
    fa_result result = fa_account_allocate(account, round_size(crew->count), &memory);
    if (result != FA_OK)
        return result;
    round *r = memset(memory, 0, round_size(crew->count));
    r->account = account;
    r->traffic = crew->traffic;
    if (r->traffic != NULL)
        r->traffic->away++;
    r->visit = visit_one;
    r->done = done;
    r->context = context;
    r->away = r->count = crew->count;
    for (unsigned i = 0; i < crew->count; ++i) {
        r->visits[i].round = r;
        fa_errand_send(&r->visits[i].errand, from, crew->workers[i], run_visit, on_visit_back);
    }
    return FA_OK;
}

/* ---- from outside ---- */

typedef struct outside {
    void (*visit)(void *context, fa_worker *worker);
    void *context;
    pthread_mutex_t lock; /* guards away */
    pthread_cond_t changed;
    unsigned away;
} outside;

typedef struct outside_visit {
    fa_message message;
    outside *outside;
    fa_worker *worker;
} outside_visit;

static void on_outside_visit(fa_message *message)
{
    outside_visit *v = FA_OBJECT(message, outside_visit, message);
    outside *o = v->outside;
    o->visit(o->context, v->worker);
    pthread_mutex_lock(&o->lock);
    if (--o->away == 0)
        pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

void fa_crew_visit_and_wait(const fa_crew *crew, void (*visit_one)(void *context, fa_worker *worker), void *context)
{
    outside_visit visits[FA_MAX_WORKERS];
    outside o = {.visit = visit_one, .context = context, .away = crew->count};
    pthread_mutex_init(&o.lock, NULL);
    pthread_cond_init(&o.changed, NULL);
    for (unsigned i = 0; i < crew->count; ++i) {
        visits[i] = (outside_visit){.outside = &o, .worker = crew->workers[i]};
        fa_message_init(&visits[i].message, on_outside_visit);
        fa_worker_post(crew->workers[i], &visits[i].message);
    }
    pthread_mutex_lock(&o.lock);
    while (o.away > 0)
        pthread_cond_wait(&o.changed, &o.lock);
    pthread_mutex_unlock(&o.lock);
    pthread_cond_destroy(&o.changed);
    pthread_mutex_destroy(&o.lock);
}
