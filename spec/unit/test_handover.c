/* server/sockets and server/handover: listening sockets on their way from one process to the next. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/http.h"
#include "server/handover.h"

static int listening(const char *address, char *name)
{
    int fd;
    fa_error error;
    assert_ok(fa_http_bind(address, &fd, name, 80, &error));
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void sockets_are_taken_by_address(void **state)
{
    char name[80], again[80], other[80], six[80], next[80];
    int fds[FA_MOST_SOCKETS];
    fa_sockets sockets = {.count = 0};
    (void)state;
    fa_sockets_add(&sockets, listening("127.0.0.1:0", name));
    fa_sockets_add(&sockets, listening(name + 7, again));
    fa_sockets_add(&sockets, listening("127.0.0.1:0", other));
    fa_sockets_add(&sockets, listening("[::1]:0", six));
    fa_sockets_keep(&sockets, sockets.fds[0]);
    assert_int_equal(fa_sockets_take(&sockets, "127.0.0.2:0", fds), 0);
    assert_int_equal(fa_sockets_take(&sockets, "127.0.0.1:1", fds), 0);
    assert_int_equal(fa_sockets_take(&sockets, "nonsense", fds), 0);
    assert_int_equal(fa_sockets_take(&sockets, "127.0.0.1:0", fds), 3); /* any port, but one */
    for (int i = 0; i < 3; ++i) {
        assert_true(fa_http_is_bound_to(fds[i], name));
        assert_true(fa_http_is_shared(fds[i]));
        close(fds[i]);
    }
    assert_true(fa_sockets_next(&sockets, next, sizeof(next)));
    assert_string_equal(next, other);
    assert_int_equal(fa_sockets_take(&sockets, next, fds), 1);
    close(fds[0]);
    assert_true(fa_sockets_next(&sockets, next, sizeof(next)));
    assert_string_equal(next, six);
    fa_sockets_close(&sockets);
    assert_false(fa_sockets_next(&sockets, next, sizeof(next)));
}

static void there_is_a_most_of_sockets(void **state)
{
    static fa_sockets sockets;
    (void)state;
    sockets.count = FA_MOST_SOCKETS;
    assert_false(fa_sockets_add(&sockets, open("/dev/null", O_RDONLY | O_CLOEXEC))); /* closed: ending.h sees to it */
    sockets.count = 0;
}

/* What a shell that we start is told, in its own words. */
static void a_child_has_the_sockets_and_the_leash(void **state)
{
    static const char script[] =
        "[ -z \"$LISTEN_PID\" ] && [ -e /proc/$$/fd/$FA_LISTEN_FDS ] && [ -e /proc/$$/fd/$FA_LEASH ] && "
        "[ \"$FA_LISTEN_GIVEN\" = 1 ] && [ -z \"$FA_SUPERVISED\" ] && exit 7; exit 8";
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    char name[80];
    fa_error error = {""};
    fa_sockets sockets = {.given = true};
    pid_t pid;
    int leash;
    (void)state;
    fa_sockets_add(&sockets, listening("127.0.0.1:0", name));
    setenv("LISTEN_PID", "1", 1);
    assert_ok(fa_handover_spawn(argv, &sockets, false, &pid, &leash, &error));
    unsetenv("LISTEN_PID");
    assert_int_equal(fa_handover_await(pid, leash, &error), FA_IO);
    assert_string_equal(error.text, "the new process ended with status 7 before it served");
    fa_sockets_close(&sockets);
}

static void what_cannot_be_started_is_named(void **state)
{
    char *argv[] = {"/no/such/program", NULL};
    char *suicide[] = {"sh", "-c", "kill -SEGV $$", NULL};
    fa_error error = {""};
    fa_sockets none = {.count = 0};
    pid_t pid;
    int leash;
    (void)state;
    assert_int_equal(fa_handover_spawn(argv, &none, false, &pid, &leash, &error), FA_IO);
    assert_string_equal(error.text, "/no/such/program cannot be started: No such file or directory");
    assert_ok(fa_handover_spawn(suicide, &none, false, &pid, &leash, &error));
    assert_int_equal(fa_handover_await(pid, leash, &error), FA_IO);
    assert_non_null(strstr(error.text, "was ended by signal 11"));
}

static void set_number(const char *variable, int number)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    setenv(variable, text, 1);
}

/* Both ends in one process: what is ready has told its sockets before. */
static void who_is_ready_tells_its_sockets(void **state)
{
    int pair[2];
    char text[FA_LEASH_TEXT], name[80];
    fa_inheritance inheritance;
    fa_sockets got = {.count = 0}, own = {.given = true};
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 70; ++i) /* more than go into one message */
        fa_sockets_add(&own, listening(i == 0 ? "127.0.0.1:0" : name + 7, name));
    set_number("FA_LEASH", pair[1]);
    set_number("FA_LISTEN_FDS", own.fds[0]);
    own.fds[0] = fcntl(own.fds[0], F_DUPFD_CLOEXEC, 0);
    setenv("FA_SUPERVISED", "1", 1);
    fa_inheritance_take(&inheritance);
    assert_true(inheritance.supervised);
    assert_int_equal(inheritance.leash, pair[1]);
    assert_int_equal(inheritance.sockets.count, 1);
    assert_null(getenv("FA_LISTEN_FDS"));
    assert_null(getenv("FA_SUPERVISED"));
    fa_inheritance_failed("first it fails");
    fa_inheritance_ready(&inheritance, &own);
    assert_int_equal(fa_leash_receive(pair[0], 1000, text, &got), 'F');
    assert_string_equal(text, "first it fails");
    assert_int_equal(fa_leash_receive(pair[0], 1000, text, &got), 'S');
    assert_string_equal(text, "given");
    assert_int_equal(fa_leash_receive(pair[0], 1000, text, &got), 'S');
    assert_int_equal(fa_leash_receive(pair[0], 1000, text, &got), 'R');
    assert_int_equal(fa_leash_receive(pair[0], 0, text, &got), '?');
    assert_int_equal(got.count, 70);
    assert_true(fa_http_is_bound_to(got.fds[69], name));
    fa_sockets_close(&got);
    fa_sockets_close(&own);
    fa_sockets_close(&inheritance.sockets);
    close(inheritance.leash);
    assert_int_equal(fa_leash_receive(pair[0], 1000, text, NULL), '\0');
    unsetenv("FA_LEASH");
    close(pair[0]);
}

/* Numbers that stand for no listening socket, and a leash that is none, are passed over. */
static void a_strange_environment_is_borne(void **state)
{
    static const char *const strange[] = {"", ",", "99999", "0,1,2", "-3", "x", "12345678901234567890", "3,,4"};
    fa_inheritance inheritance;
    (void)state;
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); ++i) {
        setenv("FA_LISTEN_FDS", strange[i], 1);
        setenv("FA_LEASH", strange[i], 1);
        setenv("LISTEN_FDS", strange[i], 1);
        set_number("LISTEN_PID", (int)getpid() + 1); /* of somebody else */
        fa_inheritance_take(&inheritance);
        assert_int_equal(inheritance.sockets.count, 0);
        assert_int_equal(inheritance.leash, -1);
        fa_inheritance_failed("to nobody");
    }
    unsetenv("FA_LEASH");
}

static void systemd_is_told(void **state)
{
    char path[] = "/tmp/fa-notify-XXXXXX", text[64] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = mkstemp(path), notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    close(fd);
    unlink(path);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(notified, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    fa_notify_systemd("READY=1\nMAINPID=7");
    assert_int_equal(recv(notified, text, sizeof(text) - 1, MSG_DONTWAIT), 17);
    assert_string_equal(text, "READY=1\nMAINPID=7");
    setenv("NOTIFY_SOCKET", "nonsense", 1);
    fa_notify_systemd("READY=1");
    unsetenv("NOTIFY_SOCKET");
    fa_notify_systemd("READY=1");
    close(notified);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_taken_by_address),
        cmocka_unit_test(there_is_a_most_of_sockets),
        cmocka_unit_test(a_child_has_the_sockets_and_the_leash),
        cmocka_unit_test(what_cannot_be_started_is_named),
        cmocka_unit_test(who_is_ready_tells_its_sockets),
        cmocka_unit_test(a_strange_environment_is_borne),
        cmocka_unit_test(systemd_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
