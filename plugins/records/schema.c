#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "records.h"

enum { SCHEMA_VERSION = 1, BUSY_MS = 5000 };

/* For this connection only: sqlite3_config would be for the whole process, which may not be ours. */
static const char connection_sql[] = "PRAGMA journal_mode=WAL;"
                                     "PRAGMA synchronous=NORMAL;"
                                     "PRAGMA journal_size_limit=1048576;"
                                     "PRAGMA cache_size=-512;"
                                     "PRAGMA mmap_size=0;"
                                     "PRAGMA temp_store=MEMORY;"
                                     "PRAGMA foreign_keys=OFF;";

/* body is the record as it was imported, but for white space. What search needs of it lies in narrow rows of its own.
 * The index keeps no text: it reads the view when it has to forget a record, which is why a change deletes from it
 * first. */
/* SQL is laid out by hand. */
/* clang-format off */
#define TEXT_OF(field) "coalesce(json_extract(b.body, '$." field "'), '') || ' ' || "
static const char schema_sql[] =
    "CREATE TABLE records(rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, name TEXT NOT NULL,"
    "  folded TEXT NOT NULL, alias TEXT NOT NULL, media TEXT);"
    "CREATE INDEX records_by_name ON records(folded, id);"
    "CREATE TABLE bodies(rowid INTEGER PRIMARY KEY, body TEXT NOT NULL);"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE VIEW record_text(rowid, name, alias, main, about, steps) AS SELECT r.rowid, r.name, r.alias, "
    TEXT_OF("primaryMuscles") TEXT_OF("equipment") TEXT_OF("category") TEXT_OF("tagItems") "'', "
    TEXT_OF("secondaryMuscles") TEXT_OF("force") TEXT_OF("level") TEXT_OF("mechanic") TEXT_OF("description") "'', "
    "  coalesce((SELECT group_concat(value, ' ') FROM json_each(b.body, '$.instructions')), '')"
    "  FROM records r JOIN bodies b ON b.rowid = r.rowid;"
    "CREATE VIRTUAL TABLE search USING fts5(name, alias, main, about, steps, content='record_text',"
    "  content_rowid='rowid', tokenize='porter unicode61 remove_diacritics 2');"
    "CREATE VIRTUAL TABLE search_words USING fts5vocab(search, col);"
    "PRAGMA user_version=1;";

/* Parts of a reply. A field of another type than expected is shown as if it were absent. */
#define FACT(field) "CASE json_type(b.body, '$." field "') WHEN 'text' THEN b.body->>'$." field "' END"
#define TEXT_FIELD(field) "'" field "', " FACT(field)
#define LIST_FIELD(field) \
    "'" field "', CASE json_type(b.body, '$." field "') WHEN 'array' THEN json(b.body->'$." field "')" \
    " WHEN 'text' THEN json_array(b.body->>'$." field "') ELSE json('[]') END"
#define FACT_LIST(field) \
    "SELECT value FROM json_each(CASE json_type(b.body, '$." field "') WHEN 'array' THEN b.body->'$." field "'" \
    " ELSE '[]' END) WHERE type = 'text'"

static const char render_sql[] =
    "SELECT json_object("
    "'data', json_object("
    "  'basic', json_object("
    "    'name', r.name,"
    "    'description', coalesce(" FACT("description") ","
    "       nullif(trim(coalesce(" FACT("level") " || ' ', '') || coalesce(" FACT("category") " || ' ', '') || r.type"
    "         || coalesce(' for ' || (SELECT group_concat(value, ', ') FROM (" FACT_LIST("primaryMuscles") ")), '')"
    "         || coalesce('; equipment: ' || " FACT("equipment") ", '')), r.type), ''),"
    "    'language', coalesce(" FACT("language") ", 'en'),"
    "    'tagItems', (SELECT json_group_array(tag) FROM (SELECT DISTINCT tag FROM ("
    "       SELECT " FACT("category") " AS tag UNION ALL SELECT " FACT("level") " UNION ALL SELECT " FACT("force")
    "       UNION ALL SELECT " FACT("mechanic") " UNION ALL SELECT " FACT("equipment")
    "       UNION ALL " FACT_LIST("primaryMuscles") " UNION ALL " FACT_LIST("tagItems") ") WHERE tag IS NOT NULL))),"
    "  r.type, CASE r.type WHEN 'exercise' THEN json_object("
    TEXT_FIELD("force") "," TEXT_FIELD("level") "," TEXT_FIELD("mechanic") "," TEXT_FIELD("equipment") ","
    LIST_FIELD("primaryMuscles") "," LIST_FIELD("secondaryMuscles") "," LIST_FIELD("instructions") ","
    TEXT_FIELD("category") ", 'media', r.media)"
    "    ELSE json_set(b.body, '$.media', r.media) END),"
    "'oip', json_object('did', 'did:local:' || r.id, 'didTx', 'did:local:' || r.id, 'recordType', r.type,"
    "  'recordStatus', 'original'))"
    " FROM records r JOIN bodies b ON b.rowid = r.rowid WHERE r.rowid = ?1";

/* Parameters: 1 expression, 2 type, 3 ids, 4 the folded question, 5 groups of phrases, 6 limit, 7 offset. */
#define HIT_FROM \
    " FROM search s JOIN records r ON r.rowid = s.rowid WHERE search MATCH ?1 AND (?2 IS NULL OR r.type = ?2)" \
    " AND (?3 IS NULL OR r.id IN (SELECT value FROM json_each(?3)))"
#define ID_FROM \
    " FROM json_each(?3) wanted JOIN records r ON r.id = wanted.value WHERE (?2 IS NULL OR r.type = ?2)"
#define IF_OBJECT(what) "CASE type WHEN 'object' THEN " what " END"
#define IF_TEXT(field) IF_OBJECT("CASE json_type(value, '$." field "') WHEN 'text' THEN value->>'$." field "' END")

static const char *const statement_sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [META_SET] = "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
    [FIND_RECORD] = "SELECT r.rowid, b.body = ?2 AND r.media IS ?3 FROM records r JOIN bodies b ON b.rowid = r.rowid"
                    " WHERE r.id = ?1",
    [ADD_RECORD] = "INSERT INTO records(id, type, name, folded, alias, media) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [CHANGE_RECORD] = "UPDATE records SET id = ?1, type = ?2, name = ?3, folded = ?4, alias = ?5, media = ?6"
                      " WHERE rowid = ?7",
    [ADD_BODY] = "INSERT INTO bodies(rowid, body) VALUES(?1, ?2)",
    [CHANGE_BODY] = "UPDATE bodies SET body = ?2 WHERE rowid = ?1",
    [INDEX_ADD] = "INSERT INTO search(rowid, name, alias, main, about, steps)"
                  " SELECT rowid, name, alias, main, about, steps FROM record_text WHERE rowid = ?1",
    [INDEX_DELETE] = "INSERT INTO search(search, rowid, name, alias, main, about, steps)"
                     " SELECT 'delete', rowid, name, alias, main, about, steps FROM record_text WHERE rowid = ?1",
    [INDEX_OPTIMIZE] = "INSERT INTO search(search) VALUES('optimize')",
    [COUNT_ARRAY] = "SELECT json_type(?1), json_array_length(?1)",
    [EACH_OF_ARRAY] = "SELECT type, value,"
                      IF_OBJECT("json_type(value, '$.id')") "," IF_OBJECT("value->>'$.id'") ","
                      IF_OBJECT("json_type(value, '$.name')") "," IF_OBJECT("value->>'$.name'") ","
                      IF_TEXT("recordType") "," IF_TEXT("media") ", key FROM json_each(?1)",
    [COUNT_RECORDS] = "SELECT count(*) FROM records",
    [COUNT_TYPES] = "SELECT type, count(*) FROM records GROUP BY type ORDER BY count(*) DESC, type",
    [COUNT_LISTED] = "SELECT count(*) FROM records WHERE (?2 IS NULL OR type = ?2)",
    [COUNT_IDS] = "SELECT count(*)" ID_FROM,
    [COUNT_HITS] = "SELECT count(*)" HIT_FROM,
    [PAGE_LISTED] = "SELECT rowid FROM records WHERE (?2 IS NULL OR type = ?2) ORDER BY folded, id LIMIT ?6 OFFSET ?7",
    [PAGE_IDS] = "SELECT r.rowid" ID_FROM " ORDER BY wanted.key LIMIT ?6 OFFSET ?7",
    /* Whole names that the question mentions first, the longest of them first; then closeness; among names that have all
     * its words, what anybody can do anywhere; then bm25, where the name weighs most. See rank.c. */
    [PAGE_HITS] = "SELECT s.rowid" HIT_FROM
                  " ORDER BY CASE WHEN instr(?4, ' ' || r.folded || ' ') > 0 THEN length(r.folded) ELSE 0 END DESC,"
                  " closeness(search, ?5) DESC,"
                  " CASE WHEN closeness(search, ?5) > 1100 THEN"
                  "  (SELECT coalesce(b.body->>'$.level' = 'beginner', 0)"
                  "   + coalesce(b.body->>'$.equipment' = 'body only', 0) FROM bodies b WHERE b.rowid = r.rowid) END DESC,"
                  " bm25(search, 10.0, 8.0, 5.0, 2.0, 1.0), r.folded LIMIT ?6 OFFSET ?7",
    [RENDER] = render_sql,
    [EXPORT] = "SELECT b.body FROM records r JOIN bodies b ON b.rowid = r.rowid ORDER BY r.rowid",
    [HAS_WORD] = "SELECT 1 FROM search WHERE search MATCH ?1 LIMIT 1",
    [ALL_WORDS] = "SELECT term, doc FROM search_words WHERE col IN ('name', 'alias', 'main', 'about')",
    [DATA_VERSION] = "PRAGMA data_version",
    [DATABASE_BYTES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
};
/* clang-format on */

fa_result records_result(int code)
{
    switch (code) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FA_OK;
    case SQLITE_NOMEM:
        return FA_NO_MEMORY;
    case SQLITE_INTERRUPT:
        return FA_CANCELLED;
    case SQLITE_BUSY:
        return FA_TIMED_OUT;
    default:
        return FA_IO;
    }
}

sqlite3_stmt *records_statement(records *r, statement_id which)
{
    sqlite3_reset(r->statements[which]);
    sqlite3_clear_bindings(r->statements[which]);
    return r->statements[which];
}

fa_result records_finish(records *r, sqlite3_stmt *job)
{
    int code;
    do {
        code = sqlite3_step(job);
    } while (code == SQLITE_ROW);
    sqlite3_reset(job);
    if (code != SQLITE_DONE)
        r->api->log(r->host, FA_LOG_ERROR, "database: %s", sqlite3_errmsg(r->db));
    return records_result(code);
}

int64_t records_number(sqlite3_stmt *question)
{
    int64_t value = sqlite3_step(question) == SQLITE_ROW ? sqlite3_column_int64(question, 0) : 0;
    sqlite3_reset(question);
    return value;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */
static fa_result complain(records *r, fa_error *error, int code, const char *what)
{
    fa_result result = records_result(code);
    return records_error(error, result == FA_OK ? FA_IO : result, "%s: %s: %s", r->path, what,
                         r->db != NULL ? sqlite3_errmsg(r->db) : sqlite3_errstr(code));
}

static int user_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *ask = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &ask, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(ask)) == SQLITE_ROW) {
        *version = sqlite3_column_int(ask, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(ask);
    return code;
}

/* Looks again inside the transaction: another process may be making the same database. */
static int make_schema(sqlite3 *db, int *version)
{
    int code = user_version(db, version);
    if (code != SQLITE_OK || *version != 0)
        return code;
    code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = user_version(db, version);
    if (code == SQLITE_OK && *version == 0) {
        code = sqlite3_exec(db, schema_sql, NULL, NULL, NULL);
        *version = SCHEMA_VERSION;
    }
    if (code == SQLITE_OK)
        return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int prepare_all(records *r)
{
    for (int i = 0; i < STATEMENTS; ++i) {
        int code = sqlite3_prepare_v3(r->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->statements[i], NULL);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

fa_result records_open_database(records *r, fa_error *error)
{
    /* One thread uses it, from open to close: no mutex. */
    int version = 0, flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(r->path, &r->db, flags, NULL);
    if (code != SQLITE_OK)
        return complain(r, error, code, "cannot be opened");
    sqlite3_busy_timeout(r->db, BUSY_MS);
    sqlite3_limit(r->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if ((code = sqlite3_exec(r->db, connection_sql, NULL, NULL, NULL)) != SQLITE_OK)
        return complain(r, error, code, "is no database");
    if ((code = rank_register(r->db)) != SQLITE_OK)
        return complain(r, error, code, "this SQLite has no FTS5");
    if ((code = make_schema(r->db, &version)) != SQLITE_OK)
        return complain(r, error, code, "cannot be prepared");
    if (version != SCHEMA_VERSION)
        return records_error(error, FA_UNSUPPORTED, "%s: made by another version (schema %d, this is %d)", r->path,
                             version, SCHEMA_VERSION);
    if ((code = prepare_all(r)) != SQLITE_OK)
        return complain(r, error, code, "has other tables");
    return FA_OK;
}

void records_close_database(records *r)
{
    for (int i = 0; i < STATEMENTS; ++i)
        sqlite3_finalize(r->statements[i]);
    sqlite3_close(r->db);
}
