#include "worker/crew.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "worker/timer.h"

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

/* Whoever of the two threads changes it first has decided: the visited worker that it begins, or the asking one that it is left out. */
typedef enum visit_state { VISIT_WAITS, VISIT_BEGUN, VISIT_LEFT_OUT } visit_state;

typedef struct visit {
    fa_errand errand;
    round *round;
    _Atomic visit_state state;
} visit;

struct round {
    fa_account *account;
    fa_crew_traffic *traffic;
    void (*visit)(void *context, fa_worker *worker);
    void (*done)(void *context);
    void *context;
    fa_timer patience;
    unsigned open; /* neither back nor left out: `done` is due when there is none */
    unsigned away; /* not back: this memory is theirs */
    unsigned count;
    visit visits[];
};

static size_t round_size(unsigned count)
{
    return sizeof(round) + count * sizeof(visit);
}

static bool decide(visit *v, visit_state state)
{
    visit_state waits = VISIT_WAITS;
    return atomic_compare_exchange_strong(&v->state, &waits, state);
}

static void run_visit(fa_errand *errand)
{
    visit *v = FA_OBJECT(errand, visit, errand);
    if (decide(v, VISIT_BEGUN))
        v->round->visit(v->round->context, errand->to);
    fa_errand_return(errand);
}

static void settle(round *r, unsigned fewer)
{
    r->open -= fewer;
    if (fewer == 0 || r->open > 0)
        return;
    fa_timer_stop(&r->patience);
    r->done(r->context);
}

static void on_patience_ended(fa_timer *timer)
{
    round *r = FA_OBJECT(timer, round, patience);
    unsigned left_out = 0;
    for (unsigned i = 0; i < r->count; ++i) {
        visit *v = &r->visits[i];
        if (v->errand.to != timer->worker) /* our own waits in the mail of this turn of the loop */
            left_out += decide(v, VISIT_LEFT_OUT) ? 1 : 0;
    }
    settle(r, left_out);
}

static void on_visit_back(fa_errand *errand)
{
    visit *v = FA_OBJECT(errand, visit, errand);
    round *r = v->round;
    settle(r, v->state == VISIT_BEGUN ? 1 : 0);
    if (--r->away > 0)
        return;
    fa_crew_traffic *traffic = r->traffic;
    fa_account_free(r->account, r, round_size(r->count));
    if (traffic != NULL && --traffic->away == 0 && traffic->on_quiet != NULL)
        traffic->on_quiet(traffic->context);
}

size_t fa_crew_visit_bytes(const fa_crew *crew)
{
    return round_size(crew->count) + fa_timer_bytes();
}

fa_result fa_crew_visit(const fa_crew *crew, fa_worker *from, uint64_t patience_ms,
                        void (*visit_one)(void *context, fa_worker *worker), void (*done)(void *context), void *context)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(from)); /* stands until every errand is back */
    fa_result result = fa_account_allocate(account, round_size(crew->count), &memory);
    if (result != FA_OK)
        return result;
    round *r = memset(memory, 0, round_size(crew->count));
    fa_timer_init(&r->patience, from, fa_worker_scope(from), on_patience_ended);
    result = fa_timer_start(&r->patience, patience_ms);
    if (result != FA_OK) {
        fa_timer_stop(&r->patience);
        fa_account_free(account, r, round_size(crew->count));
        return result;
    }
    r->account = account;
    r->traffic = crew->traffic;
    if (r->traffic != NULL)
        r->traffic->away++;
    r->visit = visit_one;
    r->done = done;
    r->context = context;
    r->away = r->open = r->count = crew->count;
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

static void prepare(outside *o)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&o->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct timespec time_in(uint64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

void fa_crew_visit_and_wait(const fa_crew *crew, uint64_t patience_ms,
                            void (*visit_one)(void *context, fa_worker *worker), void *context)
{
    outside_visit visits[FA_MAX_WORKERS];
    outside o = {.visit = visit_one, .context = context, .away = crew->count};
    prepare(&o);
    for (unsigned i = 0; i < crew->count; ++i) {
        visits[i] = (outside_visit){.outside = &o, .worker = crew->workers[i]};
        fa_message_init(&visits[i].message, on_outside_visit);
        fa_worker_post(crew->workers[i], &visits[i].message);
    }
    const struct timespec deadline = time_in(patience_ms);
    pthread_mutex_lock(&o.lock);
    while (o.away > 0 && pthread_cond_timedwait(&o.changed, &o.lock, &deadline) != ETIMEDOUT)
        continue;
    for (unsigned i = 0; i < crew->count && o.away > 0; ++i)
        o.away -= fa_worker_withdraw(crew->workers[i], &visits[i].message) ? 1 : 0;
    while (o.away > 0) /* they are at it right now */
        pthread_cond_wait(&o.changed, &o.lock);
    pthread_mutex_unlock(&o.lock);
    pthread_cond_destroy(&o.changed);
    pthread_mutex_destroy(&o.lock);
}
