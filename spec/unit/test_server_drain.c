/* The server as a library: how it stops while turns run, streams are open and scripts work in the background. */
#include "testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fitnessally/fitnessally.h"

enum { PATIENCE_MS = 20000, SIZE = 32768 };

static char folder[64];

static const char app[] = "local function flow(turn, ms)\n"
                          "  turn:push('words', { n = 1 })\n"
                          "  fitnessally.sleep(ms)\n"
                          "  turn:push('words', { n = 2 })\n"
                          "end\n"
                          "app:get('/ask/:ms', function(req)\n"
                          "  req:reply { text = voice.ask(req, { text = req.id, flow = flow, context = "
                          "tonumber(req.params.ms) }).dialogueId }\n"
                          "end)\n"
                          "app:get('/late', function(req)\n"
                          "  fitnessally.sleep(150)\n"
                          "  local asked, code = voice.ask(req, { text = 'late', flow = flow, context = 0 })\n"
                          "  req:reply { text = asked and 'asked' or code }\n"
                          "end)\n"
                          "app:get('/listen/:id', function(req) voice.listen(req, req.params.id, { follow = "
                          "req:query('follow') == '1' }) end)\n"
                          "app:get('/hang/:what', function(req)\n"
                          "  req:start {}:write('begun')\n"
                          "  fitnessally.sleep(86400000)\n"
                          "end)\n"
                          "app:get('/memory', function(req) req:reply { json = fitnessally.memory() } end)\n"
                          "app:on_start(function() while true do fitnessally.sleep(5) end end)\n"
                          "app:on_start(function() fitnessally.sleep(86400000) end)\n";

/* Tasks of the application's own that never stop asking all workers something. */
static const char busy[] = "app:on_start(function() while true do fitnessally.memory() end end)\n"
                           "app:on_start(function() while true do fitnessally.memory() fitnessally.sleep(1) end end)\n";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[8000]; /* the last lines */

static void keep_line(void *context, fa_log_level level, const char *line)
{
    (void)context, (void)level;
    pthread_mutex_lock(&lock);
    size_t used = strlen(logged);
    if (used + strlen(line) + 2 > sizeof(logged))
        used = 0;
    snprintf(logged + used, sizeof(logged) - used, "%s\n", line);
    pthread_mutex_unlock(&lock);
}

static fa_server *start(void)
{
    char app_setting[100], state[100];
    fa_server *server;
    fa_error error = {""};
    const fa_server_options options = {.size = sizeof(options), .log_sink = keep_line};
    snprintf(app_setting, sizeof(app_setting), "app=%s", folder);
    snprintf(state, sizeof(state), "state_dir=%s/state", folder);
    const char *const settings[] = {
        "listen=127.0.0.1:0", app_setting, state, "plugins_enabled=", "duplicate_window=0s", "linger=0s", "workers=4"};
    assert_ok(fa_server_create(&options, &server, &error));
    if (fa_server_configure(server, NULL, settings, sizeof(settings) / sizeof(settings[0]), &error) != FA_OK ||
        fa_server_start(server, &error) != FA_OK)
        fail_msg("%s", error.text);
    return server;
}

/* ---- a client of few words ---- */

static int ask(const char *address, const char *path)
{
    char text[300];
    int port, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sscanf(address, "http://127.0.0.1:%d", &port), 1);
    to.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(s, (struct sockaddr *)&to, sizeof(to)), 0);
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", path);
    assert_int_equal(write(s, text, (size_t)length), length);
    return s;
}

/* Reads until `wanted` has come (true) or the connection ends. text: SIZE bytes, goes on where it ends. */
static bool read_until(int s, char *text, const char *wanted)
{
    size_t used = strlen(text);
    struct pollfd ready = {.fd = s, .events = POLLIN};
    while (strstr(text, wanted) == NULL && used < SIZE - 1 && poll(&ready, 1, PATIENCE_MS) > 0) {
        ssize_t got = read(s, text + used, SIZE - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        text[used] = '\0';
    }
    return strstr(text, wanted) != NULL;
}

static void read_all(int s, char *text)
{
    read_until(s, text, "\x01 never sent");
    close(s);
}

static const char *body_of(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

/* A dialogue whose flow takes so long, and a stream of it that has begun. */
static int stream(fa_server *server, const char *ask_path, bool follow, char *text)
{
    char path[120], answer[SIZE] = "";
    read_all(ask(fa_server_address(server, 0), ask_path), answer);
    snprintf(path, sizeof(path), "/listen/%s?follow=%d", body_of(answer), follow);
    int s = ask(fa_server_address(server, 0), path);
    text[0] = '\0';
    assert_true(read_until(s, text, "\"n\":1"));
    return s;
}

static void write_app(const char *more)
{
    char path[100];
    snprintf(path, sizeof(path), "%s/app.lua", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(app, file);
    fputs(more, file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fa-drain-XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_app("");
    return 0;
}

static int tear_down(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* ---- */

static void a_drain_lets_turns_finish_and_ends_streams(void **state)
{
    char one[SIZE], idle[SIZE], late[SIZE] = "";
    (void)state;
    fa_server *server = start();
    int follower = stream(server, "/ask/0", true, idle);
    assert_true(read_until(follower, idle, "event: complete")); /* its turn is over: it waits for the next one */
    int listener = stream(server, "/ask/600", false, one);
    int asking = ask(fa_server_address(server, 0), "/late");
    usleep(20000);
    uint64_t begin = fa_now_ms();
    fa_server_stop(server, PATIENCE_MS);
    assert_true(fa_now_ms() - begin < PATIENCE_MS / 2);
    read_all(listener, one);
    assert_non_null(strstr(one, "\"n\":2"));
    assert_non_null(strstr(one, "event: done\nid: 1.3\ndata: {\"status\":\"completed\""));
    assert_non_null(strstr(one, "event: complete"));
    read_all(follower, idle);
    read_all(asking, late);
    assert_string_equal(body_of(late), "too_many_dialogues"); /* a stopping server takes no more questions */
    fa_server_destroy(server);
}

static void patience_ends(void **state)
{
    char one[SIZE], other[SIZE];
    (void)state;
    fa_server *server = start();
    int listener = stream(server, "/ask/3600000", false, one), follower = stream(server, "/ask/3600000", true, other);
    uint64_t begin = fa_now_ms();
    fa_server_stop(server, 100);
    assert_true(fa_now_ms() - begin < PATIENCE_MS / 2);
    read_all(listener, one); /* whether its last words still get out depends on the socket; that it ends does not */
    read_all(follower, other);
    fa_server_destroy(server);
}

/* Whoever reads the log learns what it was that did not end; what stands behind the "?" stays out of it. */
static void what_is_cut_is_named(void **state)
{
    char text[SIZE] = "";
    (void)state;
    fa_server *server = start();
    int hanging = ask(fa_server_address(server, 0), "/hang/around?secret=1");
    assert_true(read_until(hanging, text, "begun"));
    fa_server_stop(server, 50);
    read_all(hanging, text);
    fa_server_destroy(server);
    if (strstr(logged, "draining took too long: 1 request and 0 turns are cut") == NULL ||
        strstr(logged, ": GET /hang/around: cut, the server stops") == NULL)
        fail_msg("%s", logged);
}

static void a_destroyed_server_leaves_nobody_hanging(void **state)
{
    char one[SIZE];
    (void)state;
    fa_server *server = start();
    int listener = stream(server, "/ask/3600000", false, one), asking = ask(fa_server_address(server, 0), "/late");
    fa_server_destroy(server);
    read_all(listener, one);
    one[0] = '\0';
    read_all(asking, one);
}

static void *stop_at_once(void *server)
{
    fa_server_stop(server, 0);
    return NULL;
}

/* Nothing keeps a server from stopping, and none of its workers goes before the others have done asking it: over and over, because it is
 * a matter of who comes first (spec/model/drain.pml has every order). */
static void tasks_that_never_rest_do_not_hold_it(void **state)
{
    (void)state;
    write_app(busy);
    for (int i = 0; i < 10; ++i) {
        pthread_t stopper;
        struct timespec until;
        fa_server *server = start();
        usleep((useconds_t)(i * 1000));
        assert_int_equal(pthread_create(&stopper, NULL, stop_at_once, server), 0);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 60;
        if (pthread_timedjoin_np(stopper, NULL, &until) != 0)
            fail_msg("it does not stop");
        fa_server_destroy(server);
    }
}

/* The ledger: after dialogues of every fate nothing of them is left. */
static void the_ledger_comes_back(void **state)
{
    static const char *const zero[] = {"\"dialogue\":{", "\"turn\":{", "\"listener\":{"};
    char text[SIZE];
    (void)state;
    fa_server *server = start();
    for (int i = 0; i < 6; ++i) {
        int s = stream(server, "/ask/10", false, text);
        if (i % 2 == 0)
            read_until(s, text, "event: complete");
        shutdown(s, SHUT_RDWR);
        close(s);
    }
    bool quiet = false;
    for (uint64_t begin = fa_now_ms(); !quiet && fa_now_ms() - begin < PATIENCE_MS; usleep(20000)) {
        text[0] = '\0';
        read_all(ask(fa_server_address(server, 0), "/memory"), text);
        quiet = true;
        for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); ++i) {
            const char *at = strstr(text, zero[i]);
            assert_non_null(at);
            char part[200];
            snprintf(part, sizeof(part), "%.*s", (int)strcspn(at + strlen(zero[i]), "}"), at + strlen(zero[i]));
            quiet = quiet && strstr(part, "\"bytes\":0") != NULL && strstr(part, "\"count\":0") != NULL;
        }
    }
    if (!quiet)
        fail_msg("%s", text);
    fa_server_destroy(server);
}

/* ---- two servers under load ---- */

static void *talk(void *address)
{
    static const char *const paths[] = {"/ask/0", "/memory", "/nothing", "/listen/nobody"};
    char text[SIZE];
    for (int i = 0; i < 40; ++i) {
        text[0] = '\0';
        read_all(ask(address, paths[i % 4]), text);
        if (strncmp(text, "HTTP/1.", 7) != 0)
            return "no answer";
    }
    return NULL;
}

static void two_servers_work_at_once(void **state)
{
    pthread_t clients[4];
    (void)state;
    fa_server *servers[2] = {start(), start()};
    for (int i = 0; i < 4; ++i)
        assert_int_equal(pthread_create(&clients[i], NULL, talk, (void *)fa_server_address(servers[i % 2], 0)), 0);
    for (int i = 0; i < 4; ++i) {
        void *problem;
        pthread_join(clients[i], &problem);
        assert_null(problem);
    }
    fa_server_stop(servers[0], 0);
    char text[SIZE] = "";
    read_all(ask(fa_server_address(servers[1], 0), "/memory"), text);
    assert_non_null(strstr(text, "\"ledger\""));
    fa_server_destroy(servers[0]);
    fa_server_destroy(servers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_drain_lets_turns_finish_and_ends_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patience_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_cut_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_destroyed_server_leaves_nobody_hanging, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tasks_that_never_rest_do_not_hold_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ledger_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_servers_work_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server: drain", tests, NULL, NULL);
}
