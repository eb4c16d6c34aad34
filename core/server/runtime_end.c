/* How the workers of a server come to an end together.
 *
 * To stop, every lane drains by itself and says when it has nothing more to do. When all have said so their scripts end, for those could go
 * on asking things of other workers for ever. The lanes finish together when that is done everywhere and nothing is on its way between two
 * of them any more: before that somebody may still need any of them. spec/model/drain.pml is the proof. */
#include "server/runtime_internal.h"

static void on_finish(fa_message *message)
{
    fa_lane *l = FA_OBJECT(message, fa_lane, finish);
    fa_timer_stop(&l->patience);
    fa_pressure_detach(l->pressure_steps);
    l->pressure_steps = NULL;
    if (l->http != NULL)
        fa_http_free(l->http);
    l->http = NULL;
    fa_upstreams_free(l->upstreams);
    l->upstreams = NULL;
    fa_worker_finish(l->worker);
}

typedef enum stage { HALT, FINISH } stage;

static void post_to_all(fa_runtime *runtime, stage next)
{
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        fa_lane *l = &runtime->lanes[i];
        fa_worker_post(l->worker, next == HALT ? &l->halt : &l->finish);
    }
}

/* Whether nothing is under way between workers. When all scripts have halted nothing new begins: either number
 * stays 0. */
static bool is_quiet(fa_runtime *runtime)
{
    return fa_directory_travelling(runtime->directory) == 0 && runtime->traffic.away == 0;
}

/* Thread: any. Posted, not called: scripts may be above us on the stack. */
static void look_if_over(fa_runtime *runtime)
{
    bool idle = true, halted = true;
    pthread_mutex_lock(&runtime->lock);
    for (unsigned i = 0; i < runtime->crew.count; ++i) {
        idle = idle && runtime->lanes[i].idle;
        halted = halted && runtime->lanes[i].halted;
    }
    if (idle && !runtime->halting) {
        runtime->halting = true;
        post_to_all(runtime, HALT);
    }
    if (idle && halted && !runtime->finishing && is_quiet(runtime)) {
        runtime->finishing = true;
        post_to_all(runtime, FINISH);
    }
    pthread_mutex_unlock(&runtime->lock);
}

static void say(fa_lane *l, bool *what)
{
    pthread_mutex_lock(&l->runtime->lock);
    *what = true;
    pthread_mutex_unlock(&l->runtime->lock);
    look_if_over(l->runtime);
}

void fa_lane_halt(fa_lane *l)
{
    fa_generations_stop(l->generations);
    say(l, &l->halted);
}

static void on_halt(fa_message *message)
{
    fa_lane_halt(FA_OBJECT(message, fa_lane, halt));
}

/* Asked when the last connection or the last dialogue has gone. As long as there is a dialogue streams may still come to it, with a connection or,
 * by HTTP/2, without one. */
static void look_if_idle(fa_lane *l)
{
    if (fa_http_connections(l->http) == 0 && l->dialogues_empty)
        say(l, &l->idle);
}

void fa_runtime_on_quiet(void *context)
{
    look_if_over(context);
}

static void on_edge_idle(void *context)
{
    look_if_idle(context);
}

static void on_dialogues_empty(void *context)
{
    fa_lane *l = context;
    l->dialogues_empty = true;
    look_if_idle(l);
}

static void on_patience_ended(fa_timer *timer)
{
    fa_lane *l = FA_OBJECT(timer, fa_lane, patience);
    size_t requests = fa_http_requests(l->http), turns = fa_dialogues_running(l->dialogues);
    if (requests + turns > 0)
        fa_log_write(fa_worker_log(l->worker), FA_LOG_WARN,
                     "draining took too long: %zu request%s and %zu turn%s are cut", requests, requests == 1 ? "" : "s",
                     turns, turns == 1 ? "" : "s");
    fa_dialogues_end_all(l->dialogues, "the server stops");
    fa_http_cut(l->http);
}

void fa_lane_begin_drain(fa_lane *l)
{
    if (l->draining)
        return;
    l->draining = true;
    if (fa_timer_start(&l->patience, l->runtime->drain_ms) != FA_OK)
        on_patience_ended(&l->patience);
    fa_generations_drain(l->generations); /* first: the edge may be idle at once, and be freed */
    fa_http_drain(l->http, on_edge_idle, l);
    fa_dialogues_drain(l->dialogues, on_dialogues_empty, l);
}

static void on_stop(fa_message *message)
{
    fa_lane_begin_drain(FA_OBJECT(message, fa_lane, stop));
}

void fa_lane_init_end(fa_lane *l)
{
    fa_message_init(&l->stop, on_stop);
    fa_message_init(&l->halt, on_halt);
    fa_message_init(&l->finish, on_finish);
    fa_timer_init(&l->patience, l->worker, fa_worker_scope(l->worker), on_patience_ended);
}
