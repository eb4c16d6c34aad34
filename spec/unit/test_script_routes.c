/* core/script: groups, middleware, names, methods and OPTIONS; and what is wrong with a declaration. */
#include "script_world.h"

#include <stdio.h>

static void refuse_app(const char *app, const char *part)
{
    script_world *w = script_world_new();
    script_world_write(w, "app.lua", app, strlen(app));
    if (script_world_try(w, NULL, WITH_NOTHING))
        fail_msg("loaded: %s", app);
    if (strstr(w->error.text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, w->error.text);
    script_world_end(w);
}

static const char trail[] = "local trail\n"
                            "local function mark(name)\n"
                            "  return function(req, next)\n"
                            "    trail = (trail or '') .. name\n"
                            "    local given = next(req)\n"
                            "    trail = trail .. '/' .. name\n"
                            "    return given\n"
                            "  end\n"
                            "end\n"
                            "local function tell(req)\n"
                            "  trail = (trail or '') .. '.'\n"
                            "  req:reply { text = req.path }\n"
                            "  return 'given'\n"
                            "end\n";

static void middleware_stands_in_the_order_it_is_written(void **state)
{
    char app[2000];
    (void)state;
    snprintf(
        app, sizeof(app), "%s%s", trail,
        "app:use(mark('a'), mark('b'))\n"
        "app:use(function(req, next) local given = next() trail = trail .. '=' .. tostring(given) end)\n"
        "app:group('/api', { use = { mark('c') } }, function(api)\n"
        "  api:use(mark('d'))\n"
        "  api:get('/x', { use = { mark('e') } }, tell)\n"
        "  api:group('/in', function(inner)\n"
        "    inner:use(mark('f'))\n"
        "    inner:get('/:y', tell)\n"
        "    inner:get('', { use = mark('g') }, tell)\n"
        "  end)\n"
        "  api:get('/bare', { use = false }, tell)\n"
        "end)\n"
        "app:get('/trail', { use = false }, function(req) local t = trail trail = nil req:reply { text = t } end)\n"
        "app:get('/y', tell)\n");
    script_world *w = script_world_begin(app);
    assert_answer(w, "GET /api/x", "200 /api/x");
    assert_answer(w, "GET /trail", "200 abcde./e/d/c=given/b/a");
    assert_answer(w, "GET /api/in/5", "200 /api/in/5");
    assert_answer(w, "GET /trail", "200 abcdf./f/d/c=given/b/a");
    assert_answer(w, "GET /api/in", "200 /api/in");
    assert_answer(w, "GET /trail", "200 abcdfg./g/f/d/c=given/b/a");
    assert_answer(w, "GET /api/bare", "200 /api/bare");
    assert_answer(w, "GET /trail", "200 .");
    assert_answer(w, "GET /y", "200 /y");
    assert_answer(w, "GET /trail", "200 ab.=given/b/a");
    assert_costs_nothing(w, "GET /api/x");
    script_world_end(w);
}

static void middleware_may_answer_wait_add_and_catch(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "app:group('', function(g)\n"
        "  g:use(function(req, next)\n"
        "    req:set_header('X-Way', 'added')\n"
        "    fitnessally.sleep(1)\n"
        "    if req:query('stop') then return req:fail(403, 'stopped', 'No.') end\n"
        "    local fine, problem = pcall(next, req)\n"
        "    if not fine then req:reply { status = 500, text = 'caught ' .. problem } end\n"
        "    log.info('status ' .. tostring(req.status))\n"
        "  end)\n"
        "  g:get('/', function(req)\n"
        "    fitnessally.sleep(1)\n"
        "    if req:query('fail') then error('on purpose') end\n"
        "    req:reply { text = 'well', headers = { ['x-way'] = 'own' } }\n"
        "  end)\n"
        "end)\n"
        "app:get('/status', function(req) req:reply { text = tostring(req.status) } end)\n"
        "app:get('/other', { use = function(req, next) fitnessally.spawn(function() next() end):join() end },\n"
        "  function(req) req:reply { text = 'elsewhere' } end)\n"
        "app:get('/twice', { use = function(req, next) next() next() end }, function(req) req:reply {} end)\n"
        "app:get('/late', { use = function(req, next)\n"
        "  next(req)\n"
        "  req:set_header('X-Late', 'a')\n"
        "end }, function(req) req:reply { text = 'in time' } end)\n"
        "app:get('/forgot', { use = function() end }, print)\n");
    assert_answer(w, "GET /", "200 well");
    assert_logged(w, "status 200");
    assert_answer_has(w, "GET /?stop=1", "403 {\"error\":{\"code\":\"stopped\"");
    assert_answer(w, "GET /?fail=1", "500 caught app.lua:12: on purpose");
    fa_inprocess *client = script_start(w, (asking){.what = "GET /"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_text_is(fa_inprocess_header(client, "x-way"), "added")); /* instead of the handler's own */
    assert_string_equal(script_answer(w, client), "200 well");
    client = script_start(w, (asking){.what = "GET /?stop=1"});
    SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
    assert_true(fa_text_is(fa_inprocess_header(client, "x-way"), "added")); /* errors bear it, too */
    script_answer(w, client);
    assert_answer(w, "GET /status", "200 nil");
    assert_answer(w, "GET /other", "200 elsewhere");
    assert_answer(w, "GET /twice", "204");
    assert_logged(w, "this request has been answered already");
    assert_answer_has(w, "GET /forgot", "500 {\"error\":{\"code\":\"no_answer\"");
    assert_logged(w, "the handler at app.lua:24 returned without an answer");
    assert_answer(w, "GET /late", "200 in time");
    assert_logged(
        w, "app.lua:22: this header comes too late: the answer, 200, has been made; add it before next(req), or in");
    script_world_end(w);
}

static void every_method_has_its_word(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local function tell(req) req:reply { text = req.method, headers = { ['x-m'] = req.method } } end\n"
        "for _, m in ipairs { 'get', 'post', 'put', 'patch', 'delete', 'options' } do app[m](app, '/' .. m, tell) end\n"
        "app:head('/get', function(req) req:reply { status = 204 } end)\n"
        "app:any('/any', tell)\n"
        "app:route({ 'PUT', 'PATCH' }, '/some', { max_body = '1KB' }, tell)\n"
        "app:route('GET', '/one', tell)\n"
        "app:get('/guarded', { use = function(req, next)\n"
        "  req:add_header('x-guard', req.method)\n"
        "  if req:header('access-control-request-method') and req:header('origin') == 'answer' then\n"
        "    return req:reply { status = 204 }\n"
        "  end\n"
        "  return next(req)\n"
        "end }, tell)\n");
    assert_answer(w, "GET /get", "200 GET");
    assert_answer(w, "HEAD /get", "204");
    assert_answer(w, "POST /post", "200 POST");
    assert_answer(w, "PUT /put", "200 PUT");
    assert_answer(w, "PATCH /patch", "200 PATCH");
    assert_answer(w, "DELETE /delete", "200 DELETE");
    assert_answer(w, "OPTIONS /options", "200 OPTIONS");
    assert_answer(w, "PATCH /any", "200 PATCH");
    assert_answer(w, "OPTIONS /any", "200 OPTIONS");
    assert_answer(w, "HEAD /any", "200");
    assert_answer(w, "PUT /some", "200 PUT");
    assert_answer(w, "PATCH /some", "200 PATCH");
    assert_answer_has(w, "GET /some", "405 {\"error\"");
    assert_answer(w, "GET /one", "200 GET");
    assert_answer(w, "OPTIONS /one", "204");
    assert_answer_has(w, "OPTIONS /none", "404 {\"error\"");

    static const char *const asks_get[] = {"Access-Control-Request-Method", "GET", NULL};
    static const char *const asks_put[] = {"Access-Control-Request-Method", "PUT", NULL};
    static const char *const answer[] = {"Access-Control-Request-Method", "GET", "Origin", "answer", NULL};
    const struct {
        const char *const *headers;
        const char *allow, *guard;
    } asked[] = {{NULL, "GET, HEAD, OPTIONS", ""},
                 {asks_get, "GET, HEAD, OPTIONS", "OPTIONS"},
                 {asks_put, "GET, HEAD, OPTIONS", ""},
                 {answer, "", "OPTIONS"}};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); ++i) {
        fa_inprocess *client = script_start(w, (asking){.what = "OPTIONS /guarded", .headers = asked[i].headers});
        SCRIPT_UNTIL(w, fa_inprocess_answered(client)->ended);
        assert_true(fa_text_is(fa_inprocess_header(client, "allow"), asked[i].allow));
        assert_true(fa_text_is(fa_inprocess_header(client, "x-guard"), asked[i].guard));
        assert_string_equal(script_answer(w, client), "204");
    }
    script_world_end(w);
}

/* Files are not let past what stands before them. */
static void folders_have_middleware_too(void **state)
{
    (void)state;
    script_world *w = script_world_begin("app:group('/private', function(g)\n"
                                         "  g:use(function(req, next)\n"
                                         "    if not req:query('key') then return req:fail(401, 'no_key', 'No.') end\n"
                                         "    return next(req)\n"
                                         "  end)\n"
                                         "  g:static('/files', { root = settings.app })\n"
                                         "  g:static('/open', { root = settings.app, use = false })\n"
                                         "end)\n");
    assert_answer_has(w, "GET /private/files/app.lua", "401 {\"error\"");
    assert_answer_has(w, "GET /private/files/none", "401 {\"error\"");
    assert_answer_has(w, "POST /private/files/app.lua", "401 {\"error\"");
    assert_answer_has(w, "GET /private/files/app.lua?key=1", "200 app:group(");
    assert_answer_has(w, "GET /private/files/none?key=1", "404 {\"error\"");
    assert_answer_has(w, "GET /private/open/app.lua", "200 app:group(");
    assert_answer_has(w, "POST /private/open/app.lua", "405 {\"error\"");
    assert_answer_has(w, "GET /private/open/none", "404 {\"error\"");
    assert_costs_nothing(w, "GET /private/files/app.lua?key=1");
    script_world_end(w);
}

static void names_become_addresses(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local names = {}\n"
        "local function add(...) names[#names + 1] = { ... } end\n"
        "app:group('/api/:version', function(api)\n"
        "  api:get('/records/:id', { name = 'record' }, print)\n"
        "  api:get('/files/*path', { name = 'file' }, print)\n"
        "end)\n"
        "app:get('/', { name = 'home' }, print)\n"
        "app:static('/media', { name = 'media', root = settings.app })\n"
        "app:get('/url', function(req)\n"
        "  local id = req:query('id')\n"
        "  req:reply { text = app:url_for('record', { version = 1, id = id }) }\n"
        "end)\n"
        "app:get('/all', function(req)\n"
        "  req:reply { text = table.concat({\n"
        "    app:url_for('home'), app:url_for('home', {}, { b = { 1, true }, a = 'x y&=' }),\n"
        "    app:url_for('file', { version = 'v 1', path = 'a b/c#' }), app:url_for('media', { file = 'é.gif' }),\n"
        "    app:url_for('record', { version = 1, id = 1234567890123456 }, { at = 1795938548684123 }),\n"
        "  }, '\\n') }\n"
        "end)\n"
        "app:get('/wrong', function(req)\n"
        "  local _, problem = pcall(app.url_for, app, req:query('name'), req:query('v') and { version = '1', id = "
        "req:query('v') })\n"
        "  req:reply { text = problem }\n"
        "end)\n");
    assert_answer(w, "GET /all",
                  "200 /\n/?a=x%20y%26%3D&b=1&b=true\n/api/v%201/files/a%20b/c%23\n/media/%C3%A9.gif\n"
                  "/api/1/records/1234567890123456?at=1795938548684123");
    assert_answer(w, "GET /url?id=7", "200 /api/1/records/7");
    assert_answer(w, "GET /url?id=a%3Fb%25", "200 /api/1/records/a%3Fb%25");
    assert_answer(w, "GET /wrong?name=none", "200 app.lua:21: url_for: no route has the name \"none\"");
    assert_answer(w, "GET /wrong?name=record", "200 app.lua:21: url_for: GET /api/:version/records/:id needs version");
    assert_answer_has(w, "GET /wrong?name=home&v=1", "200 app.lua:21: url_for: GET / has no ");
    assert_answer(w, "GET /wrong?name=record&v=a%2Fb",
                  "200 app.lua:21: url_for: id is one part of a path: not empty, and without a slash");
    assert_answer_has(w, "GET /wrong?name=record&v=..", "200 app.lua:21: url_for: id has what no path may have");
    script_world_end(w);
}

static void groups_hand_their_options_down(void **state)
{
    (void)state;
    script_world *w = script_world_begin(
        "local function length(req) req:reply { text = tostring(req.body:len()) } end\n"
        "app:group('/a', { max_body = '10B' }, function(g)\n"
        "  g:post('/small', length)\n"
        "  g:post('/large', { max_body = '20B' }, length)\n"
        "  g:group('/b', { max_json = '5B' }, function(inner) inner:post('/both', length) end)\n"
        "end)\n"
        "app:post('/free', length)\n"
        "app:get('/routes', function(req)\n"
        "  local lines = {}\n"
        "  for i, route in ipairs(app:routes()) do\n"
        "    lines[i] = table.concat({ route.methods[1], route.pattern, route.place, tostring(route.limits.max_body),\n"
        "      tostring(route.limits.max_json) }, ' ')\n"
        "  end\n"
        "  req:reply { text = table.concat(lines, '\\n') }\n"
        "end)\n");
    assert_string_equal(script_post(w, "POST /a/small", "0123456789"), "200 10");
    assert_non_null(strstr(script_post(w, "POST /a/small", "0123456789a"), "413"));
    assert_string_equal(script_post(w, "POST /a/large", "0123456789a"), "200 11");
    assert_non_null(strstr(script_post(w, "POST /a/b/both", "0123456789a"), "413"));
    assert_string_equal(script_post(w, "POST /free", "0123456789a"), "200 11");
    assert_answer(w, "GET /routes",
                  "200 POST /a/small app.lua:3 10B nil\nPOST /a/large app.lua:4 20B nil\nPOST /a/b/both app.lua:5 10B "
                  "5B\nPOST /free app.lua:7 nil nil\nGET /routes app.lua:8 nil nil");
    script_world_end(w);
}

static void hosts_have_routes_of_their_own(void **state)
{
    static const char *const api[] = {"Host", "API.example:80", NULL}, *const sub[] = {"Host", "x.y.example", NULL};
    (void)state;
    script_world *w =
        script_world_begin("local function tell(text) return function(req) req:reply { text = text } end end\n"
                           "app:host('*.example', function(any) any:get('/', tell('any')) end)\n"
                           "app:group('', { host = 'api.example' }, function(one)\n"
                           "  one:post('/', { max_body = '4B' }, tell('post'))\n"
                           "  one:get('/', tell('api'))\n"
                           "end)\n"
                           "app:get('/', tell('every'))\n"
                           "app:get('/here', { host = 'api.example' }, tell('here'))\n");
    assert_answer(w, "GET /", "200 every");
    assert_string_equal(script_answer(w, script_start(w, (asking){.what = "GET /", .headers = api})), "200 api");
    assert_string_equal(script_answer(w, script_start(w, (asking){.what = "GET /", .headers = sub})), "200 any");
    assert_string_equal(script_answer(w, script_start(w, (asking){.what = "GET /here", .headers = api})), "200 here");
    assert_answer_has(w, "GET /here", "404 {\"error\"");
    assert_int_equal(
        fa_script_body_limit(&(fa_route_key){FA_TEXT("POST"), FA_TEXT("api.example"), FA_TEXT("/")}, w->script), 4);
    script_world_end(w);
}

/* A route that looks as if it had the prefix and the middleware of the group around it, and has not. */
static void a_group_is_not_left_unnoticed(void **state)
{
    (void)state;
    refuse_app(
        "app:group('/api', function(api)\n  app:get('/x', print)\nend)",
        "app.lua:2: app:get inside of the function of group \"/api\" is not of that group: use what the function is "
        "given, as in function(api) api:get(...) end");
    refuse_app("app:group('/api', function(api)\n  api:group('/in', function(inner) api:post('/x', print) end)\nend)",
               "app.lua:2: app:post inside of the function of group \"/in\"");
    refuse_app("app:group('/api', function() app:use(print) end)", "app:use inside of the function of group \"/api\"");
    refuse_app("app:group('/api', function() app:group('/b', print) end)", "app:group inside of the function");
    refuse_app("app:group('/api', function() app:static('/b', { root = '.' }) end)",
               "app:static inside of the function");
    refuse_app("app:group('/api', function() app:websocket('/b', print) end)", "app:websocket inside of the function");
    refuse_app("app:host('a.example', function() app:get('/b', print) end)",
               "app:get inside of the function of app:host(\"a.example\") is not of that host");
    script_world *w =
        script_world_begin("local kept\n"
                           "app:group('/api', function(api) kept = api end)\n"
                           "kept:get('/late', function(req) req:reply { text = app:url_for('top') } end)\n"
                           "app:get('/top', { name = 'top' }, print)\n");
    assert_answer_has(w, "GET /api/late", "200 /top");
    script_world_end(w);
}

/* A name that does not exist is nil: what was to stand before a route would not. */
static void a_middleware_that_is_nil_is_said(void **state)
{
    (void)state;
    refuse_app("app:get('/', { use = { nil, print } }, print)",
               "app.lua:1: route /: use: something in the list is nil: a name that does not exist");
    refuse_app("app:get('/', { use = { no_such_name } }, print)", "route /: use: nothing is in the list");
    refuse_app("app:group('/a', { use = { no_such_name } }, print)", "group \"/a\": use: nothing is in the list");
    refuse_app("app:get('/', { use = { auth = print } }, print)",
               "route /: use is a list: { auth }, not { auth = ... }");
    refuse_app("app:use()", "app.lua:1: app:use: it takes a middleware");
}

static void what_is_wrong_with_a_route_is_said(void **state)
{
    (void)state;
    refuse_app("app:get('/a', print)\n\napp:use(print)",
               "app.lua:3: app:use: middleware is declared before the routes that it is for, and GET /a at app.lua:1");
    refuse_app("app:group('/a', function(g) g:get('/b', print) end)\napp:use(print)",
               "and GET /a/b at app.lua:1 would not have it");
    refuse_app("app:use('x')", "app.lua:1: app:use: a middleware is a function(req, next), not a string");
    refuse_app("app:get('/', { use = { 5 } }, print)",
               "route /: use: a middleware is a function(req, next), not a number");
    refuse_app("app:get('/', { use = 5 }, print)", "route /: use is a list of middleware, or false for none");
    refuse_app("app:get('/', { colour = 1 }, print)",
               "app.lua:1: route GET /: colour is not known: there are max_body");
    refuse_app("app:group('/', { colour = 1 }, print)", "app.lua:1: route group \"/\": colour is not known");
    refuse_app("app:group('/', { name = 'x' }, print)", "group \"/\": only routes have names");
    refuse_app("app:group('a', print)", "app.lua:1: app:group: a prefix begins with /, or is empty");
    refuse_app("app:group('/a', {})", "group \"/a\": its routes are declared by a function(group)");
    refuse_app("app:group('/a', function(g) g:get('b', print) end)", "route \"b\": a pattern begins with /");
    refuse_app("app:get(5, print)", "app:get: the pattern is a text");
    refuse_app("app.get('/a', print)", "app.lua:1: app.get is called with a colon, app:get(...)");
    refuse_app("app:route({}, '/', print)", "app:route takes a list of methods");
    refuse_app("app:route({ 'BREW' }, '/', print)", "app:route: BREW is not a method that routes know");
    refuse_app("app:get('/a', { name = 'n' }, print)\napp:post('/a', { name = 'n' }, print)",
               "app.lua:2: the name \"n\" is given twice: to GET /a at app.lua:1 and to POST /a at app.lua:2");
    refuse_app("app:get('/a', { name = 5 }, print)", "GET /a: name is a text");
    refuse_app("app:host('A.example', function(h) h:get('/', print) end)", "\"A.example\" is no host");
    refuse_app("app:host('a.example', function(h) h:get('/', { host = 'b.example' }, print) end)",
               "the group is for host a.example, so host b.example would never be reached");
    refuse_app("app:host(5, print)", "a host is a name such as");
    refuse_app("app:get('/', { queue = 5 }, print)", "queue and queue_time mean nothing without max_concurrent");
    refuse_app("app:static('/', { root = '.', colour = 1 })", "app:static(\"/\"): colour is not known");
    refuse_app(
        "app:get('/:a/x', print)\napp:get('/:b/y', print)",
        "app.lua:2: route \"/:b/y\" at app.lua:2: this segment is already called \"a\" by the route at app.lua:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(middleware_stands_in_the_order_it_is_written),
        cmocka_unit_test(middleware_may_answer_wait_add_and_catch),
        cmocka_unit_test(every_method_has_its_word),
        cmocka_unit_test(folders_have_middleware_too),
        cmocka_unit_test(names_become_addresses),
        cmocka_unit_test(groups_hand_their_options_down),
        cmocka_unit_test(a_group_is_not_left_unnoticed),
        cmocka_unit_test(a_middleware_that_is_nil_is_said),
        cmocka_unit_test(hosts_have_routes_of_their_own),
        cmocka_unit_test(what_is_wrong_with_a_route_is_said),
    };
    return cmocka_run_group_tests_name("declared routes", tests, NULL, NULL);
}
