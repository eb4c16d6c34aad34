/* core/media: what a request may ask for beside the plain file: conditions, ranges, encodings; names that are served or
 * not. Each once with a file in the cache and once with one that is streamed. */
#include "media_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "media/validators.h"

enum { SMALL = 5000, LARGE = 300 * 1024 };

static media_world world;
static char etag[100], modified[40];

static int begin(void **state)
{
    (void)state;
    media_world_begin(&world, &small_cache);
    return 0;
}

static int begin_without_patience(void **state)
{
    fa_media_options options = small_cache;
    (void)state;
    options.recheck_ms = 0;
    media_world_begin(&world, &options);
    return 0;
}

static int end(void **state)
{
    (void)state;
    media_world_end(&world);
    return 0;
}

static void in_folder(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", world.folder, name);
}

static void set_time(const char *name, int64_t seconds)
{
    char path[256];
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    in_folder(name, path);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void copy_header(const char *name, char *to, size_t size)
{
    fa_text found = fa_inprocess_header(world.last, name);
    snprintf(to, size, "%.*s", (int)found.length, found.data);
}

/* The answer to a request with these headers; "$E" and "$M" in a value stand for the tag and date of the file, "$W" for
 * its tag made weak. Stays in world.last. */
static const fa_inprocess_answer *ask(const char *method, const char *target, const char *const *headers)
{
    static char values[8][200];
    const char *all[17] = {NULL};
    for (int i = 0; headers != NULL && headers[i] != NULL; ++i) {
        const char *value = headers[i], *at = i % 2 == 1 ? strchr(value, '$') : NULL;
        all[i] = value;
        if (at != NULL) {
            const char *what = at[1] == 'M' ? modified : etag;
            snprintf(values[i / 2], 200, "%.*s%s%s%s", (int)(at - value), value, at[1] == 'W' ? "W/" : "", what,
                     at + 2);
            all[i] = values[i / 2];
        }
    }
    if (world.last != NULL)
        fa_inprocess_free(world.last);
    world.last = media_world_ask(&world, method, target, all, false);
    return media_world_await(&world, world.last);
}

static const fa_inprocess_answer *ask_with(const char *target, const char *name, const char *value)
{
    return ask("GET", target, (const char *const[]){name, value, NULL});
}

/* Bytes first .. first + length of the file that media_world_write makes. */
static void assert_part(const fa_inprocess_answer *answer, size_t size, unsigned seed, size_t first, size_t length)
{
    char range[80];
    unsigned char *expected = malloc(size + 1);
    media_world_fill(expected, size, seed);
    snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", first, first + length - 1, size);
    assert_int_equal(answer->status, 206);
    assert_true(answer->complete);
    assert_int_equal(answer->length, length);
    assert_int_equal(fa_buffer_length(answer->body), length);
    assert_header(world.last, "content-range", range);
    assert_memory_equal(fa_buffer_data(answer->body), expected + first, length);
    free(expected);
}

/* ---- conditions ---- */

#define OLD    "Sun, 06 Nov 1994 08:49:37 GMT"
#define FUTURE "Sun, 06 Nov 2094 08:49:37 GMT"

typedef struct condition_case {
    int status;
    const char *headers[9];
} condition_case;

static const condition_case condition_cases[] = {
    {200, {"if-match", "*"}},
    {200, {"if-match", "$E"}},
    {200, {"if-match", "\"x\", $E"}},
    {200, {"if-match", "\"x\"", "if-match", "$E"}},
    {412, {"if-match", "\"x\""}},
    {412, {"if-match", "$W"}}, /* strong comparison */
    {412, {"if-match", "garbage"}},
    {412, {"if-match", "\"x\"", "if-none-match", "$E"}}, /* before anything else */
    {200, {"if-match", "$E", "if-unmodified-since", OLD}},
    {200, {"if-unmodified-since", "$M"}},
    {200, {"if-unmodified-since", FUTURE}},
    {412, {"if-unmodified-since", OLD}},
    {200, {"if-unmodified-since", "garbage"}},
    {200, {"if-unmodified-since", OLD, "if-unmodified-since", OLD}},
    {304, {"if-none-match", "$E"}},
    {304, {"if-none-match", "$W"}},
    {304, {"if-none-match", "\"x\"", "if-none-match", "$E"}},
    {304, {"if-none-match", "*"}},
    {200, {"if-none-match", "\"x\", *"}},
    {304, {"if-match", "$E", "if-none-match", "$E"}},
    {304, {"if-modified-since", "$M"}},
    {304, {"if-modified-since", FUTURE}},
    {200, {"if-modified-since", OLD}},
    {200, {"if-modified-since", "$M", "if-modified-since", "$M"}},
    {200, {"if-modified-since", "$M", "if-none-match", "\"x\""}},
    {304, {"if-none-match", "$E", "range", "bytes=0-0"}}, /* a range comes last */
    {412, {"if-match", "\"x\"", "range", "bytes=0-0"}},
    {206, {"if-match", "$E", "range", "bytes=0-0"}},
    {206, {"if-range", "$E", "range", "bytes=0-0"}},
    {206, {"if-range", "$M", "range", "bytes=0-0"}},
    {200, {"if-range", "$W", "range", "bytes=0-0"}},
    {200, {"if-range", "\"x\"", "range", "bytes=0-0"}},
    {200, {"if-range", OLD, "range", "bytes=0-0"}},
    {200, {"if-range", FUTURE, "range", "bytes=0-0"}}, /* exactly that date, or another file */
    {200, {"if-range", "garbage", "range", "bytes=0-0"}},
    {200, {"if-range", "", "range", "bytes=0-0"}},
    {200, {"if-range", "$E", "if-range", "$E", "range", "bytes=0-0"}},
    {200, {"if-range", "\"x\"", "range", "bytes=9999999-"}},
    {416, {"if-range", "$E", "range", "bytes=9999999-"}},
    {200, {"if-range", "$E"}},
    {200, {"range", "bytes=0-0", "range", "bytes=1-1"}},
};

static void every_condition_has_its_answer(void **state)
{
    static const char *const targets[] = {"/a.gif", "/large.mp4"};
    (void)state;
    media_world_write(&world, "a.gif", SMALL, 1);
    media_world_write(&world, "large.mp4", LARGE, 1);
    set_time("a.gif", 1500000000);
    set_time("large.mp4", 1500000000);
    for (size_t i = 0; i < 2; ++i) {
        media_world_get(&world, targets[i]);
        copy_header("etag", etag, sizeof(etag));
        copy_header("last-modified", modified, sizeof(modified));
        for (size_t k = 0; k < sizeof(condition_cases) / sizeof(condition_cases[0]); ++k) {
            const condition_case *c = &condition_cases[k];
            for (int head = 0; head < 2; ++head) {
                const fa_inprocess_answer *answer = ask(head ? "HEAD" : "GET", targets[i], c->headers);
                int expected = head && (c->status == 206 || c->status == 416) ? 200 : c->status; /* no range for HEAD */
                if (answer->status != expected || !answer->complete)
                    fail_msg("%s with %s: %s, ...: %d, not %d", targets[i], c->headers[0], c->headers[1],
                             answer->status, expected);
                if (expected == 200)
                    assert_int_equal(answer->length, i == 0 ? SMALL : LARGE);
                if (head)
                    assert_int_equal(fa_buffer_length(answer->body), 0);
            }
        }
    }
}

/* A date says nothing about a file that has changed within the last second: it may change again in it. */
static void a_fresh_date_is_no_proof(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", SMALL, 1);
    set_time("a.gif", (int64_t)time(NULL) + 100);
    media_world_get(&world, "/a.gif");
    copy_header("last-modified", modified, sizeof(modified));
    assert_int_equal(ask("GET", "/a.gif", (const char *const[]){"range", "bytes=0-0", "if-range", "$M", NULL})->status,
                     200);
}

/* ---- ranges ---- */

static void parts_are_those_bytes(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", SMALL, 1);
    media_world_write(&world, "large.mp4", LARGE, 2);
    for (int i = 0; i < 2; ++i) { /* cold, then hot */
        assert_part(ask_with("/a.gif", "range", "bytes=0-0"), SMALL, 1, 0, 1);
        assert_header(world.last, "content-type", "image/gif");
        assert_header(world.last, "accept-ranges", "bytes");
        assert_true(fa_inprocess_header(world.last, "etag").length > 2);
        assert_part(ask_with("/a.gif", "range", "bytes=4000-"), SMALL, 1, 4000, 1000);
        assert_part(ask_with("/a.gif", "range", "bytes=-10"), SMALL, 1, SMALL - 10, 10);
        assert_part(ask_with("/large.mp4", "range", "bytes=100-299999"), LARGE, 2, 100, 299900); /* two pieces */
        assert_part(ask_with("/large.mp4", "range", "bytes=-1"), LARGE, 2, LARGE - 1, 1);
        assert_part(ask_with("/large.mp4", "range", "bytes=0-262143"), LARGE, 2, 0, 262144); /* one, exactly */
        assert_file_answer(ask_with("/a.gif", "range", "bytes=0-0,2-2"), SMALL, 1);
        assert_int_equal(fa_inprocess_header(world.last, "content-range").length, 0);
        assert_file_answer(ask_with("/large.mp4", "range", "lines=0-0"), LARGE, 2);
    }
    assert_file_answer(media_world_get(&world, "/a.gif"), SMALL, 1);
    assert_header(world.last, "accept-ranges", "bytes");
}

static void ranges_outside_are_416(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", SMALL, 1);
    media_world_write(&world, "large.mp4", LARGE, 1);
    media_world_write(&world, "empty.txt", 0, 0);
    assert_int_equal(ask_with("/a.gif", "range", "bytes=5000-")->status, 416);
    assert_header(world.last, "content-range", "bytes */5000");
    assert_header(world.last, "content-type", "application/json; charset=utf-8");
    assert_int_equal(ask_with("/large.mp4", "range", "bytes=999999-")->status, 416);
    assert_header(world.last, "content-range", "bytes */307200");
    assert_int_equal(ask_with("/empty.txt", "range", "bytes=0-")->status, 416);
    assert_header(world.last, "content-range", "bytes */0");
}

/* The tag that a client has from before: If-Range brings it the whole of the new file. */
static void a_resumed_download_never_mixes(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", SMALL, 1);
    media_world_get(&world, "/a.gif");
    copy_header("etag", etag, sizeof(etag));
    const char *const resume[] = {"range", "bytes=1000-", "if-range", "$E", NULL};
    assert_part(ask("GET", "/a.gif", resume), SMALL, 1, 1000, 4000);
    media_world_write(&world, "a.gif", SMALL, 2);
    assert_file_answer(ask("GET", "/a.gif", resume), SMALL, 2);
}

/* ---- encodings ---- */

static void assert_encoded(const char *target, const char *accept, const char *encoding, size_t size, unsigned seed)
{
    const fa_inprocess_answer *answer = ask_with(target, "accept-encoding", accept);
    assert_file_answer(answer, size, seed);
    assert_header(world.last, "content-encoding", encoding);
    assert_header(world.last, "vary", "accept-encoding");
    assert_header(world.last, "content-type", "text/css; charset=utf-8");
}

static void encoded_siblings_are_sent_to_who_takes_them(void **state)
{
    char plain[100];
    (void)state;
    world.mount.precompressed = true;
    media_world_write(&world, "a.css", 3000, 1);
    media_world_write(&world, "a.css.gz", 2000, 2);
    media_world_write(&world, "a.css.br", 1000, 3);
    media_world_write(&world, "b.css", 3000, 4);
    media_world_write(&world, "large.css", LARGE, 5);
    media_world_write(&world, "large.css.br", LARGE - 1, 6);
    for (int i = 0; i < 2; ++i) { /* cold, then hot */
        assert_encoded("/a.css", "gzip, br", "br", 1000, 3);
        assert_encoded("/a.css", "gzip", "gzip", 2000, 2);
        assert_encoded("/a.css", "br;q=0.5, gzip;q=0.7", "gzip", 2000, 2);
        assert_encoded("/a.css", "deflate", "", 3000, 1);
        assert_encoded("/a.css", "", "", 3000, 1);
        copy_header("etag", plain, sizeof(plain));
        assert_encoded("/large.css", "br", "br", LARGE - 1, 6);
        assert_encoded("/large.css", "gzip", "", LARGE, 5);
        assert_file_answer(ask_with("/b.css", "accept-encoding", "gzip, br"), 3000, 4); /* has none */
        assert_int_equal(fa_inprocess_header(world.last, "vary").length, 0);
        assert_file_answer(ask_with("/a.css.gz", "accept-encoding", "gzip"), 2000, 2); /* asked for as it is */
        assert_header(world.last, "content-type", "application/gzip");
        assert_header(world.last, "content-encoding", "");
    }
    /* each has a tag of its own, and a 304 says on what it depends */
    ask_with("/a.css", "accept-encoding", "br");
    copy_header("etag", etag, sizeof(etag));
    assert_string_not_equal(etag, plain);
    const char *const br_again[] = {"accept-encoding", "br", "if-none-match", "$E", NULL};
    const char *const br_for_gzip[] = {"accept-encoding", "gzip", "if-none-match", "$E", NULL};
    assert_int_equal(ask("GET", "/a.css", br_again)->status, 304);
    assert_header(world.last, "vary", "accept-encoding");
    assert_int_equal(ask("GET", "/a.css", br_for_gzip)->status, 200);
    const char *const part[] = {"accept-encoding", "br", "range", "bytes=10-19", "if-range", "$E", NULL};
    assert_part(ask("GET", "/a.css", part), 1000, 3, 10, 10);
    assert_header(world.last, "content-encoding", "br");
}

static void without_the_option_siblings_are_other_files(void **state)
{
    (void)state;
    media_world_write(&world, "a.css", 3000, 1);
    media_world_write(&world, "a.css.gz", 2000, 2);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 3000, 1);
    assert_int_equal(fa_inprocess_header(world.last, "vary").length, 0);
    world.mount.precompressed = true; /* another mount of the same root: it has its own look */
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 2000, 2);
}

static void siblings_come_and_go(void **state)
{
    char path[256];
    (void)state;
    world.mount.precompressed = true;
    media_world_write(&world, "a.css", 3000, 1);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 3000, 1);
    media_world_write(&world, "a.css.gz", 2000, 2);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 2000, 2);
    set_time("a.css.gz", 1000000000); /* older than the file: made of another version */
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 3000, 1);
    set_time("a.css", 1000000000);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 2000, 2);
    in_folder("a.css.gz", path);
    assert_int_equal(unlink(path), 0);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "gzip"), 3000, 1);
    in_folder("a.css", path);
    assert_int_equal(unlink(path), 0);
    media_world_write(&world, "a.css.gz", 2000, 2);
    assert_int_equal(ask_with("/a.css", "accept-encoding", "gzip")->status, 404); /* who could not read it? */
}

/* Its sibling vanishes while the file itself is still trusted. */
static void a_sibling_that_has_gone_is_not_missed(void **state)
{
    char path[256];
    (void)state;
    world.mount.precompressed = true;
    media_world_write(&world, "a.css", 3000, 1);
    media_world_write(&world, "a.css.br", 2000, 2);
    assert_file_answer(media_world_get(&world, "/a.css"), 3000, 1); /* it has been seen, but not read */
    in_folder("a.css.br", path);
    assert_int_equal(unlink(path), 0);
    assert_file_answer(ask_with("/a.css", "accept-encoding", "br, gzip"), 3000, 1);
}

/* ---- names ---- */

static void odd_names_are_served(void **state)
{
    static const char *const names[][2] = {{"with space.gif", "/with%20space.gif"},
                                           {"\xc3\xbc.gif", "/%C3%BC.gif"},
                                           {"latin\xfc.gif", "/latin%fc.gif"},
                                           {"a\nb.gif", "/a%0Ab.gif"},
                                           {"a?b#c.gif", "/a%3fb%23c.gif"},
                                           {"100%.gif", "/100%25.gif"},
                                           {"a..b.gif", "/a..b.gif"},
                                           {"a+b.gif", "/a+b.gif"},
                                           {"~.gif", "/~.gif"},
                                           {"trailing.", "/trailing."},
                                           {"\x7f.gif", "/%7f.gif"}};
    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        media_world_write(&world, names[i][0], 100 + i, i);
        assert_file_answer(media_world_get(&world, names[i][1]), 100 + i, i);
    }
}

static void what_begins_with_a_dot_is_not_there(void **state)
{
    static const char *const targets[] = {"/.env", "/.git/config", "/folder/.env", "/%2eenv"};
    char path[256];
    (void)state;
    in_folder(".git", path);
    assert_int_equal(mkdir(path, 0700), 0);
    in_folder("folder", path);
    assert_int_equal(mkdir(path, 0700), 0);
    media_world_write(&world, ".env", 100, 1);
    media_world_write(&world, ".git/config", 100, 1);
    media_world_write(&world, "folder/.env", 100, 1);
    for (size_t i = 0; i < 4; ++i)
        assert_int_equal(media_world_get(&world, targets[i])->status, 404);
    world.mount.dotfiles = true;
    for (size_t i = 0; i < 4; ++i)
        assert_file_answer(media_world_get(&world, targets[i]), 100, 1);
    assert_int_not_equal(media_world_get(&world, "/folder/../.env")->status, 200);
    assert_int_equal(media_world_get(&world, "/./.env")->status, 400);
}

/* None of them is opened, none is waited for. */
static void what_is_no_file_is_404(void **state)
{
    char path[256];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    in_folder("pipe.gif", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    in_folder("socket.gif", path);
    memcpy(address.sun_path, path, strlen(path) + 1); /* /tmp/fa-media-XXXXXX/root/socket.gif */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    in_folder("folder.gif", path);
    assert_int_equal(mkdir(path, 0700), 0);
    static const char *const targets[] = {"/pipe.gif", "/socket.gif", "/folder.gif"};
    for (size_t i = 0; i < 3; ++i)
        assert_int_equal(media_world_get(&world, targets[i])->status, 404);
    close(fd);
    world.mount.root = "/dev";
    assert_int_equal(media_world_get(&world, "/null")->status, 404);
    assert_int_equal(media_world_get(&world, "/tty")->status, 404);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(every_condition_has_its_answer),
        IN_WORLD(a_fresh_date_is_no_proof),
        IN_WORLD(parts_are_those_bytes),
        IN_WORLD(ranges_outside_are_416),
        cmocka_unit_test_setup_teardown(a_resumed_download_never_mixes, begin_without_patience, end),
        IN_WORLD(encoded_siblings_are_sent_to_who_takes_them),
        IN_WORLD(without_the_option_siblings_are_other_files),
        cmocka_unit_test_setup_teardown(siblings_come_and_go, begin_without_patience, end),
        IN_WORLD(a_sibling_that_has_gone_is_not_missed),
        IN_WORLD(odd_names_are_served),
        IN_WORLD(what_begins_with_a_dot_is_not_there),
        IN_WORLD(what_is_no_file_is_404),
    };
    return cmocka_run_group_tests_name("media requests", tests, NULL, NULL);
}
