/* core/server/control: the socket by which a running server is asked; who may open it, what is bounded, what a dead server leaves. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/control.h"

static fa_failing memory;
static fa_ledger *ledger;
static fa_scope *scope;
static char folder[96], runtime[64];
static int taken;

static int set_up(void **state)
{
    (void)state;
    ledger = fa_test_ledger(&memory);
    assert_ok(fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope));
    snprintf(runtime, sizeof(runtime), "/tmp/fitnessally-spec.XXXXXX");
    assert_non_null(mkdtemp(runtime));
    snprintf(folder, sizeof(folder), "%s/fitnessally", runtime);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rmdir(folder);
    assert_int_equal(rmdir(runtime), 0); /* nothing was left in it */
    fa_scope_end(scope, "test over", NULL);
    fa_test_ledger_free(&memory, ledger);
    return 0;
}

static fa_result echo(void *context, const char *request, int *connection, fa_buffer *out)
{
    (void)context;
    if (strcmp(request, "give") == 0) {
        taken = *connection;
        *connection = -1;
        return FA_OK;
    }
    if (strcmp(request, "fail") == 0)
        return FA_INVALID;
    for (int i = 0; strcmp(request, "much") == 0 && i < 300; ++i) {
        char block[1000];
        memset(block, 'x', sizeof(block));
        assert_ok(fa_buffer_append(out, block, sizeof(block)));
    }
    return fa_buffer_append(out, request, strlen(request));
}

static fa_control *start(const char *where)
{
    fa_control *control;
    fa_error error = {{0}};
    if (fa_control_start(scope, where, echo, NULL, &control, &error) != FA_OK)
        fail_msg("%s", error.text);
    return control;
}

static int connect_raw(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void a_question_is_answered(void **state)
{
    (void)state;
    char *answer, path[FA_CONTROL_PATH];
    struct stat info;
    fa_error error;
    fa_control *control = start(NULL);
    assert_int_equal(stat(fa_control_path(control), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_ok(fa_control_find(getpid(), path, &error));
    assert_string_equal(path, fa_control_path(control));
    assert_ok(fa_control_ask(path, "how are you", &answer, &error));
    assert_string_equal(answer, "how are you");
    free(answer);
    assert_ok(fa_control_ask(path, "much", &answer, &error));
    assert_int_equal(strlen(answer), 300004);
    free(answer);
    assert_int_equal(fa_control_ask(path, "fail", &answer, &error), FA_UNSUPPORTED);
    assert_string_equal(error.text, "this server does not know that request");
    fa_control_stop(control);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(fa_control_find(getpid(), path, &error), FA_NOT_FOUND);
}

static void servers_of_one_process_do_not_collide(void **state)
{
    (void)state;
    char path[FA_CONTROL_PATH];
    fa_error error;
    fa_control *one = start(NULL), *two = start(NULL);
    assert_string_not_equal(fa_control_path(one), fa_control_path(two));
    assert_int_equal(fa_control_find(getpid(), path, &error), FA_CONFLICT);
    assert_non_null(strstr(error.text, "--socket"));
    fa_control_stop(one);
    assert_ok(fa_control_find(getpid(), path, &error));
    assert_string_equal(path, fa_control_path(two));
    fa_control_stop(two);
}

/* A process that looks like a server with these words behind its name; it ends with its standard input. */
static pid_t start_lookalike(int *input)
{
    int in[2], out[2];
    char ready;
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        if (chdir("/usr") == 0)
            execl("/bin/sh", "sh", "-c", "echo; read nothing", "fitnessally", "serve", "--listen", "127.0.0.1:4711",
                  "--set", "plugins.x.key=hunter22", (char *)NULL);
        _exit(1);
    }
    close(in[0]);
    close(out[1]);
    assert_int_equal(read(out[0], &ready, 1), 1); /* it is what it is to be from now on */
    close(out[0]);
    *input = in[1];
    return pid;
}

static void several_servers_are_told_apart(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[FA_CONTROL_PATH], wanted[100];
    fa_error error;
    int input, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fa_control *control = start(NULL);
    pid_t other = start_lookalike(&input);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/%ld.sock", folder, (long)other);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(fa_control_find(0, path, &error), FA_CONFLICT);
    snprintf(wanted, sizeof(wanted), "\n  %ld in /usr, ", (long)other);
    assert_non_null(strstr(error.text, "servers run here: say which with --pid PID ("));
    if (strstr(error.text, wanted) == NULL || strstr(error.text, " --listen 127.0.0.1:4711") == NULL)
        fail_msg("%s", error.text);
    assert_null(strstr(error.text, "hunter22"));
    close(fd);
    close(input);
    assert_int_equal(waitpid(other, NULL, 0), other);
    unlink(address.sun_path);
    fa_control_stop(control);
}

static void what_a_dead_server_left_is_taken_away(void **state)
{
    (void)state;
    char stale[FA_CONTROL_PATH], path[FA_CONTROL_PATH];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fa_error error;
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(stale, sizeof(stale), "%.80s/7.sock", folder);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", stale);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    assert_int_equal(fa_control_find(7, path, &error), FA_NOT_FOUND);
    fa_control *control = start(NULL);
    assert_int_equal(access(stale, F_OK), -1);
    fa_control_stop(control);
}

static void a_folder_that_others_can_open_is_refused(void **state)
{
    (void)state;
    fa_control *control;
    fa_error error;
    size_t before = fa_ledger_bytes(ledger);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(fa_control_start(scope, NULL, echo, NULL, &control, &error), FA_IO);
    assert_non_null(strstr(error.text, "only this user"));
    assert_int_equal(fa_control_start(scope, "/nowhere/at/all", echo, NULL, &control, &error), FA_IO);
    assert_int_equal(fa_ledger_bytes(ledger), before);
}

static void clients_that_dawdle_or_talk_too_much_are_cut(void **state)
{
    (void)state;
    char text[FA_CONTROL_REQUEST * 2], byte;
    char *answer;
    fa_error error;
    fa_control *control = start(NULL);
    int silent = connect_raw(fa_control_path(control));
    assert_int_equal(recv(silent, &byte, 1, 0), 0); /* cut after two seconds */
    close(silent);
    int talker = connect_raw(fa_control_path(control));
    memset(text, 'a', sizeof(text));
    assert_int_equal(send(talker, text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
    assert_true(recv(talker, &byte, 1, 0) <= 0);
    close(talker);
    assert_ok(fa_control_ask(fa_control_path(control), "still there", &answer, &error));
    free(answer);
    int waiting = connect_raw(fa_control_path(control)); /* a stop does not wait for it */
    fa_control_stop(control);
    close(waiting);
}

static void a_connection_can_be_taken_over(void **state)
{
    (void)state;
    char byte, *answer;
    int mine;
    fa_error error;
    fa_control *control = start(NULL);
    assert_ok(fa_control_open(fa_control_path(control), "give", &mine, &error));
    assert_ok(
        fa_control_ask(fa_control_path(control), "others go on", &answer, &error)); /* and it has been given by now */
    free(answer);
    fa_control_stop(control);
    assert_int_equal(send(taken, "!", 1, MSG_NOSIGNAL), 1); /* open, though the socket is gone */
    assert_int_equal(recv(mine, &byte, 1, 0), 1);
    close(taken);
    assert_int_equal(recv(mine, &byte, 1, 0), 0); /* and nothing else was said */
    close(mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_question_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(servers_of_one_process_do_not_collide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_servers_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_dead_server_left_is_taken_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_others_can_open_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients_that_dawdle_or_talk_too_much_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_can_be_taken_over, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
