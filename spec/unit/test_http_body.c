/* core/http: bodies. Small ones are copied, large ones stay in h2o's file, and each is whole in either case. */
#include "edge_world.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 5000, LARGE = 700 * 1000 };

static edge_world world;
static struct {
    size_t mapped, ours;
    bool right;
    _Atomic unsigned count;
} seen;

static char byte_at(size_t i)
{
    return (char)('A' + i % 53 % 26);
}

/* Looks at the body while the handler has it, and answers how long it is. */
static void look(fa_exchange *exchange, void *context)
{
    char text[32];
    edge_world *w = context;
    const fa_buffer *body = exchange->body;
    seen.mapped = fa_ledger_mapped(w->ledger);
    seen.ours = fa_ledger_kind(w->ledger, FA_KIND_REQUEST)->bytes;
    seen.right = body != NULL;
    for (size_t i = 0; seen.right && i < fa_buffer_length(body); ++i)
        seen.right = (char)fa_buffer_data(body)[i] == byte_at(i);
    snprintf(text, sizeof(text), "%zu", body != NULL ? fa_buffer_length(body) : 0);
    if (fa_text_is(exchange->path, "/same"))
        fa_exchange_reply(exchange, 200, NULL, 0, exchange->body);
    else
        fa_exchange_reply_text(exchange, 200, "text/plain", text, strlen(text));
    seen.count++;
}

static int up(void **state)
{
    (void)state;
    world_init(&world);
    world.handler = look;
    world_up(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000 && fa_ledger_mapped(world.ledger) != 0; ++i)
        usleep(1000);
    assert_int_equal(fa_ledger_mapped(world.ledger), 0);
    world_down(&world);
    return 0;
}

static void send_bytes(int fd, const char *bytes, size_t length)
{
    while (length != 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        length -= (size_t)sent;
    }
}

static char *body_of(size_t length)
{
    char *bytes = malloc(length);
    for (size_t i = 0; i < length; ++i)
        bytes[i] = byte_at(i);
    return bytes;
}

static void send_request(int fd, const char *path, size_t length, const char *behind)
{
    char head[200], *bytes = body_of(length);
    snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, length);
    client_send(fd, head);
    send_bytes(fd, bytes, length);
    if (behind != NULL)
        client_send(fd, behind);
    free(bytes);
}

static void a_small_body_is_ours(void **state)
{
    static client_reply reply;
    (void)state;
    int fd = client_connect(&world, 0);
    send_request(fd, "/look", SMALL, NULL);
    assert_true(client_read(fd, false, &reply));
    assert_string_equal(reply.body, "5000");
    assert_true(seen.right);
    assert_int_equal(seen.mapped, 0);
    assert_true(seen.ours >= SMALL);
    close(fd);
}

static void a_large_body_is_not_copied(void **state)
{
    static client_reply reply;
    (void)state;
    int fd = client_connect(&world, 0);
    for (int i = 0; i < 3; ++i) { /* the connection goes on */
        send_request(fd, "/look", LARGE, NULL);
        assert_true(client_read(fd, false, &reply));
        assert_string_equal(reply.body, "700000");
        assert_true(seen.right);
        assert_true(seen.mapped >= LARGE && seen.mapped <= 4 * LARGE);
        assert_true(seen.ours < 64 * 1024);
    }
    close(fd);
}

static void it_can_be_sent_back(void **state)
{
    static char got[LARGE];
    size_t have = 0;
    (void)state;
    int fd = client_connect(&world, 0);
    send_request(fd, "/same", LARGE, NULL);
    char head[4096], *end;
    size_t used = 0;
    do {
        ssize_t n = recv(fd, head + used, sizeof(head) - 1 - used, 0);
        assert_true(n > 0);
        head[used += (size_t)n] = '\0';
    } while ((end = strstr(head, "\r\n\r\n")) == NULL);
    have = used - (size_t)(end + 4 - head);
    memcpy(got, end + 4, have);
    while (have < LARGE) {
        ssize_t n = recv(fd, got + have, LARGE - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    for (size_t i = 0; i < LARGE; ++i) {
        if (got[i] != byte_at(i))
            fail_msg("byte %zu is wrong", i);
    }
    close(fd);
}

/* The bytes behind a spooled body lie in the same file, which h2o would go on using: the connection is closed instead. */
static void what_follows_in_the_same_file_is_not_answered(void **state)
{
    static client_reply reply;
    (void)state;
    int fd = client_connect(&world, 0);
    unsigned before = seen.count;
    /* The last bytes and the next request leave in one piece, so that h2o reads them together. */
    char head[200], *bytes = body_of(LARGE + 100);
    snprintf(head, sizeof(head), "POST /look HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", LARGE);
    memcpy(bytes + LARGE, "GET /look HTTP/1.1\r\nHost: x\r\n\r\n", 31);
    client_send(fd, head);
    send_bytes(fd, bytes, LARGE - 1000);
    usleep(20000);
    send_bytes(fd, bytes + LARGE - 1000, 1031);
    assert_true(client_read(fd, false, &reply));
    assert_string_equal(reply.body, "700000");
    assert_true(seen.right);
    if (strstr(reply.head, "Connection: close") != NULL) { /* they were read together */
        assert_true(client_sees_end(fd, 10000, NULL));
        assert_int_equal(seen.count, before + 1);
    } else {
        assert_true(client_read(fd, false, &reply));
    }
    free(bytes);
    close(fd);
}

static void at_the_limit_of_the_disk_it_is_503(void **state)
{
    static client_reply reply;
    (void)state;
    fa_ledger_limit_mapped(world.ledger, LARGE / 2);
    int fd = client_connect(&world, 0);
    send_request(fd, "/look", LARGE, NULL);
    assert_true(client_read(fd, false, &reply));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.head, "retry-after"));
    send_request(fd, "/look", SMALL, NULL); /* which needs no file */
    assert_true(client_read(fd, false, &reply));
    assert_int_equal(reply.status, 200);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_small_body_is_ours, up, down),
        cmocka_unit_test_setup_teardown(a_large_body_is_not_copied, up, down),
        cmocka_unit_test_setup_teardown(it_can_be_sent_back, up, down),
        cmocka_unit_test_setup_teardown(what_follows_in_the_same_file_is_not_answered, up, down),
        cmocka_unit_test_setup_teardown(at_the_limit_of_the_disk_it_is_503, up, down),
    };
    return cmocka_run_group_tests_name("bodies at the edge", tests, NULL, NULL);
}
