/* The move of an exchange that has to stay: a back end that cannot give it away, and a far end that answers through it. Both ends are on one
 * worker here, whose loop the tests turn; spec/e2e/http2.test.mjs has them on several. */
#include "testing.h"

#include "exchange/exchange.h"
#include "exchange/moving.h"
#include "exchange/relay.h"

typedef struct world {
    fa_failing failing;
    fa_ledger *ledger;
    fa_log log;
    fa_scope *server;
    fa_worker *worker;
    fa_buffer *bytes;

    fa_exchange near; /* of a back end that is played by the test */
    bool near_lives, aborted, last;
    size_t got; /* bytes of all sends */
    unsigned sends;

    fa_moving *ticket;
    unsigned told, sent, gone;
    fa_exchange *far;
} world;

static world w;

/* fa_worker_settle would wait for the far end, which holds the worker. */
static void turn(void)
{
    for (int i = 0; i < 10; ++i)
        uv_run(fa_worker_loop(w.worker), UV_RUN_NOWAIT);
}

static fa_result near_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    (void)exchange, (void)headers, (void)count;
    assert_int_equal(status, 200);
    assert_int_equal(length, -1);
    return FA_OK;
}

static fa_result near_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    (void)exchange;
    w.sends++;
    w.last = final;
    for (size_t i = 0; i < count; ++i)
        w.got += pieces[i].length;
    return FA_OK;
}

static void near_abort(fa_exchange *exchange)
{
    (void)exchange;
    w.aborted = true;
}

static void near_watch(fa_exchange *exchange)
{
    (void)exchange;
}

static fa_result near_move(fa_exchange *exchange, const fa_header *headers, size_t count,
                           void (*moved)(fa_moving *moving, void *context), void *context)
{
    (void)exchange, (void)headers, (void)count, (void)moved, (void)context;
    return FA_UNSUPPORTED;
}

static const fa_exchange_back_end stays = {
    .start = near_start, .send = near_send, .abort = near_abort, .watch = near_watch, .move = near_move};

static fa_result make_world(fa_ledger *ledger)
{
    fa_scope *scope;
    fa_error error;
    w.log = (fa_log){.level = FA_LOG_ERROR, .fd = -1};
    w.ledger = ledger;
    fa_result result = fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &w.server);
    if (result == FA_OK)
        result = fa_worker_new(ledger, w.server, 0, &w.log, &w.worker, &error);
    if (result == FA_OK)
        result = fa_buffer_new(w.server, 100, "bytes", FA_HERE, &w.bytes);
    if (result == FA_OK)
        result = fa_buffer_append(w.bytes, "0123456789", 10);
    if (result == FA_OK)
        result = fa_scope_new(ledger, fa_worker_scope(w.worker), FA_KIND_REQUEST, 0, "near", FA_HERE, &scope);
    if (result != FA_OK)
        return result;
    fa_buffer_seal(w.bytes);
    fa_exchange_init(&w.near, &stays, w.worker, scope);
    w.near.method = FA_TEXT("GET");
    w.near.remote = FA_TEXT("127.0.0.1");
    fa_exchange_set_target(&w.near, FA_TEXT("/stream?x=1"));
    w.near_lives = true;
    return FA_OK;
}

/* What h2o does when the client leaves, or has everything. */
static void end_near(void)
{
    if (!w.near_lives)
        return;
    w.near_lives = false;
    fa_exchange_gone(&w.near);
    fa_scope_end(w.near.scope, "over", NULL);
    turn();
}

static void end_world(void)
{
    end_near();
    if (w.worker != NULL) {
        turn();
        fa_worker_finish(w.worker);
        fa_worker_run(w.worker);
        fa_worker_free(w.worker);
    }
    if (w.server != NULL)
        fa_scope_end(w.server, "over", NULL);
}

static int up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    fa_failing_init(&w.failing);
    assert_ok(make_world(fa_test_ledger(&w.failing)));
    return 0;
}

static int down(void **state)
{
    (void)state;
    fa_ledger *ledger = w.ledger;
    end_world();
    fa_test_ledger_free(&w.failing, ledger);
    return 0;
}

static void on_moved(fa_moving *moving, void *context)
{
    (void)context;
    w.told++;
    w.ticket = moving;
}

static void on_sent(fa_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
    w.sent++;
}

static void on_gone(fa_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
    w.gone++;
}

static const fa_header type = {FA_TEXT("content-type"), FA_TEXT("text/event-stream")};

static fa_result adopt(void)
{
    fa_scope *scope;
    fa_moving *moving = w.ticket;
    w.ticket = NULL;
    fa_result result = fa_scope_new(w.ledger, fa_worker_scope(w.worker), FA_KIND_REQUEST, 0, "far", FA_HERE, &scope);
    if (result == FA_OK && (result = fa_relay_adopt(moving, w.worker, scope, &w.far)) != FA_OK)
        fa_scope_end(scope, "not adopted", NULL);
    fa_moving_discard(moving);
    if (result != FA_OK)
        return result;
    w.far->on_sent = on_sent;
    w.far->on_gone = on_gone;
    return FA_OK;
}

static void move_and_adopt(void)
{
    assert_ok(fa_exchange_move(&w.near, &type, 1, on_moved, NULL));
    assert_int_equal(w.told, 0); /* from the loop */
    turn();
    assert_int_equal(w.told, 1);
    assert_ok(adopt());
}

static fa_result say(size_t length, bool final)
{
    fa_piece piece = {w.bytes, 0, length};
    return fa_exchange_send(w.far, &piece, length != 0 ? 1 : 0, final);
}

static void sends_go_one_by_one(void **state)
{
    (void)state;
    move_and_adopt();
    assert_int_equal(w.far->status, 200);
    assert_int_equal(memcmp(w.far->path.data, "/stream", 7), 0);
    assert_ok(say(10, false));
    assert_int_equal(say(10, false), FA_WRONG_STATE);
    turn();
    assert_int_equal(w.got, 10);
    assert_int_equal(w.sent, 0); /* the socket has not taken it */
    fa_exchange_sent(&w.near);
    turn();
    assert_int_equal(w.sent, 1);
    assert_int_equal(fa_ledger_in_flight(w.ledger), 0);
    assert_ok(say(5, true));
    turn();
    assert_true(w.last);
    assert_int_equal(w.got, 15);
    end_near();
    assert_int_equal(w.gone, 0); /* it was answered */
    assert_int_equal(fa_ledger_kind(w.ledger, FA_KIND_REQUEST)->count, 0);
}

static void a_client_that_leaves_is_told_of(void **state)
{
    (void)state;
    move_and_adopt();
    assert_ok(say(10, false));
    turn();
    end_near();
    assert_int_equal(w.gone, 1);
    assert_int_equal(fa_ledger_kind(w.ledger, FA_KIND_REQUEST)->count, 0);
    assert_int_equal(fa_ledger_in_flight(w.ledger), 0);
}

static void sends_after_the_client_has_left_are_refused(void **state)
{
    (void)state;
    move_and_adopt();
    w.near_lives = false;
    fa_scope_end(w.near.scope, "over", NULL);
    assert_int_equal(say(10, false), FA_WRONG_STATE);
    turn();
    assert_int_equal(w.gone, 1);
}

static void an_abort_cuts_the_client(void **state)
{
    (void)state;
    move_and_adopt();
    fa_exchange_abort(w.far);
    assert_false(w.aborted);
    turn();
    assert_true(w.aborted);
}

static void a_ticket_that_nobody_takes_cuts_the_client(void **state)
{
    (void)state;
    assert_ok(fa_exchange_move(&w.near, &type, 1, on_moved, NULL));
    turn();
    fa_moving_discard(w.ticket);
    turn();
    assert_true(w.aborted);
}

static void a_client_that_leaves_on_the_way_gives_no_ticket(void **state)
{
    (void)state;
    assert_ok(fa_exchange_move(&w.near, &type, 1, on_moved, NULL));
    end_near();
    assert_int_equal(w.told, 1);
    assert_null(w.ticket);
}

static void a_ticket_of_one_that_has_left_is_not_adopted(void **state)
{
    (void)state;
    assert_ok(fa_exchange_move(&w.near, &type, 1, on_moved, NULL));
    turn();
    end_near();
    assert_int_equal(adopt(), FA_CANCELLED);
}

static void it_moves_on(void **state)
{
    (void)state;
    move_and_adopt();
    for (unsigned i = 0; i < 3; ++i) {
        assert_ok(say(10, false));
        turn();
        fa_exchange_sent(&w.near);
        turn();
        assert_ok(fa_exchange_move(w.far, NULL, 0, on_moved, NULL));
        turn();
        assert_int_equal(w.told, 2 + i);
        assert_ok(adopt());
    }
    assert_int_equal(w.got, 30);
    assert_int_equal(w.gone, 0);
    assert_ok(fa_exchange_move(w.far, NULL, 0, on_moved, NULL));
    w.near_lives = false;
    fa_scope_end(w.near.scope, "over", NULL); /* while it is on its way */
    turn();
    assert_null(w.ticket);
}

static void every_allocation_may_fail(void **state)
{
    bool reached = false;
    (void)state;
    down(NULL);
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        memset(&w, 0, sizeof(w));
        if (make_world(ledger) == FA_OK && fa_exchange_move(&w.near, &type, 1, on_moved, NULL) == FA_OK) {
            turn();
            if (adopt() == FA_OK && say(10, false) == FA_OK) {
                turn();
                fa_exchange_sent(&w.near);
                turn();
                if (fa_exchange_move(w.far, NULL, 0, on_moved, NULL) == FA_OK) {
                    turn();
                    reached = adopt() == FA_OK;
                }
            }
        }
        end_world();
    }
    assert_true(reached);
    up(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sends_go_one_by_one, up, down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_is_told_of, up, down),
        cmocka_unit_test_setup_teardown(sends_after_the_client_has_left_are_refused, up, down),
        cmocka_unit_test_setup_teardown(an_abort_cuts_the_client, up, down),
        cmocka_unit_test_setup_teardown(a_ticket_that_nobody_takes_cuts_the_client, up, down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_on_the_way_gives_no_ticket, up, down),
        cmocka_unit_test_setup_teardown(a_ticket_of_one_that_has_left_is_not_adopted, up, down),
        cmocka_unit_test_setup_teardown(it_moves_on, up, down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
