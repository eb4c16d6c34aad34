/* Upstreams as scripts use them, against a service over loopback. */
#include "origin.h"
#include "script_world.h"

#include <stdio.h>

static origin service;

static int begin_origin(void **state)
{
    (void)state;
    memset(&service, 0, sizeof(service));
    origin_begin(&service);
    return 0;
}

static int end_origin(void **state)
{
    (void)state;
    origin_end(&service);
    return 0;
}

#define APP(body) "fitnessally.upstream('it', {url = 'http://127.0.0.1:%d', retry_base = '1ms'})\n" body

/* %d in the text: the origin's port. */
static script_world *begin(const char *app)
{
    char text[8000];
    snprintf(text, sizeof(text), app, service.port, service.port, service.port);
    return script_world_begin_with(text, WITH_UPSTREAMS);
}

static void test_a_whole_answer_is_a_buffer(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/', function(req)\n"
                                "  local res, err = upstream.it:get('/hello')\n"
                                "  assert(res, err)\n"
                                "  req:reply { text = res.status .. ' ' .. res.body:copy{max='1KB'} .. ' ' .. "
                                "res.headers['content-type'] }\n"
                                "end)"));
    assert_answer(w, "GET /", "200 200 hello text/plain");
    assert_costs_nothing(w, "GET /");
    script_world_end(w);
}

static void test_json_goes_out_and_comes_back(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/', function(req)\n"
                                "  local res = assert(upstream.it:post{path='/echo', json={a={1,2}}})\n"
                                "  req:reply { json = res.body:json() }\n"
                                "end)"));
    assert_answer(w, "GET /", "200 {\"a\":[1,2]}");
    assert_costs_nothing(w, "GET /");
    script_world_end(w);
}

static void test_what_is_sent(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/', function(req)\n"
                                "  local res = assert(upstream.it:put{path='/head', query={q='a b&c', n=3}, "
                                "headers={['X-One']='1'}, body='hi', type='text/x'})\n"
                                "  req:reply { text = res.body:copy{max='8KB'} }\n"
                                "end)"));
    const char *said = script_ask(w, "GET /");
    assert_non_null(strstr(said, "X-One: 1\n"));
    assert_non_null(strstr(said, "Content-Type: text/x\n"));
    assert_non_null(strstr(said, "Content-Length: 2\n"));
    assert_non_null(strstr(said, "\n\nhi"));
    assert_non_null(strstr(said, "q=a%20b%26c"));
    assert_non_null(strstr(said, "n=3"));
    assert_non_null(strstr(said, "traceparent: 00-"));
    assert_null(strstr(said, "Expect"));
    script_world_end(w);
}

static void test_errors_are_tables(void **state)
{
    (void)state;
    script_world *w =
        begin("fitnessally.upstream('it', {url = 'http://127.0.0.1:%d'})\n"
              "fitnessally.upstream('away', {url = 'http://127.0.0.1:1', retries=0})\n"
              "app:get('/refused', function(req)\n"
              "  local res, err = upstream.away:get('/')\n"
              "  req:reply { text = err.kind .. ' ' .. tostring(err.retryable) .. ' ' .. tostring(err) }\n"
              "end)\n"
              "app:get('/status', function(req)\n"
              "  local res, err = upstream.it:get{path='/status/404', expect='2xx'}\n"
              "  req:reply { text = err.kind .. ' ' .. err.status .. ' ' .. err.excerpt }\n"
              "end)\n"
              "app:get('/none', function(req) req:reply { text = tostring(upstream.none) } end)\n");
    assert_answer_has(w, "GET /refused", "200 refused true upstream away: no connection");
    assert_answer(w, "GET /status", "200 status 404 status 404");
    assert_answer(w, "GET /none", "200 nil");
    assert_costs_nothing(w, "GET /status");
    script_world_end(w);
}

static void test_a_stream_of_events(void **state)
{
    static const char said[] = "event: a\nid: 1\ndata: {\"n\":1}\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n";
    (void)state;
    service.said = said;
    service.said_length = sizeof(said) - 1;
    script_world *w = begin(APP("app:get('/', function(req)\n"
                                "  local s, err = upstream.it:stream{path='/say', json={}}\n"
                                "  assert(s, err)\n"
                                "  local out = {s.status, s.headers['content-type']}\n"
                                "  for ev in s:each() do\n"
                                "    out[#out+1] = ev.event .. '/' .. tostring(ev.id) .. '/' .. ev.data\n"
                                "    if #out == 3 then out[#out+1] = ev:json().n end\n"
                                "  end\n"
                                "  out[#out+1] = tostring(s:problem())\n"
                                "  out[#out+1] = tostring(s:next())\n"
                                "  req:reply { text = table.concat(out, '|') }\n"
                                "end)"));
    for (service.said_piece = 1; service.said_piece < 8; ++service.said_piece)
        assert_answer(w, "GET /",
                      "200 200|text/event-stream|a/1/{\"n\":1}|1|message/1/two\nlines|message/1/[DONE]|nil|nil");
    assert_costs_nothing(w, "GET /");
    script_world_end(w);
}

static void test_a_stream_that_fails(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/status', function(req)\n"
                                "  local s, err = upstream.it:stream{path='/status/500'}\n"
                                "  req:reply { text = tostring(s) .. ' ' .. err.kind .. ' ' .. err.excerpt }\n"
                                "end)\n"
                                "app:get('/cut', function(req)\n"
                                "  local s = assert(upstream.it:stream{path='/cut', format='raw'})\n"
                                "  local piece = s:next()\n"
                                "  local nothing, err = s:next()\n"
                                "  req:reply { text = #piece .. ' ' .. tostring(nothing) .. ' ' .. err.kind .. ' ' .. "
                                "s:problem().kind }\n"
                                "end)\n"
                                "app:get('/closed', function(req)\n"
                                "  local s = assert(upstream.it:stream{path='/endless', format='raw'})\n"
                                "  local piece = s:next()\n"
                                "  s:close()\n"
                                "  req:reply { text = tostring(s:next()) .. tostring(s:problem()) }\n"
                                "end)\n"));
    assert_answer(w, "GET /status", "200 nil status status 500");
    assert_answer(w, "GET /cut", "200 10 nil cut cut");
    assert_answer(w, "GET /closed", "200 nilnil");
    assert_costs_nothing(w, "GET /closed");
    script_world_end(w);
}

static void test_the_end_of_the_request_ends_the_transfer(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/wait', function(req) upstream.it:get('/silent') end)\n"
                                "app:get('/read', function(req)\n"
                                "  local s = assert(upstream.it:stream{path='/stall', format='raw'})\n"
                                "  s:next() s:next()\n"
                                "end)\n"));
    for (int i = 0; i < 2; ++i) {
        size_t before = service.requests;
        fa_inprocess *client = script_start(w, (asking){.what = i == 0 ? "GET /wait" : "GET /read"});
        SCRIPT_UNTIL(w, service.requests > before && service.open == 1);
        fa_inprocess_vanish(client);
        SCRIPT_UNTIL(w, service.open == 0);
        fa_inprocess_free(client);
    }
    script_world_end(w);
}

static void test_a_pipe_goes_to_the_client(void **state)
{
    (void)state;
    script_world *w =
        begin(APP("fitnessally.upstream('away', {url = 'http://127.0.0.1:1', retries = 0})\n"
                  "app:get('/whole', function(req) upstream.it:pipe(req, {path='/bytes/15000'}) end)\n"
                  "app:get('/chunks', function(req) upstream.it:pipe(req, {path='/chunks/3/4', status=201, "
                  "answer_headers={['X-Mine']='1'}}) end)\n"
                  "app:get('/missing', function(req) upstream.it:pipe(req, {path='/status/404'}) end)\n"
                  "app:get('/away', function(req)\n"
                  "  local ok, err = upstream.away:pipe(req, {})\n"
                  "  req:reply { status = 502, text = tostring(ok) .. ' ' .. err.kind .. ' ' .. tostring(err.begun) }\n"
                  "end)\n"
                  "app:get('/cut', function(req)\n"
                  "  upstream.it:pipe(req, {path='/cut'})\n"
                  "end)\n"));
    const char *whole = script_ask(w, "GET /whole");
    assert_int_equal(strlen(whole), 4 + 15000);
    assert_memory_equal(whole, "200 abcdefghij", 14);
    assert_answer(w, "GET /chunks", "201 xxxxxxxxxxxx");
    assert_answer(w, "GET /missing", "404 status 404");
    assert_answer(w, "GET /away", "502 nil refused false");
    assert_answer(w, "GET /cut", "cut");
    assert_logged(w, "cut, the source failed: upstream it: the answer was cut");
    assert_costs_nothing(w, "GET /whole");
    script_world_end(w);
}

static void test_a_client_that_leaves_ends_its_pipe(void **state)
{
    (void)state;
    script_world *w = begin(APP("app:get('/', function(req) upstream.it:pipe(req, {path='/endless'}) end)\n"));
    fa_inprocess *client = script_start(w, (asking){.what = "GET /", .stepped = true});
    SCRIPT_UNTIL(w, service.open == 1);
    for (int i = 0; i < 200; ++i)
        script_turn_loop(w);
    /* the client takes nothing: a queue that the last piece (a window at most) has filled, a window in a buffer that has doubled */
    enum { QUEUE = 256 * 1024, WINDOW = 128 * 1024, BESIDE = 16 * 1024 };
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes < QUEUE + 3 * WINDOW + BESIDE);
    assert_true(fa_ledger_kind(w->ledger, FA_KIND_TRANSFER)->bytes > 200 * 1024);
    fa_inprocess_vanish(client);
    SCRIPT_UNTIL(w, service.open == 0);
    if (strstr(w->logged, "the source failed") != NULL) /* it was the client that left */
        fail_msg("%s", w->logged);
    fa_inprocess_free(client);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_answer_is_a_buffer, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_json_goes_out_and_comes_back, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_what_is_sent, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_errors_are_tables, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_a_stream_of_events, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_a_stream_that_fails, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_a_pipe_goes_to_the_client, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_a_client_that_leaves_ends_its_pipe, begin_origin, end_origin),
        cmocka_unit_test_setup_teardown(test_the_end_of_the_request_ends_the_transfer, begin_origin, end_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
