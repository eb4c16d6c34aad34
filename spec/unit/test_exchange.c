/* The exchange without an edge: targets and queries, what may be in a head, the shape of errors, and who holds the
 * bytes of a send. The back end here is a notebook. */
#include "testing.h"

#include "exchange/exchange.h"

typedef struct notebook {
    fa_exchange exchange;
    int status, starts, sends, aborts, watches;
    bool final, refuse_start, refuse_send, sent_at_once;
    int64_t length;
    char head[4096], body[8192];
    size_t body_length;
    int on_sent, on_gone;
} notebook;

static notebook *of(fa_exchange *exchange)
{
    return FA_OBJECT(exchange, notebook, exchange);
}

static fa_result note_start(fa_exchange *exchange, int status, const fa_header *headers, size_t count, int64_t length)
{
    notebook *n = of(exchange);
    size_t used = 0;
    if (n->refuse_start)
        return FA_NO_MEMORY;
    n->status = status;
    n->length = length;
    n->starts++;
    for (size_t i = 0; i < count; ++i)
        used += (size_t)snprintf(n->head + used, sizeof(n->head) - used, "%.*s: %.*s\n", (int)headers[i].name.length,
                                 headers[i].name.data, (int)headers[i].value.length, headers[i].value.data);
    return FA_OK;
}

static fa_result note_send(fa_exchange *exchange, const fa_piece *pieces, size_t count, bool final)
{
    notebook *n = of(exchange);
    if (n->refuse_send)
        return FA_NO_MEMORY;
    for (size_t i = 0; i < count; ++i) {
        memcpy(n->body + n->body_length, fa_buffer_data(pieces[i].buffer) + pieces[i].offset, pieces[i].length);
        n->body_length += pieces[i].length;
    }
    n->body[n->body_length] = '\0';
    n->sends++;
    n->final = final;
    if (n->sent_at_once)
        fa_exchange_sent(exchange);
    return FA_OK;
}

static void note_abort(fa_exchange *exchange)
{
    of(exchange)->aborts++;
}

static void note_watch(fa_exchange *exchange)
{
    of(exchange)->watches++;
}

static void note_sent(fa_exchange *exchange, void *context)
{
    (void)context;
    of(exchange)->on_sent++;
}

static void note_gone(fa_exchange *exchange, void *context)
{
    (void)context;
    of(exchange)->on_gone++;
    fa_exchange_fail(exchange, 500, "late", "a careless listener", NULL); /* must be harmless */
}

static const fa_exchange_back_end notes = {
    .start = note_start, .send = note_send, .abort = note_abort, .watch = note_watch};

/* ---- one exchange in a scope of its own, on a ledger that must end at zero ---- */

typedef struct world {
    fa_failing failing;
    fa_ledger *ledger;
    fa_log log;
    fa_worker *worker; /* whose clock the access log asks */
    fa_scope *scope;
    notebook n;
} world;

static void init_notebook(notebook *n, fa_worker *worker, fa_scope *scope)
{
    memset(n, 0, sizeof(*n));
    fa_exchange_init(&n->exchange, &notes, worker, scope);
    n->exchange.on_sent = note_sent;
    n->exchange.on_gone = note_gone;
    strcpy(n->exchange.request_id, "r-1");
}

/* A fresh exchange in the same scope. */
static void another(world *w)
{
    fa_exchange_gone(&w->n.exchange);
    init_notebook(&w->n, w->worker, w->scope);
}

static int set_up(void **state)
{
    static world w;
    fa_error error;
    fa_failing_init(&w.failing);
    w.ledger = fa_test_ledger(&w.failing);
    w.log = (fa_log){.level = FA_LOG_ERROR, .fd = 2};
    assert_ok(fa_worker_new(w.ledger, NULL, 0, &w.log, &w.worker, &error));
    assert_ok(fa_scope_new(w.ledger, NULL, FA_KIND_REQUEST, 0, "request", FA_HERE, &w.scope));
    init_notebook(&w.n, w.worker, w.scope);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    fa_exchange_gone(&w->n.exchange);
    fa_scope_end(w->scope, "test over", NULL);
    fa_worker_finish(w->worker);
    fa_worker_run(w->worker);
    fa_worker_free(w->worker);
    fa_test_ledger_free(&w->failing, w->ledger);
    return 0;
}

static fa_text text(const char *t)
{
    return (fa_text){t, strlen(t)};
}

static fa_buffer *sealed(world *w, const char *bytes)
{
    fa_buffer *buffer;
    assert_ok(fa_buffer_new(w->scope, 0, "piece", FA_HERE, &buffer));
    assert_ok(fa_buffer_append(buffer, bytes, strlen(bytes)));
    fa_buffer_seal(buffer);
    return buffer;
}

/* ---- heads ---- */

static void heads_that_could_split_an_answer_are_refused(void **state)
{
    static const fa_header bad[] = {
        {FA_TEXT("x"), FA_TEXT("a\r\nb: c")},
        {FA_TEXT("x"), FA_TEXT("a\nb")},
        {FA_TEXT("x"), FA_TEXT("a\0b")},
        {FA_TEXT("x\r\n"), FA_TEXT("a")},
        {FA_TEXT("x y"), FA_TEXT("a")},
        {FA_TEXT(""), FA_TEXT("a")},
        {FA_TEXT("x:"), FA_TEXT("a")},
        {FA_TEXT("x\0"), FA_TEXT("a")},
        {FA_TEXT("\xc3\xa4"), FA_TEXT("a")},
        {FA_TEXT("Content-Length"), FA_TEXT("3")},
        {FA_TEXT("transfer-encoding"), FA_TEXT("chunked")},
        {FA_TEXT("connection"), FA_TEXT("close")},
    };
    world *w = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_int_equal(fa_exchange_reply(&w->n.exchange, 200, &bad[i], 1, NULL), FA_INVALID);
    assert_int_equal(fa_exchange_reply(&w->n.exchange, 99, NULL, 0, NULL), FA_INVALID);
    assert_int_equal(fa_exchange_reply(&w->n.exchange, 101, NULL, 0, NULL), FA_INVALID);
    assert_int_equal(fa_exchange_reply(&w->n.exchange, 600, NULL, 0, NULL), FA_INVALID);
    fa_header many[FA_MAX_ANSWER_HEADERS + 1];
    for (size_t i = 0; i < FA_MAX_ANSWER_HEADERS + 1; ++i)
        many[i] = (fa_header){FA_TEXT("x"), FA_TEXT("y")};
    assert_int_equal(fa_exchange_reply(&w->n.exchange, 200, many, FA_MAX_ANSWER_HEADERS + 1, NULL), FA_INVALID);
    assert_int_equal(w->n.starts, 0);
    assert_ok(fa_exchange_reply(&w->n.exchange, 200, many, FA_MAX_ANSWER_HEADERS,
                                NULL)); /* none of it spoiled the exchange */
}

static void a_reply_is_whole(void **state)
{
    world *w = *state;
    assert_ok(fa_exchange_reply_text(&w->n.exchange, 201, "text/plain", "hello", 5));
    assert_int_equal(w->n.status, 201);
    assert_int_equal(w->n.length, 5);
    assert_true(w->n.final && w->n.exchange.finished);
    assert_string_equal(w->n.body, "hello");
    assert_non_null(strstr(w->n.head, "content-type: text/plain\n"));
    assert_non_null(strstr(w->n.head, "x-request-id: r-1\n"));
    assert_int_equal(fa_exchange_reply_text(&w->n.exchange, 200, "text/plain", "again", 5), FA_WRONG_STATE);
    assert_int_not_equal(fa_ledger_in_flight(w->ledger), 0); /* until the back end says so */
    fa_exchange_gone(&w->n.exchange);
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
    assert_int_equal(w->n.on_gone, 0); /* it was answered */
}

static void answers_without_a_body_send_none(void **state)
{
    world *w = *state;
    w->n.exchange.head_only = true;
    assert_ok(fa_exchange_reply_text(&w->n.exchange, 200, "text/plain", "hello", 5));
    assert_int_equal(w->n.length, 5);
    assert_int_equal(w->n.body_length, 0);
    assert_true(w->n.final);

    another(w);
    assert_ok(fa_exchange_reply(&w->n.exchange, 304, NULL, 0, sealed(w, "never sent")));
    assert_int_equal(w->n.length, -1);
    assert_int_equal(w->n.body_length, 0);

    another(w);
    w->n.exchange.head_only = true; /* a stream's first send is its last */
    assert_ok(fa_exchange_start(&w->n.exchange, 200, NULL, 0, -1));
    assert_ok(fa_exchange_send(&w->n.exchange, &(fa_piece){sealed(w, "abc"), 0, 3}, 1, false));
    assert_true(w->n.final && w->n.exchange.finished);
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
}

/* ---- streams and leases ---- */

static void a_send_holds_its_buffers_until_it_is_taken(void **state)
{
    world *w = *state;
    fa_exchange *e = &w->n.exchange;
    fa_buffer *a = sealed(w, "hello "), *b = sealed(w, "a whole world");
    fa_piece pieces[] = {{a, 0, 6}, {a, 6, 0}, {b, 8, 5}};
    assert_int_equal(fa_exchange_send(e, pieces, 3, false), FA_WRONG_STATE); /* not started */
    assert_ok(fa_exchange_start(e, 200, NULL, 0, -1));
    assert_ok(fa_exchange_send(e, pieces, 3, false));
    assert_string_equal(w->n.body, "hello world");
    assert_int_equal(e->in_flight_count, 2); /* the empty piece is none */
    assert_true(e->sending && fa_buffer_leased(a) && fa_buffer_leased(b));
    assert_int_equal(fa_exchange_send(e, pieces, 3, false), FA_WRONG_STATE); /* one at a time */
    fa_exchange_sent(e);
    fa_exchange_sent(e); /* once */
    assert_int_equal(w->n.on_sent, 1);
    assert_false(e->sending || fa_buffer_leased(a) || fa_buffer_leased(b));
    assert_ok(fa_exchange_send(e, NULL, 0, true));
    assert_int_equal(e->body_sent, 11);
    assert_int_equal(fa_exchange_send(e, pieces, 3, true), FA_WRONG_STATE); /* over */
    fa_exchange_sent(e);
    assert_int_equal(w->n.on_sent, 1); /* nothing more may be sent, nobody is told */
}

static void bad_pieces_leave_nothing_leased(void **state)
{
    world *w = *state;
    fa_exchange *e = &w->n.exchange;
    fa_buffer *good = sealed(w, "good"), *open;
    assert_ok(fa_buffer_new(w->scope, 8, "open", FA_HERE, &open));
    assert_ok(fa_buffer_append(open, "open", 4));
    assert_ok(fa_exchange_start(e, 200, NULL, 0, -1));
    assert_int_equal(fa_exchange_send(e, (fa_piece[]){{good, 0, 4}, {open, 0, 4}}, 2, false), FA_WRONG_STATE);
    assert_int_equal(fa_exchange_send(e, (fa_piece[]){{good, 0, 4}, {good, 2, 3}}, 2, false), FA_INVALID);
    assert_int_equal(fa_exchange_send(e, (fa_piece[]){{good, 0, 4}, {good, 5, 0}}, 2, false), FA_INVALID);
    assert_int_equal(fa_exchange_send(e, (fa_piece[]){{good, SIZE_MAX, 2}}, 1, false), FA_INVALID);
    assert_int_equal(fa_exchange_send(e, (fa_piece[]){{good, 4, 0}}, 1, false),
                     FA_INVALID); /* an empty one would spin */
    fa_piece many[FA_MAX_PIECES + 1];
    for (size_t i = 0; i < FA_MAX_PIECES + 1; ++i)
        many[i] = (fa_piece){good, 0, 1};
    assert_int_equal(fa_exchange_send(e, many, FA_MAX_PIECES + 1, false), FA_INVALID);
    assert_false(fa_buffer_leased(good));
    assert_int_equal(w->n.sends, 0);
    w->n.refuse_send = true;
    assert_int_equal(fa_exchange_send(e, many, FA_MAX_PIECES, true), FA_NO_MEMORY);
    assert_false(fa_buffer_leased(good) || e->sending || e->finished);
    w->n.refuse_send = false;
    w->n.sent_at_once = true;
    assert_ok(fa_exchange_send(e, many, FA_MAX_PIECES, false));
    assert_false(fa_buffer_leased(good) || e->sending);
    assert_int_equal(w->n.on_sent, 1);
}

static void the_declared_length_is_kept(void **state)
{
    world *w = *state;
    fa_exchange *e = &w->n.exchange;
    fa_buffer *b = sealed(w, "0123456789");
    w->n.sent_at_once = true;
    assert_ok(fa_exchange_start(e, 200, NULL, 0, 8));
    assert_ok(fa_exchange_send(e, &(fa_piece){b, 0, 6}, 1, false));
    assert_int_equal(fa_exchange_send(e, &(fa_piece){b, 0, 3}, 1, false), FA_INVALID);
    assert_int_equal(w->n.aborts, 0);
    assert_int_equal(fa_exchange_send(e, &(fa_piece){b, 0, 1}, 1, true), FA_INVALID); /* too short for ever */
    assert_int_equal(w->n.aborts, 1);
    assert_string_equal(w->n.body, "012345");
}

static void a_vanished_client_is_told_once(void **state)
{
    world *w = *state;
    fa_exchange *e = &w->n.exchange;
    fa_buffer *b = sealed(w, "bytes");
    fa_exchange_watch(e);
    assert_int_equal(w->n.watches, 1);
    assert_ok(fa_exchange_start(e, 200, NULL, 0, -1));
    assert_ok(fa_exchange_send(e, &(fa_piece){b, 0, 5}, 1, false));
    fa_exchange_gone(e);
    fa_exchange_gone(e);
    assert_int_equal(w->n.on_gone, 1);
    assert_false(fa_buffer_leased(b));
    assert_int_equal(fa_exchange_send(e, NULL, 0, true), FA_WRONG_STATE);
    fa_exchange_watch(e);
    fa_exchange_abort(e);
    assert_int_equal(w->n.watches, 1);
    assert_int_equal(w->n.aborts, 0); /* there is nothing left to cut */
}

/* ---- errors ---- */

static void errors_have_one_shape(void **state)
{
    world *w = *state;
    fa_header extra = {FA_TEXT("allow"), FA_TEXT("GET")};
    fa_exchange_fail(&w->n.exchange, 405, "method_not_allowed", "no \"such\" method", &extra);
    assert_int_equal(w->n.status, 405);
    assert_string_equal(w->n.body, "{\"error\":{\"code\":\"method_not_allowed\",\"message\":\"no \\\"such\\\" method\","
                                   "\"requestId\":\"r-1\"}}");
    assert_non_null(strstr(w->n.head, "cache-control: no-store\n"));
    assert_non_null(strstr(w->n.head, "content-type: application/json"));
    assert_non_null(strstr(w->n.head, "allow: GET\n"));

    another(w);
    w->n.exchange.head_only = true;
    fa_exchange_fail(&w->n.exchange, 404, "not_found", "nothing here", NULL);
    assert_int_equal(w->n.body_length, 0);
    assert_int_not_equal(w->n.length, 0);

    another(w);
    assert_ok(fa_exchange_start(&w->n.exchange, 200, NULL, 0, -1));
    fa_exchange_fail(&w->n.exchange, 500, "internal", "too late for words", NULL);
    assert_int_equal(w->n.aborts, 1);

    another(w);
    w->n.refuse_start = true;
    fa_exchange_fail(&w->n.exchange, 500, "internal", "cannot even say so", NULL);
    assert_int_equal(w->n.aborts, 1);
}

/* ---- without memory ---- */

static void no_allocation_is_needed_to_stay_sane(void **state)
{
    world *w = *state;
    FA_FAIL_EACH_ALLOCATION(ledger)
    {
        notebook n;
        fa_scope *scope;
        if (fa_scope_new(ledger, NULL, FA_KIND_REQUEST, 0, "request", FA_HERE, &scope) == FA_OK) {
            init_notebook(&n, w->worker, scope); /* of another ledger: only its clock is asked */
            if (fa_exchange_set_target(&n.exchange, text("/a%20b?x=%31")))
                fa_exchange_query(&n.exchange, "x", NULL);
            if (fa_exchange_reply_text(&n.exchange, 200, "text/plain", "text", 4) != FA_OK)
                fa_exchange_fail(&n.exchange, 500, "internal", "no memory", NULL);
            assert_true(n.exchange.finished); /* at worst a status without a body */
            fa_exchange_gone(&n.exchange);
            fa_scope_end(scope, "over", NULL);
        }
    }
    assert_true(fa_failing_runs() > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(heads_that_could_split_an_answer_are_refused),
        TEST(a_reply_is_whole),
        TEST(answers_without_a_body_send_none),
        TEST(a_send_holds_its_buffers_until_it_is_taken),
        TEST(bad_pieces_leave_nothing_leased),
        TEST(the_declared_length_is_kept),
        TEST(a_vanished_client_is_told_once),
        TEST(errors_have_one_shape),
        TEST(no_allocation_is_needed_to_stay_sane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
