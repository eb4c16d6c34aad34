/* core/exchange: the back end without sockets, and with it the rules of an exchange that hold for every back end. */
#include "testing.h"

#include <stdio.h>

#include "exchange/inprocess.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_worker *worker;
static fa_scope *owner;
static fa_exchange *seen; /* the exchange of the last request; dead once it has ended */
static unsigned sent_calls, gone_calls, end_calls;

static int begin(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
    assert_ok(fa_scope_new(ledger, fa_worker_scope(worker), FA_KIND_SCRIPT, 0, "owner", FA_HERE, &owner));
    sent_calls = gone_calls = end_calls = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_worker_free(worker);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static void keep(fa_exchange *exchange, void *context)
{
    (void)context;
    seen = exchange;
}

static void on_sent(fa_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
    sent_calls++;
}

static void on_gone(fa_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
    gone_calls++;
}

static void on_end(fa_inprocess *client, void *context)
{
    (void)client, (void)context;
    end_calls++;
}

static fa_inprocess *ask(bool stepped)
{
    fa_inprocess *client;
    fa_inprocess_request request = {.method = "GET", .target = "/", .stepped = stepped, .on_end = on_end};
    assert_ok(fa_inprocess_start(worker, owner, &request, keep, NULL, &client));
    seen->on_sent = on_sent;
    seen->on_gone = on_gone;
    return client;
}

static void assert_body(const fa_inprocess *client, const char *text)
{
    const fa_buffer *body = fa_inprocess_answered(client)->body;
    assert_int_equal(fa_buffer_length(body), strlen(text));
    if (text[0] != '\0')
        assert_memory_equal(fa_buffer_data(body), text, strlen(text));
}

static void await_bytes(const fa_inprocess *client, size_t count)
{
    FA_TEST_RUN_WHILE(worker, fa_buffer_length(fa_inprocess_answered(client)->body) < count);
}

static fa_result send_text(const char *text, bool final)
{
    fa_buffer *buffer;
    assert_ok(fa_buffer_new(seen->scope, 0, "text", FA_HERE, &buffer));
    assert_ok(fa_buffer_append(buffer, text, strlen(text)));
    fa_buffer_seal(buffer);
    fa_piece piece = {buffer, 0, strlen(text)};
    fa_result result = fa_exchange_send(seen, &piece, 1, final);
    fa_buffer_release(buffer);
    return result;
}

static void echo(fa_exchange *exchange, void *context)
{
    char text[400];
    (void)context;
    fa_text agent = fa_exchange_header(exchange, "user-agent");
    size_t body = exchange->body != NULL ? fa_buffer_length(exchange->body) : 0;
    const char *question = fa_exchange_query(exchange, "q", NULL);
    snprintf(text, sizeof(text), "%.*s %.*s q=%s agent=%.*s from=%.*s body=%zu", (int)exchange->method.length,
             exchange->method.data, (int)exchange->path.length, exchange->path.data, question != NULL ? question : "-",
             (int)agent.length, agent.data, (int)exchange->remote.length, exchange->remote.data, body);
    assert_ok(fa_exchange_reply_text(exchange, 200, "text/plain", text, strlen(text)));
}

static void a_request_arrives_and_is_answered(void **state)
{
    static const char *const headers[] = {"User-Agent", "a test", "X-Other", "1", NULL};
    fa_inprocess *client;
    fa_inprocess_request request = {.method = "POST",
                                    .target = "/a%20b?q=1+2",
                                    .headers = headers,
                                    .body = "hello",
                                    .body_length = 5,
                                    .on_end = on_end};
    (void)state;
    assert_ok(fa_inprocess_start(worker, owner, &request, echo, NULL, &client));
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    assert_true(fa_test_run_until(worker, &answer->ended));
    assert_true(answer->complete);
    assert_int_equal(answer->status, 200);
    assert_body(client, "POST /a b q=1 2 agent=a test from=in-process body=5");
    assert_int_equal(answer->length, (int64_t)fa_buffer_length(answer->body));
    assert_true(fa_buffer_sealed(answer->body));
    assert_true(fa_inprocess_header(client, "x-request-id").length > 10);
    assert_true(fa_text_is(fa_inprocess_header(client, "content-type"), "text/plain"));
    assert_int_equal(fa_inprocess_header(client, "x-absent").length, 0);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->count, 0);
    assert_int_equal(end_calls, 1);
    fa_inprocess_vanish(client); /* harmless now */
    assert_int_equal(end_calls, 1);
}

static void a_stepped_client_holds_the_sender_back(void **state)
{
    (void)state;
    fa_inprocess *client = ask(true);
    assert_ok(fa_exchange_start(seen, 200, NULL, 0, -1));
    assert_ok(send_text("first ", false));
    fa_test_run_for(worker, 5);
    assert_int_equal(send_text("too early", false), FA_WRONG_STATE);
    assert_int_equal(fa_inprocess_waiting(client), 6);
    assert_true(fa_ledger_in_flight(ledger) > 6);
    fa_inprocess_take(client, 4);
    await_bytes(client, 4);
    fa_test_run_for(worker, 5);
    assert_body(client, "firs");
    assert_int_equal(sent_calls, 0);
    fa_inprocess_take(client, 3); /* one is left over for the next piece */
    await_bytes(client, 6);
    assert_int_equal(sent_calls, 1);
    assert_int_equal(fa_ledger_in_flight(ledger), 0);
    assert_ok(send_text("second", true));
    await_bytes(client, 7);
    fa_test_run_for(worker, 5);
    assert_body(client, "first s");
    assert_false(fa_inprocess_answered(client)->ended);
    fa_inprocess_take(client, SIZE_MAX);
    assert_true(fa_test_run_until(worker, &fa_inprocess_answered(client)->ended));
    assert_body(client, "first second");
    assert_int_equal(gone_calls, 0);
    fa_inprocess_free(client);
}

static void a_vanished_client_is_told_once(void **state)
{
    (void)state;
    fa_inprocess *client = ask(true);
    assert_ok(fa_exchange_start(seen, 200, NULL, 0, -1));
    assert_ok(send_text("on its way", false));
    fa_inprocess_vanish(client);
    assert_int_equal(gone_calls, 1);
    assert_int_equal(end_calls, 1);
    assert_int_equal(fa_ledger_in_flight(ledger), 0);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->bytes, 0);
    assert_true(fa_inprocess_answered(client)->ended);
    assert_false(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);

    ask(false); /* whoever asked ends: the client vanishes with it, without a word to the one that is gone */
    fa_scope_end(owner, "test", NULL);
    assert_int_equal(gone_calls, 2);
    assert_int_equal(end_calls, 1);
    assert_int_equal(fa_ledger_kind(ledger, FA_KIND_REQUEST)->count, 0);
}

static void an_abort_cuts_the_answer(void **state)
{
    (void)state;
    fa_inprocess *client = ask(false);
    assert_ok(fa_exchange_start(seen, 200, NULL, 0, 100));
    assert_ok(send_text("half", false));
    await_bytes(client, 4);
    fa_exchange_abort(seen);
    assert_int_equal(send_text("more", false), FA_WRONG_STATE);
    assert_false(fa_inprocess_answered(client)->ended); /* from the loop, not inside the call */
    assert_true(fa_test_run_until(worker, &fa_inprocess_answered(client)->ended));
    assert_false(fa_inprocess_answered(client)->complete);
    assert_body(client, "half");
    assert_int_equal(gone_calls, 1);
    fa_inprocess_free(client);
}

static void a_client_without_room_is_cut(void **state)
{
    fa_scope *poor;
    fa_inprocess *client;
    fa_inprocess_request request = {.method = "GET", .target = "/"};
    char text[4000];
    (void)state;
    assert_ok(fa_scope_new(ledger, owner, FA_KIND_SCRIPT, 3000, "poor", FA_HERE, &poor));
    assert_ok(fa_inprocess_start(worker, poor, &request, keep, NULL, &client));
    memset(text, 'x', sizeof(text));
    assert_ok(fa_exchange_reply_text(seen, 200, "text/plain", text, sizeof(text)));
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    assert_true(fa_test_run_until(worker, &answer->ended));
    assert_false(answer->complete);
    assert_int_equal(answer->result, FA_OVER_BUDGET);
    fa_scope_end(poor, "test", NULL);
}

/* The worker ends while a request waits for its answer: both sides hear of it, whichever scope is older. */
static void the_worker_ends_first(void **state)
{
    fa_scope *outer;
    fa_inprocess *client;
    fa_inprocess_request request = {.method = "GET", .target = "/", .on_end = on_end};
    (void)state;
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "outer", FA_HERE, &outer));
    assert_ok(fa_inprocess_start(worker, outer, &request, keep, NULL, &client));
    seen->on_gone = on_gone;
    fa_worker_free(worker);
    assert_int_equal(gone_calls, 1);
    assert_int_equal(end_calls, 1);
    assert_true(fa_inprocess_answered(client)->ended);
    fa_scope_end(outer, "test", NULL);
    assert_ok(fa_worker_new(ledger, NULL, 0, NULL, &worker, NULL));
}

static bool scenario(fa_ledger *of)
{
    static const char *const headers[] = {"user-agent", "x", NULL};
    bool reached = false;
    fa_worker *w = NULL;
    fa_inprocess *client;
    fa_inprocess_request request = {
        .method = "POST", .target = "/?q=1", .headers = headers, .body = "b", .body_length = 1};
    NEED(fa_worker_new(of, NULL, 0, NULL, &w, NULL) == FA_OK);
    NEED(fa_inprocess_start(w, fa_worker_scope(w), &request, keep, NULL, &client) == FA_OK);
    fa_exchange_fail(seen, 404, "not_found", "nothing here", NULL); /* an answer even without memory, or a cut */
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    assert_true(fa_test_run_until(w, &answer->ended));
    reached = answer->complete && fa_buffer_length(answer->body) > 50;
out:
    fa_worker_free(w);
    return reached;
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
}

#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORKER(a_request_arrives_and_is_answered), WITH_WORKER(a_stepped_client_holds_the_sender_back),
        WITH_WORKER(a_vanished_client_is_told_once),    WITH_WORKER(an_abort_cuts_the_answer),
        WITH_WORKER(a_client_without_room_is_cut),      WITH_WORKER(the_worker_ends_first),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("in-process exchanges", tests, NULL, NULL);
}
