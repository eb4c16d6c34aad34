/* core/media: finding and reading files, without a server around. */
#include "testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/file.h"

static char outside[64], root[80];

static void path_in(const char *folder, const char *name, char out[200])
{
    snprintf(out, 200, "%s/%s", folder, name);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[200];
    path_in(folder, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const char *folder, const char *name)
{
    char path[200];
    path_in(folder, name, path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int begin(void **state)
{
    (void)state;
    snprintf(outside, sizeof(outside), "/tmp/fa-file-XXXXXX");
    assert_non_null(mkdtemp(outside));
    snprintf(root, sizeof(root), "%s/root", outside);
    assert_int_equal(mkdir(root, 0700), 0);
    return 0;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", outside);
    return system(command);
}

static void a_file_is_opened_identified_and_read(void **state)
{
    char bytes[11] = {0};
    fa_file_id id;
    int fd;
    (void)state;
    write_text(root, "a.txt", "0123456789");
    assert_ok(fa_file_open(root, "a.txt", &fd, &id));
    assert_int_equal(id.size, 10);
    assert_ok(fa_file_read(fd, &id, 0, bytes, 10));
    assert_string_equal(bytes, "0123456789");
    assert_ok(fa_file_read(fd, &id, 8, bytes, 2));
    assert_memory_equal(bytes, "89", 2);
    assert_ok(fa_file_read(fd, &id, 10, NULL, 0));
    assert_int_equal(fa_file_read(fd, &id, 8, bytes, 3), FA_CONFLICT); /* fewer than promised */
    write_text(root, "a.txt", "0123456789 and more");
    assert_int_equal(fa_file_read(fd, &id, 0, bytes, 10), FA_CONFLICT); /* has grown meanwhile */
    close(fd);
    assert_int_equal(fa_file_read(fd, &id, 0, bytes, 10), FA_IO);
}

static void what_is_no_file_is_not_found(void **state)
{
    fa_file_id id;
    int fd;
    (void)state;
    make_folder(root, "folder");
    write_text(outside, "secret", "secret");
    assert_int_equal(fa_file_open(root, "folder", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open(root, "missing", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open(root, "../secret", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open(root, "folder/../../secret", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open(root, ".", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open("/no/such/root", "a", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open("/dev", "null", &fd, &id), FA_NOT_FOUND);
}

/* "root" is no prefix of "root_and_more" in the sense that counts, nor is "toor" the root for being as long. What the
 * rest of such a path happens to name below the root is not served in its place. */
static void siblings_are_outside(void **state)
{
    char target[200], link[200];
    fa_file_id id;
    int fd;
    (void)state;
    make_folder(root, "and_more");
    write_text(root, "and_more/a", "something else");
    write_text(root, "a", "something else");
    make_folder(outside, "toor");
    write_text(outside, "toor/a", "secret");
    path_in(outside, "toor/a", target);
    path_in(root, "other_link", link);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(fa_file_open(root, "other_link", &fd, &id), FA_NOT_FOUND);
    make_folder(outside, "root_and_more");
    write_text(outside, "root_and_more/a", "secret");
    path_in(outside, "root_and_more/a", target);
    path_in(root, "link", link);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(fa_file_open(root, "link", &fd, &id), FA_NOT_FOUND);
    assert_int_equal(fa_file_open("/", outside + 1, &fd, &id), FA_NOT_FOUND); /* a folder */
    snprintf(link, sizeof(link), "%s/root_and_more/a", outside + 1);
    assert_ok(fa_file_open("/", link, &fd, &id)); /* the root of all */
    close(fd);
}

static _Atomic bool stop;

/* Exchanges the folder for a link that leads out, and back, as fast as it can. */
static void *keep_exchanging(void *context)
{
    char folder[200], link[200], aside[200];
    (void)context;
    path_in(root, "folder", folder);
    path_in(root, "out", link);
    path_in(root, "aside", aside);
    while (!stop) {
        rename(folder, aside);
        rename(link, folder);
        rename(folder, link);
        rename(aside, folder);
    }
    return NULL;
}

static void a_folder_exchanged_for_a_link_leads_nowhere(void **state)
{
    char link[200], secrets[200], bytes[7];
    pthread_t exchanger;
    unsigned found = 0, missed = 0;
    (void)state;
    make_folder(root, "folder");
    write_text(root, "folder/a", "public");
    make_folder(outside, "secrets");
    write_text(outside, "secrets/a", "secret");
    path_in(outside, "secrets", secrets);
    path_in(root, "out", link);
    assert_int_equal(symlink(secrets, link), 0);
    stop = false;
    assert_int_equal(pthread_create(&exchanger, NULL, keep_exchanging, NULL), 0);
    for (int i = 0; i < 20000; ++i) {
        fa_file_id id;
        int fd;
        if (fa_file_open(root, "folder/a", &fd, &id) != FA_OK) {
            missed++;
            continue;
        }
        assert_ok(fa_file_read(fd, &id, 0, bytes, 6));
        assert_memory_equal(bytes, "public", 6);
        close(fd);
        found++;
    }
    stop = true;
    pthread_join(exchanger, NULL);
    assert_true(found + missed == 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_opened_identified_and_read, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_not_found, begin, end),
        cmocka_unit_test_setup_teardown(siblings_are_outside, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_exchanged_for_a_link_leads_nowhere, begin, end),
    };
    return cmocka_run_group_tests_name("media file", tests, NULL, NULL);
}
