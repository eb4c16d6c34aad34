/* The body of a request, as JSON, as a form, as multipart. What cannot be had is nil, a sentence, and a word for programs:
 *
 *   missing      there is no body
 *   unsupported  it is of another type, or encoded in a way that nobody undoes (415)
 *   too_large    it is above a limit (413)
 *   over_budget  there is no memory for it (503)
 *   malformed    all else (400)
 */
#include <string.h>

#include "exchange/form.h"
#include "exchange/multipart.h"
#include "script/internal.h"
#include "script/route_options.h"

static int answer(lua_State *L, fa_result result, const char *message)
{
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, result == FA_FULL          ? "too_large"
                      : result == FA_UNSUPPORTED ? "unsupported"
                      : result == FA_NOT_FOUND   ? "missing"
                      : result != FA_INVALID     ? "over_budget"
                                                 : "malformed");
    return 3;
}

static fa_text body_of(const fa_exchange *exchange)
{
    if (exchange->body == NULL)
        return (fa_text){"", 0};
    return (fa_text){(const char *)fa_buffer_data(exchange->body), fa_buffer_length(exchange->body)};
}

/* ---- JSON ---- */

int fa_lua_request_json(lua_State *L)
{
    const fa_route_options *options = fa_lua_route_options(L, 1);
    fa_text body = body_of(fa_lua_check_exchange(L, 1));
    if (body.length == 0)
        return answer(L, FA_NOT_FOUND, "the request has no body");
    if (body.length > options->max_json)
        return answer(L, FA_FULL, "it is larger than JSON may be here");
    int count = fa_lua_decode_json_within(L, body.data, body.length, options->json_depth);
    if (count != 1)
        return answer(L, FA_INVALID, lua_tostring(L, -1));
    if (!lua_istable(L, -1))
        return answer(L, FA_INVALID, "the body is neither an object nor an array");
    return 1;
}

/* ---- options of a call ---- */

typedef struct limit {
    const char *name;
    size_t *value;
} limit;

/* The table at `index`, if there is one, changes the limits that it names. */
static void read_limits(lua_State *L, int index, const char *what, const limit *limits)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const limit *l = limits;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        while (l->name != NULL && strcmp(l->name, name) != 0)
            ++l;
        if (l->name == NULL)
            luaL_error(L, "%s has no option \"%s\"", what, name);
        *l->value = fa_lua_check_size(L, -1, what);
    }
}

/* ---- forms ---- */

/* The value on top becomes one of `name`, at `table`: alone, or the last of a list. */
static void add_field(lua_State *L, int table, int name)
{
    lua_pushvalue(L, name);
    lua_rawget(L, table);
    if (lua_istable(L, -1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    } else if (lua_isnil(L, -1)) {
        lua_pushvalue(L, name);
        lua_pushvalue(L, -3);
        lua_rawset(L, table);
    } else {
        lua_pushvalue(L, name);
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, -3);
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, -4);
        lua_rawseti(L, -2, 2);
        lua_rawset(L, table);
    }
    lua_settop(L, name - 1);
}

static void push_decoded(lua_State *L, fa_text text, char *scratch)
{
    size_t length = fa_form_decode(text, scratch);
    lua_pushlstring(L, scratch, length);
}

/* A parameter may follow: "; charset=UTF-8". */
static bool is_form_type(fa_text type)
{
    static const char wanted[] = "application/x-www-form-urlencoded";
    size_t end = 0;
    while (end < type.length && type.data[end] != ';' && type.data[end] != ' ' && type.data[end] != '\t')
        ++end;
    return fa_text_is((fa_text){type.data, end}, wanted);
}

int fa_lua_request_form(lua_State *L)
{
    fa_error error;
    fa_form form;
    fa_form_field field;
    const fa_body_limits *bodies = &fa_script_of(L)->options.bodies;
    const fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    size_t most = bodies->max_form;
    fa_form_limits limits = {.fields = bodies->form_fields, .name = bodies->form_value, .value = bodies->form_value};
    read_limits(L, 2, "req:form",
                (const limit[]){{"max", &most},
                                {"max_fields", &limits.fields},
                                {"max_name", &limits.name},
                                {"max_value", &limits.value},
                                {NULL, NULL}});
    fa_text body = body_of(exchange);
    if (!is_form_type(fa_exchange_header(exchange, "content-type")))
        return answer(L, FA_UNSUPPORTED, "the body is not application/x-www-form-urlencoded");
    if (most != 0 && body.length > most)
        return answer(L, FA_FULL, "the form is larger than it may be here");
    lua_settop(L, 1);
    char *scratch = lua_newuserdata(L, body.length + 1); /* 2; no text is longer than the body */
    lua_newtable(L);                                     /* 3 */
    fa_form_begin(&form, body, &limits);
    fa_result result;
    while ((result = fa_form_next(&form, &field, &error)) == FA_OK) {
        push_decoded(L, field.name, scratch);  /* 4 */
        push_decoded(L, field.value, scratch); /* 5 */
        add_field(L, 3, 4);
    }
    if (result != FA_NOT_FOUND)
        return answer(L, result, error.text);
    fa_lua_count_copy(L, body.length);
    return 1;
}

/* ---- multipart ---- */

static void set_text(lua_State *L, const char *name, const char *data, size_t length)
{
    lua_pushlstring(L, data, length);
    lua_setfield(L, -2, name);
}

static void set_headers(lua_State *L, const fa_part *part)
{
    lua_createtable(L, 0, (int)part->header_count);
    for (size_t i = 0; i < part->header_count; ++i) {
        fa_text name = part->headers[i].name;
        luaL_Buffer lower;
        luaL_buffinit(L, &lower);
        for (size_t k = 0; k < name.length; ++k) {
            char c = name.data[k];
            luaL_addchar(&lower, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
        }
        luaL_pushresult(&lower);
        lua_pushlstring(L, part->headers[i].value.data, part->headers[i].value.length);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

/* Pushes the part as a table; its bytes as a slice of the body. FA_OK, or nothing is pushed. */
static fa_result push_part(lua_State *L, fa_buffer *body, const fa_part *part)
{
    fa_buffer *slice;
    fa_scope *scope = fa_task_scope(L);
    fa_result result = fa_buffer_slice(scope, body, part->offset, part->length, fa_script_here(L), &slice);
    if (result != FA_OK)
        return result;
    lua_createtable(L, 0, 6);
    if (fa_lua_push_buffer(L, slice, scope) != 1) {
        lua_pop(L, 3);
        return FA_NO_MEMORY;
    }
    lua_setfield(L, -2, "body");
    set_text(L, "name", part->name, part->name_length);
    if (part->has_filename)
        set_text(L, "filename", part->filename, part->filename_length);
    if (part->type.length != 0)
        set_text(L, "type", part->type.data, part->type.length);
    if (part->charset.length != 0)
        set_text(L, "charset", part->charset.data, part->charset.length);
    set_headers(L, part);
    return FA_OK;
}

static fa_multipart_limits multipart_limits(lua_State *L)
{
    enum { HEAD = 8 * 1024 };
    const fa_body_limits *bodies = &fa_script_of(L)->options.bodies;
    fa_multipart_limits limits = {.parts = bodies->multipart_parts, .head = HEAD, .field = bodies->multipart_field};
    read_limits(L, 2, "req:multipart",
                (const limit[]){{"max_parts", &limits.parts},
                                {"max_head", &limits.head},
                                {"max_field", &limits.field},
                                {"max_file", &limits.file},
                                {NULL, NULL}});
    return limits;
}

int fa_lua_request_multipart(lua_State *L)
{
    fa_error error;
    fa_multipart multipart;
    fa_part part;
    fa_exchange *exchange = fa_lua_check_exchange(L, 1);
    fa_multipart_limits limits = multipart_limits(L);
    fa_result result = fa_multipart_begin(&multipart, fa_exchange_header(exchange, "content-type"), body_of(exchange),
                                          &limits, &error);
    lua_settop(L, 1);
    lua_newtable(L);
    while (result == FA_OK && (result = fa_multipart_next(&multipart, &part, &error)) == FA_OK) {
        fa_result pushed = push_part(L, exchange->body, &part);
        if (pushed != FA_OK)
            return answer(L, pushed, "there is no memory for so many parts");
        lua_rawseti(L, 2, (int)multipart.parts);
    }
    return result == FA_NOT_FOUND ? 1 : answer(L, result, error.text);
}
