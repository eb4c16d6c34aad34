/* core/media: what is answered: types, headers, conditions, HEAD, and nothing from outside the root. The cache is in
 * test_media_cache.c, streams in test_media_stream.c. */
#include "media_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/types.h"
#include "media/validators.h"

static media_world world;

static int begin(void **state)
{
    (void)state;
    media_world_begin(&world, &small_cache);
    return 0;
}

static int end(void **state)
{
    (void)state;
    media_world_end(&world);
    return 0;
}

static void types_by_extension(void **state)
{
    static const char *const expected[][2] = {{"a/b.GIF", "image/gif"},
                                              {"x.html", "text/html; charset=utf-8"},
                                              {"x.mjs", "text/javascript; charset=utf-8"},
                                              {"x.json", "application/json"},
                                              {"x.y.jpeg", "image/jpeg"},
                                              {"x.opus", "audio/ogg; codecs=opus"},
                                              {"x.wasm", "application/wasm"},
                                              {"x.js.map", "application/json"},
                                              {"x.svg", "image/svg+xml"},
                                              {"x.woff2", "font/woff2"},
                                              {"x.md", "text/markdown; charset=utf-8"},
                                              {"x", "application/octet-stream"},
                                              {"x.", "application/octet-stream"},
                                              {".gif", "application/octet-stream"},
                                              {"a/.gif", "application/octet-stream"},
                                              {"a.gif/b", "application/octet-stream"},
                                              {"x.unknown", "application/octet-stream"},
                                              {"", "application/octet-stream"}};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); ++i)
        assert_string_equal(fa_media_types_find(NULL, (fa_text){expected[i][0], strlen(expected[i][0])}),
                            expected[i][1]);
}

static bool read_date(const char *text, int64_t *seconds)
{
    return fa_http_date_read((fa_text){text, strlen(text)}, seconds);
}

static void dates_are_written_and_read(void **state)
{
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 32 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Foo 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 25:49:37 GMT",
                                      "784111777",
                                      "06 Nov 1994 08:49:37 GMT"};
    char text[FA_HTTP_DATE_SIZE];
    int64_t seconds;
    (void)state;
    fa_http_date_write(text, 784111777);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_true(read_date(text, &seconds));
    assert_int_equal(seconds, 784111777);
    assert_true(read_date("Sunday, 06-Nov-94 08:49:37 GMT", &seconds));
    assert_int_equal(seconds, 784111777);
    assert_true(read_date("Sun Nov  6 08:49:37 1994", &seconds));
    assert_int_equal(seconds, 784111777);
    fa_http_date_write(text, INT64_MAX);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_false(read_date(bad[i], &seconds));
}

static void a_file_with_its_headers(void **state)
{
    char path[128], etag[100], modified[FA_HTTP_DATE_SIZE];
    struct stat status;
    (void)state;
    media_world_write(&world, "a.gif", 5000, 1);
    snprintf(path, sizeof(path), "%s/a.gif", world.folder);
    assert_int_equal(stat(path, &status), 0);
    snprintf(etag, sizeof(etag), "\"%lx-%lx-%lx\"", 5000UL,
             (unsigned long)status.st_mtim.tv_sec * 1000000000UL + (unsigned long)status.st_mtim.tv_nsec,
             (unsigned long)status.st_ino);
    fa_http_date_write(modified, status.st_mtim.tv_sec);

    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1);
    assert_header(world.last, "content-type", "image/gif");
    assert_header(world.last, "cache-control", "no-cache");
    assert_header(world.last, "etag", etag);
    assert_header(world.last, "last-modified", modified);
    assert_header(world.last, "x-content-type-options", "nosniff");
    world.mount.immutable = true;
    assert_file_answer(media_world_get(&world, "/a.gif"), 5000, 1);
    assert_header(world.last, "cache-control", "public, max-age=31536000, immutable");
}

static void empty_files_and_one_byte(void **state)
{
    (void)state;
    media_world_write(&world, "empty.txt", 0, 0);
    media_world_write(&world, "one.txt", 1, 3);
    for (int i = 0; i < 2; ++i) {
        assert_file_answer(media_world_get(&world, "/empty.txt"), 0, 0);
        assert_file_answer(media_world_get(&world, "/one.txt"), 1, 3);
    }
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", 5000, 1);
    media_world_write(&world, "large.mp4", 300 * 1024, 1);
    for (int i = 0; i < 2; ++i) { /* cold, then hot */
        static const char *const targets[] = {"/a.gif", "/large.mp4"};
        for (int k = 0; k < 2; ++k) {
            fa_inprocess *client = media_world_ask(&world, "HEAD", targets[k], NULL, false);
            const fa_inprocess_answer *answer = media_world_await(&world, client);
            assert_int_equal(answer->status, 200);
            assert_int_equal(answer->length, k == 0 ? 5000 : 300 * 1024);
            assert_int_equal(fa_buffer_length(answer->body), 0);
            assert_true(answer->complete);
            assert_header(client, "content-type", k == 0 ? "image/gif" : "video/mp4");
            fa_inprocess_free(client);
        }
    }
}

/* The status of a GET with these headers. */
static int status_with(const char *target, const char *name, const char *value, const char *name2, const char *value2)
{
    const char *const headers[] = {name, value, name2, value2, NULL};
    fa_inprocess *client = media_world_ask(&world, "GET", target, headers, false);
    const fa_inprocess_answer *answer = media_world_await(&world, client);
    int status = answer->status;
    assert_true(answer->complete);
    if (status == 304) {
        assert_int_equal(fa_buffer_length(answer->body), 0);
        assert_true(fa_inprocess_header(client, "etag").length > 2);
        assert_true(fa_inprocess_header(client, "cache-control").length > 2);
        assert_int_equal(fa_inprocess_header(client, "content-type").length, 0);
    }
    fa_inprocess_free(client);
    return status;
}

static void conditions_are_honoured(void **state)
{
    (void)state;
    media_world_write(&world, "a.gif", 5000, 1);
    media_world_write(&world, "large.mp4", 300 * 1024, 1);
    static const char *const targets[] = {"/a.gif", "/large.mp4"};
    for (int i = 0; i < 2; ++i) {
        char etag[100], list[300], weak[110], modified[40];
        const char *target = targets[i];
        media_world_get(&world, target);
        fa_text found = fa_inprocess_header(world.last, "etag"),
                date = fa_inprocess_header(world.last, "last-modified");
        snprintf(etag, sizeof(etag), "%.*s", (int)found.length, found.data);
        snprintf(list, sizeof(list), " \"x\" ,W/\"y,\", %s,\"z\"", etag);
        snprintf(weak, sizeof(weak), "W/%s", etag);
        snprintf(modified, sizeof(modified), "%.*s", (int)date.length, date.data);
        const char *old = "Sun, 06 Nov 1994 08:49:37 GMT";

        assert_int_equal(status_with(target, "If-None-Match", etag, NULL, NULL), 304);
        assert_int_equal(status_with(target, "if-none-match", list, NULL, NULL), 304);
        assert_int_equal(status_with(target, "if-none-match", weak, NULL, NULL), 304);
        assert_int_equal(status_with(target, "if-none-match", "*", NULL, NULL), 304);
        assert_int_equal(status_with(target, "if-none-match", "\"other\"", NULL, NULL), 200);
        assert_int_equal(status_with(target, "if-none-match", "garbage", NULL, NULL), 200);
        assert_int_equal(status_with(target, "if-none-match", "\"unclosed", NULL, NULL), 200);
        assert_int_equal(status_with(target, "if-none-match", "W/", NULL, NULL), 200);
        assert_int_equal(status_with(target, "if-modified-since", modified, NULL, NULL), 304);
        assert_int_equal(status_with(target, "if-modified-since", old, NULL, NULL), 200);
        assert_int_equal(status_with(target, "if-modified-since", "garbage", NULL, NULL), 200);
        /* If-None-Match decides alone */
        assert_int_equal(status_with(target, "if-none-match", "\"other\"", "if-modified-since", modified), 200);
        assert_int_equal(status_with(target, "if-none-match", etag, "if-modified-since", old), 304);
    }
}

static void assert_not_found(const fa_inprocess_answer *answer)
{
    assert_int_equal(answer->status, 404);
    assert_true(answer->complete);
    char text[2000];
    snprintf(text, sizeof(text), "%.*s", (int)fa_buffer_length(answer->body),
             (const char *)fa_buffer_data(answer->body));
    assert_non_null(strstr(text, "\"code\":\"not_found\""));
    assert_null(strstr(text, "/tmp")); /* no path of the file system in it */
    assert_null(strstr(text, "root"));
}

static void in_folder(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", world.folder, name);
}

static void folders_and_index(void **state)
{
    char path[256];
    (void)state;
    in_folder("pages", path);
    assert_int_equal(mkdir(path, 0700), 0);
    media_world_write(&world, "pages/index.html", 300, 5);
    media_world_write(&world, "index.html", 200, 6);
    assert_not_found(media_world_get(&world, "/"));
    assert_not_found(media_world_get(&world, "/pages/"));
    world.mount.index = "index.html";
    assert_file_answer(media_world_get(&world, "/"), 200, 6);
    assert_file_answer(media_world_get(&world, "/pages/"), 300, 5);
    assert_header(world.last, "content-type", "text/html; charset=utf-8");
    assert_not_found(media_world_get(&world, "/pages"));
    assert_not_found(media_world_get(&world, "/index.html/"));
    assert_not_found(media_world_get(&world, "/missing/"));
}

static void nothing_outside_of_the_root(void **state)
{
    static const char *const targets[] = {"/missing.gif",
                                          "/../secret.txt",
                                          "/%2e%2e/secret.txt",
                                          "/..%2fsecret.txt",
                                          "/.%2e/secret.txt",
                                          "/%2e%2e%5csecret.txt",
                                          "/%252e%252e/secret.txt",
                                          "/a.gif%00.html",
                                          "/a.gif/..",
                                          "//a.gif",
                                          "/folder//a.gif",
                                          "/%2fetc%2fpasswd",
                                          "//etc/passwd",
                                          "/leads_out.txt",
                                          "/folder_out/secret.txt",
                                          "/folder_out/root/a.gif/../../secret.txt",
                                          "/leads_nowhere",
                                          "/circle",
                                          "/pipe",
                                          "/a.gif/more"};
    static const char *const raw[] = {"../secret.txt",          "/etc/passwd", "..", ".", "folder/../a.gif", "./a.gif",
                                      "folder/../../secret.txt"};
    char path[256], target[256];
    (void)state;
    media_world_write(&world, "a.gif", 100, 1);
    snprintf(path, sizeof(path), "%s/secret.txt", world.outside);
    FILE *secret = fopen(path, "w");
    fputs("secret", secret);
    fclose(secret);
    in_folder("leads_out.txt", target);
    assert_int_equal(symlink(path, target), 0);
    in_folder("folder_out", target);
    assert_int_equal(symlink("..", target), 0);
    in_folder("leads_nowhere", target);
    assert_int_equal(symlink("gone", target), 0);
    in_folder("circle", target);
    assert_int_equal(symlink("circle", target), 0);
    in_folder("pipe", target);
    assert_int_equal(mkfifo(target, 0600), 0);
    in_folder("folder", target);
    assert_int_equal(mkdir(target, 0700), 0);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); ++i) {
        const fa_inprocess_answer *answer = media_world_get(&world, targets[i]);
        if (answer->status != 400) /* the exchange refuses what has no one meaning */
            assert_not_found(answer);
    }
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); ++i) {
        fa_text text = {raw[i], strlen(raw[i])};
        world.raw_path = &text;
        assert_not_found(media_world_get(&world, "/"));
    }
    fa_text with_nul = {"a.gif\0b", 7};
    world.raw_path = &with_nul;
    assert_not_found(media_world_get(&world, "/"));
    char *endless = malloc(10000);
    memset(endless, 'x', 10000);
    fa_text long_path = {endless, 10000};
    world.raw_path = &long_path;
    assert_not_found(media_world_get(&world, "/"));
    free(endless);
}

static void links_inside_of_the_root_are_followed(void **state)
{
    char target[256], path[256];
    (void)state;
    in_folder("folder", target);
    assert_int_equal(mkdir(target, 0700), 0);
    media_world_write(&world, "folder/a.gif", 100, 1);
    in_folder("link.gif", target);
    assert_int_equal(symlink("folder/a.gif", target), 0);
    in_folder("absolute", target);
    in_folder("folder", path);
    assert_int_equal(symlink(path, target), 0);
    assert_file_answer(media_world_get(&world, "/link.gif"), 100, 1);
    assert_file_answer(media_world_get(&world, "/absolute/a.gif"), 100, 1);

    snprintf(path, sizeof(path), "%s/the_root_is_a_link", world.outside);
    assert_int_equal(symlink(world.folder, path), 0);
    world.mount.root = path;
    assert_file_answer(media_world_get(&world, "/folder/a.gif"), 100, 1);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_by_extension),
        cmocka_unit_test(dates_are_written_and_read),
        IN_WORLD(a_file_with_its_headers),
        IN_WORLD(empty_files_and_one_byte),
        IN_WORLD(head_has_the_length_and_no_body),
        IN_WORLD(conditions_are_honoured),
        IN_WORLD(folders_and_index),
        IN_WORLD(nothing_outside_of_the_root),
        IN_WORLD(links_inside_of_the_root_are_followed),
    };
    return cmocka_run_group_tests_name("media", tests, NULL, NULL);
}
