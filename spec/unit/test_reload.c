/* Reload of a whole server with four workers: all change over or none does, whoever asks, with load on it and without. */
#include "testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fitnessally/fitnessally.h"
#include "server/control.h"

enum { PATIENCE_MS = 30000, SIZE = 32768 };

static char folder[64];
static _Atomic size_t logged_failures;

static void count_failures(void *context, fa_log_level level, const char *line)
{
    (void)context;
    if (level == FA_LOG_ERROR && strstr(line, "serves on") != NULL)
        logged_failures++;
}

static void write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    char path[100];
    (void)state;
    strcpy(folder, "/tmp/fa-reload-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/control", folder);
    mkdir(path, 0700);
    logged_failures = 0;
    return 0;
}

static int tear_down(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* more: settings, ends with NULL. */
static fa_server *start(const char *const *more)
{
    char texts[4][120];
    const char *settings[16] = {"listen=127.0.0.1:0", "workers=4", "duplicate_window=0s", "linger=0s"};
    size_t count = 4;
    fa_server *server;
    fa_error error = {""};
    const fa_server_options options = {.size = sizeof(options), .log_sink = count_failures};
    snprintf(texts[0], sizeof(texts[0]), "app=%s", folder);
    snprintf(texts[1], sizeof(texts[1]), "state_dir=%s/state", folder);
    snprintf(texts[2], sizeof(texts[2]), "control_dir=%s/control", folder);
    for (int i = 0; i < 3; ++i)
        settings[count++] = texts[i];
    settings[count++] = "plugins_enabled=";
    for (; *more != NULL; ++more)
        settings[count++] = *more;
    assert_ok(fa_server_create(&options, &server, &error));
    if (fa_server_configure(server, NULL, settings, count, &error) != FA_OK || fa_server_start(server, &error) != FA_OK)
        fail_msg("%s", error.text);
    return server;
}

#define START(...) start((const char *const[]){__VA_ARGS__, NULL})

static int ask(const fa_server *server, const char *path)
{
    char text[300];
    int port, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (sscanf(fa_server_address(server, 0), "http://127.0.0.1:%d", &port) != 1)
        return -1;
    to.sin_port = htons((uint16_t)port);
    if (connect(s, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(s);
        return -1;
    }
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", path);
    if (write(s, text, (size_t)length) != length) {
        close(s);
        return -1;
    }
    return s;
}

/* The whole answer; closes. text: SIZE bytes. Returns the body. */
static const char *finish(int s, char *text)
{
    size_t used = 0;
    struct pollfd ready = {.fd = s, .events = POLLIN};
    while (s >= 0 && used < SIZE - 1 && poll(&ready, 1, PATIENCE_MS) > 0) {
        ssize_t got = read(s, text + used, SIZE - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    if (s >= 0)
        close(s);
    const char *end = strstr(text, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

static void assert_body(const fa_server *server, const char *path, const char *body)
{
    char text[SIZE];
    const char *got = finish(ask(server, path), text);
    if (strcmp(got, body) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", path, text, body);
}

static void reload(fa_server *server)
{
    fa_error error = {""};
    if (fa_server_reload(server, &error) != FA_OK)
        fail_msg("%s", error.text);
}

static void write_word(const char *word)
{
    char text[800];
    snprintf(text, sizeof(text),
             "app:get('/', function(req) req:reply { text = '%s' } end)\n"
             "app:get('/slow', function(req) fitnessally.sleep(300) req:reply { text = '%s' } end)\n"
             "app:get('/long', function(req) fitnessally.sleep(100000) end)\n"
             "app:get('/reload', function(req) req:reply { json = fitnessally.reload() } end)\n"
             "app:get('/memory', function(req) req:reply { text = fitnessally.memory('report', 'json') } end)\n"
             "app:get('/left', function(req) req:reply { json = fitnessally.generations() } end)\n",
             word, word);
    write_file("app.lua", text);
}

/* ---- one after the other ---- */

static void all_workers_change_over(void **state)
{
    char text[SIZE];
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production", "generation_header=always");
    int slow[8];
    for (int i = 0; i < 8; ++i)
        slow[i] = ask(server, "/slow");
    usleep(50000); /* they are all being handled */
    write_word("2");
    reload(server);
    for (int i = 0; i < 40; ++i)
        assert_body(server, "/", "2");
    finish(ask(server, "/"), text);
    assert_non_null(strstr(text, "x-generation: 2\r\n"));
    for (int i = 0; i < 8; ++i)
        assert_string_equal(finish(slow[i], text), "1");
    fa_server_destroy(server);
}

static void a_broken_one_changes_nothing(void **state)
{
    static const char *const broken[][2] = {
        {"app:get('/', function(req)\n", "app.lua:2: 'end' expected"},
        {"local x\n\nx.y = 1\n", "app.lua:3: attempt to index local 'x'"},
        {"require 'gone'\n", "no such file"},
        {"app:get('/a', function() end)\napp:get('/a', function() end)\n", "app.lua:1 and at app.lua:2"},
    };
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); ++i) {
        fa_error error = {""};
        write_file("app.lua", broken[i][0]);
        assert_int_equal(fa_server_reload(server, &error), FA_INVALID);
        if (strstr(error.text, broken[i][1]) == NULL)
            fail_msg("%s", error.text);
        assert_body(server, "/", "1");
    }
    assert_int_equal(logged_failures, 4);
    write_word("5");
    reload(server);
    assert_body(server, "/", "5");
    fa_server_destroy(server);
    fa_error error;
    assert_ok(fa_server_create(NULL, &server, &error));
    assert_int_equal(fa_server_reload(server, &error), FA_WRONG_STATE);
    fa_server_destroy(server);
}

static void a_broken_manifest_changes_nothing(void **state)
{
    char path[100], setting[120];
    fa_error error = {""};
    (void)state;
    write_word("1");
    snprintf(path, sizeof(path), "%s/espeak", folder);
    mkdir(path, 0700);
    write_file("espeak/plugin.lua",
               "return { name = 'espeak', native = true, config = { voice = { type = 'text' } } }\n");
    snprintf(setting, sizeof(setting), "plugin_path=%s", folder);
    fa_server *server = START("mode=production", setting, "plugins_enabled=espeak");
    write_word("2");
    write_file("espeak/plugin.lua", "return {\n  name = 'espeak'\n  native = true,\n}\n");
    assert_int_equal(fa_server_reload(server, &error), FA_INVALID);
    if (strstr(error.text, "plugins/espeak/plugin.lua:3: '}' expected") == NULL)
        fail_msg("%s", error.text);
    assert_body(server, "/", "1");
    write_file("espeak/plugin.lua", "return { name = 'espeak', native = true, config = { voice = {} } }\n");
    assert_int_equal(fa_server_reload(server, &error), FA_INVALID);
    assert_non_null(strstr(error.text, "config.voice: type is text, number"));
    write_file("espeak/plugin.lua", "return { name = 'espeak', native = true }\n");
    reload(server);
    assert_body(server, "/", "2");
    fa_server_destroy(server);
}

/* It does not hold up those who ask, either. */
static void one_that_never_ends_is_refused(void **state)
{
    fa_error error = {""};
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production", "script_load=200ms");
    write_file("app.lua", "local n = 0\nwhile true do\n  n = n + 1\nend\n");
    uint64_t begin = fa_now_ms();
    assert_int_equal(fa_server_reload(server, &error), FA_INVALID);
    assert_true(fa_now_ms() - begin < PATIENCE_MS / 2);
    if (strstr(error.text, "app.lua:") == NULL)
        fail_msg("%s", error.text);
    assert_body(server, "/", "1");
    fa_server_destroy(server);
}

/* ---- too many ---- */

static void a_fourth_generation_waits_for_room(void **state)
{
    fa_error error = {""};
    char text[SIZE];
    int held[3];
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production", "reload_drain=500ms");
    held[0] = ask(server, "/long");
    usleep(30000);
    for (int i = 1; i < 3; ++i) {
        reload(server);
        held[i] = ask(server, "/long");
        usleep(30000);
    }
    finish(ask(server, "/memory"), text);
    assert_non_null(strstr(text, "\"generations\":[{\"generation\":3,\"workers\":4,"));
    assert_non_null(strstr(text, "},{\"generation\":1,\"workers\":1,"));
    finish(ask(server, "/left"), text);
    assert_non_null(strstr(text, "waits at app.lua:3"));
    assert_non_null(strstr(text, "\"serving\":3"));
    assert_int_equal(fa_server_reload(server, &error), FA_FULL); /* the oldest has not had its time */
    assert_non_null(strstr(error.text, "generation 1 has requests or turns to finish"));
    usleep(600000);
    write_word("4");
    reload(server); /* it has: what it still does is cut */
    assert_non_null(strstr(finish(held[0], text), "\"code\":\"reloaded\""));
    assert_body(server, "/", "4");
    shutdown(held[1], SHUT_RDWR); /* and one that goes by itself makes room, too */
    close(held[1]);
    usleep(50000);
    write_word("5");
    reload(server);
    assert_body(server, "/", "5");
    fa_server_stop(server, 100);
    close(held[2]);
    fa_server_destroy(server);
}

/* A page that listens to events is open, and files are saved again and again. */
static void a_developer_does_not_wait_for_streams(void **state)
{
    fa_error error = {""};
    int held[3];
    unsigned wait_s = 0;
    (void)state;
    write_word("1");
    fa_server *server = START("mode=dev");
    for (int i = 0; i < 3; ++i) {
        if (i > 0)
            reload(server);
        held[i] = ask(server, "/long");
        usleep(30000);
    }
    if (fa_server_reload(server, &error) != FA_OK) { /* on a slow machine the oldest has had its time by now */
        const char *from = strstr(error.text, "; from ");
        assert_non_null(from);
        assert_int_equal(sscanf(from, "; from %u s on", &wait_s), 1);
        assert_in_range(wait_s, 0, 1);
    }
    fa_server_stop(server, 100);
    for (int i = 0; i < 3; ++i)
        close(held[i]);
    fa_server_destroy(server);
}

/* A worker that a script does not let go changes over before its next request. */
static void a_busy_worker_comes_after(void **state)
{
    char text[SIZE];
    (void)state;
    write_file("app.lua", "app:get('/', function(req) req:reply { text = '1' } end)\n"
                          "app:get('/busy', function(req)\n"
                          "  local till = fitnessally.now() + 1500\n"
                          "  while fitnessally.now() < till do end\n"
                          "  req:reply { text = 'busy' }\n"
                          "end)\n");
    fa_server *server = START("mode=production", "script_slice=0s");
    int busy = ask(server, "/busy");
    usleep(100000);
    int behind[6];
    write_word("2");
    reload(server); /* answers after a second, whatever the one worker does */
    for (int i = 0; i < 6; ++i)
        behind[i] = ask(server, "/"); /* some of them are that worker's */
    for (int i = 0; i < 6; ++i)
        assert_string_equal(finish(behind[i], text), "2");
    assert_string_equal(finish(busy, text), "busy");
    fa_server_destroy(server);
}

/* ---- who may ask ---- */

static void scripts_and_the_control_socket_may_ask(void **state)
{
    char text[SIZE], path[FA_CONTROL_PATH + 64], *answer;
    fa_error error = {""};
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production");
    write_word("2");
    finish(ask(server, "/reload"), text);
    assert_non_null(strstr(text, "\"ok\":true"));
    assert_body(server, "/", "2");
    write_file("app.lua", "oops oops\n");
    finish(ask(server, "/reload"), text);
    assert_non_null(strstr(text, "\"ok\":false"));
    assert_non_null(strstr(text, "\"file\":\"app.lua\""));
    finish(ask(server, "/left"), text);
    assert_non_null(strstr(text, "\"failed\":{"));
    snprintf(path, sizeof(path), "%s/control/%d.sock", folder, (int)getpid());
    assert_ok(fa_control_ask(path, "reload text", &answer, &error));
    assert_non_null(strstr(answer, "failed\napp.lua:1: "));
    assert_non_null(strstr(answer, ">    1 | oops oops\n"));
    assert_non_null(strstr(answer, "generation 2 serves on"));
    free(answer);
    write_word("3");
    assert_ok(fa_control_ask(path, "reload json", &answer, &error));
    assert_true(strncmp(answer, "ok\n{\"ok\":true,\"generation\":3,\"previous\":2", 40) == 0);
    free(answer);
    assert_ok(fa_control_ask(path, "reload status text", &answer, &error));
    assert_true(strncmp(answer, "ok\ngeneration 3 serves", 22) == 0);
    free(answer);
    assert_int_equal(fa_control_ask(path, "reload nonsense", &answer, &error), FA_UNSUPPORTED);
    fa_server_destroy(server);
}

static void await_body(const fa_server *server, const char *body)
{
    char text[SIZE];
    for (uint64_t begin = fa_now_ms();; usleep(5000)) {
        if (strcmp(finish(ask(server, "/"), text), body) == 0)
            return;
        if (fa_now_ms() - begin > PATIENCE_MS)
            fail_msg("\"%s\" does not come: %s", body, text);
    }
}

static void in_dev_mode_saving_is_enough(void **state)
{
    char from[200], to[200];
    (void)state;
    write_word("1");
    fa_server *server = START("mode=dev");
    write_word("2");
    await_body(server, "2");
    write_word("3"); /* as some editors do: beside it, and then to its place */
    await_body(server, "3");
    write_file("app.lua.new", "app:get('/', function(req) req:reply { text = 'renamed' } end)\n");
    snprintf(from, sizeof(from), "%s/app.lua.new", folder);
    snprintf(to, sizeof(to), "%s/app.lua", folder);
    assert_int_equal(rename(from, to), 0);
    await_body(server, "renamed");
    snprintf(from, sizeof(from), "%s/lib", folder);
    mkdir(from, 0700);
    write_file("lib/deep.lua", "return 'deep'");
    write_file("app.lua",
               "app:get('/', function(req) req:reply { text = require 'lib.deep' } end) require 'lib.deep'\n");
    await_body(server, "deep");
    write_file("lib/deep.lua", "return 'deeper'"); /* in a folder that has come since */
    await_body(server, "deeper");
    write_file("lib/deep.lua", "return ]");
    for (uint64_t begin = fa_now_ms(); logged_failures == 0 && fa_now_ms() - begin < PATIENCE_MS; usleep(5000))
        ;
    assert_int_equal(logged_failures, 1);
    assert_body(server, "/", "deeper");
    write_file("lib/deep.lua", "return 'mended'");
    await_body(server, "mended");
    fa_server_destroy(server);
}

/* A plugin lies anywhere, and is read by every reload as the application is. */
static void in_dev_mode_plugins_count_too(void **state)
{
    char beside[64] = "/tmp/fa-plugins-XXXXXX", app[64], setting[120], command[100];
    (void)state;
    strcpy(app, folder);
    assert_non_null(mkdtemp(beside));
    write_file("app.lua", "app:get('/', function(req) req:reply { text = plugin.word.say() } end)\n");
    strcpy(folder, beside);
    snprintf(setting, sizeof(setting), "%s/word", beside);
    mkdir(setting, 0700);
    write_file("word/plugin.lua", "return { name = 'word' }\n");
    write_file("word/init.lua", "return { say = function() return '1' end }\n");
    strcpy(folder, app);
    snprintf(setting, sizeof(setting), "plugin_path=%s", beside);
    fa_server *server = START("mode=dev", setting, "plugins_enabled=word");
    assert_body(server, "/", "1");
    strcpy(folder, beside);
    write_file("word/init.lua", "return { say = function() return '2' end }\n");
    await_body(server, "2");
    strcpy(folder, app);
    fa_server_destroy(server);
    snprintf(command, sizeof(command), "rm -rf %s", beside);
    assert_int_equal(system(command), 0);
}

/* ---- under load ---- */

static _Atomic int done_word; /* the last word for which reload has said that it serves */
static _Atomic bool over;
static _Atomic size_t answers;

static void *keep_asking(void *server)
{
    char text[SIZE];
    while (!over) {
        int least = done_word, word = atoi(finish(ask(server, "/"), text));
        if (word == 0)
            return "no answer";
        if (word < least)
            return "an older answer than the reload has promised";
        answers++;
    }
    return NULL;
}

static void no_request_fails_and_none_is_late(void **state)
{
    pthread_t clients[6];
    fa_error error;
    char word[20];
    (void)state;
    write_word("1");
    fa_server *server = START("mode=production");
    done_word = 1;
    over = false;
    answers = 0;
    for (int i = 0; i < 6; ++i)
        assert_int_equal(pthread_create(&clients[i], NULL, keep_asking, server), 0);
    for (int i = 2; i <= 60; ++i) {
        if (i % 3 == 0) {
            write_file("app.lua", i % 2 == 0 ? "app:get(" : "app:get('/', function(req) end) error('no')\n");
            assert_int_equal(fa_server_reload(server, &error), FA_INVALID);
        }
        snprintf(word, sizeof(word), "%d", i);
        write_word(word);
        reload(server);
        done_word = i;
    }
    over = true;
    for (int i = 0; i < 6; ++i) {
        void *problem;
        pthread_join(clients[i], &problem);
        if (problem != NULL)
            fail_msg("%s", (const char *)problem);
    }
    print_message("%zu answers during 59 reloads\n", answers);
    assert_true(answers > 60);
    fa_server_destroy(server);
}

/* Nobody is left waiting when the server stops in the midst of it. */
static void a_stop_does_not_wait_for_reloads(void **state)
{
    (void)state;
    for (int i = 0; i < 5; ++i) {
        char text[SIZE];
        write_word("1");
        fa_server *server = START("mode=dev");
        int asking[4];
        for (int j = 0; j < 4; ++j)
            asking[j] = ask(server, "/reload");
        write_word("2");
        usleep((useconds_t)i * 2000);
        fa_server_stop(server, 1000);
        for (int j = 0; j < 4; ++j)
            finish(asking[j], text);
        fa_server_destroy(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_workers_change_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_one_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_manifest_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_never_ends_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fourth_generation_waits_for_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_developer_does_not_wait_for_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_busy_worker_comes_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scripts_and_the_control_socket_may_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_dev_mode_saving_is_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_dev_mode_plugins_count_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_request_fails_and_none_is_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_reloads, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
