/* Whoever leaves calls the first in the line in: it counts as inside from that moment, and hears of it by a message to its worker. When
 * it goes before the message arrives, it is withdrawn on that worker's own thread, and the place goes to the next one. So no place is
 * lost, and nobody is called who is not there any more. */
#include "worker/gate.h"

#include <string.h>

struct fa_gate {
    fa_list link;
    fa_gates *gates;
    fa_list line; /* of those who wait, oldest first */
    fa_gate_figures figures;
};

struct fa_gates {
    fa_scope *scope;
    pthread_mutex_t lock; /* guards all gates, the scope, and where passes stand */
    fa_list all;
    fa_scope_hook at_end;
};

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_gates, at_end)->lock);
}

fa_gates *fa_gates_new(fa_scope *parent)
{
    fa_scope *scope;
    if (fa_scope_new(fa_scope_ledger(parent), parent, FA_KIND_SERVER, 0, "gates", FA_HERE, &scope) != FA_OK)
        return NULL;
    fa_gates *gates = fa_scope_allocate(scope, sizeof(*gates));
    if (gates == NULL) {
        fa_scope_end(scope, "no memory", NULL);
        return NULL;
    }
    gates->scope = scope;
    pthread_mutex_init(&gates->lock, NULL);
    fa_list_init(&gates->all);
    fa_scope_hook_add(scope, &gates->at_end, on_end);
    return gates;
}

static fa_gate *find_locked(fa_gates *gates, const char *name)
{
    FA_LIST_EACH(node, &gates->all)
    {
        fa_gate *gate = FA_OBJECT(node, fa_gate, link);
        if (strcmp(gate->figures.name, name) == 0)
            return gate;
    }
    fa_gate *gate = fa_scope_allocate(gates->scope, sizeof(*gate));
    const char *copy = fa_scope_copy_text(gates->scope, name, strlen(name));
    if (gate == NULL || copy == NULL)
        return NULL;
    gate->gates = gates;
    gate->figures.name = copy;
    fa_list_init(&gate->line);
    fa_list_append(&gates->all, &gate->link);
    return gate;
}

bool fa_gates_read(fa_gates *gates, size_t index, fa_gate_figures *figures)
{
    bool found = false;
    pthread_mutex_lock(&gates->lock);
    FA_LIST_EACH(node, &gates->all)
    {
        if (index-- == 0) {
            *figures = FA_OBJECT(node, fa_gate, link)->figures;
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&gates->lock);
    return found;
}

/* ---- in ---- */

static bool has_room(const fa_gate *gate)
{
    return gate->figures.limits.inside == 0 || gate->figures.inside < gate->figures.limits.inside;
}

static void admit_locked(fa_gate_pass *pass)
{
    pass->stands = FA_GATE_INSIDE;
    pass->gate->figures.inside++;
    pass->gate->figures.admitted++;
}

static fa_result enter_locked(fa_gate *gate, fa_gate_pass *pass)
{
    if (has_room(gate) && fa_list_empty(&gate->line)) {
        admit_locked(pass);
        return FA_OK;
    }
    if (gate->figures.waiting >= gate->figures.limits.waiting) {
        gate->figures.turned_away++;
        return FA_FULL;
    }
    pass->stands = FA_GATE_WAITING;
    gate->figures.waiting++;
    fa_list_append(&gate->line, &pass->link);
    return FA_CONFLICT;
}

static void on_called(fa_message *message)
{
    fa_gate_pass *pass = FA_OBJECT(message, fa_gate_pass, called);
    fa_timer_stop(&pass->patience);
    pass->answer(pass, FA_OK);
}

static void leave_line_locked(fa_gate_pass *pass)
{
    fa_list_remove(&pass->link);
    pass->stands = FA_GATE_OUTSIDE;
    pass->gate->figures.waiting--;
}

static void on_patience_ended(fa_timer *timer)
{
    fa_gate_pass *pass = FA_OBJECT(timer, fa_gate_pass, patience);
    fa_gates *gates = pass->gate->gates;
    pthread_mutex_lock(&gates->lock);
    bool waited = pass->stands == FA_GATE_WAITING;
    if (waited) {
        leave_line_locked(pass);
        pass->gate->figures.waited_too_long++;
    }
    pthread_mutex_unlock(&gates->lock);
    fa_timer_stop(timer);
    if (waited) /* else it has been called in, and will hear so */
        pass->answer(pass, FA_TIMED_OUT);
}

fa_result fa_gate_enter(fa_gate *gate, fa_gate_pass *pass, fa_worker *worker, fa_scope *scope,
                        void (*answer)(fa_gate_pass *pass, fa_result result))
{
    uint64_t wait_ms;
    pass->gate = gate;
    pass->worker = worker;
    pass->answer = answer;
    fa_list_init(&pass->link);
    fa_message_init(&pass->called, on_called);
    pthread_mutex_lock(&gate->gates->lock);
    fa_result result = enter_locked(gate, pass);
    wait_ms = gate->figures.limits.wait_ms;
    pthread_mutex_unlock(&gate->gates->lock);
    if (result != FA_CONFLICT)
        return result;
    fa_timer_init(&pass->patience, worker, scope, on_patience_ended);
    fa_result started = fa_timer_start(&pass->patience, wait_ms);
    if (started == FA_OK)
        return FA_CONFLICT;
    fa_gate_leave(pass);
    return started;
}

/* ---- out ---- */

static void call_next_locked(fa_gate *gate)
{
    while (has_room(gate) && !fa_list_empty(&gate->line)) {
        fa_gate_pass *next = FA_OBJECT(gate->line.next, fa_gate_pass, link);
        leave_line_locked(next);
        admit_locked(next);
        fa_worker_post(next->worker, &next->called); /* under the lock: it cannot go away meanwhile */
    }
}

fa_result fa_gates_find(fa_gates *gates, const char *name, const fa_gate_limits *limits, fa_gate **out)
{
    pthread_mutex_lock(&gates->lock);
    fa_gate *gate = find_locked(gates, name);
    if (gate != NULL) {
        gate->figures.limits = *limits;
        call_next_locked(gate); /* there may be more room than before */
    }
    pthread_mutex_unlock(&gates->lock);
    *out = gate;
    return gate != NULL ? FA_OK : FA_NO_MEMORY;
}

void fa_gate_leave(fa_gate_pass *pass)
{
    fa_gate *gate = pass->gate;
    if (gate == NULL)
        return;
    pthread_mutex_lock(&gate->gates->lock);
    if (pass->stands == FA_GATE_WAITING) {
        leave_line_locked(pass);
    } else if (pass->stands == FA_GATE_INSIDE) {
        pass->stands = FA_GATE_OUTSIDE;
        gate->figures.inside--;
        call_next_locked(gate);
    }
    pthread_mutex_unlock(&gate->gates->lock);
    fa_worker_withdraw(pass->worker, &pass->called);
    fa_timer_stop(&pass->patience);
    pass->gate = NULL;
}
