/* What a script says of a request: its table read into what the upstream floor takes. */
#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "script/lua_upstream.h"

enum { MOST_PARTS = 256 };

static const char *const known[] = {"path",   "query",      "headers", "json",           "body",   "type",
                                    "form",   "multipart",  "timeout", "first_byte",     "idle",   "max",
                                    "expect", "idempotent", "retries", "method",         "format", "event_max",
                                    "url",    "stream",     "status",  "answer_headers", NULL};

/* The option stays on the stack; false when it is not given. */
static bool option(lua_State *L, int index, const char *name)
{
    luaL_checkstack(L, 8, "options");
    lua_getfield(L, index, name);
    return !lua_isnil(L, -1);
}

static fa_text text_option(lua_State *L, int index, const char *name, const char *what)
{
    fa_text text = FA_TEXT("");
    if (!option(L, index, name))
        return text;
    if (!lua_isstring(L, -1))
        luaL_error(L, "%s: %s is a text", what, name);
    text.data = lua_tolstring(L, -1, &text.length);
    return text;
}

static void check_room(lua_State *L, fa_result result, const char *what)
{
    if (result != FA_OK)
        luaL_error(L, "%s: no room for the request: %s", what, fa_result_name(result));
}

static fa_buffer *new_buffer(lua_State *L, const char *label, const char *what)
{
    fa_buffer *buffer = NULL;
    check_room(L, fa_buffer_new(fa_task_scope(L), 0, label, fa_script_here(L), &buffer), what);
    return buffer;
}

/* ---- queries and forms ---- */

static fa_result append_encoded(fa_buffer *buffer, fa_text text)
{
    static const char digits[] = "0123456789ABCDEF";
    fa_result result = FA_OK;
    for (size_t i = 0; i < text.length && result == FA_OK; ++i) {
        unsigned char c = (unsigned char)text.data[i];
        char code[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        result = plain ? fa_buffer_append(buffer, &text.data[i], 1) : fa_buffer_append(buffer, code, 3);
    }
    return result;
}

/* name=value of the value on top. */
static void append_pair(lua_State *L, fa_buffer *buffer, fa_text name, const char *what)
{
    fa_text value;
    if (lua_isboolean(L, -1))
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    else if (lua_isstring(L, -1))
        lua_pushvalue(L, -1);
    else
        luaL_error(L, "%s: %s is a text, a number, a flag, or a list of them", what, name.data);
    value.data = lua_tolstring(L, -1, &value.length);
    fa_result result = fa_buffer_length(buffer) > 0 ? fa_buffer_append(buffer, "&", 1) : FA_OK;
    if (result == FA_OK)
        result = append_encoded(buffer, name);
    if (result == FA_OK)
        result = fa_buffer_append(buffer, "=", 1);
    if (result == FA_OK)
        result = append_encoded(buffer, value);
    check_room(L, result, what);
    lua_pop(L, 1);
}

/* The table on top, name by name, into the buffer. */
static void append_pairs(lua_State *L, fa_buffer *buffer, const char *what)
{
    int table = lua_gettop(L);
    luaL_checkstack(L, 8, "options");
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        fa_text name;
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: a name is a text", what);
        name.data = lua_tolstring(L, -2, &name.length);
        if (!lua_istable(L, -1)) {
            append_pair(L, buffer, name, what);
            continue;
        }
        for (int i = 1, count = (int)lua_objlen(L, -1); i <= count; ++i) {
            lua_rawgeti(L, -1, i);
            append_pair(L, buffer, name, what);
            lua_pop(L, 1);
        }
    }
}

static void read_query(lua_State *L, int index, const char *what, fa_lua_asking *asking)
{
    if (!option(L, index, "query"))
        return;
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        asking->request.query = text_option(L, index, "query", what);
        return;
    }
    asking->query = new_buffer(L, "query", what);
    append_pairs(L, asking->query, what);
    asking->request.query = (fa_text){(const char *)fa_buffer_data(asking->query), fa_buffer_length(asking->query)};
}

/* ---- bodies ---- */

static void set_type(lua_State *L, fa_lua_asking *asking, const char *type)
{
    for (size_t i = 0; i < asking->headers.count; ++i) {
        if (fa_text_is(asking->headers.entries[i].name, "content-type"))
            return; /* the script knows better */
    }
    fa_lua_add_header(L, &asking->headers, FA_TEXT("Content-Type"), (fa_text){type, strlen(type)});
}

/* The text on top becomes the body. */
static void take_text(lua_State *L, const char *what, fa_lua_asking *asking)
{
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    asking->body = new_buffer(L, "request", what);
    check_room(L, fa_buffer_append(asking->body, text, length), what);
    fa_lua_count_copy(L, length);
}

static void read_body(lua_State *L, const char *what, fa_lua_asking *asking)
{
    fa_buffer *buffer = fa_lua_test(L, -1, &fa_type_buffer, FA_META_BUFFER);
    if (buffer != NULL && !fa_buffer_sealed(buffer))
        luaL_error(L, "%s: only a sealed buffer can be sent: call buf:seal() first", what);
    if (buffer == NULL && !lua_isstring(L, -1))
        luaL_error(L, "%s: body is a sealed buffer or a text", what);
    if (buffer == NULL)
        take_text(L, what, asking);
    else
        asking->request.body = buffer;
}

static fa_text part_text(lua_State *L, int part, const char *name, const char *what)
{
    return text_option(L, part, name, what);
}

/* One part, the table on top; its texts stay on the stack. All texts share one buffer. */
static void read_part(lua_State *L, const char *what, fa_lua_asking *asking, fa_form_item *item)
{
    int part = lua_gettop(L);
    if (!lua_istable(L, part))
        luaL_error(L, "%s: multipart is a list of tables", what);
    memset(item, 0, sizeof(*item));
    item->name = part_text(L, part, "name", what);
    item->filename = part_text(L, part, "filename", what);
    item->type = part_text(L, part, "type", what);
    if (option(L, part, "body")) {
        item->body = fa_lua_check(L, -1, &fa_type_buffer, FA_META_BUFFER);
        item->length = fa_buffer_length(item->body);
        return;
    }
    fa_text text = part_text(L, part, "text", what);
    item->body = asking->body;
    item->offset = fa_buffer_length(asking->body);
    item->length = text.length;
    check_room(L, fa_buffer_append(asking->body, text.data, text.length), what);
    fa_lua_count_copy(L, text.length);
}

static void read_multipart(lua_State *L, const char *what, fa_lua_asking *asking)
{
    int list = lua_gettop(L);
    luaL_checktype(L, list, LUA_TTABLE);
    size_t count = lua_objlen(L, list);
    if (count == 0 || count > MOST_PARTS)
        luaL_error(L, "%s: multipart has 1 to %d parts", what, MOST_PARTS);
    fa_form_item *items = lua_newuserdata(L, count * sizeof(*items));
    asking->body = new_buffer(L, "parts", what);
    for (size_t i = 0; i < count; ++i) {
        luaL_checkstack(L, 12, "parts");
        lua_rawgeti(L, list, (int)i + 1);
        read_part(L, what, asking, &items[i]);
    }
    asking->request.parts = items;
    asking->request.part_count = count;
}

static void read_bodies(lua_State *L, int index, const char *what, fa_lua_asking *asking)
{
    int given = 0;
    if (option(L, index, "json")) {
        given++;
        fa_lua_encode_json(L, lua_gettop(L));
        take_text(L, what, asking);
        set_type(L, asking, "application/json");
    }
    if (option(L, index, "body") && ++given == 1)
        read_body(L, what, asking);
    if (option(L, index, "form") && ++given == 1) {
        luaL_checktype(L, -1, LUA_TTABLE);
        asking->body = new_buffer(L, "form", what);
        append_pairs(L, asking->body, what);
        fa_lua_count_copy(L, fa_buffer_length(asking->body));
        set_type(L, asking, "application/x-www-form-urlencoded");
    }
    if (option(L, index, "multipart") && ++given == 1)
        read_multipart(L, what, asking);
    if (given > 1)
        luaL_error(L, "%s: json, body, form and multipart: only one of them", what);
    if (option(L, index, "type"))
        set_type(L, asking, luaL_checkstring(L, -1));
    if (asking->body == NULL)
        return;
    fa_buffer_seal(asking->body);
    if (asking->request.parts == NULL)
        asking->request.body = asking->body;
}

/* ---- the rest ---- */

static void read_limits(lua_State *L, int index, const char *what, fa_transfer_request *r)
{
    r->total_ms = option(L, index, "timeout") ? fa_lua_opt_duration(L, -1, what, 0) : 0;
    r->first_byte_ms = option(L, index, "first_byte") ? fa_lua_opt_duration(L, -1, what, 0) : 0;
    r->idle_ms = option(L, index, "idle") ? fa_lua_opt_duration(L, -1, what, 0) : 0;
    r->max_response = option(L, index, "max") ? fa_lua_check_size(L, -1, what) : 0;
    r->event_max = option(L, index, "event_max") ? fa_lua_check_size(L, -1, what) : 0;
    r->idempotent = option(L, index, "idempotent") ? lua_toboolean(L, -1) : -1;
    r->retries = option(L, index, "retries") ? (int)luaL_checkinteger(L, -1) : -1;
    if (r->retries < -1 || r->retries > 10)
        luaL_error(L, "%s: retries is 0 to 10", what);
}

static void read_expect(lua_State *L, int index, const char *what, fa_transfer_mode mode, fa_transfer_request *r)
{
    r->expect_success = mode == FA_TRANSFER_STREAM;
    if (!option(L, index, "expect"))
        return;
    const char *expect = luaL_checkstring(L, -1);
    if (strcmp(expect, "2xx") != 0 && strcmp(expect, "any") != 0)
        luaL_error(L, "%s: expect is \"2xx\" or \"any\"", what);
    r->expect_success = expect[0] == '2';
}

static void read_format(lua_State *L, int index, const char *what, fa_transfer_request *r)
{
    const char *format = option(L, index, "format") ? luaL_checkstring(L, -1) : "sse";
    r->format = strcmp(format, "sse") == 0      ? FA_STREAM_SSE
                : strcmp(format, "ndjson") == 0 ? FA_STREAM_NDJSON
                                                : FA_STREAM_RAW;
    if (r->format == FA_STREAM_RAW && strcmp(format, "raw") != 0)
        luaL_error(L, "%s: format is \"sse\", \"ndjson\" or \"raw\"", what);
}

/* The trace of the request that this task answers. */
static void add_trace(lua_State *L, const fa_upstream *upstream, fa_lua_asking *asking)
{
    char text[FA_TRACEPARENT_SIZE];
    const fa_script *script = fa_script_of(L);
    fa_exchange *exchange = script->current->scope != NULL ? script->current->exchange : NULL;
    if (exchange == NULL || upstream == fa_upstreams_fetch(script->options.upstreams) ||
        !fa_upstream_options_of(upstream)->trace)
        return;
    for (size_t i = 0; i < asking->headers.count; ++i) {
        if (fa_text_is(asking->headers.entries[i].name, "traceparent"))
            return;
    }
    lua_pushstring(L, fa_trace_child(fa_exchange_trace(exchange), text));
    fa_lua_add_header(L, &asking->headers, FA_TEXT("traceparent"), (fa_text){lua_tostring(L, -1), strlen(text)});
}

void fa_lua_read_asking(lua_State *L, const fa_upstream *upstream, int index, const char *what, const char *method,
                        fa_transfer_mode mode, fa_lua_asking *asking)
{
    memset(asking, 0, sizeof(*asking));
    fa_transfer_request *r = &asking->request;
    fa_lua_check_options(L, index, what, known);
    r->mode = mode;
    fa_text url = text_option(L, index, "url", what);
    r->path = url.length != 0 ? url : text_option(L, index, "path", what);
    if (option(L, index, "headers"))
        fa_lua_read_headers(L, lua_gettop(L), &asking->headers);
    read_query(L, index, what, asking);
    read_bodies(L, index, what, asking);
    read_limits(L, index, what, r);
    read_expect(L, index, what, mode, r);
    if (mode == FA_TRANSFER_STREAM)
        read_format(L, index, what, r);
    if (option(L, index, "method") && method == NULL)
        method = luaL_checkstring(L, -1);
    if (method == NULL)
        method = r->body != NULL || r->part_count > 0 ? "POST" : "GET";
    r->method = method;
    add_trace(L, upstream, asking);
    r->headers = asking->headers.entries;
    r->header_count = asking->headers.count;
}

void fa_lua_asking_release(fa_lua_asking *asking)
{
    if (asking->query != NULL)
        fa_buffer_release(asking->query);
    if (asking->body != NULL)
        fa_buffer_release(asking->body);
    asking->query = asking->body = NULL;
}
