/* From JSON files into the tables. SQLite parses the JSON; a file is taken whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "records.h"

enum { ID_MAX = 200, LOOK_EVERY = 32, OPTIMIZE_FROM = 200, MEDIA_MAX = 3 * PATH_MAX + 16 };

/* One record of the file, borrowed from the statement that reads it. */
typedef struct incoming {
    const char *id, *name, *type, *body, *own_media;
    size_t name_length;
    char media[MEDIA_MAX]; /* URL path, "" when there is none */
} incoming;

static fa_result failed(import_failure *failure, fa_result result, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static fa_result failed(import_failure *failure, fa_result result, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    failure->code = code;
    vsnprintf(failure->reason, sizeof(failure->reason), format, args);
    va_end(args);
    return result;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */
/* Where the bytes stop being UTF-8, or `length`. */
static size_t utf8_until(const unsigned char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        unsigned char c = text[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 4;
        if (more == 4 || more >= length - i)
            return i;
        for (size_t k = 1; k <= more; ++k) {
            if ((text[i + k] & 0xc0) != 0x80)
                return i;
        }
        if ((c == 0xe0 && text[i + 1] < 0xa0) || (c == 0xed && text[i + 1] >= 0xa0) ||
            (c == 0xf0 && text[i + 1] < 0x90) || (c == 0xf4 && text[i + 1] >= 0x90))
            return i; /* overlong, surrogate, beyond Unicode */
        i += more + 1;
    }
    return length;
}

static bool read_whole(int fd, char *to, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t got = read(fd, to + at, length - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static fa_result read_open_file(records *r, int fd, const char *file, char **text, size_t *length,
                                import_failure *failure)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return failed(failure, FA_INVALID, "invalid", "%s is no regular file", file);
    if ((double)about.st_size > r->max_import)
        return failed(failure, FA_INVALID, "too_large", "%s is larger than max_import (%.0f bytes)", file,
                      r->max_import);
    *length = (size_t)about.st_size;
    *text = r->api->allocate(r->host, *length + 1);
    if (*text == NULL)
        return failed(failure, FA_OVER_BUDGET, "no_memory", "no memory for the %zu bytes of %s", *length, file);
    if (!read_whole(fd, *text, *length))
        return failed(failure, FA_IO, "unavailable", "%s cannot be read whole", file);
    size_t good = utf8_until((const unsigned char *)*text, *length);
    if (good < *length)
        return failed(failure, FA_INVALID, "invalid", "%s is not UTF-8 at byte %zu", file, good);
    return FA_OK;
}

static fa_result read_file(records *r, const char *file, char **text, size_t *length, import_failure *failure)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO shall not hold us */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return failed(failure, FA_NOT_FOUND, "not_found", "there is no %s", file);
    if (fd < 0)
        return failed(failure, FA_IO, "unavailable", "%s: %s", file, strerror(errno));
    fa_result result = read_open_file(r, fd, file, text, length, failure);
    close(fd);
    return result;
}

/* ---- one record -------------------------------------------------------------------------------------------------- */
static void url_path(const char *file, char *to, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t used = 0;
    for (; *file != '\0' && used + 4 < room; ++file) {
        unsigned char c = (unsigned char)*file;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~/", c) != NULL) {
            to[used++] = (char)c;
        } else {
            to[used++] = '%';
            to[used++] = hex[c >> 4];
            to[used++] = hex[c & 15];
        }
    }
    to[used] = '\0';
}

/* The record's own word first; else <data>/media/<id>.gif when it is there. */
static void find_media(const records *r, incoming *record)
{
    char file[PATH_MAX + ID_MAX + 16], name[ID_MAX + 8];
    struct stat about;
    record->media[0] = '\0';
    if (record->own_media != NULL && record->own_media[0] != '\0') {
        bool whole = record->own_media[0] == '/' || strstr(record->own_media, "://") != NULL;
        size_t prefix = (size_t)snprintf(record->media, sizeof(record->media), "%s", whole ? "" : "/media/");
        if (whole)
            snprintf(record->media, sizeof(record->media), "%s", record->own_media);
        else
            url_path(record->own_media, record->media + prefix, sizeof(record->media) - prefix);
        return;
    }
    if (r->data[0] == '\0' || strchr(record->id, '/') != NULL)
        return;
    snprintf(name, sizeof(name), "%s.gif", record->id);
    snprintf(file, sizeof(file), "%s/media/%s", r->data, name);
    if (stat(file, &about) == 0 && S_ISREG(about.st_mode)) {
        memcpy(record->media, "/media/", 8);
        url_path(name, record->media + 7, sizeof(record->media) - 7);
    }
}

static fa_result store(records *r, statement_id row_statement, statement_id body_statement, const incoming *record,
                       int64_t rowid)
{
    char folded[400], alias[400];
    word_fold(record->name, record->name_length, folded, sizeof(folded));
    word_aliases(record->name, record->name_length, alias, sizeof(alias));
    sqlite3_stmt *row = records_statement(r, row_statement);
    sqlite3_bind_text(row, 1, record->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 2, record->type, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 3, record->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 4, folded, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 5, alias, -1, SQLITE_STATIC);
    if (record->media[0] != '\0')
        sqlite3_bind_text(row, 6, record->media, -1, SQLITE_STATIC);
    if (rowid != 0)
        sqlite3_bind_int64(row, 7, rowid);
    fa_result result = records_finish(r, row);
    if (rowid == 0)
        rowid = sqlite3_last_insert_rowid(r->db);

    sqlite3_stmt *body = records_statement(r, body_statement);
    sqlite3_bind_int64(body, 1, rowid);
    sqlite3_bind_text(body, 2, record->body, -1, SQLITE_STATIC);
    if (result == FA_OK)
        result = records_finish(r, body);
    sqlite3_stmt *index = records_statement(r, INDEX_ADD);
    sqlite3_bind_int64(index, 1, rowid);
    return result == FA_OK ? records_finish(r, index) : result;
}

static fa_result upsert(records *r, const incoming *record, import_counts *counts)
{
    sqlite3_stmt *find = records_statement(r, FIND_RECORD);
    sqlite3_bind_text(find, 1, record->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(find, 2, record->body, -1, SQLITE_STATIC);
    if (record->media[0] != '\0')
        sqlite3_bind_text(find, 3, record->media, -1, SQLITE_STATIC);
    int code = sqlite3_step(find);
    int64_t rowid = code == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    bool same = code == SQLITE_ROW && sqlite3_column_int(find, 1) != 0;
    sqlite3_reset(find);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return records_result(code);
    if (same) {
        counts->unchanged++;
        return FA_OK;
    }
    if (rowid == 0) {
        counts->imported++;
        return store(r, ADD_RECORD, ADD_BODY, record, 0);
    }
    counts->updated++;
    sqlite3_stmt *forget = records_statement(r, INDEX_DELETE); /* while the view still has the old text */
    sqlite3_bind_int64(forget, 1, rowid);
    fa_result result = records_finish(r, forget);
    return result == FA_OK ? store(r, CHANGE_RECORD, CHANGE_BODY, record, rowid) : result;
}

static const char *column(sqlite3_stmt *row, int index)
{
    return (const char *)sqlite3_column_text(row, index);
}

static bool plausible_type(const char *type)
{
    size_t length = strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return length > 0 && length <= 40 && type[length] == '\0' && strcmp(type, "basic") != 0;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; ++text) {
        if ((unsigned char)*text < ' ')
            return false;
    }
    return true;
}

/* What is wrong with a row of EACH_OF_ARRAY, or NULL; fills *record. */
static const char *read_row(sqlite3_stmt *row, incoming *record)
{
    const char *type = column(row, 0), *id_type = column(row, 2), *name_type = column(row, 4),
               *record_type = column(row, 6);
    if (type == NULL || strcmp(type, "object") != 0)
        return "it is no object";
    if (id_type == NULL || (strcmp(id_type, "text") != 0 && strcmp(id_type, "integer") != 0))
        return "it has no id";
    record->id = column(row, 3);
    if (record->id == NULL || record->id[0] == '\0' || sqlite3_column_bytes(row, 3) > ID_MAX || !printable(record->id))
        return "its id is empty, too long or not printable";
    if (name_type == NULL || strcmp(name_type, "text") != 0)
        return "it has no name";
    record->name = column(row, 5);
    record->name_length = (size_t)sqlite3_column_bytes(row, 5);
    if (record->name == NULL || record->name_length == 0)
        return "its name is empty";
    record->type = record_type != NULL && plausible_type(record_type) ? record_type : "exercise";
    record->body = column(row, 1);
    record->own_media = column(row, 7);
    return record->body == NULL ? "it cannot be read" : NULL;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */
static fa_result import_rows(records *r, sqlite3_stmt *rows, fa_call *call, import_counts *counts)
{
    incoming record;
    uint64_t seen = 0;
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *wrong = read_row(rows, &record);
        if (wrong == NULL) {
            find_media(r, &record);
            fa_result result = upsert(r, &record, counts);
            if (result != FA_OK)
                return result;
        } else if (counts->skipped++ == 0) {
            snprintf(counts->note, sizeof(counts->note), "number %lld: %s",
                     (long long)sqlite3_column_int64(rows, 8) + 1, wrong);
        }
        if (++seen % LOOK_EVERY == 0 && call != NULL) {
            if (r->api->cancelled(call))
                return FA_CANCELLED;
            r->api->progress(call, seen, counts->total);
        }
    }
    if (code == SQLITE_DONE && call != NULL)
        r->api->progress(call, counts->total, counts->total);
    return records_result(code);
}

static int text_bound(sqlite3_stmt *question, const char *text, size_t length)
{
    return sqlite3_bind_text64(question, 1, text, length, SQLITE_STATIC, SQLITE_UTF8);
}

/* SQLite 3.42 and later can tell where. */
static long long error_position(records *r, const char *text, size_t length)
{
    sqlite3_stmt *ask = NULL;
    long long position = 0;
    if (sqlite3_prepare_v2(r->db, "SELECT json_error_position(?1)", -1, &ask, NULL) == SQLITE_OK &&
        text_bound(ask, text, length) == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW)
        position = sqlite3_column_int64(ask, 0);
    sqlite3_finalize(ask);
    return position;
}

static fa_result check_array(records *r, const char *text, size_t length, import_counts *counts,
                             import_failure *failure)
{
    sqlite3_stmt *ask = records_statement(r, COUNT_ARRAY);
    int code = text_bound(ask, text, length);
    if (code == SQLITE_OK)
        code = sqlite3_step(ask);
    bool array = code == SQLITE_ROW && column(ask, 0) != NULL && strcmp(column(ask, 0), "array") == 0;
    counts->total = array ? (uint64_t)sqlite3_column_int64(ask, 1) : 0;
    records_statement(r, COUNT_ARRAY);
    if (array)
        return FA_OK;
    if (code == SQLITE_NOMEM || code == SQLITE_TOOBIG)
        return failed(failure, FA_NO_MEMORY, "no_memory", "the file is too large for this machine");
    if (code == SQLITE_ROW)
        return failed(failure, FA_INVALID, "invalid", "the file holds no array");
    long long position = error_position(r, text, length);
    if (position > 0)
        return failed(failure, FA_INVALID, "invalid", "malformed JSON at character %lld", position);
    return failed(failure, FA_INVALID, "invalid", "malformed JSON");
}

static fa_result import_text(records *r, const char *text, size_t length, fa_call *call, import_counts *counts,
                             import_failure *failure)
{
    fa_result result = check_array(r, text, length, counts, failure);
    if (result == FA_OK)
        result = records_finish(r, records_statement(r, BEGIN));
    if (result != FA_OK)
        return result;
    sqlite3_stmt *rows = records_statement(r, EACH_OF_ARRAY);
    text_bound(rows, text, length);
    result = import_rows(r, rows, call, counts);
    records_statement(r, EACH_OF_ARRAY);
    if (result == FA_OK && counts->imported + counts->updated >= OPTIMIZE_FROM)
        result = records_finish(r, records_statement(r, INDEX_OPTIMIZE));
    if (result == FA_OK)
        result = records_finish(r, records_statement(r, COMMIT));
    if (!sqlite3_get_autocommit(r->db)) {
        fa_result undone = records_finish(r, records_statement(r, ROLLBACK));
        result = result == FA_OK ? undone : result;
    }
    sqlite3_db_release_memory(r->db);
#ifdef __GLIBC__
    malloc_trim(0); /* parsing took a few times the file's size; without this the process keeps it */
#endif
    return result;
}

fa_result records_import_file(records *r, const char *file, fa_call *call, import_counts *counts,
                              import_failure *failure)
{
    char *text = NULL;
    size_t length = 0;
    *counts = (import_counts){.note = ""};
    *failure = (import_failure){.code = NULL};
    fa_result result = read_file(r, file, &text, &length, failure);
    if (result == FA_OK) {
        size_t mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        result = import_text(r, text + mark, length - mark, call, counts, failure);
    }
    if (text != NULL)
        r->api->release(r->host, text);
    if (result == FA_OK || result == FA_CANCELLED || failure->code != NULL)
        return result;
    if (result == FA_TIMED_OUT)
        return failed(failure, result, "busy", "another process is writing to %s", r->path);
    return failed(failure, result, "unavailable", "the database refused: %s", sqlite3_errmsg(r->db));
}

/* ---- the data folder --------------------------------------------------------------------------------------------- */
static bool data_stamp(const records *r, const char *file, char *stamp, size_t room)
{
    char media[PATH_MAX + 16];
    struct stat about, media_about = {.st_size = 0};
    if (stat(file, &about) != 0)
        return false;
    snprintf(media, sizeof(media), "%s/media", r->data);
    if (stat(media, &media_about) != 0)
        media_about = (struct stat){.st_size = 0};
    snprintf(stamp, room, "%lld %lld.%09ld %lld.%09ld %s", (long long)about.st_size, (long long)about.st_mtim.tv_sec,
             about.st_mtim.tv_nsec, (long long)media_about.st_mtim.tv_sec, media_about.st_mtim.tv_nsec, file);
    return true;
}

static bool has_stamp(records *r, const char *stamp)
{
    sqlite3_stmt *ask = records_statement(r, META_GET);
    sqlite3_bind_text(ask, 1, "data_stamp", -1, SQLITE_STATIC);
    bool same = sqlite3_step(ask) == SQLITE_ROW && column(ask, 0) != NULL && strcmp(column(ask, 0), stamp) == 0;
    sqlite3_reset(ask);
    return same;
}

static void data_file(const records *r, char file[PATH_MAX + 32])
{
    snprintf(file, PATH_MAX + 32, "%s/exercises.json", r->data);
}

bool records_is_data_file(const records *r, const char *file)
{
    char ours[PATH_MAX + 32];
    struct stat one, other;
    data_file(r, ours);
    return r->data[0] != '\0' && stat(ours, &one) == 0 && stat(file, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static void remember(records *r, const char *stamp)
{
    sqlite3_stmt *set = records_statement(r, META_SET);
    sqlite3_bind_text(set, 1, "data_stamp", -1, SQLITE_STATIC);
    sqlite3_bind_text(set, 2, stamp, -1, SQLITE_STATIC);
    records_finish(r, set);
    r->loaded = true;
}

void records_data_was_loaded(records *r)
{
    char file[PATH_MAX + 32], stamp[PATH_MAX + 160];
    data_file(r, file);
    if (data_stamp(r, file, stamp, sizeof(stamp)))
        remember(r, stamp);
}

void records_load_data(records *r, bool once)
{
    char file[PATH_MAX + 32], stamp[PATH_MAX + 160];
    import_counts counts;
    import_failure failure;
    if ((once && r->loaded) || r->data[0] == '\0')
        return;
    r->loaded = true;
    data_file(r, file);
    if (!data_stamp(r, file, stamp, sizeof(stamp)) || has_stamp(r, stamp))
        return;
    if (records_import_file(r, file, NULL, &counts, &failure) != FA_OK) {
        r->api->log(r->host, FA_LOG_ERROR, "%s was not imported: %s", file, failure.reason);
        return;
    }
    remember(r, stamp);
    r->api->log(r->host, FA_LOG_INFO, "%s: %llu new, %llu changed, %llu as before, %llu skipped%s%s", file,
                (unsigned long long)counts.imported, (unsigned long long)counts.updated,
                (unsigned long long)counts.unchanged, (unsigned long long)counts.skipped,
                counts.note[0] != '\0' ? "; " : "", counts.note);
}
