#include "worker/timer.h"

#include <string.h>

/* The uv handle lives on for a loop turn after uv_close, so it cannot lie in the timer's object. */
struct fa_timer_handle {
    uv_timer_t uv;
    fa_timer *timer; /* NULL once stopped */
    fa_account *account;
};

static void on_closed(uv_handle_t *handle)
{
    struct fa_timer_handle *h = (struct fa_timer_handle *)handle;
    fa_account *account = h->account;
    fa_account_free(account, h, sizeof(*h));
    fa_account_unref(account);
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

void fa_timer_init(fa_timer *timer, fa_worker *worker, fa_scope *scope, void (*fire)(fa_timer *timer))
{
    timer->handle = NULL;
    timer->fire = fire;
    timer->worker = worker;
    fa_scope_hook_add(scope, &timer->at_end, on_scope_end);
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
        h->account = fa_account_ref(account);
        uv_timer_init(fa_worker_loop(timer->worker), &h->uv);
        timer->handle = h;
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
    if (timer->handle != NULL)
        uv_timer_stop(&timer->handle->uv);
}

void fa_timer_stop(fa_timer *timer)
{
    if (timer->at_end.link.next != NULL)
        fa_scope_hook_remove(&timer->at_end);
    timer->worker = NULL; /* nothing would stop it a second time */
    if (timer->handle == NULL)
        return;
    timer->handle->timer = NULL;
    uv_close((uv_handle_t *)&timer->handle->uv, on_closed);
    timer->handle = NULL;
}
