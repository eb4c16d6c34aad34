/* The records plugin inside: one struct, one file per idea.
 *
 *     records.c  open, close, the functions that scripts see     schema.c  the database: connection, tables, statements
 *     import.c   from JSON files into the tables                 query.c   from a question to an FTS5 expression
 *     search.c   from a call to the reply of GET /api/records    rank.c    what makes a hit a good one
 *     words.c    tokens, stop words, typing errors
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fitnessally/plugin.h"
#include "words.h"

/* Prepared once, see schema.c. */
typedef enum statement_id {
    BEGIN,
    COMMIT,
    ROLLBACK,
    META_GET,
    META_SET,
    FIND_RECORD,
    ADD_RECORD,
    CHANGE_RECORD,
    ADD_BODY,
    CHANGE_BODY,
    INDEX_ADD,
    INDEX_DELETE,
    INDEX_OPTIMIZE,
    COUNT_ARRAY,
    EACH_OF_ARRAY,
    COUNT_RECORDS,
    COUNT_TYPES,
    COUNT_LISTED,
    COUNT_IDS,
    COUNT_HITS,
    PAGE_LISTED,
    PAGE_IDS,
    PAGE_HITS,
    RENDER,
    EXPORT,
    HAS_WORD,
    ALL_WORDS,
    DATA_VERSION,
    DATABASE_BYTES,
    STATEMENTS
} statement_id;

typedef struct records {
    fa_plugin_host *host;
    const fa_host_api *api;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char path[PATH_MAX], data[PATH_MAX]; /* data: "" when there is none */
    double max_import;
    bool loaded; /* the data folder was looked at */
    vocabulary words;
    int64_t words_version; /* the data version that `words` was read at */
} records;

/* Writes the text (cut to fit) when there is an error to write to, and returns `result`. */
fa_result records_error(fa_error *error, fa_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- schema.c ---- */
/* Opens (makes) the database and prepares everything. The text in *error names the reason. */
fa_result records_open_database(records *r, fa_error *error);
void records_close_database(records *r);

/* The statement, reset and without bindings. */
sqlite3_stmt *records_statement(records *r, statement_id which);
/* Runs a statement to its end. FA_OK, FA_NO_MEMORY, FA_IO. */
fa_result records_finish(records *r, sqlite3_stmt *job);
/* The first column of the first row as a number, 0 when there is none. */
int64_t records_number(sqlite3_stmt *question);
/* What SQLite's error means here; FA_OK for rows and ends. */
fa_result records_result(int code);

/* ---- import.c ---- */
typedef struct import_counts {
    uint64_t imported, updated, unchanged, skipped, total;
    char note[200]; /* why the first one was skipped */
} import_counts;

/* Reads a file into the tables, all of it or nothing. call: NULL when nobody asked; else it hears of progress and may
 * be cancelled. On failure code and reason are set (not for FA_CANCELLED). */
typedef struct import_failure {
    const char *code;
    char reason[300];
} import_failure;
fa_result records_import_file(records *r, const char *file, fa_call *call, import_counts *counts,
                              import_failure *failure);

/* Imports <data>/exercises.json unless the database holds just that. once: only the first time. Trouble is logged: what
 * the database has is served all the same. */
void records_load_data(records *r, bool once);

/* For import{}: the data folder's own file is imported like any other and then remembered as loaded; before any other,
 * the data folder has its turn, so that what was asked for wins. */
bool records_is_data_file(const records *r, const char *file);
void records_data_was_loaded(records *r);

/* ---- query.c ---- */
enum {
    QUERY_WORDS = 16,      /* of a question, the others are ignored */
    QUERY_PHRASES = 48,    /* words and their other spellings */
    QUERY_TEXT = 16 * 1024 /* bytes of a question that are looked at */
};

typedef struct query {
    bool blank;                     /* nothing was asked: list */
    char match[4096];               /* the FTS5 expression; "" when no word of the question is known here */
    char groups[QUERY_PHRASES + 1]; /* for each phrase the word that it stands for, 'a'... */
    char folded[QUERY_TEXT + 4];    /* " the question like this " , to find whole names in it */
} query;

void query_make(records *r, const char *text, size_t length, query *made);

/* ---- rank.c ---- */
int rank_register(sqlite3 *db);

/* ---- search.c ---- */
fa_result records_search(void *state, fa_call *call);

#endif
