/* core/exchange: outlets, pipes and streams of events, against clients that take what they like. */
#include "testing.h"

#include <stdio.h>

#include "exchange/events.h"
#include "exchange/head.h"
#include "exchange/inprocess.h"
#include "exchange/pipe.h"

enum { CAP = 1000 };

static fa_failing memory;
static fa_ledger *ledger;
static fa_worker *worker;
static fa_scope *owner;
static fa_exchange *seen; /* of the last request; dead once it has ended */

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
    assert_ok(fa_scope_new(ledger, fa_worker_scope(worker), FA_KIND_SCRIPT, 0, "owner", FA_HERE, &owner));
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->bytes, 0);
    assert_int_equal(fa_ledger_in_flight(ledger), 0);
    fa_worker_free(worker);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static void keep(fa_exchange *exchange, void *context)
{
    (void)context;
    seen = exchange;
}

static fa_inprocess *ask(const char *method)
{
    fa_inprocess *client;
    fa_inprocess_request request = {.method = method, .target = "/", .stepped = true};
    assert_ok(fa_inprocess_start(worker, owner, &request, keep, NULL, &client));
    return client;
}

/* All that can happen without a timer happens, on the busiest machine, too. */
static void turn(void)
{
    for (int i = 0; i < 50; ++i)
        uv_run(fa_worker_loop(worker), UV_RUN_NOWAIT);
}

static void assert_body(const fa_inprocess *client, const char *text)
{
    const fa_buffer *body = fa_inprocess_answered(client)->body;
    assert_int_equal(fa_buffer_length(body), strlen(text));
    assert_memory_equal(fa_buffer_data(body), text, strlen(text));
}

static fa_outlet *open_outlet(int64_t length)
{
    fa_outlet *outlet;
    assert_ok(fa_outlet_open(seen, 200, NULL, 0, length, CAP, &outlet));
    return outlet;
}

static fa_buffer *sealed(size_t length)
{
    fa_buffer *buffer;
    void *space;
    assert_ok(fa_buffer_new(owner, length, "bytes", FA_HERE, &buffer));
    assert_ok(fa_buffer_reserve(buffer, length, &space));
    memset(space, 'b', length);
    fa_buffer_commit(buffer, length);
    fa_buffer_seal(buffer);
    return buffer;
}

/* ---- outlets ---- */

static void what_is_written_arrives_in_order(void **state)
{
    (void)state;
    fa_inprocess *client = ask("GET");
    fa_outlet *outlet = open_outlet(-1);
    fa_buffer *buffer = sealed(3);
    assert_ok(fa_outlet_write_bytes(outlet, "one ", 4));
    assert_ok(fa_outlet_write_bytes(outlet, "two ", 4));
    assert_ok(fa_outlet_write(outlet, buffer));
    fa_buffer_release(buffer); /* it is leased */
    assert_ok(fa_outlet_write_bytes(outlet, "", 0));
    assert_ok(fa_outlet_write_bytes(outlet, " three", 6));
    assert_int_equal(fa_outlet_queued(outlet), 17);
    assert_ok(fa_outlet_finish(outlet));
    assert_int_equal(fa_outlet_finish(outlet), FA_WRONG_STATE);
    assert_int_equal(fa_outlet_write_bytes(outlet, "x", 1), FA_WRONG_STATE);
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_true(fa_inprocess_answered(client)->complete);
    assert_body(client, "one two bbb three");
    fa_inprocess_free(client);
}

typedef struct waiting {
    fa_outlet_waiter waiter;
    fa_outlet *outlet;
    const char *text;
    char *order;
    bool gone;
} waiting;

static void on_room(fa_outlet_waiter *waiter, bool gone)
{
    waiting *w = FA_OBJECT(waiter, waiting, waiter);
    w->gone = gone;
    if (!gone)
        assert_ok(fa_outlet_write_bytes(w->outlet, w->text, strlen(w->text)));
    if (w->order != NULL)
        strncat(w->order, w->text, 1);
}

static void wait_with(waiting *w, fa_outlet *outlet, const char *text, char *order)
{
    *w = (waiting){.outlet = outlet, .text = text, .order = order};
    fa_list_init(&w->waiter.link);
    w->waiter.wanted = strlen(text);
    w->waiter.wake = on_room;
    fa_outlet_wait(outlet, &w->waiter);
}

static void the_queue_is_never_above_its_cap(void **state)
{
    char piece[301], order[8] = "";
    waiting first, second;
    (void)state;
    memset(piece, 'p', 300);
    piece[300] = '\0';
    fa_inprocess *client = ask("GET");
    fa_outlet *outlet = open_outlet(-1);
    for (int i = 0; i < 3; ++i)
        assert_ok(fa_outlet_write_bytes(outlet, piece, 300));
    assert_int_equal(fa_outlet_write_bytes(outlet, piece, 300), FA_FULL);
    assert_ok(fa_outlet_write_bytes(outlet, piece, 100)); /* to the last byte */
    assert_int_equal(fa_outlet_write_bytes(outlet, piece, 1), FA_FULL);
    wait_with(&first, outlet, piece, order);
    wait_with(&second, outlet, "x", order);
    fa_inprocess_take(client, 300); /* the first send is taken, the next goes out */
    turn();
    assert_string_equal(order, "p");
    assert_int_equal(fa_outlet_queued(outlet), CAP); /* 300 + 300 + 100 and the first that waited */
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_string_equal(order, "px");
    assert_int_equal(fa_outlet_queued(outlet), 0);
    assert_ok(fa_outlet_finish(outlet));
    turn();
    assert_int_equal(fa_buffer_length(fa_inprocess_answered(client)->body), 1301);
    fa_inprocess_free(client);
}

/* Who comes later does not overtake, though what it has would fit. */
static void whoever_waits_goes_first(void **state)
{
    char piece[901], order[8] = "";
    waiting large;
    (void)state;
    memset(piece, 'p', 900);
    piece[900] = '\0';
    fa_inprocess *client = ask("GET");
    fa_outlet *outlet = open_outlet(-1);
    assert_ok(fa_outlet_write_bytes(outlet, piece, 900));
    wait_with(&large, outlet, piece, order);
    assert_int_equal(fa_outlet_write_bytes(outlet, "x", 1), FA_FULL);
    fa_inprocess_take(client, 900);
    turn();
    assert_string_equal(order, "p");
    assert_ok(fa_outlet_write_bytes(outlet, "x", 1));
    fa_inprocess_free(client);
}

static void a_piece_above_the_cap_goes_alone(void **state)
{
    (void)state;
    fa_inprocess *client = ask("GET");
    fa_outlet *outlet = open_outlet(-1);
    fa_buffer *large = sealed(300 * 1000);
    assert_ok(fa_outlet_write(outlet, large));
    fa_buffer_release(large);
    assert_int_equal(fa_outlet_write_bytes(outlet, "x", 1), FA_FULL);
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_ok(fa_outlet_write_bytes(outlet, "x", 1));
    assert_ok(fa_outlet_finish(outlet));
    turn();
    assert_int_equal(fa_buffer_length(fa_inprocess_answered(client)->body), 300 * 1000 + 1);
    fa_inprocess_free(client);
}

static void waiters_hear_that_the_client_is_gone(void **state)
{
    waiting w;
    (void)state;
    fa_inprocess *client = ask("GET");
    fa_outlet *outlet = open_outlet(-1);
    fa_buffer *large = sealed(CAP);
    assert_ok(fa_outlet_write(outlet, large));
    fa_buffer_release(large);
    wait_with(&w, outlet, "x", NULL);
    fa_inprocess_free(client);
    assert_true(w.gone);
    client = ask("GET");
    outlet = open_outlet(-1);
    large = sealed(CAP);
    assert_ok(fa_outlet_write(outlet, large));
    fa_buffer_release(large);
    wait_with(&w, outlet, "x", NULL);
    fa_exchange_abort(seen);
    assert_int_equal(fa_outlet_write_bytes(outlet, "x", 1), FA_CANCELLED);
    assert_int_equal(fa_outlet_finish(outlet), FA_CANCELLED);
    assert_true(w.gone);
    turn();
    assert_false(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
}

static void a_declared_length_is_kept(void **state)
{
    (void)state;
    fa_inprocess *client = ask("GET");
    fa_inprocess_take(client, SIZE_MAX);
    fa_outlet *outlet = open_outlet(5);
    assert_int_equal(fa_outlet_write_bytes(outlet, "123456", 6), FA_INVALID);
    assert_ok(fa_outlet_write_bytes(outlet, "12345", 5));
    assert_int_equal(fa_outlet_write_bytes(outlet, "6", 1), FA_INVALID);
    assert_ok(fa_outlet_finish(outlet));
    turn();
    assert_true(fa_inprocess_answered(client)->complete);
    assert_body(client, "12345");
    fa_inprocess_free(client);
    client = ask("GET");
    fa_inprocess_take(client, SIZE_MAX);
    outlet = open_outlet(5);
    assert_ok(fa_outlet_write_bytes(outlet, "1234", 4));
    assert_int_equal(fa_outlet_finish(outlet), FA_INVALID);
    turn();
    assert_true(fa_inprocess_answered(client)->ended && !fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
}

static void head_requests_drop_the_body(void **state)
{
    fa_outlet *outlet;
    (void)state;
    fa_inprocess *client = ask("HEAD");
    outlet = open_outlet(-1);
    assert_ok(fa_outlet_write_bytes(outlet, "dropped", 7));
    assert_ok(fa_outlet_finish(outlet));
    turn();
    assert_true(fa_inprocess_answered(client)->complete);
    assert_body(client, "");
    fa_inprocess_free(client);
    client = ask("GET");
    assert_ok(fa_outlet_open(seen, 204, NULL, 0, -1, CAP, &outlet));
    assert_ok(fa_outlet_write_bytes(outlet, "dropped", 7));
    turn();
    assert_true(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
}

/* ---- pipes ---- */

typedef struct source {
    fa_pipe *pipe;
    size_t pulls, room, given, stops, piece;
    size_t total; /* then it ends */
} source;

static void give(source *s)
{
    fa_result result = FA_OK;
    while (result == FA_OK && s->given < s->total) {
        fa_buffer *buffer = sealed(s->piece);
        result = fa_pipe_give(s->pipe, buffer);
        fa_buffer_release(buffer);
        if (result == FA_OK || result == FA_FULL)
            s->given += s->piece;
    }
    if (s->given >= s->total)
        fa_pipe_end(s->pipe);
}

static void pull(void *context, fa_pipe *pipe, size_t room)
{
    source *s = context;
    s->pipe = pipe;
    s->room = room;
    s->pulls++;
    give(s);
}

static void stop(void *context)
{
    ((source *)context)->stops++;
}

static const fa_pipe_source type = {pull, stop};

static void a_pipe_goes_at_the_pace_of_its_client(void **state)
{
    fa_pipe *pipe;
    source s = {.piece = 100, .total = 10000};
    (void)state;
    fa_inprocess *client = ask("GET");
    assert_ok(fa_pipe_open(seen, 200, NULL, 0, 10000, CAP, &type, &s, &pipe));
    assert_int_equal(s.pulls, 1);
    assert_int_equal(s.given, CAP); /* and no byte more while nobody takes any */
    turn();
    assert_int_equal(s.given, CAP);
    for (size_t taken = 500; taken < 10000; taken += 500) {
        fa_inprocess_take(client, 500);
        turn();
        assert_true(s.given <= taken + CAP + s.piece);
    }
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_true(fa_inprocess_answered(client)->complete);
    assert_int_equal(fa_buffer_length(fa_inprocess_answered(client)->body), 10000);
    assert_int_equal(s.stops, 0);
    assert_true(s.pulls > 5);
    fa_inprocess_free(client);
}

static void a_source_hears_that_its_client_is_gone(void **state)
{
    fa_pipe *pipe;
    source s = {.piece = 100, .total = 10000};
    (void)state;
    fa_inprocess *client = ask("GET");
    assert_ok(fa_pipe_open(seen, 200, NULL, 0, -1, CAP, &type, &s, &pipe));
    fa_inprocess_free(client);
    assert_int_equal(s.stops, 1);
}

static void half_an_answer_is_cut(void **state)
{
    fa_pipe *pipe;
    source s = {.piece = 100, .total = 10000};
    (void)state;
    fa_inprocess *client = ask("GET");
    assert_ok(fa_pipe_open(seen, 200, NULL, 0, -1, CAP, &type, &s, &pipe));
    fa_pipe_fail(pipe, "the upstream broke off");
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_true(fa_inprocess_answered(client)->ended && !fa_inprocess_answered(client)->complete);
    assert_int_equal(s.stops, 0);
    fa_inprocess_free(client);

    s = (source){.piece = 100, .total = 300};
    client = ask("GET");
    assert_ok(fa_pipe_open(seen, 200, NULL, 0, 10000, CAP, &type, &s, &pipe)); /* ends short of what was declared */
    fa_inprocess_take(client, SIZE_MAX);
    turn();
    assert_true(fa_inprocess_answered(client)->ended && !fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
}

static void a_source_that_does_not_wait_is_cut(void **state)
{
    fa_pipe *pipe;
    source s = {.piece = CAP, .total = 10000};
    (void)state;
    fa_inprocess *client = ask("GET");
    assert_ok(fa_pipe_open(seen, 200, NULL, 0, -1, CAP, &type, &s, &pipe));
    fa_buffer *more = sealed(1);
    assert_int_equal(fa_pipe_give(pipe, more), FA_WRONG_STATE);
    fa_buffer_release(more);
    turn();
    assert_false(fa_inprocess_answered(client)->complete);
    assert_int_equal(s.stops, 1);
    fa_inprocess_free(client);
}

/* ---- events ---- */

static void silence_is_filled_with_comments(void **state)
{
    fa_events *events;
    fa_events_options options = {.retry_ms = 700, .heartbeat_ms = 20, .cap = CAP};
    (void)state;
    fa_inprocess *client = ask("GET");
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    fa_inprocess_take(client, SIZE_MAX);
    assert_ok(fa_events_open(seen, &options, &events));
    FA_TEST_RUN_WHILE(worker, fa_buffer_length(answer->body) < strlen("retry: 700\n\n:\n\n:\n\n"));
    assert_memory_equal(fa_buffer_data(answer->body), "retry: 700\n\n:\n\n:\n\n", 18);
    assert_true(fa_text_is(fa_inprocess_header(client, "content-type"), "text/event-stream"));
    fa_events_close(events, true);
    fa_events_close(events, true);
    turn();
    assert_true(answer->complete);
    size_t length = fa_buffer_length(answer->body);
    assert_memory_equal(fa_buffer_data(answer->body) + length - 12, "retry: 700\n\n", 12);
    fa_inprocess_free(client);
}

static void a_client_that_takes_nothing_gets_no_heartbeats(void **state)
{
    fa_events *events;
    fa_events_options options = {.heartbeat_ms = 1, .cap = CAP};
    (void)state;
    fa_inprocess *client = ask("GET");
    assert_ok(fa_events_open(seen, &options, &events));
    fa_test_run_for(worker, 30);
    assert_int_equal(fa_outlet_queued(fa_events_outlet(events)), 3); /* the first one */
    fa_inprocess_free(client);
}

/* ---- memory ---- */

static bool scenario(fa_ledger *failing)
{
    bool complete = false;
    fa_outlet *outlet;
    fa_events *events;
    fa_pipe *pipe;
    fa_inprocess *client = NULL;
    fa_buffer *buffer = NULL;
    source s = {.piece = 100, .total = 0};
    fa_inprocess_request request = {.method = "GET", .target = "/"};
    fa_events_options options = {.heartbeat_ms = 5, .cap = CAP};
    worker = NULL;
    NEED(fa_worker_new(failing, NULL, 0, NULL, &worker, NULL) == FA_OK);
    NEED(fa_scope_new(failing, fa_worker_scope(worker), FA_KIND_SCRIPT, 0, "owner", FA_HERE, &owner) == FA_OK);

    NEED(fa_inprocess_start(worker, owner, &request, keep, NULL, &client) == FA_OK);
    NEED(fa_outlet_open(seen, 200, NULL, 0, -1, CAP, &outlet) == FA_OK);
    NEED(fa_buffer_new(owner, 10, "bytes", FA_HERE, &buffer) == FA_OK);
    fa_buffer_append(buffer, "0123456789", 10);
    fa_buffer_seal(buffer);
    NEED(fa_outlet_write_bytes(outlet, "text", 4) == FA_OK);
    NEED(fa_outlet_write_bytes(outlet, "more", 4) == FA_OK);
    NEED(fa_outlet_write(outlet, buffer) == FA_OK);
    NEED(fa_outlet_finish(outlet) == FA_OK);
    turn();
    NEED(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
    client = NULL;

    NEED(fa_inprocess_start(worker, owner, &request, keep, NULL, &client) == FA_OK);
    NEED(fa_events_open(seen, &options, &events) == FA_OK);
    fa_test_run_for(worker, 8);
    NEED(!fa_inprocess_answered(client)->ended); /* the client has no memory either */
    fa_events_close(events, true);
    turn();
    NEED(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
    client = NULL;

    NEED(fa_inprocess_start(worker, owner, &request, keep, NULL, &client) == FA_OK);
    NEED(fa_exchange_add_header(seen, 0, FA_TEXT("set-cookie"), FA_TEXT("a=b")) == FA_OK);
    NEED(fa_pipe_open(seen, 200, NULL, 0, -1, CAP, &type, &s, &pipe) == FA_OK);
    turn();
    complete = fa_inprocess_answered(client)->complete;
out:
    if (client != NULL)
        fa_inprocess_free(client);
    fa_worker_free(worker);
    return complete;
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 30);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(what_is_written_arrives_in_order),
        WITH_WORLD(the_queue_is_never_above_its_cap),
        WITH_WORLD(whoever_waits_goes_first),
        WITH_WORLD(a_piece_above_the_cap_goes_alone),
        WITH_WORLD(waiters_hear_that_the_client_is_gone),
        WITH_WORLD(a_declared_length_is_kept),
        WITH_WORLD(head_requests_drop_the_body),
        WITH_WORLD(a_pipe_goes_at_the_pace_of_its_client),
        WITH_WORLD(a_source_hears_that_its_client_is_gone),
        WITH_WORLD(half_an_answer_is_cut),
        WITH_WORLD(a_source_that_does_not_wait_is_cut),
        WITH_WORLD(silence_is_filled_with_comments),
        WITH_WORLD(a_client_that_takes_nothing_gets_no_heartbeats),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("outlets, pipes, events", tests, NULL, NULL);
}
