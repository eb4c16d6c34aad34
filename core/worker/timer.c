#include "worker/timer.h"

#include <stdio.h>
#include <string.h>

#include "memory/census.h"

/* The uv handle lives on for a loop turn after uv_close, so it cannot lie in the timer's object. */
struct fa_timer_handle {
    union {
        uv_timer_t uv;
        fa_clock_alarm alarm; /* where time is not real: fa_worker_clock */
    };
    fa_list link;    /* among the worker's, until stopped */
    fa_timer *timer; /* NULL once stopped */
    fa_account *account;
};

static void free_handle(struct fa_timer_handle *h)
{
    fa_account *account = h->account;
    fa_account_free(account, h, sizeof(*h));
    fa_account_unref(account);
}

static void on_closed(uv_handle_t *handle)
{
    free_handle((struct fa_timer_handle *)handle);
}

static void on_ring(fa_clock_alarm *alarm)
{
    fa_timer *timer = FA_OBJECT(alarm, struct fa_timer_handle, alarm)->timer;
    timer->fire(timer); /* one that is stopped has no alarm */
}

static void on_fire(uv_timer_t *uv)
{
    struct fa_timer_handle *h = (struct fa_timer_handle *)uv;
    if (h->timer != NULL)
        h->timer->fire(h->timer);
}

static void on_scope_end(fa_scope_hook *hook)
{
    fa_timer_stop(FA_OBJECT(hook, fa_timer, at_end));
}

void fa_timer_init_at(fa_timer *timer, fa_worker *worker, fa_scope *scope, void (*fire)(fa_timer *timer),
                      fa_origin made_at)
{
    timer->handle = NULL;
    timer->fire = fire;
    timer->worker = worker;
    timer->scope = scope;
    timer->made_at = made_at;
    fa_scope_hook_add(scope, &timer->at_end, on_scope_end);
}

/* Also for no time at all, as the loop's timers do, it fires later and not from here. */
static void set_alarm(fa_timer *timer, uint64_t delay_ms)
{
    timer->handle->alarm.ring = on_ring;
    fa_clock_set_alarm(fa_worker_clock(timer->worker), &timer->handle->alarm, delay_ms);
    if (delay_ms == 0)
        fa_worker_alarm_due(timer->worker);
}

fa_result fa_timer_start(fa_timer *timer, uint64_t delay_ms)
{
    if (timer->worker == NULL)
        return FA_WRONG_STATE;
    if (timer->handle == NULL) {
        void *memory;
        fa_account *account = fa_scope_account(fa_worker_scope(timer->worker));
        fa_result result = fa_account_allocate(account, sizeof(struct fa_timer_handle), &memory);
        if (result != FA_OK)
            return result;
        struct fa_timer_handle *h = memset(memory, 0, sizeof(*h));
        h->timer = timer;
        fa_list_append(fa_worker_timers(timer->worker), &h->link);
        h->account = fa_account_ref(account);
        if (fa_worker_clock(timer->worker) == NULL)
            uv_timer_init(fa_worker_loop(timer->worker), &h->uv);
        timer->handle = h;
    }
    if (fa_worker_clock(timer->worker) != NULL) {
        set_alarm(timer, delay_ms);
        return FA_OK;
    }
    uv_update_time(fa_worker_loop(timer->worker)); /* from now, not from when the loop woke up */
    uv_timer_start(&timer->handle->uv, on_fire, delay_ms, 0);
    return FA_OK;
}

size_t fa_timer_bytes(void)
{
    return sizeof(struct fa_timer_handle);
}

void fa_timer_pause(fa_timer *timer)
{
    if (timer->handle == NULL)
        return;
    if (fa_worker_clock(timer->worker) != NULL)
        fa_clock_unset_alarm(&timer->handle->alarm);
    else
        uv_timer_stop(&timer->handle->uv);
}

void fa_timer_stop(fa_timer *timer)
{
    if (timer->at_end.link.next != NULL)
        fa_scope_hook_remove(&timer->at_end);
    struct fa_timer_handle *h = timer->handle;
    bool real = h != NULL && fa_worker_clock(timer->worker) == NULL;
    timer->worker = NULL; /* nothing would stop it a second time */
    timer->handle = NULL;
    if (h == NULL)
        return;
    h->timer = NULL;
    fa_list_remove(&h->link);
    if (real) {
        uv_close((uv_handle_t *)&h->uv, on_closed);
    } else {
        fa_clock_unset_alarm(&h->alarm);
        free_handle(h);
    }
}

void fa_timers_take_inventory(fa_worker *worker, fa_inventory *inventory, const fa_scope *except, bool lasting)
{
    FA_LIST_EACH(node, fa_worker_timers(worker))
    {
        const fa_timer *timer = FA_OBJECT(node, struct fa_timer_handle, link)->timer;
        fa_item item = {.what = "timer", .kind = fa_scope_kind(timer->scope), .worker = fa_worker_index(worker)};
        if (fa_scope_within(timer->scope, except) || (!lasting && fa_kind_lasts(item.kind)))
            continue;
        item.at = timer->made_at;
        snprintf(item.name, sizeof(item.name), "of %s", fa_scope_label(timer->scope));
        fa_inventory_add(inventory, &item);
    }
}
