#include "script/generations.h"

#include <stdio.h>

#include "script/internal.h"
#include "script/route_options.h"

/* Lies in the scope of its script. */
typedef struct generation {
    fa_list link;
    fa_generations *owner;
    fa_script *script;
    fa_message leave;
    fa_timer drain; /* runs from the moment that it is replaced */
} generation;

struct fa_generations {
    fa_generations_options options;
    fa_list all;        /* the current one first */
    unsigned number;    /* of the current one */
    fa_script *offered; /* written before `serving`, read after it; NULL once it is taken up */
    fa_message wake, begin;
    bool draining, stopped;
};

static generation *of(fa_list *node)
{
    return FA_OBJECT(node, generation, link);
}

static generation *newest(const fa_generations *g)
{
    return of(g->all.next);
}

/* ---- the end of one ---- */

static void end(generation *gone)
{
    fa_generations *g = gone->owner;
    fa_list_remove(&gone->link);
    fa_worker_withdraw(g->options.worker, &gone->leave);
    fa_timer_stop(&gone->drain);
    fa_script_free(gone->script);
}

static void on_leave(fa_message *message)
{
    generation *gone = FA_OBJECT(message, generation, leave);
    fa_generations *g = gone->owner;
    unsigned number = fa_script_generation(gone->script);
    if (!fa_script_idle(gone->script)) /* a task has begun another one with its last breath */
        return;
    fa_phases_shut_down(gone->script);
    end(gone);
    g->options.gone(g->options.context, number);
}

static void on_idle(void *context)
{
    generation *gone = context;
    fa_worker_post(gone->owner->options.worker, &gone->leave);
}

static void on_drain(fa_timer *timer)
{
    fa_script_drain(FA_OBJECT(timer, generation, drain)->script);
}

/* ---- the beginning of one ---- */

/* Takes no memory: everything is there. */
static void add(fa_generations *g, generation *fresh)
{
    fa_message_init(&fresh->leave, on_leave);
    fa_timer_init(&fresh->drain, g->options.worker, fresh->script->scope, on_drain);
    fresh->owner = g;
    fa_list_prepend(&g->all, &fresh->link);
    g->number = fa_script_generation(fresh->script);
}

static fa_result prepare(fa_script *script)
{
    generation *own = fa_scope_allocate(script->scope, sizeof(*own));
    if (own == NULL)
        return FA_NO_MEMORY;
    own->script = script;
    script->generation = own;
    return FA_OK;
}

fa_result fa_generation_build(const fa_script_options *options, fa_script **out, fa_load_failure *failure,
                              fa_error *error)
{
    fa_script *script;
    fa_result result = fa_script_new_apart(options, &script, error);
    if (result != FA_OK)
        return result;
    result = fa_script_load(script, failure, error);
    if (result == FA_OK && prepare(script) != FA_OK)
        result = fa_fail(error, FA_NO_MEMORY, "no memory for scripts");
    if (result != FA_OK)
        fa_script_free(script);
    else
        *out = script;
    return result;
}

/* Nothing but a change of hands: a request may be the first to notice that it is time. What may take longer comes from the loop. */
static void take_up(fa_generations *g)
{
    fa_script *script = g->offered;
    g->offered = NULL;
    fa_script_attach(script);
    add(g, script->generation);
    fa_route_options_apply(script);
    fa_script_upstreams_apply(script);
    fa_worker_post(g->options.worker, &g->wake);
}

static void look_at_the_number(fa_generations *g)
{
    if (atomic_load_explicit(g->options.serving, memory_order_acquire) != g->number)
        take_up(g);
}

fa_script *fa_generations_current(fa_generations *g)
{
    look_at_the_number(g);
    return newest(g)->script;
}

static void retire(generation *old)
{
    if (old->script->retired)
        return;
    if (old->owner->stopped || fa_timer_start(&old->drain, old->owner->options.drain_ms) != FA_OK)
        fa_script_drain(old->script); /* the server stops, or has no memory to wait */
    fa_script_retire(old->script, on_idle, old);
}

/* What app:on_start has begun ends before that of the new one begins: its tasks have their last word in the mail before ours. */
static void on_wake(fa_message *message)
{
    fa_generations *g = FA_OBJECT(message, fa_generations, wake);
    look_at_the_number(g);
    if (newest(g)->link.next == &g->all || of(newest(g)->link.next)->script->retired)
        return;
    for (fa_list *node = newest(g)->link.next, *next; node != &g->all; node = next) {
        next = node->next;
        retire(of(node));
    }
    fa_worker_post(g->options.worker, &g->begin);
}

static void on_begin(fa_message *message)
{
    fa_generations *g = FA_OBJECT(message, fa_generations, begin);
    if (!g->stopped)
        fa_script_start(newest(g)->script);
    if (g->draining)
        fa_script_drain(newest(g)->script);
    g->options.taken_up(g->options.context, g->number);
}

fa_result fa_generations_new(const fa_generations_options *options, fa_script *first, fa_generations **out)
{
    fa_generations *g = fa_scope_allocate(fa_worker_scope(options->worker), sizeof(*g));
    if (g == NULL || prepare(first) != FA_OK)
        return FA_NO_MEMORY;
    g->options = *options;
    fa_list_init(&g->all);
    fa_message_init(&g->wake, on_wake);
    fa_message_init(&g->begin, on_begin);
    add(g, first->generation);
    *out = g;
    return FA_OK;
}

void fa_generations_start(fa_generations *g)
{
    fa_script_start(newest(g)->script);
}

void fa_generations_offer(fa_generations *g, fa_script *script)
{
    g->offered = script;
}

void fa_generations_wake(fa_generations *g)
{
    fa_worker_post(g->options.worker, &g->wake);
}

/* ---- what they are for ---- */

void fa_generations_handle(fa_exchange *exchange, void *context)
{
    fa_generations *g = context;
    fa_script *script = fa_generations_current(g);
    if (g->options.tell_clients)
        snprintf(exchange->generation, sizeof(exchange->generation), "%u", g->number);
    fa_script_handle(exchange, script);
}

size_t fa_generations_body_limit(const fa_route_key *key, void *context)
{
    return fa_script_body_limit(key, fa_generations_current(context));
}

/* ---- all of them ---- */

size_t fa_generations_all(fa_generations *g, fa_script *all[FA_MOST_GENERATIONS + 1])
{
    size_t count = 0;
    FA_LIST_EACH(node, &g->all)
    {
        if (count < FA_MOST_GENERATIONS)
            all[count++] = of(node)->script;
    }
    all[count] = NULL;
    return count;
}

void fa_generations_cut(fa_generations *g, unsigned number, const char *reason)
{
    FA_LIST_EACH(node, &g->all)
    {
        fa_script *script = of(node)->script;
        if (fa_script_generation(script) == number && script->retired)
            fa_script_cut(script, reason); /* it goes by a message: the list stays as it is */
    }
}

void fa_generations_drain(fa_generations *g)
{
    g->draining = true;
    FA_LIST_EACH(node, &g->all)
    fa_script_drain(of(node)->script);
}

void fa_generations_stop(fa_generations *g)
{
    g->stopped = true;
    FA_LIST_EACH(node, &g->all)
    {
        fa_timer_stop(&of(node)->drain);
        fa_script_stop(of(node)->script);
    }
}

void fa_generations_free(fa_generations *g)
{
    if (g == NULL)
        return;
    fa_worker_withdraw(g->options.worker, &g->wake);
    fa_worker_withdraw(g->options.worker, &g->begin);
    while (!fa_list_empty(&g->all))
        end(newest(g));
    fa_script_free(g->offered);
    fa_scope_free(fa_worker_scope(g->options.worker), g);
}
