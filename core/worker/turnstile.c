/* Whoever leaves calls the first in the line in: it counts as inside from that moment, and hears of it by a message to its worker. When
 * it goes before the message arrives, it is withdrawn on that worker's own thread, and the place goes to the next one. So no place is
 * lost, and nobody is called who is not there any more. */
#include "worker/turnstile.h"

#include <stdio.h>
#include <string.h>

struct fa_turnstile {
    fa_list link;
    fa_turnstiles *turnstiles;
    fa_list line; /* of those who wait, oldest first */
    size_t references;
    fa_turnstile_figures figures;
};

struct fa_turnstiles {
    fa_scope *scope;
    pthread_mutex_t lock; /* guards all turnstiles, the scope, and where passes stand */
    fa_list all;
    fa_scope_hook at_end;
};

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_turnstiles, at_end)->lock);
}

fa_turnstiles *fa_turnstiles_new(fa_scope *parent)
{
    fa_scope *scope;
    if (fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SERVER, 0, "turnstiles", FA_HERE, &scope) != FA_OK)
        return NULL;
    fa_turnstiles *turnstiles = fa_scope_allocate(scope, sizeof(*turnstiles));
    if (turnstiles == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    turnstiles->scope = scope;
    pthread_mutex_init(&turnstiles->lock, NULL);
    fa_list_init(&turnstiles->all);
    fa_scope_hook_add(scope, &turnstiles->at_end, on_end);
    return turnstiles;
}

static fa_turnstile *find_locked(fa_turnstiles *turnstiles, const char *name, const fa_turnstile_limits *limits)
{
    FA_LIST_EACH(node, &turnstiles->all)
    {
        fa_turnstile *turnstile = FA_OBJECT(node, fa_turnstile, link);
        if (strncmp(turnstile->figures.name, name, FA_TURNSTILE_NAME_SIZE - 1) == 0)
            return turnstile;
    }
    fa_turnstile *turnstile = fa_scope_allocate(turnstiles->scope, sizeof(*turnstile));
    if (turnstile == NULL)
        return NULL;
    turnstile->turnstiles = turnstiles;
    snprintf(turnstile->figures.name, sizeof(turnstile->figures.name), "%s", name);
    turnstile->figures.limits = *limits;
    fa_list_init(&turnstile->line);
    fa_list_append(&turnstiles->all, &turnstile->link);
    return turnstile;
}

bool fa_turnstiles_read(fa_turnstiles *turnstiles, size_t index, fa_turnstile_figures *figures)
{
    bool found = false;
    pthread_mutex_lock(&turnstiles->lock);
    FA_LIST_EACH(node, &turnstiles->all)
    {
        if (index-- == 0) {
            *figures = FA_OBJECT(node, fa_turnstile, link)->figures;
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&turnstiles->lock);
    return found;
}

static void free_unused_locked(fa_turnstile *turnstile)
{
    if (turnstile->references > 0 || turnstile->figures.inside > 0 || turnstile->figures.waiting > 0)
        return;
    fa_list_remove(&turnstile->link);
    fa_scope_free(turnstile->turnstiles->scope, turnstile);
}

/* ---- in ---- */

static bool has_room(const fa_turnstile *turnstile)
{
    return turnstile->figures.limits.inside == 0 || turnstile->figures.inside < turnstile->figures.limits.inside;
}

static void admit_locked(fa_turnstile_pass *pass)
{
    pass->stands = FA_TURNSTILE_INSIDE;
    pass->turnstile->figures.inside++;
    pass->turnstile->figures.admitted++;
}

static fa_result enter_locked(fa_turnstile *turnstile, fa_turnstile_pass *pass)
{
    if (has_room(turnstile) && fa_list_empty(&turnstile->line)) {
        admit_locked(pass);
        return FA_OK;
    }
    if (turnstile->figures.waiting >= turnstile->figures.limits.waiting) {
        turnstile->figures.turned_away++;
        return FA_FULL;
    }
    pass->stands = FA_TURNSTILE_WAITING;
    turnstile->figures.waiting++;
    fa_list_append(&turnstile->line, &pass->link);
    return FA_CONFLICT;
}

static void on_called(fa_message *message)
{
    fa_turnstile_pass *pass = FA_OBJECT(message, fa_turnstile_pass, called);
    fa_timer_stop(&pass->patience);
    pass->answer(pass, FA_OK);
}

static void leave_line_locked(fa_turnstile_pass *pass)
{
    fa_list_remove(&pass->link);
    pass->stands = FA_TURNSTILE_OUTSIDE;
    pass->turnstile->figures.waiting--;
}

static void on_patience_ended(fa_timer *timer)
{
    fa_turnstile_pass *pass = FA_OBJECT(timer, fa_turnstile_pass, patience);
    fa_turnstiles *turnstiles = pass->turnstile->turnstiles;
    pthread_mutex_lock(&turnstiles->lock);
    bool waited = pass->stands == FA_TURNSTILE_WAITING;
    if (waited) {
        leave_line_locked(pass);
        pass->turnstile->figures.waited_too_long++;
        free_unused_locked(pass->turnstile);
        pass->turnstile = NULL;
    }
    pthread_mutex_unlock(&turnstiles->lock);
    fa_timer_stop(timer);
    if (waited) /* else it has been called in, and will hear so */
        pass->answer(pass, FA_TIMED_OUT);
}

fa_result fa_turnstile_enter(fa_turnstile *turnstile, fa_turnstile_pass *pass, fa_worker *worker, fa_scope *scope,
                             void (*answer)(fa_turnstile_pass *pass, fa_result result))
{
    uint64_t wait_ms;
    pass->turnstile = turnstile;
    pass->worker = worker;
    pass->answer = answer;
    fa_list_init(&pass->link);
    fa_message_init(&pass->called, on_called);
    pthread_mutex_lock(&turnstile->turnstiles->lock);
    fa_result result = enter_locked(turnstile, pass);
    wait_ms = turnstile->figures.limits.wait_ms;
    pthread_mutex_unlock(&turnstile->turnstiles->lock);
    if (result == FA_FULL)
        pass->turnstile = NULL; /* it stands nowhere: the turnstile may go without it */
    if (result != FA_CONFLICT)
        return result;
    fa_timer_init(&pass->patience, worker, scope, on_patience_ended);
    fa_result started = fa_timer_start(&pass->patience, wait_ms);
    if (started == FA_OK)
        return FA_CONFLICT;
    fa_turnstile_leave(pass);
    return started;
}

/* ---- out ---- */

static void call_next_locked(fa_turnstile *turnstile)
{
    while (has_room(turnstile) && !fa_list_empty(&turnstile->line)) {
        fa_turnstile_pass *next = FA_OBJECT(turnstile->line.next, fa_turnstile_pass, link);
        leave_line_locked(next);
        admit_locked(next);
        fa_worker_post(next->worker, &next->called); /* under the lock: it cannot go away meanwhile */
    }
}

fa_result fa_turnstiles_find(fa_turnstiles *turnstiles, const char *name, const fa_turnstile_limits *limits,
                             fa_turnstile **out)
{
    pthread_mutex_lock(&turnstiles->lock);
    fa_turnstile *turnstile = find_locked(turnstiles, name, limits);
    if (turnstile != NULL)
        turnstile->references++;
    pthread_mutex_unlock(&turnstiles->lock);
    *out = turnstile;
    return turnstile != NULL ? FA_OK : FA_NO_MEMORY;
}

void fa_turnstile_limit(fa_turnstile *turnstile, const fa_turnstile_limits *limits)
{
    pthread_mutex_lock(&turnstile->turnstiles->lock);
    turnstile->figures.limits = *limits;
    call_next_locked(turnstile); /* there may be more room than before */
    pthread_mutex_unlock(&turnstile->turnstiles->lock);
}

void fa_turnstile_unref(fa_turnstile *turnstile)
{
    if (turnstile == NULL)
        return;
    fa_turnstiles *turnstiles = turnstile->turnstiles;
    pthread_mutex_lock(&turnstiles->lock);
    turnstile->references--;
    free_unused_locked(turnstile);
    pthread_mutex_unlock(&turnstiles->lock);
}

void fa_turnstile_leave(fa_turnstile_pass *pass)
{
    fa_turnstile *turnstile = pass->turnstile;
    if (turnstile == NULL)
        return;
    fa_turnstiles *turnstiles = turnstile->turnstiles;
    pthread_mutex_lock(&turnstiles->lock);
    if (pass->stands == FA_TURNSTILE_WAITING) {
        leave_line_locked(pass);
    } else {
        pass->stands = FA_TURNSTILE_OUTSIDE;
        turnstile->figures.inside--;
        call_next_locked(turnstile);
    }
    free_unused_locked(turnstile);
    pthread_mutex_unlock(&turnstiles->lock);
    fa_worker_withdraw(pass->worker, &pass->called);
    fa_timer_stop(&pass->patience);
    pass->turnstile = NULL;
}
