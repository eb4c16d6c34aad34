#include "edge_world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- the server ---- */

static void keep_line(void *context, fa_log_level level, const char *line)
{
    edge_world *world = context;
    (void)level;
    snprintf(world->last_log, sizeof(world->last_log), "%s", line);
}

size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        ++count;
    closedir(dir);
    return count;
}

bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

bool measured(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return !under_valgrind();
#endif
}

static void carry_out(fa_message *message)
{
    edge_world *world = FA_OBJECT(message, edge_world, order);
    world->carry_out(world);
    world->carried_out = true;
}

/* libuv opens a pipe for signals with the first loop of a process, and never closes it. */
static void warm_up(void)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    uv_loop_close(&loop);
}

void world_init(edge_world *world)
{
    warm_up();
    memset(world, 0, sizeof(*world));
    fa_failing_init(&world->failing);
    world->log = (fa_log){.level = FA_LOG_DEBUG, .fd = -1, .sink = keep_line, .sink_context = world};
    world->options = (fa_http_options){.max_body = WORLD_MAX_BODY,
                                       .max_connections = 1000,
                                       .max_head = 64 * 1024,
                                       .request_timeout_ms = 30000,
                                       .send_stall_ms = 20000,
                                       .spool_threshold = 256 * 1024,
                                       .spool_dir = "/tmp"};
    fa_message_init(&world->order, carry_out);
}

fa_result world_make_big(edge_world *world)
{
    void *space;
    fa_result result = fa_buffer_new(world->server, 0, "big", FA_HERE, &world->big);
    if (result == FA_OK)
        result = fa_buffer_reserve(world->big, WORLD_BIG, &space);
    if (result != FA_OK)
        return result;
    memcpy(space, "abcdefghijklmnopqrstuvwxyz", 26);
    for (size_t have = 26; have < WORLD_BIG; have *= 2)
        memcpy((char *)space + have, space, have < WORLD_BIG - have ? have : WORLD_BIG - have);
    fa_buffer_commit(world->big, WORLD_BIG);
    fa_buffer_seal(world->big);
    return FA_OK;
}

fa_result world_make(edge_world *world)
{
    fa_error error = {""};
    char name[80];
    int fd;
    fa_result result = world->server != NULL
                           ? FA_OK
                           : fa_scope_new(world->ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &world->server);
    if (result == FA_OK)
        result = fa_worker_new(world->ledger, world->server, 0, &world->log, &world->worker, &error);
    if (result == FA_OK)
        result = fa_http_new(world->worker, &world->options, world->handler != NULL ? world->handler : edge_routes,
                             world, &world->http, &error);
    if (result == FA_OK)
        result = fa_http_bind("127.0.0.1:0", &fd, name, sizeof(name), &error);
    if (result == FA_OK)
        result = fa_http_listen(world->http, fd, world->options.tls != NULL, &error);
    if (result == FA_OK)
        world->port = atoi(strrchr(name, ':') + 1);
    return result;
}

static void *run(void *context)
{
    fa_worker_run(((edge_world *)context)->worker);
    return NULL;
}

void world_begin(edge_world *world)
{
    world->descriptors = open_descriptors();
    world->ledger = fa_test_ledger(&world->failing);
    assert_ok(fa_scope_new(world->ledger, NULL, FA_KIND_SERVER, world->budget, "server", FA_HERE, &world->server));
    assert_ok(world_make_big(world));
}

void world_start(edge_world *world)
{
    assert_int_equal(pthread_create(&world->thread, NULL, run, world), 0);
}

void world_up(edge_world *world)
{
    world_begin(world);
    assert_ok(world_make(world));
    world_start(world);
}

static void finish(void *context)
{
    edge_world *world = context;
    world->drained++;
    fa_http_free(world->http);
    fa_worker_finish(world->worker);
}

static void drain_and_cut(edge_world *world)
{
    fa_http *http = world->http;
    bool idle = fa_http_connections(http) == 0;
    fa_http_drain(http, finish, world);
    if (!idle && world->drained == 0)
        fa_http_cut(http);
}

void world_end(edge_world *world)
{
    if (world->http != NULL)
        drain_and_cut(world);
    else if (world->worker != NULL)
        fa_worker_finish(world->worker);
    if (world->worker != NULL)
        fa_worker_run(world->worker);
    fa_worker_free(world->worker);
    if (world->server != NULL)
        fa_scope_end(world->server, "test over", NULL);
}

void world_order(edge_world *world, void (*what)(edge_world *world))
{
    world->carry_out = what;
    world->carried_out = false;
    fa_worker_post(world->worker, &world->order);
    for (uint64_t start = fa_now_ms(); !world->carried_out && fa_now_ms() - start < 10000;)
        usleep(500);
    assert_true(world->carried_out);
}

void world_stop(edge_world *world)
{
    world_order(world, drain_and_cut);
    pthread_join(world->thread, NULL);
    assert_int_equal(world->drained, 1);
    fa_worker_free(world->worker);
}

void world_end_server(edge_world *world)
{
    assert_int_equal(world_count(world, FA_KIND_REQUEST), 0);
    assert_int_equal(world_count(world, FA_KIND_CONNECTION), 0);
    assert_int_equal(fa_ledger_in_flight(world->ledger), 0);
    fa_scope_end(world->server, "test over", NULL);
    fa_test_ledger_free(&world->failing, world->ledger);
    assert_int_equal(open_descriptors(), world->descriptors);
}

void world_down(edge_world *world)
{
    world_stop(world);
    world_end_server(world);
}

size_t world_count(const edge_world *world, fa_kind kind)
{
    return fa_ledger_kind(world->ledger, kind)->count;
}

bool world_wait_count(const edge_world *world, fa_kind kind, size_t wanted, unsigned milliseconds)
{
    bool seen;
    for (uint64_t start = fa_now_ms();
         !(seen = world_count(world, kind) == wanted) && fa_now_ms() - start < milliseconds;)
        usleep(200);
    return seen;
}

bool wait_for(const _Atomic unsigned *counter, unsigned wanted, unsigned milliseconds)
{
    for (uint64_t start = fa_now_ms(); *counter < wanted && fa_now_ms() - start < milliseconds;)
        usleep(200);
    return *counter >= wanted;
}

/* ---- clients ---- */

int client_connect(const edge_world *world, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)world->port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_buffer != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void client_send(int fd, const char *text)
{
    size_t length = strlen(text);
    assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Reads what there is, waiting for at most 10 s for something. 0: the end, also by a reset. */
static size_t read_some(int fd, char *out, size_t size)
{
    struct pollfd poller = {fd, POLLIN, 0};
    if (poll(&poller, 1, 10000) != 1)
        fail_msg("nothing came within 10 s");
    ssize_t got = recv(fd, out, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static bool read_exactly(int fd, char *out, size_t length)
{
    for (size_t have = 0; have < length;) {
        size_t got = read_some(fd, out + have, length - have);
        if (got == 0)
            return false;
        have += got;
    }
    return true;
}

/* Up to and with the end mark, byte by byte so that nothing of what follows is taken. */
static bool read_until(int fd, char *out, size_t size, const char *mark)
{
    size_t have = 0;
    for (out[0] = '\0'; have + 1 < size;) {
        if (!read_exactly(fd, out + have, 1))
            return false;
        out[++have] = '\0';
        if (have >= strlen(mark) && strcmp(out + have - strlen(mark), mark) == 0)
            return true;
    }
    return false;
}

static bool read_chunks(int fd, client_reply *reply)
{
    char line[64];
    for (;;) {
        if (!read_until(fd, line, sizeof(line), "\r\n"))
            return false;
        size_t length = strtoul(line, NULL, 16);
        assert_true(reply->body_length + length < sizeof(reply->body));
        if (!read_exactly(fd, reply->body + reply->body_length, length) || !read_exactly(fd, line, 2))
            return false;
        assert_memory_equal(line, "\r\n", 2);
        reply->body_length += length;
        if (length == 0)
            return true;
    }
}

static bool read_to_end(int fd, client_reply *reply)
{
    size_t got;
    while ((got = read_some(fd, reply->body + reply->body_length, sizeof(reply->body) - reply->body_length - 1)) != 0)
        reply->body_length += got;
    return false;
}

bool client_read(int fd, bool head_only, client_reply *reply)
{
    reply->status = 0;
    reply->body_length = 0;
    reply->closed = false;
    if (!read_until(fd, reply->head, sizeof(reply->head), "\r\n\r\n"))
        return false;
    assert_int_equal(sscanf(reply->head, "HTTP/1.1 %d", &reply->status), 1);
    const char *length = strstr(reply->head, "\r\nContent-Length: ");
    bool whole = true;
    if (head_only || reply->status == 100 || reply->status == 204 || reply->status == 304)
        whole = true;
    else if (length != NULL) {
        reply->body_length = strtoul(length + 18, NULL, 10);
        assert_true(reply->body_length < sizeof(reply->body));
        whole = read_exactly(fd, reply->body, reply->body_length);
    } else if (strstr(reply->head, "transfer-encoding: chunked") != NULL)
        whole = read_chunks(fd, reply);
    else
        whole = read_to_end(fd, reply);
    reply->body[reply->body_length] = '\0';
    reply->closed = !whole;
    return true;
}

const client_reply *client_ask(int fd, const char *request)
{
    static client_reply reply;
    client_send(fd, request);
    assert_true(client_read(fd, strncmp(request, "HEAD", 4) == 0, &reply));
    return &reply;
}

bool client_sees_end(int fd, unsigned milliseconds, size_t *bytes)
{
    static char waste[65536];
    for (uint64_t start = fa_now_ms(), now = start; now - start < milliseconds; now = fa_now_ms()) {
        struct pollfd poller = {fd, POLLIN, 0};
        if (poll(&poller, 1, (int)(milliseconds - (now - start))) != 1)
            return false;
        ssize_t got = recv(fd, waste, sizeof(waste), 0);
        if (got <= 0)
            return true;
        if (bytes != NULL)
            *bytes += (size_t)got;
    }
    return false;
}
