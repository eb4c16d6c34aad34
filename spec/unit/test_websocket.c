/* core/exchange: WebSockets over exchanges in process. What RFC 6455 asks of the bytes is spec/conformance's; here are the ends: closing in
 * every state, by whoever it is, callbacks that close, caps, deadlines by a clock moved by hand, and memory that fails. */
#include "testing.h"

#include <stdio.h>
#include <wslay/wslay.h>

#include "exchange/inprocess.h"
#include "exchange/websocket.h"

enum { QUEUE = 4096, MOST = 8192 };

typedef struct world {
    fa_failing memory;
    fa_ledger *ledger;
    fa_clock clock;
    fa_log log;
    fa_worker *worker;
    fa_scope *owner;
    fa_inprocess *client;
    fa_websocket *ws; /* NULL: not opened, or its scope has ended */
    fa_scope_hook at_end;
    void (*changed)(fa_websocket *ws, void *context);
    fa_websocket_options options;
    fa_result opened;
    unsigned changes;
} world;

static world w;

static void on_scope_end(fa_scope_hook *hook)
{
    (void)hook;
    w.ws = NULL;
}

static void on_change(fa_websocket *ws, void *context)
{
    (void)context;
    w.changes++;
    if (w.changed != NULL)
        w.changed(ws, context);
}

static void handle(fa_exchange *exchange, void *context)
{
    static const fa_websocket_policy policy = {NULL, NULL};
    fa_websocket_handshake handshake;
    (void)context;
    fa_websocket_judge(exchange, &policy, &handshake);
    assert_int_equal(handshake.status, 101);
    w.opened = fa_websocket_open(exchange, &handshake, &w.options, &w.ws);
    if (w.opened != FA_OK) {
        w.ws = NULL;
        fa_exchange_fail(exchange, 503, "over_budget", "no memory", NULL);
        return;
    }
    fa_scope_hook_add(exchange->scope, &w.at_end, on_scope_end);
    fa_websocket_listen(w.ws, on_change, NULL);
}

static fa_result start(bool stepped)
{
    static const char *const headers[] = {"Host",
                                          "x",
                                          "Upgrade",
                                          "websocket",
                                          "Connection",
                                          "Upgrade",
                                          "Sec-WebSocket-Version",
                                          "13",
                                          "Sec-WebSocket-Key",
                                          "dGhlIHNhbXBsZSBub25jZQ==",
                                          NULL};
    fa_inprocess_request request = {.method = "GET", .target = "/", .headers = headers, .stepped = stepped};
    return fa_inprocess_start(w.worker, w.owner, &request, handle, NULL, &w.client);
}

static fa_result make_world(fa_ledger *ledger)
{
    w.client = NULL;
    w.ws = NULL;
    w.log = (fa_log){.level = FA_LOG_ERROR, .fd = 2};
    fa_result result = fa_worker_new(ledger, NULL, 0, &w.log, &w.worker, NULL);
    return result == FA_OK
               ? fa_scope_new(ledger, fa_worker_scope(w.worker), FA_KIND_SCRIPT, 0, "owner", FA_HERE, &w.owner)
               : result;
}

static int begin(void **state)
{
    (void)state;
    w = (world){.options = {MOST, QUEUE, 20000, 10000, 5000}};
    w.ledger = fa_test_ledger(&w.memory);
    fa_clock_init(&w.clock);
    fa_ledger_set_clock(w.ledger, &w.clock);
    assert_ok(make_world(w.ledger));
    return 0;
}

static int end(void **state)
{
    (void)state;
    fa_worker_free(w.worker);
    fa_test_ledger_free(&w.memory, w.ledger);
    return 0;
}

/* ---- the client's side ---- */

static void settle(void)
{
    fa_worker_settle(w.worker);
}

static fa_result feed_frame(unsigned first, const void *data, size_t length)
{
    static uint8_t frame[16 + MOST * 2];
    const uint8_t mask[4] = {1, 2, 3, 4};
    size_t head = fa_frame_head(frame, first & 0x0f, length);
    frame[0] = (uint8_t)first;
    frame[1] |= 0x80;
    memcpy(frame + head, mask, 4);
    for (size_t i = 0; i < length; ++i)
        frame[head + 4 + i] = ((const uint8_t *)data)[i] ^ mask[i & 3];
    return fa_inprocess_feed(w.client, frame, head + 4 + length);
}

static void say(unsigned first, const char *text)
{
    assert_ok(feed_frame(first, text, strlen(text)));
    settle();
}

#define TEXT(text) say(0x80 | WSLAY_TEXT_FRAME, text)

static void say_close(unsigned code)
{
    const char payload[] = {(char)(code >> 8), (char)code, '\0'};
    assert_ok(feed_frame(0x80 | WSLAY_CONNECTION_CLOSE, payload, 2));
    settle();
}

static const fa_inprocess_answer *answer(void)
{
    return fa_inprocess_answered(w.client);
}

/* Whether what has come ends with a Close of this code, and the connection has ended in order. */
static void assert_closed_with(unsigned code)
{
    const uint8_t *bytes = fa_buffer_data(answer()->body);
    size_t length = fa_buffer_length(answer()->body), at = 0;
    unsigned seen = 0, last = 0;
    assert_true(answer()->ended);
    assert_true(answer()->complete);
    assert_null(w.ws);
    while (at + 2 <= length) {
        size_t size = bytes[at + 1], head = 2;
        if (size == 126) {
            size = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
            head = 4;
        }
        last = bytes[at] & 0x0f;
        seen = last == WSLAY_CONNECTION_CLOSE && size >= 2 ? (unsigned)bytes[at + head] << 8 | bytes[at + head + 1] : 0;
        at += head + size;
    }
    assert_int_equal(at, length);
    assert_int_equal(last, WSLAY_CONNECTION_CLOSE);
    assert_int_equal(seen, code);
}

static bool take(char text[MOST])
{
    fa_websocket_message message;
    if (!fa_websocket_take(w.ws, &message))
        return false;
    snprintf(text, MOST, "%.*s", (int)fa_buffer_length(message.buffer), (const char *)fa_buffer_data(message.buffer));
    fa_buffer_release(message.buffer);
    return true;
}

static void assert_takes(const char *wanted)
{
    char text[MOST];
    assert_true(take(text));
    assert_string_equal(text, wanted);
}

static void assert_takes_nothing(void)
{
    char text[MOST];
    assert_false(take(text));
}

static void open_it(void)
{
    assert_ok(start(false));
    assert_ok(w.opened);
    settle();
    assert_int_equal(answer()->status, 101);
    fa_text accept = fa_inprocess_header(w.client, "sec-websocket-accept");
    assert_int_equal(accept.length, 28);
    assert_memory_equal(accept.data, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28); /* RFC 6455, section 1.3 */
}

/* ---- messages ---- */

static void messages_go_both_ways(void **state)
{
    (void)state;
    open_it();
    TEXT("one");
    say(WSLAY_TEXT_FRAME, "tw");
    say(0x80, "o");
    assert_takes("one");
    assert_takes("two");
    assert_takes_nothing();
    assert_ok(fa_websocket_send_bytes(w.ws, true, "three", 5));
    assert_int_equal(fa_websocket_send_bytes(w.ws, true, "\xff", 1), FA_INVALID);
    assert_ok(fa_websocket_send_bytes(w.ws, false, "\xff", 1));
    settle();
    assert_int_equal(fa_buffer_length(answer()->body), 7 + 3);
    assert_memory_equal(fa_buffer_data(answer()->body), "\x81\x05three\x82\x01\xff", 10);
    assert_false(fa_websocket_closed(w.ws, NULL, NULL));
}

/* Above the queue nothing more is read; what is taken makes room, and all comes in its order. */
static void what_is_not_taken_is_not_read(void **state)
{
    char text[MOST], number[1000];
    (void)state;
    open_it();
    size_t before = fa_account_bytes(fa_scope_account(w.owner));
    for (int i = 0; i < 64; ++i) {
        memset(number, 'x', sizeof(number));
        snprintf(number, sizeof(number), "%03d", i);
        assert_ok(feed_frame(0x80 | WSLAY_BINARY_FRAME, number, sizeof(number)));
    }
    settle();
    assert_true(fa_account_bytes(fa_scope_account(w.owner)) > before + 40000); /* it waits where it was fed */
    for (int i = 0; i < 64; ++i) {
        settle();
        assert_true(take(text));
        assert_int_equal(atoi(text), i);
    }
    settle();
    assert_takes_nothing();
    say_close(1000);
    fa_websocket_close(w.ws, 1000, "");
    settle();
    assert_closed_with(1000);
}

static void woken(fa_outlet_waiter *waiter, bool gone)
{
    waiter->wanted = gone ? 2 : 1;
}

static void a_full_queue_tells_when_there_is_room(void **state)
{
    char data[1000] = "x";
    fa_outlet_waiter waiter = {.wake = woken};
    (void)state;
    assert_ok(start(true)); /* takes nothing by itself */
    settle();
    unsigned sent = 0;
    while (fa_websocket_send_bytes(w.ws, false, data, sizeof(data)) == FA_OK && sent < 100)
        ++sent;
    assert_int_equal(sent, QUEUE / 1004);
    fa_websocket_wait(w.ws, sizeof(data), &waiter);
    say(0x80 | WSLAY_PING, "hi"); /* is answered all the same */
    fa_inprocess_take(w.client, SIZE_MAX);
    settle();
    assert_int_equal(waiter.wanted, 1);
    assert_int_equal(fa_buffer_length(answer()->body), sent * 1004 + 4);
    fa_list_remove(&waiter.link);
}

static void pings_are_answered_up_to_a_bound(void **state)
{
    (void)state;
    assert_ok(start(true));
    settle();
    for (int i = 0; i < 3000; ++i)
        say(0x80 | WSLAY_PING, "0123456789");
    assert_true(fa_websocket_queued(w.ws) < QUEUE + 17 * 1024);
    fa_inprocess_vanish(w.client);
}

/* ---- closing ---- */

static void the_peer_closes(void **state)
{
    unsigned code;
    const char *reason;
    (void)state;
    open_it();
    assert_ok(feed_frame(0x88,
                         "\x0f\xa0"
                         "enough",
                         8)); /* 4000 */
    settle();
    assert_true(fa_websocket_closed(w.ws, &code, &reason));
    assert_int_equal(code, 4000);
    assert_string_equal(reason, "enough");
    assert_int_equal(fa_websocket_send_bytes(w.ws, true, "late", 4), FA_CANCELLED);
    fa_websocket_close(w.ws, 1000, "mine");
    settle();
    assert_closed_with(4000);
}

/* What came before the Close is taken first, and can be answered. */
static void the_last_message_is_answered_before_the_close(void **state)
{
    (void)state;
    open_it();
    TEXT("question");
    say_close(1000);
    assert_false(fa_websocket_closed(w.ws, NULL, NULL));
    assert_takes("question");
    assert_false(fa_websocket_closed(w.ws, NULL, NULL));
    assert_ok(fa_websocket_send_bytes(w.ws, true, "answer", 6));
    assert_takes_nothing();
    assert_true(fa_websocket_closed(w.ws, NULL, NULL));
    fa_websocket_close(w.ws, 1000, "");
    settle();
    assert_closed_with(1000);
    assert_memory_equal(fa_buffer_data(answer()->body),
                        "\x81\x06"
                        "answer",
                        8);
}

static void a_fault_comes_behind_what_came_before_it(void **state)
{
    (void)state;
    open_it();
    TEXT("good");
    TEXT("\xff");
    assert_takes("good");
    assert_ok(fa_websocket_send_bytes(w.ws, true, "heard", 5));
    settle();
    assert_takes_nothing();
    settle();
    assert_closed_with(1007);
}

static void we_close(void **state)
{
    (void)state;
    open_it();
    TEXT("never taken");
    fa_websocket_close(w.ws, 1001, "going");
    fa_websocket_close(w.ws, 1011, "twice");
    assert_int_equal(w.changes, 2);
    TEXT("dropped");
    say(WSLAY_TEXT_FRAME, "half of one");
    assert_non_null(w.ws);
    assert_false(answer()->ended);
    say_close(1001);
    assert_closed_with(1001);
}

static void a_peer_that_does_not_answer_a_close_is_left(void **state)
{
    (void)state;
    open_it();
    fa_websocket_close(w.ws, 1000, "");
    settle();
    fa_worker_advance(w.worker, 4999);
    assert_false(answer()->ended);
    fa_worker_advance(w.worker, 2);
    settle();
    assert_closed_with(1000);
}

static void a_close_that_nobody_answers_is_answered_in_time(void **state)
{
    (void)state;
    open_it();
    TEXT("never taken");
    say_close(1000);
    fa_worker_advance(w.worker, 5001);
    settle();
    assert_closed_with(1000);
}

static void close_now(fa_websocket *ws, void *context)
{
    (void)context;
    fa_websocket_close(ws, 3000, "from the callback");
}

static void abort_now(fa_websocket *ws, void *context)
{
    (void)ws, (void)context;
    fa_inprocess_vanish(w.client);
}

static void callbacks_may_close(void **state)
{
    (void)state;
    open_it();
    w.changed = close_now;
    TEXT("message");
    say_close(3000);
    assert_closed_with(3000);
    fa_inprocess_free(w.client);

    open_it(); /* when the peer's Close has just come */
    say_close(1000);
    assert_closed_with(1000);
    fa_inprocess_free(w.client);

    open_it(); /* when something wrong has just come */
    TEXT("\xc0\x80");
    assert_closed_with(1007);
}

static void a_reason_is_cut_to_whole_characters(void **state)
{
    char reason[200] = "";
    (void)state;
    open_it();
    for (int i = 0; i < 62; ++i)
        strcat(reason, "\xc3\xbc"); /* 124 bytes */
    fa_websocket_close(w.ws, 1000, reason);
    settle();
    assert_int_equal(fa_buffer_data(answer()->body)[1], 2 + 122);
    say_close(1000);
    assert_closed_with(1000);
}

/* The client leaves in every state there is; the ledger at the end says whether all is gone. */
static void it_vanishes_in_every_state(void **state)
{
    (void)state;
    for (int when = 0; when < 8; ++when) {
        assert_ok(start(when == 7));
        if (when > 0)
            settle();
        if (when == 2)
            say(WSLAY_TEXT_FRAME, "half");
        if (when == 3 || when == 4)
            TEXT("whole");
        if (when == 4)
            say_close(1000);
        if (when == 5 || when == 7)
            assert_ok(fa_websocket_send_bytes(w.ws, true, "on its way", 10));
        if (when == 6)
            fa_websocket_close(w.ws, 1000, "");
        fa_inprocess_vanish(w.client);
        assert_null(w.ws);
        fa_inprocess_free(w.client);
    }
    assert_ok(start(false));
    w.changed = abort_now;
    settle();
}

/* ---- is it still there ---- */

static void a_silent_peer_is_pinged_and_cut(void **state)
{
    (void)state;
    open_it();
    fa_worker_advance(w.worker, 19999);
    settle();
    assert_int_equal(fa_buffer_length(answer()->body), 0);
    fa_worker_advance(w.worker, 2);
    settle();
    assert_memory_equal(fa_buffer_data(answer()->body), "\x89\x00", 2);
    say(0x80 | WSLAY_PONG, "");
    fa_worker_advance(w.worker, 29000); /* pinged again after 20 s, and 9 s of silence since */
    settle();
    assert_false(answer()->ended);
    fa_worker_advance(w.worker, 2000);
    settle();
    assert_true(answer()->ended);
    assert_false(answer()->complete);
    assert_null(w.ws);
}

static void silence_is_no_fault_of_a_peer_that_is_not_read(void **state)
{
    char data[3000] = "x";
    (void)state;
    open_it();
    for (int i = 0; i < 8; ++i)
        assert_ok(feed_frame(0x80 | WSLAY_BINARY_FRAME, data, sizeof(data)));
    settle();
    fa_worker_advance(w.worker, 200000);
    settle();
    assert_false(answer()->ended);
    assert_takes("x");
}

/* ---- without memory ---- */

static bool scenario(fa_ledger *ledger)
{
    static char large[6000] = "large";
    fa_websocket_message message;
    w = (world){.options = {MOST, QUEUE, 20000, 10000, 5000}};
    bool made = make_world(ledger) == FA_OK && start(false) == FA_OK && w.ws != NULL;
    if (made) {
        settle();
        feed_frame(0x80 | WSLAY_TEXT_FRAME, "one", 3);
        feed_frame(WSLAY_BINARY_FRAME, large, sizeof(large));
        feed_frame(0x89, "ping", 4);
        feed_frame(0x80, large, 1000);
        settle();
        while (w.ws != NULL && fa_websocket_take(w.ws, &message)) {
            fa_websocket_send(w.ws, message.text, message.buffer);
            fa_websocket_send_bytes(w.ws, message.text, "and", 3);
            fa_buffer_release(message.buffer);
        }
        settle();
        feed_frame(0x88, "\x03\xe8", 2);
        settle();
        if (w.ws != NULL)
            fa_websocket_close(w.ws, 1000, "");
        settle();
    }
    bool whole = made && answer()->complete;
    if (w.client != NULL)
        fa_inprocess_free(w.client);
    if (w.worker != NULL)
        fa_worker_free(w.worker);
    return whole;
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

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(messages_go_both_ways),
        WITH_WORLD(what_is_not_taken_is_not_read),
        WITH_WORLD(a_full_queue_tells_when_there_is_room),
        WITH_WORLD(pings_are_answered_up_to_a_bound),
        WITH_WORLD(the_peer_closes),
        WITH_WORLD(the_last_message_is_answered_before_the_close),
        WITH_WORLD(a_fault_comes_behind_what_came_before_it),
        WITH_WORLD(we_close),
        WITH_WORLD(a_peer_that_does_not_answer_a_close_is_left),
        WITH_WORLD(a_close_that_nobody_answers_is_answered_in_time),
        WITH_WORLD(callbacks_may_close),
        WITH_WORLD(a_reason_is_cut_to_whole_characters),
        WITH_WORLD(it_vanishes_in_every_state),
        WITH_WORLD(a_silent_peer_is_pinged_and_cut),
        WITH_WORLD(silence_is_no_fault_of_a_peer_that_is_not_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("WebSockets in process", tests, NULL, NULL);
}
