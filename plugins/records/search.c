/* search{query=, recordType=, limit=, page=, ids=}: the reply of GET /api/records. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "records.h"

enum { LIMIT_STANDARD = 20, LIMIT_MOST = 100, PAGE_MOST = 1000000, IDS_MOST = 64 * 1024 };

typedef struct request {
    const char *type, *ids; /* NULL: any */
    size_t type_length, ids_length;
    int limit, page;
    query query;
} request;

static int whole_number(records *r, fa_call *call, const char *key, int standard, int most)
{
    double value;
    if (!r->api->argument_number(call, key, &value) || !isfinite(value))
        return standard;
    return (int)fmin(fmax(floor(value), 1), most);
}

static const char *text_or_null(records *r, fa_call *call, const char *key, size_t *length)
{
    const char *text = r->api->argument_text(call, key, length);
    return text != NULL && *length > 0 ? text : NULL;
}

/* ids is a JSON array of texts, or texts with commas between, which become one. To be freed by sqlite3_free. */
static char *ids_array(const request *asked)
{
    if (asked->ids == NULL)
        return NULL;
    if (asked->ids[0] == '[')
        return sqlite3_mprintf("%.*s", (int)asked->ids_length, asked->ids);
    size_t used = 0, room = asked->ids_length * 6 + 8; /* \u0000 */
    char *array = sqlite3_malloc64(room);
    if (array == NULL)
        return NULL;
    array[used++] = '[';
    array[used++] = '"';
    for (size_t i = 0; i < asked->ids_length; ++i) {
        unsigned char c = (unsigned char)asked->ids[i];
        if (c == ',')
            used += (size_t)snprintf(array + used, room - used, "\",\"");
        else if (c == '"' || c == '\\' || c < ' ')
            used += (size_t)snprintf(array + used, room - used, "\\u%04x", c);
        else
            array[used++] = (char)c;
    }
    memcpy(array + used, "\"]", 3);
    return array;
}

static sqlite3_stmt *bound(records *r, statement_id which, const request *asked, const char *ids)
{
    sqlite3_stmt *made = records_statement(r, which);
    /* Binding a parameter that a statement does not have fails, which is as well. */
    sqlite3_bind_text(made, 1, asked->query.match, -1, SQLITE_STATIC);
    if (asked->type != NULL)
        sqlite3_bind_text(made, 2, asked->type, (int)asked->type_length, SQLITE_STATIC);
    if (ids != NULL)
        sqlite3_bind_text(made, 3, ids, -1, SQLITE_STATIC);
    sqlite3_bind_text(made, 4, asked->query.folded, -1, SQLITE_STATIC);
    sqlite3_bind_text(made, 5, asked->query.groups, -1, SQLITE_STATIC);
    sqlite3_bind_int(made, 6, asked->limit);
    sqlite3_bind_int64(made, 7, (int64_t)(asked->page - 1) * asked->limit);
    return made;
}

static fa_result append_record(records *r, fa_buffer *buffer, int64_t rowid, bool first)
{
    sqlite3_stmt *render = records_statement(r, RENDER);
    sqlite3_bind_int64(render, 1, rowid);
    fa_result result = FA_OK;
    int code = sqlite3_step(render);
    if (code == SQLITE_ROW) {
        if (!first)
            result = r->api->buffer_append(buffer, ",", 1);
        const void *json = sqlite3_column_text(render, 0);
        if (result == FA_OK)
            result = r->api->buffer_append(buffer, json, (size_t)sqlite3_column_bytes(render, 0));
    } else {
        result = records_result(code);
    }
    sqlite3_reset(render);
    return result;
}

static fa_result append_page(records *r, fa_call *call, fa_buffer *buffer, sqlite3_stmt *page)
{
    fa_result result = FA_OK;
    int code = SQLITE_DONE;
    bool first = true;
    while (result == FA_OK && (code = sqlite3_step(page)) == SQLITE_ROW) {
        result =
            r->api->cancelled(call) ? FA_CANCELLED : append_record(r, buffer, sqlite3_column_int64(page, 0), first);
        first = false;
    }
    sqlite3_reset(page);
    return result == FA_OK ? records_result(code) : result;
}

static fa_result reply(records *r, fa_call *call, const request *asked, const char *ids)
{
    const fa_host_api *api = r->api;
    char head[300];
    fa_buffer *buffer;
    bool nothing = !asked->query.blank && asked->query.match[0] == '\0';
    statement_id count = !asked->query.blank ? COUNT_HITS : ids != NULL ? COUNT_IDS : COUNT_LISTED;
    statement_id page = !asked->query.blank ? PAGE_HITS : ids != NULL ? PAGE_IDS : PAGE_LISTED;

    int64_t total = records_number(records_statement(r, COUNT_RECORDS));
    int64_t hits = nothing ? 0 : records_number(bound(r, count, asked, ids));
    fa_result result = api->result_number(call, "count", (double)hits);
    if (result == FA_OK)
        result = api->result_buffer(call, "json", 16 * 1024, &buffer);
    if (result != FA_OK)
        return result;
    int length = snprintf(head, sizeof(head),
                          "{\"message\":\"Records retrieved successfully\",\"totalRecords\":%lld,\"pageSize\":%d,"
                          "\"currentPage\":%d,\"totalPages\":%lld,\"searchResults\":%lld,\"records\":[",
                          (long long)total, asked->limit, asked->page,
                          (long long)((hits + asked->limit - 1) / asked->limit), (long long)hits);
    result = api->buffer_append(buffer, head, (size_t)length);
    if (result == FA_OK && !nothing)
        result = append_page(r, call, buffer, bound(r, page, asked, ids));
    return result == FA_OK ? api->buffer_append(buffer, "]}", 2) : result;
}

/* json_each refuses what is no JSON in the middle of a statement; asked before, the answer is clear. */
static bool is_array(records *r, const char *ids)
{
    sqlite3_stmt *ask = records_statement(r, COUNT_ARRAY);
    sqlite3_bind_text(ask, 1, ids, -1, SQLITE_STATIC);
    bool array = sqlite3_step(ask) == SQLITE_ROW && sqlite3_column_text(ask, 0) != NULL &&
                 strcmp((const char *)sqlite3_column_text(ask, 0), "array") == 0;
    sqlite3_reset(ask);
    return array;
}

fa_result records_search(void *state, fa_call *call)
{
    records *r = state;
    size_t length = 0;
    records_load_data(r, true);
    request *asked = r->api->allocate(r->host, sizeof(*asked));
    if (asked == NULL)
        return FA_OVER_BUDGET;
    asked->type = text_or_null(r, call, "recordType", &asked->type_length);
    asked->ids = text_or_null(r, call, "ids", &asked->ids_length);
    asked->limit = whole_number(r, call, "limit", LIMIT_STANDARD, LIMIT_MOST);
    asked->page = whole_number(r, call, "page", 1, PAGE_MOST);
    const char *text = text_or_null(r, call, "query", &length);
    query_make(r, text == NULL ? "" : text, length, &asked->query);

    fa_result result;
    char *ids = asked->ids_length <= IDS_MOST ? ids_array(asked) : NULL;
    if (asked->ids != NULL && (ids == NULL || !is_array(r, ids)))
        result = r->api->fail(call, "invalid", "ids is a list of ids with commas between, or a JSON array of them");
    else
        result = reply(r, call, asked, ids);
    sqlite3_free(ids);
    r->api->release(r->host, asked);
    return result;
}
