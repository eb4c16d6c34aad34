/* base/log_writer: lines on their way to a file, and the promise that nobody waits for it. */
#include "testing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_writer.h"

enum { RING = 8192, LINES = 2000, MAKERS = 4 };

typedef struct fixture {
    fa_log_writer writer;
    fa_log_ring rings[MAKERS];
    char memory[MAKERS * RING];
    fa_log log; /* what the writer has to say */
    pthread_mutex_t lock;
    char said[4000];
    int out[2];
    char folder[40], path[60], moved[60];
} fixture;

static fixture f;

static void note(void *context, fa_log_level level, const char *line)
{
    fixture *to = context;
    (void)level;
    pthread_mutex_lock(&to->lock);
    snprintf(to->said + strlen(to->said), sizeof(to->said) - strlen(to->said), "%s\n", line);
    pthread_mutex_unlock(&to->lock);
}

static int up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    pthread_mutex_init(&f.lock, NULL);
    f.log = (fa_log){.level = FA_LOG_DEBUG, .fd = -1, .sink = note, .sink_context = &f};
    strcpy(f.folder, "/tmp/fa-log-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof(f.path), "%s/access.log", f.folder);
    snprintf(f.moved, sizeof(f.moved), "%s/access.log.1", f.folder);
    return pipe2(f.out, O_CLOEXEC);
}

static int down(void **state)
{
    (void)state;
    close(f.out[0]);
    if (f.out[1] >= 0)
        close(f.out[1]);
    unlink(f.path);
    unlink(f.moved);
    rmdir(f.folder);
    pthread_mutex_destroy(&f.lock);
    return 0;
}

static void start(const char *path, size_t rings, unsigned delay_ms)
{
    fa_error error = {""};
    const fa_log_writer_options options = {.name = "test log",
                                           .path = path,
                                           .fd = f.out[1],
                                           .rings = f.rings,
                                           .ring_count = rings,
                                           .memory = f.memory,
                                           .ring_size = RING,
                                           .delay_ms = delay_ms,
                                           .log = &f.log};
    if (fa_log_writer_start(&f.writer, &options, &error) != FA_OK)
        fail_msg("%s", error.text);
}

/* All that comes until `wanted` stands in it, or the end, or 10 s. */
static size_t read_until(char *text, size_t size, const char *wanted)
{
    size_t used = 0;
    struct pollfd ready = {.fd = f.out[0], .events = POLLIN};
    text[0] = '\0';
    while (used < size - 1 && (wanted == NULL || strstr(text, wanted) == NULL) && poll(&ready, 1, 10000) > 0) {
        ssize_t got = read(f.out[0], text + used, size - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        text[used] = '\0';
    }
    return used;
}

static size_t read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
    return length;
}

/* In all the lines that told of drops. */
static unsigned told(void)
{
    unsigned sum = 0, count;
    for (const char *at = f.said; (at = strstr(at, "test log: ")) != NULL; ++at)
        sum += sscanf(at, "test log: %u lines were dropped", &count) == 1 ? count : 0;
    return sum;
}

static void lines_come_out_in_order(void **state)
{
    static char text[LINES * 16];
    size_t at = 0;
    (void)state;
    start(NULL, 1, 0);
    for (int i = 0; i < LINES;) {
        char line[16];
        int length = snprintf(line, sizeof(line), "line %06d\n", i);
        at += fa_log_put(&f.rings[0], line, (size_t)length) ? (size_t)length : 0;
        if (++i % 200 == 0) { /* the ring holds more than that */
            char part[64];
            snprintf(part, sizeof(part), "line %06d\n", i - 1);
            read_until(text + strlen(text), 4000, part);
        }
    }
    fa_log_writer_stop(&f.writer);
    assert_int_equal(strlen(text), at);
    for (int i = 0; i < LINES; ++i)
        assert_int_equal(atoi(text + i * 12 + 5), i);
    assert_string_equal(f.said, "");
}

/* A reader that has stopped reading costs lines, never time; and when it reads again it is told. */
static void a_blocked_pipe_drops_and_tells(void **state)
{
    static char text[256 * 1024];
    char line[100];
    unsigned dropped = 0;
    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    start(NULL, 1, 0);
    uint64_t begin_ms = fa_now_ms();
    for (int i = 0; i < 20000; ++i)
        dropped += !fa_log_put(&f.rings[0], line, sizeof(line));
    uint64_t took_ms = fa_now_ms() - begin_ms;
    assert_true(took_ms < 5000);
    assert_true(dropped > 18000); /* all but what the pipe and the ring hold */
    assert_int_equal(f.rings[0].dropped, dropped);
    size_t got = 0;
    do {
        got += read_until(text, sizeof(text), "\n");
    } while (got < (20000 - dropped) * sizeof(line));
    assert_int_equal(got, (20000 - dropped) * sizeof(line)); /* whole lines, each once */
    fa_log_writer_stop(&f.writer);
    assert_int_equal(told(), dropped);
}

static void a_stop_does_not_wait_for_a_reader_that_never_comes(void **state)
{
    char line[1000];
    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    start(NULL, 1, 0);
    for (int taken = 0, refused = 0; taken < 100 && refused < 1000;) { /* until the pipe is full, and the ring */
        if (fa_log_put(&f.rings[0], line, sizeof(line))) {
            ++taken;
        } else {
            ++refused;
            usleep(100);
        }
    }
    uint64_t begin_ms = fa_now_ms();
    fa_log_writer_stop(&f.writer);
    assert_in_range(fa_now_ms() - begin_ms, 900, 9000);
    assert_non_null(strstr(f.said, "were dropped"));
}

static void a_reader_that_went_is_said_once(void **state)
{
    (void)state;
    close(f.out[0]);
    f.out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    start(NULL, 1, 0);
    for (int i = 0; i < 50; ++i) {
        fa_log_put(&f.rings[0], "gone\n", 5);
        usleep(100);
    }
    fa_log_writer_stop(&f.writer); /* and we live, though nobody ignores SIGPIPE here */
    const char *first = strstr(f.said, "Broken pipe");
    assert_non_null(first);
    assert_null(strstr(first + 1, "Broken pipe"));
    assert_int_equal(told(), 50);
}

static void what_is_held_back_is_told(void **state)
{
    (void)state;
    start(NULL, 1, 0);
    for (int i = 0; i < 7; ++i)
        fa_log_hold_back(&f.rings[0]);
    fa_log_writer_stop(&f.writer);
    assert_non_null(strstr(f.said, " above the rate"));
    assert_int_equal(told(), 7);
}

static void a_file_is_opened_anew(void **state)
{
    char text[200];
    (void)state;
    start(f.path, 1, 5);
    fa_log_put(&f.rings[0], "before\n", 7);
    uint64_t give_up_ms = fa_now_ms() + 10000;
    while (read_file(f.path, text, sizeof(text)) == 0 && fa_now_ms() < give_up_ms)
        usleep(1000);
    assert_int_equal(rename(f.path, f.moved), 0);
    fa_log_writer_reopen(&f.writer);
    while (access(f.path, F_OK) != 0 && fa_now_ms() < give_up_ms)
        usleep(1000);
    fa_log_put(&f.rings[0], "after\n", 6);
    fa_log_writer_stop(&f.writer);
    read_file(f.moved, text, sizeof(text));
    assert_string_equal(text, "before\n");
    read_file(f.path, text, sizeof(text));
    assert_string_equal(text, "after\n");
    assert_non_null(strstr(f.said, "opened anew"));
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
    fa_error error = {""};
    const fa_log_writer_options options = {.name = "test log",
                                           .path = "/nowhere/at/all",
                                           .rings = f.rings,
                                           .ring_count = 1,
                                           .memory = f.memory,
                                           .ring_size = RING};
    (void)state;
    assert_int_equal(fa_log_writer_start(&f.writer, &options, &error), FA_IO);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
    fa_log_writer_stop(&f.writer); /* harmless */
}

static void *make_lines(void *argument)
{
    fa_log_ring *ring = argument;
    char line[64];
    int who = (int)(ring - f.rings);
    for (int i = 0; i < LINES; ++i) {
        int length = snprintf(line, sizeof(line), "maker %d says %d%.*s.\n", who, i, i % 40,
                              "----------------------------------------");
        while (!fa_log_put(ring, line, (size_t)length))
            sched_yield();
    }
    return NULL;
}

/* Several rings, two makers on each: nothing is lost but what was refused, and lines never mix. */
static void many_may_put_at_once(void **state)
{
    static char text[MAKERS * LINES * 64];
    pthread_t makers[MAKERS];
    unsigned seen[MAKERS] = {0};
    (void)state;
    start(f.path, MAKERS / 2, 1);
    for (int i = 0; i < MAKERS; ++i)
        assert_int_equal(pthread_create(&makers[i], NULL, make_lines, &f.rings[i / 2]), 0);
    for (int i = 0; i < MAKERS; ++i)
        pthread_join(makers[i], NULL);
    fa_log_writer_stop(&f.writer);
    read_file(f.path, text, sizeof(text));
    for (char *save, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        int who, number;
        assert_int_equal(sscanf(line, "maker %d says %d", &who, &number), 2);
        assert_in_range(who, 0, MAKERS / 2 - 1);
        assert_int_equal(line[strlen(line) - 1], '.');
        seen[who]++;
    }
    assert_int_equal(seen[0], 2 * LINES);
    assert_int_equal(seen[1], 2 * LINES);
}

/* The general log with a ring of its own: it tells of its own drops. */
static void the_log_goes_through_a_ring(void **state)
{
    char text[1000];
    fa_log log = {.level = FA_LOG_INFO, .fd = f.out[1], .ring = &f.rings[0]};
    const fa_log_writer_options options = {.name = "log",
                                           .fd = f.out[1],
                                           .rings = f.rings,
                                           .ring_count = 1,
                                           .memory = f.memory,
                                           .ring_size = RING,
                                           .log = &log};
    (void)state;
    assert_ok(fa_log_writer_start(&f.writer, &options, NULL));
    fa_log_write(&log, FA_LOG_WARN, "through %s", "the ring");
    read_until(text, sizeof(text), "ring\n");
    assert_non_null(strstr(text, " warn  through the ring\n"));
    f.rings[0].dropped += 3;
    fa_log_write(&log, FA_LOG_INFO, "more");
    read_until(text, sizeof(text), "above the rate\n");
    assert_non_null(strstr(text, "log: 3 lines were dropped"));
    fa_log_writer_stop(&f.writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_come_out_in_order),
        TEST(a_blocked_pipe_drops_and_tells),
        TEST(a_stop_does_not_wait_for_a_reader_that_never_comes),
        TEST(a_reader_that_went_is_said_once),
        TEST(what_is_held_back_is_told),
        TEST(a_file_is_opened_anew),
        TEST(a_file_that_cannot_be_opened_is_an_error),
        TEST(many_may_put_at_once),
        TEST(the_log_goes_through_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
