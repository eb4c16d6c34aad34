/* Where the edge says no: bodies and connections over the limit, time-outs, and no memory, descriptors or room. */
#include "edge_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { FLOOD_CLIENTS = 200 };

static edge_world world;

static int prepare(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    world_down(&world);
    return 0;
}

/* ---- floods ---- */

typedef struct resident {
    size_t all, anonymous; /* bytes; the difference lies in files, and the kernel can take it back */
} resident;

static resident resident_bytes(void)
{
    unsigned long size, all, shared;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(file, "%lu %lu %lu", &size, &all, &shared), 3);
    fclose(file);
    return (resident){all * page, (all - shared) * page};
}

static void raise_to(resident *most, resident now)
{
    most->all = now.all > most->all ? now.all : most->all;
    most->anonymous = now.anonymous > most->anonymous ? now.anonymous : most->anonymous;
}

typedef struct flooder {
    int fd;
    size_t left;
    bool refused; /* has read 413, or the end */
    bool answered;
} flooder;

static void start_flooder(flooder *f, const char *head)
{
    f->fd = client_connect(&world, 0);
    f->left = 6 * 1024 * 1024;
    f->refused = f->answered = false;
    client_send(f->fd, head);
    fcntl(f->fd, F_SETFL, O_NONBLOCK);
}

static void write_some(flooder *f)
{
    static char piece[65536];
    ssize_t sent = send(f->fd, piece, f->left < sizeof(piece) ? f->left : sizeof(piece), MSG_NOSIGNAL);
    if (sent > 0)
        f->left -= (size_t)sent;
    else if (sent < 0 && errno != EAGAIN)
        f->left = 0; /* the server does not want it */
}

static void read_answer(flooder *f)
{
    char reply[2048];
    ssize_t got = recv(f->fd, reply, sizeof(reply) - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    f->refused = true;
    f->answered = got > 12 && memcmp(reply, "HTTP/1.1 413", 12) == 0;
}

/* Returns the most by which RSS grew; *answered: how many read a 413. */
static resident flood(const char *head, unsigned *answered)
{
    static flooder all[FLOOD_CLIENTS];
    size_t busy = FLOOD_CLIENTS;
    resident before = resident_bytes(), most = before;
    for (int i = 0; i < FLOOD_CLIENTS; ++i)
        start_flooder(&all[i], head);
    for (uint64_t start = fa_now_ms(); busy != 0 && fa_now_ms() - start < 60000;) {
        busy = 0;
        for (int i = 0; i < FLOOD_CLIENTS; ++i) {
            if (all[i].left != 0)
                write_some(&all[i]);
            else if (!all[i].refused)
                read_answer(&all[i]);
            busy += !all[i].refused;
        }
        raise_to(&most, resident_bytes());
    }
    assert_int_equal(busy, 0);
    *answered = 0;
    for (int i = 0; i < FLOOD_CLIENTS; ++i) {
        *answered += all[i].answered;
        close(all[i].fd);
    }
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 0, 5000));
    assert_int_equal(world.handled, 0);
    return (resident){most.all - before.all, most.anonymous - before.anonymous};
}

static void bodies_over_the_limit_take_no_memory(void **state)
{
    unsigned answered;
    (void)state;
    world_up(&world);
    resident grown = flood("POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\n\r\n", &answered);
    printf("# %d clients sent 6 MB of a declared 20 MB: RSS + %.1f MB, %u read 413\n", FLOOD_CLIENTS,
           (double)grown.all / 1e6, answered);
    assert_int_equal(answered, FLOOD_CLIENTS);
    if (measured())
        assert_true(grown.all < 60 * 1024 * 1024);

    /* In chunks nothing is declared: each gets as far as the limit, in an unlinked file. */
    grown = flood("POST /same HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n600000\r\n", &answered);
    printf("# the same in one chunk: RSS + %.1f MB, %.1f MB of it not in files, %u read 413\n", (double)grown.all / 1e6,
           (double)grown.anonymous / 1e6, answered);
    assert_int_equal(answered, FLOOD_CLIENTS);
    if (measured())
        assert_true(grown.anonymous < 60 * 1024 * 1024);
}

static void one_connection_too_many_is_closed(void **state)
{
    int fds[5];
    (void)state;
    world.options.max_connections = 4;
    world_up(&world);
    for (int i = 0; i < 4; ++i) {
        fds[i] = client_connect(&world, 0);
        assert_int_equal(client_ask(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    }
    fds[4] = client_connect(&world, 0);
    assert_true(client_sees_end(fds[4], 1000, NULL));
    close(fds[4]);
    close(fds[0]);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 3, 1000));
    fds[0] = client_connect(&world, 0);
    assert_int_equal(client_ask(fds[0], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    for (int i = 0; i < 4; ++i)
        close(fds[i]);
}

static void waiting_for_a_request_has_an_end(void **state)
{
    (void)state;
    world.options.request_timeout_ms = 200;
    world_up(&world);
    int silent = client_connect(&world, 0), idle = client_connect(&world, 0), slow = client_connect(&world, 0);
    client_ask(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(slow, "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 5; ++i) { /* each byte comes in time, all together do not */
        poll(NULL, 0, 50);
        send(slow, "x", 1, MSG_NOSIGNAL);
    }
    assert_true(client_sees_end(slow, 1000, NULL));
    assert_true(client_sees_end(silent, 1000, NULL));
    assert_true(client_sees_end(idle, 1000, NULL));
    assert_int_equal(world.handled, 1);
    int busy = client_connect(&world, 0); /* it is not the time that the answer takes */
    assert_string_equal(client_ask(busy, "GET /wait?then=answer&after=500 HTTP/1.1\r\nHost: x\r\n\r\n")->body,
                        "waited");
    close(silent), close(idle), close(slow), close(busy);
}

/* ---- lack ---- */

/* What is left of the server's budget, taken and given back by the test. */
static size_t taken;

static void take_all_but(size_t left)
{
    fa_account *account = fa_scope_account(world.server);
    taken = fa_account_room(account) - left;
    assert_ok(fa_account_charge(account, taken));
}

static void give_back(void)
{
    fa_account_discharge(fa_scope_account(world.server), taken);
}

static void assert_refused(int fd, const char *request)
{
    const client_reply *reply = client_ask(fd, request);
    assert_int_equal(reply->status, 503);
    assert_non_null(strstr(reply->head, "retry-after: 1\r\n"));
    assert_non_null(strstr(reply->body, "{\"error\":{\"code\":\"over_budget\""));
    assert_non_null(strstr(reply->head, "Connection: keep-alive"));
}

static void without_room_the_answer_is_503(void **state)
{
    static char request[20200] = "POST /same HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n";
    (void)state;
    world.budget = WORLD_BIG + 16 * 1024 * 1024;
    world_up(&world);
    int fd = client_connect(&world, 0);
    memset(request + strlen(request), 'x', 20000);
    assert_int_equal(client_ask(fd, request)->body_length, 20000);
    assert_true(world_wait_count(&world, FA_KIND_REQUEST, 0, 1000));

    take_all_but(100); /* not even a scope */
    assert_refused(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    int late = client_connect(&world, 0); /* nor a connection */
    assert_true(client_sees_end(late, 1000, NULL));
    close(late);
    give_back();
    take_all_but(10000); /* a request, but not its body */
    assert_refused(fd, request);
    assert_int_equal(client_ask(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_int_equal(world.handled, 2);
    give_back();
    assert_int_equal(client_ask(fd, request)->body_length, 20000);
    close(fd);
}

static void without_descriptors_the_edge_waits(void **state)
{
    struct rlimit before, tight;
    struct timespec start, end;
    clockid_t clock;
    (void)state;
    world_up(&world);
    if (under_valgrind()) /* it keeps RLIMIT_NOFILE itself, and drops what was accepted */
        return;
    int warm = client_connect(&world, 0), fd = client_connect(&world, 0); /* opens what libuv opens once */
    assert_int_equal(client_ask(warm, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 2, 1000));
    int last = client_connect(&world, 0);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 3, 1000));
    close(fd);
    assert_true(world_wait_count(&world, FA_KIND_CONNECTION, 2, 1000));

    getrlimit(RLIMIT_NOFILE, &before);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    int highest = dup(fd);
    tight = (struct rlimit){(rlim_t)highest, before.rlim_max};
    close(highest);
    setrlimit(RLIMIT_NOFILE, &tight);
    close(fd);
    fd = client_connect(&world, 0); /* the kernel takes it; accept has no number for it */
    pthread_getcpuclockid(world.thread, &clock);
    clock_gettime(clock, &start);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    poll(NULL, 0, 350);
    clock_gettime(clock, &end);
    unsigned handled = world.handled;
    int status = client_ask(warm, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status; /* who is in is served */
    setrlimit(RLIMIT_NOFILE, &before);
    static client_reply reply;
    bool answered = client_read(fd, false, &reply);
    assert_int_equal(handled, 1);
    assert_int_equal(status, 200);
    assert_true(answered && reply.status == 200);
    assert_non_null(strstr(world.last_log, "cannot accept"));
    double busy = (double)(end.tv_sec - start.tv_sec) * 1000 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
    printf("# 350 ms without descriptors cost %.1f ms of CPU\n", busy);
    if (measured())
        assert_true(busy < 50);
    close(warm), close(fd), close(last);
}

/* ---- any allocation of ours may fail ---- */

static bool turn_until_answered(edge_world *w, int fd)
{
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < 5000;) {
        char waste[4096];
        uv_run(fa_worker_loop(w->worker), UV_RUN_NOWAIT);
        ssize_t got = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return true;
        struct pollfd poller = {fd, POLLIN, 0};
        poll(&poller, 1, 1);
    }
    return false;
}

static void try_one(edge_world *w, const char *request)
{
    int fd = client_connect(w, 0);
    client_send(fd, request);
    assert_true(turn_until_answered(w, fd)); /* an answer, an error or a cut, but never nothing */
    close(fd);
}

static void every_allocation_may_fail(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /stream?pieces=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "GET /wait?then=answer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    };
    (void)state;
    size_t descriptors = open_descriptors();
    for (size_t i = 0; i < 3; ++i) {
        FA_FAIL_EACH_ALLOCATION(ledger)
        {
            world_init(&world);
            world.ledger = ledger;
            if (world_make(&world) == FA_OK)
                try_one(&world, requests[i]);
            world_end(&world);
        }
        printf("# %s: every one of %zu runs ended clean\n",
               i == 0   ? "hello"
               : i == 1 ? "stream"
                        : "wait",
               fa_failing_runs());
    }
    assert_int_equal(open_descriptors(), descriptors);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_over_the_limit_take_no_memory), TEST(one_connection_too_many_is_closed),

        TEST(waiting_for_a_request_has_an_end),     TEST(without_room_the_answer_is_503),
        TEST(without_descriptors_the_edge_waits),   cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
