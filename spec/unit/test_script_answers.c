/* core/script: answers in pieces, streams of events, files, cookies, redirects, validators. */
#include "script_world.h"

#include <stdio.h>
#include <stdlib.h>

/* All that can happen without a timer or the disk happens. */
static void turn(script_world *w)
{
    for (int i = 0; i < 100; ++i)
        uv_run(fa_worker_loop(w->worker), UV_RUN_NOWAIT);
}

static const char streams[] =
    "local made, said, shared; made, said = 0, 'nothing'\n"
    "app:get('/lines', function(req)\n"
    "  local out = req:start { type = 'text/plain', status = 201, headers = { ['x-a'] = { '1', '2' } } }\n"
    "  for i = 1, 3 do assert(out:write('line ' .. i .. '\\n')) fitnessally.sleep(0) end\n"
    "  local b = fitnessally.buffer()\n"
    "  b:append('end'):seal()\n"
    "  assert(out:write(b))\n"
    "  b:release()\n"
    "  assert(out:finish())\n"
    "end)\n"
    "app:get('/implicit', function(req) req:start():write('whole') end)\n"
    "app:get('/nothing', function(req) req:start() end)\n"
    "app:get('/error', function(req) req:start():write('half') error('on purpose') end)\n"
    "app:get('/length', function(req)\n"
    "  local out = req:start { length = 5 }\n"
    "  out:write('12')\n"
    "  said = select(2, pcall(out.write, out, '3456'))\n"
    "  out:write('345')\n"
    "end)\n"
    "app:get('/short', function(req) req:start { length = 5 }:write('1234') end)\n"
    "app:get('/twice', function(req)\n"
    "  local out = req:start()\n"
    "  said = select(2, pcall(req.start, req)) .. '|' .. select(2, pcall(req.reply, req, {}))\n"
    "  out:finish()\n"
    "  said = said .. '|' .. select(2, pcall(out.write, out, 'x')) .. '|' .. select(2, pcall(out.finish, out))\n"
    "end)\n"
    "app:get('/flood', function(req)\n"
    "  local out = req:start()\n"
    "  for i = 1, 1000 do\n"
    "    local ok, why = out:write(('x'):rep(1000))\n"
    "    if not ok then said = why return end\n"
    "    made = i\n"
    "  end\n"
    "end)\n"
    "app:get('/made', function(req) req:reply { text = made .. ' ' .. said } end)\n"
    "app:get('/crlf', function(req) req:start { headers = { a = 'x\\r\\ny: z' } } end)\n"
    "app:get('/nul', function(req) req:reply { headers = { a = { 'fine', 'x\\0y' } } } end)\n"
    "app:get('/own', function(req) req:reply { headers = { ['Content-Length'] = '3' } } end)\n"
    "app:get('/number', function(req) req:reply { headers = { 'x' } } end)\n"
    "app:get('/unsealed', function(req) req:start():write(fitnessally.buffer()) end)\n"
    "app:get('/others', function(req)\n"
    "  shared = req:start()\n"
    "  shared:write('a')\n"
    "  fitnessally.sleep(86400000)\n"
    "end)\n"
    "app:get('/writer', function(req)\n"
    "  repeat local ok, why = shared:write(('x'):rep(600)) made = made + 1 until not ok\n"
    "  req:reply { text = select(2, shared:write('x')) .. ' ' .. tostring(select(2, shared:finish())) }\n"
    "end)\n"
    "app:get('/big', function(req) req:start():write(('x'):rep(5000)) end)\n";

/* With a queue of 2000 bytes. */
static script_world *streaming(const char *app)
{
    script_world *w = script_world_new();
    w->answer_queue = 2000;
    script_world_write(w, "app.lua", app, strlen(app));
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    return w;
}

static void answers_come_in_pieces(void **state)
{
    (void)state;
    script_world *w = streaming(streams);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /lines"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_int_equal(fa_inprocess_answered(client)->length, -1);
    assert_true(fa_text_is(fa_inprocess_header(client, "content-type"), "text/plain"));
    size_t count = 0;
    for (size_t i = 0; i < fa_inprocess_answered(client)->header_count; ++i)
        count += fa_text_is(fa_inprocess_answered(client)->headers[i].name, "x-a");
    assert_int_equal(count, 2);
    assert_string_equal(script_answer(w, client), "201 line 1\nline 2\nline 3\nend");
    assert_answer(w, "GET /implicit", "200 whole");
    assert_answer(w, "GET /nothing", "200");
    assert_answer(w, "HEAD /lines", "201");
    assert_answer(w, "HEAD /implicit", "200");
    assert_answer(w, "GET /error", "cut");
    assert_logged(w, "on purpose");
    assert_answer(w, "GET /length", "200 12345");
    assert_answer_has(w, "GET /made", "more than the length that was declared");
    assert_answer(w, "GET /short", "cut");
    assert_logged(w, "cut, the handler returned before the declared length was written");
    assert_answer(w, "GET /twice", "200");
    assert_answer_has(w, "GET /made", "this request has been answered already, or its client is gone|");
    assert_answer_has(w, "GET /made", "|out:write: this stream has been finished|out:finish: ");
    assert_answer(w, "GET /big", script_ask(w, "GET /big")); /* above the queue: alone */
    assert_costs_nothing(w, "GET /lines");
    assert_costs_nothing(w, "GET /error");
    assert_costs_nothing(w, "GET /big");
    script_world_end(w);
}

static void bad_heads_are_refused(void **state)
{
    static const char *const paths[] = {"GET /crlf", "GET /nul", "GET /own", "GET /number"};
    (void)state;
    script_world *w = streaming(streams);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i)
        assert_answer_has(w, paths[i], "500 {\"error\":{\"code\":\"script_error\"");
    assert_logged(w, "a line break or a NUL in it");
    assert_logged(w, "the name of a header is a text");
    assert_answer(w, "GET /unsealed", "cut"); /* it had begun */
    script_world_end(w);
}

/* What is made and not taken stays within the queue, and the one write that waits. */
static void a_slow_client_holds_the_writer_back(void **state)
{
    char what[40];
    size_t taken = 0;
    (void)state;
    script_world *w = streaming(streams);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /flood", .stepped = true});
    turn(w);
    assert_answer(w, "GET /made", "200 2 nothing");
    assert_int_equal(fa_script_tasks(w->script), 1);
    size_t held = fa_ledger_kind(w->ledger, FA_KIND_REQUEST)->bytes;
    for (int i = 0; i < 20; ++i) {
        fa_inprocess_take(client, 1000);
        taken += 1000;
        turn(w);
        unsigned made = 0;
        snprintf(what, sizeof(what), "%s", script_ask(w, "GET /made"));
        assert_int_equal(sscanf(what, "200 %u", &made), 1);
        assert_true(made * 1000 <= taken + 2000);
        assert_true(made * 1000 >= taken); /* and it goes on */
        assert_true(fa_ledger_kind(w->ledger, FA_KIND_REQUEST)->bytes < held + 3000);
    }
    fa_inprocess_take(client, SIZE_MAX);
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    SCRIPT_UNTIL(w, answer->ended);
    assert_true(answer->complete);
    assert_int_equal(fa_buffer_length(answer->body), 1000 * 1000);
    fa_inprocess_free(client);
    script_world_end(w);
}

static void a_client_that_leaves_frees_everything_at_once(void **state)
{
    size_t before = 0;
    (void)state;
    script_world *w = streaming(streams);
    for (int i = 0; i < 4; ++i) {
        fa_inprocess *client = script_start(w, (asking){.what = "GET /flood", .stepped = true});
        turn(w);
        assert_int_equal(fa_script_tasks(w->script), 1);
        fa_inprocess_free(client);
        assert_int_equal(fa_script_tasks(w->script), 0);
        assert_int_equal(fa_ledger_kind(w->ledger, FA_KIND_REQUEST)->bytes, 0);
        assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
        assert_world_quiet(w);
        if (i == 1)
            before = fa_ledger_bytes(w->ledger);
        assert_true(i < 1 || fa_ledger_bytes(w->ledger) == before);
    }
    assert_answer_has(w, "GET /made", "200 2 nothing"); /* its own task was cancelled, not told "gone" */
    script_world_end(w);
}

/* Another request's task writes: it is told that the client has left, waiting or not. */
static void somebody_elses_stream_may_go(void **state)
{
    (void)state;
    script_world *w = streaming(streams);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /others", .stepped = true});
    turn(w);
    fa_inprocess *writer = script_start(w, (asking){.what = "GET /writer"});
    turn(w);
    assert_answer(w, "GET /made", "200 3 nothing"); /* and waits */
    fa_inprocess_free(client);
    assert_string_equal(script_answer(w, writer), "200 gone gone");
    script_world_end(w);
}

/* ---- events ---- */

static const char events[] =
    "local ended, subscriber; app:get('/count', function(req)\n"
    "  req:events { retry = '3s', heartbeat = 0 }\n"
    "end)\n"
    "app:get('/three', function(req)\n"
    "  local events = req:events { retry = 3000, headers = { ['x-a'] = 'b' } }\n"
    "  local from = tonumber(events.last_id or 0)\n"
    "  for i = from + 1, 3 do assert(events:send { event = 'tick', id = i, data = { n = i } }) end\n"
    "  assert(events:send('two\\nlines'))\n"
    "  assert(events:send { data = '' })\n"
    "end)\n"
    "app:get('/wrong', function(req)\n"
    "  local events = req:events()\n"
    "  for _, bad in ipairs { { id = 'a\\nb', data = '' }, { event = 'a\\rb', data = '' }, { id = 'a\\0b', data = '' "
    "},\n"
    "                         {}, { data = print } } do\n"
    "    if pcall(events.send, events, bad) then error('sent') end\n"
    "  end\n"
    "  events:send('right')\n"
    "end)\n"
    "app:get('/join', function(req)\n"
    "  subscriber = req:events { heartbeat = 0 }\n"
    "  ended = subscriber:wait()\n"
    "  log.info('waited: ' .. ended)\n"
    "  if ended == 'draining' then log.info('last word ' .. tostring(subscriber:send('bye'))) end\n"
    "end)\n"
    "app:get('/tell', function(req)\n"
    "  local ok, why = subscriber:send { data = ('x'):rep(900), wait = false }\n"
    "  req:reply { text = tostring(ok) .. ' ' .. tostring(why) }\n"
    "end)\n"
    "app:get('/end', function(req) subscriber:finish() subscriber:finish() req:reply { text = subscriber:wait() } "
    "end)\n"
    "app:get('/unknown', function(req) return req:events().nothing end)\n";

static void events_are_framed_and_resumed(void **state)
{
    static const char *const resumed[] = {"Last-Event-ID", "2", NULL};
    (void)state;
    script_world *w = streaming(events);
    assert_answer(w, "GET /three",
                  "200 retry: 3000\n\nevent: tick\nid: 1\ndata: {\"n\":1}\n\nevent: tick\nid: 2\ndata: {\"n\":2}\n\n"
                  "event: tick\nid: 3\ndata: {\"n\":3}\n\ndata: two\ndata: lines\n\ndata: \n\n");
    fa_inprocess *client = script_start(w, (asking){.what = "GET /three", .headers = resumed});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_text_is(fa_inprocess_header(client, "content-type"), "text/event-stream"));
    assert_true(fa_text_is(fa_inprocess_header(client, "x-a"), "b"));
    assert_string_equal(script_answer(w, client), "200 retry: 3000\n\nevent: tick\nid: 3\ndata: {\"n\":3}\n\n"
                                                  "data: two\ndata: lines\n\ndata: \n\n");
    assert_answer(w, "GET /wrong", "200 :\n\ndata: right\n\n");
    assert_answer(w, "GET /count", "200 retry: 3000\n\n");
    assert_answer(w, "HEAD /three", "200");
    assert_answer(w, "GET /unknown", "cut");
    assert_logged(w, "a stream of events has no \"nothing\"");
    assert_costs_nothing(w, "GET /three");
    script_world_end(w);
}

static void a_broadcast_needs_not_wait(void **state)
{
    (void)state;
    script_world *w = streaming(events);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /join", .stepped = true});
    turn(w);
    assert_answer(w, "GET /tell", "200 true nil");
    assert_answer(w, "GET /tell", "200 true nil");
    assert_answer(w, "GET /tell", "200 nil full");
    fa_inprocess_take(client, SIZE_MAX);
    turn(w);
    assert_answer(w, "GET /tell", "200 true nil");
    assert_answer(w, "GET /end", "200 finished");
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_inprocess_answered(client)->complete);
    fa_inprocess_free(client);
    assert_answer(w, "GET /tell", "200 nil gone");
    assert_answer(w, "GET /end", "200 gone");
    script_world_end(w);
}

/* Whoever waits has the last word, then the client is told to come again and the stream ends. */
static void draining_ends_streams_of_events(void **state)
{
    (void)state;
    script_world *w = streaming(events);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /join"});
    turn(w);
    fa_script_drain(w->script);
    fa_script_drain(w->script);
    assert_string_equal(script_answer(w, client), "200 :\n\ndata: bye\n\nretry: 1000\n\n");
    assert_logged(w, "waited: draining");
    assert_logged(w, "last word true");
    assert_answer(w, "GET /join", "200 :\n\nretry: 1000\n\n"); /* a late one is sent on at once */
    script_world_end(w);
}

/* ---- files ---- */

static const char files[] =
    "local said; app:get('/own/*name', function(req) req:file(req.params.name) end)\n"
    "app:get('/root/*name', function(req)\n"
    "  req:set_cookie('seen', '1')\n"
    "  req:file { root = settings.app .. '/sub', path = req.params.name, type = 'audio/x-own', download = true }\n"
    "end)\n"
    "app:get('/named', function(req) req:file { path = 'a.txt', download = 'Übung.txt', immutable = true } end)\n"
    "app:post('/post', function(req) req:file('a.txt') end)\n"
    "app:get('/twice', function(req)\n"
    "  req:file('a.txt')\n"
    "  said = select(2, pcall(req.reply, req, {}))\n"
    "  error('after it')\n"
    "end)\n"
    "app:get('/said', function(req) req:reply { text = said } end)\n"
    "app:get('/report', function(req) req:download('r\\r\\n.csv') req:reply { text = 'a,b' } end)\n"
    "app:get('/failed', function(req) req:download('r.csv') req:fail(500, 'x', 'y') end)\n";

static script_world *with_files(void)
{
    char path[200];
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", files, sizeof(files) - 1);
    script_world_write(w, "a.txt", "text", 4);
    snprintf(path, sizeof(path), "mkdir %s/sub && ln -s ../a.txt %s/sub/out", w->folder, w->folder);
    assert_int_equal(system(path), 0);
    script_world_write(w, "sub/b.bin", "bytes", 5);
    if (!script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("%s", w->error.text);
    return w;
}

static void assert_head(script_world *w, const char *what, const char *name, const char *value)
{
    fa_inprocess *client = script_start(w, (asking){.what = what});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    fa_text found = fa_inprocess_header(client, name);
    if (!fa_text_is(found, value))
        fail_msg("%s: %s: %.*s", what, name, (int)found.length, found.data);
    fa_inprocess_free(client);
}

static void files_are_sent_from_disk(void **state)
{
    (void)state;
    script_world *w = with_files();
    assert_answer(w, "GET /own/a.txt", "200 text");
    assert_answer(w, "GET /own/sub/b.bin", "200 bytes");
    assert_head(w, "GET /own/a.txt", "content-type", "text/plain; charset=utf-8");
    assert_head(w, "GET /own/a.txt", "content-disposition", "");
    assert_answer_has(w, "GET /own/none", "404 {\"error\":{\"code\":\"not_found\"");
    assert_answer_has(w, "GET /own/%2e%2e/x", "400 ");
    assert_answer_has(w, "GET /own//etc/passwd", "404 ");
    assert_answer(w, "GET /root/b.bin", "200 bytes");
    assert_answer_has(w, "GET /root/out", "404 "); /* a link that leads outside */
    assert_head(w, "GET /root/b.bin", "content-type", "audio/x-own");
    assert_head(w, "GET /root/b.bin", "content-disposition", "attachment; filename=\"b.bin\"");
    assert_head(w, "GET /root/b.bin", "set-cookie", "seen=1; Path=/; SameSite=Lax; HttpOnly");
    assert_head(w, "GET /root/none", "content-disposition", ""); /* the error is no download */
    assert_head(w, "GET /root/none", "content-type", "application/json; charset=utf-8");
    assert_head(w, "GET /named", "content-disposition",
                "attachment; filename=\"_bung.txt\"; filename*=UTF-8''%C3%9Cbung.txt");
    assert_head(w, "GET /named", "cache-control", "public, max-age=31536000, immutable");
    assert_answer_has(w, "POST /post", "500 ");
    assert_answer(w, "GET /twice", "200 text");
    assert_logged(w, "after it");
    assert_answer_has(w, "GET /said", "this request has been answered already");
    assert_head(w, "GET /report", "content-disposition", "attachment; filename=\"r__.csv\"");
    assert_head(w, "GET /failed", "content-disposition", "");
    assert_costs_nothing(w, "GET /own/a.txt");
    assert_costs_nothing(w, "GET /root/none");
    script_world_end(w);
}

static void a_file_that_the_client_has_is_not_sent(void **state)
{
    char etag[80];
    (void)state;
    script_world *w = with_files();
    fa_inprocess *client = script_start(w, (asking){.what = "GET /named"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    fa_text found = fa_inprocess_header(client, "etag");
    snprintf(etag, sizeof(etag), "%.*s", (int)found.length, found.data);
    fa_inprocess_free(client);
    const char *const headers[] = {"If-None-Match", etag, NULL};
    client = script_start(w, (asking){.what = "GET /named", .headers = headers});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_int_equal(fa_inprocess_header(client, "content-disposition").length, 0);
    assert_string_equal(script_answer(w, client), "304");
    script_world_end(w);
}

/* ---- heads ---- */

static const char heads[] =
    "local said; app:get('/cookies', function(req)\n"
    "  req:reply { text = tostring(req:cookie('a')) .. tostring(req:cookie('b')) .. tostring(req:cookie('none')) }\n"
    "end)\n"
    "app:get('/set', function(req)\n"
    "  req:set_cookie('one', '1', { max_age = '1h', secure = true, same_site = 'strict', path = '/x' })\n"
    "  req:set_cookie('two', 2, { http_only = false, max_age = 0 })\n"
    "  req:set_cookie('two', 3, { domain = 'a.org' })\n"
    "  req:reply { text = 'set', headers = { vary = { 'Accept', 'Origin' } } }\n"
    "end)\n"
    "app:get('/many', function(req) for i = 1, 33 do req:set_cookie('c' .. i, 1) end end)\n"
    "app:get('/late', function(req) req:reply {} req:set_cookie('a', 'b') end)\n"
    "app:get('/bad', function(req)\n"
    "  said = {}\n"
    "  local function try(...) said[#said + 1] = select(2, pcall(req.set_cookie, req, ...)) end\n"
    "  try('a', 'x\\r\\ny') try('a b', '') try('a', '', { same_site = 'x' }) try('a', '', { max_age = -1 })\n"
    "  try('a', '', { max_age = 'soon' }) try('__Host-a', '', {}) try('a', {}) try('a', '', { same_site = 'none' })\n"
    "  req:reply { text = table.concat(said, '\\n') }\n"
    "end)\n"
    "app:get('/to', function(req) req:redirect(req:query('to'), tonumber(req:query('status') or nil)) end)\n"
    "app:post('/to', function(req) req:redirect('/next') end)\n"
    "app:get('/out', function(req) req:redirect('https://a.org/', { external = true, status = 308 }) end)\n"
    "app:get('/fresh', function(req)\n"
    "  if req:fresh { etag = 'v1', modified = 784111777 } then return end\n"
    "  req:reply { text = 'whole' }\n"
    "end)\n"
    "app:get('/tagged', function(req) if not req:fresh { etag = 'v1' } then req:reply { text = 'whole' } end end)\n"
    "app:post('/fresh', function(req) req:reply { text = tostring(req:fresh { etag = 'v1' }) } end)\n"
    "app:get('/badtag', function(req) req:fresh { etag = 'a\"b' } end)\n";

static void cookies_are_read_and_set(void **state)
{
    static const char *const sent[] = {"Cookie", "x=y; a=1", "Cookie", "b=\"2\"; a=3", NULL};
    static const char *const expected[] = {"one=1; Path=/x; Max-Age=3600; SameSite=Strict; Secure; HttpOnly",
                                           "two=2; Path=/; Max-Age=0; SameSite=Lax",
                                           "two=3; Path=/; Domain=a.org; SameSite=Lax; HttpOnly"};
    (void)state;
    script_world *w = streaming(heads);
    fa_inprocess *client = script_start(w, (asking){.what = "GET /cookies", .headers = sent});
    assert_string_equal(script_answer(w, client), "200 12nil");
    client = script_start(w, (asking){.what = "GET /set"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    size_t cookies = 0, vary = 0;
    for (size_t i = 0; i < answer->header_count; ++i) {
        vary += fa_text_is(answer->headers[i].name, "vary");
        if (fa_text_is(answer->headers[i].name, "set-cookie"))
            assert_true(fa_text_is(answer->headers[i].value, expected[cookies++]));
    }
    assert_int_equal(cookies, 3);
    assert_int_equal(vary, 2);
    assert_string_equal(script_answer(w, client), "200 set");
    assert_answer_has(w, "GET /many", "500 ");
    assert_logged(w, "more than 32 headers are added to one answer");
    assert_answer(w, "GET /late", "204");
    assert_logged(w, "this request has been answered already");
    assert_answer_has(w, "GET /bad", "encode it");
    assert_answer_has(w, "GET /bad", "its name is no token");
    assert_answer_has(w, "GET /bad", "same_site is Strict, Lax or None");
    assert_answer_has(w, "GET /bad", "max_age is 0 to 34560000");
    assert_answer_has(w, "GET /bad", "the prefix __Host- needs secure");
    assert_answer_has(w, "GET /bad", "SameSite=None and Partitioned need secure");
    assert_costs_nothing(w, "GET /set");
    script_world_end(w);
}

static void redirects_stay_at_home(void **state)
{
    (void)state;
    script_world *w = streaming(heads);
    assert_answer(w, "GET /to?to=/a", "302");
    assert_head(w, "GET /to?to=/a", "location", "/a");
    assert_answer(w, "GET /to?to=/a&status=301", "301");
    assert_answer(w, "POST /to", "303");
    assert_answer(w, "GET /out", "308");
    assert_head(w, "GET /out", "location", "https://a.org/");
    assert_answer_has(w, "GET /to?to=/a&status=200", "500 ");
    assert_answer_has(w, "GET /to?to=//evil.org", "500 ");
    assert_logged(w, "say external = true");
    assert_answer_has(w, "GET /to?to=javascript:alert(1)", "500 ");
    assert_answer_has(w, "GET /to?to=/a%0d%0aSet-Cookie:x", "500 ");
    assert_logged(w, "no address that a browser may be sent to");
    script_world_end(w);
}

static const char *ask_with(script_world *w, const char *what, const char *name, const char *value)
{
    const char *const headers[] = {name, value, NULL};
    return script_answer(w, script_start(w, (asking){.what = what, .headers = headers}));
}

static void what_the_client_has_is_not_sent(void **state)
{
    (void)state;
    script_world *w = streaming(heads);
    assert_answer(w, "GET /fresh", "200 whole");
    assert_head(w, "GET /fresh", "etag", "\"v1\"");
    assert_head(w, "GET /fresh", "last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(ask_with(w, "GET /fresh", "If-None-Match", "\"v0\", W/\"v1\""), "304");
    assert_string_equal(ask_with(w, "HEAD /fresh", "If-None-Match", "*"), "304");
    assert_string_equal(ask_with(w, "GET /fresh", "If-None-Match", "\"v2\""), "200 whole");
    assert_string_equal(ask_with(w, "GET /fresh", "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), "304");
    assert_string_equal(ask_with(w, "GET /fresh", "If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"), "200 whole");
    assert_string_equal(ask_with(w, "GET /tagged", "If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"), "200 whole");
    assert_string_equal(ask_with(w, "POST /fresh", "If-None-Match", "\"v1\""), "200 false");
    assert_answer_has(w, "GET /badtag", "500 ");
    script_world_end(w);
}

/* ---- memory ---- */

static bool scenario(script_world *w, fa_ledger *failing)
{
    static const char *const paths[] = {"GET /lines", "GET /three", "GET /a.txt", "GET /set"};
    bool complete = true;
    if (script_world_try(w, failing, WITH_NOTHING)) {
        fa_inprocess *slow = script_start(w, (asking){.what = "GET /flood", .stepped = true});
        turn(w);
        if (slow != NULL)
            fa_inprocess_take(slow, 3000);
        turn(w);
        complete = slow != NULL && fa_inprocess_answered(slow)->status == 200;
        if (slow != NULL)
            fa_inprocess_free(slow);
        for (size_t i = 0; complete && i < sizeof(paths) / sizeof(paths[0]); ++i) {
            fa_inprocess *client = script_start(w, (asking){.what = paths[i]});
            complete = client != NULL && strncmp(script_answer(w, client), "20", 2) == 0;
        }
    } else {
        complete = false;
    }
    script_world_close(w);
    return complete;
}

static void every_allocation_may_fail(void **state)
{
    static const char app[] = "app:get('/lines', function(req)\n"
                              "  local out = req:start()\n"
                              "  out:write('one') out:write('two')\n"
                              "  local b = fitnessally.buffer()\n"
                              "  if b then b:append('x'):seal() out:write(b) end\n"
                              "end)\n"
                              "app:get('/flood', function(req)\n"
                              "  local out = req:start()\n"
                              "  for i = 1, 9 do if not out:write(('x'):rep(900)) then return end end\n"
                              "end)\n"
                              "app:get('/three', function(req)\n"
                              "  local events = req:events { heartbeat = 1000 }\n"
                              "  for i = 1, 3 do assert(events:send { id = i, data = { i } }) end\n"
                              "end)\n"
                              "app:get('/a.txt', function(req) req:file { path = 'app.lua', download = true } end)\n"
                              "app:get('/set', function(req) req:set_cookie('a', 'b') req:fresh { etag = 'x' } "
                              "req:reply { text = 'x' } end)\n";
    bool reached = false;
    (void)state;
    script_world *w = script_world_new();
    w->answer_queue = 2000;
    script_world_write(w, "app.lua", app, sizeof(app) - 1);
    FA_FAIL_EACH_ALLOCATION(failing)
    {
        reached = scenario(w, failing);
    }
    assert_true(reached);
    assert_true(fa_failing_runs() > 60);
    script_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_pieces),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(a_slow_client_holds_the_writer_back),
        cmocka_unit_test(a_client_that_leaves_frees_everything_at_once),
        cmocka_unit_test(somebody_elses_stream_may_go),
        cmocka_unit_test(events_are_framed_and_resumed),
        cmocka_unit_test(a_broadcast_needs_not_wait),
        cmocka_unit_test(draining_ends_streams_of_events),
        cmocka_unit_test(files_are_sent_from_disk),
        cmocka_unit_test(a_file_that_the_client_has_is_not_sent),
        cmocka_unit_test(cookies_are_read_and_set),
        cmocka_unit_test(redirects_stay_at_home),
        cmocka_unit_test(what_the_client_has_is_not_sent),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("scripts: answers", tests, NULL, NULL);
}
