/* The server as a library: several in one process, every way that a start can fail, every way that it can end. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "testing.h"

#include "fitnessally/fitnessally.h"

enum { PATIENCE_MS = 20000, ANSWER = 16384 };

static char folder[64];

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        ++count;
    closedir(dir);
    return count;
}

/* Slots in the kernel's table. */
static size_t room_for_descriptors(void)
{
    size_t slots = 0;
    char line[200];
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (slots == 0 && fgets(line, sizeof(line), status) != NULL)
        sscanf(line, "FDSize: %zu", &slots);
    fclose(status);
    return slots;
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

/* Lines that the servers log are not the tests' output. */
static void swallow(void *context, fa_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static fa_result configure(fa_server **server, const char *app, const char *extra, fa_error *error)
{
    char app_setting[200], state[200];
    const fa_server_options options = {.size = sizeof(options), .log_sink = swallow};
    snprintf(app_setting, sizeof(app_setting), "app=%s", app);
    snprintf(state, sizeof(state), "state_dir=%s/state", folder);
    const char *const settings[] = {"listen=127.0.0.1:0", app_setting, state, "plugins_enabled=", extra};
    assert_int_equal(fa_server_create(&options, server, error), FA_OK);
    return fa_server_configure(*server, NULL, settings, extra != NULL ? 5 : 4, error);
}

static fa_server *started(const char *extra)
{
    fa_server *server;
    fa_error error = {""};
    if (configure(&server, folder, extra, &error) != FA_OK || fa_server_start(server, &error) != FA_OK)
        fail_msg("%s", error.text);
    return server;
}

static int connect_to(const char *address)
{
    int port, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sscanf(address, "http://127.0.0.1:%d", &port), 1);
    to.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(s, (struct sockaddr *)&to, sizeof(to)), 0);
    return s;
}

/* Reads until the text has come or the connection ends. */
static bool read_until(int s, char *text, const char *wanted)
{
    size_t used = 0;
    struct pollfd ready = {.fd = s, .events = POLLIN};
    text[0] = '\0';
    while (strstr(text, wanted) == NULL && used < ANSWER - 1 && poll(&ready, 1, PATIENCE_MS) > 0) {
        ssize_t got = read(s, text + used, ANSWER - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        text[used] = '\0';
    }
    return strstr(text, wanted) != NULL;
}

static void expect_answer(const fa_server *server, const char *path, const char *wanted)
{
    char text[ANSWER];
    int s = connect_to(fa_server_address(server, 0));
    int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(s, text, (size_t)length), length);
    if (!read_until(s, text, wanted))
        fail_msg("%s: \"%s\" is not in: %s", path, wanted, text);
    close(s);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fa-server-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    write_file("app.lua", "app:get('/', function(req) req:reply { text = 'it is ' .. fitnessally.version } end)\n"
                          "app:get('/slow', function(req) fitnessally.sleep(300) req:reply { text = 'done' } end)\n"
                          "app:get('/never', function(req) fitnessally.sleep(86400000) end)\n"
                          "app:get('/numbers', function(req)\n"
                          "  local m = json.decode(fitnessally.memory('report', 'json')).memory.rss\n"
                          "  req:reply { json = { half = 0.5, more = 1.5e300, mb = m.mb > 0 } }\n"
                          "end)\n"
                          "app:get('/memory', function(req) req:reply { json = fitnessally.memory() } end)\n");
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

static void two_servers_live_in_one_process(void **state)
{
    (void)state;
    fa_server_destroy(started(NULL)); /* libuv opens a pipe once a process */
    int before = open_descriptors();
    fa_server *one = started(NULL), *two = started(NULL);
    assert_string_not_equal(fa_server_address(one, 0), fa_server_address(two, 0));
    expect_answer(one, "/", "it is ");
    expect_answer(two, "/", "it is ");
    fa_server_stop(one, 1000);
    assert_null(fa_server_address(one, 0));
    expect_answer(two, "/memory", "\"ledger\"");
    fa_server_destroy(one);
    expect_answer(two, "/", "it is ");
    fa_server_destroy(two);
    assert_int_equal(open_descriptors(), before);
}

static void a_server_starts_again_after_a_stop(void **state)
{
    fa_error error;
    (void)state;
    fa_server *server = started(NULL);
    assert_int_equal(fa_server_start(server, &error), FA_WRONG_STATE);
    for (int round = 0; round < 3; ++round) {
        expect_answer(server, "/", "it is ");
        fa_server_stop(server, 1000);
        assert_int_equal(fa_server_start(server, &error), FA_OK);
    }
    fa_server_destroy(server);
}

static void a_stop_lets_requests_finish(void **state)
{
    char text[ANSWER];
    (void)state;
    fa_server *server = started(NULL);
    int s = connect_to(fa_server_address(server, 0));
    static const char ask[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(s, ask, sizeof(ask) - 1), sizeof(ask) - 1);
    expect_answer(server, "/", "it is "); /* so the slow one has arrived */
    fa_server_stop(server, 10000);
    assert_true(read_until(s, text, "done"));
    close(s);
    fa_server_destroy(server);
}

static void a_stop_cuts_what_does_not_finish(void **state)
{
    char text[ANSWER];
    (void)state;
    fa_server *server = started(NULL);
    int s = connect_to(fa_server_address(server, 0));
    static const char ask[] = "GET /never HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(s, ask, sizeof(ask) - 1), sizeof(ask) - 1);
    expect_answer(server, "/", "it is ");
    fa_server_stop(server, 50);
    assert_false(read_until(s, text, "HTTP/1.1 200"));
    close(s);
    fa_server_destroy(server);
}

static void refused(const char *app, const char *extra, const char *wanted)
{
    fa_server *server;
    fa_error error = {""};
    fa_result result = configure(&server, app, extra, &error);
    if (result == FA_OK)
        result = fa_server_start(server, &error);
    assert_int_not_equal(result, FA_OK);
    if (strstr(error.text, wanted) == NULL)
        fail_msg("\"%s\" is not in: %s", wanted, error.text);
    fa_server_destroy(server);
}

static void what_is_wrong_at_the_start_is_said(void **state)
{
    char extra[200];
    (void)state;
    int before = open_descriptors();
    refused(folder, "lingr=2s", "did you mean \"linger\"");
    refused(folder, "linger=2", "linger");
    refused(folder, "plugins_enabled=nosuch", "plugin nosuch");
    refused("/nonexistent", NULL, "app.lua");
    write_file("broken.lua", "return {\n  1,\n  oops oops\n}\n");
    write_file("app.lua", "require 'broken'\n");
    refused(folder, NULL, "broken.lua:3");
    write_file("app.lua", "app:get('/a', function() end)\n\napp:get('/a', function() end)\n");
    refused(folder, NULL, "app.lua:1 and at app.lua:3");
    write_file("app.lua", "local x = nil\nx.y = 1\n");
    refused(folder, NULL, "app.lua:2");
    set_up(NULL);
    fa_server *first = started(NULL);
    snprintf(extra, sizeof(extra), "listen=%s", fa_server_address(first, 0) + strlen("http://"));
    refused(folder, extra, "in use");
    expect_answer(first, "/", "it is ");
    fa_server_destroy(first);
    assert_int_equal(open_descriptors(), before);
}

/* It grows while there are connections only at the price of all workers standing still. */
static void connections_find_room_in_the_kernels_table(void **state)
{
    (void)state;
    struct rlimit before, some = {.rlim_cur = 700};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    some.rlim_max = before.rlim_max;
    fa_server *server = started("max_connections=300");
    assert_true(room_for_descriptors() >= 300);
    fa_server_destroy(server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &some), 0); /* beyond what may be open nothing is tried */
    server = started("max_connections=100000");
    fa_server_destroy(server);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void a_server_that_never_ran_goes_away(void **state)
{
    fa_error error;
    fa_server *server;
    const fa_server_options wrong = {.size = 1};
    (void)state;
    assert_int_equal(fa_server_create(NULL, &server, &error), FA_OK);
    fa_server_stop(server, 0);
    fa_server_destroy(server);
    fa_server_destroy(NULL);
    assert_int_equal(fa_server_create(&wrong, &server, &error), FA_INVALID);
}

static void signals_stay_the_embedders(void **state)
{
    struct sigaction before[32], after;
    sigset_t mask_before, mask_after;
    (void)state;
    for (int number = 1; number < 32; ++number)
        sigaction(number, NULL, &before[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    fa_server *server = started(NULL);
    expect_answer(server, "/", "it is ");
    fa_server_destroy(server);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    for (int number = 1; number < 32; ++number) {
        assert_int_equal(sigismember(&mask_before, number), sigismember(&mask_after, number));
        sigaction(number, NULL, &after);
        assert_true(after.sa_handler == before[number].sa_handler);
    }
}

/* A comma stands in front of fractions there. */
static void speak_german(void)
{
    char command[200], text[16];
    snprintf(command, sizeof(command), "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8", folder);
    assert_int_equal(system(command), 0);
    setenv("LOCPATH", folder, 1);
    assert_non_null(setlocale(LC_ALL, "de_DE.UTF-8"));
    snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5");
}

static void the_locale_of_the_program_is_no_matter(void **state)
{
    char text[16];
    (void)state;
    speak_german();
    fa_server *server = started("linger=1.5s");
    expect_answer(server, "/numbers", "\"half\":0.5");
    expect_answer(server, "/numbers", "\"more\":1.5e+300");
    expect_answer(server, "/numbers", "\"mb\":true");
    fa_server_destroy(server);
    snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5"); /* and theirs is as it was */
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_servers_live_in_one_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_starts_again_after_a_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_lets_requests_finish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_cuts_what_does_not_finish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_at_the_start_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_never_ran_goes_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connections_find_room_in_the_kernels_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_locale_of_the_program_is_no_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_stay_the_embedders, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
