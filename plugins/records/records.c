#include "records.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- functions that scripts see (search: search.c) --------------------------------------------------------------- */
static fa_result give_number(const records *r, fa_call *call, fa_result before, const char *key, double value)
{
    return before == FA_OK ? r->api->result_number(call, key, value) : before;
}

/* import{file=} */
static fa_result import(void *state, fa_call *call)
{
    records *r = state;
    const fa_host_api *api = r->api;
    char file[PATH_MAX];
    size_t length;
    const char *given = api->argument_text(call, "file", &length);
    if (given == NULL || length == 0 || length >= sizeof(file) || memchr(given, '\0', length) != NULL)
        return api->fail(call, "invalid", "file is missing");
    snprintf(file, sizeof(file), "%.*s", (int)length, given);

    import_counts counts;
    import_failure failure;
    bool own = records_is_data_file(r, file);
    if (!own)
        records_load_data(r, true);
    fa_result result = records_import_file(r, file, call, &counts, &failure);
    if (result != FA_OK && failure.code != NULL)
        return api->fail(call, failure.code, "%s", failure.reason);
    if (result == FA_OK && own)
        records_data_was_loaded(r);
    result = give_number(r, call, result, "imported", (double)counts.imported);
    result = give_number(r, call, result, "updated", (double)counts.updated);
    result = give_number(r, call, result, "unchanged", (double)counts.unchanged);
    result = give_number(r, call, result, "skipped", (double)counts.skipped);
    result = give_number(r, call, result, "total", (double)counts.total);
    if (result == FA_OK && counts.note[0] != '\0')
        result = api->result_text(call, "note", counts.note, strlen(counts.note));
    return result;
}

/* prepare{}: looks at the data folder now, so that the first search need not; again when asked again. */
static fa_result prepare(void *state, fa_call *call)
{
    records *r = state;
    records_load_data(r, false);
    return r->api->result_number(call, "records", (double)records_number(records_statement(r, COUNT_RECORDS)));
}

static fa_result append_all(records *r, fa_call *call, fa_buffer *buffer)
{
    const fa_host_api *api = r->api;
    sqlite3_stmt *each = records_statement(r, EXPORT);
    const char *between = "[";
    fa_result result = FA_OK;
    int code = SQLITE_DONE;
    while (result == FA_OK && (code = sqlite3_step(each)) == SQLITE_ROW) {
        const void *body = sqlite3_column_text(each, 0);
        result = api->cancelled(call) ? FA_CANCELLED : api->buffer_append(buffer, between, strlen(between));
        if (result == FA_OK)
            result = api->buffer_append(buffer, body, (size_t)sqlite3_column_bytes(each, 0));
        between = ",\n";
    }
    sqlite3_reset(each);
    if (result == FA_OK)
        result = records_result(code);
    if (result != FA_OK)
        return result;
    return *between == '[' ? api->buffer_append(buffer, "[]\n", 3) : api->buffer_append(buffer, "]\n", 2);
}

/* export{}: everything, as import{} takes it. */
static fa_result export(void *state, fa_call *call)
{
    records *r = state;
    fa_buffer *buffer;
    records_load_data(r, true);
    fa_result result = r->api->result_buffer(call, "json", 64 * 1024, &buffer);
    return result == FA_OK ? append_all(r, call, buffer) : result;
}

/* stats{}: records, types, type_<name> for the most frequent ones, database, database_bytes, memory_bytes */
static fa_result stats(void *state, fa_call *call)
{
    enum { NAMED = 8 };
    records *r = state;
    int types = 0;
    records_load_data(r, true);
    fa_result result = r->api->result_text(call, "database", r->path, strlen(r->path));
    result = give_number(r, call, result, "records", (double)records_number(records_statement(r, COUNT_RECORDS)));
    result =
        give_number(r, call, result, "database_bytes", (double)records_number(records_statement(r, DATABASE_BYTES)));
    result = give_number(r, call, result, "memory_bytes", (double)sqlite3_memory_used());
    sqlite3_stmt *each = records_statement(r, COUNT_TYPES);
    while (result == FA_OK && sqlite3_step(each) == SQLITE_ROW) {
        char key[64];
        snprintf(key, sizeof(key), "type_%s", (const char *)sqlite3_column_text(each, 0));
        if (types++ < NAMED)
            result = give_number(r, call, result, key, (double)sqlite3_column_int64(each, 1));
    }
    sqlite3_reset(each);
    return give_number(r, call, result, "types", types);
}

/* All of this process: SQLite does not count by connection. */
static size_t attributed(void *state)
{
    (void)state;
    return (size_t)sqlite3_memory_used();
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */
fa_result records_error(fa_error *error, fa_result result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error != NULL)
        vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return result;
}

/* FNV-1a: it only has to tell a few folders apart. */
static uint32_t hash(const char *text)
{
    uint32_t value = 2166136261u;
    for (; *text != '\0'; ++text)
        value = (value ^ (unsigned char)*text) * 16777619u;
    return value;
}

/* Makes a folder and those above it. */
static bool make_folder(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = part + 1; *slash != '\0'; ++slash) {
        if (*slash != '/')
            continue;
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

static const char *configured(const records *r, const char *key)
{
    const char *value = r->api->config(r->host, key);
    return value == NULL ? "" : value;
}

static fa_result find_paths(records *r, fa_error *error)
{
    const char *data = configured(r, "data"), *database = configured(r, "database"),
               *state_dir = configured(r, "state_dir");
    char real[PATH_MAX];
    int length;
    snprintf(r->data, sizeof(r->data), "%s", data);
    if (*data != '\0' && realpath(data, real) != NULL)
        memcpy(r->data, real, sizeof(real));
    if (*database != '\0') {
        length = snprintf(r->path, sizeof(r->path), "%s", database);
    } else {
        if (*state_dir == '\0')
            return records_error(error, FA_INVALID, "neither records.database nor state_dir is set");
        if (!make_folder(state_dir))
            return records_error(error, FA_IO, "cannot make the folder %s: %s", state_dir, strerror(errno));
        length = snprintf(r->path, sizeof(r->path), "%s/records-%08x.db", state_dir, hash(r->data));
    }
    return length < (int)sizeof(r->path) ? FA_OK : records_error(error, FA_INVALID, "the database's path is too long");
}

static void close_records(void *state)
{
    records *r = state;
    records_close_database(r);
    if (r->words.text != NULL)
        r->api->release(r->host, r->words.text);
    r->api->release(r->host, r);
}

static fa_result open_records(fa_plugin_host *host, const fa_host_api *api, void **state, fa_error *error)
{
    records *r = api->allocate(host, sizeof(*r));
    if (r == NULL)
        return FA_NO_MEMORY;
    r->host = host;
    r->api = api;
    const char *max_import = configured(r, "max_import");
    r->max_import =
        fmin(*max_import != '\0' ? strtod(max_import, NULL) : 64.0 * 1024 * 1024, 900e6); /* SQLite's longest text */
    fa_result result = find_paths(r, error);
    if (result == FA_OK)
        result = records_open_database(r, error);
    if (result == FA_OK)
        *state = r;
    else
        close_records(r);
    return result;
}

static const fa_plugin_function functions[] = {
    {"search", records_search}, {"import", import}, {"export", export}, {"stats", stats}, {"prepare", prepare}};

FA_PLUGIN_EXPORT fa_plugin_entry = {.magic = FA_PLUGIN_MAGIC,
                                    .abi = FA_PLUGIN_ABI,
                                    .size = sizeof(fa_plugin),
                                    .name = "records",
                                    .version = "1.0.0",
                                    .open = open_records,
                                    .close = close_records,
                                    .functions = functions,
                                    .function_count = sizeof(functions) / sizeof(functions[0]),
                                    .attributed = attributed};
