/* For tests of the records plugin: a folder with a handful of records, the plugin opened on it, and what is asked of it in a line. */
#ifndef FA_UNIT_RECORDS_WORLD_H
#define FA_UNIT_RECORDS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "testing.h"

#include "fake_host.h"

extern const char records_plank[];   /* one record */
extern const char records_fixture[]; /* a format: all the records; its argument is the first of them */
enum { FIXTURE = 7 };                /* so many they are */

typedef struct records_world {
    char root[64], data[80], state[100], path[128];
    const char *config[9];
    fake_host *host;
} records_world;

/* For cmocka_unit_test_setup_teardown. */
int records_world_begin(void **state);
int records_world_end(void **state);
#define WITH_RECORDS(test) cmocka_unit_test_setup_teardown(test, records_world_begin, records_world_end)

void records_write(const char *path, const char *text);

/* w->path, which is now that of `name` in the world's folder. */
const char *records_path(records_world *w, const char *name);

/* The plugin once more, with w->config as it is now. */
fake_host *records_open_again(records_world *w);

void assert_json(const char *text);

/* A search that has run well; the caller ends it. */
fake_call *search_bytes(fake_host *host, const char *query, size_t length);
fake_call *search(fake_host *host, const char *query);

/* The names of a reply's records in order, "A|B|C". */
char *names(const fake_call *call, char *to, size_t room);

void finds(fake_host *host, const char *query, const char *expected);

/* Expects the first ones only. */
void finds_first(fake_host *host, const char *query, const char *expected);

/* A page of a search: its names, and what its head must hold. */
void ask_page(fake_host *host, const char *query, double limit, double page, const char *expected, const char *part);

/* Runs the call, which must fail so, and ends it. */
void fails_with(fake_call *call, const char *code);

/* An import that has not run yet; the caller ends it. */
fake_call *importing(fake_host *host, const char *file);

/* Imports `text` and expects these counts; note: NULL for none. */
void imports(records_world *w, const char *text, int imported, int updated, int unchanged, int skipped,
             const char *note);

int record_count(fake_host *host);

#endif
